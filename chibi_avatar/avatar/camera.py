"""Cameras and view sets: the same numbers serve guides, renders and the bake, so their pixels agree.

View azimuth in degrees: 0 looks at the front, 90 at the character's left side, 180 at the back; elevation looks down when positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .model import Avatar, AvatarError

_OFF_AXIS = 0.25  # of its size that a figure may stand beside the Y axis and still turn around that
MARGIN = 1.1  # picture height over figure height; the scale MV-Adapter uses


@dataclass(frozen=True)
class Camera:
    """One view. ``extent`` is the height of the picture in metres at the target; ``fov`` (vertical degrees) is 0 for orthographic."""

    azimuth: float = 0.0
    elevation: float = 0.0
    target: tuple[float, float, float] = (0.0, 0.5, 0.0)
    extent: float = 1.1
    width: int = 1024
    height: int = 1024
    fov: float = 0.0
    name: str = ""
    roll: float = 0.0

    @property
    def distance(self) -> float:
        """Metres from the eye to the target; orthographic cameras stand far enough away for everything to be in front of them."""
        if self.fov:
            return self.extent / 2 / math.tan(math.radians(self.fov) / 2)
        return max(4 * self.extent, 4.0)

    @property
    def axes(self) -> np.ndarray:
        """Rows are right, up and backward (from the target to the eye) in world space: (3, 3) float64."""
        a, e, r = math.radians(self.azimuth), math.radians(self.elevation), math.radians(self.roll)
        right = np.array([math.cos(a), 0.0, -math.sin(a)])
        back = np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
        up = np.cross(back, right)
        return np.array([right * math.cos(r) + up * math.sin(r), up * math.cos(r) - right * math.sin(r), back])

    @property
    def position(self) -> np.ndarray:
        """The eye, world space (3,)."""
        return np.asarray(self.target) + self.axes[2] * self.distance

    @property
    def pixel(self) -> float:
        """Metres per pixel at the target."""
        return self.extent / self.height

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """World points (V, 3) → screen (V, 3) float64 [x px, y px, depth linear on screen], 1/w (V,) or None, metres from the eye (V,).

        Points at or behind a perspective eye become NaN and so drop out of the raster.
        """
        view = (np.asarray(points, np.float64) - np.asarray(self.target)) @ self.axes.T
        away = self.distance - view[:, 2]
        scale = self.height / self.extent
        if not self.fov:
            x = self.width / 2 + view[:, 0] * scale
            y = self.height / 2 - view[:, 1] * scale
            return np.stack([x, y, away], 1), None, away
        safe = np.where(away > self.distance * 0.02, away, np.nan)
        inverse = 1.0 / safe
        shrink = scale * self.distance * inverse
        x = self.width / 2 + view[:, 0] * shrink
        y = self.height / 2 - view[:, 1] * shrink
        return np.stack([x, y, -inverse], 1), inverse, away

    def toward_eye(self, points: np.ndarray) -> np.ndarray:
        """Unit vectors (V, 3) from world points to the eye; one row for orthographic cameras."""
        if not self.fov:
            return self.axes[2][None]
        away = self.position - points
        return away / np.linalg.norm(away, axis=-1, keepdims=True)

    def resized(self, width: int, height: int) -> Camera:
        """The same view at another picture size."""
        return replace(self, width=width, height=height)

    def to_load3d(self) -> dict[str, Any]:
        """As ComfyUI's ``LOAD3D_CAMERA``: right-handed, Y up, looking down -Z, vertical fov in degrees."""
        position, axes = self.position, self.axes
        return {
            "position": dict(zip("xyz", map(float, position), strict=True)),
            "target": dict(zip("xyz", map(float, self.target), strict=True)),
            "zoom": 1.0,
            "cameraType": "perspective" if self.fov else "orthographic",
            "quaternion": dict(zip("xyzw", map(float, _quaternion(axes.T)), strict=True)),
            "fov": float(self.fov or 35.0),
            "near": 0.01,
            "far": self.distance * 4,
            "aspect": self.width / self.height,
            "frustum": {
                "left": -self.extent / 2 * self.width / self.height,
                "right": self.extent / 2 * self.width / self.height,
                "top": self.extent / 2,
                "bottom": -self.extent / 2,
            },
        }

    @classmethod
    def from_load3d(cls, info: Any, width: int, height: int) -> Camera:
        """Read ComfyUI's ``LOAD3D_CAMERA``. Raises :class:`AvatarError` when position or target is missing or not finite."""
        try:
            position = np.array([float(info["position"][axis]) for axis in "xyz"])
            target = np.array([float(info["target"][axis]) for axis in "xyz"])
            zoom = float(info.get("zoom") or 1.0)
            fov = float(info.get("fov") or 35.0)
            orthographic = info.get("cameraType") == "orthographic"
            frustum = info.get("frustum") or {}
            back = position - target
            distance = float(np.linalg.norm(back))
            if not (
                np.isfinite([*position, *target, zoom, fov]).all() and distance > 1e-6 and zoom > 0 and 1 <= fov <= 170
            ):
                raise ValueError("values out of range")
            if orthographic and frustum:
                extent = (float(frustum["top"]) - float(frustum["bottom"])) / zoom
            else:
                extent = 2 * distance * math.tan(math.radians(fov) / 2) / zoom
            if not (math.isfinite(extent) and extent > 0):
                raise ValueError("the view has no height")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AvatarError(
                f"this camera cannot be used ({error}): connect a LOAD3D_CAMERA with position, target and fov"
            ) from error
        back /= distance
        elevation = math.degrees(math.asin(float(np.clip(back[1], -1, 1))))
        azimuth = math.degrees(math.atan2(back[0], back[2]))
        fov = 0.0 if orthographic else math.degrees(2 * math.atan(extent / 2 / distance))
        return cls(azimuth, elevation, tuple(map(float, target)), extent, width, height, fov, "camera")


