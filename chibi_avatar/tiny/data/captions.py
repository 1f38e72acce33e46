"""Captions as CLIP token ids: whole tags, shuffled and dropped out while training, cut to one window of 75."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..networks.text import END, LENGTH, START

ROOM = LENGTH - 2
SUBJECT = ("solo", "chibi")  # stand in every prompt for this model, and
NEGATIVE = "nsfw"  # in every negative one; see prompt/data/dialects/tiny.json
# How often a tag is left out, by field: what a person leaves unsaid most is left out most.
_DROP = {"hair.color": 0.06, "hair.style": 0.08, "outfit.kind": 0.1, "glasses.kind": 0.06, "presentation": 0.08, "expression": 0.12,
         "pose.framing": 0.3, "pose.view": 0.3, "pose.name": 0.35, "scene.background": 0.35, "skin.color": 0.2, "eyes.color": 0.15}  # fmt: skip
_DROP_OTHER = 0.25
_TOKEN_LOSS = 0.03  # tokens turned into "unknown", so that a word the model never saw disturbs it little
_EMPTY = 0.1  # captions left out whole, for classifier-free guidance


class Tokenizer:
    """CLIP's own tokenizer, from the folder that ComfyUI carries (``comfy/sd1_tokenizer``)."""

    def __init__(self, folder: Path) -> None:
        from transformers import CLIPTokenizer

        self._inner = CLIPTokenizer.from_pretrained(str(folder))
        self.ids = lru_cache(maxsize=65536)(self._ids)
        self.comma = self.ids(",")[0]

    def words(self, ids: Iterable[int]) -> str:
        """Token ids as text, for messages."""
        return ", ".join(self._inner.decode([number]).strip() for number in ids)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._inner(text, add_special_tokens=False)["input_ids"])


def vocabulary(tokenizer: Tokenizer, captions: Iterable[Sequence[tuple[str, str]]]) -> np.ndarray:
    """Every token id that the captions use, ascending int32, with CLIP's start, end and comma."""
    found = {START, END, tokenizer.comma}
    for text in (*SUBJECT, NEGATIVE):
        found.update(tokenizer.ids(text))
    for tags in captions:
        for text, _ in tags:
            found.update(tokenizer.ids(text))
    return np.array(sorted(found), np.int32)


def window(tokenizer: Tokenizer, tags: Iterable[str]) -> np.ndarray:
    """Whole tags, as many as fit, as one window (77,) int64: start, tokens with commas between, end, end …"""
    out: list[int] = []
    for text in tags:
        ids = tokenizer.ids(text)
        if len(out) + len(ids) + bool(out) > ROOM:
            continue
        out += ([tokenizer.comma] if out else []) + list(ids)
    row = np.full(LENGTH, END, np.int64)
    row[0] = START
    row[1 : 1 + len(out)] = out
    return row


def said(tokenizer: Tokenizer, tags: Sequence[tuple[str, str]]) -> np.ndarray:
    """The whole caption in its own order, as :func:`window`."""
    return window(tokenizer, _led([text for text, _ in tags]))


def _led(texts: list[str]) -> list[str]:
    """The tags with :data:`SUBJECT` after the first one, which says who it is, as prompts are written."""
    return [*texts[:1], *SUBJECT, *texts[1:]]


def varied(tokenizer: Tokenizer, tags: Sequence[tuple[str, str]], r: random.Random) -> np.ndarray:
    """One of the ways to say a caption: tags dropped and shuffled, tokens lost (-1), or nothing at all. (77,) int64."""
    if r.random() < _EMPTY:
        return window(tokenizer, (NEGATIVE,) if r.random() < 0.5 else ())
    kept = [text for text, path in tags if r.random() >= _DROP.get(path, _DROP_OTHER)]
    if r.random() < 0.8:
        kept = _led(kept)
    if r.random() < 0.5:
        r.shuffle(kept)
    row = window(tokenizer, kept)
    lost = np.array([r.random() < _TOKEN_LOSS for _ in range(LENGTH)])
    row[lost & (row != START) & (row != END)] = -1
    return row
