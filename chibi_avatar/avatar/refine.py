"""The last step to the pictures: what bilinear reading blurs is put back, so that the baked avatar looks like what was drawn.

A texture made by reading a picture, read again by a renderer, has been smoothed twice. One or two rounds of iterative back-projection
(Irani and Peleg 1991) undo that: the texture is read as the renderer reads it, and what differs from the picture is spread over the
texels that were read, in proportion to how much each counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .raster import chunks
from .workers import each

if TYPE_CHECKING:
    import torch

_GAIN = 1.5  # over-relaxation: two rounds do the work of three
_LEAST = 0.25  # a texel that was hardly read is not moved further than this share of its reading would
_STEPS = 4096  # residuals are summed in these fractions of 1, so that the sum does not depend on its order
_ALONE = 1 << 23  # texels from which two sums side by side would need too much memory
_REACH = 4  # pixels; slower differences are colour matching and blending at work, and stay


@dataclass
class Target:
    """What one view wants to see: in pixels ``pixels`` (N,) of its ``shape`` (H, W), the colours ``wanted`` (N, 3); and how a renderer reads
    the ``size``² atlas there: four texels from ``corner`` (N,) on, with ``shares`` (N, 4)."""

    number: int
    pixels: torch.Tensor
    wanted: torch.Tensor
    shape: tuple[int, int]
    size: int
    corner: torch.Tensor
    shares: torch.Tensor

    @classmethod
    def at(
        cls,
        uv: torch.Tensor,
        size: int,
        number: int,
        pixels: torch.Tensor,
        wanted: torch.Tensor,
        shape: tuple[int, int],
    ) -> Target:
        """For pixels that show the places ``uv`` (N, 2) of the atlas."""
        import torch

        place = (uv * size).sub_(0.5).clamp_(0, size - 1)
        corner = place.long().clamp_(max=size - 2)
        u, v = (place - corner).unbind(1)
        shares = torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], 1)
        return cls(number, pixels, wanted, shape, size, corner[:, 1] * size + corner[:, 0], shares)

    @property
    def steps(self) -> tuple[int, int, int, int]:
        """From ``corner`` to the four texels."""
        return 0, 1, self.size, self.size + 1

    def read(self, flat: torch.Tensor) -> torch.Tensor:
        """What an atlas (S·S, 3), float32 or uint8, shows: (N, 3) float32 in its range."""
        import torch

        out = torch.empty_like(self.wanted)
        for part in chunks(len(out), out.device):
            corner, shares = self.corner[part], self.shares[part]
            total = torch.index_select(flat, 0, corner).float().mul_(shares[:, :1])
            for number, step in enumerate(self.steps[1:], 1):
                total.addcmul_(torch.index_select(flat, 0, corner + step).float(), shares[:, number : number + 1])
            out[part] = total
        return out


def refine(flat: torch.Tensor, owner: torch.Tensor, targets: list[Target], rounds: int, conflict: bool) -> None:
    """Change the atlas ``flat`` (S·S, 3) so that reading it gives the targets. Where views are in ``conflict``, each moves only the texels
    that it owns (``owner`` (S·S,) is its number), and only by differences finer than a few pixels."""
    import torch

    def accumulate(group: list[Target]) -> torch.Tensor:
        total = torch.zeros((len(flat), 4), dtype=torch.int32, device=flat.device)
        for target in group:
            corner, shares = target.corner, target.shares
            residual = target.wanted - target.read(flat)
            if conflict:
                nearest = corner + torch.tensor(target.steps, device=flat.device)[shares.argmax(1)]
                mine = torch.nonzero(owner[nearest] == target.number).squeeze(1)
                residual = _fine(residual[mine], target.pixels[mine], target.shape)
                corner, shares = corner[mine], shares[mine]
            for part in chunks(len(corner), flat.device):
                values = torch.nn.functional.pad(residual[part], (0, 1), value=1.0).mul_(_STEPS)
                for number, step in enumerate(target.steps):
                    share = shares[part, number : number + 1]
                    total.index_add_(0, corner[part] + step, (values * share).round_().int())
        return total

    groups = [targets] if len(flat) > _ALONE else [group for group in (targets[::2], targets[1::2]) if group]
    for _ in range(rounds):
        sums = each(accumulate, groups)
        total = sums[0]
        for other in sums[1:]:
            total += other
        moved = torch.nonzero(total[:, 3]).squeeze(1)
        for part in chunks(len(moved), flat.device):
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
