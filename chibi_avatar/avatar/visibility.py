"""Which texels a view sees, where in the picture, and how far to trust it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .camera import Camera, directions, framing
from .gbuffer import covering, gbuffer
from .model import Avatar
from .raster import chunks
from .registration import Silhouette
from .surface import surface_graph
from .texels import TexelBuffer, mesh_digest
from .workers import each

if TYPE_CHECKING:
    import torch

MIN_FACING = (
    0.02  # cosine below which a picture says nothing about a surface (89°); cos⁴ leaves the rest to better views
)
RAMP = 4  # pixels next to a silhouette that are trusted less
_SNAPPED = 0.02  # trust of a texel whose four neighbouring pixels are not all its own surface
_OTHER_FACE = 1e-3  # trust in views from the side for the face, where a front view has it
_NEAR, _STEEP = (
    1.2,
    0.35,
)  # how far behind the seen surface a texel may lie: pixels, and pixels per unit of its own slope
_SMALL = 8.0  # pixels²: twice the size of a triangle that may lie between the centres of pixels
_STEEPEST = 8.0  # slope beyond which a surface counts as edge-on
AROUND = 24  # directions, spread evenly, from which an avatar may be looked at; eight times as many change the share seen by 0.2 % at most
_AROUND_SIZE = 192  # pixels of those looks
_LOOKS: OrderedDict[tuple, Look] = OrderedDict()
_LOOK_ENTRIES = 12
_SIGHT: dict[tuple, np.ndarray] = {}


@dataclass
class Look:
    """What one camera sees of an avatar at rest. H·W lists are pictures in row order."""

    camera: Camera
    silhouette: Silhouette  # of the guide
    depth: torch.Tensor  # (H·W,) float32 metres along the view, inf where nothing is or an overlay hides it
    piece: torch.Tensor  # (H·W,) int32, which piece of the mesh is seen; -1 where nothing is
    edge: torch.Tensor  # (H·W,) uint8 pixels to the nearest silhouette or depth edge, at most RAMP
    slope: torch.Tensor  # (F, 4) float32: each triangle's depth per pixel to the right and down, its least and greatest depth, as on the screen
    drawn: torch.Tensor  # (F,) bool: triangles that this view may paint
    pieces: torch.Tensor  # (F,) int32: of which piece each triangle is, see :meth:`.surface.SurfaceGraph.pieces`
    side_face: torch.Tensor | None  # (F,) bool: the face, when this view sees it from the side
    pixels: torch.Tensor  # (N,) int64, the pixels away from depth edges
    uv: torch.Tensor  # (N, 2) float32, where they lie in the atlas


@dataclass
class ViewTexels:
    """What one view contributes. ``index`` (K,) into the texel list; ``place`` (K, 2) float32 picture coordinates; ``weight`` (K,) > 0;
    ``edge`` (K,) uint8 pixels to the nearest silhouette or depth edge, at most RAMP."""

    index: torch.Tensor
    place: torch.Tensor
    weight: torch.Tensor
    edge: torch.Tensor

    def only(self, chosen: torch.Tensor) -> ViewTexels:
        """The texels that ``chosen`` (K,) bool marks."""
        import torch

        index = torch.nonzero(chosen).squeeze(1)
        return ViewTexels(*(torch.index_select(t, 0, index) for t in (self.index, self.place, self.weight, self.edge)))

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.index, self.place, self.weight, self.edge))


def identity(avatar: Avatar) -> tuple:
    """What sight depends on, but for the camera."""
    labels = hashlib.sha256(avatar.mesh.face_material.tobytes() + avatar.mesh.face_part.tobytes())
    if avatar.mesh.weld is not None:
        labels.update(np.ascontiguousarray(avatar.mesh.weld).data)
    for material in avatar.materials:
        if material.alpha_mode != "OPAQUE" and material.texture is not None:
            pixels = avatar.textures[material.texture].pixels
            if pixels is not None and pixels.shape[2] == 4:
                labels.update(np.ascontiguousarray(pixels[:, :, 3]).data)
    kinds = tuple((m.alpha_mode, m.alpha_cutoff, m.color[3], m.double_sided, m.texture) for m in avatar.materials)
    return mesh_digest(avatar.mesh), labels.hexdigest(), kinds, tuple(avatar.parts), avatar.atlas


def look_all(avatar: Avatar, cameras: Sequence[Camera], atlas: np.ndarray | None, device: Any) -> list[Look]:
    """What each camera sees; the last results are kept. ``atlas`` (F,) bool: the triangles painted from the atlas, None for all."""
    who = (*identity(avatar), None if atlas is None else atlas.tobytes(), str(device))
    keys = [(*who, camera) for camera in cameras]
    missing = [camera for key, camera in zip(keys, cameras, strict=True) if key not in _LOOKS]
    own = surface_graph(avatar.mesh).pieces(avatar.mesh.faces) if missing else None
    made = dict(zip(missing, each(lambda camera: _look(avatar, camera, atlas, own, device), missing), strict=True))
    results = [_LOOKS.pop(key) if key in _LOOKS else made[camera] for key, camera in zip(keys, cameras, strict=True)]
    if str(device) == "cpu":
        _LOOKS.update(zip(keys, results, strict=True))
    while len(_LOOKS) > _LOOK_ENTRIES:
        _LOOKS.popitem(last=False)
    return results


def _look(avatar: Avatar, camera: Camera, atlas: np.ndarray | None, own: np.ndarray, device: Any) -> Look:
    import torch

    mesh = avatar.mesh
    buffer = gbuffer(avatar, mesh.positions, mesh.normals, camera, device=device)
    raster = buffer.raster
    away = raster.image(buffer.at(buffer.away[:, None])[:, 0], float("inf"))
    # depth over the picture as a plane per triangle, exact where it is linear: along the view, or one over it in perspective
    corners = camera.project(mesh.positions)[0][mesh.faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    right = (first[:, 2] * second[:, 1] - second[:, 2] * first[:, 1]) / area
    down = (second[:, 2] * first[:, 0] - first[:, 2] * second[:, 0]) / area
    plane = np.stack([right, down, corners[:, :, 2].min(1), corners[:, :, 2].max(1)], 1)
    slope = torch.as_tensor(np.nan_to_num(plane).astype(np.float32), device=device)
    seen = slope[raster.faces]
    steep = seen[:, :2].norm(dim=1)
    if camera.fov:
        steep = steep * away.reshape(-1)[raster.pixels] ** 2
    limit = raster.image(2 * steep.clamp(max=20 * camera.pixel) + 1.5 * camera.pixel, 0.0)
    edge = _edge_steps(away, limit)
    hidden = covering(avatar, buffer)
    depth = away.reshape(-1)
    if hidden is not None:
        depth = torch.where(hidden.reshape(-1), torch.full_like(depth, float("inf")), depth)
    drawn = torch.as_tensor(_near_seen(mesh.faces, raster.faces.cpu().numpy(), area), device=device)
    if atlas is not None:
        drawn &= torch.as_tensor(atlas, device=device)
    good = (edge.reshape(-1)[raster.pixels] > 0) & drawn[raster.faces] & torch.isfinite(depth[raster.pixels])
    inner = torch.nonzero(good).squeeze(1)
    uv = buffer.at(mesh.uvs)[inner]
    side_face = None
    if "face" in avatar.parts and camera.axes[2][2] < 0.6:
        side_face = torch.as_tensor(mesh.face_part == avatar.parts.index("face"), device=device)
    silhouette = Silhouette((raster.face >= 0).cpu().numpy())
    piece = torch.as_tensor(own, device=device)
    seen = raster.image(piece[raster.faces], -1).reshape(-1)
    return Look(
        camera, silhouette, depth, seen, edge.reshape(-1), slope, drawn, piece, side_face, raster.pixels[inner], uv
    )


def _near_seen(faces: np.ndarray, seen: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(F,) bool: triangles that a picture shows (``seen`` lists them), their neighbours, and those that a picture may pass over because
    they are small (``area`` (F,) twice their size in pixels²). All others are behind something."""
    touched = np.zeros(int(faces.max(initial=-1)) + 1, bool)
    touched[faces[np.unique(seen)]] = True
    return touched[faces].any(1) | (np.abs(area) < _SMALL)


