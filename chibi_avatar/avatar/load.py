"""A user's own .vrm (0.x, 1.0) or .glb as an Avatar. The file itself is kept; on export only its image bytes change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .gltf import Container, GltfError, buffer_view, data_uri, is_index, number, read_file, read_glb
from .interop import unwrap, vertex_normals, weld
from .licence import Terms, read_terms
from .load_rig import read_colliders_and_springs, read_expressions, read_humanoid
from .model import Avatar, AvatarError, Joint, Material, Mesh, Texture
from .scene import MAX_READS, MAX_VERTICES, Piece, Tree, morph_keys, read_pieces, read_tree

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_IMAGE_PIXELS = 8192 * 8192
MAX_TOTAL_PIXELS = 4 * MAX_IMAGE_PIXELS  # of all pictures together
MAX_MORPH_ROWS = 50_000_000  # morphs times vertices; where a mesh lacks a morph its rows are zeros that take no memory
HALF_TURN = np.array([-1, 1, -1], np.float32)
MAX_UV = 1e6  # float32 has no fraction worth a texel beyond
_REFUSED = {
    "KHR_draco_mesh_compression": "export the file without Draco compression",
    "EXT_meshopt_compression": "export the file without meshopt compression",
    "KHR_meshopt_compression": "export the file without meshopt compression",
    "KHR_texture_basisu": "export the file with PNG or JPEG textures instead of KTX2",
}
_UNDERSTOOD = (
    "KHR_materials_",
    "VRMC_",
    "KHR_texture_transform",
    "KHR_mesh_quantization",
    "EXT_texture_webp",
    "VRM",
    "KHR_node_",
)


@dataclass
class Source:
    """A user's file behind an Avatar: its container, what kind it is, its terms, and which image each texture came
    from."""

    container: Container
    kind: str  # "1.0", "0.x" or "glb"
    terms: Terms
    images: list[int]  # Avatar.textures index -> glTF image index
    pixels: list[np.ndarray | None]  # the pictures as loaded, to tell which were painted
    shade_images: dict[int, list[int]]  # Avatar.textures index -> images that only darken it (MToon shade)


def load_file(path: str, i_am_the_author: bool = False, paint_texture: int = -1) -> Avatar:
    """Read ``path`` (.vrm or .glb). Raises :class:`AvatarError` with what is wrong and how to fix it; see
    :func:`load_avatar`."""
    name = os.path.basename(path)
    try:
        return load_avatar(read_file(path), os.path.splitext(name)[0], i_am_the_author, paint_texture)
    except GltfError as error:
        text = str(error)
        raise GltfError(text if text.startswith(name) else f"{name}: {text}") from error


def load_avatar(data: bytes, name: str = "avatar", i_am_the_author: bool = False, paint_texture: int = -1) -> Avatar:
    """The Avatar in the bytes of a .vrm or .glb, at rest, facing +Z; ``Avatar.source`` keeps the file.

    ``paint_texture`` is the index of the texture that the bake paints; -1 picks the one that covers most of the
    surface. A file whose licence prohibits modification is refused unless ``i_am_the_author``. Raises
    :class:`AvatarError`.
    """
    container = read_glb(data)
    _check_extensions(container)
    kind = _kind(container)
    terms = read_terms(container.document)
    if terms.forbids_modification and not i_am_the_author:
        raise AvatarError(
            f"{name}: the licence inside this file does not allow changing it ({'; '.join(terms.lines)}). "
            "If you are its author, switch on 'i_am_the_author'; otherwise ask the author."
        )
    tree = read_tree(container)
    pieces = read_pieces(container, tree)
    if not any(len(piece.faces) for piece in pieces):
        raise GltfError("the file has no triangles")
    humanoid = read_humanoid(container, kind)
    joints, joint_of = _joints(container, tree, pieces, humanoid)
    materials, textures, images, shades = _materials(container, kind)
    if kind == "0.x":
        joints = [replace(joint, position=joint.position * HALF_TURN) for joint in joints]
    mesh, parts, rebuilt = _mesh(container, pieces, joint_of, materials, kind == "0.x")
    notes = [] if not rebuilt else ["the file had no UV; a new layout was made with xatlas"]
    if not textures:
        notes.append("the file had no pictures; it gets a white one to paint on, instead of its plain colours")
        textures = [Texture("paint", np.full((1024, 1024, 3), 255, np.uint8))]
        materials = [replace(m, texture=0, color=(1.0, 1.0, 1.0, m.color[3])) for m in materials]
    if notes:
        notes.append("it will be written as a new file, with the licence of the export")
    avatar = Avatar(name, mesh, joints, materials, textures, parts)
    keys = morph_keys(container)
    expressions, look = read_expressions(container, kind, keys, set(mesh.morphs), len(materials))
    colliders, springs = read_colliders_and_springs(container, kind, joint_of, [joint.parent for joint in joints])
    if paint_texture >= len(textures):
        raise AvatarError(
            f"{name} has {len(textures)} texture(s); paint_texture {paint_texture} "
            f"is not one of 0 to {len(textures) - 1}"
        )
    source = None
    if not notes:
        source = Source(container, kind, terms, images, [texture.pixels for texture in textures], shades)
    meta: dict[str, Any] = {"format": {"1.0": "VRM 1.0", "0.x": "VRM 0.x"}.get(kind, "GLB"), "terms": list(terms.lines)}
    if notes:
        meta["notes"] = notes
    return replace(
        avatar,
        expressions=expressions,
        springs=springs,
        colliders=colliders,
        look_offset=look or avatar.look_offset,
        heads=_heads(avatar),
        atlas=paint_texture if paint_texture >= 0 else _largest_texture(mesh, materials),
        source=source,
        meta=meta,
    )


def _check_extensions(container: Container) -> None:
    document = container.document
    for key in ("extensionsRequired", "extensionsUsed"):
        names = document.get(key, [])
        if not isinstance(names, list):
            raise GltfError(f"{key}: expected an array")
        for name in map(str, names):
            if name in _REFUSED and (key == "extensionsRequired" or name != "KHR_texture_basisu"):
                raise GltfError(f"{name} is not supported: {_REFUSED[name]}")
            if key == "extensionsRequired" and not name.startswith(_UNDERSTOOD):
                raise GltfError(f"the file requires the extension {name[:60]!r}, which is not supported")


def _kind(container: Container) -> str:
    extensions = container.document.get("extensions", {})
    if not isinstance(extensions, Mapping):
        raise GltfError("extensions: expected an object")
    if "VRMC_vrm" in extensions:
        return "1.0"
    return "0.x" if "VRM" in extensions else "glb"


def _joints(
    container: Container, tree: Tree, pieces: list[Piece], humanoid: dict[int, str]
) -> tuple[list[Joint], dict[int, int]]:
    """Joints of every node of the scene that a bone, a skin or a child of one needs; and node -> joint for all
    nodes."""
    nodes = container.items("nodes")
    wanted = set(humanoid)
    for piece in pieces:
        if piece.shares is None:
            wanted.update(np.unique(piece.joint_nodes[piece.weights > 0]).tolist())
    for index in reversed(tree.order):
        if index in wanted and tree.parents[index] >= 0:
            wanted.add(tree.parents[index])
    for index in tree.order:
        if tree.parents[index] in wanted and "mesh" not in nodes[index]:
            wanted.add(index)
    joints: list[Joint] = []
    joint_of: dict[int, int] = {}
    for index in tree.order:
        if index not in wanted:
            continue
        parent = tree.parents[index]
        joint_of[index] = len(joints)
        title = str(nodes[index].get("name") or f"node {index}")[:100]
        joints.append(Joint(title, joint_of.get(parent, -1), tree.world[index][:3, 3].copy(), humanoid.get(index)))
    return joints, joint_of


def _mesh(
    container: Container, pieces: list[Piece], joint_of: dict[int, int], materials: list[Material], turned: bool
) -> tuple[Mesh, list[str], bool]:
    """All pieces in one vertex buffer, ``turned`` by 180° for VRM 0.x; parts by material. The flag tells that the UVs
    had to be made new.

    A piece that shares its vertices with an earlier one adds only those that it uses with other UVs.
    """
    parts: dict[str, int] = {}
    arrays: dict[str, list[np.ndarray]] = {key: [] for key in ("p", "n", "uv", "f", "m", "part", "j", "w")}
    morphs: dict[str, list[tuple[int, np.ndarray]]] = {}
    start, missing_uv, shaped = 0, 0, 0
    definitions = container.items("materials")
    lookup = np.zeros(len(container.items("nodes")), np.uint16)
    for node, joint in joint_of.items():
        lookup[node] = joint
    first_rows: list[tuple[int, np.ndarray | None]] = []
    for piece in pieces:
        material = _piece_material(piece, materials)
        faces = len(piece.faces)
        title = _part_name(container, piece, materials[material].name)
        arrays["m"].append(np.full(faces, material, np.int32))
        arrays["part"].append(np.full(faces, parts.setdefault(title, len(parts)), np.int32))
        definition = definitions[material] if material < len(definitions) else {}
        if piece.shares is None:
            uv = _piece_uv(definition, piece.uv_sets, piece.faces)
            missing_uv += uv is None
            first_rows.append((start, uv))
        else:
            used, own = np.unique(piece.faces, return_inverse=True)
            own = own.reshape(-1, 3)
            uv = _piece_uv(definition, {channel: values[used] for channel, values in piece.uv_sets.items()}, own)
            missing_uv += uv is None
            twin, twin_uv = first_rows[piece.shares]
            first_rows.append((twin, twin_uv))
            if uv is None or (twin_uv is not None and np.array_equal(uv, twin_uv[used])):
                arrays["f"].append(piece.faces + twin)
                continue
            piece = _rows(piece, used, own)
        if turned:
            piece = _turned(piece)
        count = len(piece.positions)
        arrays["p"].append(piece.positions.astype(np.float32))
        arrays["n"].append(_normals(piece))
        arrays["uv"].append(np.zeros((count, 2), np.float32) if uv is None else uv)
        arrays["f"].append(piece.faces + start)
        arrays["j"].append(lookup[piece.joint_nodes])
        arrays["w"].append(piece.weights)
        for key, delta in piece.morphs.items():
            morphs.setdefault(key, []).append((start, delta))
        start += count
        shaped += len(piece.morphs)
        if start > MAX_VERTICES:
            raise GltfError(
                f"the file has more than {MAX_VERTICES} vertices, counting those that several materials share; "
                "reduce its meshes in a 3D program"
            )
        if len(morphs) * start > MAX_MORPH_ROWS or shaped > MAX_READS:
            raise GltfError(
                f"{len(morphs)} morph targets on {start} vertices are too many to be an avatar; "
                "reduce either in a 3D program"
            )
    joined = {key: np.ascontiguousarray(np.concatenate(value)) for key, value in arrays.items()}
    full = {}
    for key, rows in morphs.items():
        full[key] = np.zeros((start, 3), np.float32)
        for first, delta in rows:
            full[key][first : first + len(delta)] = delta
    mesh = Mesh(
        joined["p"],
        joined["n"],
        joined["uv"],
        joined["f"].astype(np.int32),
        joined["m"],
        joined["part"],
        joined["j"],
        joined["w"],
        full,
    )
    without_uv = missing_uv == len(pieces)
    if without_uv:
        mesh = unwrap(mesh)
    mesh.weld = weld(mesh.positions)
    return mesh, list(parts), without_uv


def _rows(piece: Piece, rows: np.ndarray, faces: np.ndarray) -> Piece:
    """``piece`` with only some of its vertices, and ``faces`` that count from these."""
    return replace(
        piece,
        positions=piece.positions[rows],
        normals=None if piece.normals is None else piece.normals[rows],
        uv_sets={channel: uv[rows] for channel, uv in piece.uv_sets.items()},
        faces=faces,
        joint_nodes=piece.joint_nodes[rows],
        weights=piece.weights[rows],
        morphs={key: delta[rows] for key, delta in piece.morphs.items()},
    )


def _piece_material(piece: Piece, materials: list[Material]) -> int:
    if piece.material is None:
        return len(materials) - 1  # _materials appends a plain one for these
    if not is_index(piece.material, len(materials) - 1):
        raise GltfError(f"meshes[{piece.mesh}] uses material {str(piece.material)[:20]}, which does not exist")
    return piece.material


def _part_name(container: Container, piece: Piece, material: str) -> str:
    mesh = str(container.items("meshes")[piece.mesh].get("name") or "")
    for part in ("face", "hair", "body"):
        if part in material.lower() or (part == "face" and part in mesh.lower()):
            return part
    return material


def _normals(piece: Piece) -> np.ndarray:
    if piece.normals is not None:
        return piece.normals.astype(np.float32)
    return vertex_normals(piece.positions, piece.faces)


def _base_texture(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    surface = definition.get("pbrMetallicRoughness")
    info = surface.get("baseColorTexture") if isinstance(surface, Mapping) else None
    return info if isinstance(info, Mapping) else {}


def _piece_uv(definition: Mapping[str, Any], uv_sets: Mapping[int, np.ndarray], faces: np.ndarray) -> np.ndarray | None:
    """The UVs that the base colour uses, KHR_texture_transform applied, every island in one piece and most of it in
    0..1."""
    info = _base_texture(definition)
    extensions = info.get("extensions")
    transform = extensions.get("KHR_texture_transform") if isinstance(extensions, Mapping) else None
    transform = transform if isinstance(transform, Mapping) else {}
    channel = transform.get("texCoord", info.get("texCoord", 0))
    uv = uv_sets.get(channel if is_index(channel, 1 << 32) else 0)
    if uv is None:
        return None
    if transform:
        scale, offset = _pair(transform.get("scale"), 1.0), _pair(transform.get("offset"), 0.0)
        angle = number(transform.get("rotation"), 0.0)
        c, s = np.cos(angle), np.sin(angle)
        uv = (uv * scale) @ np.array([[c, -s], [s, c]]) + offset
    return _in_tile(np.where(np.abs(uv) < MAX_UV, uv, 0.0), faces).astype(np.float32)


def _in_tile(uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """``uv`` (V, 2) with every island moved by whole tiles, so that most of its triangles lie in 0..1.

    Textures repeat, so the move changes no colour; vertices of one island must not move by different tiles, or the
    triangles between them would show the whole texture backwards.
    """
    tile = np.floor(uv[faces].mean(axis=1)).astype(np.int64)
    if not tile.any():
        return uv
    links = coo_matrix(
        (np.ones(2 * len(faces), bool), (faces[:, [0, 0]].ravel(), faces[:, 1:].ravel())), (len(uv),) * 2
    )
    islands, island = connected_components(links, directed=False)
    span = np.int64(2 * MAX_UV + 1)
    tiles, kind = np.unique((tile[:, 0] + span // 2) * span + tile[:, 1] + span // 2, return_inverse=True)
    pairs, count = np.unique(island[faces[:, 0]] * np.int64(len(tiles)) + kind.ravel(), return_counts=True)
    owner, kind = np.divmod(pairs, len(tiles))
    order = np.lexsort((-count, owner))  # an island's most frequent tile first, of equals the lower one
    owner, first = np.unique(owner[order], return_index=True)
    shift = np.zeros((islands, 2))
    shift[owner] = np.column_stack(np.divmod(tiles[kind[order[first]]], span)) - span // 2
    return uv - shift[island]


def _pair(value: Any, default: float) -> np.ndarray:
    items = value if isinstance(value, list) and len(value) == 2 else [None, None]
    return np.array([number(item, default) for item in items])


def _turned(piece: Piece) -> Piece:
    """A piece of VRM 0.x, which faces −Z, turned by 180° about Y, so that it faces +Z like the rest of the pack."""
    return replace(
        piece,
        positions=piece.positions * HALF_TURN,
        normals=None if piece.normals is None else piece.normals * HALF_TURN,
        morphs={key: delta * HALF_TURN for key, delta in piece.morphs.items()},
    )


def _materials(
    container: Container, kind: str
) -> tuple[list[Material], list[Texture], list[int], dict[int, list[int]]]:
    """(materials and a plain one, the pictures of their base colours, the image of each, the shadow images of
    each)."""
    entries = container.items("materials")
    bases = [
        _image_of(container, _base_texture(entry).get("index"), f"materials[{index}]")
        for index, entry in enumerate(entries)
    ]
    images = list(dict.fromkeys(image for image in bases if image is not None))
    place = {image: index for index, image in enumerate(images)}
    shades: dict[int, set[int]] = {}
    for index, (entry, image) in enumerate(zip(entries, bases, strict=True)):
        shade = None if image is None else _shade_image(container, entry, index, kind)
        if shade is not None and shade not in place:
            shades.setdefault(place[image], set()).add(shade)
    materials = [
        _material(entry, index, None if image is None else place[image])
        for index, (entry, image) in enumerate(zip(entries, bases, strict=True))
    ]
    kept = {index: sorted(found) for index, found in shades.items()}
    return [*materials, Material("plain")], _textures(container, images), images, kept


def _material(entry: Mapping[str, Any], index: int, texture: int | None) -> Material:
    surface = entry.get("pbrMetallicRoughness")
    factor = surface.get("baseColorFactor", [1, 1, 1, 1]) if isinstance(surface, Mapping) else [1, 1, 1, 1]
    if not isinstance(factor, list) or len(factor) != 4:
        factor = [1, 1, 1, 1]
    color = [min(max(number(v, 1.0), 0.0), 1.0) for v in factor]
    srgb = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in color[:3]]
    mode = entry.get("alphaMode", "OPAQUE")
    return Material(
        str(entry.get("name") or f"material {index}")[:100],
        texture,
        (srgb[0], srgb[1], srgb[2], color[3]),
        alpha_mode=mode if mode in ("OPAQUE", "MASK", "BLEND") else "OPAQUE",
        alpha_cutoff=number(entry.get("alphaCutoff"), 0.5),
        double_sided=entry.get("doubleSided") is True,
    )


def _shade_image(container: Container, entry: Mapping[str, Any], index: int, kind: str) -> int | None:
    """The image that darkens a material in MToon's shadow; None where there is none or the file points nowhere."""
    texture = None
    if kind == "1.0":
        extensions = entry.get("extensions")
        mtoon = extensions.get("VRMC_materials_mtoon") if isinstance(extensions, Mapping) else None
        info = mtoon.get("shadeMultiplyTexture") if isinstance(mtoon, Mapping) else None
        texture = info.get("index") if isinstance(info, Mapping) else None
    elif kind == "0.x":
        properties = container.document["extensions"]["VRM"]
        values = properties.get("materialProperties") if isinstance(properties, Mapping) else None
        if isinstance(values, list) and index < len(values) and isinstance(values[index], Mapping):
            found = values[index].get("textureProperties")
            texture = found.get("_ShadeTexture") if isinstance(found, Mapping) else None
    try:
        return _image_of(container, texture, "shade texture")
    except GltfError:
        return None


