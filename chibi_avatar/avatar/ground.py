"""A soft pastel ground with a contact shadow, in the picture's own camera."""

from __future__ import annotations

import numpy as np

from .camera import Camera

GROUNDS = {
    "soft": ((1.0, 0.965, 0.945), (0.965, 0.86, 0.87)),
    "mint": ((0.97, 0.995, 0.97), (0.80, 0.92, 0.88)),
    "sky": ((0.965, 0.985, 1.0), (0.79, 0.87, 0.96)),
    "lilac": ((0.985, 0.97, 1.0), (0.87, 0.83, 0.95)),
    "studio": ((0.97, 0.97, 0.975), (0.86, 0.86, 0.88)),
}
_GRID = 96


def soft_ground(positions: np.ndarray, camera: Camera, name: str, key: np.ndarray) -> np.ndarray:
    """Picture (H, W, 3) float32: a light pool behind the figure, deeper towards the corners, and the shadow where it stands.

    ``positions`` (V, 3) is the posed figure, ``key`` (3,) points to the light in world space, ``name`` is one of ``GROUNDS``.
    """
    centre, edge = (np.array(c, np.float32) for c in GROUNDS[name])
    height, width = camera.height, camera.width
    across = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / height
    down = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.44
    t = np.clip(np.sqrt(across[None] ** 2 * 1.1 + down[:, None] ** 2) / 0.8, 0, 1)
    t = (t * t * (3 - 2 * t))[:, :, None]
    picture = centre + (edge - centre) * t
    shadow = _shadow(positions, camera, key)
    return picture * (1 - shadow[:, :, None] * (1 - np.array([0.62, 0.42, 0.52], np.float32)))


def _shadow(positions: np.ndarray, camera: Camera, key: np.ndarray) -> np.ndarray:
    """How much ground each pixel loses to the figure standing on it, (H, W) float32 0..1: tight where it touches, soft where it leans."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    floor = float(positions[:, 1].min())
    tall = float(np.ptp(positions[:, 1])) or 1.0
    reach = tall * 0.9
    rise = positions[:, 1] - floor
    middle = np.array([positions[:, 2].mean(), positions[:, 0].mean()])
    plane = np.zeros((_GRID, _GRID), np.float32)
    lean = np.array([key[2], key[0]]) / max(float(key[1]), 0.35)
    # what stands on the ground; then what hangs over it, pushed away from the light
    for weight_of, push, spread, strength in (
        (rise < tall * 0.06, 0.0, 2.0, 0.95),
        (np.exp(-rise / (0.35 * tall)), 0.32, 5.0, 0.42),
    ):
        points = positions[:, [2, 0]] - push * rise[:, None] * lean
        cells = np.floor((points - middle + reach) / (2 * reach) * _GRID).astype(int)
        inside = ((cells >= 0) & (cells < _GRID)).all(1)
        layer = np.zeros((_GRID, _GRID), np.float32)
        np.maximum.at(layer, (cells[inside, 0], cells[inside, 1]), np.asarray(weight_of, np.float32)[inside])
        layer = gaussian_filter(layer, spread)
        plane = np.maximum(plane, strength * layer / max(float(layer.max()), 1e-6))
    axes = camera.axes
    # at least a shallow look down, or the ground would vanish into a line
    lift = max(float(axes[2][1]), 0.17)
    foot = camera.project(np.array([[middle[1], floor, middle[0]]]))[0][0]
    step = 2
    across = (np.arange(0, camera.width, step) + step / 2 - foot[0]) * camera.pixel
    depth = (np.arange(0, camera.height, step) + step / 2 - foot[1]) * camera.pixel / lift
    toward = np.array([axes[2][0], axes[2][2]])
    toward = toward / max(float(np.linalg.norm(toward)), 1e-6)
    px = across[None] * axes[0][0] + depth[:, None] * toward[0]
    pz = across[None] * axes[0][2] + depth[:, None] * toward[1]
    coords = np.stack([(pz + reach) / (2 * reach) * _GRID - 0.5, (px + reach) / (2 * reach) * _GRID - 0.5])
    half = map_coordinates(plane, coords, order=1, mode="constant").astype(np.float32)
    return np.repeat(np.repeat(half, step, 0), step, 1)[: camera.height, : camera.width]
