"""Keypoints to bone rotations of a humanoid rig.

A person that still is one of the library's poses is solved again for the rig's own joints, which is exact. Any other is lifted from
the picture: a bone that looks shorter than it is leans towards or away from the viewer by ``acos`` of the ratio;
arms and thighs come forwards, shins go backwards, and a forearm in front of the trunk is brought in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import library
from .figure import SIDES, about, between, solve, unit, with_head
from .keypoints import (
    BODY_NAMES,
    L_EAR,
    L_ELBOW,
    L_EYE,
    L_HIP,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE,
    R_EAR,
    R_ELBOW,
    R_EYE,
    R_HIP,
    R_SHOULDER,
    R_WRIST,
    Person,
    parse,
)
from .retarget import BONES, Build, canonical_lengths, estimate, measured_lengths
from .skeleton import PARENTS

HUMAN = tuple(PARENTS)
_ARM_ENDS = (R_ELBOW, R_WRIST, L_ELBOW, L_WRIST)
_POINT = {name: i for i, name in enumerate(BODY_NAMES)}


@dataclass(frozen=True)
class PosedRig:
    """``rotations``: bone name to local rotation (3, 3), the T-pose being the identity; bones left out keep it.

    ``offset`` (3,) is to be added to the hips' position in the rig's units, so that the feet stand on Y = 0 (or hover in a jump).
    ``azimuth`` is the side from which the picture shows the figure; it is not part of the rotations.
    """

    rotations: dict[str, np.ndarray]
    offset: np.ndarray
    azimuth: float


def pose_to_rotations(frame: Any, joints: Any, person: int = 0) -> dict[str, np.ndarray]:
    """Bone name to local rotation (3, 3) for the avatar's humanoid bones. See :func:`pose_rig`."""
    return pose_rig(frame, joints, person).rotations


def pose_rig(frame: Any, joints: Any, person: int = 0) -> PosedRig:
    """How to pose a rig like one person of ``frame``.

    ``frame`` is a :class:`~.keypoints.Frame` or any pose that ``parse`` reads (its first frame counts). ``joints`` is the avatar's joint list
    (objects with ``bone`` and ``position``) or a mapping from bone name to T-pose position. A frame without that person gives
    the T-pose. The rotations are seen in the figure's own frame: its front stays +Z, and ``azimuth`` says how the
    picture saw it.
    """
    frames = parse(frame)
    rest = rest_of(joints)
    if not frames or person >= len(frames[0].people):
        return PosedRig({}, np.zeros(3), 0.0)
    one = frames[0].people[person]
    described = _as_preset(one)
    if described is not None:
        solved = solve(described, rest)
        offset = solved.position["hips"] - rest["hips"]
        return PosedRig(_local(solved.rotation, rest), offset, float(one.tag.get("azimuth", 0.0)))
    return _lift(one, rest)


def rest_of(joints: Any) -> dict[str, np.ndarray]:
    """Humanoid bone name to T-pose position, with the head's size guessed from its eyes when the rig has them."""
    if isinstance(joints, dict):
        rest = {name: np.asarray(p, float) for name, p in joints.items()}
    else:
        rest = {j.bone: np.asarray(j.position, float) for j in joints if getattr(j, "bone", None)}
    if "__head" in rest:
        return rest
    head = rest["head"]
    if "leftEye" in rest:
        height = float(rest["leftEye"][1] - head[1]) / 0.43
        half = 2.4 * abs(float(rest["leftEye"][0]))
    else:
        height = 1.2 * float(rest["head"][1] - rest["neck"][1]) + 0.15 * float(head[1])
        half = 0.5 * height
    return with_head({k: v for k, v in rest.items() if k in PARENTS}, half, height)


def _as_preset(person: Person) -> dict[str, Any] | None:
    """The library pose this person is tagged with, if trunk and legs still agree with it (directions within 6 degrees).

    Arms do not tell: they are solved anew for contacts when proportions change, and the editor takes the tag away.
    """
    tag = person.tag
    name = tag.get("preset")
    if not isinstance(name, str) or name not in library.poses():
        return None
    mirrored = bool(tag.get("mirrored", False))
    heads, azimuth = tag.get("heads", 2.5), tag.get("azimuth", 0.0)
    if not isinstance(heads, int | float) or not isinstance(azimuth, int | float):
        return None
    known = library.frame(name, 512, 512, float(heads), float(azimuth), mirrored, with_face=False).people[0].body
    for a, b in BONES[:12]:
        if b in _ARM_ENDS or min(person.body[a, 2], person.body[b, 2]) <= 0:
            continue
        u, v = person.body[b, :2] - person.body[a, :2], known[b, :2] - known[a, :2]
        long = float(np.hypot(*v))
        if long < 8.0:
            continue
        if float(unit(u) @ unit(v)) < (0.9945 if long > 20 else 0.97):
            return None
    return library.pose(name, mirrored)


