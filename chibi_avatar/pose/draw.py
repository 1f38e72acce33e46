"""The skeleton picture that a pose ControlNet was trained on.

Formulas: an ellipse per limb (half length, stick width, angle, all truncated to integers, at 60 % of its colour), then a disc per
joint; hands as lines of a rainbow and blue discs; faces as white discs. The profiles differ in thickness and brightness:

========  ===========================================================================================================
profile   what
========  ===========================================================================================================
sd15      the ControlNet 1.1 annotator: sticks and discs of 4, whatever the size
xinsir    the ControlNet++ and Union models: both scaled by a ratio that grows with the longer side
core      ComfyUI's SDPose drawing: full brightness, limbs shorter than a pixel left out
========  ===========================================================================================================

Hidden people draw nothing; points off the canvas are clipped, not moved. OpenCV draws when it is installed; without it Pillow does,
with the same geometry and small differences at the edges.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .keypoints import Frame, Person, PoseError, canvas_side

PROFILES = ("sd15", "xinsir", "core")
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85), (0, 255, 170),
    (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
FINGERS = tuple((0 if j == 0 else 4 * f + j, 4 * f + j + 1) for f in range(5) for j in range(4))
_HAND_COLORS = tuple(tuple(c * 255 for c in colorsys.hsv_to_rgb(i / 20, 1.0, 1.0)) for i in range(20))
_HEAD = frozenset((0, 14, 15, 16, 17))


@dataclass(frozen=True)
class Style:
    """What to draw and how. ``stick`` 0 takes the profile's width. ``threshold`` is the least score of a drawn point."""

    profile: str = "sd15"
    body: bool = True
    hands: bool = True
    face: bool = False
    stick: int = 0
    threshold: float = 0.3


def xinsir_ratio(width: int, height: int) -> int:
    """Thickness ratio of the ControlNet++ training pictures for a canvas (README of ControlNetPlus)."""
    longest = max(width, height)
    for ratio, limit in ((1, 500), (2, 1000), (3, 2000), (4, 3000), (5, 4000), (6, 5000)):
        if longest < limit:
            return ratio
    return 7


def draw(frame: Frame, width: int | None = None, height: int | None = None, style: Style = Style()) -> np.ndarray:  # noqa: B008
    """(H, W, 3) uint8 RGB picture of ``frame``, scaled to ``width`` × ``height`` (default: its own size) before anything is drawn."""
    if style.profile not in PROFILES:
        raise PoseError(f"profile: {style.profile!r} is not one of {', '.join(PROFILES)}")
    width, height = canvas_side(width or frame.width, "width"), canvas_side(height or frame.height, "height")
    scale = np.array([width / frame.width, height / frame.height, 1.0])
    canvas = _brush(width, height)
    radius = 4
    stick = style.stick or 4
    if style.profile == "xinsir":
        ratio = xinsir_ratio(width, height)
        radius, stick = 4 * ratio, (style.stick or 4) * ratio
    for person in frame.people:
        _person(canvas, person, scale, style, stick, radius)
    return canvas.pixels()


def draw_all(
    frames: Sequence[Frame], width: int | None = None, height: int | None = None, style: Style = Style()
) -> np.ndarray:  # noqa: B008
    """(B, H, W, 3) uint8, all frames at one size (default: the first frame's)."""
    if not frames:
        raise PoseError("the pose has no frames")
    width, height = width or frames[0].width, height or frames[0].height
    return np.stack([draw(frame, width, height, style) for frame in frames])


def _person(canvas: Any, person: Person, scale: np.ndarray, style: Style, stick: int, radius: int) -> None:
    least = max(style.threshold, 1e-9)
    if style.body:
        _body(canvas, person.body * scale, least, style.profile == "core", stick, radius)
    hands = (person.right_hand, person.left_hand) if style.profile == "core" else (person.left_hand, person.right_hand)
    core = style.profile == "core"
    if style.hands:
        for hand in hands:
            if hand is not None:
                _hand(canvas, hand * scale, least, core)
    if style.face and person.face is not None:
        face = person.face * scale
        for x, y, score in (face[:68] if core else face).tolist():
            if score >= least and int(x) > 0.01 and int(y) > 0.01 and (not core or canvas.holds(x, y)):
                canvas.disc(int(x), int(y), 3, (255, 255, 255))


