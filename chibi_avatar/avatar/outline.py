"""Outlines drawn on the picture: thick around the figure, thin inside, in a darker and richer version of the colour they bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .gbuffer import GBuffer
from .model import Avatar
from .workers import workers

if TYPE_CHECKING:
    import torch

OUTER = 0.0033  # line width as a fraction of the picture height
INNER = 0.0021
_STEP = 0.007  # jump in depth that makes a line, as a fraction of the view's height
_FULL = 0.05  # and the jump at which an inner line has its full weight
_SHORTEST = 0.022  # inner lines shorter than this fraction of the height are dirt


def ink(color: torch.Tensor) -> torch.Tensor:
    """The line colour (N, 3) for fills ``color``: darker, more saturated, warm where the fill is pale; never black, never pale."""
    grey = color.mean(1, keepdim=True)
    rich = (grey + (color - grey) * 1.55).clamp(0, 1)
    line = rich * color.new_tensor([0.45, 0.33, 0.36]) + color.new_tensor([0.07, 0.015, 0.04])
    pale = ((grey - 0.6) / 0.4).clamp(0, 1) * (
        1 - (color.amax(1, keepdim=True) - color.amin(1, keepdim=True)) * 3
    ).clamp(0, 1)
    return line.lerp(color.new_tensor([0.42, 0.30, 0.34]).expand_as(line), pale).clamp(0, 1)


@dataclass
class Edges:
    """Pixels that bound something behind them, as flat indices; ``gap`` (of the inner ones) in metres; ``away`` (H, W) metres."""

    outer: np.ndarray
    inner: np.ndarray
    gap: np.ndarray
    away: np.ndarray


def find_edges(avatar: Avatar, buffer: GBuffer) -> Edges:
    """Silhouette, jumps in depth beyond what the slope explains, and borders between parts."""
    import torch

    raster, camera = buffer.raster, buffer.camera
    height, width = raster.height, raster.width
    away = raster.image(buffer.at(buffer.away[:, None])[:, 0], np.inf).cpu().numpy()
    normal = buffer.at(buffer.normals)
    facing = (normal @ torch.tensor(camera.axes[2], dtype=torch.float32, device=normal.device)).abs().clamp(0.05, 1)
    slope = raster.image(camera.pixel * torch.sqrt(1 - facing * facing) / facing, 0.0).cpu().numpy()
    face = raster.face.cpu().numpy()
    part = np.append(avatar.mesh.face_part, -1).astype(np.int16)[face]
    outer = np.zeros((height, width), bool)
    jump = np.zeros((height, width), np.float32)
    step = camera.extent * _STEP
    for axis in (0, 1):
        first = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        second = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        a, b = face[first] >= 0, face[second] >= 0
        outer[first] |= a & ~b
        outer[second] |= b & ~a
        both = a & b
        gap = np.where(both, away[second], 0) - np.where(both, away[first], 0)
        limit = step + 2.5 * np.minimum(slope[first], slope[second])
        size = np.abs(gap)
        edge = both & ((size > limit) | (part[first] != part[second]))
        size = np.where(edge, np.maximum(size, 1e-6), 0).astype(np.float32)
        np.maximum(jump[first], np.where(gap >= 0, size, 0), out=jump[first])
        np.maximum(jump[second], np.where(gap < 0, size, 0), out=jump[second])
    inner = _without_dirt(jump > 0, _SHORTEST * camera.height)
    return Edges(np.flatnonzero(outer), inner, jump.ravel()[inner], away)


def _without_dirt(edge: np.ndarray, shortest: float) -> np.ndarray:
    """Flat indices of the pixels in connected lines of at least ``shortest`` pixels."""
    from scipy.ndimage import label

    rows, columns = np.flatnonzero(edge.any(1)), np.flatnonzero(edge.any(0))
    if not len(rows):
        return np.zeros(0, np.int64)
    box = edge[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, count = label(box, np.ones((3, 3)))
    long = np.bincount(labels.ravel(), minlength=count + 1) >= shortest
    long[0] = False
    y, x = np.nonzero(long[labels])
    return (y + rows[0]) * edge.shape[1] + x + columns[0]


def draw_lines(avatar: Avatar, buffer: GBuffer, base: torch.Tensor, supersample: int) -> torch.Tensor:
    """The lines alone as premultiplied RGBA (H, W, 4); ``base`` (C, 3) are unlit colours of the covered pixels."""
    import torch
    from scipy.ndimage import maximum_filter1d
    from scipy.spatial import cKDTree

    raster, camera = buffer.raster, buffer.camera
    height, width = raster.height, raster.width
    device = base.device
    edges = find_edges(avatar, buffer)
    away = edges.away.ravel()
    weight = 0.55 + 0.45 * np.clip(edges.gap / (camera.extent * _FULL), 0, 1)
    colors = raster.image(base).reshape(-1, 3)
    out = torch.zeros((height * width, 4), device=device)
    for chosen, fraction, heaviness in ((edges.inner, INNER, weight), (edges.outer, OUTER, None)):
        if not len(chosen):
            continue
        radius = max(fraction * camera.height, 0.8 * supersample)
        reach = int(np.ceil(radius * 1.3)) + 1
        near = np.zeros((height, width), np.uint8)
        near.ravel()[chosen] = 1
        top, bottom = max(chosen.min() // width - reach, 0), min(chosen.max() // width + reach + 1, height)
        band = near[top:bottom]
        band = maximum_filter1d(maximum_filter1d(band, 2 * reach + 1, axis=0), 2 * reach + 1, axis=1)
        ring = np.flatnonzero(band.ravel()) + top * width
        points = np.stack([chosen % width, chosen // width], 1)
        where = np.stack([ring % width, ring // width], 1)
        distance, nearest = cKDTree(points).query(where, distance_upper_bound=reach + 1, workers=workers())
        found = np.isfinite(distance)
        ring, where, distance, nearest = ring[found], where[found], distance[found], nearest[found]
        owner = chosen[nearest]
        if heaviness is None:
            # part of the line lies on the figure, so that thin ends do not swell; it is heavier away from the light
            turn = where - points[nearest]
            lean = (turn[:, 1] * 0.8 + turn[:, 0] * 0.6) / np.maximum(distance, 1e-6)
            limit = np.where(np.isfinite(away[ring]), radius * 0.4, radius * (0.95 + 0.28 * lean))
        else:
            behind = away[ring] > away[owner] - camera.extent * 0.002
            limit = np.where(behind, radius * 0.75, radius * 0.35) * heaviness[nearest]
        alpha = np.clip(limit - distance + 0.5, 0, 1).astype(np.float32)
        drawn = alpha > 0
        ring, owner = torch.as_tensor(ring[drawn], device=device), torch.as_tensor(owner[drawn], device=device)
        alpha = torch.as_tensor(alpha[drawn], device=device)[:, None]
        line = torch.cat([ink(colors[owner]), torch.ones_like(alpha)], 1)
        out[ring] = out[ring] * (1 - alpha) + line * alpha
    return out.reshape(height, width, 4)


def line_art(avatar: Avatar, buffer: GBuffer, base: torch.Tensor) -> torch.Tensor:
    """White lines on black (H, W) 0..1: silhouette, folds and part borders of the shape, and the strong edges of the paint."""
    import torch
    from scipy.ndimage import gaussian_filter, maximum_filter

    raster = buffer.raster
    edges = find_edges(avatar, buffer)
    lines = np.zeros((raster.height, raster.width), np.float32)
    lines.ravel()[edges.outer] = 1.0
    lines.ravel()[edges.inner] = 0.9
    inside = raster.face.cpu().numpy() >= 0
    rows = np.flatnonzero(inside.any(1))
    if len(rows):
        band = slice(int(rows[0]), int(rows[-1]) + 1)
        tone = raster.image(base @ base.new_tensor([0.35, 0.45, 0.2])).cpu().numpy()[band]
        inside = inside[band]
        edge = np.zeros_like(tone)
        for axis in (0, 1):
            step = np.abs(np.diff(tone, axis=axis))
            pair = inside[1:] & inside[:-1] if axis == 0 else inside[:, 1:] & inside[:, :-1]
            target = edge[1:] if axis == 0 else edge[:, 1:]
            np.maximum(target, step * pair, out=target)
        np.maximum(lines[band], np.clip((edge - 0.05) * 6, 0, 0.85), out=lines[band])
    width = max(1, round(raster.height / 640))
    if width > 1:
        lines = maximum_filter(lines, width)
    lines = np.clip(gaussian_filter(lines, 0.45 * width) * 1.35, 0, 1)
    return torch.as_tensor(lines, device=raster.face.device)
