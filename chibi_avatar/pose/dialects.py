"""Every way in which tools write poses down, read into :class:`~.keypoints.Frame`.

===========================  =========================================================================================
source                       what is particular
===========================  =========================================================================================
controlnet_aux DWPose        pixels, missing parts are null
controlnet_aux OpenPose      0..1 of the detection size padded to multiples of 64, while the canvas is given unpadded
core SDPose                  pixels, real scores, left and right hand exchanged, missing points at -1
CMU OpenPose                 a dict, BODY_25, often no canvas; pixels, 0..1 or -1..1
COCO, MMPose, rtmlib         ``keypoints`` of 17 or 133 points, ``keypoint_scores`` apart
WanAnimate POSEDATA          ``pose_metas``, 0..1, 20 body points
===========================  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .keypoints import (
    COUNTS,
    KEYS,
    L_WRIST,
    MAX_PEOPLE,
    R_WRIST,
    Frame,
    Person,
    PoseError,
    body_from,
    canvas_side,
    points_of,
)

_ALIASES = {
    "left_hand": ("hand_left_keypoints_2d", "keypoints_left_hand", "kps_lhand"),
    "right_hand": ("hand_right_keypoints_2d", "keypoints_right_hand", "kps_rhand"),
    "face": ("face_keypoints_2d", "keypoints_face", "kps_face"),
    "feet": ("foot_keypoints_2d",),
    "body": ("pose_keypoints_2d", "keypoints_body", "keypoints", "kps_body"),
}
_SCORES = ("keypoint_scores", "scores", "keypoints_visible")


@dataclass
class _Raw:
    """A frame before its points are brought to pixels."""

    width: int | None
    height: int | None
    people: list[Person]
    binary: bool  # every score is 0 or 1
    plain: bool  # nothing but controlnet_aux's four arrays


def frames(value: Any, size: tuple[int, int] | None) -> list[Frame]:
    """See :func:`.keypoints.parse`."""
    items = _frame_items(value)
    out = []
    for index, item in enumerate(items):
        where = f"frame {index}" if len(items) > 1 else "pose"
        out.append(_finished(_raw_frame(item, where), size, where))
    return out


def _frame_items(value: Any) -> list[Any]:
    if value is None:
        raise PoseError("no pose: connect a POSE_KEYPOINT output, or give pose JSON")
    if isinstance(value, Mapping):
        if "pose_metas" in value:
            return _listed(value, "pose_metas")
        if "annotations" in value:
            return _coco(value)
        if "animals" in value:
            raise PoseError("animals: this is an animal pose (AP10K); people are expected")
        if "instance_info" in value:
            return [{"people": _get(item, "instances") or []} for item in _listed(value, "instance_info")]
        return [value]
    if isinstance(value, list | tuple):
        if not value:
            raise PoseError("the pose has no frames")
        if isinstance(value[0], Mapping) and not any(
            "people" in v or "pose_metas" in v for v in value if isinstance(v, Mapping)
        ):
            if any(
                "canvas_width" in v or "keypoints_body" in v or "animals" in v for v in value if isinstance(v, Mapping)
            ):
                return list(value)
            if any("image_id" in v for v in value if isinstance(v, Mapping)):  # COCO results: the annotations alone
                return _coco({"annotations": value})
            return [{"people": list(value)}]
        return list(value)
    if hasattr(value, "kps_body"):
        return [value]
    raise PoseError(f"a pose is a list of frames or a JSON object, got {type(value).__name__}")


def _listed(value: Mapping[str, Any], key: str) -> list[Any]:
    """The list under ``key``. Raises :class:`PoseError` when it is empty, null or no list."""
    items = value[key]
    if items is not None and not isinstance(items, list | tuple):
        raise PoseError(f"{key}: expected a list, got {type(items).__name__}")
    if not items:
        raise PoseError(f"{key}: the list is empty")
    return list(items)


def _coco(value: Mapping[str, Any]) -> list[Any]:
    """The annotations (COCO's ground truth, or a detector's results) as a frame for each picture."""
    listed = value.get("images")
    listed = listed if isinstance(listed, list | tuple) else ()
    images = {str(item.get("id")): item for item in listed if isinstance(item, Mapping)}
    groups: dict[str, dict[str, Any]] = {}
    for i, note in enumerate(_listed(value, "annotations")):
        if note is None:
            continue
        if not isinstance(note, Mapping):
            raise PoseError(f"annotations[{i}]: expected an object with keypoints, got {type(note).__name__}")
        number = str(note.get("image_id"))
        image = images.get(number, {})
        group = groups.setdefault(number, {"people": []})
        if "width" in image and "height" in image:
            group.update(canvas_width=image["width"], canvas_height=image["height"])
        group["people"].append(note)
    if not groups:
        raise PoseError("annotations: the list is empty")
    return list(groups.values())


def _get(item: Any, *names: str) -> Any:
    for name in names:
        found = item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)
        if found is not None:
            return found
    return None


def _raw_frame(item: Any, where: str) -> _Raw:
    if item is None:
        return _Raw(None, None, [], True, True)
    if not isinstance(item, Mapping) and not hasattr(item, "kps_body"):
        raise PoseError(f"{where}: expected an object with 'people', got {type(item).__name__}")
    if isinstance(item, Mapping) and "animals" in item:
        raise PoseError(f"{where}.animals: this is an animal pose (AP10K); people are expected")
    width, height = (
        _get(item, "canvas_width", "width", "image_width"),
        _get(item, "canvas_height", "height", "image_height"),
    )
    width = None if width is None else canvas_side(width, f"{where}.canvas_width")
    height = None if height is None else canvas_side(height, f"{where}.canvas_height")
    people = item.get("people") if isinstance(item, Mapping) and "people" in item else None
    if people is None:
        if isinstance(item, Mapping) and not any(key in item for keys in _ALIASES.values() for key in keys):
            if "people" in item:
                people = []
            else:
                raise PoseError(
                    f"{where}: there is no 'people' list in it (found {', '.join(map(str, list(item)[:6])) or 'nothing'})"
                )
        else:
            people = [item]
    if not isinstance(people, list | tuple):
        raise PoseError(f"{where}.people: expected a list, got {type(people).__name__}")
    if len(people) > MAX_PEOPLE:
        raise PoseError(f"{where}.people: {len(people)} people; at most {MAX_PEOPLE} are read")
    found = (_person(person, f"{where}.people[{i}]") for i, person in enumerate(people) if person is not None)
    read = [person for person in found if person is not None]
    scores = [points[:, 2] for person in read for points in person.parts().values()]
    binary = all(bool(np.isin(s, (0.0, 1.0)).all()) for s in scores)
    plain = all(
        isinstance(p, Mapping) and set(p) <= {v for k, v in KEYS.items() if k != "feet"}
        for p in people
        if p is not None
    )
    return _Raw(width, height, read, binary, plain)


def _person(item: Any, where: str) -> Person | None:
    """One person; None where every list of points is empty or null: some detectors write those for somebody whom they lost."""
    if not isinstance(item, Mapping) and not hasattr(item, "kps_body"):
        raise PoseError(f"{where}: expected an object with keypoints, got {type(item).__name__}")
    parts: dict[str, np.ndarray] = {}
    for part, names in _ALIASES.items():
        for name in names:
            value = _get(item, name)
            if value is None:
                continue
            scores = _get(item, f"{name}_p") if name.startswith("kps_") else None
            if part == "body" and name == "keypoints":
                scores = _get(item, *_SCORES)
            points = points_of(_joined(value, scores), f"{where}.{name}")
            if points is None:
                continue
            if part == "body":
                parts = {**body_from(points, f"{where}.{name}"), **parts}
            else:
                parts[part] = _fitted(points, part, f"{where}.{name}")
            break
    if not parts:
        if not isinstance(item, Mapping) or any(name in item for names in _ALIASES.values() for name in names):
            return None
        raise PoseError(f"{where}: no keypoints in it; expected 'pose_keypoints_2d' with 18 × 3 numbers")
    parts.setdefault("body", np.zeros((18, 3)))
    for part, points in list(parts.items()):
        if part != "body" and not (points[:, 2] > 0).any():
            del parts[part]
    tag = item.get("chibi") if isinstance(item, Mapping) else None
    return Person(**parts, tag=dict(tag) if isinstance(tag, Mapping) else {})


def _joined(value: Any, scores: Any) -> Any:
    """Points of [x, y] with their scores, where the source keeps them apart."""
    if scores is None:
        return value
    value = np.asarray(value, dtype=object).tolist()
    scores = np.asarray(scores, dtype=object).ravel().tolist()
    if value and isinstance(value[0], list | tuple) and len(value[0]) == 2 and len(scores) == len(value):
        return [[*point, score] for point, score in zip(value, scores, strict=True)]
    return value


def _fitted(points: np.ndarray, part: str, where: str) -> np.ndarray:
    wanted = COUNTS[part]
    if len(points) == wanted:
        return points
    if part == "face" and len(points) in (68, 69):  # 69: the POSEDATA face starts with a copy of the nose
        return np.concatenate([points[-68:], np.zeros((2, 3))])
    raise PoseError(f"{where}: {len(points)} points, expected {wanted}{' or 68' if part == 'face' else ''}")


def _finished(raw: _Raw, size: tuple[int, int] | None, where: str) -> Frame:
    points = [p[p[:, 2] > 0, :2] for person in raw.people for p in person.parts().values()]
    values = np.concatenate(points) if points else np.zeros((0, 2))
    normalised = len(values) > 0 and float(np.median(np.abs(values))) <= 1.0 and float(np.abs(values).max()) <= 4.0
    width, height = raw.width, raw.height
    if width is None or height is None:
        if size is not None:
            width, height = (canvas_side(v, "size") for v in size)
        elif normalised or not len(values):
            width, height = 1024, 1024
        else:
            width, height = (max(64, int(-(-float(v) // 64) * 64)) for v in np.maximum(values.max(0), 1))
            width, height = (canvas_side(v, f"{where}.canvas") for v in (width, height))
    people = raw.people
    if normalised and width > 4 and height > 4:
        scale, shift = np.array([width, height], float), 0.0
        if float(values.min()) < -0.5:  # CMU's -1..1
            scale, shift = scale / 2, 1.0
        elif raw.binary and raw.plain and raw.width is not None:  # controlnet_aux's OpenPose counts in padded pixels
            scale = np.ceil(scale / 64) * 64
        people = [person.moved(lambda xy: (xy + shift) * scale) for person in people]
    return Frame(width, height, tuple(_hands_on_their_sides(person) for person in people))


def _hands_on_their_sides(person: Person) -> Person:
    """Exchange the hands when each lies at the other wrist, as in core SDPose's output."""

    def gap(hand: np.ndarray | None, wrist: int) -> float | None:
        if hand is None or hand[0, 2] <= 0 or person.body[wrist, 2] <= 0:
            return None
        return float(np.hypot(*(hand[0, :2] - person.body[wrist, :2])))

    pairs = [(person.left_hand, L_WRIST, R_WRIST), (person.right_hand, R_WRIST, L_WRIST)]
    own = [g for hand, mine, _ in pairs if (g := gap(hand, mine)) is not None]
    other = [g for hand, _, theirs in pairs if (g := gap(hand, theirs)) is not None]
    if own and len(own) == len(other) and sum(other) < 0.5 * sum(own) and sum(own) > 2.0:
        return replace(person, left_hand=person.right_hand, right_hand=person.left_hand)
    return person
