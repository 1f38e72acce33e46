"""The node tree of a stranger's glTF file: world transforms, skins, triangles at rest. Every index and count is
checked first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .gltf import Container, GltfError, accessor, is_index

MAX_NODES = 20_000
MAX_VERTICES = 1_000_000
MAX_TRIANGLES = 2_000_000
MAX_MORPH_FLOATS = 60_000_000  # of all morphs over the vertices of their own primitives
MAX_PRIMITIVES = 10_000  # of all meshes, as often as nodes show them
MAX_READS = 100_000  # of vertex data; an empty list costs time too


@dataclass
class Tree:
    """Nodes with their parent (-1 for a root) and world matrix (4×4, column vectors), and the nodes of the scene,
    parents first."""

    parents: list[int]
    world: np.ndarray  # (N, 4, 4) float64
    order: list[int]


@dataclass
class Piece:
    """One primitive, evaluated at rest in world space."""

    node: int
    mesh: int
    material: int | None
    positions: np.ndarray  # (v, 3)
    normals: np.ndarray | None
    uv_sets: dict[int, np.ndarray]
    faces: np.ndarray  # (f, 3)
    joint_nodes: np.ndarray  # (v, 4) node index of each influence
    weights: np.ndarray  # (v, 4)
    morphs: dict[str, np.ndarray] = field(default_factory=dict)  # key -> (v, 3)
    flipped: bool = False  # the node mirrors it, so its triangles are turned over
    shares: int | None = None  # an earlier piece with the very same vertices


def read_tree(container: Container) -> Tree:
    """Parents and world matrices. Raises :class:`GltfError` for cycles, two parents, bad indices or numbers."""
    nodes = container.items("nodes")
    if len(nodes) > MAX_NODES:
        raise GltfError(f"{len(nodes)} nodes are too many (at most {MAX_NODES})")
    parents = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        children = node.get("children", [])
        if not isinstance(children, list):
            raise GltfError(f"nodes[{index}].children: expected an array")
        for child in children:
            if not is_index(child, len(nodes)):
                raise GltfError(f"nodes[{index}].children: node {str(child)[:20]} does not exist")
            if parents[child] != -1 or child == index:
                raise GltfError(f"nodes[{child}] has more than one parent, or is its own: the node tree is damaged")
            parents[child] = index
    locals_ = np.stack([_local(node, index) for index, node in enumerate(nodes)]) if nodes else np.zeros((0, 4, 4))
    world = locals_.copy()
    stack = [index for index in reversed(range(len(nodes))) if parents[index] == -1]
    order = []
    while stack:
        index = stack.pop()
        order.append(index)
        if parents[index] >= 0:
            world[index] = world[parents[index]] @ locals_[index]
        stack.extend(reversed(nodes[index].get("children", [])))
    if len(order) != len(nodes):
        raise GltfError("the node tree has a cycle")
    if not np.isfinite(world).all() or (len(world) and np.abs(world).max() > 1e6):
        raise GltfError("the node transforms are out of any sensible range")
    return Tree(parents, world, _in_scene(container, parents, order))


def _in_scene(container: Container, parents: list[int], order: list[int]) -> list[int]:
    scenes = container.items("scenes")
    if not scenes:
        return order
    scene = container.item("scenes", container.document.get("scene", 0), "scene")
    roots = scene.get("nodes", [])
    if not isinstance(roots, list) or not all(is_index(root, len(parents)) for root in roots):
        raise GltfError("the scene lists nodes that do not exist")
    inside = set(roots)
    for index in order:
        if parents[index] in inside:
            inside.add(index)
    return [index for index in order if index in inside]


def numbers(value: Any, count: int, where: str) -> np.ndarray:
    """``count`` finite numbers from JSON as float64. Raises :class:`GltfError`."""
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
    ):
        raise GltfError(f"{where}: expected {count} numbers")
    try:
        out = np.array(value, np.float64)
    except OverflowError as error:
        raise GltfError(f"{where}: a number is out of range") from error
    if not np.isfinite(out).all():
        raise GltfError(f"{where}: a number is out of range")
    return out


def _local(node: dict[str, Any], index: int) -> np.ndarray:
    name = f"nodes[{index}]"
    if "matrix" in node:
        return numbers(node["matrix"], 16, f"{name}.matrix").reshape(4, 4).T
    out = np.eye(4)
    x, y, z, w = numbers(node.get("rotation", [0, 0, 0, 1]), 4, f"{name}.rotation").tolist()
    length = x * x + y * y + z * z + w * w
    if length > 1e-12:
        s = 2 / length
        out[:3, :3] = [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    out[:3, :3] *= numbers(node.get("scale", [1, 1, 1]), 3, f"{name}.scale")
    out[:3, 3] = numbers(node.get("translation", [0, 0, 0]), 3, f"{name}.translation")
    return out


def read_pieces(container: Container, tree: Tree) -> list[Piece]:
    """Every triangle primitive of the scene at rest: skins and node transforms evaluated, morph deltas turned the
    same way."""
    nodes = container.items("nodes")
    pieces: list[Piece] = []
    budget = {
        "vertices": MAX_VERTICES,
        "triangles": MAX_TRIANGLES,
        "morphs": MAX_MORPH_FLOATS,
        "primitives": MAX_PRIMITIVES,
        "lists of vertex data": MAX_READS,
    }
    skins: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    keys = morph_keys(container)
    for index in tree.order:
        number = nodes[index].get("mesh")
        if number is None:
            continue
        mesh = container.item("meshes", number, f"nodes[{index}].mesh")
        primitives = mesh.get("primitives")
        if not isinstance(primitives, list):
            raise GltfError(f"meshes[{number}].primitives: expected an array")
        skin = nodes[index].get("skin")
        if skin is not None and not is_index(skin, len(container.items("skins"))):
            raise GltfError(f"nodes[{index}].skin: skin {str(skin)[:20]} does not exist")
        if skin is not None and skin not in skins:
            skins[skin] = _read_skin(container, skin, tree)
        seen: dict[str, int] = {}
        for position, primitive in enumerate(primitives):
            where = f"meshes[{number}].primitives[{position}]"
            _spend(budget, "primitives", 1)
            if not isinstance(primitive, dict):
                raise GltfError(f"{where}: expected an object")
            extensions = primitive.get("extensions")
            if isinstance(extensions, Mapping) and "KHR_draco_mesh_compression" in extensions:
                raise GltfError(
                    "KHR_draco_mesh_compression is not supported: export the file without Draco compression"
                )
            if primitive.get("mode", 4) != 4:
                continue
            vertices = repr((primitive.get("attributes"), primitive.get("targets")))
            if vertices in seen:
                twin = pieces[seen[vertices]]
                faces = _faces(container, primitive, len(twin.positions), twin.flipped, where, budget)
                pieces.append(replace(twin, material=primitive.get("material"), faces=faces, shares=seen[vertices]))
                continue
            seen[vertices] = len(pieces)
            pieces.append(
                _read_piece(container, tree, index, number, keys[number], primitive, skins.get(skin), where, budget)
            )
    return pieces


def _read_skin(container: Container, index: Any, tree: Tree) -> tuple[np.ndarray, np.ndarray]:
    """(joint node numbers, (J, 4, 4) matrices that take a bound vertex to the world)."""
    skin = container.item("skins", index, "node.skin")
    joints = skin.get("joints")
    if not isinstance(joints, list) or not joints or not all(is_index(joint, len(tree.parents)) for joint in joints):
        raise GltfError(f"skins[{index}].joints lists nodes that do not exist")
    inverse = np.tile(np.eye(4), (len(joints), 1, 1))
    if skin.get("inverseBindMatrices") is not None:
        if _count(container, skin["inverseBindMatrices"], f"skins[{index}]") > MAX_NODES:
            raise GltfError(f"skins[{index}] has more inverse bind matrices than a skeleton can use")
        values = accessor(container, skin["inverseBindMatrices"], f"skins[{index}]", ("MAT4",))
        if len(values) < len(joints):
            raise GltfError(f"skins[{index}] has {len(joints)} joints but {len(values)} inverse bind matrices")
        inverse = values[: len(joints)].astype(np.float64).reshape(-1, 4, 4).transpose(0, 2, 1)
    return np.array(joints), tree.world[joints] @ inverse


def _count(container: Container, index: Any, where: str) -> int:
    count = container.item("accessors", index, where).get("count")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise GltfError(f"{where}: bad accessor count")
    return count


def _spend(budget: dict[str, int], what: str, amount: int) -> None:
    budget[what] -= amount
    if budget[what] < 0:
        raise GltfError(f"the file has too many {what} to be an avatar; join or reduce its meshes in a 3D program")


def _read_piece(
    container: Container,
    tree: Tree,
    node: int,
    number: int,
    keys: list[str],
    primitive: dict[str, Any],
    skin: tuple[np.ndarray, np.ndarray] | None,
    where: str,
    budget: dict[str, int],
) -> Piece:
    attributes = primitive.get("attributes")
    if not isinstance(attributes, dict) or "POSITION" not in attributes:
        raise GltfError(f"{where} has no POSITION")
    count = _count(container, attributes["POSITION"], where)
    _spend(budget, "vertices", count)

    def read(name: str, kinds: tuple[str, ...]) -> np.ndarray | None:
        if name not in attributes:
            return None
        if _count(container, attributes[name], where) != count:
            raise GltfError(f"{where}: {name} has another length than POSITION")
        _spend(budget, "lists of vertex data", 1)
        return accessor(container, attributes[name], f"{where}.{name}", kinds)

    positions = read("POSITION", ("VEC3",)).astype(np.float64)  # type: ignore[union-attr]
    normals = read("NORMAL", ("VEC3",))
    matrices, joint_nodes, weights = _bind(read, skin, tree, node, count, where)
    rotations = matrices[..., :3, :3]
    moved = np.einsum("...ij,...j->...i", rotations, positions) + matrices[..., :3, 3]
    if count and not np.abs(moved).max() < 1e5:
        raise GltfError(f"{where}: vertices lie more than 100 km away")
    turned = None
    if normals is not None:
        turned = np.einsum("...ij,...j->...i", rotations, normals.astype(np.float64))
        turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)
    uv_sets = {}
    for channel in range(4):
        uv = read(f"TEXCOORD_{channel}", ("VEC2",))
        if uv is not None:
            uv_sets[channel] = uv.astype(np.float32)
    flipped = rotations.ndim == 2 and bool(np.linalg.det(rotations) < 0)
    faces = _faces(container, primitive, count, flipped, where, budget)
    morphs = _targets(container, primitive, keys, count, rotations, where, budget)
    return Piece(
        node, number, primitive.get("material"), moved, turned, uv_sets, faces, joint_nodes, weights, morphs, flipped
    )


def _bind(
    read: Any, skin: tuple[np.ndarray, np.ndarray] | None, tree: Tree, node: int, count: int, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrix of each vertex (or one for all), its joint nodes (v, 4) and weights (v, 4)."""
    joints, weights = read("JOINTS_0", ("VEC4",)), read("WEIGHTS_0", ("VEC4",))
    if skin is None or joints is None or weights is None:
        weight = np.zeros((count, 4), np.float32)
        weight[:, 0] = 1
        return tree.world[node], np.full((count, 4), node), weight
    nodes, bind = skin
    joints = np.where(weights > 0, joints.astype(np.int64), 0)
    if count and joints.max() >= len(nodes):
        raise GltfError(f"{where}: a vertex is bound to joint {int(joints.max())} of {len(nodes)}")
    weights = np.clip(weights.astype(np.float64), 0, None)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(total > 1e-9, weights / np.maximum(total, 1e-9), np.array([1.0, 0, 0, 0]))
    flat = bind.reshape(-1, 16)
    matrices = np.zeros((count, 16))
    for slot in range(4):
        matrices += flat[joints[:, slot]] * weights[:, slot, None]
    return matrices.reshape(-1, 4, 4), nodes[joints], weights.astype(np.float32)


