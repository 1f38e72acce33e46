"""Colours for texels that no view saw: the mirrored side, then the paint carried over with the views' own tint, along the surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .model import Mesh
from .palette import Palette
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
    """Texels, as those that no view saw: ``pixels`` (N,) int64 in the atlas, ``faces`` (N,) int64, ``bary`` (N, 3) float32."""

    pixels: torch.Tensor
    faces: torch.Tensor
    bary: torch.Tensor

    def at(self, index: torch.Tensor) -> Unseen:
        """Those that ``index`` (K,) int64 lists."""
        import torch

        return Unseen(*(torch.index_select(t, 0, index) for t in (self.pixels, self.faces, self.bary)))


class Mirror:
    """Where the other side of each place of a mesh lies in the atlas."""

    def __init__(self, mesh: Mesh, device: Any) -> None:
        import torch

        self._allowed = torch.as_tensor(mirror_faces(mesh), device=device)
        corners = (
            mesh.uvs[:0] if mesh.mirror is None else mesh.uvs[np.where(mesh.mirror >= 0, mesh.mirror, 0)][mesh.faces]
        )
        self._corners = torch.as_tensor(corners.reshape(-1, 6), device=device)

    def fill(self, unseen: Unseen, atlas: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Copy the colours of ``known`` (S·S,) bool texels to unseen ones at (-x, y, z): changes ``atlas`` (S·S, 3), returns (N,) bool
        of what was filled."""
        import torch

        size = round(len(atlas) ** 0.5)
        filled = torch.zeros(len(unseen.pixels), dtype=torch.bool, device=atlas.device)
        for part in chunks(len(filled) if len(self._corners) else 0, atlas.device):
            face, bary = unseen.faces[part], unseen.bary[part] * size
            corner = torch.index_select(self._corners, 0, face)
            place = corner[:, :2] * bary[:, :1] + corner[:, 2:4] * bary[:, 1:2] + corner[:, 4:] * bary[:, 2:]
            place = place.long().clamp_(0, size - 1)
            source = place[:, 1] * size + place[:, 0]
            good = torch.index_select(known, 0, source) & torch.index_select(self._allowed, 0, face)
            chosen = torch.nonzero(good).squeeze(1)
            source = torch.index_select(source, 0, chosen)
            atlas[torch.index_select(unseen.pixels[part], 0, chosen)] = torch.index_select(atlas, 0, source)
            filled[part] = good
        return filled


@dataclass
class Continuation:
    """What fills the rest: ``field`` (V, 3) continued over the surface from the border of what was seen, where ``reached`` (F,) bool;
    added to the paint in the colours of the pictures (``palette``, parts (F,)), or taken as it is without one."""

    field: torch.Tensor
    reached: torch.Tensor
    part: torch.Tensor
    palette: Palette | None

    @property
    def way(self) -> str:
        """ "paint" or "surface"."""
        return "surface" if self.palette is None else "paint"


def continuation(
    texels: TexelBuffer,
    graph: SurfaceGraph,
    color: torch.Tensor,
    trust: torch.Tensor,
    paint: torch.Tensor,
    part: np.ndarray,
    follow: str = "auto",
) -> Continuation:
    """How to fill what has no ``trust`` (C,) 0..1 of a coarse atlas with ``color`` (C, 3). ``part`` (F,) numbers the parts of the figure.

    ``"paint"``: the paint (C, 3) with every colour changed as the pictures changed it where they were seen, plus what is left of the
    difference, continued harmonically from the border of the unseen area. ``"surface"``: the picture's own colours continued the same
    way. ``"auto"`` takes the paint where it tells what the pictures show.
    """
    import torch

    device = color.device
    parts = torch.as_tensor(part, device=device).long()
    palette, base = None, torch.zeros_like(paint)
    known = trust > 0
    if follow != "surface" and bool(known.any()):
        of = parts[texels.faces]
        palette = Palette(of[known], paint[known], color[known], trust[known], int(part.max()) + 1)
        base = palette.apply(of, paint)
        if follow == "auto" and not _tells(color[known], base[known]):
            palette, base = None, torch.zeros_like(paint)
    triangles = texels.triangles.cpu().numpy()
    # only triangles with unseen texels, and their neighbours, matter; a triangle without a coarse texel counts as unseen
    open_face = np.ones(len(triangles), bool)
    open_face[texels.faces[known].cpu().numpy()] = False
    open_face[texels.faces[~known].cpu().numpy()] = True
    touched = np.zeros(graph.count, bool)
    touched[graph.point[triangles[open_face]]] = True
    near = touched[graph.point[triangles]].any(1)
    chosen = torch.nonzero(known & torch.as_tensor(near, device=device)[texels.faces]).squeeze(1)
    bary = texels.bary[chosen].cpu().numpy().astype(np.float64)
    bary *= bary * bary
    vertices = triangles[texels.faces[chosen].cpu().numpy()]
    weight = trust[chosen, None]
    values, mass = graph.gather(
        vertices, bary, torch.cat([(color[chosen] - base[chosen]) * weight, weight], 1).cpu().numpy()
    )
    field = values[:, :3] / np.maximum(values[:, 3:], 1e-12)
    region = np.zeros(graph.count, bool)
    region[graph.point[triangles[near]]] = True
    field, reached = graph.extend(field, np.where(mass > 1e-3, values[:, 3], 0), region)
    lit = reached[graph.point][triangles].all(1)
    return Continuation(
        torch.as_tensor(graph.to_vertices(field), device=device), torch.as_tensor(lit, device=device), parts, palette
    )


def fill_surface(unseen: Unseen, triangles: torch.Tensor, atlas: torch.Tensor, rest: Continuation) -> None:
    """Fill ``unseen`` texels of ``atlas`` (S·S, 3), which holds the paint there."""
    import torch

    table = rest.field[triangles].reshape(len(triangles), 9)
    for part in chunks(len(unseen.pixels), atlas.device):
        face, bary, pixel = unseen.faces[part], unseen.bary[part], unseen.pixels[part]
        corner = torch.index_select(table, 0, face)
        value = corner[:, :3] * bary[:, :1] + corner[:, 3:6] * bary[:, 1:2] + corner[:, 6:] * bary[:, 2:]
        base = torch.index_select(atlas, 0, pixel)
        if rest.palette is not None:
            base = rest.palette.apply(torch.index_select(rest.part, 0, face), base)
            value += base
        reached = torch.index_select(rest.reached, 0, face)
        atlas[pixel] = torch.where(reached[:, None], value, base).clamp_(0, 1)


def _tells(picture: torch.Tensor, paint: torch.Tensor) -> bool:
    """Whether the recoloured paint explains at least half of what varies in the picture, or nothing varies."""
    step = max(1, len(picture) // 50_000)
    a, b = picture[::step].cpu().numpy().astype(np.float64), paint[::step].cpu().numpy().astype(np.float64)
    spread = float(((a - a.mean(0)) ** 2).mean())
    return spread < 0.02**2 or float(((a - b) ** 2).mean()) < 0.5 * spread
