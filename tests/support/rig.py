"""Measures of a rig that tests and benches share."""

from __future__ import annotations

import numpy as np

from chibi_avatar.avatar.model import REQUIRED_BONES
from chibi_avatar.avatar.skin import posed


def turn(axis: int, degrees: float) -> np.ndarray:
    """Rotation matrix about x (0), y (1) or z (2)."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    out = np.eye(3)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out[a, a], out[b, b], out[a, b], out[b, a] = c, c, -s, s
    return out


def stretch(avatar, pose) -> float:
    """The 99.9th percentile of edge lengths against rest; 1 is rigid."""
    mesh = avatar.mesh
    moved, _ = posed(avatar, pose)
    f = mesh.faces
    edges = np.unique(np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), 1), axis=0)
    rest = np.linalg.norm(mesh.positions[edges[:, 0]] - mesh.positions[edges[:, 1]], axis=1)
    now = np.linalg.norm(moved[edges[:, 0]] - moved[edges[:, 1]], axis=1)
    real = rest > 1e-4
    return float(np.quantile(now[real] / rest[real], 0.999))


def inside(avatar) -> dict[str, bool]:
    """Whether each required joint has surface on both sides along x and z (ankles and hands lie in their tubes)."""
    p = avatar.mesh.positions
    out = {}
    for joint in avatar.joints:
        if joint.bone not in REQUIRED_BONES:
            continue
        d = p - joint.position.astype(np.float32)
        near = np.abs(d[:, 1]) < 0.09 * avatar.height
        box = d[near & (np.abs(d[:, 0]) < 0.25) & (np.abs(d[:, 2]) < 0.25)]
        out[joint.bone] = bool(
            (box[:, 2] > 0).any() and (box[:, 2] < 0).any() and (box[:, 0] > 0).any() and (box[:, 0] < 0).any()
        )
    return out
