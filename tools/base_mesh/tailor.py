"""Cutting clothes: tops, sleeves, skirts, trousers, shoes and details as lofts over the canonical body. Metres throughout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import body
from .loft import Chain, Piece, keyed, smoothstep, spline, tube


class Tailor:
    """Collects the grids of one garment at one triangle preset. Zones: ``<slot>`` main colour, ``<slot>2`` second, ``detail`` buttons and buckles."""

    def __init__(self, name: str, level: int, part: str = "outfit") -> None:
        self.piece = Piece(name, part)
        self.slot = name.split("_")[0]
        self.k = (0.38, 0.84, 1.25)[level]

    def n(self, count: float, least: int = 3) -> int:
        """A cell count for this triangle preset."""
        return max(least, round(count * self.k))

    def zone(self, number: int) -> str:
        """Zone name of this garment's first, second or third colour."""
        return self.slot + ("" if number == 1 else str(number))

    def hide(self, zone: str, low: float, high: float) -> None:
        """Skin under the garment is left out of the mesh, so it can never come through."""
        self.piece.hides = (*self.piece.hides, (zone, low, high))

    def mirror(self, *grids) -> None:
        self.piece.mirrored(list(grids))

    # ------------------------------------------------------------ big shapes

    def torso(
        self,
        top: float,
        hem: float,
        ease: Sequence[tuple[float, float]],
        zone: int = 1,
        roll: float = 0.010,
        weights=body.trunk_weights,
        rows: int = 15,
    ):
        """A tube around the trunk from ``top`` down to ``hem``; ``ease``: (height, metres off the body). The hem is rolled."""
        y = np.linspace(top, hem, self.n(rows))
        e = keyed(sorted(ease), y)
        w, zf, zb = body.trunk_at(np.maximum(y, 0.262), e)
        around = 2 * self.n(13)
        g = body.ring(y, w, zf, zb, around)
        g = _rolled(g, roll)
        return self.piece.add(g, self.zone(zone), weights, wrap=True)

    def sleeve(
        self,
        end: float,
        ease: Sequence[tuple[float, float]],
        zone: int = 1,
        start: float = 0.046,
        cuff: tuple[float, int] | None = None,
        drop: float = 0.0,
        tall: float = 1.0,
    ):
        """Both sleeves to ``end`` metres from the middle; ``ease``: (x, metres off the arm); ``drop`` and ``tall`` make hanging sleeves."""
        x = np.linspace(start, end, self.n(12))
        e = keyed(ease, x)
        r = body.arm_radius(x) + e
        path = body.arm_path(x)
        down = smoothstep(0.08, end, x)
        path[:, 1] -= drop * down
        high = r * (1 + (tall - 1) * down)
        g = tube(path, r, high, up=(0, -1, 0), around=self.n(12), kind="square" if tall > 1.4 else "round")
        inside = body.arm_radius(np.array([end - 0.012, end - 0.030])) + 0.001
        plug = tube(
            body.arm_path(np.array([end - 0.012, end - 0.030])), inside, inside, up=(0, -1, 0), around=self.n(12)
        )
        grids = [
            self.piece.add(np.concatenate([_rolled(g, 0.007), plug]), self.zone(zone), body.arm_weights, wrap=True)
        ]
        if cuff:
            width, number = cuff
            x2 = np.linspace(end - width, end + 0.003, 4)
            r2 = np.interp(x2, x, r) + 0.0045
            g2 = tube(np.c_[x2, np.interp(x2, x, path[:, 1]), np.interp(x2, x, path[:, 2])], r2, r2 * np.interp(x2, x, high / r), up=(0, -1, 0), around=self.n(12),
                      kind="square" if tall > 1.4 else "round")  # fmt: skip
            grids.append(self.piece.add(_rolled(_capped(g2), 0.007), self.zone(number), body.arm_weights, wrap=True))
        self.mirror(*grids)
        self.hide("arm", 0.0, end - 0.016)

    def legs(
        self,
        end: float,
        ease: Sequence[tuple[float, float]],
        zone: int = 1,
        waist: float = 0.335,
        cuff: tuple[float, int] | None = None,
    ):
        """Trousers or shorts: a pelvis and two legs down to ``end``; ``ease``: (height, metres off the leg)."""
        y = np.linspace(waist, 0.236, self.n(7, 5))
        e = keyed([(0.0, 0.010), (1.0, 0.010)], y)
        w, zf, zb = body.trunk_at(y, e)
        g = body.ring(y, w, zf, zb, 2 * self.n(13))
        self.piece.add(g, self.zone(zone), body.trunk_weights, wrap=True)
        y = np.linspace(0.300, end, self.n(11, 6))
        r = body.leg_radius(y) + keyed(sorted(ease), y)
        g = tube(body.leg_path(y), r, r, up=(0, 0, -1), around=self.n(13))
        grids = [self.piece.add(_rolled(g, 0.008), self.zone(zone), body.leg_weights, wrap=True)]
        if cuff:
            y2 = np.linspace(end + cuff[0], end - 0.002, 4)
            r2 = np.interp(y2[::-1], y[::-1], r[::-1])[::-1] + 0.005
            g2 = tube(body.leg_path(y2), r2, r2, up=(0, 0, -1), around=self.n(13))
            grids.append(self.piece.add(_rolled(_capped(g2), 0.008), self.zone(cuff[1]), body.leg_weights, wrap=True))
        self.mirror(*grids)
        self.hide("trunk", 0.0, waist - 0.012)
        self.hide("leg", end + 0.016, 1.0)

    def skirt(
        self,
        top: float,
        hem: float,
        flare: float,
        zone: int = 1,
        pleats: int = 0,
        depth: float = 0.006,
        band: int = 0,
        trim: float = 0.0,
        shape: float = 1.25,
    ):
        """A skirt from the waist to ``hem``, ``flare`` metres wider than the hips there; shorts underneath in the same cloth."""
        rows = self.n(10, 6)
        s = np.linspace(0, 1, rows + 1)
        y = top + (hem - top) * s
        w, zf, zb = body.trunk_at(np.maximum(y, 0.285), 0.008)
        grow = flare * s**shape
        per = 4 if pleats else 1
        around = pleats * per if pleats else 2 * self.n(15)
        g = body.ring(y, w + grow, zf + grow * 0.92, zb - grow * 0.92, around, e=0.96)
        if pleats:
            a = np.arange(around + 1) / per
            saw = np.abs((a % 1) * 2 - 1)
            out = g * np.array([1.0, 0.0, 1.0])
            out /= np.linalg.norm(out, axis=2, keepdims=True) + 1e-9
            g = g + out * (depth * (saw[None] - 0.5) * 2 * s[:, None] ** 0.7)[..., None]
        lay = (
            np.stack(np.broadcast_arrays(np.arange(around + 1) / per, np.linspace(0, 1, rows + 1)[:, None]), -1)
            if pleats
            else None
        )
        inside = g[[rows * 2 // 3, rows // 3, 0]]  # a lining, for when the skirt is lifted
        middle = inside.mean(1, keepdims=True) * np.array([0.0, 1.0, 1.0])
        inside = middle + (inside - middle) * np.array([0.93, 1.0, 0.93])
        outside = g
        g = np.concatenate([_rolled(g, 0.010), inside])
        weights = self._swing(top, hem, float(w[-1] + flare))
        flip = _outwards(outside)
        if lay is not None:  # attribute 0 counts pleats, for the paint
            lay = np.concatenate([lay, lay[-1:].repeat(2, 0)])
        ways = {} if lay is None else {"attributes": lay}
        if trim:  # a second colour along the hem: its own strip, so that it can be painted and baked cleanly
            cut = int(np.searchsorted(-outside[:, :, 1].mean(1), -(hem + trim))) - 1
            for part, number in ((slice(0, cut + 1), zone), (slice(cut, rows + 3), 2)):
                own = {k: v[part] for k, v in ways.items()}
                self.piece.add(g[part], self.zone(number), weights, wrap=True, flip=flip, smooth="skirt", **own)
        else:
            self.piece.add(g[: rows + 3], self.zone(zone), weights, wrap=True, flip=flip, **ways)
        self.piece.add(g[rows + 2 :], self.zone(3), weights, wrap=True, flip=flip, density=0.4)
        if band:
            self.band(top + 0.004, 0.026, 0.013, band)
        under = Tailor(self.piece.name, 0)
        under.k, under.slot, under.piece = self.k * 0.72, self.slot, Piece("", "outfit")
        under.legs(max(hem + 0.03, 0.195), [(0.0, 0.006), (0.3, 0.004)], zone=3, waist=min(top, 0.33))
        self.piece.grids += under.piece.grids
        self.piece.hides = (*self.piece.hides, *under.piece.hides)

    def _swing(self, top: float, hem: float, radius: float):
        """Skirt weights with four spring chains (front, back, left, right) that share in the lower part."""
        names = (
            ("skirt_front", 0.0, 0.0, 1.0),
            ("skirt_left", np.pi / 2, 1.0, 0.0),
            ("skirt_back", np.pi, 0.0, -1.0),
            ("skirt_right", -np.pi / 2, -1.0, 0.0),
        )
        root = min(top, 0.32)
        for name, _, x, z in names:
            start, end = np.array([x * 0.095, root, z * 0.085]), np.array([x * radius, hem, z * radius * 0.92])
            self.chain(
                name, "hips", [start, (start + end) / 2, end], stiffness=1.6, gravity=0.02, drag=0.5, radius=0.012
            )

        def weights(p: np.ndarray) -> dict[str, np.ndarray]:
            down = smoothstep(root - 0.02, hem, p[:, 1])
            share = 0.42 * down
            out = {bone: w * (1 - share) for bone, w in body.skirt_weights(p).items()}
            around = np.arctan2(p[:, 0], p[:, 2])
            lower = smoothstep(0.35, 0.95, down)
            for name, at, _, _ in names:
                gap = np.abs((around - at + np.pi) % (2 * np.pi) - np.pi)
                near = share * smoothstep(np.pi / 2, 0.0, gap)
                out[f"{name}_0"] = near * (1 - lower)
                out[f"{name}_1"] = near * lower
            return out

        return weights

    def band(self, y: float, height: float, ease: float, zone: int = 2, weights=body.trunk_weights) -> None:
        """A belt, sash or waistband around the trunk, centred at ``y``."""
        ys = np.linspace(y + height / 2, y - height / 2, 4)
        bulge = np.array([0.0, 0.002, 0.002, 0.0])
        w, zf, zb = body.trunk_at(np.maximum(ys, 0.262), ease + bulge)
        g = body.ring(ys, w, zf, zb, 2 * self.n(13))
        self.piece.add(_capped(_rolled(g, 0.006), 0.006), self.zone(zone), weights, wrap=True)

    # ------------------------------------------------------------ details

    def slab(
        self,
        path: Sequence[Sequence[float]],
        width,
        thick: float = 0.005,
        zone: int | str = 2,
        out=(0.0, 0.0, 1.0),
        weights=body.trunk_weights,
        pair: bool = False,
        stations: int = 7,
        around: int = 8,
    ):
        """A flat strip along ``path`` (collars, straps, ties, lapels); ``width`` is a number or (0..1, full width) keys."""
        p = spline(path, self.n(stations, 3))
        s = np.linspace(0, 1, len(p))
        w = np.full(len(p), width / 2) if np.isscalar(width) else keyed(width, s) / 2
        t = np.full(len(p), thick)
        p = np.r_[p[:1], p, p[-1:]]  # closed ends
        w = np.r_[0.0005, w, 0.0005]
        t = np.r_[0.0003, t, 0.0003]
        tangent_a, tangent_b = p[2] - p[1], p[-2] - p[-3]
        p[0] -= tangent_a * 0.02
        p[-1] += tangent_b * 0.02
        up = np.asarray(out, float)
        if up.ndim == 2:
            up = np.stack(
                [np.interp(np.linspace(0, 1, len(p)), np.linspace(0, 1, len(up)), up[:, i]) for i in range(3)], -1
            )
        g = tube(p, w, t, up=up, around=self.n(around, 4), kind="square")
        grid = self.piece.add(g, zone if isinstance(zone, str) else self.zone(zone), weights, wrap=True)
        if pair:
            self.mirror(grid)
        return grid

    def ball(
        self, centre, radius, zone: int | str = "detail", weights=body.trunk_weights, pair: bool = False, size: int = 6
    ):
        """An ellipsoid: buttons, knots, pompoms. ``radius``: number or (x, y, z)."""
        r = np.broadcast_to(np.asarray(radius, float), 3)
        rows, cols = self.n(size, 4), self.n(size * 1.6, 6)
        lat = np.linspace(0.0, np.pi, rows + 1)[:, None]
        lon = np.linspace(0, 2 * np.pi, cols + 1)[None]
        p = np.stack(
            [
                np.sin(lat) * np.cos(lon) * r[0],
                np.cos(lat) * r[1] * np.ones_like(lon),
                np.sin(lat) * np.sin(lon) * r[2],
            ],
            -1,
        )
        g = self.piece.add(
            p + np.asarray(centre, float), zone if isinstance(zone, str) else self.zone(zone), weights, wrap=True
        )
        if pair:
            self.mirror(g)
        return g

    def front(self, x: float, y: float, ease: float = 0.012) -> np.ndarray:
        """A point on the front of the trunk at (x, y), ``ease`` metres off the skin."""
        w, zf, _ = (float(v) for v in body.trunk_at(np.array(max(y, 0.262)), ease))
        return np.array([x, y, zf * (max(0.0, 1 - (abs(x) / w) ** 2.1)) ** 0.5])

    def buttons(
        self, ys: Sequence[float], x: float = 0.0, ease: float = 0.014, size: float = 0.0085, pair: bool = False
    ) -> None:
        """A row of buttons down the front."""
        for y in ys:
            self.ball(self.front(x, y, ease), (size, size, size * 0.55), pair=pair, size=5)

    def bow(
        self, centre, size: float, zone: int = 1, tails: bool = True, weights=body.trunk_weights, out=(0.0, 0.0, 1.0)
    ) -> None:
        """A bow: two puffed loops, a knot, two tails."""
        c = np.asarray(centre, float)
        o = np.asarray(out, float)
        loop = np.array([[0.0, 0.0, 0.0], [0.45, 0.10, 0.06], [0.95, 0.12, 0.02], [1.12, -0.02, -0.02]]) * size
        loop[:, 2] *= np.sign(o[2]) if o[2] else 1
        p = spline(loop, self.n(7, 5)) + c
        prof = keyed([(0, 0.20), (0.3, 0.62), (0.75, 0.92), (0.95, 0.62), (1, 0.05)], np.linspace(0, 1, len(p)))
        g = self.piece.add(
            tube(p, size * 0.52 * prof, size * 0.24 * prof, up=o, around=self.n(9, 7)),
            self.zone(zone),
            weights,
            wrap=True,
        )
        self.mirror(g)
        if tails:
            tail = np.array([[0.02, -0.05, 0.0], [0.22, -0.55, 0.05], [0.46, -1.15, 0.02]]) * size
            tail[:, 2] *= np.sign(o[2]) if o[2] else 1
            self.slab(
                tail + c,
                [(0, size * 0.25), (1, size * 0.52)],
                size * 0.07,
                zone,
                out=o,
                weights=weights,
                pair=True,
                stations=5,
            )
        self.ball(c + o * size * 0.10, (size * 0.24, size * 0.27, size * 0.22), self.zone(zone), weights)

    def collar(self, height: float = 0.026, spread: float = 0.034, zone: int = 2, drop: float = 0.012) -> None:
        """A shirt collar: two wings that stand off the neck."""
        path = [
            (0.0, 0.578, -0.062),
            (0.040, 0.576, -0.046),
            (0.060, 0.568, -0.006),
            (0.050, 0.556, 0.038),
            (0.018, 0.545 - drop, 0.062),
        ]
        out = [(0, 0.35, -1), (0.8, 0.4, -0.7), (1, 0.5, 0), (0.7, 0.4, 0.8), (0.2, 0.3, 1)]
        self.slab(
            path,
            [(0, height), (0.6, height * 1.15), (0.85, height + spread * 0.35), (1, height * 0.7)],
            0.0050,
            zone,
            out=out,
            pair=True,
            stations=9,
        )

    def neckline(self, zone: int = 2, y: float = 0.566, r: float = 0.010) -> None:
        """A thick round neckline."""
        a = np.linspace(-np.pi, np.pi, 2 * self.n(11) + 1)
        a = (a - a[::-1]) / 2
        path = np.stack([0.053 * np.sin(a), y + 0.008 * -np.cos(a), -0.007 + 0.050 * np.cos(a)], -1)
        path[[0, -1], 0] = 0
        self.piece.add(_ring_tube(path, r, r, self.n(7, 6)), self.zone(zone), body.trunk_weights, wrap=True)

    def hood(self, zone: int = 1) -> None:
        """A hood that lies on the shoulders: fat behind, tapering to the front."""
        path = [
            (-0.012, 0.566, -0.108),
            (0.024, 0.567, -0.105),
            (0.066, 0.570, -0.080),
            (0.094, 0.566, -0.026),
            (0.080, 0.552, 0.030),
            (0.034, 0.538, 0.066),
        ]
        p = spline(path, self.n(11, 7))
        s = np.linspace(0, 1, len(p))
        r = keyed([(0, 0.046), (0.3, 0.042), (0.65, 0.027), (0.93, 0.016), (1, 0.004)], s)
        g = self.piece.add(
            tube(p, r, r * 0.72, up=(0, 1, 0), around=self.n(10, 7)), self.zone(zone), body.trunk_weights, wrap=True
        )
        self.mirror(g)

    def shoes(self, kind: str) -> None:
        """Both shoes, a little too big and turned out; ``kind``: sneakers, loafers, boots, rain_boots, mary_janes."""
        top = {
            "sneakers": 0.052,
            "loafers": 0.040,
            "mary_janes": 0.034,
            "boots": 0.105,
            "rain_boots": 0.128,
        }[kind]
        # height, half width, toe, heel
        rows = np.array([(0.0, 0.034, 0.070, -0.040), (0.004, 0.040, 0.078, -0.046), (0.016, 0.0425, 0.081, -0.048), (0.030, 0.0415, 0.076, -0.047),
                         (0.046, 0.0400, 0.058, -0.046), (0.060, 0.0395, 0.044, -0.045), (0.130, 0.0425, 0.045, -0.046)])  # fmt: skip
        ys = np.r_[0.0, 0.004, np.linspace(0.016, top, self.n(6, 4) + (3 if top > 0.06 else 0))]
        w, toe, heel = (keyed(rows[:, [0, i]], ys) for i in (1, 2, 3))
        if kind == "mary_janes":
            toe, heel = toe - 0.002, heel + 0.002
        a = np.linspace(-np.pi, np.pi, 2 * self.n(9) + 1)
        x = w[:, None] * np.sign(np.sin(a)) * np.abs(np.sin(a)) ** 0.85
        c = np.cos(a)
        z = np.where(c > 0, toe[:, None], -heel[:, None]) * np.sign(c) * np.abs(c) ** 0.85
        g = np.stack([x, np.broadcast_to(ys[:, None], x.shape), z], -1)
        g = g[::-1]
        g = _soled(g)
        turn = np.radians(8)
        rot = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        place = np.array([0.062, 0.0, -0.002])
        g = g @ rot.T + place
        foot = _foot_weights
        cut = int(np.argmax(g[:, 0, 1] <= 0.0165))
        upper, sole = g[: cut + 1], g[cut:]
        grids = [
            self.piece.add(upper, self.zone(1), foot, wrap=True, flip=_outwards(g)),
            self.piece.add(sole, self.zone(2), foot, wrap=True, flip=_outwards(g)),
        ]
        if kind == "sneakers":
            cap = np.array([[0.0, 0.020, 0.084], [0.0, 0.036, 0.074], [0.0, 0.044, 0.060]]) @ rot.T + place
            grids.append(
                self.slab(
                    cap, [(0, 0.046), (0.5, 0.050), (1, 0.036)], 0.005, 2, out=(0, 0.6, 0.8), weights=foot, stations=4
                )
            )
            for i in range(2):
                y, zz = 0.050 + i * 0.004, 0.056 - i * 0.014
                lace = (
                    np.array([[-0.020, y - 0.002, zz - 0.004], [0.0, y + 0.004, zz], [0.020, y - 0.002, zz - 0.004]])
                    @ rot.T
                    + place
                )
                grids.append(self.slab(lace, 0.007, 0.003, 2, out=(0, 0.8, 0.6), weights=foot, stations=4, around=6))
        if kind == "mary_janes":
            strap = (
                np.array(
                    [
                        [-0.042, 0.026, 0.020],
                        [-0.026, 0.050, 0.026],
                        [0.0, 0.056, 0.028],
                        [0.026, 0.050, 0.026],
                        [0.042, 0.026, 0.020],
                    ]
                )
                @ rot.T
                + place
            )
            grids.append(self.slab(strap, 0.012, 0.004, 1, out=(0, 1, 0.2), weights=foot, stations=7))
        if top > 0.1:
            ring = g[:1].repeat(4, 0)
            ring[:, :, 1] += np.array([0.004, 0.002, -0.010, -0.014])[:, None]
            mid = place * [1, 0, 1]
            ring[1:3] = mid + (ring[1:3] - mid) * np.array([1.09, 1.0, 1.09])
            ring[[0, 3]] = mid + (ring[[0, 3]] - mid) * np.array([0.95, 1.0, 0.95])
            grids.append(self.piece.add(ring, self.zone(2 if kind == "boots" else 1), foot, wrap=True))
        self.mirror(*grids)
        self.hide("leg", 0.0, min(top, 0.05) - 0.006)

    def sock(self, top: float, cuff: bool = True) -> None:
        """Both socks up to ``top``."""
        y = np.linspace(top, 0.026, self.n(8, 4) if top < 0.1 else self.n(12, 6))
        r = body.leg_radius(y) + 0.0035
        g = tube(body.leg_path(y), r, r, up=(0, 0, -1), around=self.n(12))
        grids = [self.piece.add(g, self.zone(1), body.leg_weights, wrap=True)]
        if cuff:
            y2 = np.linspace(top + 0.004, top - 0.012, 4)
            r2 = body.leg_radius(y2) + np.array([0.003, 0.0065, 0.0065, 0.004])
            g2 = tube(body.leg_path(y2), r2, r2, up=(0, 0, -1), around=self.n(12))
            grids.append(self.piece.add(_capped(g2), self.zone(2), body.leg_weights, wrap=True))
        self.mirror(*grids)
        self.hide("leg", 0.0, top - 0.010)

    def chain(self, name: str, parent: str, points, **options) -> None:
        """A spring chain for what hangs."""
        self.piece.chains.append(Chain(name, parent, np.asarray(points, float), **options))


def _foot_weights(p: np.ndarray) -> dict[str, np.ndarray]:
    foot = smoothstep(0.075, 0.036, p[:, 1])
    toes = smoothstep(0.030, 0.062, p[:, 2]) * 0.5
    lower = smoothstep(0.188, 0.118, p[:, 1])
    return {
        "leftFoot": foot * (1 - toes),
        "leftToes": foot * toes,
        "leftLowerLeg": (1 - foot) * lower,
        "leftUpperLeg": (1 - foot) * (1 - lower),
    }


def _outwards(g: np.ndarray) -> bool:
    from .loft import _inside_out

    return _inside_out(g)


def _rolled(g: np.ndarray, size: float) -> np.ndarray:
    """Add a rounded hem after the last row: a lip and a turn back inside."""
    last, before = g[-1], g[-2]
    along = last - before
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    middle = last[:-1].mean(0)
    inward = middle - last
    inward -= (inward * along).sum(1, keepdims=True) * along
    inward /= np.linalg.norm(inward, axis=1, keepdims=True) + 1e-9
    lip = last + along * size * 0.35 + inward * size * 0.45
    turn = last - along * size * 0.6 + inward * size * 1.05
    return np.concatenate([g, lip[None], turn[None]])


def _capped(g: np.ndarray, size: float = 0.006) -> np.ndarray:
    """Close the first row towards the inside as well."""
    return _rolled(g[::-1], size)[::-1]


def _soled(g: np.ndarray) -> np.ndarray:
    """Close the last row to its middle (soles)."""
    middle = g[-1][:-1].mean(0)
    return np.concatenate([g, np.broadcast_to(middle, g[-1].shape)[None]])


def _ring_tube(path: np.ndarray, width: float, depth: float, around: int) -> np.ndarray:
    """A tube along a closed path."""
    t = np.gradient(path, axis=0)
    t[[0, -1]] = path[1] - path[-2]
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])
    side = np.cross(t, up)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    a = np.linspace(0, 2 * np.pi, around + 1)
    return path[:, None] + side[:, None] * (np.cos(a) * width)[None, :, None] + up * (np.sin(a) * depth)[None, :, None]
