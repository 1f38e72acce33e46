"""Around the charts: close UV seams, and spread colours outwards so that no mip level shows a background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .model import Mesh

if TYPE_CHECKING:
    import torch


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


def seam_points(mesh: Mesh, size: int, keep: np.ndarray | None = None, density: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
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


def close_seams(atlas: torch.Tensor, inside: torch.Tensor, first: np.ndarray, second: np.ndarray) -> None:
    """Average the texels on the two sides of every seam; changes ``atlas`` (S, S, 3). ``inside`` (S, S) bool marks charts."""
    import torch

    if not len(first):
        return
    size = atlas.shape[0]
    flat, good = atlas.reshape(-1, 3), inside.reshape(-1)

    def slot(points: np.ndarray) -> torch.Tensor:
        cell = np.clip(points.astype(np.int64), 0, size - 1)
        return torch.as_tensor(cell[:, 1] * size + cell[:, 0], device=atlas.device)

    a, b = slot(first), slot(second)
    both = good[a] & good[b] & (a != b)
    a, b = a[both].cpu().numpy(), b[both].cpu().numpy()
    if not len(a):
        return
    touched, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    index = torch.as_tensor(touched, device=atlas.device)
    own = flat[index].cpu().numpy()
    left, right = place[: len(a)], place[len(a) :]
    counts = np.bincount(left, minlength=len(touched)) + np.bincount(right, minlength=len(touched))
    mean = np.empty_like(own)
    for channel in range(3):
        value = own[:, channel]
        other = np.bincount(left, value[right], len(touched)) + np.bincount(right, value[left], len(touched))
        mean[:, channel] = (value + other / counts) / 2
    flat[index] = torch.as_tensor(mean, device=atlas.device, dtype=flat.dtype)


def pull_push(atlas: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Fill everything outside the charts from a pyramid of averages: (S, S, 3) with charts untouched."""
    import torch

    functional = torch.nn.functional
    weight = inside.float()[None, None]
    value = (atlas * inside[:, :, None]).permute(2, 0, 1)[None]
    levels = [(value, weight)]
    while levels[-1][0].shape[2] > 1 and levels[-1][0].shape[3] > 1:
        value, weight = levels[-1]
        if value.shape[2] % 2 or value.shape[3] % 2:
            value = functional.pad(value, (0, value.shape[3] % 2, 0, value.shape[2] % 2))
            weight = functional.pad(weight, (0, weight.shape[3] % 2, 0, weight.shape[2] % 2))
        mass = functional.avg_pool2d(weight, 2)
        total = functional.avg_pool2d(value * weight if value is not levels[0][0] else value, 2)
        levels.append((total / mass.clamp(min=1e-12), (mass > 0).float()))
    filled = levels[-1][0]
    for value, weight in reversed(levels[:-1]):
        up = functional.interpolate(filled, scale_factor=2, mode="nearest")[:, :, : value.shape[2], : value.shape[3]]
        filled = torch.where(weight > 0, value, up)
    return filled[0].permute(1, 2, 0).contiguous()
