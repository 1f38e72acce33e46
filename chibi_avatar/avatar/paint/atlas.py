"""The atlas: walks over every patch of the plan and lets the painter of its zone fill it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...character import Character
from .. import base
from ..wardrobe import Plan
from . import cloth, face, hair
from .color import mix, shaded, srgb, step

BLEED = 0.0021  # fraction of the atlas painted beyond each patch, for filtering and mip levels


@dataclass(frozen=True)
class Window:
    """The texels of one patch: ``attr`` (h, w, 2) painting coordinates, ``pos`` (h, w, 3) canonical metres, ``across``/``along`` (h, w) metres of surface."""

    zone: str
    piece: str
    attr: np.ndarray
    pos: np.ndarray
    across: np.ndarray
    along: np.ndarray
    row: np.ndarray  # (h, w) 0..1 from the first to the last row of the grid
    box: tuple[int, int, int, int]  # x0, y0, x1, y1
    turn: bool

    def painted(self, rgb: np.ndarray, canvas: np.ndarray) -> None:
        """Write (h, w, 3) colours, given in grid orientation, to the canvas."""
        x0, y0, x1, y1 = self.box
        canvas[y0:y1, x0:x1] = rgb.transpose(1, 0, 2) if self.turn else rgb


def paint_atlas(character: Character, plan: Plan, size: int) -> np.ndarray:
    """Paint everything: (size, size, 3) uint8 sRGB. ``character`` must be resolved."""
    skin = srgb(character["skin.color"].hex)
    canvas = np.empty((size, size, 3), np.float32)
    canvas[:] = skin
    has_hair = any(p.startswith("hair_") for p in plan.pieces)
    look = hair.Look.of(character)
    for name in plan.pieces:
        for patch in base.patches(name):
            w = window(patch, size)
            if patch.zone == "face":
                rgb = face.paint(character, w, has_hair, look)
            elif patch.zone == "scalp":
                rgb = _scalp(w, skin, look.dark if has_hair else skin)
            elif patch.zone == "hair":
                rgb = hair.paint(look, w)
            elif patch.zone == "hair_tie":
                rgb = cloth.paint_plain(w, srgb("#e0526c"))
            elif name in plan.cloth:
                rgb = cloth.paint(plan.cloth[name], w, look if name.startswith(("animal_ears", "tail")) else None)
            else:
                rgb = _skin(w, skin)
            w.painted(rgb, canvas)
    return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)


def window(patch: base.Patch, size: int) -> Window:
    """Texel centres of a patch with a small bleed, in the grid's own orientation (rows along the loft)."""
    u0, v0, u1, v1 = patch.rect
    x0, x1 = max(int((u0 - BLEED) * size), 0), min(int(np.ceil((u1 + BLEED) * size)), size)
    y0, y1 = max(int((v0 - BLEED) * size), 0), min(int(np.ceil((v1 + BLEED) * size)), size)
    a = ((np.arange(x0, x1) + 0.5) / size - u0) / (u1 - u0)
    b = ((np.arange(y0, y1) + 0.5) / size - v0) / (v1 - v0)
    cols, rows = (b, a) if patch.turn else (a, b)
    r, c = patch.points.shape[:2]
    j = np.interp(cols, patch.us, np.arange(c))
    i = (
        np.interp(rows, patch.vs, np.arange(r))
        if patch.vs[-1] >= patch.vs[0]
        else np.interp(rows, patch.vs[::-1], np.arange(r)[::-1])
    )
    steps_across = np.linalg.norm(np.diff(patch.points, axis=1), axis=2).max(0)
    steps_along = np.linalg.norm(np.diff(patch.points, axis=0), axis=2).max(1)
    fields = np.concatenate([patch.attributes, patch.points], -1).astype(np.float32)
    full = _bilinear(fields, i, j)
    across = np.interp(j, np.arange(c), np.r_[0, np.cumsum(steps_across)]).astype(np.float32)
    along = np.interp(i, np.arange(r), np.r_[0, np.cumsum(steps_along)]).astype(np.float32)
    shape = full.shape[:2]
    return Window(
        patch.zone, patch.piece, full[..., :2], full[..., 2:],
        np.broadcast_to(across[None], shape), np.broadcast_to(along[:, None], shape),
        np.broadcast_to((i / (r - 1)).astype(np.float32)[:, None], shape), (x0, y0, x1, y1), patch.turn,
    )  # fmt: skip


def _bilinear(grid: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Sample a (R, C, K) grid at the product of fractional rows ``i`` and columns ``j``."""
    i0 = np.clip(i.astype(int), 0, grid.shape[0] - 2)
    j0 = np.clip(j.astype(int), 0, grid.shape[1] - 2)
    f = (i - i0).astype(np.float32)[:, None, None]
    g = (j - j0).astype(np.float32)[None, :, None]
    rows = grid[i0] * (1 - f) + grid[i0 + 1] * f
    return rows[:, j0] * (1 - g) + rows[:, j0 + 1] * g


def _flat(w: Window, color: np.ndarray) -> np.ndarray:
    return np.broadcast_to(color, (*w.row.shape, 3)).astype(np.float32)


def _scalp(w: Window, skin: np.ndarray, hair_color: np.ndarray) -> np.ndarray:
    """Hair-coloured above a line from the ear down to the nape, skin below it."""
    behind = 1 - 2 * np.abs(w.attr[..., 0] - 1)  # 0 at the ears, 1 at the middle of the back
    line = 0.34 - 0.27 * behind
    return mix(_flat(w, skin), hair_color, step(-0.015, 0.015, w.attr[..., 1] - line))


def _skin(w: Window, skin: np.ndarray) -> np.ndarray:
    """Body skin: rosy at elbows, knees and fingertips, a little shade under the chin."""
    rgb = _flat(w, skin).copy()
    rose = shaded(skin, 1.0, 1.55, 0.02)
    if w.zone == "hand":
        rgb = mix(rgb, rose, 0.55 * step(0.300, 0.345, np.abs(w.pos[..., 0])))
    elif w.zone == "arm":
        rgb = mix(
            rgb,
            rose,
            0.35 * np.exp(-(((np.abs(w.pos[..., 0]) - 0.182) / 0.018) ** 2)) * step(0.0, -0.03, w.pos[..., 2]),
        )
    elif w.zone == "leg":
        rgb = mix(
            rgb, rose, 0.45 * np.exp(-(((w.pos[..., 1] - 0.150) / 0.020) ** 2)) * step(0.005, 0.035, w.pos[..., 2])
        )
    elif w.zone == "trunk":
        rgb = mix(rgb, shaded(skin, 0.88, 1.25, 0.03), 0.75 * step(0.575, 0.600, w.pos[..., 1]))
    elif w.zone == "ear":
        rgb = mix(rgb, rose, 0.5 * step(0.30, 0.05, np.abs(w.attr[..., 0] - 0.5)))
    return rgb
