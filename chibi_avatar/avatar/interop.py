"""Between avatars and plain textured meshes (what ComfyUI's MESH wire carries: vertices, faces, UVs, one RGB
texture)."""

from __future__ import annotations

import numpy as np

from .model import Avatar, AvatarError, Joint, Material, Mesh, Texture


def from_arrays(
    vertices: np.ndarray, faces: np.ndarray, uvs: np.ndarray | None, texture: np.ndarray | None, name: str = "mesh"
) -> Avatar:
    """An unrigged Avatar: ``vertices`` (V, 3) metres Y up, ``faces`` (F, 3), ``uvs`` (V, 2), ``texture`` (H, W, 3)
    uint8.

    It can be guided, painted and exported as GLB; without bones it cannot be a VRM. Missing UVs need xatlas. Raises
    :class:`AvatarError`.
    """
    vertices = np.ascontiguousarray(vertices, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices) or not np.isfinite(vertices).all():
        raise AvatarError(f"the mesh has no usable vertices (shape {vertices.shape})")
    if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces) or faces.min() < 0 or faces.max() >= len(vertices):
        raise AvatarError(f"the mesh has no usable triangles (shape {faces.shape}, {len(vertices)} vertices)")
    if uvs is not None and (uvs.shape != (len(vertices), 2) or not np.isfinite(uvs).all()):
        raise AvatarError(f"the mesh's UVs have shape {uvs.shape}, expected ({len(vertices)}, 2)")
    count = len(vertices)
    weights = np.zeros((count, 4), np.float32)
    weights[:, 0] = 1
    mesh = Mesh(
        vertices,
        vertex_normals(vertices, faces),
        np.zeros((count, 2), np.float32) if uvs is None else np.ascontiguousarray(uvs, np.float32),
        faces,
        np.zeros(len(faces), np.int32),
        np.zeros(len(faces), np.int32),
        np.zeros((count, 4), np.uint16),
        weights,
    )
    notes = ["the mesh has no bones: it can be painted and saved as GLB, not as VRM"]
    if uvs is None:
        mesh = unwrap(mesh)
        notes.append("the mesh had no UV; a new layout was made with xatlas")
    mesh.weld = weld(mesh.positions)
    pixels = np.full((1024, 1024, 3), 255, np.uint8) if texture is None else np.ascontiguousarray(texture[..., :3])
    return Avatar(
        name,
        mesh,
        [Joint("root", -1, np.zeros(3))],
        [Material("paint", 0)],
        [Texture("atlas", pixels)],
        ["body"],
        meta={"notes": notes},
    )


def to_arrays(avatar: Avatar) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """(vertices (V, 3) float32, faces (F, 3) int64, uvs (V, 2) float32, texture (H, W, 3) uint8 or None).

    Only the triangles that the painted atlas covers, since a MESH has one texture; all of them when there is no
    texture.
    """
    mesh = avatar.mesh
    shown = [m.texture == avatar.atlas for m in avatar.materials]
    keep = np.array(shown, bool)[mesh.face_material]
    faces = mesh.faces[keep] if keep.any() else mesh.faces
    used, inverse = np.unique(faces, return_inverse=True)
    pixels = avatar.textures[avatar.atlas].pixels if keep.any() else None
    texture = None if pixels is None else np.ascontiguousarray(pixels[..., :3])
    return mesh.positions[used], inverse.reshape(-1, 3).astype(np.int64), mesh.uvs[used], texture


def vertex_normals(positions: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, triangles weighted by area; +Z where nothing touches a vertex."""
    p = positions.astype(np.float64)
    flat = np.cross(p[faces[:, 1]] - p[faces[:, 0]], p[faces[:, 2]] - p[faces[:, 0]])
    out = np.zeros_like(p)
    for corner in range(3):
        for axis in range(3):
            out[:, axis] += np.bincount(faces[:, corner], flat[:, axis], len(p))
    lengths = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(lengths > 1e-12, out / np.maximum(lengths, 1e-12), [0.0, 0.0, 1.0]).astype(np.float32)


def weld(positions: np.ndarray) -> np.ndarray:
    """(V,) int32: vertices at the same place (to a micrometre) get the same number."""
    cells = np.round(positions.astype(np.float64) * 1e6).astype(np.int64)
    order = np.lexsort(cells.T)
    sorted_ = cells[order]
    number = np.cumsum(np.concatenate([[0], (sorted_[1:] != sorted_[:-1]).any(axis=1)]))
    out = np.empty(len(cells), np.int32)
    out[order] = number
    return out


def unwrap(mesh: Mesh) -> Mesh:
    """``mesh`` with a new UV layout by xatlas (charts split vertices). Raises :class:`AvatarError` when xatlas is
    not installed."""
    try:
        import xatlas
    except ImportError as error:
        raise AvatarError(
            "the model has no UV layout, so nothing can be painted on it. Unwrap it in your 3D program, "
            "or install xatlas: python -m pip install xatlas"
        ) from error
    remap, faces, uvs = xatlas.parametrize(mesh.positions, mesh.faces)
    return Mesh(
        np.ascontiguousarray(mesh.positions[remap]),
        np.ascontiguousarray(mesh.normals[remap]),
        np.ascontiguousarray(uvs, np.float32),
        faces.astype(np.int32),
        mesh.face_material,
        mesh.face_part,
        np.ascontiguousarray(mesh.joints[remap]),
        np.ascontiguousarray(mesh.weights[remap]),
        {key: np.ascontiguousarray(delta[remap]) for key, delta in mesh.morphs.items()},
    )
