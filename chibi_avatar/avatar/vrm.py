"""An Avatar as GLB, VRM 1.0 or VRM 0.x bytes: the parts that all three share. The extensions live in ``vrm1`` and
``vrm0``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .gltf_build import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, Builder
from .licence import Licence
from .model import REQUIRED_BONES, Avatar, AvatarError, Material, Texture
from .png import encode_png

GENERATOR = "Chibi Avatar for ComfyUI"
LINEAR_MIPMAP_LINEAR, LINEAR, REPEAT = 9987, 9729, 10497

Encode = Callable[[Texture], tuple[bytes, str]]


def linear(color: tuple[float, ...]) -> list[float]:
    """sRGB components (alpha, the fourth, unchanged) as linear ones, rounded to 6 places. IEC 61966-2-1."""
    out = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return [round(c, 6) for c in [*out, *color[3:]]]


def encode_texture(texture: Texture) -> tuple[bytes, str]:
    """(bytes, MIME type): a file's own PNG or JPEG where it is unchanged, else PNG: glTF itself knows no other."""
    if texture.encoded is not None and texture.mime in ("image/png", "image/jpeg"):
        return texture.encoded, texture.mime
    if texture.pixels is None:
        raise AvatarError(f"texture {texture.name!r} has neither pixels nor the bytes of a PNG or JPEG")
    return encode_png(texture.pixels), "image/png"


def check_avatar(avatar: Avatar, need_bones: bool) -> None:
    """Raise :class:`AvatarError` for anything that would make a broken file: bad indices, numbers, hierarchy,
    missing bones."""
    mesh, count = avatar.mesh, len(avatar.mesh.positions)
    if not count or not len(mesh.faces):
        raise AvatarError(f"avatar {avatar.name!r} has no triangles")
    for name, values in (
        ("positions", mesh.positions),
        ("normals", mesh.normals),
        ("uvs", mesh.uvs),
        ("weights", mesh.weights),
    ):
        if len(values) != count or not np.isfinite(values).all():
            raise AvatarError(f"avatar {avatar.name!r}: {name} must be {count} rows of finite numbers")
    if mesh.faces.min() < 0 or mesh.faces.max() >= count:
        raise AvatarError(f"avatar {avatar.name!r}: a triangle points past the {count} vertices")
    if (
        len(mesh.face_material) != len(mesh.faces)
        or mesh.face_material.min() < 0
        or mesh.face_material.max() >= len(avatar.materials)
    ):
        raise AvatarError(f"avatar {avatar.name!r}: face_material does not fit the {len(avatar.materials)} materials")
    if len(mesh.joints) != count or int(mesh.joints.max()) >= len(avatar.joints):
        raise AvatarError(f"avatar {avatar.name!r}: a vertex is bound to a joint that does not exist")
    for name, delta in mesh.morphs.items():
        if delta.shape != (count, 3) or not np.isfinite(delta).all():
            raise AvatarError(f"avatar {avatar.name!r}: morph {name!r} must be {count} rows of 3 finite numbers")
    for index, joint in enumerate(avatar.joints):
        if not -1 <= joint.parent < index:
            raise AvatarError(f"avatar {avatar.name!r}: joint {joint.name!r} must come after its parent")
    for material in avatar.materials:
        if material.texture is not None and not 0 <= material.texture < len(avatar.textures):
            raise AvatarError(
                f"avatar {avatar.name!r}: material {material.name!r} uses texture {material.texture}, "
                "which does not exist"
            )
    for expression in avatar.expressions:
        missing = sorted(set(expression.morphs) - set(mesh.morphs))
        if missing:
            raise AvatarError(
                f"avatar {avatar.name!r}: expression {expression.name!r} uses missing morphs {', '.join(missing)}"
            )
    missing = [bone for bone in REQUIRED_BONES if all(joint.bone != bone for joint in avatar.joints)]
    if need_bones and missing:
        raise AvatarError(
            f"avatar {avatar.name!r} cannot be a VRM, it lacks the bones {', '.join(missing)}; export it as GLB"
        )


def write_glb_avatar(avatar: Avatar, licence: Licence, encode: Encode = encode_texture) -> bytes:
    """A plain glTF 2.0 binary: skinned, with morph targets and unlit materials, facing +Z. Deterministic."""
    check_avatar(avatar, need_bones=False)
    builder, _ = _common(avatar, licence, False, encode)
    return builder.finish()


