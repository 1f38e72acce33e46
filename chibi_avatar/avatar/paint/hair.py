"""Hair: two tones, drawn strands, one highlight band around the crown, and the second colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...character import Character
from .color import light, mix, shaded, srgb, step

# where the hair of the gathered styles comes together on the left side, head units
TIES = {
    "hair_twin_tails": (0.52, 0.82, -0.11),
    "hair_low_twin_tails": (0.43, 0.13, -0.26),
    "hair_ponytail": (0.0, 0.95, -0.44),
    "hair_braid": (0.0, 0.12, -0.52),
    "hair_twin_braids": (0.40, 0.12, -0.22),
    "hair_bun": (0.0, 0.98, -0.22),
    "hair_double_bun": (0.30, 0.93, -0.06),
}


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


def _scatter(number: np.ndarray) -> np.ndarray:
    """A fixed pseudo-random value 0..1 per lock number, the same on both sides of the head."""
    return (np.sin(np.abs(number) * 12.9898 + 4.1) * 43758.5453) % 1.0


def paint(look: Look, w) -> np.ndarray:
    """(h, w, 3) colours of a hair window; attr 0 is across (whole numbers are lock edges on shells and tails), attr 1 from root to tip."""
    across, along = w.attr[..., 0], w.attr[..., 1]
    y = (w.pos[..., 1] - 0.60) / 0.40  # head units
    many = float(np.ptp(across)) > 2.0  # a shell or a tail: several locks in one patch
    shell = many and float(across.min()) < 0
    if w.piece in TIES and shell:
        tone, fine, glow = _gathered(w.pos, y, TIES[w.piece])
    elif many:
        tone, fine, glow = _locks(across, along, y, shell)
    else:
        tone, fine, glow = _one_lock(np.clip(across - across.min(), 0, 1), along, y)
    if shell:  # where the side light does not reach: the nape
        tone = np.maximum(tone, 0.75 * step(-0.05, -0.14, w.pos[..., 2]) * step(0.26, 0.12, y))
    base, shade, shine, dark = look.base, look.shade, look.shine, look.dark
    rgb = mix(np.broadcast_to(base, (*along.shape, 3)), shade, tone)
    if look.second is not None:
        b2, s2, h2 = look.second
        share = _share(look.laying, across, along, w, shell)
        rgb = mix(rgb, mix(np.broadcast_to(b2, rgb.shape), s2, tone), share)
        shine = mix(np.broadcast_to(shine, rgb.shape), h2, share)
    rgb = mix(rgb, dark, fine)
    return rgb + (shine - rgb) * (glow * 0.72)[..., None]


def _locks(across: np.ndarray, along: np.ndarray, y: np.ndarray, shell: bool) -> tuple[np.ndarray, ...]:
    """Shade, line and highlight (h, w) 0..1 of a shell or a tail: wedges of shade that open towards the tips, each of its own length."""
    edge = np.round(across)
    near = np.abs(across - edge)  # 0 in the groove, 0.5 on a lock's middle
    chance = _scatter(edge)
    start = 0.26 + 0.26 * chance
    wedge = np.clip((along - start) / (1 - start), 0, 1)
    wide = 0.24 * wedge**1.25
    tone = step(wide + 0.012, wide - 0.012, near) * step(0.0, 0.06, wedge)
    fine = 0.62 * step(0.045 * wedge**0.5 + 0.006, 0.0, near) * step(0.0, 0.12, wedge)
    # strands that part at the root
    root = np.clip(1 - along / (0.20 + 0.16 * _scatter(edge + 7)), 0, 1)
    tone = np.maximum(tone, 0.7 * step(0.16 * root + 0.012, 0.16 * root - 0.012, near) * step(0.0, 0.1, root))
    number = np.floor(across)
    level = y - 0.785 if shell else (0.24 - along) * 1.2
    return tone, fine, _glint((across - number - 0.5) / 0.44, level, 0.70 + 0.30 * _scatter(number + 0.5))


def _glint(u: np.ndarray, level: np.ndarray, size: np.ndarray | float) -> np.ndarray:
    """One lock's piece of the highlight band (h, w) 0..1: round above, two points below. ``u`` -1..1 across, ``level`` head units over its middle."""
    u = np.clip(u, -1, 1)
    up = 0.030 * size * np.sqrt(1 - u * u)
    points = 1 - np.abs(2 * np.abs(u) - 1)
    down = 0.046 * size * (0.30 * np.sqrt(1 - u * u) + 0.70 * points)
    return step(0.0, 0.007, np.minimum(up - level, down + level))


def _gathered(pos: np.ndarray, y: np.ndarray, tie: tuple[float, float, float]) -> tuple[np.ndarray, ...]:
    """Shade, line and highlight of hair that is combed to a ``tie`` (head units, left side): strands run together there, parted at the back."""
    p = np.stack([np.abs(pos[..., 0]) / 0.40, y, pos[..., 2] / 0.40], -1)
    pair = tie[0] > 0
    if not pair:
        p[..., 0] = pos[..., 0] / 0.40
    knot = np.array(tie)
    out = knot - np.array([0.0, 0.45, 0.0])
    out /= np.linalg.norm(out)
    side = np.cross(out, [0.0, 0.0, 1.0] if pair else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(out, side)
    d = (p - knot).astype(np.float32)
    turn = np.arctan2(d @ side, d @ other) / (2 * np.pi) * 16  # 16 strands around the tie
    far = np.sqrt((d * d).sum(-1))
    edge = np.round(turn)
    near = np.abs(turn - edge)
    reach = 0.50 + 0.55 * _scatter(edge)
    left = np.clip(1 - far / reach, 0, 1)
    wide = 0.24 * left
    tone = 0.75 * step(wide + 0.035, wide - 0.035, near) * step(0.0, 0.20, left)
    fine = np.zeros_like(far)
    tone = np.maximum(tone, 0.85 * step(0.19, 0.13, far))
    if pair:
        behind = step(0.05, -0.05, p[..., 2])
        tone = np.maximum(tone, 0.8 * step(0.022, 0.010, p[..., 0]) * behind)
        fine = np.maximum(fine, 0.4 * step(0.011, 0.002, p[..., 0]) * behind)
    around = np.arctan2(p[..., 0], p[..., 2]) / (2 * np.pi) * 12
    number = np.floor(around)
    return tone, fine, _glint((around - number - 0.5) / 0.46, y - 0.785, 0.72 + 0.28 * _scatter(number + 0.5))


def _one_lock(a: np.ndarray, along: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Shade, line and highlight of a single lock, ``a`` 0..1 around it with its ridge at 0.5: shaded on the side away from the light."""
    reach = 0.17 - 0.07 * along
    tone = np.maximum(step(0.5 + reach - 0.008, 0.5 + reach + 0.008, a), step(0.262, 0.246, a)) * step(
        0.02, 0.20, along
    )
    line = 0.010 * step(0.28, 0.55, along) * step(1.0, 0.72, along)
    fine = 0.55 * step(line + 0.004, line - 0.004, np.abs(a - 0.45 - 0.04 * along)) * (line > 0.001)
    return tone, fine, _glint((a - 0.5) / 0.27, y - 0.785, 1.0)


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
