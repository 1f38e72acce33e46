"""Several views of one surface into one texture, in three bands: broad colour mixes softly, detail comes from the best view alone.

The bands are separated along the surface (see :mod:`.surface`), not in the UV plane, so charts do not bleed. All bands work on each
view's deviation from the soft mean; where views agree the deviation is zero and the pictures pass through untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .surface import SurfaceGraph
from .texels import TexelBuffer
from .visibility import ViewTexels

if TYPE_CHECKING:
    import torch

STRIDE = 13  # every so many texels are looked at to compare views
_FINE, _MID = 8, 3  # exponents of the weights: the higher, the harder the choice
_ROUNDS = (5, 60)  # surface smoothing for the middle and the broad band
_AGREE = 1.0 / 255


def sample_view(image: torch.Tensor, seen: ViewTexels, scale: float, shift: tuple[float, float]) -> torch.Tensor:
    """Colours (K, 3) of a view's texels from its picture (H, W, 3), through the registration."""
    import torch

    from .raster import chunks

    height, width, _ = image.shape
    flat = image.reshape(-1, 3)
    out = torch.empty((len(seen.x), 3), dtype=image.dtype, device=image.device)
    cx, cy = width / 2, height / 2
    for part in chunks(len(seen.x), image.device):
        x = (cx + scale * (seen.x[part] - cx) + shift[0] - 0.5).clamp_(0, width - 1)
        y = (cy + scale * (seen.y[part] - cy) + shift[1] - 0.5).clamp_(0, height - 1)
        left, top = x.long().clamp_(max=width - 2), y.long().clamp_(max=height - 2)
        fx, fy = (x - left)[:, None], (y - top)[:, None]
        corner = top.mul_(width).add_(left)
        above = torch.lerp(torch.index_select(flat, 0, corner), torch.index_select(flat, 0, corner + 1), fx)
        corner += width
        below = torch.lerp(torch.index_select(flat, 0, corner), torch.index_select(flat, 0, corner + 1), fx)
        torch.lerp(above, below, fy, out=out[part])
    return out


def comparison(
    texels: TexelBuffer, seen: list[ViewTexels], colors: list[torch.Tensor]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Colours (S, 3) and weights (S,) of every view at the same thinned texels."""
    import torch

    count = len(texels.position)
    size = -(-count // STRIDE)
    all_colors, all_weights = [], []
    for view, color in zip(seen, colors, strict=True):
        chosen = torch.nonzero(view.index % STRIDE == 0).squeeze(1)
        place = torch.div(view.index[chosen], STRIDE, rounding_mode="floor").cpu().numpy()
        dense = np.zeros((size, 3), np.float32)
        weight = np.zeros(size, np.float32)
        dense[place] = color[chosen].cpu().numpy()
        weight[place] = view.weight[chosen].cpu().numpy()
        all_colors.append(dense)
        all_weights.append(weight)
    return all_colors, all_weights


def blend(
    texels: TexelBuffer, graph: SurfaceGraph, seen: list[ViewTexels], colors: list[torch.Tensor], gap: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """One colour (C, 3) per texel and (C,) bool where any view reached. ``gap`` is the views' median disagreement, 0..1."""
    import torch

    count = len(texels.position)
    device = texels.position.device
    best = torch.zeros(count, device=device)
    for view in seen:
        best[view.index] = torch.maximum(torch.index_select(best, 0, view.index), view.weight)
    covered = best > 0
    fields = _bands(texels, graph, seen, colors) if gap > _AGREE else None
    total = torch.zeros((count, 3), device=device)
    mass = torch.zeros(count, device=device)
    soft = torch.zeros((count, 3), device=device) if fields else None
    middle = torch.zeros((count, 3), device=device) if fields else None
    soft_mass = torch.zeros(count, device=device) if fields else None
    middle_mass = torch.zeros(count, device=device) if fields else None
    for number, (view, color) in enumerate(zip(seen, colors, strict=True)):
        if not len(view.index):
            continue
        ratio = view.weight / torch.index_select(best, 0, view.index)
        fine = ratio**_FINE
        if fields is None:
            _add(total, view.index, color * fine[:, None])
            _add(mass, view.index, fine)
            continue
        mid_field, broad_field = fields[number]
        broad = field_at(texels, view.index, broad_field)
        mid = field_at(texels, view.index, mid_field)
        third = ratio**_MID
        _add(total, view.index, (color - mid) * fine[:, None])
        _add(mass, view.index, fine)
        _add(middle, view.index, (mid - broad) * third[:, None])
        _add(middle_mass, view.index, third)
        _add(soft, view.index, broad * ratio[:, None])
        _add(soft_mass, view.index, ratio)
    total /= mass.clamp(min=1e-12)[:, None]
    if fields is not None:
        total += middle / middle_mass.clamp(min=1e-12)[:, None] + soft / soft_mass.clamp(min=1e-12)[:, None]
    return total.clamp_(0, 1), covered


def _add(target: torch.Tensor, index: torch.Tensor, values: torch.Tensor) -> None:
    """``target[index] += values`` for unique indices."""
    import torch

    target.index_copy_(0, index, values.add_(torch.index_select(target, 0, index)))


def field_at(texels: TexelBuffer, index: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Vertex field (V, 3) at chosen texels (K,)."""
    import torch

    table = field[texels.triangles].reshape(len(texels.triangles), 9)
    corners = torch.index_select(table, 0, torch.index_select(texels.faces, 0, index))
    bary = torch.index_select(texels.bary, 0, index)
    return corners[:, :3] * bary[:, :1] + corners[:, 3:6] * bary[:, 1:2] + corners[:, 6:] * bary[:, 2:]


def _bands(
    texels: TexelBuffer, graph: SurfaceGraph, seen: list[ViewTexels], colors: list[torch.Tensor]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per view, its deviation from the soft mean smoothed a little and a lot, as vertex fields (V, 3)."""
    import torch

    samples, weights = comparison(texels, seen, colors)
    mass = np.maximum(sum(weights), 1e-12)[:, None]
    mean = sum(color * weight[:, None] for color, weight in zip(samples, weights, strict=True)) / mass
    faces = texels.faces[::STRIDE].cpu().numpy()
    vertices = texels.triangles.cpu().numpy()[faces]
    bary = texels.bary[::STRIDE].cpu().numpy()
    out = []
    for color, weight in zip(samples, weights, strict=True):
        chosen = weight > 0
        field, trust = graph.gather(
            vertices[chosen], bary[chosen] * np.sqrt(weight[chosen, None]), (color - mean)[chosen]
        )
        fields = [graph.to_vertices(graph.smooth(field, trust, rounds)) for rounds in _ROUNDS]
        out.append(tuple(torch.as_tensor(item, device=texels.position.device) for item in fields))
    return out
