"""Random choices that depend on a seed and a name only: the same on every machine, and none of them shifts another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def number(seed: int, name: str) -> float:
    """A number in [0, 1) that belongs to ``name`` under ``seed``."""
    digest = hashlib.sha256(f"{int(seed)}\x1f{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def pick(seed: int, name: str, options: Sequence[T], weights: Sequence[float]) -> T:
    """One of ``options``, as likely as its weight. Raises ValueError when no weight is above zero."""
    total = 0.0
    for weight in weights:
        total += weight
    if not options or total <= 0:
        raise ValueError(f"{name}: nothing to choose from")
    mark, run = number(seed, name) * total, 0.0
    for option, weight in zip(options, weights, strict=True):
        run += weight
        if mark < run:
            return option
    return options[-1]
