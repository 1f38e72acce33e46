"""Pictures of a training run: its curves, and grids of samples."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

INK, LINES = (70, 62, 78), ((216, 84, 120), (74, 120, 196), (64, 150, 110), (214, 150, 60), (140, 96, 180))


def plot_log(log: Path, target: Path, width: int = 900, height: int = 260) -> None:
    """Draw every series of a ``log.jsonl``, one panel each, smoothed over a fiftieth of the run, into the PNG ``target``."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for key, value in row.items():
            if key != "step":
                series.setdefault(key, []).append((row["step"], value))
    if not series:
        return
    page = Image.new("RGB", (width, height * len(series)), "white")
    for number, (name, points) in enumerate(series.items()):
        _panel(
            ImageDraw.Draw(page),
            name,
            np.array(points, float),
            number * height,
            width,
            height,
            LINES[number % len(LINES)],
        )
    page.save(target)


def _panel(
    draw: ImageDraw.ImageDraw,
    name: str,
    points: np.ndarray,
    top: int,
    width: int,
    height: int,
    color: tuple[int, int, int],
) -> None:
    left, right, upper, lower = 74, width - 16, top + 30, top + height - 28
    reach = max(1, len(points) // 50)
    kernel = np.ones(reach) / reach
    smooth = np.convolve(np.pad(points[:, 1], (reach - 1, 0), mode="edge"), kernel, "valid")
    low, high = np.percentile(points[:, 1], 1), np.percentile(points[:, 1], 97)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    last = points[-1, 0]

    def place(x: float, y: float) -> tuple[float, float]:
        share = min(max((y - low) / (high - low), 0.0), 1.0)
        return left + (right - left) * x / last, lower - (lower - upper) * share

    draw.rectangle((left, upper, right, lower), outline=(205, 200, 210))
    for value in np.linspace(low, high, 4):
        y = place(0, value)[1]
        draw.line((left, y, right, y), fill=(236, 233, 240))
        draw.text((left - 6, y), f"{value:.3g}", fill=INK, anchor="rm")
    draw.text((left, top + 10), name, fill=INK)
    draw.text((right, lower + 6), f"step {int(last)}", fill=INK, anchor="ra")
    draw.line([place(x, y) for x, y in points], fill=tuple((c + 510) // 3 for c in color), width=1)
    if len(points) > 1:
        draw.line([place(x, y) for x, y in zip(points[:, 0], smooth, strict=True)], fill=color, width=2)


def grid(pictures: np.ndarray, target: Path, columns: int | None = None) -> None:
    """Save (N, H, W, 3) floats 0..1 as one PNG, ``columns`` to a row (default: about square)."""
    count, height, width, _ = pictures.shape
    columns = columns or math.ceil(math.sqrt(count))
    page = np.ones((math.ceil(count / columns) * height, columns * width, 3), np.float32)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        page[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    Image.fromarray((page.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(target)