def _body(canvas: Any, body: np.ndarray, least: float, core: bool, stick: int, radius: int) -> None:
    points = body.tolist()
    for (a, b), color in zip(LIMBS, COLORS, strict=False):
        (xa, ya, sa), (xb, yb, sb) = points[a], points[b]
        if sa < least or sb < least:
            continue
        length = math.sqrt((ya - yb) ** 2 + (xa - xb) ** 2)
        if core and length < 1:
            continue
        angle = int(math.degrees(math.atan2(ya - yb, xa - xb)))
        shade = color if core else tuple(int(c * 0.6) for c in color)
        canvas.limb(int((xa + xb) / 2), int((ya + yb) / 2), int(length / 2), stick, angle, shade)
    for (x, y, score), color in zip(points, COLORS, strict=True):
        if score < least or (core and not canvas.holds(x, y)):
            continue
        canvas.disc(int(x), int(y), radius, color)


def _hand(canvas: Any, hand: np.ndarray, least: float, core: bool) -> None:
    points = []
    for x, y, score in hand.tolist():
        there = score >= least and int(x) > 0.01 and int(y) > 0.01 and (not core or canvas.holds(x, y))
        points.append((int(x), int(y), there))
    for (a, b), color in zip(FINGERS, _HAND_COLORS, strict=True):
        if points[a][2] and points[b][2]:
            canvas.line(points[a][:2], points[b][:2], tuple(int(c) for c in color) if core else color)
    for x, y, there in points:
        if there:
            canvas.disc(x, y, 4, (0, 0, 255))


def _brush(width: int, height: int) -> Any:
    try:
        import cv2
    except ImportError:
        return _PillowBrush(width, height)
    return _OpenCVBrush(cv2, width, height)


class _OpenCVBrush:
    def __init__(self, cv2: Any, width: int, height: int) -> None:
        self._cv2 = cv2
        self._canvas = np.zeros((height, width, 3), np.uint8)

    def holds(self, x: float, y: float) -> bool:
        return 0 <= int(x) < self._canvas.shape[1] and 0 <= int(y) < self._canvas.shape[0]

    def limb(self, x: int, y: int, half: int, stick: int, angle: int, color: tuple[int, ...]) -> None:
        polygon = self._cv2.ellipse2Poly((x, y), (half, stick), angle, 0, 360, 1)
        self._cv2.fillConvexPoly(self._canvas, polygon, color)

    def line(self, a: tuple[int, int], b: tuple[int, int], color: tuple[float, ...]) -> None:
        self._cv2.line(self._canvas, a, b, color, thickness=2)

    def disc(self, x: int, y: int, radius: int, color: tuple[int, ...]) -> None:
        self._cv2.circle(self._canvas, (x, y), radius, color, thickness=-1)

    def pixels(self) -> np.ndarray:
        return self._canvas


class _PillowBrush:
    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (width, height))
        self._draw = ImageDraw.Draw(self._image)

    def holds(self, x: float, y: float) -> bool:
        return 0 <= int(x) < self._image.width and 0 <= int(y) < self._image.height

    def limb(self, x: int, y: int, half: int, stick: int, angle: int, color: tuple[int, ...]) -> None:
        t = np.radians(np.arange(0, 361, 1))
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        u, v = half * np.cos(t), stick * np.sin(t)
        polygon = np.rint(np.stack([x + u * c - v * s, y + u * s + v * c], axis=1))
        self._draw.polygon([tuple(p) for p in polygon.tolist()], fill=color)

    def line(self, a: tuple[int, int], b: tuple[int, int], color: tuple[float, ...]) -> None:
        self._draw.line([a, b], fill=tuple(int(round(c)) for c in color), width=3)

    def disc(self, x: int, y: int, radius: int, color: tuple[int, ...]) -> None:
        self._draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)

    def pixels(self) -> np.ndarray:
        return np.array(self._image)
