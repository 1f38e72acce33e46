"""The base mesh at run time: pieces from ``data/base.npz``, put together, re-proportioned and skinned.

The file is made by ``tools/base_mesh``. It holds the canonical 2.5-head figure; :func:`assemble` moves every vertex with the bones of the
wanted proportions, so that clothes, skin and skeleton always agree.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from .model import AvatarError, Joint, Mesh
from .thinning import thinned

PRESETS = ("mobile", "standard", "desktop")  # about 7.5 k, 15 k and 32 k triangles
HEAD_HEIGHT = 0.40  # metres, chin to top of the skull
CANONICAL_HEADS = 2.5
HEADS_RANGE = (2.0, 4.0)


@dataclass(frozen=True)
class Piece:
    """One part of the base at one triangle preset. Arrays are read-only."""

    name: str
    about: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Patch:
    """A rectangle of the atlas that a grid of a piece owns, for painting.

    ``points`` and ``attributes`` are (R, C, 3) canonical positions in metres and (R, C, 2) painting coordinates; ``us``/``vs`` are the
    places (0..1) of the grid's columns and rows inside ``rect`` (u0, v0, u1, v1); ``turn`` says that the grid's columns run along v.
    """

    piece: str
    zone: str
    index: int
    rect: tuple[float, float, float, float]
    turn: bool
    points: np.ndarray
    attributes: np.ndarray
    us: np.ndarray
    vs: np.ndarray


@functools.lru_cache(maxsize=1)
def _archive() -> tuple[Any, dict[str, Any]]:
    path = resources.files(__package__) / "data" / "base.npz"
    archive = np.load(path.open("rb"), allow_pickle=False)
    return archive, json.loads(archive["about"].tobytes())


def piece_names() -> tuple[str, ...]:
    """Names of all pieces in the base."""
    return tuple(_archive()[1]["pieces"])


@functools.lru_cache(maxsize=192)
def piece(name: str, preset: str) -> Piece:
    """Read a piece; raises :class:`AvatarError` for an unknown name or preset."""
    archive, about = _archive()
    if preset not in PRESETS:
        raise AvatarError(f"unknown triangle preset {preset!r}; choose one of {', '.join(PRESETS)}")
    if name not in about["pieces"]:
        raise AvatarError(f"the base mesh has no piece {name!r}")
    keys = ["pos", "uv", "attr", "bone", "weight", "grid", "hidden", "face", "face_grid", "shape"]
    prefix = f"{preset}/{name}/"
    arrays = {k: archive[prefix + k] for k in keys}
    arrays |= {k[len(prefix) :]: archive[k] for k in _morph_keys().get(prefix, ())}
    for array in arrays.values():
        array.setflags(write=False)
    return Piece(name, about["pieces"][name], arrays)


@functools.lru_cache(maxsize=1)
def _morph_keys() -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for key in _archive()[0].files:
        prefix, found, _ = key.partition("morph/")
        if found:
            out[prefix] = (*out.get(prefix, ()), key)
    return out


def patches(name: str) -> list[Patch]:
    """The atlas rectangles of a piece, the same for every triangle preset."""
    p = piece(name, "standard")
    scale = _archive()[1]["grid"]
    out, start = [], 0
    for index, ((rows, cols), about) in enumerate(zip(p.arrays["shape"].astype(int), p.about["grids"], strict=True)):
        cells = slice(start, start + rows * cols)
        start += rows * cols
        uv = p.arrays["uv"][cells].reshape(rows, cols, 2) / 65535.0
        u0, v0, u1, v1 = about["rect"]
        a = (uv[..., 0] - u0) / (u1 - u0)
        b = (uv[..., 1] - v0) / (v1 - v0)
        us, vs = (b[0], a[:, 0]) if about["turn"] else (a[0], b[:, 0])
        out.append(
            Patch(
                name,
                about["zone"],
                index,
                tuple(about["rect"]),
                about["turn"],
                p.arrays["pos"][cells].reshape(rows, cols, 3) * scale,
                p.arrays["attr"][cells].reshape(rows, cols, 2).astype(np.float64),
                us,
                vs,
            )
        )
    return out


# ---------------------------------------------------------------- proportions


@dataclass(frozen=True)
class Frame:
    """Joint positions and per-bone scales of a figure. ``scale`` is about the canonical joint, in world axes."""

    canonical: dict[str, np.ndarray]
    position: dict[str, np.ndarray]
    scale: dict[str, np.ndarray]


BUILD = {"slim": (0.90, 0.92), "average": (1.0, 1.0), "chubby": (1.13, 1.10)}  # girth of trunk, of limbs


def canonical_bones() -> dict[str, tuple[str, np.ndarray]]:
    """Bone name to (parent name, canonical position), left and right, parents first."""
    out: dict[str, tuple[str, np.ndarray]] = {}
    for name, (parent, x, y, z) in _archive()[1]["bones"].items():
        out[name] = (parent, np.array([x, y, z]))
    for name, (parent, p) in list(out.items()):
        if name.startswith("left"):
            out[name.replace("left", "right")] = (parent.replace("left", "right"), p * np.array([-1.0, 1, 1]))
    return out


def frame(heads: float, build: str = "average") -> Frame:
    """Where the joints are, and how much each bone's flesh is scaled, for a figure of ``heads`` heads (2 to 4)."""
    girth, limb = BUILD[build]
    bones = canonical_bones()
    k = (heads - 1) / (CANONICAL_HEADS - 1)  # how much taller everything below the chin is
    wide = k**0.45 * girth
    long_leg = k**1.15
    thigh = bones["leftUpperLeg"][1][1]
    chin = 1.5 * HEAD_HEIGHT
    trunk = (chin * k - thigh * long_leg) / (chin - thigh)
    foot = k**0.5
    hand = k**0.5
    ankle = bones["leftFoot"][1][1]
    leg = (thigh * long_leg - ankle * foot) / (thigh - ankle)
    arm = k**0.9
    thin = k**0.45 * limb

    position: dict[str, np.ndarray] = {}
    scale: dict[str, np.ndarray] = {}
    for name, (_, p) in bones.items():
        side = -1.0 if name.startswith("right") else 1.0
        x, y, z = p * np.array([side, 1, 1])
        core = np.array([x * wide, thigh * long_leg + (y - thigh) * trunk, z * wide])
        if name in ("hips", "spine", "chest"):
            q, s = core, (wide, trunk, wide)
        elif name == "neck":
            q, s = core, (wide, trunk, wide)
        elif name in ("head", "leftEye", "rightEye"):
            q, s = np.array([x, y - chin + chin * k, z]), (1.0, 1.0, 1.0)
        elif name.endswith("Shoulder"):
            q, s = core, (wide, trunk, wide)
        elif name.endswith(("Arm", "Hand")):
            root = bones["leftUpperArm"][1]
            start = np.array([root[0] * wide, thigh * long_leg + (root[1] - thigh) * trunk, root[2] * wide])
            q = start + np.array([(x - root[0]) * arm, 0.0, 0.0])
            s = (hand, hand, hand) if name.endswith("Hand") else (arm, thin, thin)
        elif name.endswith(("Foot", "Toes")):
            q, s = (
                np.array([bones["leftFoot"][1][0] * wide + (x - bones["leftFoot"][1][0]) * foot, y * foot, z * foot]),
                (foot, foot, foot),
            )
        else:
            q, s = np.array([x * wide, ankle * foot + (y - ankle) * leg, z * wide]), (thin, leg, thin)
        position[name] = q * np.array([side, 1, 1])
        scale[name] = np.array(s)
    return Frame({n: p for n, (_, p) in bones.items()}, position, scale)


