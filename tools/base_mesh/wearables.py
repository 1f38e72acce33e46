"""Accessories as geometry: glasses, hats, animal ears, horns, halo, wings, tails, bow, headphones, backpack. Head units unless said otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .hair import chain_weights
from .head import to_world
from .loft import Chain, Piece, keyed, spline, tube
from .tailor import Tailor, _ring_tube


class Maker(Tailor):
    """A tailor for things on the head: points in head units, bound to the head bone."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(name, level, "accessory")
        self.slot = next(s for s in SLOTS if name.startswith(s))

    def put(self, points: np.ndarray, zone: int | str = 1, weights="head", pair: bool = False, **options):
        g = self.piece.add(to_world(points), zone if isinstance(zone, str) else self.zone(zone), weights, **options)
        if pair:
            self.mirror(g)
        return g

    def rod(
        self,
        path,
        radius,
        zone: int | str = 1,
        pair: bool = False,
        stations: int = 6,
        around: int = 7,
        flat: float = 1.0,
        up=(0, 1, 0),
        weights="head",
    ):
        """A round rod along a path, closed at both ends; ``radius`` a number or keys."""
        p = spline(path, self.n(stations, 3))
        s = np.linspace(0, 1, len(p))
        r = np.full(len(p), radius) if np.isscalar(radius) else keyed(radius, s)
        d = p[-1] - p[-2]
        e = p[1] - p[0]
        p = np.r_[p[:1] - e * 0.01, p, p[-1:] + d * 0.01]
        r = np.r_[0.0005, r, 0.0005]
        return self.put(tube(p, r, r * flat, up=up, around=self.n(around, 6)), zone, weights, pair, wrap=True)

    def ring(
        self,
        path: np.ndarray,
        width: float,
        depth: float,
        zone: int | str = 1,
        around: int = 7,
        pair: bool = False,
        weights="head",
    ):
        """A closed ring; ``path`` ends where it starts."""
        return self.put(_ring_tube(path, width, depth, self.n(around, 6)), zone, weights, pair, wrap=True)

    def turned(
        self,
        rows,
        centre,
        zone: int = 1,
        around: int = 20,
        squash: float = 1.0,
        lean: float = 0.0,
        pair: bool = False,
        close: bool = False,
    ):
        """A turned shape about a vertical axis: ``rows`` of (height, radius) from the top down; ``lean`` tilts it backwards."""
        r = np.asarray(rows, float)
        count = 2 * self.n(around / 2, 5)
        a = np.linspace(-np.pi, np.pi, count + 1)
        a = (a - a[::-1]) / 2
        x, z = np.sin(a), np.cos(a)
        x[[0, -1]] = 0
        p = np.stack([r[:, 1:2] * x, np.broadcast_to(r[:, 0:1], (len(r), count + 1)), r[:, 1:2] * z * squash], -1)
        c, s = np.cos(lean), np.sin(lean)
        p = p @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        return self.put(p + np.asarray(centre, float), zone, pair=pair, wrap=True)


def _eyeglass(m: Maker, square: bool) -> None:
    x, y, w, h = 0.232, 0.415, 0.150, 0.150
    count = m.n(26, 14)
    a = np.linspace(0, 2 * np.pi, count + 1)
    e = 0.55 if square else 1.0
    px = x + w * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** e
    py = y + (h * 0.80 if square else h) * np.sign(np.sin(a)) * np.abs(np.sin(a)) ** e
    z = 0.512 - 0.42 * np.maximum(px - 0.05, 0) ** 2
    path = np.stack([px, py, z], -1)
    t = np.gradient(path, axis=0)
    t[[0, -1]] = path[1] - path[-2]
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    out = np.array([0.0, 0.0, 1.0])
    side = np.cross(t, out)
    b = np.linspace(0, 2 * np.pi, m.n(7, 6) + 1)
    r = 0.0155
    m.put(
        path[:, None] + side[:, None] * (np.cos(b) * r)[None, :, None] + out * (np.sin(b) * r * 0.9)[None, :, None],
        1,
        pair=True,
        wrap=True,
    )
    m.rod([(-0.085, y + 0.045, 0.522), (0.0, y + 0.066, 0.532), (0.085, y + 0.045, 0.522)], 0.0125, stations=7)
    hinge = x + w * 0.985
    m.rod(
        [
            (hinge, y + 0.03, 0.512 - 0.42 * (hinge - 0.05) ** 2),
            (0.475, y + 0.035, 0.33),
            (0.535, y + 0.03, 0.14),
            (0.545, y + 0.02, -0.02),
        ],
        0.0115,
        pair=True,
        stations=8,
    )


