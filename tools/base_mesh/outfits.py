"""The wardrobe: tops, bottoms, neckwear, legwear and shoes that outfits are put together from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import body
from .loft import Piece, smoothstep
from .tailor import Tailor

SNUG = [(0.20, 0.012), (0.34, 0.009), (0.46, 0.009), (0.53, 0.011), (0.58, 0.008)]
LOOSE = [(0.20, 0.022), (0.30, 0.018), (0.46, 0.016), (0.53, 0.014), (0.58, 0.008)]


def _torso(t: Tailor, hem: float, ease=SNUG, **options) -> None:
    t.torso(0.572, hem, ease, **options)
    t.hide("trunk", max(hem, 0.23) + 0.010, 0.560)


# ------------------------------------------------------------------ tops


def top_tshirt(t: Tailor) -> None:
    _torso(t, 0.262, SNUG)
    t.sleeve(0.142, [(0.05, 0.010), (0.14, 0.017)])
    t.neckline(2)


def top_shirt(t: Tailor) -> None:
    _torso(t, 0.275, SNUG)
    t.sleeve(0.250, [(0.05, 0.010), (0.16, 0.012), (0.25, 0.011)], cuff=(0.022, 2))
    t.collar(zone=2)
    t.buttons([0.500, 0.455, 0.410, 0.365, 0.320], ease=0.011, size=0.0075)


def top_hoodie(t: Tailor) -> None:
    t.torso(0.572, 0.252, LOOSE)
    t.hide("trunk", 0.265, 0.560)
    t.band(0.262, 0.034, 0.016, 2)
    t.sleeve(0.262, [(0.05, 0.012), (0.15, 0.019), (0.24, 0.018), (0.262, 0.010)], cuff=(0.026, 2))
    t.hood(1)
    pocket = [t.front(0.0, 0.372, 0.017), t.front(0.0, 0.335, 0.020), t.front(0.0, 0.298, 0.021)]
    t.slab(pocket, [(0, 0.078), (0.4, 0.118), (1, 0.124)], 0.006, 2, stations=5)
    for x in (0.026,):
        cord = [(x, 0.535, 0.072), (x * 1.1, 0.500, 0.086), (x * 1.05, 0.465, 0.092)]
        t.slab(cord, 0.010, 0.005, "detail", pair=True, stations=5, around=6)
        t.ball((x * 1.05, 0.458, 0.093), (0.0068, 0.0095, 0.0068), pair=True, size=5)


def top_sweater(t: Tailor) -> None:
    t.torso(0.572, 0.258, [(0.2, 0.019), (0.34, 0.016), (0.46, 0.014), (0.58, 0.010)])
    t.hide("trunk", 0.270, 0.565)
    t.band(0.266, 0.030, 0.015, 2)
    t.sleeve(0.258, [(0.05, 0.011), (0.15, 0.017), (0.23, 0.016), (0.258, 0.010)], cuff=(0.026, 2))
    ys = np.array([0.556, 0.566, 0.580, 0.592, 0.596])
    w = np.array([0.052, 0.056, 0.057, 0.056, 0.046])
    t.piece.add(
        body.ring(ys[::-1], w[::-1], w[::-1] * 0.86, -w[::-1] * 1.06, 2 * t.n(11)),
        t.zone(2),
        body.trunk_weights,
        wrap=True,
    )


def top_sailor(t: Tailor) -> None:
    _torso(t, 0.285, SNUG)
    t.sleeve(0.150, [(0.05, 0.011), (0.10, 0.020), (0.15, 0.017)], cuff=(0.018, 2))
    back = [(0.0, 0.578, -0.052), (0.0, 0.556, -0.076), (0.0, 0.500, -0.089), (0.0, 0.440, -0.092)]
    t.slab(back, [(0, 0.085), (0.25, 0.165), (1, 0.185)], 0.006, 2, out=(0, 0.3, -1), stations=7, around=12)
    front = [
        (0.046, 0.577, -0.030),
        (0.066, 0.566, 0.014),
        (0.052, 0.520, 0.066),
        (0.018, 0.455, 0.087),
        (0.003, 0.425, 0.091),
    ]
    out = [(0.4, 1, -0.2), (0.8, 0.8, 0.4), (0.5, 0.3, 1), (0.2, 0.1, 1), (0, 0, 1)]
    t.slab(front, [(0, 0.045), (0.3, 0.060), (0.7, 0.046), (1, 0.010)], 0.006, 2, out=out, pair=True, stations=10)
    t.bow((0.0, 0.418, 0.097), 0.046, 3)


def _jacket(t: Tailor, hem: float, buttons: tuple[float, ...], cuff: tuple[float, int] | None = None) -> None:
    t.torso(0.570, hem, [(0.2, 0.024), (0.30, 0.020), (0.42, 0.018), (0.53, 0.016), (0.58, 0.009)], roll=0.012)
    t.hide("trunk", max(hem, 0.232) + 0.012, 0.560)
    t.sleeve(0.252, [(0.05, 0.014), (0.15, 0.018), (0.252, 0.016)], cuff=cuff)
    shirt = [
        t.front(0.0, 0.574, 0.013),
        t.front(0.0, 0.548, 0.017),
        t.front(0.0, 0.500, 0.0195),
        t.front(0.0, 0.440, 0.0200),
        t.front(0.0, 0.395, 0.0190),
    ]
    t.slab(shirt, [(0, 0.076), (0.15, 0.070), (0.45, 0.058), (0.79, 0.024), (1, 0.003)], 0.004, 2, stations=9)
    lapel = [
        (0.050, 0.572, -0.028),
        (0.060, 0.558, 0.030),
        (0.050, 0.505, 0.074),
        (0.024, 0.435, 0.099),
        (0.004, 0.385, 0.106),
    ]
    out = [(0.5, 1, -0.3), (0.7, 0.7, 0.6), (0.5, 0.2, 1), (0.2, 0, 1), (0, 0, 1)]
    t.slab(
        lapel,
        [(0, 0.022), (0.35, 0.034), (0.55, 0.042), (0.62, 0.030), (1, 0.006)],
        0.006,
        1,
        out=out,
        pair=True,
        stations=12,
    )
    t.collar(height=0.020, spread=0.018, zone=2, drop=0.004)
    for y in buttons:
        t.ball(t.front(0.0, y, 0.026), (0.0088, 0.0088, 0.005), size=5)
    t.slab(
        [t.front(0.060, 0.475, 0.021), t.front(0.060, 0.462, 0.022), t.front(0.060, 0.450, 0.022)],
        0.036,
        0.004,
        3,
        stations=4,
    )


def top_blazer(t: Tailor) -> None:
    _jacket(t, 0.248, (0.365, 0.320), cuff=(0.020, 3))


def top_suit(t: Tailor) -> None:
    _jacket(t, 0.225, (0.360, 0.305))


def top_dress(t: Tailor) -> None:
    _torso(t, 0.345, SNUG)
    t.sleeve(0.128, [(0.05, 0.014), (0.09, 0.032), (0.128, 0.014)], cuff=(0.014, 2))
    path = [
        (0.0, 0.574, -0.058),
        (0.042, 0.572, -0.042),
        (0.062, 0.562, -0.002),
        (0.052, 0.550, 0.040),
        (0.0, 0.535, 0.068),
    ]
    t.slab(
        path,
        [(0, 0.040), (0.5, 0.046), (0.9, 0.040), (1, 0.024)],
        0.006,
        2,
        out=[(0, 0.6, -1), (0.8, 0.7, -0.6), (1, 0.8, 0.1), (0.6, 0.7, 0.9), (0, 0.5, 1)],
        pair=True,
        stations=10,
    )
    t.band(0.352, 0.026, 0.013, 2)
    t.bow((0.0, 0.530, 0.076), 0.036, 3)
    t.bow((0.0, 0.352, -0.096), 0.062, 2, out=(0.0, 0.0, -1.0))


def top_overalls_shirt(t: Tailor) -> None:
    _torso(t, 0.300, [(0.20, 0.002), (0.34, 0.004), (0.40, 0.009), (0.53, 0.011), (0.58, 0.008)])
    t.sleeve(0.150, [(0.05, 0.010), (0.15, 0.016)], cuff=(0.016, 2))
    t.neckline(2)


def _crossed(t: Tailor, width: float, low: float, zone: int) -> None:
    """The two bands of a crossed collar, the left one over the right."""
    for side, off in ((1.0, 0.0035), (-1.0, 0.0)):
        path = [
            (0.0, 0.580, -0.058),
            (side * 0.046, 0.576, -0.034),
            (side * 0.062, 0.560, 0.018),
            (side * 0.034, 0.500, 0.078 + off),
            (-side * 0.018, low + 0.02, 0.098 + off),
            (-side * 0.046, low - 0.03, 0.098 + off),
        ]
        out = [
            (0, 0.4, -1),
            (side * 0.8, 0.6, -0.4),
            (side * 0.8, 0.6, 0.5),
            (side * 0.3, 0.2, 1),
            (0, 0, 1),
            (-side * 0.4, 0, 1),
        ]
        t.slab(path, width, 0.006, zone, out=out, stations=14)


def top_hanfu(t: Tailor) -> None:
    t.torso(0.572, 0.330, SNUG)
    t.hide("trunk", 0.345, 0.562)
    t.sleeve(0.272, [(0.05, 0.012), (0.15, 0.020), (0.272, 0.030)], drop=0.046, tall=2.15, cuff=(0.020, 2))
    _crossed(t, 0.026, 0.425, 2)


def top_kimono(t: Tailor) -> None:
    t.torso(0.572, 0.300, SNUG)
    t.hide("trunk", 0.315, 0.562)
    t.sleeve(0.268, [(0.05, 0.012), (0.12, 0.018), (0.268, 0.022)], drop=0.064, tall=2.7, cuff=(0.012, 2))
    _crossed(t, 0.028, 0.430, 2)
    t.band(0.378, 0.078, 0.020, 3)
    t.band(0.378, 0.016, 0.026, 2)
    t.slab(
        [(0.0, 0.425, -0.112), (0.0, 0.380, -0.122), (0.0, 0.335, -0.116)],
        [(0, 0.130), (0.5, 0.105), (1, 0.130)],
        0.022,
        3,
        out=(0, 0, -1),
        stations=6,
        around=12,
    )


def top_qipao(t: Tailor) -> None:
    _torso(t, 0.300, [(0.2, 0.008), (0.34, 0.007), (0.58, 0.007)])
    t.sleeve(0.112, [(0.05, 0.009), (0.112, 0.013)], cuff=(0.010, 2))
    ys = np.array([0.598, 0.594, 0.578, 0.562])
    w = np.array([0.044, 0.049, 0.051, 0.053])
    t.piece.add(body.ring(ys, w, w * 0.84, -w * 1.06, 2 * t.n(11)), t.zone(2), body.trunk_weights, wrap=True)
    t.slab(
        [(0.004, 0.558, 0.047), (0.030, 0.530, 0.066), (0.062, 0.505, 0.052)],
        0.010,
        0.005,
        2,
        out=[(0, 0.2, 1), (0.2, 0.2, 1), (0.7, 0.1, 0.8)],
        stations=7,
    )
    for c in ((0.014, 0.546, 0.058), (0.050, 0.515, 0.062)):
        t.ball(c, (0.0085, 0.0085, 0.006), size=5)


def top_raincoat(t: Tailor) -> None:
    t.torso(
        0.574,
        0.165,
        [(0.15, 0.062), (0.24, 0.040), (0.34, 0.026), (0.46, 0.018), (0.58, 0.009)],
        roll=0.014,
        weights=_coat_weights,
        rows=19,
    )
    t.hide("trunk", 0.200, 0.562)
    t.hide("leg", 0.235, 1.0)
    t.sleeve(0.250, [(0.05, 0.014), (0.15, 0.022), (0.250, 0.026)], cuff=(0.020, 2))
    t.hood(1)
    t.slab(
        [t.front(0.0, 0.535, 0.014), t.front(0.0, 0.40, 0.023), t.front(0.0, 0.28, 0.034), (0.0, 0.185, 0.143)],
        0.026,
        0.005,
        2,
        stations=9,
    )
    for y, e in ((0.500, 0.024), (0.425, 0.028), (0.350, 0.034)):
        t.ball(t.front(0.0, y, e), (0.011, 0.011, 0.006), size=5)
    t.slab(
        [(0.078, 0.315, 0.098), (0.080, 0.298, 0.102), (0.082, 0.270, 0.108)],
        0.058,
        0.006,
        1,
        out=(0.5, 0, 1),
        pair=True,
        stations=4,
    )
    t.slab(
        [(0.078, 0.322, 0.098), (0.079, 0.312, 0.101), (0.079, 0.304, 0.102)],
        0.064,
        0.009,
        2,
        out=(0.5, 0, 1),
        pair=True,
        stations=4,
    )


def _coat_weights(p: np.ndarray) -> dict[str, np.ndarray]:
    """Trunk above, skirt below."""
    mix = smoothstep(0.32, 0.25, p[:, 1])
    out: dict[str, np.ndarray] = {}
    for table, share in ((body.trunk_weights(p), 1 - mix), (body.skirt_weights(p), mix)):
        for bone, w in table.items():
            out[bone] = out.get(bone, 0.0) + w * share
    return out


def top_space_suit(t: Tailor) -> None:
    t.torso(0.570, 0.240, [(0.2, 0.024), (0.34, 0.026), (0.46, 0.026), (0.53, 0.022), (0.58, 0.010)])
    t.hide("trunk", 0.250, 0.566)
    t.sleeve(0.252, [(0.05, 0.022), (0.11, 0.026), (0.165, 0.017), (0.21, 0.024), (0.252, 0.012)], cuff=(0.020, 2))
    a = np.linspace(-np.pi, np.pi, 2 * t.n(12) + 1)
    a = (a - a[::-1]) / 2
    path = np.stack([0.078 * np.sin(a), 0.574 - 0.006 * np.cos(a), -0.006 + 0.072 * np.cos(a)], -1)
    path[[0, -1], 0] = 0
    from .tailor import _ring_tube

    t.piece.add(_ring_tube(path, 0.015, 0.015, t.n(8, 6)), t.zone(2), body.trunk_weights, wrap=True)
    t.slab(
        [t.front(0.0, 0.490, 0.030), t.front(0.0, 0.455, 0.034), t.front(0.0, 0.420, 0.034)],
        0.082,
        0.011,
        3,
        stations=5,
        around=12,
    )
    for x in (-0.024, 0.0, 0.024):
        t.ball((x, 0.470, 0.112), (0.0075, 0.0075, 0.005), size=5)
    t.band(0.300, 0.030, 0.030, 2)
    pack = [(0.0, 0.530, -0.104), (0.0, 0.450, -0.122), (0.0, 0.360, -0.112)]
    t.slab(pack, [(0, 0.120), (0.5, 0.140), (1, 0.118)], 0.030, 2, out=(0, 0, -1), stations=7, around=14)
    palm = _glove(t)
    t.mirror(
        t.piece.add(palm, t.zone(1), "leftHand", wrap=True),
        t.slab(
            [(0.272, 0.524, 0.010), (0.290, 0.523, 0.040), (0.312, 0.522, 0.052)],
            [(0, 0.036), (0.6, 0.034), (1, 0.016)],
            0.015,
            1,
            out=(0, 1, 0),
            weights="leftHand",
            stations=6,
        ),
    )
    t.hide("hand", 0.0, 1.0)


def _glove(t: Tailor) -> np.ndarray:
    g = body._palm(t.n)
    axis = g[:, :-1].mean(1, keepdims=True)
    return axis + (g - axis) * 1.16 + np.array([0.002, 0.0, 0.0])


# ------------------------------------------------------------------ bottoms


def bottom_shorts(t: Tailor) -> None:
    t.legs(0.180, [(0.17, 0.014), (0.24, 0.011), (0.30, 0.006)], cuff=(0.018, 2))


def bottom_trousers(t: Tailor) -> None:
    t.legs(0.046, [(0.04, 0.017), (0.12, 0.014), (0.22, 0.012), (0.30, 0.006)])


def bottom_wide_trousers(t: Tailor) -> None:
    t.legs(0.060, [(0.04, 0.030), (0.14, 0.024), (0.24, 0.014), (0.30, 0.006)], cuff=(0.022, 2))


def bottom_pleated_skirt(t: Tailor) -> None:
    t.skirt(0.348, 0.190, 0.082, pleats=18, depth=0.0072, band=2, trim=0.024, shape=1.0)


def bottom_flared_skirt(t: Tailor) -> None:
    t.skirt(0.355, 0.172, 0.105, pleats=12, depth=0.0060, trim=0.030, shape=0.85)


def bottom_long_skirt(t: Tailor) -> None:
    t.skirt(0.430, 0.052, 0.110, pleats=16, depth=0.0068, trim=0.034, shape=1.1)
    t.band(0.424, 0.046, 0.017, 2)
    t.slab(
        [(0.0, 0.424, 0.100), (0.010, 0.34, 0.118), (0.012, 0.20, 0.142)],
        [(0, 0.018), (1, 0.026)],
        0.005,
        2,
        stations=8,
    )
    t.bow((0.0, 0.424, 0.103), 0.030, 2, tails=False)


def bottom_robe_skirt(t: Tailor) -> None:
    t.skirt(0.345, 0.050, 0.036, trim=0.0, shape=0.9)
    flap = [(0.020, 0.335, 0.112), (0.026, 0.20, 0.126), (0.032, 0.062, 0.133)]
    t.slab(flap, 0.012, 0.004, 2, stations=8, weights=body.skirt_weights)


def bottom_qipao_skirt(t: Tailor) -> None:
    t.skirt(0.330, 0.120, 0.026, trim=0.018, shape=1.2)
    for y, w in ((0.20, 0.016),):
        slit = [(0.132, 0.235, 0.012), (0.140, y - 0.02, 0.014), (0.146, 0.128, 0.015)]
        t.slab(slit, w * 0.7, 0.004, 2, out=(1, 0, 0.15), pair=True, stations=6, weights=body.skirt_weights)


def bottom_overalls(t: Tailor) -> None:
    t.legs(0.062, [(0.04, 0.022), (0.14, 0.020), (0.24, 0.016), (0.30, 0.008)], waist=0.352, cuff=(0.020, 2))
    t.band(0.345, 0.022, 0.015, 1)
    bib = [t.front(0.0, 0.345, 0.016), t.front(0.0, 0.41, 0.019), t.front(0.0, 0.470, 0.018)]
    t.slab(bib, [(0, 0.150), (0.5, 0.124), (1, 0.108)], 0.006, 1, stations=7, around=12)
    t.slab(
        [t.front(0.0, 0.442, 0.025), t.front(0.0, 0.418, 0.027), t.front(0.0, 0.390, 0.028)],
        0.056,
        0.004,
        2,
        stations=4,
    )
    strap = [
        (0.044, 0.458, 0.083),
        (0.056, 0.520, 0.070),
        (0.062, 0.566, 0.006),
        (0.054, 0.530, -0.066),
        (0.030, 0.44, -0.088),
        (0.020, 0.350, -0.094),
    ]
    out = [(0.2, 0, 1), (0.3, 0.4, 0.9), (0.2, 1, 0), (0.2, 0.4, -0.9), (0, 0, -1), (0, 0, -1)]
    t.slab(strap, 0.024, 0.005, 1, out=out, pair=True, stations=15)
    t.ball((0.045, 0.460, 0.092), (0.0095, 0.0095, 0.005), pair=True, size=5)


def bottom_space_suit(t: Tailor) -> None:
    t.legs(0.075, [(0.06, 0.016), (0.11, 0.028), (0.155, 0.016), (0.21, 0.026), (0.30, 0.010)], cuff=(0.018, 2))


# ------------------------------------------------------------------ neck, legs, feet


def neck_tie(t: Tailor) -> None:
    z = 0.026
    t.ball(t.front(0.0, 0.528, z), (0.0125, 0.0125, 0.009), t.zone(1), size=5)
    t.slab(
        [t.front(0.0, 0.520, z), t.front(0.0, 0.470, z), t.front(0.0, 0.420, z), t.front(0.0, 0.392, z - 0.001)],
        [(0, 0.013), (0.75, 0.034), (1, 0.004)],
        0.005,
        1,
        stations=8,
    )


def neck_bow(t: Tailor) -> None:
    t.bow(t.front(0.0, 0.532, 0.026), 0.042, 1)


def neck_scarf(t: Tailor) -> None:
    a = np.linspace(-np.pi, np.pi, 2 * t.n(13) + 1)
    a = (a - a[::-1]) / 2
    path = np.stack([0.068 * np.sin(a), 0.572 - 0.010 * np.cos(a), -0.006 + 0.066 * np.cos(a)], -1)
    path[[0, -1], 0] = 0
    from .tailor import _ring_tube

    t.piece.add(_ring_tube(path, 0.024, 0.023, t.n(9, 7)), t.zone(1), body.trunk_weights, wrap=True)
    tail = [(0.034, 0.560, 0.068), (0.044, 0.500, 0.104), (0.048, 0.430, 0.116), (0.050, 0.375, 0.118)]
    t.slab(tail, [(0, 0.036), (0.3, 0.046), (1, 0.052)], 0.010, 1, stations=9)
    t.slab([(0.050, 0.392, 0.1175), (0.0505, 0.378, 0.1180), (0.051, 0.366, 0.1175)], 0.056, 0.012, 2, stations=4)


def legwear_socks(t: Tailor) -> None:
    t.sock(0.092)


def legwear_knee_socks(t: Tailor) -> None:
    t.sock(0.168)


def legwear_tights(t: Tailor) -> None:
    t.sock(0.292, cuff=False)


def _shoes(kind: str) -> Callable[[Tailor], None]:
    return lambda t: t.shoes(kind)


GARMENTS: dict[str, Callable[[Tailor], None]] = {
    name: f
    for name, f in globals().items()
    if name.split("_")[0] in ("top", "bottom", "neck", "legwear") and callable(f)
} | {f"shoes_{kind}": _shoes(kind) for kind in ("sneakers", "loafers", "mary_janes", "boots", "rain_boots")}


def build_outfits(level: int) -> list[Piece]:
    """Every garment at triangle preset ``level``."""
    out = []
    for name, make in GARMENTS.items():
        t = Tailor(name, level)
        make(t)
        out.append(t.piece)
    return out
