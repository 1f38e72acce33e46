"""The last step to the pictures: what bilinear reading blurs is put back, so that the baked avatar looks like what was drawn.

A texture made by reading a picture, read again by a renderer, has been smoothed twice. One or two rounds of iterative back-projection
(Irani and Peleg 1991) undo that: the texture is read as the renderer reads it, and what differs from the picture is spread over the
texels that were read, in proportion to how much each counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .sampling import bilinear
from .workers import each

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_matrix

_GAIN = 1.5  # over-relaxation: two rounds do the work of three
_LEAST = 0.25  # a texel that was hardly read is not moved further than this share of its reading would
_CONTRADICTS = 0.1  # mean difference over the neighbourhood from which a view shows something else than the texture
_REACH = 4  # pixels; slower differences are colour matching and blending at work, and stay
_SMALLEST = 0.5 / 255  # difference below which a pixel is right, and does not move the texels that it reads


@dataclass
class Target:
    """What one view wants to see: in pixels ``pixels`` (N,) of its ``shape`` (H, W), the colours ``wanted`` (N, 3), where a renderer reads the
    ``size``² atlas at ``place`` (N, 2) float32, in texels."""

    number: int
    pixels: torch.Tensor
    wanted: torch.Tensor
    shape: tuple[int, int]
    size: int
    place: torch.Tensor

    def owned(self, owner: torch.Tensor) -> torch.Tensor:
        """(N,) bool: pixels whose nearest texel this view owns."""
        import torch

        nearest = self.place.long().clamp_(0, self.size - 1)
        return torch.index_select(owner, 0, nearest[:, 1] * self.size + nearest[:, 0]) == self.number

    def read(self, flat: torch.Tensor, some: slice = slice(None)) -> torch.Tensor:
        """What an atlas (S·S, 3) float32 shows in ``some`` of the pixels: (K, 3)."""
        return bilinear(flat.view(self.size, self.size, 3), self.place[some])

    def corners(self) -> torch.Tensor:
        """The first of the four texels that each pixel reads (N,); the others are right, below and both."""
        column, row = self._corner(self.place).long().unbind(1)
        return row * self.size + column

    def shares(self, chosen: torch.Tensor) -> torch.Tensor:
        """How much each of them counts (K, 4)."""
        import torch

        place = torch.index_select(self.place, 0, chosen)
        right, down = ((place - 0.5).clamp_(0, self.size - 1) - self._corner(place)).unbind(1)
        out = torch.empty((len(place), 4), device=place.device)
        for k, (across, along) in enumerate(
            ((1 - right, 1 - down), (right, 1 - down), (1 - right, down), (right, down))
        ):
            torch.mul(across, along, out=out[:, k])  # stacking columns takes five times as long
        return out

    def _corner(self, place: torch.Tensor) -> torch.Tensor:
        return (place - 0.5).floor_().clamp_(0, self.size - 2)


def refine(flat: torch.Tensor, owner: torch.Tensor, targets: list[Target], rounds: int, conflict: bool) -> None:
    """Change the atlas ``flat`` (S·S, 3) so that reading it gives the targets. A view moves the texels that it owns (``owner`` (S·S,) is its
    number), and others where it does not contradict their owner. Where views are in ``conflict`` altogether, each keeps to its own, and
    to differences finer than a few pixels. Texels that look right already keep their colour."""
    import torch
    from scipy.sparse import csr_matrix

    moving = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    slot = torch.full((len(flat),), -1, dtype=torch.int32, device=flat.device)
    size = targets[0].size
    steps = torch.tensor([0, 1, size, size + 1], device=flat.device)

    def choose(target: Target) -> tuple[Target, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Which pixels have a say (N,) bool, what they miss (N, 3), and the first texel that they read (N,)."""
        mine = target.owned(owner)
        gap = target.wanted - target.read(flat)
        largest = gap.abs().amax(1)
        if conflict:
            own = torch.nonzero(mine).squeeze(1)
            gap[own] -= _local_mean(gap[own], target.pixels[own], target.shape)
            largest = gap.abs().amax(1)
        else:
            mine |= ~_contradicted(gap, largest, target.pixels, target.shape)
        corner = target.corners()
        wrong = corner[mine & (largest > _SMALLEST)]
        for step in steps:
            moving[wrong + step] = True  # views may mark the same texel, all write the same
        return target, mine, gap, corner

    def equations(item: tuple[Target, torch.Tensor, torch.Tensor, torch.Tensor]) -> tuple[csr_matrix, np.ndarray]:
        """How much of each moving texel the pixels show that see any (K, M), and what they miss (K, 3)."""
        target, mine, gap, corner = item
        near = torch.nonzero(mine & torch.index_select(seen, 0, corner)).squeeze(1)
        read = torch.index_select(corner, 0, near)[:, None] + steps
        slots = torch.index_select(slot, 0, read.flatten()).view(-1, 4)
        shares = target.shares(near).mul_(slots >= 0)  # what stays has no part in it
        columns = slots.clamp_(min=0).flatten().cpu().numpy()
        rows = np.arange(0, slots.numel() + 1, 4, dtype=np.int32)
        matrix = csr_matrix((shares.flatten().cpu().numpy(), columns, rows), shape=(len(slots), len(texels)))
        return matrix, torch.index_select(gap, 0, near).cpu().numpy()

    chosen = each(choose, targets)
    texels = torch.nonzero(moving).squeeze(1)
    if not len(texels):
        return
    slot[texels] = torch.arange(len(texels), dtype=torch.int32, device=flat.device)
    seen = moving.clone()  # from each texel on as a corner
    for step in (1, size, size + 1):
        seen[:-step] |= moving[step:]
    color = _projected_back(each(equations, chosen), flat[texels].cpu().numpy(), rounds)
    flat[texels] = torch.as_tensor(color, device=flat.device)