# ---------------------------------------------------------------- assembly


@dataclass(frozen=True)
class Assembly:
    """What :func:`assemble` gives: the mesh with part and zone labels, the joints, and the spring chains' joint lists."""

    mesh: Mesh
    joints: list[Joint]
    chains: list[tuple[dict[str, Any], list[int]]]
    face_zone: np.ndarray  # (F,) index into ``zones``
    zones: list[str]


BUDGET = {"mobile": 7500, "standard": 15000, "desktop": 32000}  # triangles


def fitted(names: Iterable[str], preset: str) -> dict[str, str]:
    """A triangle preset per piece so that the whole keeps the budget of ``preset``: the largest pieces but the head give way first."""
    chosen = {name: preset for name in names}
    coarser = PRESETS[: PRESETS.index(preset)][::-1] if preset in PRESETS else ()
    hides = [tuple(h) for name in chosen for h in piece(name, preset).about["hides"]]
    hair = any(piece(name, preset).about["part"] == "hair" for name in chosen)

    def count(name: str) -> int:
        return int(_visible(piece(name, chosen[name]), hair, hides).sum())

    for level in coarser:
        size = {name: count(name) for name in chosen}
        for name in sorted((n for n in chosen if n != "head"), key=lambda n: -size[n]):
            if sum(size.values()) <= BUDGET[preset]:
                break
            chosen[name] = level
            size[name] = count(name)
    return chosen


