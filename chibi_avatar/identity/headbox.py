"""Where the head of a chibi is: from pose keypoints, so that an identity acts on the head and leaves hands and background alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..pose.keypoints import L_EAR, L_EYE, NECK, NOSE, R_EAR, R_EYE, parse
from .errors import IdentityError

_HEAD = (NOSE, R_EYE, L_EYE, R_EAR, L_EAR)


def head_box(pose: Any, person: int = 0) -> tuple[float, float, float, float]:
    """Box (x0, y0, x1, y1) in 0..1 around the head of one person of a pose's first frame; may reach outside the picture.

    ``pose`` is anything that :func:`~..pose.keypoints.parse` reads. Raises :class:`IdentityError` when there is no such person or no head in it,
    and :class:`~..pose.keypoints.PoseError` for a pose that cannot be read.
    """
    frame = parse(pose)[0]
    if not 0 <= person < len(frame.people):
        raise IdentityError(
            f"the pose has {len(frame.people)} people, number {person} was asked for: give it a pose of somebody"
        )
    body = frame.people[person].body
    head = body[[index for index in _HEAD if body[index, 2] > 0], :2]
    if len(head) < 2:
        raise IdentityError("the pose shows no head: nose, eyes or ears are needed to place the identity")
    low, high = head.min(0), head.max(0)
    centre = (low + high) / 2
    span = max(float((high - low).max()), 1e-6)
    if body[NECK, 2] > 0:
        span = max(span, 0.9 * float(np.linalg.norm(body[NECK, :2] - centre)))
    width, height = frame.width, frame.height
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