def glasses_round(m: Maker) -> None:
    _eyeglass(m, False)


def glasses_square(m: Maker) -> None:
    _eyeglass(m, True)


def _dome(m: Maker, hem: float, rise: float, wide: float, zone: int = 1, back: float = 0.0, rows: int = 10) -> None:
    """A hat crown that fits over the hair: an oval dome down to height ``hem``."""
    s = np.linspace(0, 1, m.n(rows, 6))
    y = hem + rise * np.cos(s * np.pi / 2) ** 0.9
    r = wide * np.sin(s * np.pi / 2) ** 0.75
    p = np.stack([y, r], -1)
    p = np.r_[p, [[hem - 0.012, wide * 0.985], [hem + 0.01, wide * 0.93], [hem + 0.06, wide * 0.80]]]
    m.turned(p, (0, 0, -0.03 + back), zone, around=24, squash=0.97)


def hat_cap(m: Maker) -> None:
    _dome(m, 0.800, 0.355, 0.590)
    rows, cols = m.n(5, 4), m.n(14, 8)
    a = np.linspace(-1.10, 1.10, cols + 1)
    s = np.linspace(0, 1, rows + 1)[:, None]
    reach = 0.50 + 0.34 * s * np.cos(a * 0.92) ** 0.8
    top = np.stack(
        [reach * np.sin(a) * 1.02, 0.815 - 0.055 * s * np.cos(a) - 0.040 * s**2 + 0 * a, reach * np.cos(a) - 0.03], -1
    )
    low = top[::-1] - np.array([0, 0.028, 0])
    m.put(np.concatenate([top, low]), 2)
    m.turned([(1.175, 0.0), (1.172, 0.030), (1.155, 0.040), (1.135, 0.036)], (0, 0, -0.03), 2, around=10)


def hat_beanie(m: Maker) -> None:
    _dome(m, 0.790, 0.420, 0.585)
    y = np.array([0.90, 0.905, 0.860, 0.800, 0.760, 0.765])
    r = np.array([0.555, 0.615, 0.632, 0.630, 0.610, 0.560])
    m.turned(np.stack([y, r], -1), (0, 0, -0.03), 2, around=26, squash=0.97)
    m.put(_ball((0.0, 1.275, -0.03), 0.105, m), 3, wrap=True)


def _ball(centre, radius, m: Maker, size: int = 9) -> np.ndarray:
    lat = np.linspace(0, np.pi, m.n(size, 6) + 1)[:, None]
    lon = np.linspace(0, 2 * np.pi, m.n(size * 1.5, 9) + 1)[None]
    r = radius * (1 + 0.05 * np.cos(6 * lon) * np.sin(lat) ** 2)
    return np.stack(
        [r * np.sin(lat) * np.sin(lon), r * np.cos(lat) * np.ones_like(lon), r * np.sin(lat) * np.cos(lon)], -1
    ) + np.asarray(centre, float)


def hat_witch(m: Maker) -> None:
    rows = m.n(14, 9)
    s = np.linspace(0, 1, rows)
    r = keyed([(0, 0.002), (0.10, 0.050), (0.45, 0.19), (0.78, 0.40), (0.93, 0.53), (1, 0.565)], s)
    y = keyed([(0, 1.72), (0.12, 1.62), (0.45, 1.32), (0.8, 1.02), (1, 0.86)], s)
    bend = 0.26 * (1 - s) ** 1.8
    count = 2 * m.n(12, 7)
    a = np.linspace(-np.pi, np.pi, count + 1)
    p = np.stack(
        [
            r[:, None] * np.sin(a) + bend[:, None] * 0.7,
            y[:, None] - bend[:, None] * 0.35 + 0 * a,
            r[:, None] * np.cos(a) * 0.97 - bend[:, None] * 0.5 - 0.03,
        ],
        -1,
    )
    m.put(p, 1, wrap=True)
    m.turned(
        [(0.985, 0.455), (0.965, 0.505), (0.900, 0.575), (0.855, 0.592), (0.860, 0.52)],
        (0, 0, -0.03),
        2,
        around=24,
        squash=0.97,
    )
    edge = np.array(
        [
            (0.880, 0.50),
            (0.870, 0.70),
            (0.845, 0.90),
            (0.850, 0.985),
            (0.832, 1.000),
            (0.822, 0.985),
            (0.826, 0.90),
            (0.838, 0.70),
            (0.845, 0.50),
        ]
    )
    m.turned(edge, (0, 0, -0.03), 1, around=30)
    m.put(_buckle(m), "detail", wrap=True)


