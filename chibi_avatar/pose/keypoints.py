"""The pose data, and reading and writing it as ``POSE_KEYPOINT``.

Points are (K, 3) float64 arrays of x, y (pixels of the frame, origin at the upper left corner) and a score 0..1; a score of 0 means
that the point is missing, whatever its x and y. Left and right are the person's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

BODY_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
    "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
NOSE, NECK = 0, 1
R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = range(2, 8)
R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE = range(8, 14)
R_EYE, L_EYE, R_EAR, L_EAR = range(14, 18)
COUNTS = {"body": 18, "face": 70, "left_hand": 21, "right_hand": 21, "feet": 6}
KEYS = {
    "body": "pose_keypoints_2d",
    "face": "face_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
    "feet": "foot_keypoints_2d",
}
SEEN = 0.3  # the score from which a detector's point counts as seen, everywhere in the field
MAX_PEOPLE = 256
MAX_CANVAS = 16384
MAX_COORDINATE = 1e5
MAX_JSON_BYTES = 64 * 1024 * 1024


class PoseError(ValueError):
    """A pose, or JSON that claims to be one, cannot be used. The message names the field and the fix."""


@dataclass(frozen=True)
class Person:
    """One person. ``body`` is (18, 3) in COCO-18 order; the other parts are None when the source has none.

    ``tag`` is what the pack's own nodes know beyond the points (the preset's name, the proportions in heads); it travels in the
    JSON under the key ``chibi`` and other nodes ignore it.
    """

    body: np.ndarray
    face: np.ndarray | None = None
    left_hand: np.ndarray | None = None
    right_hand: np.ndarray | None = None
    feet: np.ndarray | None = None
    tag: Mapping[str, Any] = field(default_factory=dict)

    def parts(self) -> dict[str, np.ndarray]:
        """The parts that there are, by name."""
        named = {name: getattr(self, name) for name in COUNTS}
        return {name: points for name, points in named.items() if points is not None}

    def moved(self, function: Any) -> Person:
        """A copy whose present points' (n, 2) coordinates went through ``function``."""
        out = {}
        for name, points in self.parts().items():
            points = points.copy()
            there = points[:, 2] > 0
            points[there, :2] = function(points[there, :2])
            out[name] = points
        return replace(self, **out)


@dataclass(frozen=True)
class Frame:
    """The people of one picture of ``width`` × ``height`` pixels."""

    width: int
    height: int
    people: tuple[Person, ...] = ()


def present(points: np.ndarray | None) -> np.ndarray:
    """(K,) bool: which points are there."""
    return np.zeros(0, bool) if points is None else points[:, 2] > 0


# ------------------------------------------------------------------------------------------------ other dialects'
# body layouts