def write_vrm(
    avatar: Avatar,
    licence: Licence,
    version: str = "1.0",
    thumbnail: bytes | None = None,
    encode: Encode = encode_texture,
) -> bytes:
    """The avatar as VRM bytes. ``version`` is "1.0" or "0.x"; ``thumbnail`` is a square PNG or JPEG. Deterministic."""
    from . import vrm0, vrm1

    writers = {"1.0": vrm1.add_vrm1, "0.x": vrm0.add_vrm0}
    if version not in writers:
        raise AvatarError(f"VRM version {version!r} is not one of {', '.join(writers)}")
    check_avatar(avatar, need_bones=True)
    builder, layout = _common(avatar, licence, version == "0.x", encode)
    image = None
    if thumbnail is not None:
        image = builder.image(thumbnail, "image/png" if thumbnail[:4] == b"\x89PNG" else "image/jpeg", "thumbnail")
    writers[version](builder, avatar, licence, layout, image)
    return builder.finish()


class Layout:
    """Where the common parts ended up: node of each joint, the mesh node, the morph order, the texture index of each
    texture."""

    def __init__(self, nodes: list[int], mesh_node: int, morphs: list[str], textures: list[int]) -> None:
        self.nodes, self.mesh_node, self.morphs, self.textures = nodes, mesh_node, morphs, textures