def _buckle(m: Maker) -> np.ndarray:
    a = np.linspace(0, 2 * np.pi, m.n(12, 8) + 1)
    e = 0.45
    path = np.stack(
        [
            0.075 * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** e,
            0.918 + 0.062 * np.sign(np.sin(a)) * np.abs(np.sin(a)) ** e,
            np.full_like(a, 0.545),
        ],
        -1,
    )
    t = np.gradient(path, axis=0)
    t[[0, -1]] = path[1] - path[-2]
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    out = np.array([0.0, 0.25, 1.0]) / np.hypot(0.25, 1)
    side = np.cross(t, out)
    b = np.linspace(0, 2 * np.pi, 7)
    return path[:, None] + side[:, None] * (np.cos(b) * 0.018)[None, :, None] + out * (np.sin(b) * 0.020)[None, :, None]


def hat_straw(m: Maker) -> None:
    _dome(m, 0.845, 0.335, 0.590)
    m.turned(
        [(0.985, 0.545), (0.975, 0.590), (0.900, 0.606), (0.875, 0.604), (0.880, 0.55)],
        (0, 0, -0.03),
        2,
        around=26,
        squash=0.97,
    )
    edge = np.array(
        [
            (0.872, 0.52),
            (0.862, 0.72),
            (0.828, 0.94),
            (0.812, 1.02),
            (0.798, 1.028),
            (0.790, 1.012),
            (0.806, 0.93),
            (0.836, 0.72),
            (0.845, 0.52),
        ]
    )
    m.turned(edge, (0, 0, -0.03), 1, around=32)


def _animal_ear(m: Maker, root, tip, width: float, thick: float, keys, lean=(0.25, 0.0, 1.0), bend=(0, 0, 0)) -> None:
    r, t = np.asarray(root, float), np.asarray(tip, float)
    mid = (r + t) / 2 + np.asarray(bend, float)
    joints = to_world(spline([r, mid, t], 3))
    weights = chain_weights("ear_left", joints)
    p = spline([r, mid, t], m.n(9, 6))
    s = np.linspace(0, 1, len(p))
    w = keyed(keys, s)
    m.put(tube(p, width * w, thick * w**0.8, up=lean, around=m.n(10, 7)), 1, weights, pair=True, wrap=True)
    # the inside, a touch in front
    q = spline([r + (mid - r) * 0.25, mid * 0.98 + r * 0.02, r + (t - r) * 0.90], m.n(7, 5))
    lean_v = np.asarray(lean, float) / np.linalg.norm(lean)
    q = q + lean_v * thick * 0.62
    v = keyed(keys, np.linspace(0.12, 0.97, len(q)))
    m.put(tube(q, width * 0.62 * v, thick * 0.55 * v**0.8, up=lean, around=m.n(8, 6)), 2, weights, pair=True, wrap=True)
    m.piece.chains.append(Chain("ear_left", "head", joints, stiffness=2.5, gravity=0.0, drag=0.5, radius=0.02))
    m.piece.mirror_chains()


def animal_ears_cat(m: Maker) -> None:
    _animal_ear(
        m,
        (0.29, 0.93, 0.04),
        (0.47, 1.36, 0.04),
        0.165,
        0.070,
        [(0, 1.0), (0.35, 0.88), (0.7, 0.50), (0.93, 0.14), (1, 0.02)],
    )


def animal_ears_fox(m: Maker) -> None:
    _animal_ear(
        m,
        (0.29, 0.93, 0.02),
        (0.52, 1.48, 0.0),
        0.185,
        0.075,
        [(0, 0.85), (0.25, 1.0), (0.6, 0.66), (0.92, 0.16), (1, 0.02)],
    )


def animal_ears_rabbit(m: Maker) -> None:
    _animal_ear(
        m,
        (0.17, 1.0, -0.02),
        (0.33, 1.78, -0.06),
        0.125,
        0.060,
        [(0, 0.62), (0.3, 0.85), (0.6, 1.0), (0.85, 0.74), (0.96, 0.38), (1, 0.03)],
        bend=(-0.03, 0.02, 0.02),
    )


def horns(m: Maker) -> None:
    m.rod(
        [(0.27, 0.96, 0.14), (0.38, 1.14, 0.15), (0.46, 1.26, 0.10), (0.43, 1.37, 0.03)],
        [(0, 0.085), (0.4, 0.065), (0.8, 0.028), (1, 0.004)],
        pair=True,
        stations=10,
        around=9,
    )


