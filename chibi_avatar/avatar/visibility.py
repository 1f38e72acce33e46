"""Which texels a view sees, where in the picture, and how far to trust it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .camera import Camera, framing
from .gbuffer import gbuffer
from .model import Avatar
from .raster import chunks
from .texels import TexelBuffer
from .workers import each

if TYPE_CHECKING:
    import torch

MIN_FACING = 0.02  # cosine below which a picture says nothing about a surface (89°); cos⁴ leaves the rest to better views
RAMP = 4  # pixels next to a silhouette that are trusted less
_CHECK = 3  # every so many pixels serve to measure the re-render
_SNAPPED = 0.02  # trust of a texel whose four neighbouring pixels are not all its own surface
_OTHER_FACE = 1e-3  # trust in views from the side for the face, where a front view has it
_CACHE: OrderedDict[tuple, ViewTexels] = OrderedDict()
_EXPOSED: dict[tuple, torch.Tensor] = {}
_CACHE_BYTES = 700_000_000


@dataclass
class ViewTexels:
    """What one view contributes. ``index`` (K,) into the texel list; ``x``, ``y`` (K,) picture coordinates; ``weight`` (K,) > 0;
    ``edge`` (K,) uint8 pixels to the nearest silhouette or depth edge, at most RAMP."""

    camera: Camera
    index: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor
    edge: torch.Tensor
    mask: np.ndarray  # (H, W) bool, the guide's silhouette
    check: torch.Tensor  # (N,) int64, thinned pixels of the guide away from depth edges, to measure the re-render with
    check_uv: torch.Tensor  # (N, 2) float32, where those pixels lie in the atlas

    def only(self, chosen: torch.Tensor) -> ViewTexels:
        """The texels that ``chosen`` (K,) bool marks."""
        lists = {name: getattr(self, name)[chosen] for name in ("index", "x", "y", "weight", "edge")}
        return replace(self, **lists)

    @property
    def nbytes(self) -> int:
        tensors = (self.index, self.x, self.y, self.weight, self.edge, self.check, self.check_uv)
        return sum(t.numel() * t.element_size() for t in tensors) + self.mask.nbytes


def see(avatar: Avatar, texels: TexelBuffer, cameras: Sequence[Camera]) -> list[ViewTexels]:
    """Project the covered texels of the atlas into each camera: visible by z-buffer with slope bias, weighted by angle (cos⁴),
    distance to depth edges and view (front before back before sides). The last results are kept."""
    keys = [(*_identity(avatar, texels), camera) for camera in cameras]
    missing = [camera for key, camera in zip(keys, cameras, strict=True) if key not in _CACHE]
    made = dict(zip(missing, each(lambda camera: _project(avatar, texels, camera), missing), strict=True))
    results = [_CACHE.pop(key) if key in _CACHE else made[camera] for key, camera in zip(keys, cameras, strict=True)]
    _CACHE.update(zip(keys, results, strict=True))
    while sum(item.nbytes for item in _CACHE.values()) > _CACHE_BYTES and len(_CACHE) > 1:
        _CACHE.popitem(last=False)
    return results


def _identity(avatar: Avatar, texels: TexelBuffer) -> tuple:
    """What a projection depends on, but for the camera."""
    labels = hashlib.sha256(avatar.mesh.face_material.tobytes() + avatar.mesh.face_part.tobytes()).hexdigest()
    kinds = tuple((m.alpha_mode, m.double_sided) for m in avatar.materials)
    return texels.key, texels.size, str(texels.position.device), labels, kinds, tuple(avatar.parts)


def _edge_ramp(away: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """Trust by distance to the nearest jump in depth: (H, W), 1/RAMP at the edge pixel to 1 inside."""
    import torch

    edge = torch.zeros_like(away, dtype=torch.bool)
    inside = torch.isfinite(away)
    for axis in (0, 1):
        size = away.shape[axis] - 1
        a, b = away.narrow(axis, 0, size), away.narrow(axis, 1, size)
        bound = torch.maximum(limit.narrow(axis, 0, size), limit.narrow(axis, 1, size))
        jump = (inside.narrow(axis, 0, size) != inside.narrow(axis, 1, size)) | ((a - b).abs() > bound)
        edge.narrow(axis, 0, size).logical_or_(jump)
        edge.narrow(axis, 1, size).logical_or_(jump)
    ramp = torch.ones_like(away)
    near = edge[None, None].float()
    for step in range(RAMP):
        ramp = torch.where((near[0, 0] > 0) & (ramp == 1), torch.full_like(ramp, (step + 0.5) / RAMP), ramp)
        near = torch.nn.functional.max_pool2d(near, 3, 1, 1)
    return ramp


def _priority(camera: Camera) -> float:
    back = camera.axes[2]
    return 0.72 + 0.2 * back[2] ** 2 + (0.08 if back[2] > 0.5 else 0.0)


def _project(
    avatar: Avatar, texels: TexelBuffer, camera: Camera, least: float = MIN_FACING, faces: torch.Tensor | None = None
) -> ViewTexels:
    import torch

    faces = texels.faces if faces is None else faces

    device = texels.position.device
    mesh = avatar.mesh
    solid = np.array([m.alpha_mode == "OPAQUE" for m in avatar.materials], bool)[mesh.face_material]
    buffer = gbuffer(avatar, mesh.positions, mesh.normals, camera, keep=solid, device=device)
    raster = buffer.raster
    height, width = raster.height, raster.width
    away = raster.image(buffer.at(buffer.away[:, None])[:, 0], float("inf"))
    # how much depth changes across one pixel of the surface seen there, from the triangle's own plane
    corners = mesh.positions[mesh.faces].astype(np.float64)
    plane = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(plane, axis=1)
    cosine = np.abs(plane @ camera.axes[2]) / np.maximum(length, 1e-20)
    steep = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(cosine, 0.05)
    slope = torch.as_tensor((camera.pixel * steep).astype(np.float32), device=device)
    limit = raster.image(slope[raster.faces] * 2.0 + 1.5 * camera.pixel, 0.0)
    ramp = _edge_ramp(away, limit)
    depth, bound = away.reshape(-1), limit.reshape(-1)
    inner = torch.nonzero(ramp.reshape(-1)[raster.pixels[::_CHECK]] > 1 / RAMP).squeeze(1) * _CHECK
    check = replace(raster, pixels=raster.pixels[inner], faces=raster.faces[inner], bary=raster.bary[inner])
    check_uv = check.interpolate(torch.as_tensor(mesh.uvs, device=device), buffer.triangles)

    axes = torch.tensor(camera.axes, dtype=torch.float32, device=device)
    target = torch.tensor(camera.target, dtype=torch.float32, device=device)
    eye = torch.tensor(camera.position, dtype=torch.float32, device=device)
    scale = camera.height / camera.extent
    face_part = torch.zeros(len(mesh.faces), dtype=torch.bool, device=device)
    if "face" in avatar.parts and camera.axes[2][2] < 0.6:
        face_part = torch.as_tensor(mesh.face_part == avatar.parts.index("face"), device=device)
    priority = _priority(camera)
    found: list[tuple[torch.Tensor, ...]] = []
    for part in chunks(len(texels.position), device):
        place, normal = texels.position[part], texels.normal[part]
        if camera.fov:
            toward = eye - place
            toward = toward / toward.norm(dim=1, keepdim=True)
            facing = (toward * normal).sum(1)
        else:
            facing = normal @ axes[2]
        chosen = torch.nonzero(facing > least).squeeze(1)
        if not len(chosen):
            continue
        facing = facing[chosen]
        view = (place[chosen] - target) @ axes.T
        far = camera.distance - view[:, 2]
        zoom = scale * camera.distance / far if camera.fov else scale
        x = width / 2 + view[:, 0] * zoom
        y = height / 2 - view[:, 1] * zoom
        inside = (x > 0) & (y > 0) & (x < width) & (y < height)
        column, row = x.long().clamp_(0, width - 1), y.long().clamp_(0, height - 1)
        pixel = row * width + column
        seen = inside & ((far - depth[pixel]).abs() <= bound[pixel])
        kept = torch.nonzero(seen).squeeze(1)
        if not len(kept):
            continue
        chosen, facing, x, y, far, pixel, column, row = (t[kept] for t in (chosen, facing, x, y, far, pixel, column, row))
        # are all four pixels that bilinear sampling would read this very surface?
        left, top = (x - 0.5).floor().long().clamp_(0, width - 2), (y - 0.5).floor().long().clamp_(0, height - 2)
        corner = top * width + left
        clean = torch.ones_like(kept, dtype=torch.bool)
        for offset in (0, 1, width, width + 1):
            near = corner + offset
            clean &= (depth[near] - far).abs() <= bound[pixel]
        x = torch.where(clean, x, column + 0.5)
        y = torch.where(clean, y, row + 0.5)
        square = facing * facing
        trust = ramp.reshape(-1)[pixel]
        weight = square * square * trust * priority
        weight = torch.where(clean, weight, weight * _SNAPPED).clamp_(min=1e-7)
        weight = torch.where(face_part[faces[part][chosen]], weight * _OTHER_FACE, weight)
        found.append((chosen + part.start, x.float(), y.float(), weight.float(), (trust * RAMP).to(torch.uint8)))
    index, x, y, weight, edge = (torch.cat(t) for t in zip(*found, strict=True)) if found else _nothing(device)
    return ViewTexels(camera, index, x, y, weight, edge, (raster.face >= 0).cpu().numpy(), check.pixels, check_uv)


def exposed(avatar: Avatar, texels: TexelBuffer, stride: int = 13, size: int = 384) -> torch.Tensor:
    """Which of every ``stride``-th texel could be seen from outside at all: (S,) bool, cached. Skin under hair and clothes cannot.

    A texel counts when one of 26 orthographic views all around sees it at more than a grazing angle.
    """
    import torch

    key = (*_identity(avatar, texels), stride, size)
    if key in _EXPOSED:
        return _EXPOSED[key]
    thin = replace(texels, position=texels.position[::stride], normal=texels.normal[::stride])
    target, extent = framing(avatar.mesh.positions)
    out = torch.zeros(len(thin.position), dtype=torch.bool, device=texels.position.device)
    around = ((-89, 360), (-45, 45), (0, 45), (45, 45), (89, 360))
    cameras = [Camera(a, e, target, extent, size, size) for e, step in around for a in range(0, 360, step)]
    faces = texels.faces[::stride]
    for view in each(lambda camera: _project(avatar, thin, camera, least=0.12, faces=faces), cameras):
        out[view.index] = True
    _EXPOSED.clear()
    _EXPOSED[key] = out
    return out


def _nothing(device: Any) -> tuple[torch.Tensor, ...]:
    import torch

    empty = torch.zeros(0, device=device)
    return empty.long(), empty, empty, empty, empty.to(torch.uint8)


def forget() -> None:
    """Empty the caches (benchmarks of a cold bake)."""
    _CACHE.clear()
    _EXPOSED.clear()

