"""A pose written down once and solved for any proportions.

A pose is a mapping. Directions are ``[outwards, up, forwards]`` (outwards: away from the middle line, so one description serves both
sides); turns are degrees ``[nod, turn, tilt]``: positive nods forwards, turns to the figure's left, tilts towards its left.

==============  ==================================================================================================
key             what
==============  ==================================================================================================
hips            turn of the pelvis in the world
spine           turn of the chest against the pelvis (shared by spine and chest)
head            turn of the head against the chest (shared by neck and head)
left, right     an arm: ``upper`` and ``fore`` directions in the chest's frame, or ``at`` (a place, see PLACES) with ``pole``,
                the direction in which the elbow points; ``hand`` (a shape, see hands.py), ``fingers``, ``palm`` (directions)
left_leg, …     a leg: ``plant`` [outwards, forwards] in hip widths and leg lengths puts the foot on the floor under the hip,
                ``raise`` lifts it (leg lengths), ``knee`` is the direction of the knee; or ``thigh`` and ``shin`` directions
                in the pelvis' frame
stretch         how straight the straighter planted leg is, 0.5 to 1 (default 0.985)
air             how far the lowest point is above the floor, in leg lengths (jumps)
seat            height of the thighs' underside above the floor when sitting on something, in leg lengths (default: the floor)
==============  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .skeleton import PARENTS

SIDES = (("left", 1.0), ("right", -1.0))


@dataclass
class Solved:
    """World rotations (3, 3) and positions (3,) of the bones, and per side the hand's frame (columns: thumb side, fingers, palm)."""

    rotation: dict[str, np.ndarray]
    position: dict[str, np.ndarray]
    hand_frame: dict[str, np.ndarray] = field(default_factory=dict)

    def local(self) -> dict[str, np.ndarray]:
        """Rotation of each bone against its parent's, the rest pose being the identity."""
        out = {}
        for name, matrix in self.rotation.items():
            parent = PARENTS[name]
            out[name] = self.rotation[parent].T @ matrix if parent in self.rotation else matrix
        return out


def unit(v: np.ndarray) -> np.ndarray:
    """``v`` at length 1; the zero vector stays what it is."""
    n = float(np.sqrt(v @ v))
    return v / n if n > 1e-12 else v


def about(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) right-handed rotation about X, Y or Z (0, 1, 2)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    out = np.eye(3)
    out[a, a], out[a, b], out[b, a], out[b, b] = c, -s, s, c
    return out


