"""What a bake must leave as it is: texels of the atlas that belong to layers it does not paint, or that no picture of an avatar at rest
can show; and the colour factors of materials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .model import Avatar, Mesh
from .texels import TexelBuffer, texel_gbuffer

if TYPE_CHECKING:
    import torch

_TILES = 8  # repeats of the texture to each side that are looked at
_FOLDED = 4.0  # times that a triangle is smaller than its texture asks for, from which a picture has no room for what is painted there
_EDGE = 1e-5  # what ends on the border of a tile is not in the next one


def bystanders(avatar: Avatar, keep: np.ndarray | None, size: int, device: Any = "cpu") -> Iterator[TexelBuffer]:
    """The texels of a ``size``² atlas that are on the avatar but not in the bake's charts: of thin layers with the same texture, and where
    the texture repeats. ``keep`` (F,) bool: the triangles that are baked, None for all.
    """
    mesh = avatar.mesh
    uses = _on_atlas(avatar)
    baked = np.ones(len(mesh.faces), bool) if keep is None else keep
    if baked[uses].all() and mesh.uvs.min(initial=0) >= -_EDGE and mesh.uvs.max(initial=1) <= 1 + _EDGE:
        return
    corners = mesh.uvs[mesh.faces].astype(np.float64)
    low = np.clip(np.floor(corners.min(1) + _EDGE), -_TILES, _TILES).astype(int)
    high = np.clip(np.ceil(corners.max(1) - _EDGE) - 1, low, _TILES).astype(int)
    for x in range(int(low[:, 0].min(initial=0)), int(high[:, 0].max(initial=0)) + 1):
        for y in range(int(low[:, 1].min(initial=0)), int(high[:, 1].max(initial=0)) + 1):
            here = uses & ((low <= (x, y)) & (high >= (x, y))).all(1)
            if (x, y) == (0, 0):
                here &= ~baked
            if here.any():
                shifted = replace(mesh, uvs=(mesh.uvs - np.array([x, y], np.float32)).astype(np.float32))
                yield texel_gbuffer(shifted, size, here, device)


def folded(mesh: Mesh) -> np.ndarray:
    """(F,) bool: triangles that have much more texture than the rest of their part for their size at rest, and that an expression makes
    much larger than it makes the part: the inside of the mouth."""
    rest = np.maximum(_areas(mesh.positions[mesh.faces]), 1e-12)
    density = rest / np.maximum(_areas(np.pad(mesh.uvs, ((0, 0), (0, 1)))[mesh.faces]), 1e-12)
    small, opens = np.zeros(len(rest), bool), np.zeros(len(rest), bool)
    for part in np.unique(mesh.face_part):
        own = np.flatnonzero(mesh.face_part == part)
        small[own] = density[own] * _FOLDED < np.median(density[own])
    few = np.flatnonzero(small)

    def grown(shift: np.ndarray, faces: np.ndarray) -> np.ndarray:
        corners = mesh.faces[faces]
        return _areas(mesh.positions[corners] + shift[corners]) / rest[faces]

    for shift in mesh.morphs.values():
        if not shift[mesh.faces[few]].any():
            continue
        larger = grown(shift, few)
        for part in np.unique(mesh.face_part[few[larger >= _FOLDED]]):
            whole = float(np.median(grown(shift, np.flatnonzero(mesh.face_part == part))))
            opens[few] |= (mesh.face_part[few] == part) & (larger >= _FOLDED * max(whole, 1.0))
        few = few[~opens[few]]
    return opens


def _areas(corners: np.ndarray) -> np.ndarray:
    """Twice the area of triangles (F, 3, 3): (F,)."""
    ax, ay, az = (corners[:, 1] - corners[:, 0]).T
    bx, by, bz = (corners[:, 2] - corners[:, 0]).T
    return np.sqrt((ay * bz - az * by) ** 2 + (az * bx - ax * bz) ** 2 + (ax * by - ay * bx) ** 2)


def tints(avatar: Avatar, device: Any = "cpu") -> torch.Tensor | None:
    """The colour factor of each triangle's material (F, 3) float32, for what is seen is texture times factor; None where all are white."""
    import torch

    colors = np.array([material.color[:3] for material in avatar.materials], np.float32)
    factor = np.clip(colors, 1 / 255, None)[avatar.mesh.face_material]
    return None if (factor[_on_atlas(avatar)] == 1).all() else torch.as_tensor(factor, device=device)


def _on_atlas(avatar: Avatar) -> np.ndarray:
    """(F,) bool: the triangles whose material shows the atlas."""
    return np.array([m.texture == avatar.atlas for m in avatar.materials], bool)[avatar.mesh.face_material]