def shown_image(texture: Mapping[str, Any]) -> Any:
    """What glTF texture entry ``texture`` names as its image: the WebP one where it has one, as apps that know
    EXT_texture_webp show, else its ``source``."""
    extensions = texture.get("extensions")
    webp = extensions.get("EXT_texture_webp") if isinstance(extensions, Mapping) else None
    source = webp.get("source") if isinstance(webp, Mapping) else None
    return texture.get("source") if source is None else source


def _image_of(container: Container, texture: Any, where: str) -> int | None:
    """The image behind glTF texture ``texture`` (None for None). Refuses KTX2 without another picture by name."""
    if texture is None:
        return None
    entry = container.item("textures", texture, where)
    image = shown_image(entry)
    if image is None:
        extensions = entry.get("extensions")
        if isinstance(extensions, Mapping) and "KHR_texture_basisu" in extensions:
            raise GltfError(f"KHR_texture_basisu is not supported: {_REFUSED['KHR_texture_basisu']}")
        return None
    container.item("images", image, where)
    return image


def image_bytes(container: Container, index: int) -> bytes:
    """The encoded bytes of image ``index``, from its buffer view or data URI. Other files are never opened."""
    entry = container.item("images", index, "image")
    if entry.get("bufferView") is not None:
        return bytes(buffer_view(container, entry["bufferView"], f"images[{index}]"))
    return data_uri(entry.get("uri"), f"images[{index}]")


