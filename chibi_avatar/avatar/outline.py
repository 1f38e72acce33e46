"""Outlines drawn on the picture: thick around the figure, thin inside, in a darker and richer version of the colour they bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .gbuffer import GBuffer
from .model import Avatar

if TYPE_CHECKING:
    import torch

OUTER = 0.0034  # line width as a fraction of the picture height
INNER = 0.0020


def ink(color: torch.Tensor) -> torch.Tensor:
    """The line colour (N, 3) for fills ``color``: darker, more saturated, never black."""
    grey = color.mean(1, keepdim=True)
    rich = (grey + (color - grey) * 1.5).clamp(0, 1)
    return (rich * 0.42 + color.new_tensor([0.05, 0.01, 0.03])).clamp(0, 1)


def _edges(face: np.ndarray, away: np.ndarray, slope: np.ndarray, part: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (flat indices) that bound something behind them: against the background, and against the figure itself."""
    height, width = face.shape
    outer = np.zeros((height, width), bool)
    inner = np.zeros((height, width), bool)
    for axis in (0, 1):
        first = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        second = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        a, b = face[first] >= 0, face[second] >= 0
        outer[first] |= a & ~b
        outer[second] |= b & ~a
        both = a & b
        gap = np.where(both, away[second], 0) - np.where(both, away[first], 0)
        limit = step + 2.5 * np.minimum(slope[first], slope[second])
        inner[first] |= both & (gap > limit)
        inner[second] |= both & (-gap > limit)
        seam = both & (part[first] != part[second]) & (np.abs(gap) <= limit)
        inner[first] |= seam & (gap >= 0)
        inner[second] |= seam & (gap < 0)
    return np.flatnonzero(outer), np.flatnonzero(inner)


def _geometry_edges(avatar: Avatar, buffer: GBuffer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outer and inner edge pixels (flat indices), and metres from the eye (H, W), infinite on the background."""
    import torch

    raster, camera = buffer.raster, buffer.camera
    away = raster.image(buffer.at(buffer.away[:, None])[:, 0], np.inf).cpu().numpy()
    normal = buffer.at(buffer.normals)
    facing = (normal @ torch.tensor(camera.axes[2], dtype=torch.float32, device=normal.device)).abs().clamp(0.05, 1)
    slope = raster.image(camera.pixel * torch.sqrt(1 - facing * facing) / facing, 0.0).cpu().numpy()
    parts = np.append(avatar.mesh.face_part, -1)
    face = raster.face.cpu().numpy()
    outer, inner = _edges(face, away, slope, parts[face], camera.extent * 0.006)
    return outer, inner, away


def draw_lines(avatar: Avatar, buffer: GBuffer, base: torch.Tensor, picture: torch.Tensor, supersample: int) -> torch.Tensor:
    """Composite lines over premultiplied RGBA ``picture`` (H, W, 4); ``base`` (C, 3) are unlit colours of the covered pixels."""
    import torch
    from scipy.ndimage import maximum_filter1d
    from scipy.spatial import cKDTree

    raster, camera = buffer.raster, buffer.camera
    height, width = raster.height, raster.width
    face = raster.face.cpu().numpy()
    outer, inner, away = _geometry_edges(avatar, buffer)
    colors = raster.image(base)
    out = picture.clone()
    for edges, fraction, outside in ((inner, INNER, False), (outer, OUTER, True)):
        if not len(edges):
            continue
        radius = max(fraction * height, 0.9 * supersample)
        reach = int(np.ceil(radius * 1.4)) + 1
        near = np.zeros((height, width), np.uint8)
        near.ravel()[edges] = 1
        near = maximum_filter1d(maximum_filter1d(near, 2 * reach + 1, axis=0), 2 * reach + 1, axis=1)
        ring = np.flatnonzero(near.ravel())
        points = np.stack([edges % width, edges // width], 1)
        where = np.stack([ring % width, ring // width], 1)
        distance, nearest = cKDTree(points).query(where, distance_upper_bound=reach + 1)
        found = np.isfinite(distance)
        ring, where, distance, nearest = ring[found], where[found], distance[found], nearest[found]
        owner = edges[nearest]
        covered = face.ravel()[ring] >= 0
        if outside:
            # half the line lies on the figure, so thin ends do not swell; heavier away from the light
            turn = where - points[nearest]
            heavy = (turn[:, 1] * 0.8 + turn[:, 0] * 0.6) / np.maximum(distance, 1e-6)
            limit = np.where(covered, radius * 0.35, radius * (1.0 + 0.3 * heavy))
        else:
            limit = np.where(away.ravel()[ring] > away.ravel()[owner] - camera.extent * 0.002, radius * 0.8, radius * 0.35)
        alpha = np.clip(limit - distance + 0.5, 0, 1).astype(np.float32)
        drawn = alpha > 0
        ring, owner, alpha = ring[drawn], owner[drawn], torch.as_tensor(alpha[drawn], device=picture.device)[:, None]
        ring, owner = torch.as_tensor(ring, device=picture.device), torch.as_tensor(owner, device=picture.device)
        line = ink(colors.reshape(-1, 3)[owner])
        flat = out.reshape(-1, 4)
        under = flat[ring]
        flat[ring] = torch.cat([under[:, :3] * (1 - alpha) + line * alpha, under[:, 3:] * (1 - alpha) + alpha], 1)
    return out


def line_art(avatar: Avatar, buffer: GBuffer, base: torch.Tensor) -> torch.Tensor:
    """White lines on black (H, W) 0..1: silhouette, folds and part borders of the shape, and the strong edges of the paint."""
    import torch
    from scipy.ndimage import gaussian_filter, maximum_filter

    raster = buffer.raster
    outer, inner, _ = _geometry_edges(avatar, buffer)
    lines = np.zeros((raster.height, raster.width), np.float32)
    lines.ravel()[outer] = 1.0
    lines.ravel()[inner] = 0.9
    rows = np.flatnonzero((raster.face >= 0).any(1).cpu().numpy())
    if len(rows):
        band = slice(int(rows[0]), int(rows[-1]) + 1)
        tone = raster.image(base @ base.new_tensor([0.35, 0.45, 0.2])).cpu().numpy()[band]
        inside = raster.face.cpu().numpy()[band] >= 0
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
