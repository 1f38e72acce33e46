"""The last step to the pictures: what bilinear reading blurs is put back, so that the baked avatar looks like what was drawn.

A texture made by reading a picture, read again by a renderer, has been smoothed twice. One or two rounds of iterative back-projection
(Irani and Peleg 1991) undo that: the texture is read as the renderer reads it, and what differs from the picture is spread over the
texels that were read, in proportion to how much each counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .gbuffer import sample
from .raster import chunks
from .workers import each

if TYPE_CHECKING:
    import torch

_GAIN = 1.5  # over-relaxation: two rounds do the work of three
_LEAST = 0.25  # a texel that was hardly read is not moved further than this share of its reading would
_STEPS = 4096  # residuals are summed in these fractions of 1, so that the sum does not depend on its order
_REACH = 4  # pixels; slower differences are colour matching and blending at work, and stay


@dataclass
class Target:
    """What one view wants to see: at ``uv`` (N, 2), in pixels ``pixels`` (N,) of its ``shape`` (H, W), the colours ``wanted`` (N, 3)."""

    number: int
    uv: torch.Tensor
    pixels: torch.Tensor
    wanted: torch.Tensor
    shape: tuple[int, int]


def refine(atlas: torch.Tensor, owner: torch.Tensor, targets: list[Target], rounds: int, conflict: bool) -> None:
    """Change ``atlas`` (S, S, 3) so that reading it gives the targets. Where views are in ``conflict``, each moves only the texels that it
    owns (``owner`` (S·S,) is its number), and only by differences finer than a few pixels."""
    import torch

    size = atlas.shape[0]
    flat = atlas.view(-1, 3)

    def compare(target: Target) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        place = target.uv * size
        cell = place.long().clamp_(0, size - 1)
        if conflict:
            mine = torch.nonzero(owner[cell[:, 1] * size + cell[:, 0]] == target.number).squeeze(1)
            residual = target.wanted[mine] - sample(atlas, target.uv[mine])
            residual = _fine(residual, target.pixels[mine], target.shape)
            place = place[mine]
        else:
            residual = target.wanted - sample(atlas, target.uv)
        place = place.sub_(0.5)
        corner = place.floor()
        place -= corner
        corner = corner.long().clamp_(0, size - 2)
        return corner[:, 1] * size + corner[:, 0], place[:, 0], place[:, 1], residual

    for _ in range(rounds):
        total = torch.zeros((size * size, 4), dtype=torch.int32, device=atlas.device)
        for corner, x, y, residual in each(compare, targets):
            values = torch.cat([residual, torch.ones_like(x)[:, None]], 1).mul_(_STEPS)
            for part in chunks(len(corner), atlas.device):
                u, v = x[part, None], y[part, None]
                for step, share in ((0, (1 - u) * (1 - v)), (1, u * (1 - v)), (size, (1 - u) * v), (size + 1, u * v)):
                    total.index_add_(0, corner[part] + step, (values[part] * share).round_().int())
        moved = torch.nonzero(total[:, 3]).squeeze(1)
        for part in chunks(len(moved), atlas.device):
            texel = moved[part]
            change = total[texel].float()
            change = change[:, :3] / change[:, 3:].clamp(min=_LEAST * _STEPS) * _GAIN
            flat[texel] = (flat[texel] + change).clamp_(0, 1)


def _fine(residual: torch.Tensor, pixels: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """``residual`` (N, 3) at ``pixels`` (N,) less its mean over the neighbourhood."""
    import torch
    from scipy.ndimage import uniform_filter

    picture = np.zeros((shape[0] * shape[1], 4), np.float32)
    place = pixels.cpu().numpy()
    picture[place, :3] = residual.cpu().numpy()
    picture[place, 3] = 1
    smooth = uniform_filter(picture.reshape(*shape, 4), (2 * _REACH + 1, 2 * _REACH + 1, 0), mode="constant")
    smooth = smooth.reshape(-1, 4)[place]
    return residual - torch.as_tensor(smooth[:, :3] / np.maximum(smooth[:, 3:], 1e-6), device=residual.device)
