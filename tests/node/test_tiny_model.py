"""The weights that ship: what is asked for is what is drawn. Coarse on purpose; ``tools.tiny.measure`` has the figures."""

from __future__ import annotations

import numpy as np
import pytest

from chibi_avatar.pose import library
from chibi_avatar.pose.draw import Style, draw
from chibi_avatar.tiny.data.captions import NEGATIVE, Tokenizer, window
from tools.tiny.measure import Shipped

LEAD = ("1girl", "solo", "chibi")


@pytest.fixture(scope="module")
def model(comfyui_path):
    return Shipped(), Tokenizer(comfyui_path / "comfy" / "sd1_tokenizer")


def drawn(model, captions: list[tuple[str, ...]], hints: np.ndarray | None = None) -> np.ndarray:
    """(N, 256, 256, 3) floats 0..1, all from the same noise."""
    made, tokenizer = model
    ids = np.stack([window(tokenizer, (*LEAD, *tags)) for tags in captions])
    negative = window(tokenizer, (NEGATIVE,))
    return np.concatenate([made.draw(ids[k : k + 1], negative, None if hints is None else hints[k : k + 1]) for k in range(len(ids))]) / 255  # fmt: skip


def test_hair_takes_the_color_that_was_asked_for(model):
    """A prompt would change nothing but the noise."""
    colors = {"pink hair": (0, 1), "green hair": (1, 0), "blue hair": (2, 0)}
    pictures = drawn(
        model, [(color, "long straight hair", "portrait", "front view", "white background") for color in colors]
    )
    pictures = pictures[:, 44:72, 96:160]  # the fringe: skin and clothes are free to be anything
    for k, (picture, (name, (more, less))) in enumerate(zip(pictures, colors.items(), strict=True)):
        mine = (picture[..., more] - picture[..., less]).mean()
        others = [(p[..., more] - p[..., less]).mean() for j, p in enumerate(pictures) if j != k]
        assert mine > max(others) + 0.02, name


def test_the_figure_stands_where_the_skeleton_stands(model):
    """The pose ControlNet would be loaded and do nothing."""
    hint = draw(library.frame("standing", heads=2.5), 256, 256, Style(hands=False))
    hints = np.stack([np.roll(hint, shift, 1) for shift in (-48, 48)])
    pictures = drawn(model, [("brown hair", "t-shirt and shorts", "full body", "white background")] * 2, hints)
    places = []
    for picture in pictures:
        ground = np.median(picture[:, :8].reshape(-1, 3), 0)
        mass = np.abs(picture - ground).sum(-1).clip(0.1) - 0.1
        places.append((mass.sum(0) * np.arange(256)).sum() / mass.sum())
    assert places[1] - places[0] > 40
