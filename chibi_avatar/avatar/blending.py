"""Several views of one surface into one texture, in three bands: broad colour mixes softly, detail comes from the best view alone.

The bands are separated along the surface (see :mod:`.surface`), not in the UV plane, so charts do not bleed. All bands work on each
view's deviation from the soft mean; where views agree the deviation is zero and the pictures pass through untouched. Weights count
with the power 8 in the fine band, 3 in the middle and 1 in the broad one: the higher, the harder the choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .surface import SurfaceGraph
from .texels import TexelBuffer
from .visibility import RAMP, ViewTexels

if TYPE_CHECKING:
    import torch

_ROUNDS = (5, 60)  # surface smoothing for the middle and the broad band
AGREE = 1.0 / 255  # median difference below which the views need no bands
Fields = list[tuple["torch.Tensor", "torch.Tensor"]]  # of each view, its (V, 3) middle and broad band


def comparison(
    count: int, seen: list[ViewTexels], colors: list[torch.Tensor]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Colours (S, 3) and weights (S,) of every view at all ``count`` texels of a coarse atlas, weight 0 where unseen."""
    all_colors, all_weights = [], []
    for view, color in zip(seen, colors, strict=True):
        place = view.index.cpu().numpy()
        dense = np.zeros((count, 3), np.float32)
        weight = np.zeros(count, np.float32)
        dense[place] = color.cpu().numpy()
        weight[place] = view.weight.cpu().numpy()
        all_colors.append(dense)
        all_weights.append(weight)
    return all_colors, all_weights


def blend(
    texels: TexelBuffer, seen: list[ViewTexels], colors: list[torch.Tensor], fields: Fields | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """One colour (C, 3) per texel, and (C,) int64 which view has most weight there, -1 where none reached. ``fields`` come from
    :func:`disagreements`, None where the views agree; ``colors`` are used up."""
    import torch

    count = len(texels.pixels)
    device = texels.pixels.device
    best = torch.zeros(count, device=device)
    owner = torch.full((count,), -1, dtype=torch.int64, device=device)
    for number, view in enumerate(seen):
        before = torch.index_select(best, 0, view.index)
        better = view.weight > before
        owner[view.index[better]] = number
        best[view.index] = torch.where(better, view.weight, before)
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
        square = ratio * ratio
        fine = square * square
        fine *= fine
        if fields is None:
            _add(total, view.index, color.mul_(fine[:, None]))
            _add(mass, view.index, fine)
            continue
        mid_field, broad_field = fields[number]
        broad = field_at(texels, view.index, broad_field)
        mid = field_at(texels, view.index, mid_field)
        third = square * ratio
        _add(total, view.index, (color - mid) * fine[:, None])
        _add(mass, view.index, fine)
        _add(middle, view.index, (mid - broad) * third[:, None])
        _add(middle_mass, view.index, third)
        _add(soft, view.index, broad * ratio[:, None])
        _add(soft_mass, view.index, ratio)
    total /= mass.clamp(min=1e-12)[:, None]
    if fields is not None:
        total += middle / middle_mass.clamp(min=1e-12)[:, None] + soft / soft_mass.clamp(min=1e-12)[:, None]
    return total.clamp_(0, 1), owner


def certainty(owner: torch.Tensor, seen: list[ViewTexels]) -> torch.Tensor:
    """How sure the ``owner`` (C,) of each texel, from :func:`blend`, is of its pixel: (C,) 0..1, near depth edges little, 0 where none is."""
    import torch

    sure = torch.zeros(len(owner), device=owner.device)
    for number, view in enumerate(seen):
        own = torch.index_select(owner, 0, view.index) == number
        sure[view.index[own]] = ((view.edge[own].float() + 0.5) / RAMP).clamp_(max=1)
    return sure


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


def disagreements(
    texels: TexelBuffer, graph: SurfaceGraph, samples: list[np.ndarray], weights: list[np.ndarray]
) -> Fields:
    """Per view, its deviation from the soft mean smoothed a little and a lot, as vertex fields (V, 3). ``samples`` and ``weights`` of
    all texels of a coarse atlas come from :func:`comparison`."""
    import torch

    mass = np.maximum(sum(weights), 1e-12)[:, None]
    mean = sum(color * weight[:, None] for color, weight in zip(samples, weights, strict=True)) / mass
    vertices = texels.triangles.cpu().numpy()[texels.faces.cpu().numpy()]
    bary = texels.bary.cpu().numpy()
    out = []
    for color, weight in zip(samples, weights, strict=True):
        chosen = weight > 0
        field, trust = graph.gather(
            vertices[chosen], bary[chosen] * np.sqrt(weight[chosen, None]), (color - mean)[chosen]
        )
        fields = [graph.to_vertices(graph.smooth(field, trust, rounds)) for rounds in _ROUNDS]
        out.append(tuple(torch.as_tensor(item, device=texels.pixels.device) for item in fields))
    return out
