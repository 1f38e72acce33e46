"""The head: a keyed surface of rows and angles, the face grid on it, and the morphs that move its painted eyes and mouth.

Head units: chin at y = 0, top of the skull at y = 1, face towards +z. ``to_world`` puts it on the 2.5-head figure.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from .loft import Piece, keyed, smoothstep, tube

HEAD = 0.40  # metres from chin to the top of the skull
CHIN = 0.60  # metres, chin height of the canonical 2.5-head figure

# s, y at the front, y at the back, half width, front depth, back depth
ROWS = np.array([
    (0.00, 0.055, 0.085, 0.100, 0.060, -0.130),
    (0.05, 0.020, 0.085, 0.150, 0.150, -0.190),
    (0.10, -0.002, 0.095, 0.195, 0.258, -0.255),
    (0.15, 0.012, 0.120, 0.255, 0.340, -0.315),
    (0.21, 0.060, 0.165, 0.335, 0.402, -0.375),
    (0.29, 0.145, 0.230, 0.425, 0.437, -0.430),
    (0.38, 0.250, 0.310, 0.482, 0.450, -0.466),
    (0.48, 0.370, 0.410, 0.498, 0.448, -0.488),
    (0.58, 0.500, 0.520, 0.500, 0.452, -0.494),
    (0.68, 0.630, 0.635, 0.478, 0.456, -0.474),
    (0.78, 0.755, 0.750, 0.426, 0.420, -0.424),
    (0.87, 0.870, 0.860, 0.334, 0.330, -0.334),
    (0.94, 0.950, 0.942, 0.212, 0.212, -0.212),
    (0.98, 0.990, 0.986, 0.105, 0.106, -0.106),
    (1.00, 1.000, 1.000, 0.000, 0.000, -0.000),
])  # fmt: skip
_CURVES = CubicSpline(ROWS[:, 0], ROWS[:, 1:], axis=0, bc_type="natural")

EYE = (0.224, 0.412)  # centre of the left eye in face coordinates
EYE_HALF = (0.124, 0.152)  # half width, half height of the painted eye
BROW_Y = 0.655
SHAPES = ("oval", "heart", "square")  # against round
MOUTH = (0.0, 0.195)
MOUTH_HALF = (0.082, 0.062)  # the open mouth that the texture holds


def to_world(p: np.ndarray) -> np.ndarray:
    """Head units to metres on the canonical figure."""
    return np.asarray(p, float) * HEAD + np.array([0.0, CHIN, 0.0])


def _row(s: np.ndarray) -> np.ndarray:
    return _CURVES(np.clip(s, 0, 1))


def surface(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The skin at row parameter ``s`` (0 neck, 1 crown) and angle ``t`` (0 front, pi/2 left, pi back); head units."""
    s, t = np.broadcast_arrays(np.asarray(s, float), np.asarray(t, float))
    yf, yb, w, zf, zb = np.moveaxis(_row(s), -1, 0)
    c, sn = np.cos(t), np.sin(t)
    back = (1 - c) / 2
    y = yf + (yb - yf) * back * back * (3 - 2 * back)
    e = 0.94  # a touch fuller than an ellipse
    x = np.maximum(w, 0) * np.sign(sn) * np.abs(sn) ** e
    z = np.where(c > 0, np.maximum(zf, 0) * np.abs(c) ** e, zb * np.abs(c) ** e)
    # soft features of the profile: cheeks, the hollow of the eyes, a dot of a nose, a small chin
    a = np.abs(np.arctan2(np.sin(t), np.cos(t)))

    def bump(at: float, ay: float, ra: float, ry: float) -> np.ndarray:
        return np.exp(-(((a - at) / ra) ** 2) - ((y - ay) / ry) ** 2)

    push = (
        0.034 * bump(0.74, 0.205, 0.40, 0.12)
        - 0.026 * bump(0.52, 0.430, 0.34, 0.15)
        - 0.014 * bump(0.0, 0.455, 0.16, 0.09)
        + 0.036 * bump(0.0, 0.312, 0.080, 0.036)
        + 0.014 * bump(0.0, 0.200, 0.24, 0.045)
        + 0.022 * bump(0.0, 0.045, 0.22, 0.05)
        - 0.014 * bump(0.0, 0.112, 0.24, 0.034)
        + 0.020 * bump(0.0, 0.690, 0.80, 0.13)
    )
    return np.stack([x + push * np.sin(t), y, z + push * np.cos(t)], -1)


