"""UV rectangles: where every grid of a piece lives in the one atlas, decided at preset 1 so that all presets share textures."""

from __future__ import annotations

from .loft import Grid, Piece

MARGIN = 0.0025  # 5 texels at 2048

# u0, v0, u1, v1 in the atlas; v grows downwards. Face 28 %, head with hair 50 %.
REGIONS: dict[str, tuple[float, float, float, float]] = {
    "face": (0.0, 0.0, 0.56, 0.50),
    "skull": (0.56, 0.0, 1.0, 0.085),
    "hair": (0.56, 0.085, 0.865, 0.50),
    "fringe": (0.865, 0.085, 1.0, 0.42),
    "ahoge": (0.865, 0.42, 0.895, 0.50),
    "hair_ornament": (0.895, 0.42, 1.0, 0.50),
    "body": (0.0, 0.50, 0.25, 0.86),
    "glasses": (0.0, 0.86, 0.125, 1.0),
    "horns": (0.125, 0.86, 0.19, 1.0),
    "halo": (0.19, 0.86, 0.25, 1.0),
    "top": (0.25, 0.50, 0.80, 0.775),
    "bottom": (0.25, 0.775, 0.60, 1.0),
    "shoes": (0.60, 0.775, 0.80, 0.885),
    "legwear": (0.60, 0.885, 0.70, 1.0),
    "neck": (0.70, 0.885, 0.80, 1.0),
    "hat": (0.80, 0.50, 1.0, 0.66),
    "animal_ears": (0.80, 0.66, 0.90, 0.76),
    "headphones": (0.90, 0.66, 1.0, 0.76),
    "wings": (0.80, 0.76, 1.0, 0.83),
    "tail": (0.80, 0.83, 0.90, 1.0),
    "bag": (0.90, 0.83, 1.0, 1.0),
}


def region_of(piece: str) -> str:
    """Region of the atlas that a piece's grids share."""
    return max((r for r in REGIONS if piece.startswith(r)), key=len)


def _shelves(
    boxes: list[tuple[int, float, float]], width: float, height: float
) -> dict[int, tuple[float, float, bool]] | None:
    """Place (index, w, h) boxes on shelves, tallest first; None if they do not fit."""
    x = y = shelf = 0.0
    out = {}
    for i, w, h in sorted(boxes, key=lambda b: (-b[2], -b[1], b[0])):
        if w > width:
            return None
        if x + w > width + 1e-9:
            y, x, shelf = y + shelf, 0.0, 0.0
        if y + h > height + 1e-9:
            return None
        out[i] = (x, y, False)
        x, shelf = x + w, max(shelf, h)
    return out


def layout(
    grids: list[Grid], region: tuple[float, float, float, float]
) -> list[tuple[tuple[float, float, float, float], bool]]:
    """A rectangle per grid, as large as fits the region with one scale for all (times each grid's density); bool: turned by 90 degrees."""
    u0, v0, u1, v1 = region
    width, height = u1 - u0, v1 - v0
    low, high, best = 0.0, 20.0, None
    for _ in range(28):
        scale = (low + high) / 2
        boxes, turned = [], []
        for i, g in enumerate(grids):
            w, h = (max(a * scale * g.density, 0.0030) + 2 * MARGIN for a in g.size)
            turn = w > h
            turned.append(turn)
            boxes.append((i, h, w) if turn else (i, w, h))
        placed = _shelves(boxes, width, height)
        if placed is None:
            high = scale
        else:
            low, best = scale, (placed, {b[0]: b[1:] for b in boxes}, turned)
    if best is None:
        raise ValueError("the region is too small for its grids' margins")
    placed, sizes, turned = best
    out = []
    for i in range(len(grids)):
        x, y, _ = placed[i]
        w, h = sizes[i]
        out.append(((u0 + x + MARGIN, v0 + y + MARGIN, u0 + x + w - MARGIN, v0 + y + h - MARGIN), turned[i]))
    return out


def rects(piece: Piece) -> list[tuple[tuple[float, float, float, float], bool]]:
    """Rectangles for the grids of ``piece`` in the order of the grids."""
    if piece.name == "head":
        u0, v0, u1, v1 = REGIONS["face"]
        face = ((u0 + MARGIN, v0 + MARGIN, u1 - MARGIN, v1 - MARGIN), False)
        return [face, *layout(piece.grids[1:], REGIONS["skull"])]
    return layout(piece.grids, REGIONS[region_of(piece.name)])
