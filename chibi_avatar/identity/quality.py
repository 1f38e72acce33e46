"""How good a photo is as a reference: size, sharpness, frontal pose, exposure. All from the detected box and five points."""

from __future__ import annotations

import math

import numpy as np

from .geometry import crop_face
from .model import Face, Quality

# A face of 200 px or more gives all a 112 px recogniser can use; below 40 px its answers are mostly noise.
_FULL_SIZE, _NO_SIZE = 200.0, 32.0


def yaw_balance(points: np.ndarray) -> float:
    """Where the nose is between the eyes and mouth corners: 0 in the middle, ±1 at one side."""
    axis = points[1] - points[0]
    length = float(np.linalg.norm(axis)) or 1.0
    middle = (points[0] + points[1] + points[3] + points[4]) / 4
    return float(np.dot(points[2] - middle, axis / length) / (length / 2))


def measure(image: np.ndarray, face: Face) -> Quality:
    """The quality of ``face`` in an upright photo [H, W, 3] uint8 RGB."""
    import cv2

    size = float(
        np.clip((math.log(max(face.size, 1)) - math.log(_NO_SIZE)) / (math.log(_FULL_SIZE) - math.log(_NO_SIZE)), 0, 1)
    )
    crop = cv2.cvtColor(crop_face(image, face.points, 112), cv2.COLOR_RGB2GRAY)
    inner = crop[20:100, 20:92].astype(np.float32)
    detail = float(cv2.Laplacian(inner, cv2.CV_32F).var()) / (float(inner.var()) + 20)
    sharpness = float(np.clip((math.log10(max(detail, 1e-4)) + 1.7) / 1.4, 0, 1))
    frontal = float(np.clip(1.15 - 1.25 * abs(yaw_balance(face.points)), 0, 1))
    middle, spread = float(np.median(inner)), float(inner.std())
    clipped = float(((inner < 8) | (inner > 247)).mean())
    exposure = float(np.clip(1 - abs(middle - 128) / 150, 0, 1) * np.clip(spread / 28, 0.2, 1) * (1 - clipped))
    return Quality(
        round(size, 4),
        round(sharpness, 4),
        round(frontal, 4),
        round(exposure, 4),
        round(float(np.clip(face.score, 0, 1)), 4),
    )
