"""Toon shading of the pixels of a G-buffer: two tones with a soft edge, cast shadows, a warm shade and a whisper of rim light."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .camera import Camera
from .gbuffer import GBuffer, gbuffer
from .model import Avatar
from .raster import chunks
from .workers import each

if TYPE_CHECKING:
    import torch

SHADOW_SIZE = 1024  # pixels of the shadow map
_ROUNDER = 0.55  # how far the face is lit as if it were a ball: a painted face has no use for the shadow of its nose


def smoothstep(low: float, high: float, value: torch.Tensor) -> torch.Tensor:
    """Hermite step from 0 at ``low`` to 1 at ``high``."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _light_normals(avatar: Avatar, buffer: GBuffer) -> torch.Tensor:
    """Vertex normals for shading (V, 3): the face's are pulled towards a ball's around its middle."""
    normals = buffer.normals
    if "face" not in avatar.parts:
        return normals
    import torch

    chosen = np.unique(avatar.mesh.faces[avatar.mesh.face_part == avatar.parts.index("face")])
    if not len(chosen):
        return normals
    index = torch.as_tensor(chosen, device=normals.device).long()
    place = buffer.positions[index]
    middle = (place.amax(0) + place.amin(0)) / 2
    ball = place - middle
    ball = ball / ball.norm(dim=1, keepdim=True).clamp(min=1e-9)
    mixed = normals[index] * (1 - _ROUNDER) + ball * _ROUNDER
    out = normals.clone()
    out[index] = mixed / mixed.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return out


