"""Several photos into one identity: strangers are put aside, the rest is averaged by quality and brought back to length one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import IdentityError


@dataclass(frozen=True)
class Fused:
    """The fused direction [D] of norm 1, the length to give it where an adapter wants the recogniser's own, and which rows were kept [N]."""

    vector: np.ndarray
    length: float
    kept: np.ndarray
    similarity: np.ndarray  # [N, N] cosine


def checked(embeddings: np.ndarray, what: str = "face embedding") -> np.ndarray:
    """``embeddings`` [N, D] as float64. Raises :class:`IdentityError` for anything that is not a direction."""
    rows = np.atleast_2d(np.asarray(embeddings, np.float64))
    if not np.isfinite(rows).all():
        raise IdentityError(f"the {what} has NaN or infinite numbers: analyse the photo again")
    if (np.linalg.norm(rows, axis=1) < 1e-6).any():
        raise IdentityError(f"the {what} is all zeros: analyse the photo again, or leave it out")
    return rows


def normalised(rows: np.ndarray) -> np.ndarray:
    """Rows at norm 1."""
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def fuse(
    embeddings: np.ndarray, weights: np.ndarray | None = None, same: float = 0.4, different: float = 0.25
) -> Fused:
    """Weighted mean direction of the largest agreeing group of ``embeddings`` [N, D].

    Rows belong together when their cosine passes the middle of the recogniser's band (``different`` .. ``same``). With two photos that disagree
    the better one wins. Groups are compared by the sum of their weights (photo quality).
    """
    rows = checked(embeddings)
    lengths = np.linalg.norm(rows, axis=1)
    units = normalised(rows)
    count = len(units)
    weight = np.ones(count) if weights is None else np.maximum(np.asarray(weights, np.float64), 1e-3)
    similarity = np.clip(units @ units.T, -1, 1)
    limit = (same + different) / 2
    kept = _largest_group(similarity, weight, limit)
    for _ in range(4):
        mean = _mean(units[kept], weight[kept])
        close = units @ mean >= limit
        close &= kept | (similarity[:, kept].mean(1) >= limit)
        if not close.any() or (close == kept).all():
            break
        kept = close
    mean = _mean(units[kept], weight[kept])
    return Fused(mean, float(np.average(lengths[kept], weights=weight[kept])), kept, similarity)


def _mean(units: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = (units * weight[:, None]).sum(0)
    norm = float(np.linalg.norm(total))
    return total / norm if norm > 1e-9 else units[0]


def _largest_group(similarity: np.ndarray, weight: np.ndarray, limit: float) -> np.ndarray:
    """For every row, those that agree with it; the row with the heaviest company wins, then the one with the highest agreement."""
    company = similarity >= limit
    heaviness = company @ weight
    agreement = (similarity * company * weight).sum(1)
    best = max(range(len(weight)), key=lambda i: (round(float(heaviness[i]), 9), float(agreement[i]), -i))
    return company[best]
