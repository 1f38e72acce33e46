"""The surface seen from its texture: which triangle, where and which way, for every texel of the atlas."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .model import Mesh
from .raster import Raster, rasterize
from .workers import single_threaded

if TYPE_CHECKING:
    import torch

_CACHE: OrderedDict[tuple[str, int, str], TexelBuffer] = OrderedDict()
_CACHE_ENTRIES = 2


@dataclass
class TexelBuffer:
    """The covered texels of a ``size``² atlas, in row order (lists of length C, see :class:`~.raster.Raster`)."""

    key: str  # digest of the mesh and the triangles that were drawn
    raster: Raster
    triangles: torch.Tensor  # (F, 3) int64
    position: torch.Tensor  # (C, 3) float32 metres, rest pose
    normal: torch.Tensor  # (C, 3) float32 unit

    @property
    def size(self) -> int:
        return self.raster.width

    @property
    def pixels(self) -> torch.Tensor:
        """(C,) int64: row * size + column."""
        return self.raster.pixels

    @property
    def faces(self) -> torch.Tensor:
        """(C,) int64 triangle of each covered texel."""
        return self.raster.faces

    @property
    def bary(self) -> torch.Tensor:
        """(C, 3) float32 barycentric coordinates."""
        return self.raster.bary

    def at(self, values: Any) -> torch.Tensor:
        """Vertex values (V, K) at the covered texels (C, K)."""
        import torch

        return self.raster.interpolate(torch.as_tensor(values, device=self.triangles.device), self.triangles)

    def image(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Texel values (C, K) as a (size, size, K) image; texels outside every chart get ``fill``."""
        return self.raster.image(values, fill)


def mesh_digest(mesh: Mesh) -> str:
    """sha256 of what a texel buffer depends on: positions, normals, UVs and faces."""
    digest = hashlib.sha256()
    for array in (mesh.positions, mesh.normals, mesh.uvs, mesh.faces):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@single_threaded
def texel_gbuffer(mesh: Mesh, size: int, keep: np.ndarray | None = None, device: Any = "cpu", cache: bool = True) -> TexelBuffer:
    """Position, normal, triangle and barycentrics of every texel of a ``size``² atlas; the last two results are kept.

    ``keep`` (F,) bool: the triangles that use this atlas (default all). Where charts overlap the lower triangle index wins.
    """
    import torch

    name = mesh_digest(mesh) + ("" if keep is None else hashlib.sha256(np.packbits(keep).tobytes()).hexdigest())
    key = (name, size, str(device))
    if cache and key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key]
    points = np.zeros((len(mesh.uvs), 3))
    points[:, :2] = mesh.uvs.astype(np.float64) * size
    raster = rasterize(points, mesh.faces, size, size, keep=keep, grow=True, device=device)
    triangles = torch.as_tensor(mesh.faces, device=device).long()
    position = raster.interpolate(torch.as_tensor(mesh.positions, device=device), triangles)
    normal = raster.interpolate(torch.as_tensor(mesh.normals, device=device), triangles)
    normal = normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-9)
    buffer = TexelBuffer(name, raster, triangles, position, normal)
    if cache:
        _CACHE[key] = buffer
        while len(_CACHE) > _CACHE_ENTRIES:
            _CACHE.popitem(last=False)
    return buffer
