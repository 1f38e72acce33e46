"""Hands and faces of canonical figures as points.

A hand is 21 points in OpenPose order (wrist, then thumb, index, middle, ring, little finger, each from its root to its tip).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# curl of thumb, index, middle, ring, little finger: 0 straight, 1 closed; then how far the fingers are spread (degrees)
SHAPES: dict[str, tuple[tuple[float, float, float, float, float], float]] = {
    "relaxed": ((0.25, 0.22, 0.28, 0.32, 0.36), 4.0),
    "open": ((0.0, 0.02, 0.0, 0.02, 0.05), 11.0),
    "flat": ((0.15, 0.0, 0.0, 0.0, 0.0), 2.0),
    "fist": ((0.85, 1.0, 1.0, 1.0, 1.0), 1.0),
    "grip": ((0.6, 0.72, 0.74, 0.76, 0.78), 2.0),
    "cup": ((0.3, 0.42, 0.42, 0.42, 0.42), 3.0),
    "point": ((0.8, 0.0, 0.95, 1.0, 1.0), 2.0),
    "peace": ((0.85, 0.0, 0.0, 1.0, 1.0), 13.0),
    "three": ((0.85, 0.0, 0.0, 0.0, 1.0), 10.0),
    "thumbs_up": ((0.0, 1.0, 1.0, 1.0, 1.0), 1.0),
    "ok": ((0.5, 0.62, 0.05, 0.02, 0.05), 9.0),
    "phone": ((0.0, 1.0, 1.0, 1.0, 0.0), 4.0),
    "heart": ((0.05, 0.48, 0.50, 0.52, 0.54), 2.0),
    "claw": ((0.3, 0.5, 0.5, 0.5, 0.5), 12.0),
}
_ROOTS = ((0.17, 0.50), (0.05, 0.52), (-0.07, 0.50), (-0.18, 0.45))
_SEGMENTS = ((0.22, 0.13, 0.11), (0.23, 0.14, 0.11), (0.21, 0.13, 0.11), (0.17, 0.10, 0.09))
_THUMB_OPEN = np.array([[0.13, 0.12, 0.02], [0.27, 0.24, 0.06], [0.37, 0.36, 0.07], [0.43, 0.46, 0.06]])
_THUMB_IN = np.array([[0.13, 0.12, 0.05], [0.22, 0.26, 0.14], [0.18, 0.40, 0.22], [0.06, 0.44, 0.25]])


@lru_cache(maxsize=64)
def _shape(name: str) -> np.ndarray:
    curls, spread = SHAPES[name]
    out = np.zeros((21, 3))
    t = curls[0]
    out[1:5] = _THUMB_OPEN * (1 - t) + _THUMB_IN * t
    for finger in range(4):
        x, y = _ROOTS[finger]
        curl = curls[finger + 1]
        fan = np.radians(spread * (1.5 - finger)) * (1 - curl)
        point = np.array([x, y, 0.0])
        out[5 + 4 * finger] = point
        bend = 0.0
        for joint, length in enumerate(_SEGMENTS[finger]):
            bend += np.radians((82.0, 98.0, 62.0)[joint]) * curl
            point = point + length * np.array([np.sin(fan) * np.cos(bend), np.cos(fan) * np.cos(bend), np.sin(bend)])
            out[6 + 4 * finger + joint] = point
    return out


def hand_points(shape: str, frame: np.ndarray, wrist: np.ndarray, length: float, left: bool) -> np.ndarray:
    """(21, 3) world points of a hand. ``frame`` columns are across, fingers and palm direction (see ``figure.frame_of``)."""
    points = _shape(shape if shape in SHAPES else "relaxed") * length
    points = points * np.array([-1.0 if left else 1.0, 1.0, 1.0])
    return wrist + points @ frame.T


def face_points(eye_x: float, ear_x: float, eye_up: float) -> np.ndarray:
    """(70, 3) face points in the head's frame: 68 landmarks and the right and left eye centre; chin at 0, one head is 1.

    ``eye_x`` and ``ear_x`` are half distances, ``eye_up`` the eyes' height over the chin. Right-hand points come first, as in the
    68-point convention (point 0 is at the person's right ear).
    """
    wide = 0.9 * ear_x

    def on(x: float, y: float, out: float = 0.0) -> tuple[float, float, float]:
        return x, y, 0.44 * np.sqrt(max(0.0, 1 - (x / (1.15 * wide)) ** 2)) + out

    points = []
    for i in range(17):  # jaw
        t = np.radians(180 * i / 16)
        points.append((-wide * np.cos(t), eye_up * (1 - np.sin(t) ** 0.8), 0.40 * np.sin(t)))
    brow = eye_up + 0.17
    for side in (-1, 1):
        xs = np.linspace(1.55, 0.45, 5) if side < 0 else np.linspace(0.45, 1.55, 5)
        points += [on(side * x * eye_x, brow + 0.03 - 0.05 * abs(x - 0.9)) for x in xs]
    points += [on(0, eye_up - t * 0.15, 0.02 + 0.03 * t) for t in (0.0, 0.33, 0.67, 1.0)]
    points += [on(x * 0.045, eye_up - 0.185) for x in (-1, -0.5, 0, 0.5, 1)]
    for side in (-1, 1):
        angles = (180, 120, 60, 0, 300, 240)
        points += [
            on(side * eye_x + 0.085 * np.cos(np.radians(a)), eye_up + 0.055 * np.sin(np.radians(a))) for a in angles
        ]
    mouth = max(eye_up - 0.30, 0.08)
    for rx, ry, angles in (
        (0.11, 0.045, (180, 150, 120, 90, 60, 30, 0, 330, 300, 270, 240, 210)),
        (0.075, 0.015, (180, 120, 90, 60, 0, 300, 270, 240)),
    ):
        points += [on(rx * np.cos(np.radians(a)), mouth + ry * np.sin(np.radians(a))) for a in angles]
    points += [on(-eye_x, eye_up), on(eye_x, eye_up)]
    return np.array(points)