class ShadowMap:
    """Depth of the figure as the key light sees it. ``key`` (3,) points to the light, world space."""

    def __init__(
        self, avatar: Avatar, positions: np.ndarray, normals: np.ndarray, key: np.ndarray, device: object
    ) -> None:
        import torch

        low, high = positions.min(0).astype(np.float64), positions.max(0).astype(np.float64)
        extent = float(np.linalg.norm(high - low)) * 1.02
        azimuth = math.degrees(math.atan2(key[0], key[2]))
        elevation = math.degrees(math.asin(float(np.clip(key[1], -1, 1))))
        target = tuple(float(v) for v in (low + high) / 2)
        self.camera = Camera(azimuth, elevation, target, extent, SHADOW_SIZE, SHADOW_SIZE)
        seen = gbuffer(avatar, positions, normals, self.camera, device=device)
        depth = seen.raster.image(seen.at(seen.away[:, None])[:, 0], math.inf)
        self.depth = depth.reshape(-1)
        # of the texels that a comparison reads
        self.nearest = _of_sixteen(depth, torch.minimum).reshape(-1)
        self.farthest = _of_sixteen(depth, torch.maximum).reshape(-1)
        self.bias = extent * 0.006

    def lit(self, place: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
        """How much of the light reaches points (N, 3) with ``normal`` (N, 3): (N,) 0..1, soft over about three texels."""
        import torch

        camera = self.camera
        axes = torch.tensor(camera.axes, dtype=torch.float32, device=place.device)
        view = (place + normal * self.bias - place.new_tensor(camera.target)) @ axes.T
        scale = SHADOW_SIZE / camera.extent
        x = (SHADOW_SIZE / 2 + view[:, 0] * scale - 0.5).clamp_(1, SHADOW_SIZE - 3)
        y = (SHADOW_SIZE / 2 - view[:, 1] * scale - 0.5).clamp_(1, SHADOW_SIZE - 3)
        away = camera.distance - view[:, 2] - self.bias
        left, top = x.floor(), y.floor()
        corner = (top * SHADOW_SIZE + left).long()
        # most points lie before or behind all of the texels around
        total = (away <= torch.index_select(self.nearest, 0, corner)).float()
        between = torch.nonzero((total == 0) & (away <= torch.index_select(self.farthest, 0, corner))).squeeze(1)
        total[between] = self._compared(*(torch.index_select(t, 0, between) for t in (corner, x - left, y - top, away)))
        return total

    def _compared(self, corner: torch.Tensor, fx: torch.Tensor, fy: torch.Tensor, away: torch.Tensor) -> torch.Tensor:
        """Bilinear comparison over the 4 x 4 texels around ``corner``, with weights 1-f, 1, 1, f along each axis."""
        import torch

        total = torch.zeros_like(away)
        wide_x = (1 - fx, None, None, fx)
        wide_y = (1 - fy, None, None, fy)
        for row in range(4):
            line = torch.zeros_like(away)
            for column in range(4):
                near = torch.index_select(self.depth, 0, corner + ((row - 1) * SHADOW_SIZE + column - 1))
                free = (near >= away).float()
                line += free if wide_x[column] is None else free * wide_x[column]
            total += line if wide_y[row] is None else line * wide_y[row]
        return total / 9


def _of_sixteen(depth: torch.Tensor, choose: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """What ``choose`` (minimum or maximum) takes of the 4 x 4 texels around each of a square map, from one before to two after it."""
    out = depth
    for axis in (0, 1):
        size = out.shape[axis]
        for step in (1, 2):
            wide = out.clone()
            wide.narrow(axis, 0, size - step).copy_(
                choose(out.narrow(axis, 0, size - step), out.narrow(axis, step, size - step))
            )
            out = wide
        out = out.roll(1, axis)  # to the texel that the window starts before; the map's border is never read
    return out


def shade(avatar: Avatar, buffer: GBuffer, base: torch.Tensor, light: tuple[float, float, float]) -> torch.Tensor:
    """Lit colour (C, 3) sRGB of the covered pixels with base colour ``base`` (C, 3). ``light`` points to the key light in view space."""
    import torch

    device = base.device
    mesh = avatar.mesh
    axes = buffer.camera.axes
    key = np.asarray(light, np.float64) @ axes
    key = key / np.linalg.norm(key)
    shadows = ShadowMap(avatar, buffer.positions.cpu().numpy(), buffer.normals.cpu().numpy(), key, device)
    normals = _light_normals(avatar, buffer)
    table = torch.cat([normals, buffer.normals, buffer.positions], 1)
    tint_of_face = torch.tensor([m.shade for m in avatar.materials], dtype=torch.float32, device=device)[
        torch.as_tensor(mesh.face_material, device=device).long()
    ]
    direction = torch.tensor(key, dtype=torch.float32, device=device)
    eye = torch.tensor(axes[2], dtype=torch.float32, device=device)
    side = torch.tensor(np.array([0.75, 0.5, -0.2]) @ axes, dtype=torch.float32, device=device)
    attributes = buffer.at(table)
    out = torch.empty_like(base)

    def fill(part: slice) -> None:
        values = attributes[part]
        normal = values[:, :3] / values[:, :3].norm(dim=1, keepdim=True).clamp(min=1e-9)
        shape = values[:, 3:6]
        lit = smoothstep(-0.07, 0.1, normal @ direction - 0.03)
        turned = torch.nonzero(lit > 0).squeeze(1)
        upright, place = torch.index_select(values[:, 3:], 0, turned).split(3, 1)
        reached = smoothstep(0.15, 0.85, shadows.lit(place, upright))
        lit[turned] = torch.minimum(lit[turned], reached)
        lit = lit[:, None]
        color = base[part]
        dark = color * tint_of_face[buffer.raster.faces[part]]
        # the line between light and shade glows a little, as light through skin and hair
        glow = (lit * (1 - lit))[:, :1] * color.new_tensor([0.22, 0.05, 0.03])
        color = dark + (color - dark) * lit + glow * color
        grazing = 1 - (shape @ eye)
        rim = smoothstep(0.62, 0.9, grazing) * smoothstep(0.1, 0.5, shape @ side)
        out[part] = color + (1 - color) * rim[:, None] * 0.22

    each(fill, chunks(len(base), device))
    return out
