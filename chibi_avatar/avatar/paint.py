"""Painting the atlas from the Character, patch by patch in texel space."""

from __future__ import annotations

import numpy as np

from ..character import Character
from . import base
from .wardrobe import Cloth, Plan


def srgb(hex_value: str) -> np.ndarray:
    """``#rrggbb`` as float RGB 0..1."""
    return np.array([int(hex_value[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0


def paint_atlas(character: Character, plan: Plan, size: int) -> np.ndarray:
    """(size, size, 3) uint8 sRGB."""
    out = np.empty((size, size, 3), np.float32)
    out[:] = srgb(character["skin.color"].hex)
    for name in plan.pieces:
        for patch in base.patches(name):
            u0, v0, u1, v1 = patch.rect
            x0, x1 = int(u0 * size) - 4, int(np.ceil(u1 * size)) + 4
            y0, y1 = int(v0 * size) - 4, int(np.ceil(v1 * size)) + 4
            out[max(y0, 0) : y1, max(x0, 0) : x1] = flat(character, plan.cloth.get(name), patch.zone)
    return np.rint(out * 255).astype(np.uint8)


def flat(character: Character, cloth: Cloth | None, zone: str) -> np.ndarray:
    """The plain colour of a zone."""
    if zone in ("hair",):
        return srgb(character["hair.color"].hex)
    if zone == "hair_tie":
        return srgb("#e0526c")
    if cloth is None:
        return srgb(character["skin.color"].hex)
    return srgb(cloth.third if zone.endswith("3") else cloth.second if zone.endswith("2") else "#f0c35a" if zone == "detail" else cloth.main)
