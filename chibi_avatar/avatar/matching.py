"""Colour matching: one gain and one offset per view and channel, solved together on what neighbouring views both see."""

from __future__ import annotations

import numpy as np

GAIN = (0.6, 1.6)  # what a view may be multiplied by
OFFSET = 0.2


def match(
    colors: list[np.ndarray], weights: list[np.ndarray], anchor: int = 0, stiffness: float = 0.001
) -> tuple[np.ndarray, np.ndarray]:
    """Gains and offsets (N, 3) for N views so that overlaps agree; view ``anchor`` stays as it is.

    ``colors`` (S, 3) and ``weights`` (S,) per view are samples at the same S surface points, weight 0 where unseen. Least squares over
    every pair of views, pulled gently to gain 1 and offset 0; views that overlap with nothing stay unchanged.
    """
    count = len(colors)
    gains, offsets = np.ones((count, 3)), np.zeros((count, 3))
    pairs = []
    for i in range(count):
        for j in range(i + 1, count):
            both = np.minimum(weights[i], weights[j])
            seen = both > 0
            if seen.sum() >= 24:
                pairs.append((i, j, np.sqrt(both[seen] / both[seen].mean()) / np.sqrt(seen.sum()), seen))
    if not pairs:
        return gains, offsets
    for channel in range(3):
        normal, right = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
        for i, j, root, seen in pairs:
            a, b = colors[i][seen, channel], colors[j][seen, channel]
            # robust: a few texels where the drawings differ must not steer the whole view
            gap = np.abs(a - b)
            root = root * np.minimum(1, 3 * max(float(np.median(gap)), 0.01) / np.maximum(gap, 1e-6))
            rows = np.zeros((len(a), 2 * count))
            rows[:, 2 * i], rows[:, 2 * i + 1] = a * root, root
            rows[:, 2 * j], rows[:, 2 * j + 1] = -b * root, -root
            normal += rows.T @ rows
        for view in range(count):
            pull = 1e6 if view == anchor else stiffness
            normal[2 * view, 2 * view] += pull
            right[2 * view] += pull
            normal[2 * view + 1, 2 * view + 1] += pull
        solution = np.linalg.solve(normal, right)
        gains[:, channel] = np.clip(solution[0::2], *GAIN)
        offsets[:, channel] = np.clip(solution[1::2], -OFFSET, OFFSET)
    return gains, offsets


def disagreement(colors: list[np.ndarray], weights: list[np.ndarray]) -> float:
    """Colour difference (0..1, largest channel) of the two views that agree least: the median where both see well; 0 without overlap."""
    worst = 0.0
    for i in range(len(colors)):
        for j in range(i + 1, len(colors)):
            both = np.minimum(weights[i], weights[j])
            seen = both > 0.1 * both.max(initial=0)
            if seen.sum() >= 24:
                worst = max(worst, float(np.median(np.abs(colors[i][seen] - colors[j][seen]).max(1))))
    return worst
