"""A pose as people see it: the flat shape of the figure under its skeleton, for thumbnails and the documentation.

ControlNets get :mod:`.draw`; this is for choosing a pose by eye, where a bare skeleton says little.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import draw
from .keypoints import L_EAR, L_HIP, L_SHOULDER, NECK, NOSE, R_EAR, R_HIP, R_SHOULDER, Frame, Person
from .skeleton import Proportions, proportions

_GROUND, _LEG, _BODY, _HEAD, _ARM = (22, 23, 30), (62, 75, 106), (78, 94, 130), (104, 122, 162), (128, 146, 184)


def silhouette(frame: Frame, size: int) -> Any:
    """A ``size`` × ``size`` Pillow picture of ``frame``, whose people need the library's tag (heads and unit)."""
    from PIL import Image, ImageDraw

    shape = Image.new("RGB", (frame.width, frame.height), _GROUND)
    pen = ImageDraw.Draw(shape)
    for person in frame.people:
        _figure(pen, person, proportions(float(person.tag["heads"])), float(person.tag["unit"]))
    flat, bones = np.asarray(shape), draw.draw(frame)
    picture = np.where(bones.max(-1, keepdims=True) > 0, bones // 2 + bones // 4 + flat // 4, flat)
    return Image.fromarray(picture.astype(np.uint8)).resize((size, size), Image.Resampling.LANCZOS)


def _figure(pen: Any, person: Person, p: Proportions, unit: float) -> None:
    body = person.body
    half = unit * (0.55 * p.shoulder_x + 0.45 * p.hip_x)

    def line(points: list[np.ndarray], width: float, colour: tuple[int, int, int]) -> None:
        pen.line([tuple(q[:2]) for q in points], fill=colour, width=max(1, int(2 * width)), joint="curve")
        for x, y in ((q[0], q[1]) for q in points):
            pen.ellipse((x - width, y - width, x + width, y + width), fill=colour)

    def limb(chain: tuple[int, int, int], thick: float, tip: np.ndarray | None, colour: tuple[int, int, int]) -> None:
        joints = [body[i] for i in chain if body[i, 2] > 0]
        if joints and tip is not None:
            joints.append(tip)
        if joints:
            line(joints, thick * half + 0.02 * unit, _GROUND)
            line(joints, thick * half, colour)

    feet = person.feet
    for chain, rows in (((8, 9, 10), slice(3, 5)), ((11, 12, 13), slice(0, 2))):
        limb(chain, 0.6, None if feet is None else feet[rows].mean(0), _LEG)
    trunk = [body[i] for i in (R_SHOULDER, L_SHOULDER, L_HIP, R_HIP) if body[i, 2] > 0]
    if len(trunk) == 4:
        pen.polygon([tuple(q[:2]) for q in trunk], fill=_BODY)
        line([*trunk, trunk[0]], 0.5 * half, _BODY)
    centre = _head(person, p, unit)
    if centre is not None:
        wide, tall = 0.98 * p.ear_x * unit, 0.52 * unit
        x, y = centre
        pen.ellipse((x - wide, y - tall, x + wide, y + tall), fill=_HEAD)
    for chain, hand in (((2, 3, 4), person.right_hand), ((5, 6, 7), person.left_hand)):
        limb(chain, 0.4, None if hand is None else hand[[9, 12]].mean(0), _ARM)


def _head(person: Person, p: Proportions, unit: float) -> np.ndarray | None:
    """The middle of the head, from the ears, or from one ear and the nose and the side from which they are seen."""
    body = person.body
    ears = [body[i, :2] for i in (R_EAR, L_EAR) if body[i, 2] > 0]
    if len(ears) == 2:
        middle = (ears[0] + ears[1]) / 2
    elif ears and body[NOSE, 2] > 0:
        turn = np.radians(float(person.tag.get("azimuth", 0.0)))
        nose, ear = abs(np.sin(turn)) * p.face_z, abs(np.cos(turn)) * p.ear_x
        middle = body[NOSE, :2] + (ears[0] - body[NOSE, :2]) * (nose / max(nose + ear, 1e-9))
    elif ears or body[NOSE, 2] > 0:
        middle = ears[0] if ears else body[NOSE, :2]
    else:
        return None
    up = middle - body[NECK, :2]
    return middle + up / max(float(np.hypot(*up)), 1e-9) * (p.ear_down - 0.5) * unit
