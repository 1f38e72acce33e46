"""What every pixel sees: the shared first step of render, guides and bake. Everything is a torch tensor on one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .camera import Camera
from .model import Avatar
from .raster import Raster, rasterize
from .sampling import sample

if TYPE_CHECKING:
    import torch

_SOLID = 0.5  # opacity from which a fragment of a BLEND material is a surface
_TINTED = 0.1  # opacity of a layer that spoils the colour of what lies behind it
_LAYERS = 6  # transparent layers in front of each other that are told apart


@dataclass
class GBuffer:
    """One camera's view of posed vertices. Per-pixel lists follow ``raster.pixels``."""

    camera: Camera
    raster: Raster
    triangles: torch.Tensor  # (F, 3) int64
    positions: torch.Tensor  # (V, 3) float32, world
    normals: torch.Tensor  # (V, 3) float32
    away: torch.Tensor  # (V,) float32, metres from the eye along the view
    window: tuple[int, int, int, int]  # left, top, width, height: the part of the camera's picture that was drawn

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
    window: tuple[int, int, int, int] | None = None,
    device: Any = "cpu",
) -> GBuffer:
    """Rasterise posed ``positions`` and ``normals`` (V, 3) of ``avatar``. Back faces of single-sided materials are dropped, and so is
    what a texture makes transparent: below the cut-off of MASK materials, below half for BLEND (see :func:`veil`).

    ``window`` (left, top, width, height) draws only that part of the camera's picture.
    """
    import torch

    window = window or (0, 0, camera.width, camera.height)
    away = camera.project(positions)[2]
    buffer = GBuffer(
        camera,
        _raster(avatar, positions, camera, window, device, None),
        torch.as_tensor(avatar.mesh.faces, device=device).long(),
        torch.as_tensor(np.ascontiguousarray(positions, np.float32), device=device),
        torch.as_tensor(np.ascontiguousarray(normals, np.float32), device=device),
        torch.as_tensor(away.astype(np.float32), device=device),
        window,
    )
    cut = [{"MASK": m.alpha_cutoff, "BLEND": _SOLID}.get(m.alpha_mode, 0.0) for m in avatar.materials]
    if not any(limit > 0 and _transparent(avatar, number) for number, limit in enumerate(cut)):
        return buffer
    least = torch.tensor(cut, dtype=torch.float32, device=device)
    least = least[torch.as_tensor(avatar.mesh.face_material, device=device).long()]
    behind = torch.full((window[2] * window[3],), -1, dtype=torch.int64, device=device)
    for _ in range(_LAYERS):
        raster = buffer.raster
        some = torch.nonzero(least[raster.faces] > 0).squeeze(1)
        alpha = surface_color(avatar, raster.faces[some], buffer.at(avatar.mesh.uvs)[some])[:, 3]
        gone = some[alpha < least[raster.faces[some]]]
        if not len(gone):
            break
        behind[raster.pixels[gone]] = raster.key[gone]
        buffer.raster = _raster(avatar, positions, camera, window, device, behind)
    return buffer


def _raster(
    avatar: Avatar,
    positions: np.ndarray,
    camera: Camera,
    window: tuple[int, int, int, int],
    device: Any,
    behind: torch.Tensor | None,
    keep: np.ndarray | None = None,
) -> Raster:
    mesh = avatar.mesh
    screen, inverse, _ = camera.project(positions)
    left, top, width, height = window
    screen[:, 0] -= left
    screen[:, 1] -= top
    front = front_faces(screen, mesh.faces)
    front |= np.array([material.double_sided for material in avatar.materials], bool)[mesh.face_material]
    keep = front if keep is None else keep & front
    return rasterize(screen, mesh.faces, width, height, keep=keep, inverse_depth=inverse, behind=behind, device=device)


def _transparent(avatar: Avatar, number: int) -> bool:
    """Whether material ``number`` is see-through anywhere."""
    material = avatar.materials[number]
    pixels = None if material.texture is None else avatar.textures[material.texture].pixels
    return material.color[3] < 1 or (pixels is not None and pixels.shape[2] == 4 and int(pixels[:, :, 3].min()) < 255)


def veil(avatar: Avatar, buffer: GBuffer) -> torch.Tensor | None:
    """What BLEND materials lay thinly over the surfaces of ``buffer``: premultiplied RGBA (H, W, 4) sRGB; None where there is none.

    Front to back, the first few layers; fragments of at least half opacity are surfaces of their own, see :func:`gbuffer`.
    """
    import torch

    blend = [m.alpha_mode == "BLEND" and _transparent(avatar, n) for n, m in enumerate(avatar.materials)]
    if not any(blend):
        return None
    keep = np.array(blend, bool)[avatar.mesh.face_material]
    device = buffer.triangles.device
    count = buffer.window[2] * buffer.window[3]
    out = torch.zeros((count, 4), device=device)
    solid = buffer.raster.image(buffer.at(buffer.away[:, None])[:, 0], float("inf")).reshape(-1)
    behind = torch.full((count,), -1, dtype=torch.int64, device=device)
    for _ in range(_LAYERS):
        layer = _raster(avatar, buffer.positions.cpu().numpy(), buffer.camera, buffer.window, device, behind, keep)
        away = layer.interpolate(buffer.away[:, None], buffer.triangles)[:, 0]
        uv = layer.interpolate(torch.as_tensor(avatar.mesh.uvs, device=device), buffer.triangles)
        color = surface_color(avatar, layer.faces, uv)
        over = torch.nonzero((away < solid[layer.pixels]) & (color[:, 3] < _SOLID)).squeeze(1)
        if not len(over):
            break
        pixel, color = layer.pixels[over], color[over]
        alpha = color[:, 3:]
        out[pixel] += (1 - out[pixel, 3:]) * torch.cat([color[:, :3] * alpha, alpha], 1)
        behind[pixel] = layer.key[over]
    return out.reshape(buffer.window[3], buffer.window[2], 4)


def covering(avatar: Avatar, buffer: GBuffer) -> torch.Tensor | None:
    """(H, W) bool: pixels whose surface is tinted by a layer in front of it, so that a picture does not show its own colour."""
    over = veil(avatar, buffer)
    return None if over is None else over[:, :, 3] > _TINTED


def flat_color(avatar: Avatar, buffer: GBuffer) -> torch.Tensor:
    """Unlit sRGB colours of the covered pixels (C, 3) float32, thin layers in front included."""
    color = surface_color(avatar, buffer.raster.faces, buffer.at(avatar.mesh.uvs))[:, :3]
    over = veil(avatar, buffer)
    if over is not None:
        over = over.reshape(-1, 4)[buffer.raster.pixels]
        color = color * (1 - over[:, 3:]) + over[:, :3]
    return color


def front_faces(screen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) bool: triangles that turn counter-clockwise in the picture (y down in ``screen``)."""
    a, b, c = (screen[faces[:, i], :2] for i in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]) < 0


def surface_color(avatar: Avatar, faces: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Texture times factor of each pixel's material: (C, 4) float32 sRGB with alpha."""
    import torch

    device = uv.device
    material = torch.index_select(torch.as_tensor(avatar.mesh.face_material, device=device).long(), 0, faces)
    factor = torch.tensor([m.color for m in avatar.materials], dtype=torch.float32, device=device)
    out = torch.index_select(factor, 0, material)
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
        out[chosen] *= sample(image, uv[chosen]).div_(255)
    return out