def _edge_steps(away: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """Pixels to the nearest jump in depth: (H, W) uint8, 0 beside it, at most RAMP."""
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
    steps = torch.where(edge, 0, RAMP).to(torch.uint8)
    for step in range(1, RAMP):
        wide = edge.clone()
        wide[1:] |= edge[:-1]
        wide[:-1] |= edge[1:]
        edge = wide.clone()
        edge[:, 1:] |= wide[:, :-1]
        edge[:, :-1] |= wide[:, 1:]
        steps[edge & (steps > step)] = step
    return steps


def _priority(camera: Camera) -> float:
    back = camera.axes[2]
    return 0.72 + 0.2 * back[2] ** 2 + (0.08 if back[2] > 0.5 else 0.0)


def project(look: Look, texels: TexelBuffer, surface: tuple[torch.Tensor, torch.Tensor]) -> ViewTexels:
    """The texels that ``look`` sees: their triangle's own plane, at the centre of the pixel they fall into, must be what the camera
    sees there. ``surface`` is ``texels.surface()``. Weighted by angle (cos⁴), distance to depth edges and view (front before back before sides).
    """
    import torch

    camera = look.camera
    height, width = camera.height, camera.width
    depth = look.depth
    device = depth.device
    axes = torch.tensor(camera.axes, dtype=torch.float32, device=device)
    target = torch.tensor(camera.target, dtype=torch.float32, device=device)
    eye = torch.tensor(camera.position, dtype=torch.float32, device=device)
    scale = camera.height / camera.extent
    priority = _priority(camera)
    found: list[tuple[torch.Tensor, ...]] = []
    position, normals = surface
    for part in chunks(len(position), device):
        # most of an atlas is on the other side, or under something else
        chosen = torch.nonzero(torch.index_select(look.drawn, 0, texels.faces[part])).squeeze(1) + part.start
        place, normal = torch.index_select(position, 0, chosen), torch.index_select(normals, 0, chosen)
        if camera.fov:
            toward = eye - place
            toward = toward / toward.norm(dim=1, keepdim=True)
            facing = (toward * normal).sum(1)
        else:
            facing = normal @ axes[2]
        front = torch.nonzero(facing > MIN_FACING).squeeze(1)
        if not len(front):
            continue
        chosen, place, facing = chosen[front], torch.index_select(place, 0, front), facing[front]
        face = torch.index_select(texels.faces, 0, chosen)
        view = (place - target) @ axes.T
        far = camera.distance - view[:, 2]
        zoom = scale * camera.distance / far if camera.fov else scale
        x = width / 2 + view[:, 0] * zoom
        y = height / 2 - view[:, 1] * zoom
        plane = torch.index_select(look.slope, 0, face)
        steep = torch.hypot(plane[:, 0], plane[:, 1])
        own = -1 / far if camera.fov else far
        if camera.fov:
            steep = steep * far * far
        bound = camera.pixel * _NEAR + _STEEP * steep.clamp(max=_STEEPEST * camera.pixel)
        column, row = x.long().clamp_(0, width - 1), y.long().clamp_(0, height - 1)

        def lies(column: torch.Tensor, row: torch.Tensor, own: Any, x: Any, y: Any, plane: Any, bound: Any) -> Any:
            """Whether the surface through (x, y, own) is what pixels (column, row) see."""
            there = own + plane[:, 0] * (column + 0.5 - x) + plane[:, 1] * (row + 0.5 - y)
            there = torch.minimum(torch.maximum(there, plane[:, 2]), plane[:, 3])
            if camera.fov:
                there = -1 / there
            return (there - torch.index_select(depth, 0, row * width + column)).abs_() <= bound

        seen = (x > 0) & (y > 0) & (x < width) & (y < height) & lies(column, row, own, x, y, plane, bound)
        # layers that touch hide each other although neither lies behind
        seen &= torch.index_select(look.piece, 0, row * width + column) == torch.index_select(look.pieces, 0, face)
        kept = torch.nonzero(seen).squeeze(1)
        if not len(kept):
            continue
        chosen, facing, face, x, y, own, plane, bound, column, row = (
            t[kept] for t in (chosen, facing, face, x, y, own, plane, bound, column, row)
        )
        # are all four pixels that bilinear sampling would read this very surface?
        pixel = row * width + column
        edge = torch.index_select(look.edge, 0, pixel)
        left, top = (x - 0.5).floor().long().clamp_(0, width - 2), (y - 0.5).floor().long().clamp_(0, height - 2)
        clean = edge > 1
        rim = torch.nonzero(~clean).squeeze(1)
        if len(rim):
            fine = torch.ones_like(rim, dtype=torch.bool)
            at = (own[rim], x[rim], y[rim], plane[rim], bound[rim])
            for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                fine &= lies(left[rim] + dx, top[rim] + dy, *at)
            clean[rim] = fine
        x = torch.where(clean, x, column + 0.5)
        y = torch.where(clean, y, row + 0.5)
        square = facing * facing
        trust = (edge.float() + 0.5).clamp_(max=RAMP) / RAMP
        weight = square * square * trust * priority
        weight = torch.where(clean, weight, weight * _SNAPPED).clamp_(min=1e-7)
        if look.side_face is not None:
            weight = torch.where(look.side_face[face], weight * _OTHER_FACE, weight)
        found.append((chosen, torch.stack([x, y], 1), weight, edge))
    if not found:
        empty = torch.zeros(0, device=device)
        return ViewTexels(empty.long(), empty.view(0, 2), empty, empty.to(torch.uint8))
    return ViewTexels(*(torch.cat(t) for t in zip(*found, strict=True)))


def sight(avatar: Avatar, atlas: np.ndarray | None, device: Any = "cpu") -> np.ndarray:
    """Where in the atlas those look who look at the avatar from all around: (N, 2) float32 UV, one for every pixel of AROUND pictures
    from directions spread evenly over the sphere. Kept for the last avatar. ``atlas`` as for :func:`look_all`."""
    key = (*identity(avatar), None if atlas is None else atlas.tobytes())
    if key in _SIGHT:
        return _SIGHT[key]
    target, extent = framing(avatar.mesh.positions)

    def seen(direction: tuple[float, float]) -> np.ndarray:
        camera = Camera(*direction, target, extent, _AROUND_SIZE, _AROUND_SIZE)
        buffer = gbuffer(avatar, avatar.mesh.positions, avatar.mesh.normals, camera, device=device)
        uv = buffer.at(avatar.mesh.uvs).cpu().numpy()
        return uv if atlas is None else uv[atlas[buffer.raster.faces.cpu().numpy()]]

    points = np.concatenate(each(seen, directions(AROUND)))
    _SIGHT.clear()
    _SIGHT[key] = points
    return points


def forget() -> None:
    """Empty the caches (benchmarks of a cold bake)."""
    _LOOKS.clear()
    _SIGHT.clear()
