"""Triangles to pixels: a z-buffer with exact coverage, on torch alone, the same on CPU and GPU.

A triangle becomes horizontal spans, spans become fragments, and one ``scatter_reduce(amin)`` of packed (depth, triangle) keys keeps the
nearest fragment of each pixel; no loop runs over triangles. Edge crossings are computed from the lower to the upper vertex, so two
triangles that share an edge compute the same number and neither overlap nor leave a gap (half-open spans, pixel centres at .5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

CHUNK = (
    1 << 17
)  # pixels or fragments handled at once on the CPU: what fits the cache; bigger pieces are several times slower
_DEPTH_STEPS = (1 << 30) - 1


@dataclass
class Raster:
    """Which triangle each pixel sees. ``face`` is (H, W) int32, -1 where none; the lists hold the C covered pixels in row order."""

    face: torch.Tensor
    pixels: torch.Tensor  # (C,) int64, row * width + column
    faces: torch.Tensor  # (C,) int64
    bary: torch.Tensor  # (C, 3) float32, sums to 1; perspective-correct when ``inverse_depth`` was given
    key: torch.Tensor | None = (
        None  # (C,) int64, grows with depth, see ``behind`` of :func:`rasterize`; None after ``grow``
    )

    @property
    def height(self) -> int:
        return self.face.shape[0]

    @property
    def width(self) -> int:
        return self.face.shape[1]

    def interpolate(self, values: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
        """Vertex ``values`` (V, K) at the covered pixels: (C, K) float32. ``triangles`` is (F, 3)."""
        import torch

        width = values.shape[1]
        table = values[triangles].reshape(len(triangles), 3 * width)  # one row to fetch per pixel instead of three
        out = torch.empty((len(self.faces), width), dtype=values.dtype, device=values.device)
        for part in chunks(len(self.faces), out.device):
            corners = torch.index_select(table, 0, self.faces[part])
            bary = self.bary[part]
            piece = torch.mul(corners[:, :width], bary[:, :1], out=out[part])
            piece.addcmul_(corners[:, width : 2 * width], bary[:, 1:2]).addcmul_(corners[:, 2 * width :], bary[:, 2:])
        return out

    def image(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Spread (C,) or (C, K) ``values`` of the covered pixels over an (H, W[, K]) image filled with ``fill``."""
        import torch

        flat = torch.full((self.height * self.width, *values.shape[1:]), fill, dtype=values.dtype, device=values.device)
        flat[self.pixels] = values
        return flat.reshape(self.height, self.width, *values.shape[1:])