def turned(angles: Any, share: float = 1.0) -> np.ndarray:
    """(3, 3) for degrees ``[nod, turn, tilt]``."""
    nod, turn, tilt = (float(a) * share for a in (angles or (0, 0, 0)))
    return about(1, turn) @ about(0, nod) @ about(2, -tilt)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation that takes direction ``a`` to direction ``b`` (Rodrigues' formula)."""
    a, b = unit(a), unit(b)
    c = float(a @ b)
    if c < -0.999999:
        axis = unit(np.cross(a, [0.0, 0.0, 1.0] if abs(a[2]) < 0.9 else [0.0, 1.0, 0.0]))
        return 2 * np.outer(axis, axis) - np.eye(3)
    v = np.cross(a, b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + c)


def frame_of(forward: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(3, 3) with column 1 along ``forward`` and column 2 as near ``up`` as can be; column 0 completes a right-handed frame."""
    y = unit(forward)
    z = up - (up @ y) * y
    if z @ z < 1e-9:
        z = np.array([0.0, 0.0, 1.0]) - y[2] * y
        if z @ z < 1e-9:
            z = np.array([1.0, 0.0, 0.0])
    z = unit(z)
    return np.stack([np.cross(y, z), y, z], axis=1)


def two_bone(
    root: np.ndarray, target: np.ndarray, a: float, b: float, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Middle and end joint of a chain with lengths ``a`` and ``b`` that reaches for ``target``, bent towards ``pole``."""
    way = target - root
    d = float(np.sqrt(way @ way))
    way = way / d if d > 1e-9 else np.array([0.0, -1.0, 0.0])
    d = min(max(d, abs(a - b) + 1e-4, 0.12 * (a + b)), (a + b) * 0.9995)
    along = (a * a - b * b + d * d) / (2 * d)
    out = np.sqrt(max(a * a - along * along, 0.0))
    bend = pole - (pole @ way) * way
    bend = unit(bend) if bend @ bend > 1e-9 else unit(np.cross(way, [1.0, 0.0, 0.0]))
    return root + along * way + out * bend, root + d * way


def _places(rest: Mapping[str, np.ndarray], side: str, sign: float) -> dict[str, tuple[str, np.ndarray]]:
    """Named places for a wrist: bone whose frame they live in, and position in the rest pose's world."""
    hip, arm, chest, head = rest[f"{side}UpperLeg"], rest[f"{side}UpperArm"], rest["chest"], rest["head"]
    width, hips = abs(arm[0]), abs(hip[0])
    reach = float(np.linalg.norm(rest[f"{side}Hand"] - arm))
    trunk = arm[1] - hip[1]
    size = _head_size(rest)
    deep = 0.55 * max(width, 0.8 * hips)  # half the depth of the trunk
    wide = _face_half(rest)

    def at(bone: str, x: float, y: float, z: float) -> tuple[str, np.ndarray]:
        return bone, np.array([sign * x, y, z])

    return {
        "hip": at(
            "hips", max(1.05 * width, 2.1 * hips), max(hip[1] + 0.30 * trunk, arm[1] - 0.74 * reach), 0.12 * deep
        ),
        "thigh": at("hips", 1.5 * hips, hip[1] - 0.05 * trunk, 1.5 * deep),
        "belly": at("spine", 0.25 * width, hip[1] + 0.42 * trunk, deep + 0.16 * reach),
        "chest": at("chest", 0.20 * width, arm[1] - 0.16 * trunk, deep + 0.16 * reach),
        "heart": at("chest", 0.16 * width, arm[1] - 0.22 * trunk, deep + 0.34 * reach),
        "together": at("chest", 0.10 * width, arm[1] - 0.18 * trunk, deep + 0.40 * reach),
        "across": at("chest", -0.30 * width, arm[1] - 0.38 * trunk, deep + 0.16 * reach),
        "back": at("spine", 0.35 * width, hip[1] + 0.25 * trunk, -deep - 0.14 * reach),
        "chin": at("head", 0.12 * size, head[1] - 0.02 * size, 0.30 * size),
        "cheek": at("head", 0.80 * wide, head[1] + 0.10 * size, 0.24 * size),
        "mouth": at("head", 0.26 * size, head[1] + 0.05 * size, 0.40 * size),
        "eye": at("head", 0.92 * wide, head[1] + 0.30 * size, 0.34 * size),
        "ear": at("head", 1.06 * wide, head[1] + 0.22 * size, 0.10 * size),
        "brow": at("head", 0.85 * wide, head[1] + 0.50 * size, 0.30 * size),
        "crown": at("head", 0.55 * wide, head[1] + 0.80 * size, 0.10 * size),
        "nape": at("head", 0.80 * wide, head[1] + 0.30 * size, -0.30 * size),
        "over": at("chest", 0.80 * width, arm[1] + 0.98 * reach, 0.10 * reach),
        "front": at("chest", 0.55 * width, arm[1] - 0.15 * trunk, 0.95 * reach),
        "low_front": at("chest", 0.30 * width, hip[1] + 0.10 * trunk, deep + 0.20 * reach),
    }


def _head_size(rest: Mapping[str, np.ndarray]) -> float:
    """Chin to top of the skull, from the rest pose: 1 on canonical figures, metres on avatars."""
    return float(rest["__head"][1]) if "__head" in rest else 1.0


def _face_half(rest: Mapping[str, np.ndarray]) -> float:
    return float(rest["__head"][0]) if "__head" in rest else 0.5


def solve(pose: Mapping[str, Any], rest: Mapping[str, np.ndarray]) -> Solved:
    """Put a figure with T-pose joints ``rest`` (bone name to (3,)) into ``pose``; the floor is Y = 0.

    The special entry ``"__head"`` of ``rest`` gives (half width of the face, height of the head, 0); see :func:`with_head`.
    """
    R: dict[str, np.ndarray] = {}
    P: dict[str, np.ndarray] = {}
    R["hips"] = turned(pose.get("hips"))
    P["hips"] = rest["hips"].copy()
    R["spine"] = R["hips"] @ turned(pose.get("spine"), 0.5)
    R["chest"] = R["spine"] @ turned(pose.get("spine"), 0.5)
    R["neck"] = R["chest"] @ turned(pose.get("head"), 0.35)
    R["head"] = R["neck"] @ turned(pose.get("head"), 0.65)

    def carry(name: str) -> None:
        parent = PARENTS[name]
        while parent not in rest:
            parent = PARENTS[parent]
        P[name] = P[parent] + R[parent] @ (rest[name] - rest[parent])

    for name in ("spine", "chest", "neck", "head"):
        carry(name)
    for side, sign in SIDES:
        _leg(pose.get(f"{side}_leg") or {"plant": [1.0, 0.0]}, rest, R, P, side, sign)
    _ground(pose, rest, R, P)
    solved = Solved(R, P)
    for side, sign in SIDES:
        _arm(pose.get(side) or {}, rest, solved, side, sign, carry)
    return solved


def with_head(rest: Mapping[str, np.ndarray], half_width: float, height: float) -> dict[str, np.ndarray]:
    """``rest`` with the size of the head, which the joints alone do not tell."""
    return {**rest, "__head": np.array([half_width, height, 0.0])}


def _directed(value: Any, sign: float) -> np.ndarray:
    v = np.array([float(c) for c in value])
    v[0] *= sign
    return unit(v)


def _leg(leg: Mapping[str, Any], rest: Mapping[str, np.ndarray], R: dict, P: dict, side: str, sign: float) -> None:
    """Leg directions from the pelvis; planted legs wait for the height of the hips and are only noted."""
    names = [f"{side}UpperLeg", f"{side}LowerLeg", f"{side}Foot"]
    P[names[0]] = P["hips"] + R["hips"] @ (rest[names[0]] - rest["hips"])
    if "thigh" not in leg:
        return
    thigh = R["hips"] @ _directed(leg["thigh"], sign)
    shin = R["hips"] @ _directed(leg.get("shin", leg["thigh"]), sign)
    _set_leg(rest, R, P, side, P[names[0]] + thigh * _length(rest, names[0], names[1]), None, shin)
    R[names[2]] = R[names[1]] @ about(0, float(leg.get("toe", 0)))


def _length(rest: Mapping[str, np.ndarray], a: str, b: str) -> float:
    return float(np.linalg.norm(rest[b] - rest[a]))


def _set_leg(
    rest: Mapping[str, np.ndarray],
    R: dict,
    P: dict,
    side: str,
    knee: np.ndarray,
    ankle: np.ndarray | None,
    shin: np.ndarray | None = None,
) -> None:
    up, low, foot = f"{side}UpperLeg", f"{side}LowerLeg", f"{side}Foot"
    if ankle is None:
        ankle = knee + shin * _length(rest, low, foot)
    inverse = R["hips"].T
    R[up] = R["hips"] @ between(rest[low] - rest[up], inverse @ (knee - P[up]))
    R[low] = R[up] @ between(rest[foot] - rest[low], R[up].T @ (ankle - knee))
    P[low], P[foot] = knee, ankle


def _ground(pose: Mapping[str, Any], rest: Mapping[str, np.ndarray], R: dict, P: dict) -> None:
    """Choose the height of the hips: planted feet on the floor, or the lowest point at ``air`` or ``seat`` above it."""
    long = _length(rest, "leftUpperLeg", "leftLowerLeg") + _length(rest, "leftLowerLeg", "leftFoot")
    ankle = float(rest["leftFoot"][1])
    planted = {}
    for side, sign in SIDES:
        leg = pose.get(f"{side}_leg") or {"plant": [1.0, 0.0]}
        if "thigh" not in leg:
            out, forward = (float(v) for v in leg.get("plant", (1.0, 0.0)))
            yaw = about(1, float((pose.get("hips") or (0, 0, 0))[1]))
            spot = yaw @ np.array([sign * out * abs(rest[f"{side}UpperLeg"][0]), 0.0, forward * long])
            spot[1] = ankle + float(leg.get("raise", 0.0)) * long
            planted[side] = (sign, leg, spot)
    shift = None
    stretch = float(pose.get("stretch", 0.985)) * long
    for side, (_, _, spot) in planted.items():
        hip = P[f"{side}UpperLeg"]
        flat = float(np.hypot(spot[0] - hip[0], spot[2] - hip[2]))
        room = spot[1] + np.sqrt(max(stretch**2 - flat**2, (0.2 * long) ** 2)) - hip[1]
        shift = room if shift is None else min(shift, room)
    if shift is None:
        lowest = min(
            P[f"{s}{j}"][1] - (ankle if j == "Foot" else 0.55 * ankle) for s, _ in SIDES for j in ("Foot", "LowerLeg")
        )
        thick = 0.9 * abs(float(rest["leftUpperLeg"][0]))
        middle = P["head"] + R["head"] @ np.array([0.0, 0.45 * _head_size(rest), 0.0])
        lowest = min(lowest, P["hips"][1] - thick, middle[1] - 1.1 * _face_half(rest))
        shift = -lowest
        if "seat" in pose:
            shift = float(pose["seat"]) * long + thick - P["hips"][1]
    shift += float(pose.get("air", 0.0)) * long
    for name in P:
        P[name] = P[name] + np.array([0.0, shift, 0.0])
    for side, (sign, leg, spot) in planted.items():
        spot = spot + np.array([0.0, float(pose.get("air", 0.0)) * long, 0.0])
        up, low, foot = f"{side}UpperLeg", f"{side}LowerLeg", f"{side}Foot"
        pole = R["hips"] @ _directed(leg.get("knee", (0.12, 0.0, 1.0)), sign)
        knee, end = two_bone(P[up], spot, _length(rest, up, low), _length(rest, low, foot), pole)
        _set_leg(rest, R, P, side, knee, end)
        yaw = about(1, float((pose.get("hips") or (0, 0, 0))[1]) + sign * float(leg.get("out", 8)))
        R[foot] = yaw @ about(0, float(leg.get("toe", 0)))


def _arm(
    arm: Mapping[str, Any], rest: Mapping[str, np.ndarray], solved: Solved, side: str, sign: float, carry: Any
) -> None:
    R, P = solved.rotation, solved.position
    shoulder, up, low, hand = f"{side}Shoulder", f"{side}UpperArm", f"{side}LowerArm", f"{side}Hand"
    chest = R["chest"]
    a, b = _length(rest, up, low), _length(rest, low, hand)
    upper = _directed(arm.get("upper", (0.32, -1.0, 0.04)), sign)
    fore = _directed(arm.get("fore", (0.14, -1.0, 0.22)), sign)
    lift = 11.0 * max(0.0, float(upper[1])) if "at" not in arm else float(arm.get("shrug", 0.0))
    if shoulder in rest:
        R[shoulder] = chest @ about(2, sign * lift)
        carry(shoulder)
    carry(up)
    if "at" in arm:
        bone, spot = _places(rest, side, sign)[arm["at"]]
        offset = np.array([float(c) for c in arm.get("offset", (0, 0, 0))]) * _head_size(rest) * np.array([sign, 1, 1])
        target = P[bone] + R[bone] @ (spot + offset - rest[bone])
        pole = chest @ _directed(arm.get("pole", (1.0, -0.6, -0.4)), sign)
        knee, end = two_bone(P[up], target, a, b, pole)
    else:
        knee = P[up] + chest @ upper * a
        end = knee + chest @ fore * b
    parent = R[shoulder] if shoulder in rest else chest
    R[up] = parent @ between(rest[low] - rest[up], parent.T @ (knee - P[up]))
    R[low] = R[up] @ between(rest[hand] - rest[low], R[up].T @ (end - knee))
    P[low], P[hand] = knee, end
    along = unit(end - knee)
    fingers = chest @ _directed(arm["fingers"], sign) if "fingers" in arm else along
    if float(fingers @ along) < 0.17:  # a wrist bends 80 degrees at most
        side_way = unit(fingers - (fingers @ along) * along)
        fingers = 0.17 * along + 0.985 * side_way
    palm = chest @ _directed(arm["palm"], sign) if "palm" in arm else R[low] @ np.array([0.0, -1.0, 0.0])
    hand_frame = frame_of(fingers, palm)
    solved.hand_frame[side] = hand_frame
    R[hand] = R[low] @ _limited(between(rest[hand] - rest[low], R[low].T @ fingers), 55.0)


def _limited(matrix: np.ndarray, degrees: float) -> np.ndarray:
    """``matrix`` with its angle cut to ``degrees``; skinned wrists tear beyond."""
    angle = float(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))
    if angle <= degrees:
        return matrix
    axis = unit(np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]))
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    t = np.radians(degrees)
    return np.eye(3) + np.sin(t) * k + (1 - np.cos(t)) * k @ k
