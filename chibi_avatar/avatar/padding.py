"""Around the charts: close UV seams, and spread colours outwards so that no mip level shows a background."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .model import Mesh
from .raster import chunks
from .workers import each

if TYPE_CHECKING:
    import torch

_SEAM_ROUNDS = 6
_STRIP = 1 << 18  # texels of the atlas in half a strip


def seam_edges(mesh: Mesh, keep: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """UV seams as pairs of edges: two (E, 2) vertex arrays whose rows are the same piece of surface in two charts."""
    weld = np.arange(len(mesh.positions)) if mesh.weld is None else np.asarray(mesh.weld)
    faces = mesh.faces if keep is None else mesh.faces[keep]
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    ends = weld[edges]
    flip = ends[:, 0] > ends[:, 1]
    edges = np.where(flip[:, None], edges[:, ::-1], edges)
    ends = np.sort(ends, axis=1)
    real = ends[:, 0] != ends[:, 1]
    edges, ends = edges[real], ends[real]
    order = np.lexsort((edges[:, 1], edges[:, 0], ends[:, 1], ends[:, 0]))
    edges, ends = edges[order], ends[order]
    same = (ends[1:] == ends[:-1]).all(1) & (edges[1:] != edges[:-1]).any(1)
    apart = (np.abs(mesh.uvs[edges[1:]] - mesh.uvs[edges[:-1]]).max((1, 2)) > 1e-6) & same
    return edges[:-1][apart], edges[1:][apart]


def seam_points(
    mesh: Mesh, size: int, keep: np.ndarray | None = None, density: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Points along every seam in texel units, (N, 2) on one side and (N, 2) on the other, ``density`` per texel of length."""
    first, second = seam_edges(mesh, keep)
    if not len(first):
        return np.zeros((0, 2)), np.zeros((0, 2))
    a, b = mesh.uvs[first].astype(np.float64) * size, mesh.uvs[second].astype(np.float64) * size
    length = np.maximum(np.linalg.norm(a[:, 1] - a[:, 0], axis=1), np.linalg.norm(b[:, 1] - b[:, 0], axis=1))
    steps = np.clip(np.ceil(length * density), 1, 4096).astype(int)
    edge = np.repeat(np.arange(len(steps)), steps)
    rank = np.arange(len(edge)) - np.repeat(np.cumsum(steps) - steps, steps)
    t = ((rank + 0.5) / steps[edge])[:, None]
    return a[edge, 0] * (1 - t) + a[edge, 1] * t, b[edge, 0] * (1 - t) + b[edge, 1] * t


class Seams:
    """The points of :func:`seam_points` along the seams of a mesh, ``first`` and ``second`` (N, 2), and what closes them in a ``size``² atlas."""

    def __init__(self, mesh: Mesh, size: int, keep: np.ndarray | None = None) -> None:
        from scipy.sparse import csr_matrix

        self.first, self.second = seam_points(mesh, size, keep)
        sides = [_taps(points, size) for points in (self.first, self.second)]
        # on these texels: what a point reads on one side less what it reads on the other
        self._texels, column = np.unique(np.concatenate([taps for taps, _ in sides], 1), return_inverse=True)
        row = np.arange(0, 8 * len(self.first) + 1, 8)
        shape = (len(self.first), len(self._texels))
        share = np.concatenate([sides[0][1], -sides[1][1]], 1).ravel().astype(np.float32)
        self._apart = csr_matrix((share, column.ravel(), row), shape)

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in (self.first, self.second, self._texels, self._apart.data, self._apart.indices))

    def close(self, atlas: torch.Tensor, plain: np.ndarray) -> None:
        """Make both sides of the seams read the same where ``plain`` (N,) bool: changes ``atlas`` (S, S, 3) at the texels that bilinear
        reading uses there, inside the charts and just outside, by a few rounds of moving both sides to their mean."""
        import torch

        if not plain.any():
            return
        index = torch.as_tensor(self._texels, device=atlas.device)
        flat = atlas.view(-1, 3)
        value = flat[index].cpu().numpy()
        counted = plain[:, None].astype(np.float32)
        counts = np.bincount(self._apart.indices, np.abs(self._apart.data) * np.repeat(plain, 8), len(value))
        weight = np.maximum(counts, 0.25, dtype=np.float32)[:, None]
        for _ in range(_SEAM_ROUNDS):
            apart = (self._apart @ value) * counted
            value -= self._apart.T @ apart * (0.75 / weight)
        flat[index] = torch.as_tensor(value.clip(0, 1), device=atlas.device)


