"""Finding faces: every detector sees each photo at several scales, padded and turned, so that close-ups and lying photos work.

Photos are [H, W, 3] uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from .errors import IdentityError
from .geometry import upright
from .model import Face

CHOICES = ("largest_centered", "index", "left_to_right", "match_reference")
MIN_FACE = 24.0
# One pass at 640 finds ordinary faces, one at 192 those that fill the frame; padding brings cut-off faces back.
_PASSES = ((640, 0.0), (192, 0.35))


class Detector(Protocol):
    """Finds faces in one RGB picture no longer than its scale: rows of x0, y0, x1, y1, score, then five points (15 numbers)."""

    name: str
    # Upright faces score at least this, faces that lie on their side or stand on their head hardly ever.
    sure: float

    def __call__(self, image: np.ndarray) -> np.ndarray: ...


def _scaled(image: np.ndarray, longest: int, padding: float) -> tuple[np.ndarray, float, int]:
    import cv2

    if padding:
        by = round(max(image.shape[:2]) * padding)
        image = cv2.copyMakeBorder(image, by, by, by, by, cv2.BORDER_CONSTANT, value=(127, 127, 127))
    else:
        by = 0
    scale = longest / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale, by
    return image, 1.0, by


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:4], boxes[:, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1) + np.prod(box[2:4] - box[:2])
    return shared / np.maximum(areas - shared, 1e-9)


def suppress(rows: np.ndarray, limit: float = 0.4) -> np.ndarray:
    """Non-maximum suppression over rows of x0, y0, x1, y1, score, …: best score first, no two overlap by more than ``limit`` (IoU)."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    kept: list[np.ndarray] = []
    for row in rows:
        if not kept or float(_overlap(row, np.array(kept)).max()) <= limit:
            kept.append(row)
    return np.array(kept) if kept else rows[:0]


def _one_way_up(image: np.ndarray, detector: Detector, passes: Sequence[tuple[int, float]]) -> np.ndarray:
    found = []
    for longest, padding in passes:
        small, scale, by = _scaled(image, longest, padding)
        rows = np.array(detector(small), dtype=np.float64).reshape(-1, 15)
        if len(rows):
            rows[:, [0, 2, 5, 7, 9, 11, 13]] = rows[:, [0, 2, 5, 7, 9, 11, 13]] / scale - by
            rows[:, [1, 3, 6, 8, 10, 12, 14]] = rows[:, [1, 3, 6, 8, 10, 12, 14]] / scale - by
            found.append(rows)
    if not found:
        return np.zeros((0, 15))
    rows = suppress(np.vstack(found))
    height, width = image.shape[:2]
    centre = (rows[:, :2] + rows[:, 2:4]) / 2
    inside = (centre >= 0).all(1) & (centre[:, 0] <= width) & (centre[:, 1] <= height)
    large = (rows[:, 2:4] - rows[:, :2]).max(1) >= MIN_FACE
    return rows[inside & large & _plausible(rows)]


def _plausible(rows: np.ndarray) -> np.ndarray:
    """Faces whose eyes are above their mouth, within 60 degrees: others are sideways or upside down."""
    eyes, mouth = (rows[:, 5:7] + rows[:, 7:9]) / 2, (rows[:, 11:13] + rows[:, 13:15]) / 2
    down = mouth - eyes
    length = np.linalg.norm(down, axis=1)
    ordered = rows[:, 7] > rows[:, 5]
    return (length > 1e-6) & (down[:, 1] > 0.5 * length) & ordered


def find_faces(image: np.ndarray, detector: Detector, *, turn: bool = True) -> tuple[list[Face], np.ndarray]:
    """All faces of a photo, best score first, and the photo turned so that they are upright.

    Tries the photo as it is, and quarter turns (with ``turn``) when that finds nothing sure. Raises :class:`IdentityError` for a picture that is
    no picture.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise IdentityError(f"a photo is [height, width, 3] of 8-bit RGB, got {image.shape} {image.dtype}")
    if min(image.shape[:2]) < 8:
        return [], image
    best: tuple[float, int, np.ndarray, np.ndarray] | None = None
    for turns in (0, 1, 3, 2) if turn else (0,):
        picture = upright(image, turns)
        rows = _one_way_up(picture, detector, _PASSES)
        # A detector also fires on a lying face, and then guesses upright points: a sure find ends the search, a doubtful one is compared.
        worth = float(rows[:, 4].max()) - (0.03 if turns else 0.0) if len(rows) else 0.0
        if len(rows) and (best is None or worth > best[0]):
            best = (worth, turns, rows, picture)
        if worth >= detector.sure:
            break
    if best is None:
        return [], image
    _, turns, rows, picture = best
    return [Face(row[:4].copy(), row[5:].reshape(5, 2).copy(), float(row[4]), turns) for row in rows], picture


def order_faces(faces: Sequence[Face], shape: tuple[int, ...]) -> list[Face]:
    """Faces by size times nearness to the centre, the most likely subject first. ``shape`` is the upright photo's."""
    centre = np.array([shape[1], shape[0]]) / 2
    reach = float(np.linalg.norm(centre))

    def weight(face: Face) -> float:
        middle = (face.box[:2] + face.box[2:]) / 2
        area = float(np.prod(face.box[2:] - face.box[:2]))
        return area * (1 - 0.7 * min(1.0, float(np.linalg.norm(middle - centre)) / reach)) * min(1.0, face.score + 0.2)

    return sorted(faces, key=lambda face: (-weight(face), float(face.box[0])))


def choose_face(
    faces: Sequence[Face],
    shape: tuple[int, ...],
    how: str = "largest_centered",
    index: int = 0,
    likeness: Callable[[Face], float] | None = None,
) -> Face | None:
    """One face of a photo: by size and centre, by its number in that order, by its place from the left, or the one most like a reference.

    An index beyond the last face takes the last one. ``likeness`` is needed for ``match_reference`` only.
    """
    ordered = order_faces(faces, shape)
    if not ordered:
        return None
    if how == "left_to_right":
        ordered = sorted(faces, key=lambda face: float(face.box[0] + face.box[2]))
    if how == "match_reference" and likeness is not None:
        return max(ordered, key=likeness)
    return ordered[min(max(index, 0), len(ordered) - 1)] if how in ("index", "left_to_right") else ordered[0]