def assemble(
    names: Iterable[str],
    preset: str,
    heads: float,
    build: str,
    shapes: Mapping[str, float],
    parts: list[str],
    materials: Mapping[str, int],
) -> Assembly:
    """Join pieces into one mesh of the wanted proportions.

    ``shapes``: weights of the base's shape morphs, such as ``oval`` or ``eye_tall``. ``materials`` maps a part name to a material index. Skin that clothes or hair cover is left out, and what exceeds
    the preset's budget is thinned. Raises :class:`AvatarError`.
    """
    chosen = [piece(name, level) for name, level in fitted(names, preset).items()]
    has_hair = any(p.about["part"] == "hair" for p in chosen)
    hides = [tuple(h) for p in chosen for h in p.about["hides"]]
    body = frame(heads, build)
    joints, index, chains = _skeleton(chosen, body)
    unit = _archive()[1]["grid"]

    columns: dict[str, list[np.ndarray]] = {k: [] for k in ("pos", "unfolded", "uv", "joint", "weight", "smooth")}
    faces, face_part, face_zone, zones = [], [], [], []
    morphs: dict[str, list[np.ndarray]] = {}
    start, groups = 0, 0
    for p in chosen:
        a = p.arrays
        count = len(a["pos"])
        pos = a["pos"] * unit
        for shape, amount in shapes.items():
            pos = pos + a.get(f"morph/shape_{shape}", 0) * (unit * amount)
        bones = [index[b] for b in p.about["bones"]]
        joint = np.asarray(bones, np.uint16)[a["bone"]]
        weight = a["weight"] / 255.0
        columns["pos"].append(_warp(pos, joint, weight, joints, body))
        # the neutral mouth is folded to a line; its normals come from the open mouth, where the surface is smooth
        columns["unfolded"].append(columns["pos"][-1] + a.get("morph/aa", 0) * unit)
        columns["uv"].append(a["uv"] / 65535.0)
        columns["joint"].append(joint)
        columns["weight"].append(weight)
        labels = [g["smooth"] for g in p.about["grids"]]
        order = {label: groups + i for i, label in enumerate(dict.fromkeys(labels))}
        groups += len(order)
        columns["smooth"].append(np.array([order[label] for label in labels])[a["grid"]])
        face = _visible(p, has_hair, hides)
        faces.append(a["face"][face].astype(np.int64) + start)
        face_part.append(np.full(len(faces[-1]), parts.index(p.about["part"])))
        names_of = [f"{p.name}:{g['zone']}" for g in p.about["grids"]]
        for zone in names_of:
            if zone not in zones:
                zones.append(zone)
        face_zone.append(np.array([zones.index(z) for z in names_of])[a["face_grid"][face]])
        for key, delta in a.items():
            if key.startswith("morph/") and not key.startswith("morph/shape_"):
                eyes = (
                    a.get("morph/shape_eye_tall", np.zeros((1, 3)))
                    * _closing(key[6:], a["pos"])
                    * shapes.get("eye_tall", 0.0)
                )
                morphs.setdefault(key[6:], []).append((start, (delta - eyes) * unit))
        start += count

    face, part, zone = np.concatenate(faces), np.concatenate(face_part), np.concatenate(face_zone)
    if len(face) > BUDGET[preset]:
        still = np.ones(start, bool)
        for blocks in morphs.values():
            for begin, delta in blocks:
                still[begin : begin + len(delta)] &= ~delta.any(1)
        begin = 0
        for p in chosen:
            still[begin : begin + len(p.arrays["pos"])] &= p.name not in ("head", "body")
            begin += len(p.arrays["pos"])
        face = thinned(np.concatenate(columns["pos"]), np.concatenate(columns["uv"]), face, still, BUDGET[preset])
        kept = (face[:, 0] != face[:, 1]) & (face[:, 1] != face[:, 2]) & (face[:, 2] != face[:, 0])
        face, part, zone = face[kept], part[kept], zone[kept]
    used, face = np.unique(face, return_inverse=True)
    face = face.reshape(-1, 3)
    stacked = {k: np.concatenate(v)[used] for k, v in columns.items()}
    quantised = np.rint(stacked["pos"] * 50000).astype(np.int64)
    _, weld = np.unique(quantised, axis=0, return_inverse=True)
    weld = weld.ravel()
    dense: dict[str, np.ndarray] = {}
    for name, blocks in morphs.items():
        full = np.zeros((start, 3), np.float32)
        for begin, delta in blocks:
            full[begin : begin + len(delta)] = delta
        dense[name] = np.ascontiguousarray(full[used])
    mesh = Mesh(
        positions=stacked["pos"].astype(np.float32),
        normals=_normals(stacked["unfolded"], face, weld, stacked["smooth"]),
        uvs=stacked["uv"].astype(np.float32),
        faces=face.astype(np.int32),
        face_material=np.array([materials[n] for n in parts], np.int32)[part],
        face_part=part.astype(np.int32),
        joints=stacked["joint"].astype(np.uint16),
        weights=stacked["weight"].astype(np.float32),
        morphs=dense,
        weld=weld.astype(np.int32),
        mirror=_mirror(quantised, stacked["uv"]),
    )
    return Assembly(mesh, joints, chains, zone.astype(np.int32), zones)


