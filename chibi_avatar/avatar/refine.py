"""The last step to the pictures: what bilinear reading blurs is put back, so that the baked avatar looks like what was drawn.

A texture made by reading a picture, read again by a renderer, has been smoothed twice. One or two rounds of iterative back-projection
(Irani and Peleg 1991) undo that: the texture is read as the renderer reads it, and what differs from the picture is spread over the
texels that were read, in proportion to how much each counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
_CONTRADICTS = 0.1  # mean difference over the neighbourhood from which a view shows something else than the texture
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

    def only(self, chosen: torch.Tensor) -> Target:
        """The pixels that ``chosen`` (N,) bool marks."""
        lists = {name: getattr(self, name)[chosen] for name in ("pixels", "wanted", "corner", "shares")}
        return replace(self, **lists)

    def owned(self, owner: torch.Tensor) -> torch.Tensor:
        """(N,) bool: pixels whose nearest texel this view owns."""
        import torch

        steps = torch.tensor(self.steps, device=owner.device)
        return owner[self.corner + steps[self.shares.argmax(1)]] == self.number

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
    """Change the atlas ``flat`` (S·S, 3) so that reading it gives the targets. A view moves the texels that it owns (``owner`` (S·S,) is its
    number), and others where it does not contradict their owner. Where views are in ``conflict`` altogether, each keeps to its own, and
    to differences finer than a few pixels."""
    import torch

    def choose(target: Target) -> tuple[Target, torch.Tensor | None]:
        mine, gap = target.owned(owner), None
        if not conflict:
            gap = target.wanted - target.read(flat)
            mine |= _block_mean(gap, target.pixels, target.shape) < _CONTRADICTS
        if bool(mine.all()):
            return target, gap
        return target.only(mine), None if gap is None else gap[mine]

    def accumulate(group: list[tuple[Target, torch.Tensor | None]]) -> torch.Tensor:
        total = torch.zeros((len(flat), 4), dtype=torch.int32, device=flat.device)
        for target, gap in group:
            residual = target.wanted - target.read(flat) if gap is None else gap
            if conflict:
                residual -= _local_mean(residual, target.pixels, target.shape)
            for part in chunks(len(residual), flat.device):
                values = torch.nn.functional.pad(residual[part], (0, 1), value=1.0).mul_(_STEPS)
                for number, step in enumerate(target.steps):
                    share = target.shares[part, number : number + 1]
                    total.index_add_(0, target.corner[part] + step, (values * share).round_().int())
        return total

    chosen = each(choose, targets)
    groups = [chosen] if len(flat) > _ALONE else [group for group in (chosen[::2], chosen[1::2]) if group]
    for _ in range(rounds):
        sums = each(accumulate, groups)
        groups = [[(target, None) for target, _ in group] for group in groups]
        total = sums[0]
        for other in sums[1:]:
            total += other
        moved = torch.nonzero(total[:, 3]).squeeze(1)
        for part in chunks(len(moved), flat.device):
            texel = moved[part]
            change = total[texel].float()
            change = change[:, :3] / change[:, 3:].clamp(min=_LEAST * _STEPS) * _GAIN
            flat[texel] = (flat[texel] + change).clamp_(0, 1)


def _block_mean(values: torch.Tensor, pixels: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The size of the mean of ``values`` (N, 3) over the square block of the picture that each of ``pixels`` (N,) lies in: (N,)."""
    import torch

    side = 2 * _REACH
    columns = -(-shape[1] // side)
    row = torch.div(pixels, shape[1], rounding_mode="floor")
    column = pixels - row * shape[1]
    block = torch.div(row, side, rounding_mode="floor") * columns + torch.div(column, side, rounding_mode="floor")
    count = columns * -(-shape[0] // side)
    sums = torch.stack([torch.bincount(block, value, count) for value in values.double().unbind(1)], 1)
    mean = sums / torch.bincount(block, minlength=count).clamp(min=1)[:, None]
    return mean.abs().amax(1)[block].float()


def _local_mean(values: torch.Tensor, pixels: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The mean of ``values`` (N, 3) at ``pixels`` (N,) of a picture over the neighbourhood of each: (N, 3)."""
    import torch
    from scipy.ndimage import uniform_filter

    if not len(pixels):
        return values
    width = shape[1]
    place = pixels.cpu().numpy()
    first, last = int(place.min()) // width, int(place.max()) // width
    place = place - first * width
    picture = np.zeros(((last - first + 1) * width, 4), np.float32)
    picture[place, :3] = values.cpu().numpy()
    picture[place, 3] = 1
    window = (2 * _REACH + 1, 2 * _REACH + 1, 0)
    smooth = uniform_filter(picture.reshape(-1, width, 4), window, mode="constant").reshape(-1, 4)[place]
    return torch.as_tensor(smooth[:, :3] / np.maximum(smooth[:, 3:], 1e-6), device=values.device)