def _projected_back(views: list[tuple[csr_matrix, np.ndarray]], color: np.ndarray, rounds: int) -> np.ndarray:
    """The colours (M, 3) moved so that the pixels miss less; what they miss is used up."""

    def show(view: tuple[csr_matrix, np.ndarray], step: np.ndarray) -> None:
        matrix, gap = view
        gap -= matrix @ step

    mass = sum(each(lambda view: view[0].T @ np.ones(len(view[1]), np.float32), views))
    for turn in range(rounds):
        step = sum(each(lambda view: view[0].T @ view[1], views))
        step *= (_GAIN / np.maximum(mass, _LEAST))[:, None]
        np.clip(step, -color, 1 - color, out=step)
        color += step
        if turn + 1 < rounds:
            each(partial(show, step=step), views)
    return color


def _contradicted(
    gap: torch.Tensor, largest: torch.Tensor, pixels: torch.Tensor, shape: tuple[int, int]
) -> torch.Tensor:
    """(N,) bool: where the mean of ``gap`` (N, 3) over the square block of the picture that ``pixels`` (N,) lie in is large. ``largest``
    (N,) of the three channels."""
    import torch

    found = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    far = torch.nonzero(largest >= _CONTRADICTS).squeeze(1)
    if not len(far):
        return found
    side = 2 * _REACH
    columns = -(-shape[1] // side)
    rows = -(-shape[0] // side)

    def blocks(pixels: torch.Tensor) -> torch.Tensor:
        row = torch.div(pixels, shape[1], rounding_mode="floor")
        column = pixels - row * shape[1]
        return torch.div(row, side, rounding_mode="floor") * columns + torch.div(column, side, rounding_mode="floor")

    # a mean is no larger than the largest: few blocks remain
    worth = torch.zeros(rows * columns, dtype=torch.bool, device=pixels.device)
    worth[blocks(pixels[far])] = True
    wide = worth.view(rows, columns).repeat_interleave(side, 1)[:, : shape[1]].repeat_interleave(side, 0)
    chosen = torch.nonzero(torch.index_select(wide.reshape(-1), 0, pixels)).squeeze(1)
    block = blocks(pixels[chosen])
    sums = torch.stack([torch.bincount(block, value, len(worth)) for value in gap[chosen].T.double()], 1)
    mean = sums / torch.bincount(block, minlength=len(worth)).clamp(min=1)[:, None]
    found[chosen] = torch.index_select(mean.abs().amax(1) >= _CONTRADICTS, 0, block)
    return found


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