def _local(rotation: dict[str, np.ndarray], rest: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    out = {}
    for name, matrix in rotation.items():
        if name not in rest:
            continue
        parent = PARENTS[name]
        while parent is not None and parent not in rest:
            parent = PARENTS[parent]
        out[name] = rotation[parent].T @ matrix if parent in rotation else matrix
    return out


# ------------------------------------------------------------------------------------------------ from the picture
# alone


def _lift(person: Person, rest: dict[str, np.ndarray]) -> PosedRig:
    body = person.body
    tag = person.tag
    if isinstance(tag.get("heads"), int | float) and isinstance(tag.get("unit"), int | float):
        build: Build | None = Build(float(tag["heads"]), float(tag["unit"]))
    else:
        build = estimate([body])
    if build is None:
        return PosedRig({}, np.zeros(3), 0.0)
    canon = canonical_lengths(build.heads) * build.unit
    lengths = measured_lengths(body)
    there = body[:, 2] > 0
    flat = np.column_stack([body[:, 0], -body[:, 1], np.zeros(18)])
    azimuth = _azimuth(body, canon)
    # picture plane (x right, y up, z to the viewer) to the figure's own frame
    turn = about(1, azimuth)
    depth = {
        bone: np.sqrt(max(0.0, 1.0 - min(1.0, float(lengths[i] / canon[i])) ** 2)) if lengths[i] == lengths[i] else 0.0
        for i, bone in enumerate(BONES)
    }

    def way(a: int, b: int, toward: float) -> np.ndarray | None:
        """Direction of a bone in the figure's frame; ``toward`` +1 or -1 picks forwards or backwards for the hidden
        depth.
        """
        if not (there[a] and there[b]):
            return None
        step = flat[b] - flat[a]
        long = float(np.hypot(step[0], step[1]))
        z = depth.get((a, b), 0.0)
        if z < 0.36:  # lengths are not known that well
            z = 0.0
        share = np.sqrt(1 - z * z)
        seen = step / long * share if long > 1e-9 else np.zeros(3)
        both = []
        for sign in (1.0, -1.0):
            seen[2] = sign * z
            both.append(turn @ seen)
        best = both[0] if toward * both[0][2] >= toward * both[1][2] else both[1]
        return unit(best) if best @ best > 1e-9 else None

    rotation: dict[str, np.ndarray] = {}
    pelvis, chest = np.eye(3), np.eye(3)
    hips = _middle(flat, there, R_HIP, L_HIP)
    if hips is not None and there[NECK]:
        up = unit(turn @ (flat[NECK] - hips))
        chest = between(np.array([0.0, 1.0, 0.0]), up)
        pelvis = about(2, 0.5 * _tilt(flat, there, R_HIP, L_HIP, azimuth)) @ _share(chest, 0.4)
        if there[R_SHOULDER] and there[L_SHOULDER] and abs(np.cos(np.radians(azimuth))) > 0.7:
            across = unit(turn @ (flat[L_SHOULDER] - flat[R_SHOULDER]))
            across = unit(across - (across @ up) * up)
            tilted = np.stack([across, up, np.cross(across, up)], axis=1)
            chest = tilted if tilted[0, 0] > 0.5 else chest
    rotation["hips"] = pelvis
    rotation["spine"] = pelvis @ _share(pelvis.T @ chest, 0.5)
    rotation["chest"] = chest
    head = _head(flat, there, chest, turn, canon)
    rotation["neck"] = chest @ _share(chest.T @ head, 0.35)
    rotation["head"] = head
    for side, sign in SIDES:
        _lift_arm(way, flat, there, rest, rotation, chest, side, sign)
        _lift_leg(way, rest, rotation, pelvis, side)
    return PosedRig(_local(rotation, rest), _ground_offset(rotation, rest), float(azimuth))


def _share(matrix: np.ndarray, t: float) -> np.ndarray:
    """A part ``t`` of a rotation smaller than half a turn."""
    angle = float(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1)))
    if angle < 1e-6:
        return np.eye(3)
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) / (
        2 * np.sin(angle)
    )
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(t * angle) * k + (1 - np.cos(t * angle)) * k @ k