def _quaternion(matrix: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) → quaternion x, y, z, w."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(matrix).as_quat()


@dataclass(frozen=True)
class Views:
    """What travels on ``CHIBI_VIEWS``: the cameras of a view set in sheet order (row by row), ``columns`` to a row."""

    cameras: tuple[Camera, ...]
    columns: int = 1
    sheet: bool = False
    name: str = "custom"

    def __len__(self) -> int:
        return len(self.cameras)

    @property
    def rows(self) -> int:
        return -(-len(self.cameras) // self.columns)


# azimuth, elevation of each view, and how many stand in one row of a sheet
VIEW_SETS: dict[str, tuple[tuple[tuple[str, float, float], ...], int]] = {
    "front": ((("front", 0, 0),), 1),
    "front_back": ((("front", 0, 0), ("back", 180, 0)), 2),
    "sides4": ((("front", 0, 0), ("left", 90, 0), ("back", 180, 0), ("right", 270, 0)), 2),
    "sides6": (
        (("front", 0, 0), ("left", 90, 0), ("back", 180, 0), ("right", 270, 0), ("top", 0, 80), ("bottom", 0, -60)),
        3,
    ),
    "three_quarter": (
        (("front_left", 40, 0), ("front_right", -40, 0), ("back_left", 140, 0), ("back_right", -140, 0)),
        2,
    ),
    # the four sides and, between them, alternately from below and from above: what one side's mirror image cannot show, the other sees
    "around8": (
        (
            ("front", 0, 0),
            ("left", 90, 0),
            ("back", 180, 0),
            ("right", 270, 0),
            ("front_left_low", 45, -45),
            ("back_left_high", 135, 45),
            ("back_right_low", 225, -45),
            ("front_right_high", 315, 45),
        ),
        4,
    ),
}
NAMED_VIEWS: dict[str, tuple[float, float]] = {
    "front": (0, 0), "three_quarter": (28, 6), "left": (90, 0), "right": (270, 0), "back": (180, 0),
    "back_three_quarter": (152, 6), "top": (0, 80), "bottom": (0, -60),
}  # fmt: skip


def framing(positions: np.ndarray) -> tuple[tuple[float, float, float], float]:
    """Target and picture height that hold every turn of the figure around Y: the same for all views, so their scale agrees.

    Figures turn around the Y axis; what stands far from it, such as a model saved from somewhere in a scene, around its own middle.
    """
    low, high = positions.min(0).astype(np.float64), positions.max(0).astype(np.float64)
    middle, extent = (low + high) / 2, high - low
    x, z = middle[[0, 2]]
    if np.hypot(x, z) <= _OFF_AXIS * float(extent.max()):
        x = z = 0.0
    reach = 2 * float(np.hypot(positions[:, 0] - x, positions[:, 2] - z).max())
    return (float(x), float(middle[1]), float(z)), MARGIN * max(float(extent[1]), reach, 1e-3)


def directions(count: int) -> list[tuple[float, float]]:
    """``count`` directions spread evenly over the sphere, on a golden spiral: azimuth and elevation in degrees, as a camera takes them."""
    step = np.arange(count) + 0.5
    elevations = np.degrees(np.arcsin(1 - 2 * step / count))
    azimuths = np.degrees(np.pi * (1 + np.sqrt(5)) * step) % 360
    return list(zip(azimuths.tolist(), elevations.tolist(), strict=True))


def view_set(avatar: Avatar, name: str = "sides4", size: int = 1024, fov: float = 0.0, sheet: bool = False) -> Views:
    """The cameras of view set ``name`` around ``avatar`` at rest; square pictures of ``size`` pixels (a multiple of 64)."""
    if name not in VIEW_SETS:
        raise AvatarError(f"no view set {name!r}: choose one of {', '.join(VIEW_SETS)}")
    if size % 64 or not 64 <= size <= 4096:
        raise AvatarError(f"view size {size} must be a multiple of 64 from 64 to 4096")
    views, columns = VIEW_SETS[name]
    target, extent = framing(avatar.mesh.positions)
    cameras = tuple(Camera(a, e, target, extent, size, size, fov, label) for label, a, e in views)
    return Views(cameras, columns, sheet, name)