def halo(m: Maker) -> None:
    a = np.linspace(-np.pi, np.pi, 2 * m.n(16, 9) + 1)
    a = (a - a[::-1]) / 2
    path = np.stack([0.30 * np.sin(a), 1.36 + 0.03 * np.cos(a), 0.30 * np.cos(a) - 0.06], -1)
    path[[0, -1], 0] = 0
    m.ring(path, 0.030, 0.024, 1, around=8)


def hair_ornament_bow(m: Maker) -> None:
    for sign in (1.0,):
        loop = np.array([(0.0, 0.0, 0.0), (0.13, 0.05, 0.03), (0.27, 0.07, 0.0), (0.31, -0.01, -0.02)]) * [
            sign,
            1,
            1,
        ] + np.array([0.0, 1.06, -0.06])
        p = spline(loop, m.n(8, 5))
        prof = keyed([(0, 0.20), (0.3, 0.62), (0.75, 0.95), (0.95, 0.62), (1, 0.05)], np.linspace(0, 1, len(p)))
        m.put(tube(p, 0.155 * prof, 0.070 * prof, up=(0, 0.35, 1), around=m.n(10, 7)), 1, pair=True, wrap=True)
    m.put(_ball((0.0, 1.065, -0.035), 0.068, m, 6), 1, wrap=True)


def headphones(m: Maker) -> None:
    a = np.linspace(-1.45, 1.45, m.n(22, 12) + 1)
    a = (a - a[::-1]) / 2
    path = np.stack([0.640 * np.sin(a), 0.42 + 0.735 * np.cos(a), np.full_like(a, -0.02)], -1)
    g = tube(
        path,
        np.full(len(a), 0.060),
        np.full(len(a), 0.026),
        up=path - np.array([0, 0.42, -0.02]),
        around=m.n(8, 6),
        kind="square",
    )
    m.put(g, 1, wrap=True)
    rows = np.array([(0.0, 0.0), (0.0, 0.120), (0.012, 0.162), (0.060, 0.172), (0.095, 0.150), (0.100, 0.0)])
    b = np.linspace(0, 2 * np.pi, m.n(16, 10) + 1)
    cup = np.stack([0.655 - rows[:, 0:1] + 0 * b, 0.40 + rows[:, 1:] * np.cos(b), -0.02 + rows[:, 1:] * np.sin(b)], -1)
    m.put(cup, 2, pair=True, wrap=True)
    pad = np.array([(0.090, 0.155), (0.090, 0.178), (0.125, 0.180), (0.140, 0.150)])
    m.put(
        np.stack([0.655 - pad[:, 0:1] + 0 * b, 0.40 + pad[:, 1:] * np.cos(b), -0.02 + pad[:, 1:] * np.sin(b)], -1),
        3,
        pair=True,
        wrap=True,
    )


# ------------------------------------------------------------------ on the body (metres)


def wings(m: Maker) -> None:
    feathers = [((0.028, 0.470, -0.078), (0.150, 0.570, -0.128), (0.315, 0.690, -0.170), 0.072), ((0.028, 0.455, -0.080), (0.155, 0.505, -0.132), (0.305, 0.555, -0.172), 0.064),
                ((0.026, 0.435, -0.078), (0.125, 0.445, -0.122), (0.230, 0.435, -0.152), 0.054)]  # fmt: skip
    for a, b, c, w in feathers:
        p = spline([a, b, c], m.n(9, 6))
        s = keyed([(0, 0.30), (0.3, 0.75), (0.65, 1.0), (0.9, 0.62), (1, 0.04)], np.linspace(0, 1, len(p)))
        g = m.piece.add(tube(p, w * s, 0.014 * s, up=(0, 0, -1), around=m.n(9, 7)), m.zone(1), "chest", wrap=True)
        m.mirror(g)


def _tail(m: Maker, path, radius, tip: float) -> None:
    p = np.asarray(path, float)
    joints = spline(p, 5)
    inner = chain_weights("tail", joints)

    def weights(q: np.ndarray) -> dict[str, np.ndarray]:
        out = inner(q)
        out["hips"] = out.pop("head")
        return out

    q = spline(p, m.n(15, 9))
    s = np.linspace(0, 1, len(q))
    r = keyed(radius, s)
    cut = int(np.searchsorted(s, tip))
    g = tube(q, r, r, up=(1, 0, 0), around=m.n(10, 7))
    m.piece.add(g[: cut + 1], m.zone(1), weights, wrap=True, smooth="tail")
    m.piece.add(g[cut:], m.zone(2), weights, wrap=True, smooth="tail")
    m.piece.chains.append(Chain("tail", "hips", joints, stiffness=1.2, radius=0.02))


