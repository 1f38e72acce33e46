"""Tokens: exact CLIP counts from ComfyUI's own vocabulary, and packing of whole tags into 75-token chunks.

CLIP's byte-pair encoding follows Radford et al. 2021 (the vocabulary file is OpenAI's, shipped in ComfyUI's ``comfy/sd1_tokenizer``).
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

LIMIT = 75
_PIECE = re.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE
)
Counter = Callable[[str], int]


class Chunk(NamedTuple):
    """One 75-token window: its text and how many tokens it uses."""

    text: str
    used: int


class ClipTokens:
    """Counts CLIP tokens with a ``vocab.json`` and ``merges.txt`` (the folder ``comfy/sd1_tokenizer``)."""

    def __init__(self, folder: Path) -> None:
        self.vocabulary = frozenset(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
        merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
        self.ranks = {pair: rank for rank, pair in enumerate(merges) if len(pair) == 2}
        self.bytes = _byte_letters()
        self.count_word = lru_cache(maxsize=8192)(self._count_word)

    def __call__(self, text: str) -> int:
        """Tokens of ``text`` without start and end marks. Emphasis signs do not count; an ``embedding:`` counts as its name."""
        return sum(self._plain(part) for part in emphasis_parts(text))

    def _plain(self, text: str) -> int:
        text = " ".join(unicodedata.normalize("NFC", text).split()).lower()
        return sum(self.count_word(piece) for piece in _PIECE.findall(text))

    def _count_word(self, piece: str) -> int:
        letters = [self.bytes[byte] for byte in piece.encode("utf-8")]
        letters[-1] += "</w>"
        while len(letters) > 1:
            best = min(zip(letters, letters[1:], strict=False), key=lambda pair: self.ranks.get(pair, 1 << 30))
            if best not in self.ranks:
                break
            merged: list[str] = []
            i = 0
            while i < len(letters):
                if i + 1 < len(letters) and (letters[i], letters[i + 1]) == best:
                    merged.append(letters[i] + letters[i + 1])
                    i += 2
                else:
                    merged.append(letters[i])
                    i += 1
            letters = merged
        return len(letters)


def emphasis_parts(text: str) -> list[str]:
    """The pieces ComfyUI encodes one by one: ``a (b:1.2) c`` becomes ``a ``, ``b``, `` c``; ``\\(`` is a plain bracket."""
    text = text.replace("\\(", "\x01").replace("\\)", "\x02")
    parts: list[str] = []
    depth, start = 0, 0
    pieces: list[str] = []
    for i, char in enumerate(text):
        if char == "(":
            if depth == 0:
                pieces.append(text[start:i])
                start = i
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                pieces.append(text[start : i + 1])
                start = i + 1
            depth = max(depth, 0) if depth >= 0 else 0
    pieces.append(text[start:])
    for piece in pieces:
        if len(piece) >= 2 and piece[0] == "(" and piece[-1] == ")":
            inner = piece[1:-1]
            colon = inner.rfind(":")
            if colon > 0:
                try:
                    float(inner[colon + 1 :])
                    inner = inner[:colon]
                except ValueError:
                    pass
            parts += emphasis_parts(inner) if "(" in inner else [inner]
        elif piece:
            parts.append(piece)
    return [part.replace("\x01", "(").replace("\x02", ")") for part in parts]


def find_tokens() -> ClipTokens | None:
    """Exact counting where a ComfyUI folder is already there (``COMFYUI_PATH`` or the pack's own copy); None otherwise."""
    from ..setup import comfyui, paths

    own = os.environ.get("COMFYUI_PATH")
    home = (
        Path(own).expanduser()
        if own
        else paths.cache_root() / f"comfyui-{comfyui.VERSION}-{comfyui.SOURCE_DIGEST[:12]}"
    )
    folder = home / "comfy" / "sd1_tokenizer"
    try:
        return ClipTokens(folder) if (folder / "vocab.json").is_file() else None
    except (OSError, ValueError):
        return None


def _byte_letters() -> dict[int, str]:
    """The reversible byte-to-letter table of GPT-2's byte-pair encoding."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in plain}
    extra = 0
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


def estimate(text: str) -> int:
    """A guess at CLIP's count without its vocabulary: one per short word or sign, more for long words, three per Chinese character."""
    total = 0
    for piece in _PIECE.findall(text.lower()):
        if piece.isascii():
            total += 1 + max(0, len(piece) - 8) // 6
        else:
            total += 3 * len(piece)
    return total


def split_tags(prompt: str) -> list[str]:
    """The prompt's tags: cut at commas outside brackets; ``BREAK`` on its own starts a new chunk and comes back as ``BREAK``."""
    tags: list[str] = []
    depth, start = 0, 0
    for i, char in enumerate(prompt):
        if char == "\\":
            continue
        escaped = i > 0 and prompt[i - 1] == "\\"
        if char in "([<" and not escaped:
            depth += 1
        elif char in ")]>" and not escaped:
            depth = max(0, depth - 1)
        elif char in ",\n" and depth == 0:
            tags.append(prompt[start:i])
            start = i + 1
    tags.append(prompt[start:])
    out: list[str] = []
    for tag in tags:
        for k, part in enumerate(re.split(r"\bBREAK\b", tag)):
            if k:
                out.append("BREAK")
            if part.strip():
                out.append(part.strip())
    return out


def pack(tags: Sequence[str], count: Counter, limit: int = LIMIT) -> tuple[list[Chunk], list[str]]:
    """Whole tags into chunks of at most ``limit`` tokens, in order. Returns the chunks and the tags too long for any chunk.

    A tag longer than a chunk is cut between its words, never inside one.
    """
    chunks: list[Chunk] = []
    current: list[str] = []
    used = 0
    long: list[str] = []

    def close() -> None:
        nonlocal current, used
        if current:
            chunks.append(Chunk(", ".join(current), used))
        current, used = [], 0

    for tag in tags:
        if tag == "BREAK":
            close()
            continue
        size = count(", ".join([*current, tag]))
        if size <= limit:
            current.append(tag)
            used = size
            continue
        close()
        size = count(tag)
        if size <= limit:
            current, used = [tag], size
            continue
        long.append(tag)
        words: list[str] = []
        for word in tag.split():
            if words and count(" ".join([*words, word])) > limit:
                chunks.append(Chunk(" ".join(words), count(" ".join(words))))
                words = []
            words.append(word)
        if words:
            current, used = [" ".join(words)], count(" ".join(words))
    close()
    return chunks or [Chunk("", 0)], long