def _closing(morph: str, pos: np.ndarray) -> np.ndarray:
    """(V, 1) how much of the eyes' own height a morph must take back: 1 on the side that it closes."""
    sides = {"blink": (1, 1), "happy": (1, 1), "joyEyes": (1, 1), "blinkLeft": (1, 0), "blinkRight": (0, 1)}.get(
        morph, (0, 0)
    )
    return np.where(pos[:, :1] > 0, *sides)


def _skeleton(
    chosen: list[Piece], body: Frame
) -> tuple[list[Joint], dict[str, int], list[tuple[dict[str, Any], list[int]]]]:
    joints = [Joint("root", -1, np.zeros(3))]
    index = {"root": 0}
    for name, (parent, _) in canonical_bones().items():
        joints.append(Joint(name, index[parent], body.position[name], bone=name))
        index[name] = len(joints) - 1
    chains = []
    for p in chosen:
        for chain in p.about["chains"]:
            parent = chain["parent"]
            shift = body.position[parent] - body.canonical[parent]
            numbers = []
            for i, point in enumerate(chain["points"]):
                name = f"{chain['name']}_{i}"
                joints.append(Joint(name, numbers[-1] if numbers else index[parent], np.asarray(point) + shift))
                index[name] = len(joints) - 1
                numbers.append(index[name])
            chains.append((chain, numbers))
    return joints, index, chains


def _warp(pos: np.ndarray, joint: np.ndarray, weight: np.ndarray, joints: list[Joint], body: Frame) -> np.ndarray:
    """Blend each vertex's bones' moves from the canonical to the wanted figure. Chains move with the bone they hang from."""
    origin, target, scale = np.zeros((len(joints), 3)), np.zeros((len(joints), 3)), np.ones((len(joints), 3))
    for i in range(len(joints)):
        owner = i
        while joints[owner].name not in body.position and joints[owner].parent >= 0:
            owner = joints[owner].parent
        name = joints[owner].name
        if name in body.position:
            origin[i], target[i], scale[i] = body.canonical[name], body.position[name], body.scale[name]
    moved = target[joint] + (pos[:, None] - origin[joint]) * scale[joint]
    return (moved * weight[..., None]).sum(1)


def _visible(p: Piece, has_hair: bool, hides: list[tuple[str, float, float]]) -> np.ndarray:
    """(F,) True for faces that neither hair nor clothes hide."""
    a = p.arrays
    face = a["face"]
    gone = np.zeros(len(a["pos"]), bool)
    covers = np.array([g["cover"] for g in p.about["grids"]])[a["grid"]]
    if has_hair:
        gone |= (covers == "hair") & (a["hidden"] > 0)
    for zone, low, high in hides:
        along = a["attr"][:, 1]
        gone |= (covers == zone) & (along >= low) & (along <= high)
    return ~gone[face].all(1)


def _normals(pos: np.ndarray, face: np.ndarray, weld: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """Area-weighted vertex normals, shared by vertices at the same place in the same smoothing group."""
    _, group = np.unique(weld.astype(np.int64) * 4096 + smooth, return_inverse=True)
    group = group.ravel()
    a, b, c = (pos[face[:, i]] for i in range(3))
    n = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(group[face].ravel(), np.repeat(n[:, i], 3), minlength=group.max() + 1) for i in range(3)], -1
    )
    out = total[group]
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return (np.where(length > 1e-12, out / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])).astype(np.float32)


def _mirror(quantised: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """For each vertex the one at (-x, y, z), -1 where there is none; among several at one place, any."""
    flipped = quantised * np.array([-1, 1, 1])
    both = np.concatenate([quantised, flipped])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.ravel()
    here, there = number[: len(quantised)], number[len(quantised) :]
    first = np.full(number.max() + 1, -1)
    first[here[::-1]] = np.arange(len(here))[::-1]
    return first[there].astype(np.int32)