@contextmanager
def _opened(data: bytes, where: str) -> Iterator[Picture]:
    """PNG, JPEG or WebP bytes as a picture whose pixels are not read yet. Errors on the way become
    :class:`GltfError`."""
    from PIL import Image, UnidentifiedImageError

    if data[:7] == b"\xabKTX 20":
        raise GltfError(f"{where} is a KTX2 texture: {_REFUSED['KHR_texture_basisu']}")
    try:
        with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise GltfError(f"{where} is {image.width}x{image.height}, larger than 8192x8192")
            yield image
    except GltfError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise GltfError(f"{where} cannot be read as PNG, JPEG or WebP: {str(error)[:100]}") from error


def decode_image(data: bytes, where: str) -> np.ndarray:
    """(H, W, 3 or 4) uint8 of PNG, JPEG or WebP bytes. Refuses KTX2 by name and pictures of more than 67 megapixels."""
    with _opened(data, where) as image:
        clear = image.info.get("transparency")
        if image.mode.startswith("I"):  # grey of 16 bits, which Pillow would cut off at 255
            deep = np.asarray(image).astype(np.uint32)
            grey = ((deep + 128) // 257).astype(np.uint8)
            layers = [grey] * 3
            if isinstance(clear, int):
                layers.append(np.where(deep == clear, 0, 255).astype(np.uint8))
            return np.dstack(layers)
        has_alpha = image.mode in ("RGBA", "LA", "PA") or clear is not None
        return np.array(image.convert("RGBA" if has_alpha else "RGB"))


def _textures(container: Container, images: list[int]) -> list[Texture]:
    """The pictures of glTF ``images``, those in one place of the file decoded once. Refuses them all together when
    they are larger than :data:`MAX_TOTAL_PIXELS`, before one is decoded."""
    places: list[str] = []
    titles: list[str] = []
    found: dict[str, tuple[bytes, str]] = {}
    total = 0
    for image in images:
        entry = container.item("images", image, "image")
        view = entry.get("bufferView")
        places.append(str(entry.get("uri")) if view is None else f"bufferViews[{view}]")
        titles.append(str(entry.get("name") or f"image {image}")[:100])
        if places[-1] in found:
            continue
        found[places[-1]] = image_bytes(container, image), f"images[{image}] ({titles[-1]})"
        with _opened(*found[places[-1]]) as picture:
            total += picture.width * picture.height
    if total > MAX_TOTAL_PIXELS:
        raise GltfError(
            f"its {len(found)} pictures have {total / 1e6:.0f} megapixels together, more than the "
            f"{MAX_TOTAL_PIXELS / 1e6:.0f} that are read; make them smaller in a 3D program (4096x4096 is plenty)"
        )
    pixels = {place: decode_image(data, where) for place, (data, where) in found.items()}
    mimes = {b"\x89PNG": "image/png", b"RIFF": "image/webp"}
    return [
        Texture(title, pixels[place], found[place][0], mimes.get(found[place][0][:4], "image/jpeg"))
        for place, title in zip(places, titles, strict=True)
    ]


def _largest_texture(mesh: Mesh, materials: list[Material]) -> int:
    """The texture that covers most of the surface: what the bake paints unless told otherwise."""
    p, f = mesh.positions.astype(np.float64), mesh.faces
    areas = np.linalg.norm(np.cross(p[f[:, 1]] - p[f[:, 0]], p[f[:, 2]] - p[f[:, 0]]), axis=1)
    totals: dict[int, float] = {}
    for material, area in zip(materials, np.bincount(mesh.face_material, areas, len(materials)), strict=True):
        texture = material.texture
        if texture is not None:
            totals[texture] = totals.get(texture, 0.0) + float(area)
    return max(totals, key=lambda index: totals[index], default=0)


def _heads(avatar: Avatar) -> float:
    y = avatar.mesh.positions[:, 1]
    joints = [joint for joint in avatar.joints if joint.bone == "head"]
    if not joints:
        return 2.5
    head = float(y.max() - joints[0].position[1])
    return float(np.clip((y.max() - y.min()) / max(head, 1e-3), 1.5, 9.0))