def _common(avatar: Avatar, licence: Licence, turned: bool, encode: Encode) -> tuple[Builder, Layout]:
    """Everything but the VRM extension; the copyright notice too, for which VRM 0.x has no field. ``turned`` rotates
    the geometry by 180° about Y, as VRM 0.x wants (it faces −Z)."""
    builder = Builder(GENERATOR)
    if licence.copyright:
        builder.document["asset"]["copyright"] = licence.copyright
    flip = np.array([-1, 1, -1] if turned else [1, 1, 1], np.float32)
    nodes = _skeleton(builder, avatar, flip.astype(np.float64))
    textures = []
    for texture in avatar.textures:
        data, mime = encode(texture)
        source = builder.image(data, mime, texture.name)
        if not builder.document.get("samplers"):
            builder.add(
                "samplers", {"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, "wrapS": REPEAT, "wrapT": REPEAT}
            )
        textures.append(builder.add("textures", {"sampler": 0, "source": source, "name": texture.name}))
    for material in avatar.materials:
        builder.add("materials", _material(material, textures))
    builder.use_extension("KHR_materials_unlit")
    morphs = list(avatar.mesh.morphs)
    mesh_index = _mesh(builder, avatar, flip)
    skin = _skin(builder, avatar, nodes, flip)
    mesh_node = builder.add("nodes", {"name": "Avatar", "mesh": mesh_index, "skin": skin})
    roots = [nodes[i] for i, joint in enumerate(avatar.joints) if joint.parent < 0]
    builder.document["scenes"] = [{"nodes": [*roots, mesh_node]}]
    builder.document["scene"] = 0
    return builder, Layout(nodes, mesh_node, morphs, textures)


def _skeleton(builder: Builder, avatar: Avatar, flip: np.ndarray) -> list[int]:
    nodes = []
    for joint in avatar.joints:
        origin = avatar.joints[joint.parent].position if joint.parent >= 0 else np.zeros(3)
        offset = (np.asarray(joint.position, np.float64) - np.asarray(origin, np.float64)) * flip
        nodes.append(
            builder.add("nodes", {"name": joint.name, "translation": [round(float(v), 7) + 0.0 for v in offset]})
        )
    for index, joint in enumerate(avatar.joints):
        if joint.parent >= 0:
            builder.document["nodes"][nodes[joint.parent]].setdefault("children", []).append(nodes[index])
    return nodes


def _material(material: Material, textures: list[int]) -> dict[str, Any]:
    surface: dict[str, Any] = {"baseColorFactor": linear(material.color), "metallicFactor": 0.0, "roughnessFactor": 0.9}
    if material.texture is not None:
        surface["baseColorTexture"] = {"index": textures[material.texture]}
    entry: dict[str, Any] = {"name": material.name, "pbrMetallicRoughness": surface}
    if material.alpha_mode != "OPAQUE":
        entry["alphaMode"] = material.alpha_mode
    if material.alpha_mode == "MASK":
        entry["alphaCutoff"] = material.alpha_cutoff
    if material.double_sided:
        entry["doubleSided"] = True
    entry["extensions"] = {"KHR_materials_unlit": {}}
    return entry


def _mesh(builder: Builder, avatar: Avatar, flip: np.ndarray) -> int:
    """One mesh; a primitive per material, all on the same vertex accessors."""
    mesh = avatar.mesh
    positions = mesh.positions.astype(np.float32) * flip + np.float32(0.0)
    lengths = np.linalg.norm(mesh.normals, axis=1, keepdims=True)
    normals = np.where(lengths > 1e-6, mesh.normals / np.maximum(lengths, 1e-6), np.array([0, 0, 1], np.float32))
    weights = _merged(mesh.joints, np.maximum(mesh.weights.astype(np.float32), 0.0))
    totals = weights.sum(axis=1, keepdims=True)
    weights = np.where(totals > 0, weights / np.maximum(totals, 1e-12), np.array([1, 0, 0, 0], np.float32))
    joints = np.where(weights > 0, mesh.joints, 0)
    joints = joints.astype(np.uint8 if len(avatar.joints) <= 256 else np.uint16)
    attributes = {
        "POSITION": builder.accessor(positions, "VEC3", ARRAY_BUFFER, bounds=True),
        "NORMAL": builder.accessor((normals * flip + 0.0).astype(np.float32), "VEC3", ARRAY_BUFFER),
        "TEXCOORD_0": builder.accessor(mesh.uvs.astype(np.float32), "VEC2", ARRAY_BUFFER),
        "JOINTS_0": builder.accessor(joints, "VEC4", ARRAY_BUFFER),
        "WEIGHTS_0": builder.accessor(weights.astype(np.float32), "VEC4", ARRAY_BUFFER),
    }
    targets = []
    for delta in mesh.morphs.values():
        moved = delta.astype(np.float32) * flip + np.float32(0.0)
        rows = np.flatnonzero(np.abs(moved).max(axis=1) > 1e-6)
        kept = np.zeros_like(moved)
        kept[rows] = moved[rows]
        targets.append({"POSITION": builder.sparse(kept, "VEC3", rows)})
    index_type = np.uint16 if len(positions) < 65535 else np.uint32
    primitives = []
    for number in range(len(avatar.materials)):
        faces = mesh.faces[mesh.face_material == number]
        if not len(faces):
            continue
        primitive: dict[str, Any] = {
            "attributes": dict(attributes),
            "indices": builder.accessor(faces.astype(index_type), "SCALAR", ELEMENT_ARRAY_BUFFER),
            "material": number,
            "mode": 4,
        }
        if targets:
            primitive["targets"] = [dict(target) for target in targets]
        primitives.append(primitive)
    entry: dict[str, Any] = {"name": "Avatar", "primitives": primitives}
    if targets:
        entry["weights"] = [0.0] * len(targets)
        entry["extras"] = {"targetNames": list(mesh.morphs)}
    return builder.add("meshes", entry)


def _merged(joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V, 4) weights in which a joint that a vertex lists twice has its whole weight in the first place."""
    weights = weights.copy()
    for later in range(1, 4):
        for first in range(later):
            same = joints[:, first] == joints[:, later]
            weights[same, first] += weights[same, later]
            weights[same, later] = 0.0
    return weights


def _skin(builder: Builder, avatar: Avatar, nodes: list[int], flip: np.ndarray) -> int:
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(nodes), 1, 1))
    for index, joint in enumerate(avatar.joints):
        inverse[index, 3, :3] = (
            -np.round(np.asarray(joint.position, np.float64), 7) * flip
        )  # column-major: translation last
    entry: dict[str, Any] = {
        "joints": nodes,
        "inverseBindMatrices": builder.accessor(inverse + np.float32(0.0), "MAT4"),
    }
    if sum(joint.parent < 0 for joint in avatar.joints) == 1:
        entry["skeleton"] = nodes[0]
    return builder.add("skins", entry)
