"""From a scene to a picture with its labels: pixels, part map, keypoints, attributes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...avatar.build import build_avatar
from ...avatar.camera import Camera, view_set
from ...avatar.gbuffer import gbuffer
from ...avatar.keypoints import pose_frame
from ...avatar.model import Avatar
from ...avatar.render import FOV, camera_for, render
from ...avatar.skin import posed
from ...pose import library
from ...pose.rig import pose_rig
from .scenes import Scene

SIZE = 256
PARTS_SIZE = 64
# how much of the figure a framing holds: picture height in head heights, and how far its middle is below the head's
_HOLDS = {"portrait": (1.86, -0.02), "upper_body": (2.2, 0.34), "cowboy_shot": (2.8, 0.66)}


@dataclass(frozen=True)
class Sample:
    """``picture`` (S, S, 3) uint8 sRGB; ``parts`` (64, 64) uint8: 0 nothing, else 1 + the avatar's part; ``keypoints`` (18, 3) float32
    pixels of ``picture`` and 1 where seen; ``labels`` JSON-ready attributes; ``tags`` the caption, ``(text, field path)``."""

    picture: np.ndarray
    parts: np.ndarray
    keypoints: np.ndarray
    tags: tuple[tuple[str, str], ...]
    labels: dict[str, Any]


def dress(scene: Scene) -> Avatar:
    """The avatar of a scene's Character, with a texture as fine as these pictures can show."""
    return build_avatar(scene.character, texture_size=512)


def photograph(scene: Scene, avatar: Avatar, size: int = SIZE) -> Sample:
    """Draw ``scene`` with the ``avatar`` of its Character (see :func:`dress`)."""
    expression = avatar.meta["expression"]
    rotations, offset = None, None
    if scene.pose is not None:
        rig = pose_rig(library.frame(scene.pose, heads=avatar.heads, mirrored=scene.mirrored), avatar.joints)
        rotations, offset = rig.rotations, rig.offset
    positions, normals = posed(avatar, rotations, expression, offset)
    camera = _camera(scene, avatar, positions, size)
    ground: Any = scene.ground if isinstance(scene.ground, str) else None
    image, mask = render(
        avatar, camera, size, rotations, expression, ground, offset=offset, light=scene.light, supersample=2
    )
    if ground is None:
        image = image + _backdrop(scene.ground, size) * (1 - mask[:, :, None])  # type: ignore[arg-type]
    small = gbuffer(avatar, positions, normals, camera.resized(PARTS_SIZE, PARTS_SIZE))
    face = small.raster.face.numpy()
    parts = np.append(avatar.mesh.face_part, -1)[face] + 1
    points = np.array(
        pose_frame(avatar, camera, rotations, offset)["people"][0]["pose_keypoints_2d"], np.float32
    ).reshape(18, 3)
    inside = ((points[:, :2] >= 0) & (points[:, :2] < size)).all(1)
    points[~inside] = 0
    return Sample(
        (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8),
        parts.astype(np.uint8),
        points,
        scene.tags,
        _labels(scene, avatar),
    )


def _camera(scene: Scene, avatar: Avatar, positions: np.ndarray, size: int) -> Camera:
    if scene.framing == "guide":
        views = view_set(avatar, "sides4", size)
        return next(camera for camera in views.cameras if camera.azimuth == scene.azimuth)
    camera = replace(camera_for(avatar, scene.azimuth, size, size, positions), elevation=scene.elevation)
    if scene.framing in _HOLDS:
        holds, below = _HOLDS[scene.framing]
        chosen = np.unique(avatar.mesh.faces[avatar.mesh.face_part == avatar.parts.index("face")])
        low, high = positions[chosen].min(0), positions[chosen].max(0)
        tall = float(high[1] - low[1])
        middle = (low + high) / 2 - np.array([0, below * tall, 0])
        camera = Camera(scene.azimuth, scene.elevation, tuple(map(float, middle)), holds * tall, size, size, FOV)
    right, up, _ = camera.axes
    extent = camera.extent / scene.zoom
    target = np.asarray(camera.target) + (right * scene.shift[0] + up * scene.shift[1]) * extent
    return replace(camera, extent=extent, target=tuple(float(v) for v in target))


def _backdrop(colors: tuple[tuple[float, float, float], ...], size: int) -> np.ndarray:
    top, bottom = np.array(colors[0], np.float32), np.array(colors[-1], np.float32)
    t = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top + (bottom - top) * t, (size, size, 3))


def _labels(scene: Scene, avatar: Avatar) -> dict[str, Any]:
    who = scene.character.resolve()
    pieces = avatar.meta["pieces"]

    def piece(slot: str) -> str:
        return next((name[len(slot) + 1 :] for name in pieces if name.startswith(f"{slot}_")), "none")

    morphs = avatar.meta["expression"] or {}
    hair = piece("hair")
    return {
        "hair_style": "bald" if hair == "none" else hair,
        "hair_color": who["hair.color"].hex,
        "hair_name": who["hair.color"].name,
        "hair_plain": who["hair.coloring"] == "solid" and hair != "none",
        "top": piece("top"),
        "bottom": piece("bottom"),
        "glasses": piece("glasses"),
        "hat": piece("hat"),
        "ears": piece("animal_ears"),
        "expression": max(morphs, key=morphs.get) if morphs else "neutral",
        "framing": scene.framing,
        "azimuth": round(scene.azimuth, 2),
        "pose": scene.pose or "t_pose",
        "heads": round(avatar.heads, 3),
    }
