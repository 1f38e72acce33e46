"""Lofted quads: the one way every part of the base mesh is made.

A :class:`Piece` collects grids of vertices. Each grid carries its own UV rectangle, smoothing, zone, weights and painting attributes, so
texture coordinates are designed with the shape and never overlap. All lengths are metres; the canonical figure is 2.5 heads of 0.4 m.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

Weights = Callable[[np.ndarray], dict[str, np.ndarray]]  # (N, 3) positions -> bone name -> (N,) weights


def spline(points: Sequence[Sequence[float]], count: int, tight: bool = False) -> np.ndarray:
    """``count`` samples of a curve through ``points`` (K, D), even in chord length."""
    p = np.asarray(points, float)
    d = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(p[:, :3], axis=0), axis=1))]
    s = d / d[-1]
    make = PchipInterpolator if tight else CubicSpline
    return make(s, p, axis=0)(np.linspace(0, 1, count))


def keyed(keys: Sequence[tuple[float, float]], s: np.ndarray) -> np.ndarray:
    """Monotone-smooth interpolation of (parameter, value) keys at ``s``."""
    k = np.asarray(keys, float)
    return PchipInterpolator(k[:, 0], k[:, 1])(np.clip(s, k[0, 0], k[-1, 0]))


def smoothstep(a: float, b: float, x: np.ndarray) -> np.ndarray:
    """0 below ``a``, 1 above ``b``, cubic between; works for a > b too."""
    t = np.clip((np.asarray(x, float) - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass
class Grid:
    """One rectangular patch: (R, C, 3) positions with per-vertex attributes."""

    points: np.ndarray
    zone: str
    size: tuple[float, float]  # wanted UV size (width, height) in metres of surface
    attributes: np.ndarray  # (R, C, 2): painting coordinates
    weights: Weights | str
    wrap: bool = False  # last column equals the first on the surface (a UV seam)
    flip: bool = False  # reverse the winding
    rect: tuple[float, float, float, float] | None = None  # u0, v0, u1, v1 once packed; v grows downwards
    uv: np.ndarray | None = None  # (R, C, 2) inside 0..1 of the rect, defaults to arc length
    keep: np.ndarray | None = None  # (R-1, C-1) bool: quads that exist
    density: float = 1.0  # texels per metre relative to the atlas region's
    cover: str = ""  # what hides this grid: "hair" (where ``hidden`` says so), or a body zone that clothes cover
    hidden: np.ndarray | None = None  # (R, C) 1 where hair hides the vertex
    smooth: str = ""  # grids with the same label share normals where they touch
    morphs: dict[str, np.ndarray] = field(default_factory=dict)  # name -> (R, C, 3) metres


@dataclass
class Chain:
    """Spring joints that the piece brings along: names, positions and the bone they hang from."""

    name: str
    parent: str
    points: np.ndarray  # (K, 3)
    stiffness: float = 1.0
    gravity: float = 0.05
    drag: float = 0.4
    radius: float = 0.02


@dataclass
class Piece:
    """A named, optional part of the figure: grids, spring chains, and what it hides of the body."""

    name: str
    part: str
    grids: list[Grid] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    hides: tuple[tuple[str, float, float], ...] = ()  # (body zone, from, to) along the zone's second attribute

    def add(self, points: np.ndarray, zone: str, weights: Weights | str, **options) -> Grid:
        """Add a (R, C, 3) grid; ``attributes`` default to (across 0..1, along 0..1)."""
        points = np.asarray(points, float)
        rows, cols = points.shape[:2]
        if "attributes" not in options:
            a, b = np.meshgrid(np.linspace(0, 1, cols), np.linspace(0, 1, rows))
            options["attributes"] = np.stack([a, b], -1)
        if "size" not in options:
            across = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1)
            along = np.linalg.norm(np.diff(points, axis=0), axis=2).sum(0)
            options["size"] = (float(np.quantile(across, 0.9)), float(np.quantile(along, 0.9)))
        if "flip" not in options:
            options["flip"] = _inside_out(points)
        grid = Grid(points, zone, weights=weights, **options)
        self.grids.append(grid)
        return grid

    def mirrored(self, grids: list[Grid] | None = None) -> None:
        """Add exact mirror images (x -> -x) of ``grids`` (default: all), with left and right bones swapped."""
        for g in list(self.grids if grids is None else grids):
            points = g.points * np.array([-1.0, 1.0, 1.0])
            weights = g.weights
            if callable(weights):
                weights = _mirror_weights(weights)
            elif isinstance(weights, str):
                weights = swap_side(weights)
            self.grids.append(
                Grid(
                    points,
                    g.zone,
                    g.size,
                    g.attributes,
                    weights,
                    g.wrap,
                    not g.flip,
                    uv=g.uv,
                    keep=g.keep,
                    density=g.density,
                    cover=g.cover,
                    hidden=g.hidden,
                    smooth=g.smooth,
                )
            )

    def mirror_chains(self) -> None:
        """Add the mirror image of every chain so far; 'left' in a name becomes 'right'."""
        for c in list(self.chains):
            self.chains.append(
                Chain(
                    swap_side(c.name),
                    swap_side(c.parent),
                    c.points * np.array([-1.0, 1, 1]),
                    c.stiffness,
                    c.gravity,
                    c.drag,
                    c.radius,
                )
            )


def _inside_out(points: np.ndarray) -> bool:
    """Whether row-then-column winding faces the grid's own middle."""
    a, b, c, d = points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]
    normal = np.cross(c - a, b - d)
    return float((normal * ((a + b + c + d) / 4 - points.mean((0, 1)))).sum()) < 0


