"""Where the head of a chibi is: from pose keypoints, so that an identity acts on the head and leaves hands and background alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .errors import IdentityError

# COCO-18: nose, neck, eyes, ears.
_HEAD = (0, 14, 15, 16, 17)


def head_box(frame: Mapping, person: int = 0) -> tuple[float, float, float, float]:
    """Box (x0, y0, x1, y1) in 0..1 around the head of one person of an OpenPose frame; may reach outside the picture.

    Raises :class:`IdentityError` when the frame has no such person or no head points.
    """
    width, height = float(frame.get("canvas_width") or 1), float(frame.get("canvas_height") or 1)
    people = frame.get("people") or []
    if not 0 <= person < len(people):
        raise IdentityError(f"the pose has {len(people)} people, number {person} was asked for")
    flat = people[person].get("pose_keypoints_2d") or []
    points = np.asarray(flat, np.float64).reshape(-1, 3)
    if len(points) < 18:
        raise IdentityError(f"the pose's body has {len(points)} points; 18 (COCO) are needed to find the head")
    pixels = bool((points[:, :2] > 1.5).any())
    head = points[[index for index in _HEAD if points[index, 2] > 0]][:, :2]
    if len(head) < 2:
        raise IdentityError("the pose shows no head: nose, eyes or ears are needed to place the identity")
    if pixels:
        head = head / np.array([width, height])
    real = head * np.array([width, height])
    low, high = real.min(0), real.max(0)
    centre = (low + high) / 2
    span = max(float((high - low).max()), 1e-6)
    if points[1, 2] > 0:
        neck = points[1, :2] * (1.0 if pixels else np.array([width, height]))
        span = max(span, 0.9 * float(np.linalg.norm(neck - centre)))
    reach = 1.15 * span
    return (
        float((centre[0] - reach) / width),
        float((centre[1] - 1.25 * reach) / height),
        float((centre[0] + reach) / width),
        float((centre[1] + 0.95 * reach) / height),
    )


def box_mask(box: Sequence[float], size: int = 128, soft: float = 0.06) -> np.ndarray:
    """[size, size] float32 mask of a box given in 0..1, with edges fading over ``soft``. Raises :class:`IdentityError` for a box off the picture."""
    x0, y0, x1, y1 = (float(v) for v in box)
    if not np.isfinite([x0, y0, x1, y1]).all() or x1 <= 0 or y1 <= 0 or x0 >= 1 or y0 >= 1 or x1 <= x0 or y1 <= y0:
        raise IdentityError(
            f"the face box ({x0:.2f}, {y0:.2f}, {x1:.2f}, {y1:.2f}) lies outside the picture: check the pose or the mask"
        )
    at = (np.arange(size) + 0.5) / size
    across = np.clip((at - x0) / soft + 0.5, 0, 1) * np.clip((x1 - at) / soft + 0.5, 0, 1)
    down = np.clip((at - y0) / soft + 0.5, 0, 1) * np.clip((y1 - at) / soft + 0.5, 0, 1)
    return (down[:, None] * across[None]).astype(np.float32)
