"""Canonical proportions of a figure, in head heights (top of the skull to chin = 1), for 1.8 to 7 heads.

Up to 4 heads the numbers are those of the pack's own 3D base, so a drawn skeleton and a rendered avatar agree; 7
heads is a grown adult. Axes as everywhere: Y up with the soles at 0, the figure faces +Z, its left is +X.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MIN_HEADS, MAX_HEADS = 1.8, 7.0

_AT = (1.8, 2.0, 2.5, 3.0, 4.0, 7.0)
# half widths are from the middle line; the face numbers are measured down from the top of the head
_TABLE: dict[str, tuple[float, ...]] = {
    "shoulder_x": (0.172, 0.1875, 0.225, 0.255, 0.3075, 0.76),
    "shoulder_y": (0.695, 0.875, 1.32, 1.7675, 2.67, 5.68),
    "hip_x": (0.098, 0.1075, 0.13, 0.1475, 0.1775, 0.40),
    "hip_y": (0.318, 0.41, 0.655, 0.9125, 1.4525, 3.60),
    "knee_y": (0.205, 0.25, 0.38, 0.5125, 0.79, 1.98),
    "ankle_y": (0.092, 0.1025, 0.125, 0.145, 0.1775, 0.30),
    "upper_arm": (0.132, 0.16, 0.23, 0.30, 0.43, 1.22),
    "fore_arm": (0.115, 0.1375, 0.20, 0.2575, 0.3725, 1.06),
    "hand": (0.150, 0.17, 0.21, 0.25, 0.32, 0.74),
    "foot": (0.120, 0.135, 0.165, 0.19, 0.24, 0.72),
    "eye_x": (0.235, 0.235, 0.2325, 0.228, 0.215, 0.14),
    "eye_down": (0.575, 0.575, 0.575, 0.57, 0.56, 0.50),
    "ear_x": (0.57, 0.57, 0.565, 0.555, 0.53, 0.36),
    "ear_down": (0.62, 0.62, 0.62, 0.615, 0.60, 0.55),
    "nose_down": (0.73, 0.73, 0.725, 0.72, 0.71, 0.67),
    "face_z": (0.42, 0.42, 0.42, 0.42, 0.42, 0.40),
}


@dataclass(frozen=True)
class Proportions:
    """Lengths of a figure in head heights; see the module's table. ``trunk`` is shoulder line to hip line."""

    heads: float
    shoulder_x: float
    shoulder_y: float
    hip_x: float
    hip_y: float
    knee_y: float
    ankle_y: float
    upper_arm: float
    fore_arm: float
    hand: float
    foot: float
    eye_x: float
    eye_down: float
    ear_x: float
    ear_down: float
    nose_down: float
    face_z: float

    @property
    def trunk(self) -> float:
        return self.shoulder_y - self.hip_y

    @property
    def thigh(self) -> float:
        return self.hip_y - self.knee_y

    @property
    def shin(self) -> float:
        return self.knee_y - self.ankle_y


@lru_cache(maxsize=256)
def proportions(heads: float) -> Proportions:
    """The canonical figure of ``heads`` heads; values outside 1.8 to 7 are clamped."""
    heads = min(max(float(heads), MIN_HEADS), MAX_HEADS)
    return Proportions(heads, **{name: float(np.interp(heads, _AT, row)) for name, row in _TABLE.items()})


@lru_cache(maxsize=64)
def _rest(heads: float) -> tuple[tuple[str, tuple[float, float, float]], ...]:
    p = proportions(heads)
    chin = p.heads - 1
    out: dict[str, tuple[float, float, float]] = {
        "hips": (0.0, p.hip_y + 0.05 * p.trunk, 0.0),
        "spine": (0.0, p.hip_y + 0.28 * p.trunk, 0.0),
        "chest": (0.0, p.hip_y + 0.60 * p.trunk, 0.0),
        "neck": (0.0, p.shoulder_y + 0.7 * (chin - p.shoulder_y), -0.02),
        "head": (0.0, chin, -0.03),
    }
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out[f"{side}Shoulder"] = (sign * 0.4 * p.shoulder_x, p.shoulder_y, -0.01)
        x = p.shoulder_x
        out[f"{side}UpperArm"] = (sign * x, p.shoulder_y, 0.0)
        out[f"{side}LowerArm"] = (sign * (x + p.upper_arm), p.shoulder_y, 0.0)
        out[f"{side}Hand"] = (sign * (x + p.upper_arm + p.fore_arm), p.shoulder_y, 0.0)
        out[f"{side}UpperLeg"] = (sign * p.hip_x, p.hip_y, 0.0)
        out[f"{side}LowerLeg"] = (sign * p.hip_x, p.knee_y, 0.0)
        out[f"{side}Foot"] = (sign * p.hip_x, p.ankle_y, 0.0)
    return tuple(out.items())


def rest_joints(heads: float) -> dict[str, np.ndarray]:
    """Humanoid bone name to its T-pose position (3,), in head heights, for a canonical figure."""
    return {name: np.array(position) for name, position in _rest(proportions(heads).heads)}


PARENTS: dict[str, str | None] = {"hips": None, "spine": "hips", "chest": "spine", "neck": "chest", "head": "neck"}
for _side in ("left", "right"):
    PARENTS |= {
        f"{_side}Shoulder": "chest",
        f"{_side}UpperArm": f"{_side}Shoulder",
        f"{_side}LowerArm": f"{_side}UpperArm",
        f"{_side}Hand": f"{_side}LowerArm",
        f"{_side}UpperLeg": "hips",
        f"{_side}LowerLeg": f"{_side}UpperLeg",
        f"{_side}Foot": f"{_side}LowerLeg",
    }
