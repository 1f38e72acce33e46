"""Toon shading of the pixels of a G-buffer: two tones with a soft edge, a warm shadow, a whisper of rim light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .gbuffer import GBuffer
from .model import Avatar

if TYPE_CHECKING:
    import torch


def smoothstep(low: float, high: float, value: torch.Tensor) -> torch.Tensor:
    """Hermite step from 0 at ``low`` to 1 at ``high``."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def shade(avatar: Avatar, buffer: GBuffer, base: torch.Tensor, light: tuple[float, float, float]) -> torch.Tensor:
    """Lit colour (C, 3) sRGB of the covered pixels with base colour ``base`` (C, 3)."""
    import torch

    device = base.device
    normal = buffer.at(buffer.normals)
    normal = normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-9)
    axes = buffer.camera.axes
    key = np.asarray(light, np.float64) @ axes
    key = torch.tensor(key / np.linalg.norm(key), dtype=torch.float32, device=device)
    lit = smoothstep(-0.06, 0.1, normal @ key - 0.02)[:, None]
    material = torch.as_tensor(avatar.mesh.face_material, device=device).long()[buffer.raster.faces]
    tint = torch.tensor([m.shade for m in avatar.materials], dtype=torch.float32, device=device)[material]
    dark = base * tint
    color = dark + (base - dark) * lit
    facing = normal @ torch.tensor(axes[2], dtype=torch.float32, device=device)
    rim = smoothstep(0.62, 0.86, 1 - facing)[:, None] * smoothstep(0.1, 0.5, normal @ torch.tensor(
        (np.array([0.75, 0.5, -0.2]) @ axes), dtype=torch.float32, device=device))[:, None]
    return color + (1 - color) * rim * 0.25