def normal(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Outward unit normal of :func:`surface` by central differences; +y at the crown."""
    h = 1e-3
    ds = surface(np.minimum(s + h, 1.0), t) - surface(np.maximum(s - h, 0.0), t)
    dt = surface(s, t + h) - surface(s, t - h)
    n = np.cross(dt, ds)
    length = np.linalg.norm(n, axis=-1, keepdims=True)
    up = np.zeros_like(n)
    up[..., 1] = 1
    return np.where(length > 1e-9, n / np.maximum(length, 1e-12), up)


def at(s: np.ndarray, t: np.ndarray, offset: np.ndarray | float) -> np.ndarray:
    """A point ``offset`` head units outside the skin."""
    return surface(s, t) + normal(s, t) * np.asarray(offset, float)[..., None]


_S = np.linspace(0.0, 1.0, 2001)


def row_at(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The row parameter whose height at angle ``t`` is ``y`` (above the jaw's lowest point)."""
    y, t = np.broadcast_arrays(np.asarray(y, float), np.asarray(t, float))
    out = np.empty(y.shape)
    for i in np.ndindex(y.shape):
        h = surface(_S, np.full_like(_S, t[i]))[:, 1]
        low = int(np.argmin(h))
        out[i] = np.interp(y[i], np.maximum.accumulate(h[low:]), _S[low:])
    return out


def shaped(p: np.ndarray, shape: str) -> np.ndarray:
    """Head shapes as displacements of head-unit points: oval, heart and square against round. Hair above is untouched."""
    x, y = p[..., 0], p[..., 1]
    low = smoothstep(0.42, 0.04, y)
    d = np.zeros_like(p)
    if shape == "oval":
        d[..., 0] = -0.085 * x * smoothstep(0.5, 0.1, y) - 0.10 * x * low
        d[..., 1] = -0.030 * smoothstep(0.35, 0.0, y)
    elif shape == "heart":
        d[..., 0] = -0.26 * x * smoothstep(0.36, 0.0, y)
        d[..., 1] = -0.022 * smoothstep(0.25, 0.0, y) * np.exp(-((x / 0.16) ** 2))
    elif shape == "square":
        d[..., 0] = 0.11 * x * np.exp(-(((y - 0.10) / 0.11) ** 2))
        d[..., 1] = -0.012 * np.exp(-(((y - 0.02) / 0.06) ** 2))
    return d


# ---------------------------------------------------------------- face coordinates and morphs


def face_coordinates(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Painting coordinates: y is height; x is the front projection, stretched a third of the way to arc length at the sides."""
    arc = 0.49 * np.arctan2(np.sin(t), np.cos(t))
    return np.stack([p[..., 0] + 0.34 * (arc - p[..., 0]) * (np.abs(arc) > np.abs(p[..., 0])), p[..., 1]], -1)


def _squash(
    d: np.ndarray,
    below: np.ndarray,
    above: np.ndarray,
    keep: float,
    lash: np.ndarray | float,
    fall: tuple[float, float],
) -> np.ndarray:
    """Collapse -below..above to a line at 0 (thickness ``keep`` of it), keep a ``lash`` band at the top, restore over ``fall`` (below, above)."""
    lash = np.broadcast_to(np.asarray(lash, float), d.shape)
    inner_top = above - lash
    out = d.copy()
    inside = (d >= -below) & (d <= inner_top)
    out = np.where(inside, d * keep, out)
    band = (d > inner_top) & (d <= above)
    out = np.where(band, inner_top * keep + (d - inner_top) * 0.9, out)
    top = inner_top * keep + lash * 0.9
    down_by, up_by = fall
    ease_up = (d > above) & (d < above + up_by)
    out = np.where(ease_up, top + (d - above) / up_by * (above + up_by - top), out)
    ease_down = (d < -below) & (d > -below - down_by)
    out = np.where(ease_down, -below * keep + (d + below) / down_by * (below + down_by - below * keep), out)
    return out


def closed_mouth(f: np.ndarray, smile: float = 0.8, width: float = 0.92, keep: float = 0.0) -> np.ndarray:
    """Height offsets that close the painted mouth to a line; ``smile`` lifts the corners, ``keep`` leaves it partly open."""
    fx, d = f[..., 0] - MOUTH[0], f[..., 1] - MOUTH[1]
    # a little wider and taller than the painted mouth, so that the line tapers at the corners
    h = (MOUTH_HALF[1] + 0.0025) * np.sqrt(np.clip(1 - (fx / (MOUTH_HALF[0] + 0.018)) ** 2, 0, 1)) ** 0.9
    fall = 0.075
    line = smile * (0.020 * (fx / MOUTH_HALF[0]) ** 2 - 0.006)
    reach = smoothstep(1.5, 1.0, np.abs(fx) / MOUTH_HALF[0])
    near = smoothstep(MOUTH_HALF[1] + fall, MOUTH_HALF[1] * 0.6, np.abs(d))
    moved = np.where(h > 1e-6, _squash(d, h, h, max(keep, 0.004), 0.0, (fall, fall)), d)
    dy = (moved - d) * (h > 1e-6) + line * reach * near
    dx = -(1 - width) * fx * reach * near
    return np.stack([dx, dy], -1)


def eye_morph(f: np.ndarray, side: float, arc: float, level: float, keep: float = 0.003) -> np.ndarray:
    """Offsets (dx, dy) that close the eye on ``side`` (+1 left) to an arc: ``arc`` > 0 bows up (happy), < 0 hangs down.

    What lies inside the painted outline folds to a line; the lashes above it keep their thickness.
    """
    dx, d = f[..., 0] - side * EYE[0], f[..., 1] - EYE[1]
    u = np.abs(dx / EYE_HALF[0])
    outwards = dx * side > 0
    reach = np.where(outwards, smoothstep(1.55, 1.28, u), smoothstep(1.26, 1.06, u))  # the mouth is near
    # wider and squarer than the painted eye: where the fold ends steeply there is only skin, for neighbouring columns part there
    outline = EYE_HALF[1] * np.clip(1 - np.minimum(u / 1.30, 1) ** 3.2, 0.05, 1) ** (1 / 3.2)
    inner, below = outline * (0.955 + 0.06 * np.minimum(u, 1) ** 2) - 0.003, outline * 1.08 + 0.014
    top = outline * 1.24 + 0.009  # the lid's crease comes along
    line = level + arc * (1 - 1.4 * (u * EYE_HALF[0] / 0.140) ** 2)
    up, down = 0.020, 0.045
    moved = _squash(d, below, top, keep, top - inner, (down, up))
    inside = (d > -below) & (d < top)
    fade = np.where(inside, 1.0, np.where(d > 0, smoothstep(up, 0.0, d - top), smoothstep(down, 0.0, -below - d)))
    return np.stack([np.zeros_like(d), (moved - d + line * fade) * reach], -1)


def eye_scale(f: np.ndarray, side: float, sy: float, sx: float = 0.0) -> np.ndarray:
    """Grow (sy > 0) or narrow the eye about its centre, smoothly to nothing outside it."""
    dx, d = f[..., 0] - side * EYE[0], f[..., 1] - EYE[1]
    r = np.sqrt((dx / (EYE_HALF[0] * 1.70)) ** 2 + (d / (EYE_HALF[1] * 1.80)) ** 2)
    fade = smoothstep(1.0, 0.60, r)
    return np.stack([dx * sx * fade, d * sy * fade], -1)


def eye_shift(f: np.ndarray, side: float, dx: float, dy: float) -> np.ndarray:
    """Move iris and pupil inside the eye; the outline stays."""
    u = (f[..., 0] - side * EYE[0]) / EYE_HALF[0]
    v = (f[..., 1] - EYE[1]) / EYE_HALF[1]
    fade = smoothstep(1.0, 0.25, np.sqrt(u * u + v * v))
    return np.stack([dx * fade, dy * fade], -1)


def brow_move(f: np.ndarray, side: float, lift: float, tilt: float) -> np.ndarray:
    """Lift a brow and tilt it; tilt > 0 raises the inner end (sad), < 0 lowers it (angry)."""
    x, d = side * f[..., 0] - EYE[0], f[..., 1] - BROW_Y
    fade = smoothstep(0.25, 0.13, np.abs(x)) * smoothstep(0.115, 0.035, np.abs(d))
    return np.stack([np.zeros_like(d), (lift - tilt * x / 0.12) * fade], -1)


def both_eyes(move, f: np.ndarray, *args) -> np.ndarray:
    """A one-sided move of eye or brow on both sides."""
    return move(f, 1.0, *args) + move(f, -1.0, *args)


def lid_morphs(f: np.ndarray) -> dict[str, np.ndarray]:
    """What the lids do in expressions that shut them, as (…, 2) offsets in face coordinates."""
    hanging, laughing = (-0.022, -0.072), (0.045, -0.040)
    return {
        "blinkLeft": eye_morph(f, 1.0, *hanging),
        "blinkRight": eye_morph(f, -1.0, *hanging),
        "blink": both_eyes(eye_morph, f, *hanging),
        "joyEyes": both_eyes(eye_morph, f, *laughing),
        "happy": both_eyes(eye_morph, f, *laughing),
    }


def face_morphs(f: np.ndarray) -> dict[str, np.ndarray]:
    """All other moves of expressions as (…, 2) offsets in face coordinates against the neutral face, whose mouth is closed."""
    rest = closed_mouth(f)

    def mouth(smile: float, width: float, keep: float) -> np.ndarray:
        return closed_mouth(f, smile, width, keep) - rest

    def both(move, *args) -> np.ndarray:
        return both_eyes(move, f, *args)

    return {
        "aa": mouth(0.35, 0.98, 0.92),
        "ih": mouth(0.55, 1.12, 0.36),
        "ou": mouth(0.0, 0.42, 0.42),
        "ee": mouth(0.75, 1.20, 0.24),
        "oh": mouth(0.0, 0.60, 0.72),
        "happy": mouth(0.75, 1.06, 0.80) + both(brow_move, 0.020, 0.0),
        "angry": both(brow_move, -0.030, -0.034) + both(eye_scale, -0.14) + mouth(-1.3, 0.80, 0.0),
        "sad": both(brow_move, 0.004, 0.034) + both(eye_scale, -0.12) + mouth(-1.1, 0.66, 0.0),
        "relaxed": both(eye_scale, -0.42) + both(brow_move, -0.008, 0.006) + mouth(0.9, 0.86, 0.0),
        "surprised": both(brow_move, 0.036, 0.0) + both(eye_scale, 0.10, 0.03) + mouth(0.0, 0.52, 0.62),
        "lookUp": both(eye_shift, 0.0, 0.042),
        "lookDown": both(eye_shift, 0.0, -0.042),
        "lookLeft": eye_shift(f, 1.0, 0.040, 0.0) + eye_shift(f, -1.0, 0.040, 0.0),
        "lookRight": eye_shift(f, 1.0, -0.040, 0.0) + eye_shift(f, -1.0, -0.040, 0.0),
        "smile": mouth(2.1, 1.22, 0.0)
        + both(brow_move, 0.012, 0.0),  # the eyes stay free: a wink is a smile and a blink
        "grin": mouth(0.85, 1.10, 0.62),
        "pout": mouth(-0.5, 0.42, 0.0) + both(brow_move, -0.012, -0.012),
        "worried": both(brow_move, 0.012, 0.030),
    }


def _lines(dense: list[tuple[float, float, int]]) -> np.ndarray:
    """Grid lines from (start, stop, cells) runs that touch."""
    parts = [np.linspace(a, b, n + 1)[:-1] for a, b, n in dense]
    return np.r_[np.concatenate(parts), dense[-1][1]]


def face_lines(level: int) -> tuple[np.ndarray, float]:
    """Half the angles of the face grid (0 to the ear) and the cell factor of triangle preset 0, 1 or 2."""
    k = (0.52, 0.88, 1.35)[level]

    def n(x: float) -> int:
        return max(1, round(x * k))

    # half the angles: 0 .. pi/2; the other half is the mirror image
    t = _lines([(0.0, 0.17, n(6)), (0.17, 0.86, n(12)), (0.86, 1.60, n(5))])
    return t, k


def lift(f_offset: np.ndarray, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """3D displacement of a (dx, dy) face offset: the point slides along the skin, near the middle of the face by just as much."""
    p = surface(s, t)
    return surface(*_slid(f_offset, s, t, p)) - p


def fold(f_offset: np.ndarray, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The same, exact everywhere, by Newton's method: what folds to a line at the side of the face is a line."""
    p = surface(s, t)
    wanted = face_coordinates(p, t) + f_offset
    s2, t2 = _slid(f_offset, s, t, p)

    def place(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return face_coordinates(surface(s, t), t)

    h = 1e-4
    for _ in range(4):
        miss = wanted - place(s2, t2)
        by_s = (place(s2 + h, t2) - place(s2 - h, t2)) / (2 * h)
        by_t = (place(s2, t2 + h) - place(s2, t2 - h)) / (2 * h)
        area = by_s[..., 0] * by_t[..., 1] - by_s[..., 1] * by_t[..., 0]
        good = np.abs(area) > 1e-4
        area = np.where(good, area, 1.0)
        step_s = (miss[..., 0] * by_t[..., 1] - miss[..., 1] * by_t[..., 0]) / area
        step_t = (by_s[..., 0] * miss[..., 1] - by_s[..., 1] * miss[..., 0]) / area
        s2 = np.clip(s2 + np.where(good, np.clip(step_s, -0.05, 0.05), 0), 0, 1)
        t2 = t2 + np.where(good, np.clip(step_t, -0.05, 0.05), 0)
    return np.where((f_offset != 0).any(-1, keepdims=True), surface(s2, t2) - p, 0.0)


def _slid(f_offset: np.ndarray, s: np.ndarray, t: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and angle of the points ``p`` after an offset: same direction from the axis, new height; radius from the surface there."""
    y2 = p[..., 1] + f_offset[..., 1]
    front = surface(_S, np.zeros_like(_S))
    low = int(np.argmin(front[:, 1]))
    s2 = s + np.interp(y2, front[low:, 1], _S[low:]) - np.interp(p[..., 1], front[low:, 1], _S[low:])
    scale = np.maximum(np.hypot(p[..., 0], p[..., 2]), 0.2)
    t2 = t + f_offset[..., 0] / scale / np.maximum(np.cos(t), 0.35)
    return np.clip(s2, 0, 1), t2


def build_head(level: int) -> Piece:
    """Face, back of the head and ears, with the expression and head-shape morphs."""
    half, k = face_lines(level)
    t = np.r_[-half[:0:-1], half]

    def n(x: float) -> int:
        return max(2, round(x * k))

    # rows by height at the front: jaw, mouth, nose, eye, brow, forehead, crown
    below = np.array([0.0, 0.05, 0.09, 0.125, 0.155])
    y = _lines(
        [(0.03, 0.125, n(3)), (0.125, 0.268, n(15)), (0.268, 0.585, n(15)), (0.585, 0.73, n(6)), (0.73, 0.97, n(5))]
    )
    front = surface(_S, np.zeros_like(_S))[:, 1]
    low = int(np.argmin(front))
    s = np.r_[below, np.interp(y, front[low:], _S[low:]), 1.0]
    S, T = np.meshgrid(s, t, indexing="ij")
    p = surface(S, T)
    f = face_coordinates(p, T)
    rest = lift(closed_mouth(f), S, T)
    piece = Piece("head", "face")
    arc_u = np.r_[0, np.cumsum(np.linalg.norm(np.diff(surface(np.full_like(t, 0.50), t), axis=0), axis=1))]
    arc_v = np.r_[0, np.cumsum(np.linalg.norm(np.diff(surface(s, np.zeros_like(s)), axis=0), axis=1))]
    u = np.broadcast_to(arc_u / arc_u[-1], S.shape)
    v = np.broadcast_to(1 - (arc_v / arc_v[-1])[:, None], S.shape)
    moves = {name: (lift(closed_mouth(f) + d, S, T) - rest) * HEAD for name, d in face_morphs(f).items()}
    for name, d in lid_morphs(f).items():
        moves[name] = moves.get(name, 0.0) + fold(d, S, T) * HEAD
    moves["shape_eye_tall"] = lift(both_eyes(eye_scale, f, 1.0), S, T) * HEAD
    moves |= {f"shape_{name}": shaped(p, name) * HEAD for name in SHAPES}
    hidden = smoothstep(0.84, 0.90, p[..., 1])
    piece.add(
        to_world(p + rest),
        "face",
        "head",
        attributes=f,
        uv=np.stack([u, v], -1),
        cover="hair",
        hidden=hidden,
        smooth="skin",
        morphs=moves,
    )

    tb = np.linspace(half[-1], 2 * np.pi - half[-1], 2 * n(7) + 1)
    SB, TB = np.meshgrid(s, tb, indexing="ij")
    pb = surface(SB, TB)
    pb[..., 0] = (pb[..., 0] - pb[:, ::-1, 0]) / 2  # exactly symmetric
    fb = np.stack([TB / np.pi, pb[..., 1]], -1)
    shapes = {f"shape_{name}": shaped(pb, name) * HEAD for name in SHAPES}
    hidden = smoothstep(0.22, 0.30, pb[..., 1])
    piece.add(
        to_world(pb),
        "scalp",
        "head",
        attributes=fb,
        density=0.45,
        cover="hair",
        hidden=hidden,
        smooth="skin",
        morphs=shapes,
    )

    ear = _ear(level)
    piece.mirrored([piece.add(to_world(ear), "ear", "head", wrap=True, density=0.8, cover="ear")])
    return piece


def _ear(level: int) -> np.ndarray:
    """The left ear: a flattened, cupped bean that leans back."""
    k = (7, 10, 14)[level]
    root = np.array([0.488, 0.375, -0.035])
    path = root + np.stack([keyed([(0, -0.03), (0.4, 0.035), (0.8, 0.062), (1, 0.066)], np.linspace(0, 1, k)),
                            np.linspace(0, 0.012, k), np.linspace(0, -0.028, k)], -1)  # fmt: skip
    r = keyed([(0, 0.55), (0.25, 0.9), (0.6, 1.0), (0.85, 0.75), (1.0, 0.02)], np.linspace(0, 1, k))
    return tube(path, 0.085 * r, 0.040 * r, up=(0, 0, 1), around=k + 2)