def chunks(count: int, device: torch.device, size: int = CHUNK) -> Iterator[slice]:
    """Slices that cover ``range(count)``: pieces of ``size`` on the CPU, large ones on a GPU."""
    size = size if device.type == "cpu" else size * 64
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _expand(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For counts (n,): the index of each element's group, and its rank inside the group."""
    import torch

    ends = torch.cumsum(counts, 0)
    total = int(ends[-1]) if len(ends) else 0
    marks = torch.zeros(total + 1, dtype=torch.int64, device=counts.device)
    marks.scatter_add_(0, ends, torch.ones_like(ends))
    group = torch.cumsum(marks[:total], 0)
    rank = torch.arange(total, device=counts.device).sub_(torch.index_select(ends - counts, 0, group))
    return group, rank


def _spans(corners: torch.Tensor, width: int, height: int) -> tuple[torch.Tensor, ...]:
    """Pixel rows of each triangle. ``corners`` (T, 3, 2) float64 → triangle, row, first column, end column, each (R,) int64."""
    import torch

    order = torch.argsort(corners[:, :, 1], dim=1, stable=True)
    corners = torch.gather(corners, 1, order[:, :, None].expand(-1, -1, 2))
    x0, x1, x2 = corners[:, :, 0].unbind(1)
    y0, y1, y2 = corners[:, :, 1].unbind(1)
    top = torch.ceil(y0 - 0.5).clamp(0, height).long()
    bottom = torch.ceil(y2 - 0.5).clamp(0, height).long()
    triangle, rank = _expand(bottom - top)
    row = top[triangle] + rank
    y = row.double() + 0.5

    def crossing(xa: torch.Tensor, ya: torch.Tensor, xb: torch.Tensor, yb: torch.Tensor) -> torch.Tensor:
        slope = (xb - xa) / torch.where(yb > ya, yb - ya, torch.ones_like(ya))
        return xa[triangle] + (y - ya[triangle]) * slope[triangle]

    long_edge = crossing(x0, y0, x2, y2)
    short_edge = torch.where(y < y1[triangle], crossing(x0, y0, x1, y1), crossing(x1, y1, x2, y2))
    first = torch.ceil(torch.minimum(long_edge, short_edge) - 0.5).clamp(0, width).long()
    end = torch.ceil(torch.maximum(long_edge, short_edge) - 0.5).clamp(0, width).long()
    return triangle, row, first, end


def _doubled_area(corners: torch.Tensor) -> torch.Tensor:
    """Of triangles (T, 3, 2 or more): (T,), negative where they turn counter-clockwise in a picture with y down."""
    a, b, c = corners.unbind(1)
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _planes(corners: torch.Tensor) -> torch.Tensor:
    """Second and third barycentric coordinate as planes over the picture: (T, 6) float64 [x, y, 1] twice, for ``corners`` (T, 3, 2)."""
    import torch

    ax, ay = corners[:, 0, 0], corners[:, 0, 1]
    bx, by = corners[:, 1, 0] - ax, corners[:, 1, 1] - ay
    cx, cy = corners[:, 2, 0] - ax, corners[:, 2, 1] - ay
    area = bx * cy - by * cx
    scale = 1 / torch.where(area == 0, torch.ones_like(area), area)
    b = cy * scale, -cx * scale
    c = -by * scale, bx * scale
    return torch.stack([*b, -(ax * b[0] + ay * b[1]), *c, -(ax * c[0] + ay * c[1])], 1)


def _grow(buffer: torch.Tensor, empty: int, corners: torch.Tensor, width: int, height: int) -> None:
    """Fill empty pixels of ``buffer`` at triangles that hold no pixel centre, then all around what is covered."""
    import torch

    held = torch.zeros(len(corners), dtype=torch.bool, device=buffer.device)
    held[buffer[buffer != empty] & 0xFFFFFFFF] = True
    lost = torch.nonzero(~held).squeeze(1)
    if len(lost):
        places = torch.cat([corners[lost], corners[lost].mean(1, keepdim=True)], 1)
        column, row = places[:, :, 0].floor().long(), places[:, :, 1].floor().long()
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        pixel = (row * width + column)[inside]
        owner = lost[:, None].expand(-1, 4)[inside]
        free = buffer[pixel] == empty
        buffer.scatter_reduce_(0, pixel[free], owner[free], "amin")
    image = buffer.view(height, width)
    covered = image != empty
    near = covered.clone()
    near[1:] |= covered[:-1]
    near[:-1] |= covered[1:]
    wide = near.clone()
    wide[:, 1:] |= near[:, :-1]
    wide[:, :-1] |= near[:, 1:]
    ring = torch.nonzero((wide & ~covered).view(-1)).squeeze(1)
    column, row = ring % width, torch.div(ring, width, rounding_mode="floor")
    found = torch.full_like(ring, empty)
    # straight neighbours before diagonal ones: their triangle is nearer
    for steps in (((1, 0), (-1, 0), (0, 1), (0, -1)), ((1, 1), (1, -1), (-1, 1), (-1, -1))):
        best = torch.full_like(ring, empty)
        for dx, dy in steps:
            x, y = (column + dx).clamp(0, width - 1), (row + dy).clamp(0, height - 1)
            best = torch.minimum(best, image[y, x])
        found = torch.where(found == empty, best, found)
    buffer[ring] = found


def rasterize(
    points: torch.Tensor | np.ndarray,
    triangles: torch.Tensor | np.ndarray,
    width: int,
    height: int,
    *,
    keep: torch.Tensor | np.ndarray | None = None,
    cull: bool = False,
    inverse_depth: torch.Tensor | np.ndarray | None = None,
    grow: bool = False,
    behind: torch.Tensor | None = None,
    device: Any = None,
) -> Raster:
    """Nearest triangle and barycentrics per pixel.

    ``points`` (V, 3): x and y in pixels (y down, pixel centres at .5) and a depth that is linear on the screen, smaller is nearer;
    non-finite points drop their triangles. ``triangles`` (F, 3). ``keep`` (F,) bool leaves triangles out; ``cull`` drops those that
    turn clockwise in a y-up picture, that is, back faces. ``inverse_depth`` (V,) is 1/w of a perspective projection. Ties go to the
    lower triangle index. ``grow`` also gives every pixel that touches a covered one, and triangles too small to hold a pixel centre,
    the nearest point of a triangle: for textures, where a border texel counts although its centre lies outside. ``behind`` (height · width,)
    int64 peels: fragments whose key is not greater are passed over; -1 takes the nearest. Keys compare between calls that draw the same
    triangles. Runs on ``device`` (default: where ``points`` is).
    """
    import torch

    points = torch.as_tensor(points, device=device)
    device = points.device
    triangles = torch.as_tensor(triangles, device=device).long()
    points = points.double()
    chosen = torch.arange(len(triangles), device=device)
    if keep is not None:
        chosen = chosen[torch.as_tensor(keep, device=device).bool()]
    corners = points[triangles[chosen]]  # (T, 3, 3)
    low, high = corners.amin(1), corners.amax(1)
    usable = torch.isfinite(low + high).all(1)
    usable &= (high[:, 0] > 0) & (high[:, 1] > 0) & (low[:, 0] < width) & (low[:, 1] < height)
    chosen, corners = chosen[usable], corners[usable]
    area = _doubled_area(corners)
    usable = (area < 0) if cull else (area != 0)
    chosen, corners, area = chosen[usable], corners[usable], area[usable]
    empty = torch.iinfo(torch.int64).max
    buffer = torch.full((height * width,), empty, dtype=torch.int64, device=device)
    if len(chosen):
        # Depth as a plane over the picture, in steps of a 30-bit integer: exact to compare, the same on every device.
        near, far = corners[:, :, 2].min(), corners[:, :, 2].max()
        depth = (corners[:, :, 2] - near) * (_DEPTH_STEPS / max(float(far - near), 1e-12))
        origin = corners[:, 0]
        e1, e2 = corners[:, 1, :2] - origin[:, :2], corners[:, 2, :2] - origin[:, :2]
        d1, d2 = depth[:, 1] - depth[:, 0], depth[:, 2] - depth[:, 0]
        grad_x = (d1 * e2[:, 1] - d2 * e1[:, 1]) / area
        grad_y = (d2 * e1[:, 0] - d1 * e2[:, 0]) / area
        triangle, row, first, end = _spans(corners[:, :, :2], width, height)
        filled = torch.nonzero(end > first).squeeze(1)
        triangle, row, first, end = (item[filled] for item in (triangle, row, first, end))
        counts = end - first
        # depth at both ends of each span, kept inside the triangle's own range, then linear between
        base = depth[triangle, 0] + (row + 0.5 - origin[triangle, 1]) * grad_y[triangle]
        base += (0.5 - origin[triangle, 0]) * grad_x[triangle]
        floor, ceiling = depth.amin(1)[triangle], depth.amax(1)[triangle]
        start_depth = torch.minimum(torch.maximum(base + first * grad_x[triangle], floor), ceiling)
        end_depth = torch.minimum(torch.maximum(base + (end - 1) * grad_x[triangle], floor), ceiling)
        slope = (end_depth - start_depth) / (counts - 1).clamp(min=1)
        place = torch.stack([row * width + first, triangle], 1)
        ramp = torch.stack([start_depth, slope], 1)
        total = torch.cumsum(counts, 0)
        size = CHUNK if device.type == "cpu" else CHUNK * 64
        pieces = int(total[-1]) // size + 1 if len(total) else 1  # slivers may cover no pixel
        cuts = torch.searchsorted(total, torch.arange(1, pieces, device=device) * size).tolist()
        for start, stop in zip([0, *cuts], [*cuts, len(counts)], strict=True):
            if stop <= start:
                continue
            span, rank = _expand(counts[start:stop])
            where = torch.index_select(place[start:stop], 0, span)
            value = torch.index_select(ramp[start:stop], 0, span)
            key = torch.addcmul(value[:, 0], value[:, 1], rank.double()).round_().long()
            key <<= 32
            key |= where[:, 1]
            pixel = rank.add_(where[:, 0])
            if behind is not None:
                key = torch.where(key > behind[pixel], key, empty)
            buffer.scatter_reduce_(0, pixel, key, "amin")
        if grow:
            _grow(buffer, empty, corners[:, :, :2], width, height)
    pixels = torch.nonzero(buffer != empty).squeeze(1)
    key = buffer[pixels]
    owners = key & 0xFFFFFFFF
    faces = chosen[owners]
    planes = _planes(corners[:, :, :2])
    weights = None
    if inverse_depth is not None:
        weights = torch.as_tensor(inverse_depth, device=device).double()[triangles[chosen]]
    bary = torch.empty((len(pixels), 3), dtype=torch.float32, device=device)
    for part in chunks(len(pixels), device):
        pixel, owner = pixels[part], owners[part]
        x = (pixel % width).double().add_(0.5)
        y = torch.div(pixel, width, rounding_mode="floor").double().add_(0.5)
        plane = torch.index_select(planes, 0, owner)
        second = (plane[:, 0] * x).add_(plane[:, 1] * y).add_(plane[:, 2])
        third = (plane[:, 3] * x).add_(plane[:, 4] * y).add_(plane[:, 5])
        exact = [1 - second - third, second, third]  # sums and quotients along rows of three take several times as long
        if weights is not None:
            for share, weight in zip(exact, torch.index_select(weights, 0, owner).unbind(1), strict=True):
                share *= weight
        for share in exact:
            share.clamp_(min=0)
        total = exact[0] + exact[1] + exact[2]
        for corner, share in enumerate(exact):
            bary[part, corner] = share.div_(total)
    face = torch.full((height * width,), -1, dtype=torch.int32, device=device)
    face[pixels] = faces.int()
    return Raster(face.reshape(height, width), pixels, faces, bary, None if grow else key)
