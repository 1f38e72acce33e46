"""DWPose (YOLOX and RTMPose, 133 points) through rtmlib, with the user's own ONNX files.

References: Yang et al., "Effective Whole-body Pose Estimation with Two-stages Distillation" (2023).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..keypoints import SEEN, Person, body_from
from . import Request

LEAST_POINTS = 5  # of the body; fewer are no person


def opened(folder: Path) -> Callable[[np.ndarray, Request], list[Person]]:
    """The detector with ``yolox_l.onnx`` and ``dw-ll_ucoco_384.onnx`` of ``folder``."""
    from rtmlib import YOLOX, RTMPose

    # the third argument has had two names; in "human" mode rtmlib returns the boxes of all 80 kinds of things
    boxes_in = YOLOX(
        str(folder / "yolox_l.onnx"), (640, 640), "multiclass", 0.45, SEEN, backend="onnxruntime", device="cpu"
    )
    points_in = RTMPose(
        str(folder / "dw-ll_ucoco_384.onnx"), (288, 384), to_openpose=False, backend="onnxruntime", device="cpu"
    )

    def detect(picture: np.ndarray, request: Request) -> list[Person]:
        height, width = picture.shape[:2]
        bgr = np.ascontiguousarray(picture[..., ::-1])
        boxes = [(x, y, x + w, y + h) for x, y, w, h in request.boxes]
        if not boxes and not request.whole:
            found, kinds = boxes_in(bgr)
            boxes = [box for box, kind in zip(found, kinds, strict=True) if kind == 0]
        points, scores = points_in(bgr, boxes or [(0, 0, width, height)])
        people = [_person(xy, score, request) for xy, score in zip(points, scores, strict=True)]
        people = [p for p in people if (p.body[:, 2] > 0).sum() >= LEAST_POINTS]
        return sorted(people, key=lambda p: -float(p.body[:, 2].sum()))[: request.most]

    return detect


def _person(points: np.ndarray, scores: np.ndarray, request: Request) -> Person:
    scores = np.where(scores >= SEEN, np.clip(scores, 0, 1), 0.0)
    rows = np.column_stack([points, scores]).astype(float) * (scores > 0)[:, None]
    parts = {name: part for name, part in body_from(rows, "rtmlib").items() if name == "body" or part[:, 2].any()}
    if not request.face:
        parts.pop("face", None)
    if not request.hands:
        parts.pop("left_hand", None)
        parts.pop("right_hand", None)
    return Person(**parts)
