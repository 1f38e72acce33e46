"""The embedded model's pictures for the docs: ``python -m tools.tiny.pictures [SHEET…]`` in the train environment, after ``tools.tiny.release``.

``docs/tiny-prompts.png`` crosses hair styles with colours and clothes, ``tiny-poses.png`` follows skeletons, ``tiny-preview.png`` puts the
GAN beside diffusion, ``tiny-loss.png`` shows the curves of the runs. Fixed seeds, nothing chosen by hand.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from chibi_avatar.pose import library
from chibi_avatar.pose.draw import Style, draw
from chibi_avatar.setup import comfyui, paths
from chibi_avatar.tiny.data.captions import NEGATIVE, Tokenizer, said, window
from chibi_avatar.tiny.data.scenes import scene
from chibi_avatar.tiny.training.plots import plot_log
from tools.gallery import save

from .measure import SEED, Shipped

STYLES = (
    "twintails",
    "bob cut",
    "long straight hair",
    "ponytail",
    "short hair",
    "wolf cut",
    "curly hair",
    "double bun",
)
COLORS = ("pink hair", "yellow hair", "blue hair", "brown hair", "green hair", "white hair", "purple hair", "red hair")
CLOTHES = ("serafuku", "hoodie", "dress", "kimono", "overalls", "suit", "sweater", "raincoat")
MOODS = ("smile", "happy", "angry", "surprised", "sad", "closed eyes", "grin", "one eye closed")
POSES = ("standing", "waving", "jumping", "hands_on_hips", "peace", "running", "cheering", "dancing")
LEAD = ("1girl", "solo", "chibi")
SIZE = 192  # of a picture in a sheet


def sheet(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (N, H, W, 3) uint8 as one, (rows · SIZE, columns · SIZE, 3) floats 0..1."""
    small = [np.asarray(Image.fromarray(p).resize((SIZE, SIZE), Image.Resampling.LANCZOS)) for p in pictures]
    rows = [np.concatenate(small[i : i + columns], 1) for i in range(0, len(small), columns)]
    return np.concatenate(rows, 0) / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=paths.cache_root() / "training")
    parser.add_argument("sheets", nargs="*", help=f"which: {', '.join(SHEETS)} (default: all)")
    arguments = parser.parse_args()
    made = Shipped()
    tokenizer = Tokenizer(comfyui.ensure() / "comfy" / "sd1_tokenizer")
    for name in arguments.sheets or SHEETS:
        save(f"tiny-{name}", SHEETS[name](made, tokenizer, arguments.root))


def _prompts(made: Shipped, tokenizer: Tokenizer, root: Path) -> np.ndarray:
    """Styles down, colours across."""
    prompts = [
        window(tokenizer, (*LEAD, color, style, clothes, mood, "upper body", "front view", "simple background"))
        for row, style in enumerate(STYLES)
        for color, clothes, mood in zip(COLORS, np.roll(CLOTHES, row), np.roll(MOODS, 3 * row), strict=True)
    ]
    return sheet(made.draw(np.stack(prompts), window(tokenizer, (NEGATIVE,))), len(COLORS))


def _poses(made: Shipped, tokenizer: Tokenizer, root: Path) -> np.ndarray:
    """Skeletons above, and two who follow them."""
    hints = np.stack([draw(library.frame(name, heads=2.5), 256, 256, Style(hands=False)) for name in POSES])
    who = (
        (*LEAD, "pink hair", "twintails", "serafuku", "smile", "full body", "white background"),
        ("1boy", *LEAD[1:], "blue hair", "hoodie", "grin", "full body", "white background"),
    )
    negative = window(tokenizer, (NEGATIVE,))
    drawn = [made.draw(np.stack([window(tokenizer, words)] * len(POSES)), negative, hints) for words in who]
    return sheet(np.concatenate([hints, *drawn]), len(POSES))


def _beside(made: Shipped, tokenizer: Tokenizer, root: Path) -> np.ndarray:
    """The GAN above, diffusion below, on captions of other Characters than those of training."""
    captions = np.stack([said(tokenizer, scene(number, SEED).tags) for number in range(0, 24, 3)])
    return sheet(np.concatenate([made.instant(captions), made.draw(captions, window(tokenizer, (NEGATIVE,)))]), 8)


def _curves(made: Shipped, tokenizer: Tokenizer, root: Path) -> np.ndarray:
    """The curves of every run under its name, in three columns of about one height, (H, W, 3) floats 0..1."""
    panels = []
    with tempfile.TemporaryDirectory() as folder:
        for run in ("text", "autoencoder", "diffusion", "gan", "controlnet"):
            if not (root / run / "log.jsonl").is_file():
                continue
            path = Path(folder) / f"{run}.png"
            plot_log(root / run / "log.jsonl", path, 520, 120)
            with Image.open(path) as opened:
                panel = Image.new("RGB", (opened.width, opened.height + 34), "white")
                panel.paste(opened, (0, 34))
            ImageDraw.Draw(panel).text((12, 8), run, (40, 36, 48), font_size=18)
            panels.append(np.asarray(panel) / 255)
    if not panels:
        raise SystemExit(f"there are no runs in {root}")
    columns: list[list[np.ndarray]] = [[], [], []]
    for panel in sorted(panels, key=len, reverse=True):
        min(columns, key=lambda column: sum(map(len, column))).append(panel)
    height = max(sum(map(len, column)) for column in columns)
    blank = np.ones((1, panels[0].shape[1], 3))
    tall = [np.concatenate([*column, blank.repeat(height - sum(map(len, column)), 0)]) for column in columns]
    return np.concatenate(tall, 1)


SHEETS: dict[str, Callable[[Shipped, Tokenizer, Path], np.ndarray]] = {
    "prompts": _prompts,
    "poses": _poses,
    "preview": _beside,
    "loss": _curves,
}

if __name__ == "__main__":
    main()
