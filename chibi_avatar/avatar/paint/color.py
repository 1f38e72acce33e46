"""Colour helpers: sRGB floats 0..1, last axis RGB, float32."""

from __future__ import annotations

import colorsys

import numpy as np


def srgb(hex_value: str) -> np.ndarray:
    """``#rrggbb`` as float32 RGB 0..1."""
    return np.array([int(hex_value[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def mix(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """``a`` where ``t`` is 0, ``b`` where 1; ``t`` lacks the colour axis when it is an array."""
    t = np.asarray(t, np.float32)
    return a + (b - a) * (t[..., None] if t.ndim else t)


def shaded(color: np.ndarray, value: float, saturation: float = 1.0, warm: float = 0.0) -> np.ndarray:
    """A neighbour of ``color``: brightness times ``value``, saturation times ``saturation``, hue turned by ``warm`` turns towards red."""
    h, s, v = colorsys.rgb_to_hsv(*(float(c) for c in np.clip(color, 0, 1)))
    if warm and s > 0.02:
        gap = ((0.0 - h + 0.5) % 1.0) - 0.5
        h = (h + np.clip(gap, -warm, warm)) % 1.0
    return np.array(colorsys.hsv_to_rgb(h, min(1.0, s * saturation), min(1.0, v * value)), np.float32)


def light(color: np.ndarray) -> float:
    """Perceived lightness 0..1 (Rec. 709 luma of the sRGB values)."""
    return float(np.dot(color, [0.2126, 0.7152, 0.0722]))


def step(edge0: float, edge1: float, x: np.ndarray) -> np.ndarray:
    """Smooth 0..1 ramp from ``edge0`` to ``edge1`` (either order), float32."""
    t = np.clip((x - edge0) / (edge1 - edge0), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
