"""The contact sheet of the pose library for the documentation: every pose at several proportions.

Run: python3 -m tools.pose_sheet [--out docs/poses.jpg] [--heads 2,3,7]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from chibi_avatar.pose import library
from chibi_avatar.pose.silhouette import silhouette

CELL = 132


def sheet(heads: tuple[float, ...], columns: int, names: list[str] | None = None) -> Image.Image:
    """A grid of all poses; each cell holds one picture for every value of ``heads``."""
    names = names or library.names()
    rows = -(-len(names) // columns)
    width = CELL * len(heads)
    page = Image.new("RGB", (columns * (width + 6), rows * (CELL + 16)), (22, 23, 30))
    pen = ImageDraw.Draw(page)
    for index, name in enumerate(names):
        x, y = index % columns * (width + 6), index // columns * (CELL + 16)
        for i, h in enumerate(heads):
            page.paste(picture(name, h, CELL), (x + i * CELL, y))
        pen.text((x + 4, y + CELL + 2), name, fill=(230, 230, 235))
    return page


def picture(name: str, heads: float, size: int, view: str = "auto") -> Image.Image:
    """One pose with its silhouette, drawn large and shrunk, so that sticks stay thin."""
    return silhouette(library.frame(name, 3 * size, 3 * size, heads, view, with_face=False), size)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path("docs/poses.jpg"))
    options.add_argument("--heads", default="2,3,7")
    options.add_argument("--columns", type=int, default=4)
    options.add_argument("--names", default="")
    given = options.parse_args()
    heads = tuple(float(h) for h in given.heads.split(","))
    names = [n for n in given.names.split(",") if n] or None
    given.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(heads, given.columns, names).save(given.out, quality=80)


if __name__ == "__main__":
    main()
