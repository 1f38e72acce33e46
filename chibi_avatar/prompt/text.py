"""Text as the parser sees it: normalised without moving a single position, cut into tokens, special spans set aside."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .datafiles import load

MAX_CHARACTERS = 4000

_SPECIAL = re.compile(
    r"<(?:lora|lyco|hypernet|lyco|wlr):[^<>\n]{1,200}>"
    r"|\(\s*embedding:[^\s(),:]{1,160}\s*:\s*-?\d+(?:\.\d+)?\s*\)"
    r"|embedding:[^\s(),<>:]{1,160}",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"\d+\.\d+|[a-z0-9]+(?:'[a-z]+)?|[\u3400-\u9fff\uf900-\ufaff]|:[a-z0-9](?![a-z0-9])|@_@|;\)|[^\s]",
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?\Z")
_WIDE_PUNCTUATION = {
    "。": ".",
    "、": "、",
    "「": "(",
    "」": ")",
    "【": "(",
    "】": ")",
    "《": "(",
    "》": ")",
    "～": "~",
    "’": "'",
    "‘": "'",
}
_JOINED = re.compile("\u200d(?![\u2640\u2642])[\u2600-\u27bf\U0001f000-\U0001faff]")
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff]"
)


class Token(NamedTuple):
    """One word, one Chinese character, one sign or one emoji; ``start`` and ``end`` index the original text."""

    text: str
    start: int
    end: int

    @property
    def latin(self) -> bool:
        """True for an English word or a number."""
        return self.text[0].isascii() and self.text[0].isalnum()

    @property
    def chinese(self) -> bool:
        """True for a Chinese character."""
        return "\u3400" <= self.text[0] <= "\u9fff" or "\uf900" <= self.text[0] <= "\ufaff"


class Special(NamedTuple):
    """A span that goes through to the prompt untouched: ``<lora:…>`` or ``embedding:…``."""

    text: str
    start: int
    end: int


@lru_cache(maxsize=1)
def simplified() -> dict[int, str]:
    """The table for :meth:`str.translate`: half width, lower case, simplified Chinese."""
    table: dict[int, str] = {}
    for code in range(0xFF01, 0xFF5F):
        table[code] = chr(code - 0xFEE0)
    table[0x3000] = " "
    for wide, plain in _WIDE_PUNCTUATION.items():
        table[ord(wide)] = plain
    pairs = load("traditional")["pairs"]
    for traditional, simple in zip(pairs[::2], pairs[1::2], strict=True):
        if traditional != simple:
            table[ord(traditional)] = simple
    for code in range(ord("A"), ord("Z") + 1):
        table[code] = chr(code + 32)
        table[code + 0xFEE0] = chr(code + 32)
    return table


def normalise(text: str) -> str:
    """Lower case, half width, simplified Chinese, no invisible characters; every character stays at its place."""
    text = _JOINED.sub(lambda match: " " * len(match.group()), text)
    return _INVISIBLE.sub(" ", text.translate(simplified()))


def specials(text: str) -> list[Special]:
    """The spans of ``text`` that no rule may touch."""
    return [Special(match.group(), match.start(), match.end()) for match in _SPECIAL.finditer(text)]


def tokenise(normal: str) -> list[Token]:
    """Cut normalised text into tokens. Spaces separate and vanish; so do ``-`` and ``_`` between two letters or digits."""
    tokens = []
    for match in _TOKEN.finditer(normal):
        piece, start, end = match.group(), match.start(), match.end()
        if piece in "-_" and 0 < start < len(normal) - 1 and normal[start - 1].isalnum() and normal[end].isalnum():
            continue
        if len(piece) > 1 and piece[0].isdigit() and piece[-1].isalpha():
            split = next(i for i, c in enumerate(piece) if not c.isdigit())
            if piece[split:] not in ("d", "k", "s", "bit", "st", "nd", "rd", "th"):
                tokens.append(Token(piece[:split], start, start + split))
                tokens.append(Token(piece[split:], start + split, end))
                continue
        tokens.append(Token(piece, start, end))
    return tokens


def is_number(token: Token) -> bool:
    """True for ``2`` or ``2.5``."""
    return bool(_NUMBER.match(token.text))


_AGE = re.compile(r"((\d{1,3})\s*-?\s*(?:years?|yrs?)\s*-?\s*)old\b")


def young(text: str) -> str:
    """The same length of text without ``old`` where it only counts years: ``a 25 year old guy`` is no old guy."""
    return _AGE.sub(lambda found: f"{found[1]}   " if 18 <= int(found[2]) < 60 else found[0], text)
