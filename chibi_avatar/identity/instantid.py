"""InstantID's five-point picture, for core's ControlNet nodes: where eyes, nose and mouth corners go."""

from __future__ import annotations

import numpy as np

# Limbs join eyes and mouth corners to the nose; colours and sizes are those the published ControlNet was trained on.
_LIMBS = ((0, 2), (1, 2), (3, 2), (4, 2))
_COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
_STICK, _RADIUS, _DIM = 4, 10, 0.6


def draw_points(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """[height, width, 3] uint8 RGB on black of five points [5, 2] in pixels."""
    import cv2

    canvas = np.zeros((height, width, 3), np.uint8)
    for start, end in _LIMBS:
        (x0, y0), (x1, y1) = points[start], points[end]
        length, angle = float(np.hypot(x0 - x1, y0 - y1)), float(np.degrees(np.arctan2(y0 - y1, x0 - x1)))
        centre = (int((x0 + x1) / 2), int((y0 + y1) / 2))
        limb = cv2.ellipse2Poly(centre, (int(length / 2), _STICK), int(angle), 0, 360, 1)
        canvas = cv2.fillConvexPoly(canvas, limb, _COLORS[start])
    canvas = (canvas * _DIM).astype(np.uint8)
    for (x, y), color in zip(points, _COLORS, strict=True):
        canvas = cv2.circle(canvas, (int(x), int(y)), _RADIUS, color, -1)
    return canvas


def fit_points(points: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The five points moved and scaled so that the face they span fills ``box`` (x0, y0, x1, y1), keeping its proportions."""
    low, high = points.min(0), points.max(0)
    size = np.maximum(high - low, 1e-6)
    # Eyes to mouth corners span about 44 % of a face box's height.
    scale = min((box[2] - box[0]) * 0.5 / size[0], (box[3] - box[1]) * 0.44 / size[1])
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + 0.04 * (box[3] - box[1])])
    return (points - (low + high) / 2) * scale + centre
