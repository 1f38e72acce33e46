"""Colours for texels that no view saw: the mirrored side, then the paint carried over with the views' own tint, along the surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .blending import field_at
from .model import Mesh
from .raster import chunks
from .surface import SurfaceGraph
from .texels import TexelBuffer

if TYPE_CHECKING:
    import torch


def mirror_faces(mesh: Mesh) -> np.ndarray:
    """(F,) bool: triangles whose mirrored vertices are a triangle of the mesh again."""
    if mesh.mirror is None:
        return np.zeros(len(mesh.faces), bool)
    partner = np.asarray(mesh.mirror)[mesh.faces]
    usable = (partner >= 0).all(1)
    count = len(mesh.positions)

    def code(faces: np.ndarray) -> np.ndarray:
        ordered = np.sort(faces.astype(np.int64), axis=1)
        return (ordered[:, 0] * count + ordered[:, 1]) * count + ordered[:, 2]

    return usable & np.isin(code(partner), code(mesh.faces))


def fill_mirror(texels: TexelBuffer, mesh: Mesh, color: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    """Copy covered colours to uncovered texels at (-x, y, z); changes ``color`` (C, 3), returns (C,) bool of what was filled."""
    import torch

    device = color.device
    filled = torch.zeros_like(covered)
    allowed = torch.as_tensor(mirror_faces(mesh), device=device)
    missing = torch.nonzero(~covered & allowed[texels.faces]).squeeze(1)
    if not len(missing):
        return filled
    size = texels.size
    partner = torch.as_tensor(np.where(mesh.mirror >= 0, mesh.mirror, 0), device=device).long()
    uv = torch.as_tensor(mesh.uvs, device=device)[partner][texels.triangles]  # (F, 3, 2)
    place = (uv[texels.faces[missing]] * texels.bary[missing][:, :, None]).sum(1) * size
    slot = torch.full((size * size,), -1, dtype=torch.int64, device=device)
    slot[texels.pixels] = torch.arange(len(texels.pixels), device=device)
    column, row = place[:, 0].long().clamp_(0, size - 1), place[:, 1].long().clamp_(0, size - 1)
    source = slot[row * size + column]
    good = (source >= 0) & covered[source.clamp(min=0)]
    color[missing[good]] = color[source[good]]
    filled[missing[good]] = True
    return filled


def fill_surface(
    texels: TexelBuffer,
    graph: SurfaceGraph,
    color: torch.Tensor,
    covered: torch.Tensor,
    paint: torch.Tensor,
    follow: str = "auto",
) -> tuple[torch.Tensor, str]:
    """Fill the rest: changes ``color`` (C, 3), returns (C,) bool of what was filled, and the way that was used.

    ``"paint"``: the paint (C, 3) plus the difference between picture and paint, continued harmonically from the border of the unseen
    area. ``"surface"``: the picture's own colours continued the same way. ``"auto"`` takes the paint where it resembles the picture.
    """
    import torch

    missing = ~covered
    if not bool(missing.any()):
        return missing, follow
    if follow == "auto":
        follow = "paint" if _resembles(color[covered], paint[covered]) else "surface"
    base = paint if follow == "paint" else torch.zeros_like(paint)
    # only triangles with unseen texels, and their neighbours, matter
    open_face = torch.zeros(len(texels.triangles), dtype=torch.bool, device=color.device)
    open_face[texels.faces[missing]] = True
    touched = torch.zeros(graph.count, dtype=torch.bool, device=color.device)
    point = torch.as_tensor(graph.point, device=color.device)
    touched[point[texels.triangles[open_face]].reshape(-1)] = True
    near_face = touched[point[texels.triangles]].any(1)
    chosen = torch.nonzero(covered & near_face[texels.faces]).squeeze(1)
    if not len(chosen):
        color[missing] = paint[missing]
        return missing, "paint"
    bary = texels.bary[chosen].cpu().numpy().astype(np.float64) ** 3
    vertices = texels.triangles[texels.faces[chosen]].cpu().numpy()
    field, mass = graph.gather(vertices, bary, (color[chosen] - base[chosen]).cpu().numpy())
    region = np.zeros(graph.count, bool)
    region[graph.point[texels.triangles[near_face].cpu().numpy()]] = True
    field, reached = graph.extend(field, mass > 1e-3, region)
    vertex = torch.as_tensor(graph.to_vertices(field), device=color.device)
    lit = torch.as_tensor(reached[graph.point], device=color.device)
    index = torch.nonzero(missing).squeeze(1)
    lit = lit[texels.triangles].all(1)
    for part in chunks(len(index), color.device):
        chosen = index[part]
        value = field_at(texels, chosen, vertex) + base[chosen]
        color[chosen] = torch.where(lit[texels.faces[chosen]][:, None], value, paint[chosen]).clamp_(0, 1)
    return missing, follow


def _resembles(picture: torch.Tensor, paint: torch.Tensor) -> bool:
    """Whether the paint's structure is the picture's: their colours correlate, or neither has any structure."""
    step = max(1, len(picture) // 50_000)
    a, b = picture[::step].cpu().numpy().astype(np.float64), paint[::step].cpu().numpy().astype(np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    spread = np.sqrt((a * a).sum() * (b * b).sum())
    if np.sqrt((a * a).mean()) < 0.02:
        return True
    return bool(spread > 0 and (a * b).sum() / spread > 0.5)