def _middle(flat: np.ndarray, there: np.ndarray, a: int, b: int) -> np.ndarray | None:
    if there[a] and there[b]:
        return (flat[a] + flat[b]) / 2
    return flat[a] if there[a] else flat[b] if there[b] else None


def _tilt(flat: np.ndarray, there: np.ndarray, right: int, left: int, azimuth: float) -> float:
    if not (there[right] and there[left]):
        return 0.0
    step = flat[left] - flat[right]
    if abs(np.cos(np.radians(azimuth))) < 0.7:
        return 0.0
    return float(np.clip(np.degrees(np.arctan2(step[1], abs(step[0]) + 1e-9)), -25, 25)) * (
        1 if np.cos(np.radians(azimuth)) > 0 else -1
    )


def _azimuth(body: np.ndarray, canon: np.ndarray) -> float:
    """From which side the figure is seen, in steps of nothing: the shoulders' width gives the angle, the face its
    sign.
    """
    there = body[:, 2] > 0
    if not (there[R_SHOULDER] and there[L_SHOULDER]):
        return 0.0
    width = float(body[L_SHOULDER, 0] - body[R_SHOULDER, 0])
    hips = float(body[L_HIP, 0] - body[R_HIP, 0]) if there[R_HIP] and there[L_HIP] else width
    full = 2 * canon[0]
    turned = np.degrees(np.arccos(np.clip(abs(width) / full, 0, 1)))
    if turned < 28:  # widths are not known that well
        turned = 0.0
    back = width < 0 and hips <= 0 and not (there[NOSE] and there[R_EYE] and there[L_EYE])
    face = [i for i in (NOSE, R_EYE, L_EYE) if there[i]]
    ears = [i for i in (R_EAR, L_EAR) if there[i]]
    lean = 0.0
    if face and ears:
        lean = float(body[face, 0].mean() - body[ears, 0].mean())
    elif face and there[NECK]:
        lean = float(body[face, 0].mean() - body[NECK, 0])
    sign = 1.0 if lean <= 0 else -1.0  # looking to the left of the picture: seen from its left
    return float((180 - turned) * sign if back else turned * sign)


def _head(flat: np.ndarray, there: np.ndarray, chest: np.ndarray, turn: np.ndarray, canon: np.ndarray) -> np.ndarray:
    for right, left in ((R_EAR, L_EAR), (R_EYE, L_EYE)):
        if there[right] and there[left]:
            across = flat[left] - flat[right]
            if (turn @ across)[0] < 0.2 * np.hypot(across[0], across[1]):
                continue
            roll = float(np.degrees(np.arctan2(across[1], abs(across[0]))))
            yaw = 0.0
            if there[NOSE]:
                middle = (flat[left] + flat[right]) / 2
                yaw = float(
                    np.degrees(np.arcsin(np.clip((flat[NOSE] - middle)[0] / (0.75 * canon[13] / 2 + 1e-9), -0.7, 0.7)))
                )
            base = float(np.degrees(np.arctan2(turn[0, 2], turn[2, 2])))
            return about(1, np.clip(yaw + base, -45, 45)) @ about(2, np.clip(roll, -35, 35))
    return chest


