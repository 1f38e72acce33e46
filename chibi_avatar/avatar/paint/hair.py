"""Hair: two tones, drawn strands, one highlight band around the crown, and the second colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...character import Character
from .color import light, mix, shaded, srgb, step


@dataclass(frozen=True)
class Look:
    """The tones of a head of hair and how its second colour is laid."""

    base: np.ndarray
    shade: np.ndarray
    dark: np.ndarray
    shine: np.ndarray
    second: tuple[np.ndarray, np.ndarray, np.ndarray] | None  # base, shade, shine of the second colour
    laying: str

    @classmethod
    def of(cls, character: Character) -> Look:
        """Tones from a resolved Character."""
        base, shade, dark, shine = _tones(srgb(character["hair.color"].hex))
        other = character.get("hair.color2")
        laying = character["hair.coloring"]
        second = None
        if other is not None:
            b, s, _, h = _tones(srgb(other.hex))
            second = (b, s, h)
            laying = laying if laying != "solid" else "gradient"
        return cls(base, shade, dark, shine, second, laying)


def _tones(color: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Base, shade, line and highlight of one hair colour; near-black and near-white hair stay readable."""
    bright = light(color)
    base = np.maximum(color, 0.16) if bright < 0.16 else color
    shade = shaded(base, 0.84 if bright > 0.2 else 0.80, 1.18, 0.03)
    dark = shaded(base, 0.58, 1.25, 0.04)
    if bright < 0.25:
        shine = mix(base, np.array([0.62, 0.60, 0.72], np.float32), 0.42)
    elif bright > 0.85:
        shine = np.array([1.0, 1.0, 1.0], np.float32)
        shade = shaded(base, 0.90, 1.0) * np.array([0.96, 0.96, 1.0], np.float32)
    else:
        shine = mix(shaded(base, 1.25, 0.55), np.array([1.0, 0.97, 0.94], np.float32), 0.25)
    return base, shade, dark, shine


def _wave(x: np.ndarray) -> np.ndarray:
    """Triangle wave of period 1 in -1..1."""
    return 4 * np.abs((x % 1) - 0.5) - 1


def paint(look: Look, w) -> np.ndarray:
    """(h, w, 3) colours of a hair window; attr 0 is across (whole numbers are lock edges on the shell), attr 1 from root to tip."""
    across, along = w.attr[..., 0], w.attr[..., 1]
    y = (w.pos[..., 1] - 0.60) / 0.40  # head units
    shell = float(np.ptp(across)) > 2.0
    if shell:
        lobe = np.abs((across + 0.5) % 1 * 2 - 1)  # 0 in the groove, 1 on the lock
        side = 0.62 * step(0.34, 0.16, lobe) * step(0.12, 0.42, along)
        fine = (
            step(0.030, 0.012, np.abs(((across * 3 + 0.2 * np.sin(along * 9)) % 1) - 0.5) * 0.34)
            * step(0.25, 0.6, along)
            * 0.35
        )
        zig = 0.020 * _wave(across * 4 + 0.3)
        span = 0.030 * lobe**0.6 - 0.006
        # where the side light does not reach: the nape
        back = 0.55 * step(-0.05, -0.16, w.pos[..., 2]) * step(0.30, 0.10, y)
    else:
        a = (across % 1.0) if float(np.ptp(across)) <= 1.01 else across
        a = np.clip(across - across.min(), 0, 1)
        side = np.maximum(step(0.30, 0.22, a), step(0.72, 0.80, a)) * step(0.02, 0.25, along)
        fine = (
            (
                step(0.016, 0.006, np.abs(a - 0.44 - 0.03 * np.sin(along * 4)))
                + 0.7 * step(0.013, 0.005, np.abs(a - 0.58 + 0.03 * np.sin(along * 5)))
            )
            * step(0.30, 0.55, along)
            * step(0.98, 0.8, along)
            * 0.55
        )
        zig = 0.012 * _wave(a * 6)
        span = 0.034 * step(0.5, 0.12, np.abs(a - 0.5)) - 0.006
        back = np.zeros_like(a)
    tone = np.clip(side + back, 0, 1)
    base, shade, shine, dark = look.base, look.shade, look.shine, look.dark
    rgb = mix(np.broadcast_to(base, (*along.shape, 3)), shade, tone)
    rgb = mix(rgb, shaded(base, 0.92, 1.08, 0.02), 0.6 * step(0.16, 0.0, along))
    glow = step(0.0, 0.008, span - np.abs(y - 0.790 - zig * 0.6))
    if float(y.min()) < -0.05 and float(y.max()) < 1.0:  # tails have a shine of their own
        glow = np.maximum(glow, step(0.0, 0.008, span - np.abs(along - 0.28 - zig)))
    if look.second is not None:
        b2, s2, h2 = look.second
        share = _share(look.laying, across, along, w, shell)
        rgb = mix(rgb, mix(np.broadcast_to(b2, rgb.shape), s2, tone), share)
        shine = mix(np.broadcast_to(shine, rgb.shape), h2, share)
    rgb = mix(rgb, dark, np.clip(fine, 0, 1) * 0.8)
    return rgb + (shine - rgb) * (glow * 0.70)[..., None]


def _share(laying: str, across: np.ndarray, along: np.ndarray, w, shell: bool) -> np.ndarray:
    """How much of the second colour shows, 0..1."""
    if laying == "gradient":
        return step(0.30, 0.95, along)
    if laying == "streaked":
        number = np.floor(across + 0.5) if shell else np.floor(across * 3.01)
        return (np.abs(number) % 3 == 1).astype(np.float32) * step(0.05, 0.15, along)
    if laying == "inner":
        lining = step(0.99, 1.0, along) if shell else step(0.24, 0.18, np.abs(across - 0.0) % 1.0)
        return np.maximum(lining, step(0.86, 0.92, along))
    return step(0.60, 0.64, along)  # two_tone: clearly cut tips
