"""How strongly an identity acts: by block (weight types) and by step (start, end, ramp)."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from .blocks import Block, Layout

CHIBI = "chibi"
WEIGHT_TYPES = (
    CHIBI, "linear", "ease in", "ease out", "ease in-out", "reverse in-out", "weak input", "weak output", "weak middle", "strong middle",
    "style transfer", "composition", "strong style transfer", "style and composition", "style transfer precise", "composition precise",
)  # fmt: skip
EMBEDS_SCALING = ("V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty")

# The chibi preset: let the style form first, keep the identity out of the layout, and never let it speak louder than the prompt.
CHIBI_START, CHIBI_RAMP, CHIBI_INPUT, CHIBI_CAP = 0.2, 0.15, 0.3, 0.7

_STYLE = {"sd15": (0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15), "sdxl": (6,)}
_COMPOSITION = {"sd15": {4: 0.25, 5: 1.0}, "sdxl": {3: 1.0}}
_COUNT = {"sd15": 16, "sdxl": 11}


@dataclass(frozen=True)
class BlockWeight:
    """Weight of one block; ``swapped``: the identity goes to the negative side there and the positive side gets nothing."""

    weight: float
    swapped: bool = False


def _table(kind: str, family: str, weight: float, composition: float) -> dict[int, float] | None:
    """Weights by transformer number for the types that act on some only; others are 0."""
    every = range(_COUNT[family])
    style = dict.fromkeys(_STYLE[family], weight)
    parts = {index: share * composition for index, share in _COMPOSITION[family].items()}
    if kind == "style transfer":
        return style
    if kind == "composition":
        return {index: share * weight for index, share in _COMPOSITION[family].items()}
    if kind == "strong style transfer":
        return {index: weight for index in every if index not in _COMPOSITION[family]}
    if kind in ("style and composition", "style transfer precise"):
        return {**style, **parts}
    if kind == "composition precise":
        return {**{index: weight * (1.0 if index in _STYLE[family] else 0.1) for index in every}, **parts}
    return None


def block_weight(kind: str, block: Block, unet: Layout, weight: float, composition: float | None = None) -> BlockWeight:
    """The weight of ``block`` under weight type ``kind``. ``composition`` defaults to ``weight``."""
    composition = weight if composition is None else composition
    place, half = block.transformer, unet.steps / 2
    table = _table(kind, unet.name, weight, composition)
    if table is not None:
        inside = place in _COMPOSITION[unet.name]
        swapped = (kind == "style transfer precise" and inside) or (kind == "composition precise" and not inside)
        return BlockWeight(table.get(place, 0.0), swapped and place in table)
    factor = {
        "ease in": 0.05 + 0.95 * (1 - place / unet.steps),
        "ease out": 0.05 + 0.95 * place / unet.steps,
        "ease in-out": 0.05 + 0.95 * (1 - abs(place - half) / half),
        "reverse in-out": 0.05 + 0.95 * abs(place - half) / half,
        "weak input": 0.2 if block.kind == "input" else 1.0,
        "weak middle": 0.2 if block.kind == "middle" else 1.0,
        "weak output": 0.2 if block.kind == "output" else 1.0,
        "strong middle": 1.0 if block.kind == "middle" else 0.2,
        CHIBI: CHIBI_INPUT if block.kind == "input" else 1.0,
        "linear": 1.0,
    }
    return BlockWeight(weight * factor[kind])


@dataclass(frozen=True)
class Window:
    """When an identity acts: full between ``start`` and ``end`` (noise levels, high to low), rising along ``knots`` after the start."""

    start: float
    end: float
    knots: tuple[tuple[float, float], ...] = ()

    def factor(self, sigma: float) -> float:
        """0..1 for a noise level; both ends belong to the window."""
        if not self.end <= sigma <= self.start:
            return 0.0
        if not self.knots:
            return 1.0
        level = -math.log(max(sigma, 1e-9))
        levels = [knot[0] for knot in self.knots]
        at = bisect_left(levels, level)
        if at == 0:
            return self.knots[0][1]
        if at == len(levels):
            return 1.0
        (low, below), (high, above) = self.knots[at - 1], self.knots[at]
        return below + (above - below) * (level - low) / max(high - low, 1e-9)


def window(percent_to_sigma: Callable[[float], float], start: float, end: float, ramp: float = 0.0) -> Window:
    """A window from ``start`` to ``end`` (0..1 of sampling) that fades in over ``ramp`` of it."""
    knots: tuple[tuple[float, float], ...] = ()
    if ramp > 0:
        places = [min(1.0, max(start, 1e-3) + ramp * step / 8) for step in range(9)]
        knots = tuple((-math.log(max(float(percent_to_sigma(p)), 1e-9)), step / 8) for step, p in enumerate(places))
    return Window(float(percent_to_sigma(start)), float(percent_to_sigma(end)), knots)