def _lift_arm(
    way: Any,
    flat: np.ndarray,
    there: np.ndarray,
    rest: dict[str, np.ndarray],
    rotation: dict[str, np.ndarray],
    chest: np.ndarray,
    side: str,
    sign: float,
) -> None:
    shoulder, elbow, wrist = (_POINT[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist"))
    up, low, hand = f"{side}UpperArm", f"{side}LowerArm", f"{side}Hand"
    rotation[f"{side}Shoulder"] = chest
    upper = way(shoulder, elbow, 1.0)
    if upper is None:
        upper = unit(chest @ np.array([0.35 * sign, -1.0, 0.05]))
    fore = way(elbow, wrist, 1.0)
    if fore is None:
        fore = upper
    a = float(np.linalg.norm(rest[low] - rest[up]))
    b = float(np.linalg.norm(rest[hand] - rest[low]))
    upper, fore = _out_of_trunk(upper, fore, a, b, rest, chest, side, sign)
    rotation[up] = chest @ between(rest[low] - rest[up], chest.T @ upper)
    rotation[low] = rotation[up] @ between(rest[hand] - rest[low], rotation[up].T @ fore)
    rotation[hand] = rotation[low]


def _out_of_trunk(
    upper: np.ndarray,
    fore: np.ndarray,
    a: float,
    b: float,
    rest: dict[str, np.ndarray],
    chest: np.ndarray,
    side: str,
    sign: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Bend elbow and wrist forwards until they are outside the trunk, taken as an upright elliptic cylinder."""
    start = rest[f"{side}UpperArm"] - rest["chest"]
    wide = 0.95 * abs(float(rest[f"{side}UpperArm"][0]))
    deep = 0.75 * wide + 0.12 * (a + b)
    for _ in range(6):
        u, f = chest.T @ upper, chest.T @ fore
        elbow = start + a * u
        wrist = elbow + b * f
        moved = False
        for point, which in ((elbow, 0), (wrist, 1)):
            inside = (point[0] / (1.05 * wide)) ** 2 + (point[2] / deep) ** 2 < 0.98 and point[1] < 0.6 * (a + b)
            if not inside:
                continue
            z = deep * np.sqrt(max(0.0, 1 - min(1.0, (point[0] / (1.05 * wide)) ** 2)))
            moved = True
            if which == 0:
                upper = chest @ unit(u + np.array([0.25 * sign, 0.0, max(0.1, 0.5 * (z - point[2]) / a)]))
            else:
                fore = chest @ unit(f + np.array([0.0, 0.0, max(0.1, (z - point[2]) / b)]))
        if not moved:
            break
    return upper, fore


def _lift_leg(
    way: Any, rest: dict[str, np.ndarray], rotation: dict[str, np.ndarray], pelvis: np.ndarray, side: str
) -> None:
    hip, knee, ankle = (_POINT[f"{side}_{n}"] for n in ("hip", "knee", "ankle"))
    up, low, foot = f"{side}UpperLeg", f"{side}LowerLeg", f"{side}Foot"
    down = np.array([0.0, -1.0, 0.0])
    thigh = way(hip, knee, 1.0)
    thigh = down if thigh is None else thigh
    shin = way(knee, ankle, -1.0)
    shin = thigh if shin is None else shin
    rotation[up] = pelvis @ between(rest[low] - rest[up], pelvis.T @ thigh)
    rotation[low] = rotation[up] @ between(rest[foot] - rest[low], rotation[up].T @ shin)
    ahead = unit(np.array([rotation[low][0, 2], 0.0, rotation[low][2, 2] + 1e-6]))
    level = np.stack([np.cross([0.0, 1.0, 0.0], ahead), [0.0, 1.0, 0.0], ahead], axis=1)
    rotation[foot] = rotation[low] @ _share(rotation[low].T @ level, 0.8 if shin[1] < -0.6 else 0.0)


def _ground_offset(rotation: dict[str, np.ndarray], rest: dict[str, np.ndarray]) -> np.ndarray:
    """What puts the lowest foot, knee or seat of the posed rig on Y = 0."""
    thick = 0.9 * abs(float(rest["leftUpperLeg"][0]))
    lowest = [rest["hips"][1] - thick]
    for side, _ in SIDES:
        p = rest["hips"] + rotation["hips"] @ (rest[f"{side}UpperLeg"] - rest["hips"])
        p = p + rotation[f"{side}UpperLeg"] @ (rest[f"{side}LowerLeg"] - rest[f"{side}UpperLeg"])
        lowest.append(float(p[1]) - 0.55 * float(rest[f"{side}Foot"][1]))
        p = p + rotation[f"{side}LowerLeg"] @ (rest[f"{side}Foot"] - rest[f"{side}LowerLeg"])
        lowest.append(float(p[1]) - float(rest[f"{side}Foot"][1]))
    return np.array([0.0, -min(lowest), 0.0])


def posed_positions(rig: PosedRig, joints: Any) -> dict[str, np.ndarray]:
    """World positions of the bones of a posed rig, for checks and for drawing."""
    rest = {k: v for k, v in rest_of(joints).items() if k in PARENTS}
    world: dict[str, np.ndarray] = {}
    out: dict[str, np.ndarray] = {}
    for name in HUMAN:
        if name not in rest:
            continue
        parent = PARENTS[name]
        while parent is not None and parent not in rest:
            parent = PARENTS[parent]
        local = rig.rotations.get(name, np.eye(3))
        if parent is None:
            world[name], out[name] = local, rest[name] + rig.offset
        else:
            world[name] = world[parent] @ local
            out[name] = out[parent] + world[parent] @ (rest[name] - rest[parent])
    return out
