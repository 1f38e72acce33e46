"""The poses that come with the pack (``data/library.json``, CC0), solved for any proportions and seen from any side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .figure import Solved, solve, with_head
from .hands import face_points, hand_points
from .keypoints import BODY_NAMES, Frame, Person, PoseError
from .skeleton import Proportions, proportions, rest_joints

DATA = Path(__file__).parent / "data" / "library.json"
VIEWS: dict[str, float] = {
    "front": 0.0,
    "three_quarter": 35.0,
    "side": 90.0,
    "back_three_quarter": 145.0,
    "back": 180.0,
}
_SWAP = {"left": "right", "right": "left", "left_leg": "right_leg", "right_leg": "left_leg"}


@lru_cache(maxsize=1)
def poses() -> dict[str, dict[str, Any]]:
    """Name to pose, in the library's order. Each has ``zh``, ``group`` and ``view`` besides what ``figure`` reads."""
    return json.loads(DATA.read_text(encoding="utf-8"))["poses"]


def names() -> list[str]:
    """The names of all poses."""
    return list(poses())


def pose(name: str, mirrored: bool = False) -> dict[str, Any]:
    """The pose ``name``; mirrored exchanges left and right. Raises :class:`PoseError` for an unknown name."""
    found = poses().get(name)
    if found is None:
        near = [n for n in poses() if name.split("_")[0] in n] or list(poses())[:8]
        raise PoseError(f"there is no pose {name[:60]!r}; for example {', '.join(near[:8])}")
    if not mirrored:
        return dict(found)
    out = {_SWAP.get(key, key): value for key, value in found.items()}
    for key in ("hips", "spine", "head"):
        if key in out:
            nod, turn, tilt = out[key]
            out[key] = [nod, -turn, -tilt]
    return out


def frame(
    name: str,
    width: int = 768,
    height: int = 768,
    heads: float = 2.5,
    view: str | float = "auto",
    mirrored: bool = False,
    with_face: bool = True,
) -> Frame:
    """The pose ``name`` of a figure of ``heads`` heads as one person on a canvas, feet on a ground line near its
    lower edge.

    ``view`` is one of :data:`VIEWS`, "auto" (the pose's best side) or an azimuth in degrees (90: seen from its left).
    """
    described = pose(name, mirrored)
    if view == "auto":
        view = described.get("view", "front")
        azimuth = VIEWS[view] if isinstance(view, str) else float(view)
        azimuth = -azimuth if mirrored else azimuth
    elif isinstance(view, str):
        if view not in VIEWS:
            raise PoseError(f"view: {view!r} is not one of auto, {', '.join(VIEWS)}")
        azimuth = VIEWS[view]
    else:
        azimuth = float(view)
    p = proportions(heads)
    solved = solve(described, with_head(rest_joints(p.heads), 0.85 * p.ear_x, 1.0))
    person = _project(solved, p, described, azimuth, with_face)
    tag = {"preset": name, "heads": round(p.heads, 4), "azimuth": azimuth, "mirrored": mirrored}
    skull = solved.position["head"] + solved.rotation["head"] @ np.array([0.0, 0.5, 0.0])
    a = np.radians(azimuth)
    return _placed(person, p, width, height, tag, (float(skull @ (np.cos(a), 0.0, -np.sin(a))), float(skull[1])))


def body_points(solved: Solved, p: Proportions) -> dict[str, np.ndarray]:
    """World positions (3,) of the 18 body points, in head heights."""
    position, rotation = solved.position, solved.rotation
    out = {}
    for side in ("left", "right"):
        for point, bone in (
            ("shoulder", "UpperArm"),
            ("elbow", "LowerArm"),
            ("wrist", "Hand"),
            ("hip", "UpperLeg"),
            ("knee", "LowerLeg"),
            ("ankle", "Foot"),
        ):
            out[f"{side}_{point}"] = position[f"{side}{bone}"]
    rest = rest_joints(p.heads)
    between = (rest["leftUpperArm"] + rest["rightUpperArm"]) / 2 - rest["chest"]
    out["neck"] = position["chest"] + rotation["chest"] @ between

    def of_head(x: float, down: float, z: float) -> np.ndarray:
        return position["head"] + rotation["head"] @ np.array([x, 1.0 - down, z])

    out["nose"] = of_head(0, p.nose_down, p.face_z)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out[f"{side}_eye"] = of_head(sign * p.eye_x, p.eye_down, 0.85 * p.face_z)
        out[f"{side}_ear"] = of_head(sign * p.ear_x, p.ear_down, 0.0)
    return out