def tail_cat(m: Maker) -> None:
    _tail(m, [(0.0, 0.285, -0.075), (0.0, 0.250, -0.150), (0.0, 0.290, -0.225), (0.010, 0.380, -0.250), (0.020, 0.440, -0.225)],
          [(0, 0.018), (0.5, 0.019), (0.9, 0.021), (0.97, 0.014), (1, 0.001)], 0.78)  # fmt: skip


def tail_fox(m: Maker) -> None:
    _tail(m, [(0.0, 0.285, -0.070), (0.0, 0.250, -0.150), (0.0, 0.290, -0.245), (0.0, 0.390, -0.290), (0.0, 0.470, -0.265)],
          [(0, 0.018), (0.25, 0.038), (0.6, 0.062), (0.85, 0.042), (0.97, 0.012), (1, 0.001)], 0.72)  # fmt: skip


def tail_rabbit(m: Maker) -> None:
    c = np.array([0.0, 0.285, -0.105])
    lat = np.linspace(0, np.pi, m.n(8, 6) + 1)[:, None]
    lon = np.linspace(0, 2 * np.pi, m.n(12, 8) + 1)[None]
    r = 0.042 * (1 + 0.06 * np.cos(5 * lon) * np.sin(lat) ** 2)
    m.piece.add(
        np.stack([r * np.sin(lat) * np.sin(lon), r * np.cos(lat) + 0 * lon, r * np.sin(lat) * np.cos(lon)], -1) + c,
        m.zone(1),
        "hips",
        wrap=True,
    )


def bag_backpack(m: Maker) -> None:
    rows = np.array(
        [
            (0.515, 0.0, 0.0),
            (0.512, 0.050, 0.026),
            (0.490, 0.082, 0.042),
            (0.430, 0.094, 0.052),
            (0.360, 0.094, 0.052),
            (0.325, 0.082, 0.044),
            (0.315, 0.050, 0.026),
            (0.313, 0.0, 0.0),
        ]
    )
    a = np.linspace(-np.pi, np.pi, 2 * m.n(11, 7) + 1)
    a = (a - a[::-1]) / 2
    e = 0.62
    x = np.sign(np.sin(a)) * np.abs(np.sin(a)) ** e
    z = np.sign(np.cos(a)) * np.abs(np.cos(a)) ** e
    x[[0, -1]] = 0
    p = np.stack([rows[:, 1:2] * x, rows[:, 0:1] + 0 * a, rows[:, 2:] * z - 0.138], -1)
    m.piece.add(p, m.zone(1), "chest", wrap=True)
    m.slab(
        [(0.0, 0.405, -0.190), (0.0, 0.370, -0.194), (0.0, 0.338, -0.190)],
        0.110,
        0.012,
        2,
        out=(0, 0, -1),
        stations=5,
        around=12,
    )
    m.slab(
        [(0.0, 0.508, -0.150), (0.0, 0.470, -0.186), (0.0, 0.440, -0.194)],
        [(0, 0.120), (1, 0.135)],
        0.008,
        2,
        out=(0, 0.5, -1),
        stations=5,
        around=12,
    )
    m.ball((0.0, 0.442, -0.204), (0.011, 0.011, 0.007))
    strap = [
        (0.058, 0.480, -0.100),
        (0.070, 0.560, -0.062),
        (0.078, 0.574, 0.000),
        (0.076, 0.530, 0.066),
        (0.082, 0.460, 0.070),
        (0.100, 0.400, 0.030),
        (0.086, 0.360, -0.085),
    ]
    out = [
        (0.3, 0.3, -1),
        (0.3, 1, -0.5),
        (0.3, 1, 0.2),
        (0.4, 0.3, 1),
        (0.6, -0.1, 1),
        (1, -0.2, 0.3),
        (0.7, -0.3, -1),
    ]
    m.slab(strap, 0.026, 0.006, 2, out=out, pair=True, stations=18)


SLOTS = ("glasses", "hat", "animal_ears", "horns", "halo", "wings", "tail", "hair_ornament", "headphones", "bag")
WEARABLES: dict[str, Callable[[Maker], None]] = {
    name: f
    for name, f in globals().items()
    if callable(f) and any(name == s or name.startswith(s + "_") for s in SLOTS)
}


def build_wearables(level: int) -> list[Piece]:
    """Every accessory at triangle preset ``level``."""
    out = []
    for name, make in WEARABLES.items():
        m = Maker(name, level)
        make(m)
        out.append(m.piece)
    return out