def _faces(
    container: Container, primitive: dict[str, Any], count: int, flipped: bool, where: str, budget: dict[str, int]
) -> np.ndarray:
    if primitive.get("indices") is None:
        _spend(budget, "triangles", count // 3)
        index = np.arange(count - count % 3)
    else:
        _spend(budget, "triangles", _count(container, primitive["indices"], where) // 3)
        index = accessor(container, primitive["indices"], f"{where}.indices", ("SCALAR",))[:, 0]
        if index.dtype.kind != "u":
            raise GltfError(f"{where}.indices must be unsigned integers")
    if len(index) % 3 or (len(index) and int(index.max()) >= count):
        raise GltfError(f"{where}.indices: not triangles of the {count} vertices")
    faces = index.astype(np.int32).reshape(-1, 3)
    return faces[:, ::-1].copy() if flipped else faces


def target_names(mesh: dict[str, Any], count: int) -> list[str]:
    """The morph target names of a mesh, made up where the file has none."""
    extras = mesh.get("extras")
    given = extras.get("targetNames") if isinstance(extras, dict) else None
    if not isinstance(given, list):
        given = []
    return [
        str(given[i])[:100] if i < len(given) and isinstance(given[i], str) and given[i] else f"morph {i}"
        for i in range(count)
    ]


def morph_keys(container: Container) -> list[list[str]]:
    """The name in ``Mesh.morphs`` of every morph target of every mesh: its own name where no other target has it."""
    meshes = container.items("meshes")
    names = [target_names(mesh, _target_count(mesh)) for mesh in meshes]
    seen: dict[str, int] = {}
    for name in (name for row in names for name in row):
        seen[name] = seen.get(name, 0) + 1
    return [
        [name if seen[name] == 1 else f"{name} ({number}.{index})" for index, name in enumerate(row)]
        for number, row in enumerate(names)
    ]


def _target_count(mesh: dict[str, Any]) -> int:
    primitives = mesh.get("primitives")
    first = primitives[0] if isinstance(primitives, list) and primitives else {}
    targets = first.get("targets", []) if isinstance(first, dict) else []
    return min(len(targets), 2000) if isinstance(targets, list) else 0


def _targets(
    container: Container,
    primitive: dict[str, Any],
    keys: list[str],
    count: int,
    rotations: np.ndarray,
    where: str,
    budget: dict[str, int],
) -> dict[str, np.ndarray]:
    targets = primitive.get("targets", [])
    if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
        raise GltfError(f"{where}.targets: expected an array of objects")
    out: dict[str, np.ndarray] = {}
    if not targets:
        return out
    if len(targets) > len(keys):
        raise GltfError(f"{where}: {len(targets)} morph targets, the mesh has {len(keys)}")
    for key, target in zip(keys, targets, strict=False):
        if "POSITION" not in target:
            continue
        if _count(container, target["POSITION"], where) != count:
            raise GltfError(f"{where}: morph {key!r} has another length than POSITION")
        _spend(budget, "morphs", count * 3)
        _spend(budget, "lists of vertex data", 1)
        delta = accessor(container, target["POSITION"], f"{where}.targets", ("VEC3",)).astype(np.float64)
        out[key] = np.einsum("...ij,...j->...i", rotations, delta).astype(np.float32)
    return out
