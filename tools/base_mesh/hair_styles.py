"""The catalogue: every hair style and every fringe, in terms of :class:`hair.Builder`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .hair import Builder
from .loft import Piece, smoothstep

# ------------------------------------------------------------------ styles (everything but the fringe)


def bob(b: Builder) -> None:
    b.shell([(0, 0.84), (40, 0.80), (56, 0.52), (70, 0.09), (95, 0.03), (180, 0.02)], [(0, 0.06), (60, 0.085), (110, 0.115), (180, 0.12)],
            locks=14, back=0.035, tips=0.075, flare=0.012, curl=0.06)  # fmt: skip
    b.side_lock(0.10, deg=62, inward=0.02)


def long_straight(b: Builder) -> None:
    _long(b, -0.62)
    b.side_lock(-0.22, width=0.12, deg=63)


def hime(b: Builder) -> None:
    _long(b, -0.70, tips=0.015)
    b.side_lock(0.045, width=0.17, deg=61, out=0.085, inward=0.0, blunt=True)


def _long(b: Builder, y: float, tips: float = 0.06) -> None:
    """A round shell over the skull and, from under its hem, a curtain of wide locks down the back, on four chains a side."""
    b.shell([(0, 0.845), (40, 0.80), (58, 0.54), (72, 0.20), (100, 0.13), (180, 0.08)], [(0, 0.06), (60, 0.085), (110, 0.118), (180, 0.120)],
            locks=13, groove=0.018, back=0.035, tips=0.10, curl=0.045)  # fmt: skip
    for i, (deg, w, drop) in enumerate([(83, 0.25, 0.14), (110, 0.30, 0.03), (139, 0.31, 0.05), (167, 0.31, -0.03)]):
        a = b.on_skull([(deg * 0.97, 0.74, 0.030), (deg, 0.50, 0.070 + 0.026 * (i % 2)), (deg, 0.24, 0.094)])
        e = a[-1]
        low = y + drop
        path = np.r_[a, [e * [0.97, 1, 0.97] + [0, -0.26, 0], e * [0.95, 1, 0.95] + [0, (low - e[1]) * 0.66, 0],
                         np.array([e[0] * 0.93, low - tips * (i % 2), e[2] * 1.02])]]  # fmt: skip
        out = np.array([np.sin(np.radians(deg)), 0, np.cos(np.radians(deg))])
        b.tail(path, w * 1.10, 0.080, f"hair_{i}", joints=2, strands=0, kind="lens", out=out,
               profile=((0, 0.03), (0.12, 0.36), (0.26, 0.80), (0.42, 1.0), (0.76, 0.94), (0.92, 0.55), (1, 0.03)))  # fmt: skip


def _skull(
    b: Builder, nape: float = 0.08, tips: float = 0.02, locks: int = 12, groove: float = 0.014, side: float = 0.30
) -> None:
    """Hair combed back and gathered: follows the skull closely down to the nape."""
    b.shell([(0, 0.845), (38, 0.80), (58, 0.60), (74, side), (100, side - 0.10), (150, nape), (180, nape)],
            [(0, 0.06), (60, 0.075), (120, 0.085), (180, 0.085)], locks=locks, groove=groove, tips=tips, back=0.040, curl=0.05)  # fmt: skip


def twin_tails(b: Builder) -> None:
    _skull(b, 0.10)
    path = np.array(
        [
            (0.44, 0.76, -0.10),
            (0.60, 0.87, -0.12),
            (0.77, 0.84, -0.13),
            (0.89, 0.60, -0.13),
            (0.90, 0.24, -0.11),
            (0.82, -0.10, -0.06),
            (0.76, -0.38, 0.01),
        ]
    )
    b.tail(path, 0.36, 0.175, "tail")
    b.tie((0.575, 0.858, -0.118), 0.088, (0.80, 0.60, -0.08))
    b.side_lock(0.16, width=0.105, deg=62)


def low_twin_tails(b: Builder) -> None:
    _skull(b, 0.09)
    path = np.array(
        [(0.36, 0.16, -0.26), (0.50, 0.10, -0.25), (0.57, -0.10, -0.18), (0.55, -0.34, -0.08), (0.50, -0.56, 0.0)]
    )
    b.tail(path, 0.26, 0.125, "tail")
    b.tie((0.435, 0.130, -0.262), 0.085, (0.8, -0.5, 0.0))
    b.side_lock(0.14, width=0.11, deg=63)


def ponytail(b: Builder) -> None:
    _skull(b, 0.13, side=0.34)
    path = np.array(
        [
            (0.0, 0.86, -0.36),
            (0.0, 1.02, -0.52),
            (0.0, 1.06, -0.70),
            (0.0, 0.88, -0.88),
            (0.0, 0.46, -0.92),
            (0.0, 0.06, -0.80),
            (0.0, -0.26, -0.70),
        ]
    )
    # outward of a path that climbs, turns over and hangs: the one direction that is never along it
    b.tail(path, 0.44, 0.20, "tail", pair=False, out=np.array([0.0, 0.87, -0.50]))
    b.tie((0.0, 0.995, -0.490), 0.105, (0, 0.72, -0.70), pair=False)
    b.side_lock(0.12, width=0.11, deg=63)


def braid(b: Builder) -> None:
    _skull(b, 0.06)
    path = np.array(
        [(0.0, 0.20, -0.52), (0.0, 0.02, -0.56), (0.0, -0.22, -0.50), (0.0, -0.48, -0.40), (0.0, -0.74, -0.36)]
    )
    b.braid(path, 0.24, "braid", pair=False, lobes=6)
    b.side_lock(0.12, width=0.11, deg=63)


def twin_braids(b: Builder) -> None:
    _skull(b, 0.08)
    path = np.array(
        [(0.40, 0.15, -0.20), (0.50, 0.0, -0.12), (0.50, -0.22, 0.0), (0.46, -0.44, 0.08), (0.43, -0.62, 0.11)]
    )
    b.braid(path, 0.18, "braid", lobes=5)
    b.side_lock(0.20, width=0.10, deg=63)


def short(b: Builder) -> None:
    b.shell([(0, 0.85), (38, 0.82), (54, 0.66), (68, 0.36), (84, 0.30), (106, 0.22), (140, 0.10), (180, 0.07)],
            [(0, 0.07), (60, 0.075), (110, 0.095), (180, 0.085)], locks=15, groove=0.026, tips=0.06, back=0.035, curl=0.05)  # fmt: skip
    _tufts(
        b,
        [
            (70, 0.80, 0.42, 0.21),
            (94, 0.72, 0.30, 0.24),
            (122, 0.70, 0.24, 0.25),
            (150, 0.70, 0.19, 0.25),
            (176, 0.72, 0.16, 0.22),
        ],
        0.045,
    )


def spiky(b: Builder) -> None:
    b.shell([(0, 0.86), (38, 0.83), (54, 0.66), (70, 0.38), (90, 0.32), (120, 0.22), (180, 0.10)],
            [(0, 0.08), (60, 0.08), (110, 0.09), (180, 0.08)], locks=13, groove=0.024, tips=0.05, back=0.02)  # fmt: skip
    # few big spikes that all sweep up and back, no two of one length; (degrees, root height, width, length, up)
    spikes = [(0, 0.960, 0.34, 0.36, 2.60), (36, 0.930, 0.33, 0.45, 1.90), (68, 0.820, 0.31, 0.34, 0.85), (92, 0.900, 0.34, 0.48, 1.25),
              (88, 0.630, 0.29, 0.36, 0.35), (118, 0.760, 0.34, 0.38, 0.85), (150, 0.900, 0.36, 0.46, 1.55), (110, 0.500, 0.29, 0.32, 0.00),
              (140, 0.640, 0.35, 0.42, 0.75), (178, 0.760, 0.36, 0.42, 1.10), (100, 0.330, 0.24, 0.24, -0.60), (130, 0.380, 0.30, 0.32, -0.70),
              (160, 0.480, 0.33, 0.36, -0.80), (178, 0.260, 0.28, 0.26, -1.60)]  # fmt: skip
    for deg, y, wide, length, up in spikes:
        a = np.radians(deg)
        root = b.on_skull([(deg, y, 0.0)])[0]
        out = np.array([np.sin(a), up, np.cos(a) - 0.42])
        out /= np.linalg.norm(out)
        lift = np.array([0.0, 0.10 * np.sign(up + 0.05), -0.05])
        path = np.stack(
            [root - out * 0.07, root + out * length * 0.42 - lift * 0.15, root + out * length * 0.78 + lift * 0.30, root + out * length + lift]
        )  # fmt: skip
        g = b.lock(path, wide, wide * 0.40, out=np.array([np.sin(a) * 0.5, 0.9, np.cos(a) * 0.5]),
                   profile=((0, 1.0), (0.35, 0.95), (0.7, 0.58), (0.9, 0.20), (1, 0.02)), stations=8, seed=deg * 0.1)  # fmt: skip
        if deg:
            b.piece.mirrored([g])


def wolf_cut(b: Builder) -> None:
    b.shell([(0, 0.85), (38, 0.80), (56, 0.56), (70, 0.26), (95, 0.22), (180, 0.16)], [(0, 0.07), (60, 0.09), (110, 0.125), (180, 0.125)],
            locks=13, groove=0.030, tips=0.05, back=0.035, flare=0.03)  # fmt: skip
    for i, (deg, y, w) in enumerate([(84, 0.02, 0.19), (112, -0.10, 0.20), (142, -0.16, 0.21), (170, -0.18, 0.20)]):
        a = b.on_skull([(deg, 0.42, 0.020), (deg, 0.22, 0.060)])
        e = a[-1]
        out = np.array([np.sin(np.radians(deg)), 0, np.cos(np.radians(deg))])
        path = np.r_[a, [e + [0, (y - e[1]) * 0.6, 0] - out * 0.02, np.array([e[0], y, e[2]]) + out * 0.11]]
        b.piece.mirrored([b.lock(path, w, 0.060, out=out, stations=9, seed=i * 0.3)])
    b.side_lock(0.04, width=0.12, deg=62, inward=-0.04)


def curly(b: Builder) -> None:
    b.shell([(0, 0.86), (40, 0.80), (58, 0.52), (72, 0.12), (100, 0.05), (180, 0.03)], [(0, 0.09), (60, 0.11), (110, 0.14), (180, 0.14)],
            locks=12, groove=0.035, tips=0.04, back=0.05, lumps=0.028, curl=0.08, crown=0.11)  # fmt: skip
    rows = [
        (0.03, 0.180, (80, 118, 158)),
        (0.27, 0.170, (68, 102, 138, 172)),
        (0.53, 0.165, (70, 110, 148)),
        (0.77, 0.150, (62, 104, 150)),
    ]
    for k, (y, r, degrees) in enumerate(rows):
        for i, deg in enumerate(degrees):
            c = b.on_skull([(deg, max(y, 0.10), 0.085 + 0.045 * smoothstep(70, 150, deg))])[0]
            c[1] = y + 0.025 * np.sin(deg)
            b.ball(c, r, True, swirl=0.055, axis=(np.sin(i * 2.1 + k), 0.7, np.cos(i * 1.7 + k)), size=0.88)


def bun(b: Builder) -> None:
    _skull(b, 0.14, side=0.36)
    b.ball((0.0, 1.08, -0.26), 0.205, False, axis=(0.0, 0.8, -0.5))
    b.tie((0.0, 0.985, -0.205), 0.135, (0, 0.9, -0.35), pair=False)
    b.side_lock(0.20, width=0.09, deg=62)


def double_bun(b: Builder) -> None:
    _skull(b, 0.13, side=0.34)
    b.ball((0.36, 1.02, -0.06), 0.165, True, axis=(0.7, 0.8, 0.0))
    b.tie((0.300, 0.945, -0.055), 0.115, (0.62, 0.75, 0.0))
    b.side_lock(0.08, width=0.10, deg=62)


def _tufts(b: Builder, rows, thick: float) -> None:
    """Layered locks on both sides: (degrees, root height, tip height, width)."""
    for i, (deg, y0, y1, w) in enumerate(rows):
        lie = 0.100 + 0.030 * smoothstep(80, 150, deg)  # over the fuller back of the shell
        path = b.on_skull([(deg, y0, 0.020), (deg, (y0 + y1) / 2 + 0.02, lie), (deg + 3, y1, lie + 0.006)])
        b.piece.mirrored([b.lock(path, w, thick, stations=8, seed=i * 0.23 + 0.1)])


STYLES: dict[str, Callable[[Builder], None]] = {
    f.__name__: f
    for f in (
        bob,
        long_straight,
        hime,
        twin_tails,
        low_twin_tails,
        ponytail,
        braid,
        twin_braids,
        short,
        spiky,
        wolf_cut,
        curly,
        bun,
        double_bun,
    )
}

SHOWS_EARS = ("short", "spiky")

# ------------------------------------------------------------------ fringes


def full(b: Builder) -> None:
    for root, tip, y, w in [
        (0, 0, 0.585, 0.235),
        (15, 16, 0.640, 0.170),
        (29, 33, 0.590, 0.235),
        (47, 54, 0.530, 0.20),
    ]:
        g = b.bang(root, tip, y, w, lift=0.010 * (w > 0.2))
        if root:
            b.piece.mirrored([g])


def blunt(b: Builder) -> None:
    for root, tip, y, w in [(0, 0, 0.635, 0.20), (15, 16, 0.635, 0.20), (30, 32, 0.630, 0.20), (45, 48, 0.600, 0.19)]:
        path = b.on_skull(
            [(root * 0.80, 0.968, 0.022), (root, 0.895, 0.080), ((root + tip) / 2, 0.74, 0.080), (tip, y, 0.058)]
        )
        g = b.lock(
            path,
            w,
            0.050,
            profile=((0, 0.30), (0.3, 0.90), (0.7, 1.0), (0.97, 0.98), (1, 0.85)),
            stations=11,
            seed=root * 0.3,
        )
        if root:
            b.piece.mirrored([g])


def side_swept(b: Builder) -> None:
    for root, tip, y, w, bow in [(-24, -44, 0.600, 0.21, -3), (-12, -20, 0.660, 0.20, -2), (-14, 6, 0.640, 0.23, 3), (-4, 26, 0.605, 0.24, 5), (12, 42, 0.575, 0.22, 4), (34, 56, 0.52, 0.17, 2),
                                 (-42, -56, 0.53, 0.16, -1)]:  # fmt: skip
        b.bang(root, tip, y, w, bow=bow)


def parted(b: Builder) -> None:
    for root, tip, y, w, bow in [(5, 26, 0.660, 0.20, -6), (12, 41, 0.575, 0.21, -4), (28, 55, 0.50, 0.19, -1)]:
        b.piece.mirrored([b.bang(root, tip, y, w, bow=bow)])


def curtain(b: Builder) -> None:
    for root, tip, y, w, bow in [(4, 33, 0.600, 0.22, -10), (13, 50, 0.43, 0.20, -6), (34, 60, 0.40, 0.16, -1)]:
        b.piece.mirrored([b.bang(root, tip, y, w, bow=bow)])


def messy(b: Builder) -> None:
    for root, tip, y, w, bow in [(0, -7, 0.580, 0.21, 0), (16, 22, 0.640, 0.20, 2), (-15, -24, 0.600, 0.20, -2), (31, 34, 0.57, 0.20, 1), (-31, -40, 0.615, 0.19, -3), (48, 58, 0.52, 0.17, 2), (-48, -55, 0.54, 0.17, -1),
                                 (8, 9, 0.690, 0.15, 2)]:  # fmt: skip
        b.bang(root, tip, y, w, bow=bow, lift=0.010 if abs(root) < 20 else 0.0)


def swept_back(b: Builder) -> None:
    """No fringe: a row of short locks combed up from the hairline."""
    for deg, w in [(0, 0.20), (18, 0.20), (36, 0.19), (52, 0.17)]:
        path = b.on_skull([(deg, 0.795 - deg * 0.0012, 0.012), (deg, 0.865, 0.115), (deg * 0.9, 0.945, 0.105)])
        g = b.lock(path, w, 0.055, profile=((0, 0.75), (0.3, 1.0), (0.7, 0.8), (1, 0.05)), stations=7, seed=deg * 0.3)
        if deg:
            b.piece.mirrored([g])


FRINGES: dict[str, Callable[[Builder], None]] = {
    f.__name__: f for f in (full, blunt, side_swept, parted, curtain, messy, swept_back)
}


def build_hair(level: int) -> list[Piece]:
    """All hair pieces at triangle preset ``level``: ``hair_<style>``, ``fringe_<name>`` and ``ahoge``."""
    pieces = []
    for prefix, table in (("hair", STYLES), ("fringe", FRINGES)):
        for name, make in table.items():
            b = Builder(f"{prefix}_{name}", level)
            make(b)
            if prefix == "hair" and name not in SHOWS_EARS:
                b.piece.hides = (("ear", -1.0, 2.0),)
            pieces.append(b.piece)
    b = Builder("ahoge", level)
    b.ahoge()
    return [*pieces, b.piece]
