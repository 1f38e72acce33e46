"""Pose and expression to vertices: morph targets, then linear blend skinning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .model import Avatar, AvatarError, Joint


def rotation_matrix(value: Any) -> np.ndarray:
    """A (3, 3) rotation from a matrix (3, 3) or a quaternion x, y, z, w (4,)."""
    array = np.asarray(value, np.float64)
    if array.shape == (3, 3):
        return array
    if array.shape != (4,) or not np.isfinite(array).all() or np.linalg.norm(array) < 1e-8:
        raise AvatarError(f"a joint rotation is a 3x3 matrix or a quaternion x, y, z, w; got shape {array.shape}")
    x, y, z, w = array / np.linalg.norm(array)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def joint_transforms(joints: list[Joint], pose: Mapping[str, Any], offset: Any = None) -> np.ndarray:
    """Skinning matrices (J, 3, 4) float64. ``pose`` maps bone or joint names to rotations relative to the parent (rest axes are the
    world's); ``offset`` (3,) moves the root, in metres."""
    out = np.zeros((len(joints), 3, 4))
    world = np.zeros((len(joints), 3))
    shift = np.zeros(3) if offset is None else np.asarray(offset, np.float64)
    for index, joint in enumerate(joints):
        turn = pose.get(joint.bone) if joint.bone is not None else None
        if turn is None:
            turn = pose.get(joint.name)
        local = np.eye(3) if turn is None else rotation_matrix(turn)
        rest = np.asarray(joint.position, np.float64)
        if joint.parent < 0:
            rotation, world[index] = local, rest + shift
        else:
            parent = out[joint.parent, :, :3]
            rotation = parent @ local
            world[index] = world[joint.parent] + parent @ (rest - np.asarray(joints[joint.parent].position))
        out[index, :, :3] = rotation
        out[index, :, 3] = world[index] - rotation @ rest
    return out


def expression_weights(avatar: Avatar, expression: Any) -> dict[str, float]:
    """Morph weights of an expression: a name, a mapping name → weight 0..1, or None. Unknown names raise :class:`AvatarError`."""
    if not expression or expression == "neutral":
        return {}
    chosen = {expression: 1.0} if isinstance(expression, str) else dict(expression)
    known = {item.name: item for item in avatar.expressions}
    known.update({item.preset: item for item in avatar.expressions if item.preset})
    weights: dict[str, float] = {}
    for name, amount in chosen.items():
        if name in known:
            for morph, weight in known[name].morphs.items():
                weights[morph] = weights.get(morph, 0.0) + weight * float(amount)
        elif name in avatar.mesh.morphs:
            weights[name] = weights.get(name, 0.0) + float(amount)
        elif name != "neutral":
            offers = ", ".join(sorted(str(key) for key in known)) or "none"
            raise AvatarError(f"avatar {avatar.name!r} has no expression {name!r}; it has: {offers}")
    return {name: min(max(weight, 0.0), 1.0) for name, weight in weights.items()}


def vertex_normals(positions: np.ndarray, faces: np.ndarray, weld: np.ndarray | None) -> np.ndarray:
    """Area-weighted unit normals (V, 3) float32, shared by vertices that ``weld`` calls one point."""
    corners = positions[faces].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    owner = np.arange(len(positions)) if weld is None else np.asarray(weld)
    total = np.zeros((int(owner.max()) + 1, 3))
    target = owner[faces].ravel()
    for axis in range(3):
        total[:, axis] = np.bincount(target, np.repeat(normal[:, axis], 3), len(total))
    total = total[owner]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-20)).astype(np.float32)


def posed(
    avatar: Avatar, pose: Mapping[str, Any] | None = None, expression: Any = None, offset: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and unit normals, each (V, 3) float32, in ``pose`` (bone → rotation) with ``expression``."""
    mesh = avatar.mesh
    positions, normals = mesh.positions, mesh.normals
    weights = expression_weights(avatar, expression)
    if weights:
        moved = positions.astype(np.float32, copy=True)
        for name, weight in weights.items():
            if weight and name in mesh.morphs:
                moved += np.float32(weight) * mesh.morphs[name]
        # keep the builder's own normals, turned by how much the surface itself turned
        change = vertex_normals(moved, mesh.faces, mesh.weld) - vertex_normals(positions, mesh.faces, mesh.weld)
        normals = normals + change
        normals = (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)
        positions = moved
    if not pose and offset is None:
        return positions, normals
    matrices = joint_transforms(avatar.joints, pose or {}, offset).astype(np.float32)
    blend = np.einsum("vk,vkij->vij", mesh.weights, matrices[mesh.joints])
    positions = np.einsum("vij,vj->vi", blend[:, :, :3], positions) + blend[:, :, 3]
    normals = np.einsum("vij,vj->vi", blend[:, :, :3], normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return np.ascontiguousarray(positions), np.ascontiguousarray(normals)
