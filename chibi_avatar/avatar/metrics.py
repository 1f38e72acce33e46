"""How good is a bake: colour differences, re-render error, seams."""

from __future__ import annotations

import numpy as np


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB 0..1 (…, 3) → CIE L*a*b* (D65), float64."""
    rgb = np.asarray(rgb, np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def delta_e2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """CIEDE2000 between Lab colours (…, 3), after Sharma, Wu and Dalal (2005)."""
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    turn = h2 - h1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(grey, 0, turn)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    total = h1 + h2
    mean_h = np.where(np.abs(h1 - h2) <= 180, total / 2, np.where(total < 360, (total + 360) / 2, (total - 360) / 2))
    mean_h = np.where(grey, total, mean_h)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    sl = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    sc, sh = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    rotation = (
        -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    x, y, z = (l2 - l1) / sl, (c2 - c1) / sc, dh / sh
    return np.sqrt(np.maximum(x * x + y * y + z * z + rotation * y * z, 0))


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB for values 0..1; 99 for identical ones."""
    return decibels(
        float(np.mean((np.asarray(first, np.float64) - np.asarray(second, np.float64)) ** 2)) if np.size(first) else 0.0
    )


def decibels(error: float) -> float:
    """The PSNR of a mean squared ``error`` of values 0..1, at most 99."""
    return 99.0 if error < 10**-9.9 else float(-10 * np.log10(error))


def bilinear(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours (N, K) of ``image`` (H, W, K) at ``points`` (N, 2) in texels, clamped at the border."""
    height, width = image.shape[:2]
    x = np.clip(points[:, 0] - 0.5, 0, width - 1)
    y = np.clip(points[:, 1] - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    above = image[top, left] * (1 - fx) + image[top, left + 1] * fx
    below = image[top + 1, left] * (1 - fx) + image[top + 1, left + 1] * fx
    return above * (1 - fy) + below * fy


def seam_delta_e(atlas: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """ΔE2000 (N,) across UV seams: ``atlas`` (S, S, 3) uint8 read on both sides of the points from ``padding.seam_points``."""
    if not len(first):
        return np.zeros(0)
    return delta_e2000(srgb_to_lab(bilinear(atlas, first) / 255), srgb_to_lab(bilinear(atlas, second) / 255))
