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


def soft_ground(positions: np.ndarray, camera: Camera, name: str = "soft") -> np.ndarray:
    """Picture (H, W, 3) float32: a light pool behind the figure, deeper towards the corners, and the shadow where it stands."""
    centre, edge = (np.array(c, np.float32) for c in GROUNDS[name])
    height, width = camera.height, camera.width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    across = (x + 0.5 - width / 2) / height
    down = (y + 0.5) / height - 0.42
    t = np.clip(np.sqrt(across**2 * 1.1 + down**2) / 0.78, 0, 1)
    t = (t * t * (3 - 2 * t))[:, :, None]
    picture = centre * (1 - t) + edge * t
    shadow = _contact(positions, camera, across.shape)
    return picture * (1 - shadow[:, :, None] * (1 - np.array([0.72, 0.56, 0.64], np.float32)))


def _contact(positions: np.ndarray, camera: Camera, shape: tuple[int, int]) -> np.ndarray:
    """How much ground each pixel loses to the figure standing on it, (H, W) float32 0..1."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    floor = float(positions[:, 1].min())
    tall = float(np.ptp(positions[:, 1])) or 1.0
    reach = tall * 0.8
    plane = np.zeros((_GRID, _GRID), np.float32)
    # soft wide shade from the whole figure, a tight dark one from what touches the ground
    for part, spread, weight in (((positions[:, 1] - floor) < tall * 0.05, 1.6, 0.8), (np.ones(len(positions), bool), 6.0, 0.28)):
        points = positions[part][:, [2, 0]]
        middle = positions[:, [2, 0]].mean(0)
        cells = np.floor((points - middle + reach) / (2 * reach) * _GRID).astype(int)
        cells = cells[((cells >= 0) & (cells < _GRID)).all(1)]
        layer = np.zeros((_GRID, _GRID), np.float32)
        layer[cells[:, 0], cells[:, 1]] = 1
        layer = gaussian_filter(layer, spread)
        plane = np.maximum(plane, weight * layer / max(float(layer.max()), 1e-6))
    axes, eye = camera.axes, camera.position
    # at least a shallow look down, or the ground would vanish into a line
    lift = max(axes[2][1], 0.16)
    height, width = shape
    y, x = np.mgrid[0:height:2, 0:width:2].astype(np.float64)
    foot = camera.project(np.array([[positions[:, 0].mean(), floor, positions[:, 2].mean()]]))[0][0]
    across = (x + 1 - foot[0]) * camera.pixel
    depth = (y + 1 - foot[1]) * camera.pixel / lift
    toward = np.array([axes[2][0], axes[2][2]])
    toward = toward / max(np.linalg.norm(toward), 1e-6)
    px = across * axes[0][0] + depth * toward[0]
    pz = across * axes[0][2] + depth * toward[1]
    del eye
    coords = np.stack([(pz + reach) / (2 * reach) * _GRID - 0.5, (px + reach) / (2 * reach) * _GRID - 0.5])
    half = map_coordinates(plane, coords, order=1, mode="constant").astype(np.float32)
    return np.repeat(np.repeat(half, 2, 0), 2, 1)[:height, :width]