def _taps(points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The four texels (N, 4) that bilinear reading uses at ``points`` (N, 2), and their weights (N, 4)."""
    place = np.clip(points - 0.5, 0, size - 1)
    corner = np.minimum(place.astype(np.int64), size - 2)
    u, v = (place - corner).T
    texel = corner[:, 1] * size + corner[:, 0]
    taps = texel[:, None] + np.array([0, 1, size, size + 1])
    return taps, np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], 1)


class Padding:
    """How the cells of a square atlas, of 2 or more, that are not ``known`` (S, S) bool are filled from a pyramid of averages. One serves
    every picture of the same atlas."""

    def __init__(self, known: torch.Tensor) -> None:
        import torch

        size = known.shape[0]
        self._rows = list(chunks(size, known.device, max(_STRIP // size, 1) * 2))
        level = known[:, :, None]
        self._counts = []  # of the levels from the second: how many of the four cells below a cell are known, at least 1
        self._outer = []  # of the levels to the last but one
        while level.shape[0] > 1:
            parts = [slice(0, level.shape[0])] if self._outer else self._rows
            self._outer.append(each(partial(_outside, level), parts))
            count = _halved(level.to(torch.uint8))
            level = count > 0
            self._counts.append(count.clamp_(min=1).float())

    @property
    def nbytes(self) -> int:
        tensors = [*self._counts, *(item for level in self._outer for pair in level for item in pair)]
        return sum(t.numel() * t.element_size() for t in tensors)

    def spread(self, atlas: torch.Tensor) -> torch.Tensor:
        """Pull and push: changes ``atlas`` (S, S, 3), which is 0 where it is not known, and returns it."""
        import torch

        first = each(lambda rows: _halved(atlas[rows]), self._rows)
        levels = [torch.cat(first).div_(self._counts[0])]
        for count in self._counts[1:]:
            levels.append(_halved(levels[-1]).div_(count))
        for fine, coarse, (outer,) in zip(levels[-2::-1], levels[:0:-1], self._outer[:0:-1], strict=True):
            _give(fine, coarse, outer)
        each(partial(_give, atlas, levels[0]), self._outer[0])
        return atlas


def _outside(known: torch.Tensor, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """The cells (N,) of a level (H, W, 1) that are not ``known``, in some of its rows, and the cell of the level above that each lies in."""
    import torch

    width = known.shape[1]
    cell = torch.nonzero(~known[rows].reshape(-1)).squeeze(1) + rows.start * width
    row = torch.div(cell, width, rounding_mode="floor")
    column = cell - row * width
    return cell, ((row // 2) * ((width + 1) // 2) + column // 2).int()


def _give(fine: torch.Tensor, coarse: torch.Tensor, outer: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Colour the cells of ``fine`` (H, W, 3) that :func:`_outside` lists like the level above."""
    import torch

    flat, above = fine.view(-1, 3), coarse.view(-1, 3)
    cells, sources = outer
    for part in chunks(len(cells), fine.device):
        flat[cells[part]] = torch.index_select(above, 0, sources[part])


def _halved(image: torch.Tensor) -> torch.Tensor:
    """Sums of 2 x 2 blocks: (H, W, K) → (H / 2, W / 2, K), an odd side padded with 0."""
    import torch

    if image.shape[0] % 2 or image.shape[1] % 2:
        image = torch.nn.functional.pad(image, (0, 0, 0, image.shape[1] % 2, 0, image.shape[0] % 2))
    rows = image[0::2] + image[1::2]
    height, width, channels = rows.shape
    left, right = rows.view(height, width // 2, 2 * channels).split(channels, 2)  # faster than every other column
    return left + right