def swap_side(name: str) -> str:
    """leftHand <-> rightHand, tail_left <-> tail_right."""
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def _mirror_weights(weights: Weights) -> Weights:
    def mirrored(p: np.ndarray) -> dict[str, np.ndarray]:
        return {swap_side(bone): w for bone, w in weights(p * np.array([-1.0, 1, 1])).items()}

    return mirrored


def frames(path: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tangent, side and outward vectors along ``path`` (K, 3); ``up`` (K, 3) or (3,) is the wanted outward direction."""
    t = np.gradient(path, axis=0)
    t /= np.linalg.norm(t, axis=1, keepdims=True) + 1e-12
    n = np.broadcast_to(np.asarray(up, float), path.shape).copy()
    n -= (n * t).sum(1, keepdims=True) * t
    n /= np.linalg.norm(n, axis=1, keepdims=True) + 1e-12
    return t, np.cross(t, n), n


def section(kind: str, count: int) -> np.ndarray:
    """A closed unit cross-section, (count + 1, 2) with the first point repeated: (across, outward)."""
    a = np.linspace(0, 2 * np.pi, count + 1)
    x, y = np.sin(a), -np.cos(a)  # starts at the inner side, so the UV seam is hidden
    if kind == "lens":  # hair lock: pointed sides, ridged outside, flat inside
        x = np.sign(x) * np.abs(x) ** 0.85
        y = np.where(y > 0, y**1.0 * (0.72 + 0.28 * np.abs(np.cos(a)) ** 2), y * 0.45)
    elif kind == "lobed":
        r = 1 + 0.10 * np.cos(5 * a)
        x, y = x * r, y * r
    elif kind == "square":
        x, y = np.sign(x) * np.abs(x) ** 0.6, np.sign(y) * np.abs(y) ** 0.6
    return np.stack([x, y], -1)


def tube(
    path: np.ndarray,
    width: np.ndarray,
    depth: np.ndarray,
    up: np.ndarray = (0.0, 0.0, 1.0),
    around: int = 8,
    kind: str = "round",
    shape: np.ndarray | None = None,
) -> np.ndarray:
    """Loft of a cross-section along ``path``: (K, around + 1, 3). ``width``/``depth`` are half sizes per station."""
    _, side, out = frames(path, up)
    s = section(kind, around) if shape is None else shape
    return (
        path[:, None]
        + side[:, None] * (s[None, :, 0:1] * width[:, None, None])
        + out[:, None] * (s[None, :, 1:2] * depth[:, None, None])
    )
