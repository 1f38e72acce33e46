"""Colours for texels that no view saw: the mirrored side, then the paint carried over with the views' own tint, along the surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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


@dataclass
class Unseen:
    """Texels that no view saw: ``pixels`` (N,) int64 in the atlas, ``faces`` (N,) int64, ``bary`` (N, 3) float32."""

    pixels: torch.Tensor
    faces: torch.Tensor
    bary: torch.Tensor

    def only(self, chosen: torch.Tensor) -> Unseen:
        """Those that ``chosen`` (N,) bool marks."""
        return Unseen(self.pixels[chosen], self.faces[chosen], self.bary[chosen])


def fill_mirror(unseen: Unseen, mesh: Mesh, atlas: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Copy the colours of ``known`` (S·S,) bool texels to unseen ones at (-x, y, z): changes ``atlas`` (S·S, 3), returns (N,) bool of
    what was filled."""
    import torch

    device = atlas.device
    size = round(len(atlas) ** 0.5)
    filled = torch.zeros(len(unseen.pixels), dtype=torch.bool, device=device)
    allowed = torch.as_tensor(mirror_faces(mesh), device=device)
    if not bool(allowed.any()):
        return filled
    partner = torch.as_tensor(np.where(mesh.mirror >= 0, mesh.mirror, 0), device=device).long()
    faces = torch.as_tensor(mesh.faces, device=device).long()
    uv = torch.as_tensor(mesh.uvs, device=device)[partner][faces].reshape(-1, 6) * size
    for part in chunks(len(filled), device):
        face, bary = unseen.faces[part], unseen.bary[part]
        corner = torch.index_select(uv, 0, face)
        place = corner[:, :2] * bary[:, :1] + corner[:, 2:4] * bary[:, 1:2] + corner[:, 4:] * bary[:, 2:]
        place = place.long().clamp_(0, size - 1)
        source = place[:, 1] * size + place[:, 0]
        good = known[source] & allowed[face]
        atlas[unseen.pixels[part][good]] = atlas[source[good]]
        filled[part] = good
    return filled


@dataclass
class Continuation:
    """What fills the rest: ``field`` (V, 3) continued over the surface from the border of what was seen, where ``reached`` (F,) bool;
    added to the paint when ``way`` is "paint", taken as it is when it is "surface"."""

    field: torch.Tensor
    reached: torch.Tensor
    way: str


def continuation(
    texels: TexelBuffer,
    graph: SurfaceGraph,
    color: torch.Tensor,
    known: torch.Tensor,
    paint: torch.Tensor,
    follow: str = "auto",
) -> Continuation:
    """How to fill what is not ``known`` (C,) of a coarse atlas with ``color`` (C, 3).

    ``"paint"``: the paint (C, 3) plus the difference between picture and paint, continued harmonically from the border of the unseen
    area. ``"surface"``: the picture's own colours continued the same way. ``"auto"`` takes the paint where it resembles the picture.
    """
    import torch

    device = color.device
    if follow == "auto":
        follow = "paint" if _resembles(color[known], paint[known]) else "surface"
    triangles = texels.triangles.cpu().numpy()
    base = paint if follow == "paint" else torch.zeros_like(paint)
    # only triangles with unseen texels, and their neighbours, matter; a triangle without a coarse texel counts as unseen
    open_face = np.ones(len(triangles), bool)
    open_face[texels.faces[known].cpu().numpy()] = False
    open_face[texels.faces[~known].cpu().numpy()] = True
    touched = np.zeros(graph.count, bool)
    touched[graph.point[triangles[open_face]]] = True
    near = touched[graph.point[triangles]].any(1)
    chosen = torch.nonzero(known & torch.as_tensor(near, device=device)[texels.faces]).squeeze(1)
    bary = texels.bary[chosen].cpu().numpy().astype(np.float64) ** 3
    vertices = triangles[texels.faces[chosen].cpu().numpy()]
    field, mass = graph.gather(vertices, bary, (color[chosen] - base[chosen]).cpu().numpy())
    region = np.zeros(graph.count, bool)
    region[graph.point[triangles[near]]] = True
    field, reached = graph.extend(field, mass > 1e-3, region)
    lit = reached[graph.point][triangles].all(1)
    return Continuation(
        torch.as_tensor(graph.to_vertices(field), device=device), torch.as_tensor(lit, device=device), follow
    )


def fill_surface(unseen: Unseen, triangles: torch.Tensor, atlas: torch.Tensor, rest: Continuation) -> None:
    """Fill ``unseen`` texels of ``atlas`` (S·S, 3), which holds the paint there."""
    import torch

    table = rest.field[triangles].reshape(len(triangles), 9)
    for part in chunks(len(unseen.pixels), atlas.device):
        face, bary, pixel = unseen.faces[part], unseen.bary[part], unseen.pixels[part]
        corner = torch.index_select(table, 0, face)
        value = corner[:, :3] * bary[:, :1] + corner[:, 3:6] * bary[:, 1:2] + corner[:, 6:] * bary[:, 2:]
        paint = atlas[pixel]
        if rest.way == "paint":
            value += paint
        atlas[pixel] = torch.where(rest.reached[face][:, None], value, paint).clamp_(0, 1)


def _resembles(picture: torch.Tensor, paint: torch.Tensor) -> bool:
    """Whether the paint's structure is the picture's: their colours correlate, or neither has any structure."""
    step = max(1, len(picture) // 50_000)
    a, b = picture[::step].cpu().numpy().astype(np.float64), paint[::step].cpu().numpy().astype(np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    spread = np.sqrt((a * a).sum() * (b * b).sum())
    if np.sqrt((a * a).mean()) < 0.02:
        return True
    return bool(spread > 0 and (a * b).sum() / spread > 0.5)
