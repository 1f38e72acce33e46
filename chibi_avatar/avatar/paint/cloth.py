"""Cloth: base colour with soft form, seams at hems, and patterns in metres of surface."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..wardrobe import Cloth
from . import hair as hair_paint
from .color import light, mix, shaded, srgb, step


def paint(how: Cloth, w, look: hair_paint.Look | None) -> np.ndarray:
    """(h, w, 3) colours of a garment's or accessory's window, chosen by its zone (main, 2, 3 or detail)."""
    zone = w.zone
    if zone == "detail":
        return _detail(w, srgb("#f2c65f"))
    second = zone.endswith("2")
    color = srgb(how.third if zone.endswith("3") else how.second if second else how.main)
    rgb = paint_plain(w, color)
    if how.pattern and not second and not zone.endswith("3"):
        rgb = PATTERNS.get(how.pattern, _PATTERN_DEFAULT)(rgb, w, color, srgb(how.second))
    if look is not None and not second:  # fur: strokes towards the tip
        fur = step(0.15, 0.05, np.abs((w.attr[..., 0] * 9 + 0.4 * np.sin(w.attr[..., 1] * 14)) % 1 - 0.5)) * step(
            0.1, 0.5, w.row
        )
        rgb = mix(rgb, shaded(color, 0.86, 1.1), 0.35 * fur)
    if float(np.ptp(w.attr[..., 0])) > 2.0 and look is None:  # pleats: the fold's shadow side
        fold = w.attr[..., 0] % 1
        deep = shaded(color, 0.80, 1.12, 0.02)
        rgb = mix(rgb, deep, 0.55 * step(0.30, 0.52, fold) * step(0.98, 0.70, fold) * step(0.05, 0.35, w.attr[..., 1]))
    if zone == "shoes":
        rgb = mix(
            rgb,
            np.float32([1, 1, 1]),
            0.22 * np.exp(-(((w.pos[..., 1] - 0.036) / 0.008) ** 2)) * step(0.03, 0.06, w.pos[..., 2]),
        )
    return rgb


def paint_plain(w, color: np.ndarray) -> np.ndarray:
    """One colour with a hint of form: a warmer, darker last tenth (hems, cuffs) and a thin seam."""
    rgb = np.broadcast_to(color, (*w.row.shape, 3)).astype(np.float32)
    deep = shaded(color, 0.86, 1.12, 0.015) if light(color) > 0.12 else color * 1.25
    total = float(w.along.max())
    if total < 0.03:
        return rgb
    rgb = mix(rgb, deep, 0.30 * step(0.55, 1.0, w.row))
    seam = step(0.0016, 0.0006, np.abs(w.along - (total - 0.030)))
    return mix(rgb, deep, 0.75 * seam) if total > 0.12 else rgb


def _detail(w, color: np.ndarray) -> np.ndarray:
    rgb = np.broadcast_to(color, (*w.row.shape, 3)).astype(np.float32)
    return mix(rgb, shaded(color, 0.78, 1.2), step(0.55, 0.85, w.row))


# ------------------------------------------------------------------ patterns; (rgb, window, main, second) -> rgb


def _stripes(period: float, share: float, vertical: bool = False) -> Callable:
    def paint_it(rgb, w, main, second):
        t = (w.across if vertical else w.along) / period
        edge = 0.04
        band = step(share / 2 + edge, share / 2 - edge, np.abs((t % 1) - 0.5))
        return mix(rgb, second, band)

    return paint_it


def _plaid(rgb, w, main, second):
    a, b = (w.across / 0.052) % 1, (w.along / 0.052) % 1
    wide = 0.5 * (step(0.36, 0.34, np.abs(a - 0.5)) + step(0.36, 0.34, np.abs(b - 0.5)))
    rgb = mix(rgb, shaded(main, 0.80, 1.1), 0.55 * wide)
    thin = np.maximum(step(0.045, 0.025, np.abs(a - 0.5)), step(0.045, 0.025, np.abs(b - 0.5)))
    return mix(rgb, mix(second, np.float32([1, 1, 1]), 0.45), 0.75 * thin)


def _checker(rgb, w, main, second):
    a = np.floor(w.across / 0.028).astype(int) + np.floor(w.along / 0.028).astype(int)
    return mix(rgb, second, (a % 2).astype(np.float32))


def _scatter(shape: Callable[[np.ndarray, np.ndarray], np.ndarray], cell: float) -> Callable:
    """Repeat a small drawing on a staggered grid; ``shape`` maps local (x, y) in -1..1 to coverage."""

    def paint_it(rgb, w, main, second):
        b = w.along / cell
        row = np.floor(b)
        a = w.across / cell + 0.5 * (row % 2)
        x, y = (a % 1) * 2 - 1, (b % 1) * 2 - 1
        tone = second if np.abs(second - main).max() > 0.12 else shaded(main, 1.25 if light(main) < 0.6 else 0.75, 0.8)
        return mix(rgb, tone, shape(x, y))

    return paint_it


def _dot(x, y):
    return step(0.46, 0.38, np.hypot(x, y))


def _star(x, y):
    r, t = np.hypot(x, y), np.arctan2(x, -y)
    return step(
        0.05,
        -0.03,
        r
        - 0.62
        * (0.42 / np.maximum(np.cos((t * 5 / (2 * np.pi) % 1 - 0.5) * 2 * np.pi / 5 * 1.0), 0.2)) ** 0.9
        * (1.35 - 0.55 * np.abs((t * 5 / (2 * np.pi) % 1) - 0.5) * 2),
    )


def _heart(x, y):
    x, y = x * 1.5, -y * 1.5 + 0.2
    return step(0.02, -0.06, (x * x + y * y - 0.55) ** 3 - 1.2 * x * x * y**3)


def _blossom(x, y):
    r, t = np.hypot(x, y), np.arctan2(x, -y)
    petal = 0.40 + 0.24 * np.abs(np.cos(2.5 * t))
    return np.clip(step(petal + 0.04, petal - 0.04, r) - 0.8 * step(0.16, 0.10, r), 0, 1)


def _knit(rgb, w, main, second):
    a = (w.across / 0.013) % 1
    b = (w.along / 0.011 + np.abs(a - 0.5) * 1.2) % 1
    groove = np.maximum(step(0.10, 0.03, np.minimum(a, 1 - a)), 0.7 * step(0.16, 0.04, np.minimum(b, 1 - b)))
    return mix(rgb, shaded(main, 0.86, 1.1), 0.55 * groove)


def _camouflage(rgb, w, main, second):
    n = np.sin(w.across * 70 + 2 * np.sin(w.along * 55)) + np.sin(w.along * 64 + 1.7 * np.sin(w.across * 48 + 1))
    rgb = mix(rgb, shaded(main, 0.74), step(0.35, 0.5, n))
    return mix(rgb, second, step(-0.75, -0.9, n))


PATTERNS: dict[str, Callable] = {
    "stripes": _stripes(0.036, 0.46),
    "striped": _stripes(0.036, 0.46),
    "vertical_stripes": _stripes(0.030, 0.40, vertical=True),
    "pinstripe": _stripes(0.022, 0.12, vertical=True),
    "plaid": _plaid,
    "tartan": _plaid,
    "checkered": _checker,
    "checker": _checker,
    "argyle": _checker,
    "polka_dots": _scatter(_dot, 0.040),
    "polka_dot": _scatter(_dot, 0.040),
    "dots": _scatter(_dot, 0.040),
    "stars": _scatter(_star, 0.058),
    "star": _scatter(_star, 0.058),
    "hearts": _scatter(_heart, 0.056),
    "heart": _scatter(_heart, 0.056),
    "floral": _scatter(_blossom, 0.058),
    "flowers": _scatter(_blossom, 0.058),
    "blossom": _scatter(_blossom, 0.064),
    "sakura": _scatter(_blossom, 0.064),
    "knit": _knit,
    "cable_knit": _knit,
    "camouflage": _camouflage,
    "camo": _camouflage,
}
_PATTERN_DEFAULT = _scatter(_dot, 0.050)
