"""Hair: a sculpted shell that grows from the crown, big lens-shaped locks, and hanging tails with spring chains.

Everything is in head units until :func:`head.to_world`. Attribute 0 runs across a lock or around the head, attribute 1 from root (0) to tip (1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import head
from .head import at, row_at, to_world
from .loft import Chain, Piece, keyed, smoothstep, spline, tube

DEG = np.pi / 180


class Builder:
    """Collects the grids of one hair style at one triangle preset."""

    def __init__(self, name: str, level: int, part: str = "hair") -> None:
        self.piece = Piece(name, part)
        self.level = level
        self.k = (0.38, 0.84, 1.25)[level]

    def n(self, count: float, least: int = 3) -> int:
        """A cell count for this triangle preset."""
        return max(least, round(count * self.k))

    # ------------------------------------------------------------ the shell

    def shell(
        self,
        hem: Sequence[tuple[float, float]],
        thick: Sequence[tuple[float, float]],
        locks: int = 13,
        groove: float = 0.022,
        tips: float = 0.05,
        flare: float = 0.0,
        curl: float = 0.05,
        back: float = 0.0,
        lumps: float = 0.0,
        weights="head",
        crown: float = 0.085,
        phase: float = 0.5,
    ) -> None:
        """Hair from the crown to a hem. ``hem``: (degrees from the front, height of the edge); ``thick``: (degrees, offset at the edge).

        ``groove`` and ``tips`` carve ``locks`` locks into it, ``flare`` opens the hem, ``curl`` rolls the edge in, ``back`` pushes the occiput out.
        """
        per = self.n(4, 2)
        half = np.linspace(0, np.pi, max(8, round(locks * per / 2)) + 1)
        # more columns where the face opening cuts down
        deg = half / DEG
        warp = np.interp(deg, [0, 44, 60, 76, 180], [0, 36, 62, 84, 180])
        t = np.r_[-(warp * DEG)[:0:-1], warp * DEG]
        mirrored_deg = np.abs(t) / DEG
        hem_y = keyed(hem, mirrored_deg)
        off = keyed(thick, mirrored_deg)
        lobe = np.abs(
            ((mirrored_deg / 360 * locks + phase) % 1) * 2 - 1
        )  # 0 in a groove .. 1 on a lock's middle, symmetric
        hem_y = hem_y - tips * (lobe**1.3) * smoothstep(0.80, 0.55, hem_y)
        rows = self.n(15, 8)
        v = np.linspace(0, 1, rows + 1) ** 1.30  # closer at the crown, where the outline turns fastest
        V = v[:, None]
        T = np.broadcast_to(t[None], (rows + 1, t.size))
        limit = np.maximum(hem_y, 0.10)  # the skin follows the skull down to here, then hair hangs
        s_hem = row_at(limit, t)
        S = 1 - V * (1 - s_hem[None])
        grow = smoothstep(0.0, 0.75, V)
        offset = np.broadcast_to(crown + (off[None] - crown) * grow, T.shape)
        occiput = back * smoothstep(70, 150, mirrored_deg)[None] * np.sin(np.pi * np.clip(V * 1.05, 0, 1)) ** 0.8
        carve = groove * (lobe[None] ** 0.7 - 0.6) * smoothstep(0.06, 0.50, V)
        bump = lumps * np.cos(T * 9) * np.cos(V * 17) * smoothstep(0.08, 0.4, V)
        p = at(np.clip(S, 0, 1), T, offset + occiput + carve + bump)
        # below the skull the shell hangs: continue downwards from the lowest skin row
        drop = (limit - hem_y)[None]
        hang = smoothstep(0.55, 1.0, V) * drop
        p[..., 1] -= hang
        out = np.stack([np.sin(T), np.zeros_like(T), np.cos(T)], -1)
        p += out * (flare * smoothstep(0.5, 1.0, V) * smoothstep(0.80, 0.5, hem_y)[None])[..., None]
        # round the hem, then line the inside up to just under the skin
        inner = [rows, round(rows * 0.86), round(rows * 0.66)]
        depth = [0.55 * curl, 1.15 * curl, None]
        lining = []
        for row, d in zip(inner, depth, strict=True):
            d = offset[row] + 0.035 if d is None else np.full(t.size, d)
            q = p[row] - out[row] * d[:, None]
            q[:, 1] -= 0.012 * (row == rows)
            lining.append(q)
        p = np.concatenate([p, np.stack(lining)], 0)
        a0 = np.broadcast_to((t / (2 * np.pi) * locks)[None], p.shape[:2])
        a1 = np.concatenate([np.broadcast_to(V, T.shape), np.full((3, t.size), 1.0)], 0)
        self.piece.add(to_world(p), "hair", weights, attributes=np.stack([a0, a1], -1), wrap=True)

    # ------------------------------------------------------------ locks

    def lock(
        self,
        path: np.ndarray,
        width: float,
        thick: float,
        out: np.ndarray | None = None,
        profile: Sequence[tuple[float, float]] = ((0, 0.72), (0.35, 1.0), (0.7, 0.82), (0.9, 0.42), (1, 0.02)),
        kind: str = "lens",
        weights="head",
        zone: str = "hair",
        stations: int = 9,
        around: int = 8,
        density: float = 1.0,
        seed: float = 0.0,
    ):
        """One lock along ``path`` (K, 3) in head units; ``out`` is the outward side (default: away from the head's middle)."""
        p = spline(path, self.n(stations, 5))
        if out is None:
            centre = np.stack([np.zeros(len(p)), np.clip(p[:, 1], 0.30, 0.62), np.zeros(len(p))], -1)
            out = p - centre
        s = np.linspace(0, 1, len(p))
        w = keyed(profile, s)
        g = tube(p, width / 2 * w, thick * np.maximum(w**0.8, 0.02), up=out, around=self.n(around, 5), kind=kind)
        turns = 5 if kind == "lobed" else 1
        a = np.stack(np.meshgrid(np.linspace(0, turns, g.shape[1]) + seed * (turns == 1), s), -1)
        return self.piece.add(to_world(g), zone, weights, attributes=a, wrap=True, density=density)

    def on_skull(self, points: Sequence[tuple[float, float, float]]) -> np.ndarray:
        """(degrees, height, offset) to head-unit points over the skin."""
        q = np.asarray(points, float)
        return at(row_at(q[:, 1], q[:, 0] * DEG), q[:, 0] * DEG, q[:, 2])

    def bang(
        self,
        root: float,
        tip: float,
        tip_y: float,
        width: float,
        lift: float = 0.0,
        thick: float = 0.052,
        root_y: float = 0.968,
        bow: float = 0.0,
    ):
        """A lock of the fringe from angle ``root`` to ``tip`` (degrees), cut at height ``tip_y``."""
        mid = (root + tip) / 2
        path = self.on_skull([
            (root * 0.80, root_y, 0.022),
            (root + (mid - root) * 0.4, 0.900, 0.080 + lift),
            (mid + bow, (0.83 + tip_y) / 2 + 0.02, 0.084 + lift),
            (tip, tip_y, 0.048 + lift * 0.6),
        ])  # fmt: skip
        return self.lock(
            path,
            width,
            thick,
            profile=((0, 0.30), (0.3, 0.90), (0.60, 1.0), (0.80, 0.76), (0.92, 0.42), (1, 0.02)),
            stations=12,
            seed=round(root) * 0.37,
        )

    def side_lock(
        self,
        y: float,
        width: float = 0.13,
        deg: float = 66,
        out: float = 0.085,
        inward: float = 0.03,
        blunt: bool = False,
    ):
        """The pair of locks in front of the ears, down to height ``y``; chains make them swing when they are long."""
        a = self.on_skull(
            [(deg - 10, 0.86, 0.105), (deg - 2, 0.70, out + 0.035), (deg, 0.50, out + 0.020), (deg - 1, 0.33, out)]
        )
        end = a[-1]
        low = np.array([[end[0] * 0.99, (0.33 + y) / 2, end[2] * 0.98], [end[0] - inward, y, end[2] * 0.94]])
        path = np.r_[a, low]
        prof = (
            ((0, 0.5), (0.3, 0.95), (0.7, 1.0), (0.95, 0.92), (1, 0.80))
            if blunt
            else ((0, 0.5), (0.3, 1.0), (0.65, 0.95), (0.88, 0.5), (1, 0.02))
        )
        g = self.lock(path, width, 0.050, profile=prof, stations=11, seed=0.4)
        self.piece.mirrored([g])

    def ahoge(self) -> None:
        """The one hair that will not lie down."""
        path = np.array(
            [(0.0, 1.06, 0.02), (0.015, 1.17, 0.03), (0.06, 1.25, 0.09), (0.14, 1.26, 0.15), (0.18, 1.20, 0.18)]
        )
        self.lock(
            path,
            0.085,
            0.022,
            out=np.array([0.0, 0.4, -1.0]),
            profile=((0, 0.75), (0.3, 1.0), (0.7, 0.7), (1, 0.02)),
            stations=9,
        )

    # ------------------------------------------------------------ hanging parts

    def tail(
        self,
        path: np.ndarray,
        width: float,
        thick: float,
        name: str,
        pair: bool = True,
        joints: int = 4,
        profile: Sequence[tuple[float, float]] = (
            (0, 0.30),
            (0.09, 0.34),
            (0.16, 0.50),
            (0.28, 0.86),
            (0.46, 1.0),
            (0.72, 0.84),
            (0.9, 0.44),
            (1, 0.03),
        ),
        strands: int = 3,
        kind: str = "lobed",
        out: np.ndarray | None = None,
        stiffness: float = 1.0,
    ) -> None:
        """A hanging tail with its own spring chain; ``path`` is the left one when ``pair``."""
        p = np.asarray(path, float)
        chain = to_world(spline(p, joints + 1))
        label = f"{name}_left" if pair else name
        weights = chain_weights(label, chain)
        before = len(self.piece.grids)
        side = np.array([0.0, 0.0, -1.0]) if out is None else out
        self.lock(p, width, thick, out=side, profile=profile, kind=kind, weights=weights, stations=19, around=13)
        for i in range(strands):  # looser strands make the silhouette
            shift = (i - (strands - 1) / 2) / max(strands - 1, 1)
            q = spline(p, 7)[2:]
            along = np.linspace(0, 1, len(q))[:, None]
            _, side_v, out_v = _frame(q, side)
            q = q + side_v * shift * width * 0.62 * (1 - 0.2 * along) + out_v * thick * (0.45 - 0.5 * abs(shift))
            q = q + side_v * shift * 0.10 * along**2
            self.lock(q, width * 0.42, thick * 0.42, out=side, weights=weights, stations=9, around=7, seed=i * 0.3)
        if pair:
            self.piece.mirrored(self.piece.grids[before:])
        self.piece.chains.append(Chain(label, "head", chain, stiffness=stiffness, radius=width * 0.2 * head.HEAD))
        if pair:
            c = self.piece.chains[-1]
            self.piece.chains.append(
                Chain(
                    f"{name}_right", "head", c.points * np.array([-1.0, 1, 1]), stiffness, c.gravity, c.drag, c.radius
                )
            )

    def braid(
        self, path: np.ndarray, width: float, name: str, pair: bool = True, lobes: int = 6, joints: int = 4
    ) -> None:
        """A plait: two rows of overlapping lobes along ``path`` and a tuft."""
        p = np.asarray(path, float)
        chain = to_world(spline(p, joints + 1))
        label = f"{name}_left" if pair else name
        weights = chain_weights(label, chain)
        before = len(self.piece.grids)
        q = spline(p, lobes * 2 + 3)
        _, side_v, out_v = _frame(q, np.array([0.0, 0.0, -1.0]))
        for i in range(lobes * 2):
            sign = 1 if i % 2 else -1
            size = width * (1 - 0.32 * i / (lobes * 2))
            a = q[i] + sign * side_v[i] * size * 0.42 + out_v[i] * size * 0.05
            b = q[i + 2] - sign * side_v[i + 1] * size * 0.12 + out_v[i + 1] * size * 0.10
            mid = (a + b) / 2 + sign * side_v[i] * size * 0.24 + out_v[i] * size * 0.14
            self.lock(np.array([a, mid, b]), size * 0.78, size * 0.46, out=out_v[i], kind="round", weights=weights,
                      profile=((0, 0.35), (0.3, 0.95), (0.6, 1.0), (1, 0.25)), stations=6, around=7, seed=i * 0.21)  # fmt: skip
        tip = q[-3:]
        self.lock(np.r_[tip, [tip[-1] + (tip[-1] - tip[0]) * 0.7]], width * 0.62, width * 0.34, out=np.array([0, 0, -1.0]), kind="round", weights=weights,
                  profile=((0, 0.4), (0.2, 0.55), (0.55, 1.0), (1, 0.03)), stations=7, around=8)  # fmt: skip
        tie = spline(p, 40)[36]
        self._tie(tie, width * 0.30, p[-1] - p[-2], weights)
        if pair:
            self.piece.mirrored(self.piece.grids[before:])
        for side, points in (("left", chain), ("right", chain * np.array([-1.0, 1, 1]))) if pair else (("", chain),):
            self.piece.chains.append(
                Chain(f"{name}_{side}" if pair else name, "head", points, radius=width * 0.2 * head.HEAD)
            )

    def _tie(self, centre: np.ndarray, radius: float, axis: np.ndarray, weights="head", zone: str = "hair_tie") -> None:
        """A ring around a tail."""
        axis = np.asarray(axis, float) / np.linalg.norm(axis)
        path = centre + axis * np.linspace(-0.030, 0.030, 5)[:, None]
        r = radius * np.array([0.80, 1.10, 1.18, 1.10, 0.80])
        ref = np.array([0, 0, 1.0]) if abs(axis[2]) < 0.8 else np.array([0, 1.0, 0])
        g = tube(path, r, r, up=ref, around=self.n(10, 8))
        self.piece.add(to_world(g), zone, weights, wrap=True)

    def tie(self, centre, radius, axis, pair: bool = True) -> None:
        """A ring at the root of a tail, on both sides when ``pair``."""
        before = len(self.piece.grids)
        self._tie(np.asarray(centre, float), radius, np.asarray(axis, float))
        if pair:
            self.piece.mirrored(self.piece.grids[before:])

    def ball(
        self, centre, radius: float, pair: bool, swirl: float = 0.10, axis=(0.0, 1.0, 0.0), size: float = 1.0
    ) -> None:
        """A bun: a sphere with a coil carved into it."""
        rows, cols = self.n(10 * size, 4), self.n(16 * size, 7)
        lat = np.linspace(0.02, np.pi - 0.02, rows + 1)[:, None]
        lon = np.linspace(0, 2 * np.pi, cols + 1)[None]
        r = radius * (1 + swirl * np.cos(3 * lon + 2.2 * lat) * np.sin(lat))
        ax = np.asarray(axis, float) / np.linalg.norm(axis)
        u = np.cross(ax, [0.0, 0.0, 1.0] if abs(ax[2]) < 0.9 else [1.0, 0, 0])
        u /= np.linalg.norm(u)
        w = np.cross(ax, u)
        p = (
            np.asarray(centre, float)
            + (r * np.sin(lat))[..., None] * (np.cos(lon)[..., None] * u + np.sin(lon)[..., None] * w)
            + (r * np.cos(lat))[..., None] * ax * 0.92
        )
        a = np.stack(np.meshgrid(np.linspace(0, 3, cols + 1), np.linspace(0.1, 0.9, rows + 1)), -1)
        g = self.piece.add(to_world(p), "hair", "head", attributes=a, wrap=True)
        if pair:
            self.piece.mirrored([g])


def _frame(q: np.ndarray, up: np.ndarray):
    from .loft import frames

    return frames(q, up)


def chain_weights(label: str, chain: np.ndarray):
    """Weights along a spring chain: joint i moves what lies between points i and i + 1, softly; the root is fixed to the head."""

    def weigh(p: np.ndarray) -> dict[str, np.ndarray]:
        segments = chain[1:] - chain[:-1]
        length = (segments**2).sum(1)
        rel = ((p[:, None] - chain[None, :-1]) * segments).sum(2) / length
        near = ((p[:, None] - (chain[None, :-1] + np.clip(rel, 0, 1)[..., None] * segments)) ** 2).sum(2)
        k = near.argmin(1)
        pos = k + np.clip(rel[np.arange(len(p)), k], 0, 1)
        out = {"head": smoothstep(0.55, 0.05, pos)}
        for i in range(len(chain) - 1):
            up = smoothstep(i - 0.5, i + 0.5, pos) if i else 1 - out["head"]
            down = smoothstep(i + 0.5, i + 1.5, pos) if i < len(chain) - 2 else 0.0
            out[f"{label}_{i}"] = np.clip(up - down, 0, 1)
        return out

    return weigh
