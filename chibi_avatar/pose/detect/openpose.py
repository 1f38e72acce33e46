"""OpenPose (body, hands, face) through the PyPI package controlnet_aux, with weights from a local folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..keypoints import Person
from . import Request


def opened(folder: Path) -> Callable[[np.ndarray, Request], list[Person]]:
    """The detector with ``body_pose_model.pth``, ``hand_pose_model.pth`` and ``facenet.pth`` of ``folder``."""
    from controlnet_aux.open_pose import OpenposeDetector

    model = OpenposeDetector.from_pretrained(str(folder))

    def look(picture: np.ndarray, x: int, y: int, request: Request) -> list[Person]:
        found = model.detect_poses(picture, include_hand=request.hands, include_face=request.face)
        found = sorted(found, key=lambda pose: -float(pose.body.total_score))
        people = [person_from(pose, picture.shape[1], picture.shape[0]) for pose in found]
        return [person.moved(lambda xy: xy + (x, y)) for person in people if person is not None]

    def detect(picture: np.ndarray, request: Request) -> list[Person]:
        if not request.boxes:  # it works from the parts up: the whole picture is what it always looks at
            return look(picture, 0, 0, request)[: request.most]
        people = []
        for left, top, width, height in request.boxes[: request.most]:
            x, y = max(0, int(left)), max(0, int(top))
            part = picture[y : int(np.ceil(top + height)), x : int(np.ceil(left + width))]
            if min(part.shape[:2]) > 0:
                people += look(np.ascontiguousarray(part), x, y, request)[:1]
        return people

    return detect


def person_from(pose: Any, width: int, height: int) -> Person | None:
    """A person from controlnet_aux's ``PoseResult``, whose places are shares of a picture of this size; None without a
    body.
    """

    def points(keypoints: Sequence[Any] | None, count: int) -> np.ndarray | None:
        out = np.zeros((count, 3))
        for i, point in enumerate((keypoints or ())[:count]):
            if point is not None and point.x >= 0 and point.y >= 0:
                out[i] = (point.x * width, point.y * height, 1.0)
        return out if out[:, 2].any() else None

    body = points(pose.body.keypoints, 18)
    if body is None:
        return None
    return Person(body, points(pose.face, 70), points(pose.left_hand, 21), points(pose.right_hand, 21))
