"""The surface seen from its texture: which triangle, where and which way, for every texel of the atlas or of some of its rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .model import Mesh
from .raster import Raster, rasterize
from .workers import single_threaded

if TYPE_CHECKING:
    import torch


@dataclass
class TexelBuffer:
    """The covered texels of rows ``first`` … of a ``size`` texels wide atlas, in row order (lists of length C, see :class:`~.raster.Raster`)."""

    raster: Raster
    triangles: torch.Tensor  # (F, 3) int64
    vertices: torch.Tensor  # (V, 6) float32: position in metres at rest, unit normal
    first: int = 0

    @property
    def size(self) -> int:
        return self.raster.width

    @property
    def pixels(self) -> torch.Tensor:
        """(C,) int64: (row - first) * size + column."""
        return self.raster.pixels

    @property
    def faces(self) -> torch.Tensor:
        """(C,) int64 triangle of each covered texel."""
        return self.raster.faces

    @property
    def bary(self) -> torch.Tensor:
        """(C, 3) float32 barycentric coordinates."""
        return self.raster.bary

    def surface(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Position in metres and unit normal of every covered texel, (C, 3) float32 each; computed anew each time."""
        values = self.raster.interpolate(self.vertices, self.triangles)
        normal = values[:, 3:]
        normal = normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-9)
        return values[:, :3], normal

    def image(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Texel values (C, K) as a (rows, size, K) image; texels outside every chart get ``fill``."""
        return self.raster.image(values, fill)


def mesh_digest(mesh: Mesh) -> str:
    """sha256 of what a texel buffer depends on: positions, normals, UVs and faces."""
    digest = hashlib.sha256()
    for array in (mesh.positions, mesh.normals, mesh.uvs, mesh.faces):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@single_threaded
def texel_gbuffer(
    mesh: Mesh, size: int, keep: np.ndarray | None = None, device: Any = "cpu", rows: tuple[int, int] | None = None
) -> TexelBuffer:
    """Triangle and barycentrics of every texel of a ``size``² atlas, or of its ``rows`` (first, end) alone.

    ``keep`` (F,) bool: the triangles that use this atlas (default all). Where charts overlap the lower triangle index wins.
    """
    import torch

    first, end = rows or (0, size)
    halo = 0 if rows is None else 1  # a border texel may belong to a chart that ends in the next row
    points = np.zeros((len(mesh.uvs), 3))
    points[:, :2] = mesh.uvs.astype(np.float64) * size
    points[:, 1] -= first - halo
    raster = rasterize(points, mesh.faces, size, end - first + 2 * halo, keep=keep, grow=True, device=device)
    if halo:
        raster = _inner_rows(raster)
    vertices = np.concatenate([mesh.positions, mesh.normals], 1).astype(np.float32)
    return TexelBuffer(
        raster,
        torch.as_tensor(mesh.faces, device=device).long(),
        torch.as_tensor(vertices, device=device),
        first,
    )


def _inner_rows(raster: Raster) -> Raster:
    """Without the first and the last row."""
    import torch

    width = raster.width
    ends = torch.tensor([width, raster.face.numel() - width], device=raster.pixels.device)
    start, stop = torch.searchsorted(raster.pixels, ends).tolist()
    inner = slice(start, stop)
    return Raster(raster.face[1:-1], raster.pixels[inner] - width, raster.faces[inner], raster.bary[inner])