# index of the COCO-18 point in the other order; a pair is the middle of two
_FROM_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
_FROM_COCO_17 = (0, (5, 6), 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_FROM_BLAZE_33 = (0, (11, 12), 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
_FEET_25 = (19, 20, 21, 22, 23, 24)  # left big toe, small toe, heel, right …


def _reordered(points: np.ndarray, order: Sequence[int | tuple[int, int]]) -> np.ndarray:
    out = np.zeros((len(order), 3))
    for i, j in enumerate(order):
        if isinstance(j, tuple):
            a, b = points[j[0]], points[j[1]]
            if a[2] > 0 and b[2] > 0:
                out[i] = (*((a[:2] + b[:2]) / 2), min(a[2], b[2]))
        else:
            out[i] = points[j]
    return out


def body_from(points: np.ndarray, where: str = "keypoints") -> dict[str, np.ndarray]:
    """The parts in a (K, 3) list of one known layout, told apart by K: 17, 18, 20 (with toes), 25, 33, 133 or 134
    (with a neck).
    """
    count = len(points)
    if count == 18:
        return {"body": points}
    if count == 17:
        return {"body": _reordered(points, _FROM_COCO_17)}
    if count == 20:  # WanAnimate: COCO-18 and two toes (left, right)
        feet = np.zeros((6, 3))
        feet[0], feet[3] = points[18], points[19]
        return {"body": points[:18], "feet": feet}
    if count in (23, 25):
        return {"body": _reordered(points, _FROM_BODY_25), **({"feet": points[list(_FEET_25)]} if count == 25 else {})}
    if count == 33:
        return {"body": _reordered(points, _FROM_BLAZE_33)}
    if count == 133:
        body = _reordered(points[:17], _FROM_COCO_17)
        if min(points[5, 2], points[6, 2]) <= SEEN:
            body[NECK] = 0
        return {
            "body": body,
            "feet": points[17:23],
            "face": np.concatenate([points[23:91], body[[R_EYE, L_EYE]]]),
            "left_hand": points[91:112],
            "right_hand": points[112:133],
        }
    if count == 134:  # 133 after the neck was inserted and the body reordered
        body = points[:18]
        return {
            "body": body,
            "feet": points[18:24],
            "face": np.concatenate([points[24:92], body[[R_EYE, L_EYE]]]),
            "left_hand": points[92:113],
            "right_hand": points[113:134],
        }
    raise PoseError(f"{where}: {count} points; known layouts have 17, 18, 20, 25, 33, 133 or 134")


# ------------------------------------------------------------------------------------------------ reading


def parse(value: Any, size: tuple[int, int] | None = None) -> list[Frame]:
    """Frames from anything that holds a pose: ``POSE_KEYPOINT``, JSON text, or another tool's layout (see the module
    ``dialects``).

    ``size`` (width, height) is for sources that do not say how large their picture was. Raises :class:`PoseError`.
    """
    from . import dialects

    if isinstance(value, str | bytes):
        value = read_json(value)
    if isinstance(value, Frame):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(item, Frame) for item in value):
        return list(value)
    return dialects.frames(value, size)


def read_json(text: str | bytes) -> Any:
    """Parsed JSON; a byte order mark before it is skipped. Raises :class:`PoseError` with the line and column of the mistake; NaN and
    Infinity are mistakes.
    """
    if len(text) > MAX_JSON_BYTES:
        raise PoseError(f"pose JSON is {len(text) / 2**20:.0f} MB; the limit is {MAX_JSON_BYTES // 2**20} MB")

    def refuse(name: str) -> float:
        raise PoseError(f"pose JSON: {name} is not a number that JSON allows; write null for a missing point")

    if isinstance(text, str):
        text = text.removeprefix("\ufeff")
    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise PoseError(f"pose JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except PoseError:
        raise
    except (RecursionError, ValueError) as error:  # no text, or a number of thousands of digits
        raise PoseError(f"pose JSON cannot be read: {error}") from error


def points_of(value: Any, where: str) -> np.ndarray | None:
    """(K, 3) from a flat or nested list of x, y[, score]; None stays None. Missing points are all zero. Raises
    :class:`PoseError`.
    """
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise PoseError(f"{where}: expected a list of numbers, got {type(value).__name__}")
    if not value:
        return None
    rows: list[Any]
    if any(isinstance(item, list | tuple) for item in value):
        rows = [(None, None, 0.0) if item is None else item for item in value]
        if any(not isinstance(row, list | tuple) or len(row) not in (2, 3) for row in rows):
            raise PoseError(f"{where}: expected points of [x, y] or [x, y, score]")
    else:
        if len(value) % 3:
            raise PoseError(f"{where}: {len(value)} numbers are not a multiple of 3 (x, y, score for each point)")
        rows = [value[i : i + 3] for i in range(0, len(value), 3)]
    out = np.zeros((len(rows), 3))
    for i, row in enumerate(rows):
        x, y, score = (*row, 1.0) if len(row) == 2 else row
        if x is None or y is None or score is None:
            continue
        for item, axis in ((x, "x"), (y, "y"), (score, "score")):
            if isinstance(item, bool) or not isinstance(item, int | float):
                raise PoseError(f"{where}[{i}].{axis}: expected a number, got {str(item)[:40]!r}")
            if not abs(item) < math.inf:
                raise PoseError(
                    f"{where}[{i}].{axis}: {item} is not a position; use null or a score of 0 for a missing point"
                )
            if abs(item) > MAX_COORDINATE:
                raise PoseError(f"{where}[{i}].{axis}: {str(item)[:20]} is further out than {MAX_COORDINATE:g}")
        if score <= 0 or (x == 0 and y == 0) or (x == -1 and y == -1):
            continue
        out[i] = (x, y, min(float(score), 1.0))
    return out


def canvas_side(value: Any, where: str) -> int:
    """A picture side in pixels. Raises :class:`PoseError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= MAX_CANVAS:
        raise PoseError(f"{where}: expected a size in pixels from 1 to {MAX_CANVAS}, got {str(value)[:40]!r}")
    return int(value)


# ------------------------------------------------------------------------------------------------ writing


def to_keypoints(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """``POSE_KEYPOINT`` that core's and controlnet_aux's nodes both accept.

    Every array is there at full length (core's drawing node cannot read a missing one), and seen points have a score of exactly 1
    (controlnet_aux drops the rest).
    """
    return [
        {
            "people": [_person_to_dict(person) for person in frame.people],
            "canvas_width": int(frame.width),
            "canvas_height": int(frame.height),
        }
        for frame in frames
    ]


def to_json(frames: Sequence[Frame], indent: int | None = None) -> str:
    """Canonical JSON of :func:`to_keypoints`."""
    return json.dumps(to_keypoints(frames), ensure_ascii=False, indent=indent, allow_nan=False)


def _person_to_dict(person: Person) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, key in KEYS.items():
        points = getattr(person, name)
        if points is None:
            if name == "feet":
                continue
            points = np.zeros((COUNTS[name], 3))
        score = np.where(points[:, 2] >= SEEN, 1.0, points[:, 2])
        flat = np.column_stack([points[:, :2], score]) * (score > 0)[:, None]
        out[key] = [float(v) for v in np.round(flat, 3).ravel()]
    if person.tag:
        out["chibi"] = dict(person.tag)
    return out