def _project(solved: Solved, p: Proportions, described: Mapping[str, Any], azimuth: float, with_face: bool) -> Person:
    a = np.radians(azimuth)
    right, toward = np.array([np.cos(a), 0.0, -np.sin(a)]), np.array([np.sin(a), 0.0, np.cos(a)])

    def flat(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
        return np.column_stack([points @ right, -points[:, 1], seen.astype(float)])

    world = body_points(solved, p)
    head = solved.rotation["head"]
    facing = {
        "nose": (0, 0, 1),
        "left_eye": (0.55, 0, 1),
        "right_eye": (-0.55, 0, 1),
        "left_ear": (1, 0, 0.1),
        "right_ear": (-1, 0, 0.1),
    }
    seen = np.array(
        [float(toward @ (head @ np.array(facing[n], float))) > -0.3 if n in facing else True for n in BODY_NAMES]
    )
    body = flat(np.stack([world[n] for n in BODY_NAMES]), seen)
    hands = {}
    for side in ("left", "right"):
        arm = described.get(side) or {}
        points = hand_points(
            arm.get("hand", "relaxed"), solved.hand_frame[side], solved.position[f"{side}Hand"], p.hand, side == "left"
        )
        hands[f"{side}_hand"] = flat(points, np.ones(21, bool))
    feet = []
    for side in ("left", "right"):
        foot, turn = solved.position[f"{side}Foot"], solved.rotation[f"{side}Foot"]
        sign = 1.0 if side == "left" else -1.0
        for x, z in ((-0.10, 0.75), (0.18, 0.65), (0.0, -0.28)):
            feet.append(foot + turn @ np.array([sign * x * p.foot, -0.8 * p.ankle_y, z * p.foot]))
    face = None
    if with_face and float(toward @ head[:, 2]) > 0.25:
        local = face_points(p.eye_x, p.ear_x, 1 - p.eye_down)
        face = flat(solved.position["head"] + local @ head.T, np.ones(70, bool))
    return Person(body, face, feet=flat(np.stack(feet), np.ones(6, bool)), **hands)


def _placed(
    person: Person, p: Proportions, width: int, height: int, tag: dict[str, Any], skull: tuple[float, float]
) -> Frame:
    """On the canvas: a standing figure fills it with room for hair; a wide or raised pose shrinks to fit. ``skull`` is
    the middle of the head (x, height).
    """
    points = np.concatenate([part[part[:, 2] > 0] for part in person.parts().values()])
    left = min(points[:, 0].min() - 0.2, skull[0] - 0.6)
    right = max(points[:, 0].max() + 0.2, skull[0] + 0.6)
    head = person.body[[i for i in (0, 1, 14, 15, 16, 17) if person.body[i, 2] > 0]]
    left, right = min(left, head[:, 0].min() - 0.35), max(right, head[:, 0].max() + 0.35)
    top = max(p.heads * 1.02 + 0.10, -points[:, 1].min() + 0.15, skull[1] + 0.6)
    unit = min(0.88 * height / top, 0.94 * width / max(right - left, 1e-6))
    ground = 0.95 * height
    middle = width / 2 - unit * (left + right) / 2
    tag["unit"] = round(float(unit), 6)
    moved = person.moved(lambda xy: xy * unit + np.array([middle, ground]))
    return Frame(width, height, (Person(**moved.parts(), tag=tag),))
