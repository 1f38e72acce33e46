"""What every pixel sees: the shared first step of render, guides and bake. Everything is a torch tensor on one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .camera import Camera
from .model import Avatar
from .raster import Raster, chunks, rasterize

if TYPE_CHECKING:
    import torch


@dataclass
class GBuffer:
    """One camera's view of posed vertices. Per-pixel lists follow ``raster.pixels``."""

    camera: Camera
    raster: Raster
    triangles: torch.Tensor  # (F, 3) int64
    positions: torch.Tensor  # (V, 3) float32, world
    normals: torch.Tensor  # (V, 3) float32
    away: torch.Tensor  # (V,) float32, metres from the eye along the view

    def at(self, values: torch.Tensor | np.ndarray) -> torch.Tensor:
        """Vertex values (V, K) at the covered pixels (C, K)."""
        import torch

        values = torch.as_tensor(values, device=self.triangles.device)
        return self.raster.interpolate(values, self.triangles)


def gbuffer(
    avatar: Avatar,
    positions: np.ndarray,
    normals: np.ndarray,
    camera: Camera,
    *,
    keep: np.ndarray | None = None,
    window: tuple[int, int, int, int] | None = None,
    device: Any = "cpu",
) -> GBuffer:
    """Rasterise posed ``positions`` and ``normals`` (V, 3) of ``avatar``. Back faces of single-sided materials are dropped.

    ``window`` (left, top, width, height) draws only that part of the camera's picture.
    """
    import torch

    mesh = avatar.mesh
    screen, inverse, away = camera.project(positions)
    left, top, width, height = window or (0, 0, camera.width, camera.height)
    screen[:, 0] -= left
    screen[:, 1] -= top
    front = front_faces(screen, mesh.faces)
    sided = np.array([material.double_sided for material in avatar.materials], bool)
    front |= sided[mesh.face_material]
    keep = front if keep is None else keep & front
    raster = rasterize(screen, mesh.faces, width, height, keep=keep, inverse_depth=inverse, device=device)
    return GBuffer(
        camera,
        raster,
        torch.as_tensor(mesh.faces, device=device).long(),
        torch.as_tensor(np.ascontiguousarray(positions, np.float32), device=device),
        torch.as_tensor(np.ascontiguousarray(normals, np.float32), device=device),
        torch.as_tensor(away.astype(np.float32), device=device),
    )


def front_faces(screen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) bool: triangles that turn counter-clockwise in the picture (y down in ``screen``)."""
    a, b, c = (screen[faces[:, i], :2] for i in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]) < 0


def sample(texture: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Bilinear lookup, wrapping: ``texture`` (H, W, K) float32 or uint8, ``uv`` (N, 2) with v down → (N, K) float32 in its range."""
    import torch

    height, width, channels = texture.shape
    flat = texture.reshape(-1, channels)
    out = torch.empty((len(uv), channels), dtype=torch.float32, device=uv.device)
    for part in chunks(len(uv), uv.device):
        x, y = uv[part, 0] * width - 0.5, uv[part, 1] * height - 0.5
        x0, y0 = torch.floor(x), torch.floor(y)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        left, top = x0.long() % width, (y0.long() % height) * width
        right, bottom = (left + 1) % width, (top + width) % (height * width)
        above = torch.lerp(flat[top + left].float(), flat[top + right].float(), fx)
        below = torch.lerp(flat[bottom + left].float(), flat[bottom + right].float(), fx)
        torch.lerp(above, below, fy, out=out[part])
    return out


def surface_color(avatar: Avatar, faces: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Texture times factor of each pixel's material: (C, 4) float32 sRGB with alpha."""
    import torch

    device = uv.device
    material = torch.as_tensor(avatar.mesh.face_material, device=device).long()[faces]
    factor = torch.tensor([m.color for m in avatar.materials], dtype=torch.float32, device=device)
    out = factor[material]
    used = {m.texture for m in avatar.materials if m.texture is not None}
    owner = torch.tensor([-1 if m.texture is None else m.texture for m in avatar.materials], device=device)[material]
    for index in used:
        pixels = avatar.textures[index].pixels
        if pixels is None:
            continue
        image = torch.as_tensor(np.ascontiguousarray(pixels), device=device)
        if image.shape[2] == 3:
            image = torch.cat([image, torch.full_like(image[:, :, :1], 255)], 2)
        chosen = slice(None) if len(used) == 1 and bool((owner == index).all()) else owner == index
        out[chosen] = out[chosen] * (sample(image, uv[chosen]) / 255)
    return out
