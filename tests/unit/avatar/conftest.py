"""A small figure for fast tests: capsule body on the 17 bones, a blink and a smile, a two-link ponytail, two
materials."""

from __future__ import annotations

import numpy as np
import pytest

from chibi_avatar.avatar.model import Avatar, Collider, Expression, Joint, Material, Mesh, SpringChain, Texture

BONES = {  # bone: (parent, position)
    "hips": (None, (0, 0.34, 0)),
    "spine": ("hips", (0, 0.40, 0)),
    "chest": ("spine", (0, 0.46, 0)),
    "neck": ("chest", (0, 0.56, 0)),
    "head": ("neck", (0, 0.60, 0)),
    "leftUpperLeg": ("hips", (0.06, 0.32, 0)),
    "leftLowerLeg": ("leftUpperLeg", (0.06, 0.18, 0)),
    "leftFoot": ("leftLowerLeg", (0.06, 0.05, 0)),
    "rightUpperLeg": ("hips", (-0.06, 0.32, 0)),
    "rightLowerLeg": ("rightUpperLeg", (-0.06, 0.18, 0)),
    "rightFoot": ("rightLowerLeg", (-0.06, 0.05, 0)),
    "leftUpperArm": ("chest", (0.09, 0.53, 0)),
    "leftLowerArm": ("leftUpperArm", (0.20, 0.53, 0)),
    "leftHand": ("leftLowerArm", (0.30, 0.53, 0)),
    "rightUpperArm": ("chest", (-0.09, 0.53, 0)),
    "rightLowerArm": ("rightUpperArm", (-0.20, 0.53, 0)),
    "rightHand": ("rightLowerArm", (-0.30, 0.53, 0)),
}
TIPS = {
    "head": (0, 0.95, 0),
    "leftFoot": (0.06, 0.02, 0.08),
    "rightFoot": (-0.06, 0.02, 0.08),
    "leftHand": (0.36, 0.53, 0),
    "rightHand": (-0.36, 0.53, 0),
}
RADII = {"head": 0.2, "hips": 0.09, "spine": 0.085, "chest": 0.08}
TAIL = ((0, 0.85, -0.2), (0, 0.7, -0.26), (0, 0.5, -0.28))
RING, STACK = 10, 6


def _capsule(a: np.ndarray, b: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, normals and counter-clockwise triangles of an ellipsoid around the segment a-b."""
    axis = b - a
    length = np.linalg.norm(axis)
    axis = axis / length
    side = np.cross(axis, [0, 0, 1] if abs(axis[2]) < 0.9 else [0, 1, 0])
    side /= np.linalg.norm(side)
    up = np.cross(axis, side)
    t = np.linspace(0, np.pi, STACK + 1)
    u = np.arange(RING + 1) * 2 * np.pi / RING
    around = np.cos(u)[:, None] * side + np.sin(u)[:, None] * up
    normals = (-np.cos(t)[:, None, None] * axis + np.sin(t)[:, None, None] * around[None]).reshape(-1, 3)
    half = length / 2 + radius * 0.3
    points = (
        (a + b) / 2
        + np.concatenate([normals @ axis[:, None] * half]).reshape(-1, 1) * axis
        + (normals - (normals @ axis)[:, None] * axis) * radius
    )
    faces = []
    for i in range(STACK):
        for j in range(RING):
            p, q = i * (RING + 1) + j, (i + 1) * (RING + 1) + j
            faces += [[p, p + 1, q + 1], [p, q + 1, q]]
    return points, normals, np.array(faces)


def build_figure(texture_size: int = 64) -> Avatar:
    """The figure. Deterministic."""
    joints = [Joint("Root", -1, np.zeros(3))]
    index = {}
    for name, (parent, position) in BONES.items():
        index[name] = len(joints)
        joints.append(Joint(name, index[parent] if parent else 0, np.array(position, np.float64), name))
    chain = []
    for number, position in enumerate(TAIL):
        chain.append(len(joints))
        joints.append(Joint(f"tail{number}", chain[-2] if number else index["head"], np.array(position, np.float64)))

    children = {parent: name for name, (parent, _) in BONES.items() if parent}
    segments = []
    for name, (_, position) in BONES.items():
        tip = TIPS.get(name) or BONES[children[name]][1]
        segments.append((index[name], np.array(position, float), np.array(tip, float), RADII.get(name, 0.045), 0))
    segments += [(chain[i], np.array(TAIL[i], float), np.array(TAIL[i + 1], float), 0.04, 1) for i in range(2)]
    positions, normals, uvs, faces, material, owners = [], [], [], [], [], []
    start = 0
    for number, (owner, a, b, radius, kind) in enumerate(segments):
        p, n, f = _capsule(a, b, radius)
        grid = np.stack(np.meshgrid(np.linspace(0, 1, RING + 1), np.linspace(0, 1, STACK + 1)), -1).reshape(-1, 2)
        cell = np.array([number % 5, number // 5])
        positions.append(p), normals.append(n), uvs.append((grid * 0.9 + 0.05 + cell) / 5)
        faces.append(f + start), material.append(np.full(len(f), kind)), owners.append(np.full(len(p), owner))
        start += len(p)
    positions_, owners_ = np.concatenate(positions).astype(np.float32), np.concatenate(owners)
    positions_[:, 1] -= positions_[:, 1].min()
    count = len(positions_)
    weights = np.zeros((count, 4), np.float32)
    weights[:, 0] = 1
    joint_rows = np.zeros((count, 4), np.uint16)
    joint_rows[:, 0] = owners_
    face_front = (owners_ == index["head"]) & (positions_[:, 2] > 0.1)
    blink, smile = np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
    blink[face_front, 1] = -0.02
    smile[face_front, 0] = positions_[face_front, 0] * 0.2
    pixels = np.zeros((texture_size, texture_size, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(120, 250, texture_size)[:, None]
    pixels[:, :, 1:] = 180
    return Avatar(
        name="Figure",
        mesh=Mesh(
            positions_,
            np.concatenate(normals).astype(np.float32),
            np.concatenate(uvs).astype(np.float32),
            np.concatenate(faces).astype(np.int32),
            np.concatenate(material).astype(np.int32),
            np.concatenate(material).astype(np.int32),
            joint_rows,
            weights,
            {"blink": blink, "smile": smile},
        ),
        joints=joints,
        materials=[Material("skin", 0, outline_width=0.002), Material("hair", 0, double_sided=True)],
        textures=[Texture("atlas", pixels)],
        parts=["body", "hair"],
        expressions=[
            Expression("blink", "blink", {"blink": 1.0}),
            Expression("happy", "happy", {"smile": 1.0}),
            Expression("wink", None, {"blink": 0.5}),
        ],
        springs=[SpringChain("tail", chain, colliders=[0])],
        colliders=[
            Collider(index["head"], (0.0, 0.15, 0.0), 0.2),
            Collider(index["chest"], (0.0, 0.0, 0.0), 0.08, (0.0, 0.08, 0.0)),
        ],
    )


@pytest.fixture(scope="session")
def figure() -> Avatar:
    """The capsule figure (17 bones, 2 morphs, 1 spring chain, 2 materials)."""
    return build_figure()


@pytest.fixture(scope="session")
def vroid() -> bytes:
    """A file as VRoid Studio makes them."""
    from . import hostile

    return hostile.vroid_like()
