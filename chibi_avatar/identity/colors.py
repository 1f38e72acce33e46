"""Colours of people: CIE Lab, and the names a hairdresser, not a painter, would give.

Lab is CIE 1976 with the D65 white of sRGB (IEC 61966-2-1): L 0..100, a and b about ±100.
"""

from __future__ import annotations

import math

import numpy as np

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)

# Skin tones by individual typology angle (Chardon 1991), in degrees, lightest first: name, lower bound, colour used for drawing.
SKIN_TONES = (
    ("fair", 55.0, "#fde7da"),
    ("light", 41.0, "#fbdcc8"),
    ("medium", 28.0, "#efc5a4"),
    ("tan", 10.0, "#d9a47c"),
    ("brown", -30.0, "#a9714b"),
    ("dark", -90.0, "#6e4630"),
)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB bytes [..., 3] to CIE Lab [..., 3] float64."""
    linear = _LINEAR[np.asarray(rgb, np.uint8)]
    ratio = linear @ _TO_XYZ.T / _WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """CIE Lab [..., 3] to sRGB bytes [..., 3]; colours outside sRGB are clipped."""
    lab = np.asarray(lab, np.float64)
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE
    linear = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0, 1)
    value = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(value * 255).astype(np.uint8)


def to_hex(rgb: np.ndarray) -> str:
    """``#rrggbb`` of three bytes."""
    red, green, blue = (int(round(float(part))) for part in rgb)
    return f"#{red:02x}{green:02x}{blue:02x}"


def hair_color_name(lab: np.ndarray) -> tuple[str, float]:
    """The name of a hair colour as photographed, and how far it is from the next name (0..1).

    Natural colours lie in a narrow band of hue (brown to yellow) and are told apart by lightness; outside it hair is dyed and hue names it.
    """
    light, a, b = (float(part) for part in lab)
    chroma, hue = math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360
    # Dark hair loses chroma with its lightness: judge colourfulness against what natural brown has at this lightness.
    if light + 0.8 * chroma < 30 and chroma < 14:
        return "black", min(1.0, (30 - light - 0.8 * chroma) / 10)
    if chroma < 7:
        return _ladder(light, ((30, "black"), (78, "gray"), (101, "white")))
    if 34 <= hue <= 96 and chroma < 58 and not (hue < 50 and chroma > 46):
        if chroma < 11 and light > 55:
            return _ladder(light, ((74, "gray"), (101, "platinum_blonde")))
        if hue < 50 and chroma > 27 and 18 < light < 48:
            return "auburn", min(1.0, (chroma - 27) / 10 + 0.2)
        if hue < 68 and chroma > (38 if hue < 62 else 50) and light > 42:
            return "orange", min(1.0, (chroma - 38) / 10 + 0.2)
        return _ladder(
            light,
            (
                (15, "black"),
                (29, "dark_brown"),
                (52, "brown"),
                (60, "light_brown"),
                (88, "blonde"),
                (101, "platinum_blonde"),
            ),
        )
    wheel = (
        (14, "pink"),
        (45, "red"),
        (76, "orange"),
        (108, "blonde"),
        (178, "green"),
        (232, "cyan"),
        (296, "blue"),
        (336, "purple"),
        (361, "pink"),
    )
    name = next(name for limit, name in wheel if hue < limit)
    if name == "red" and light > 62:
        name = "pink"
    if name == "pink" and light < 38:
        name = "red" if hue < 90 else "purple"
    if chroma < 12:
        return _ladder(light, ((30, "black"), (78, "gray"), (101, "white")))
    return name, min(1.0, (chroma - 12) / 15 + 0.2)


def _ladder(light: float, steps: tuple[tuple[float, str], ...]) -> tuple[str, float]:
    low = 0.0
    for high, name in steps:
        if light < high:
            margin = min(light - low if low else 99.0, high - light if high <= 100 else 99.0)
            return name, min(1.0, 0.25 + margin / 8)
        low = high
    return steps[-1][1], 1.0


def skin_tone(lab: np.ndarray) -> tuple[str, str, float]:
    """Name, drawing colour and margin (0..1) of a skin colour, by its individual typology angle."""
    light, _, b = (float(part) for part in lab)
    angle = math.degrees(math.atan2(light - 50, max(b, 1e-6)))
    previous = 90.0
    for name, lower, drawn in SKIN_TONES:
        if angle >= lower:
            return name, drawn, min(1.0, 0.3 + min(angle - lower, previous - angle) / 12)
        previous = lower
    return SKIN_TONES[-1][0], SKIN_TONES[-1][2], 0.5
