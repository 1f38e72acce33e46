"""Cut tokens into known pieces: the cheapest cover of the sentence by lexicon entries, with English typos repaired."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from .datafiles import load
from .lexicon import Lexicon, Meaning, lexicon
from .text import Token, is_number

_BREAKS = frozenset(',.;!?，。；！？\n()[]{}|"<>…•·*#~^')
_UNKNOWN_COST = 3.0
_SOFT = frozenset(("fill", "minor"))


@dataclass(eq=False)
class Piece:
    """A run of tokens with its meanings; no meanings: unknown; ``brk`` marks punctuation that ends a clause."""

    start: int
    end: int
    words: tuple[str, ...]
    meanings: tuple[Meaning, ...]
    brk: str = ""
    latin: bool = False

    def meaning(self, kind: str) -> Meaning | None:
        """The first meaning of this kind."""
        return next((m for m in self.meanings if m.kind == kind), None)


class Correction(NamedTuple):
    """A typo read as a known word."""

    start: int
    end: int
    found: str
    read_as: str


def _cover(tokens: list[Token], lex: Lexicon) -> list[tuple[int, tuple[Meaning, ...]]]:
    """For every position on the cheapest path: the number of tokens taken and their meanings."""
    count = len(tokens)
    best: list[tuple[float, int, tuple[Meaning, ...]]] = [(0.0, 0, ())] * (count + 1)
    for i in range(count - 1, -1, -1):
        option = (_UNKNOWN_COST + best[i + 1][0], 1, ())
        node = lex.trie
        for j in range(i, min(count, i + 12)):
            node = node.get(tokens[j].text)
            if node is None:
                break
            meanings = node.get("")
            if meanings:
                length = j - i + 1
                cost = 1.0 - 0.02 * length * length + best[j + 1][0]
                if all(m.kind in _SOFT for m in meanings):
                    cost += 0.3
                if cost < option[0]:
                    option = (cost, length, tuple(meanings))
        best[i] = option
    path, i = [], 0
    while i < count:
        path.append((best[i][1], best[i][2]))
        i += best[i][1]
    return path


def _distance_one(a: str, b: str) -> int:
    """0: no single edit turns a into b; 2: swapping two neighbours does; 1: another single edit does."""
    if a == b or abs(len(a) - len(b)) > 1:
        return 0
    i = 0
    while i < min(len(a), len(b)) and a[i] == b[i]:
        i += 1
    if len(a) == len(b):
        if a[i + 1 :] == b[i + 1 :]:
            return 1
        return 2 if i + 1 < len(a) and a[i] == b[i + 1] and a[i + 1] == b[i] and a[i + 2 :] == b[i + 2 :] else 0
    shorter, longer = sorted((a, b), key=len)
    return 1 if shorter[i:] == longer[i + 1 :] else 0


@lru_cache(maxsize=1)
def _by_first() -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for word in sorted(lexicon().vocabulary):
        if len(word) > 3:
            table.setdefault(word[0], []).append(word)
    return table


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    return frozenset(load("common")["words"])


@lru_cache(maxsize=2048)
def repair(word: str) -> tuple[str, ...]:
    """The known words one edit away from ``word``, likeliest first (none when ``word`` is a common word of its own)."""
    if not 3 <= len(word) <= 20 or not word.isascii() or not word.isalpha() or word in _common():
        return ()
    if len(word) == 3 and set(word) & set("aeiouy"):
        return ()
    stem = word[:-1] if word.endswith("s") and len(word) > 4 else ""
    vocabulary = lexicon().vocabulary
    if stem and stem in _common() or word in vocabulary:
        return ()
    if word[-1] == word[-2] and len(word) == 4 and word[:3] in vocabulary:
        return (word[:3],)
    found = []
    for candidate in _by_first().get(word[0], ()):
        kind = _distance_one(word, candidate)
        if kind:
            found.append((kind, int(candidate[-1] == word[-1]), vocabulary[candidate], candidate))
    return tuple(candidate for *_, candidate in sorted(found, reverse=True))


def segment(tokens: list[Token]) -> tuple[list[Piece], list[Correction]]:
    """Cut ``tokens`` into pieces; single-word typos are repaired when that makes a known word."""
    lex = lexicon()
    tokens = [token if "'" not in token.text or token.text in lex.trie else _stem(token) for token in tokens]
    path = _cover(tokens, lex)
    corrections: list[Correction] = []
    repaired = list(tokens)
    i = 0
    for length, meanings in path:
        token = tokens[i]
        if not meanings and token.latin:
            candidates = repair(token.text)
            if candidates:
                beside = tokens[i + 1].text if i + 1 < len(tokens) else ""
                fixed = next((word for word in candidates if beside in lex.trie.get(word, ())), candidates[0])
                repaired[i] = Token(fixed, token.start, token.end)
                corrections.append(Correction(token.start, token.end, token.text, fixed))
        i += length
    if corrections:
        path = _cover(repaired, lex)
    pieces: list[Piece] = []
    i = 0
    for length, meanings in path:
        group = repaired[i : i + length]
        words = tuple(token.text for token in group)
        piece = Piece(group[0].start, group[-1].end, words, meanings, latin=group[0].latin)
        if not meanings:
            if words[0] in _BREAKS:
                piece.brk = words[0]
            elif is_number(group[0]):
                piece.meanings = (Meaning("number", float(words[0])),) if len(words[0]) < 8 else ()
            elif not group[0].latin and not group[0].chinese and words[0].isascii():
                piece.meanings = (Meaning("fill", words[0]),)
        elif words == (".",):
            piece.brk = "."
        pieces.append(piece)
        i += length
    return _absorb(pieces), corrections


def _stem(token: Token) -> Token:
    """``she's`` is read as ``she``."""
    return Token(token.text.split("'")[0] or token.text, token.start, token.end)


_ABSORBED = frozenset(("entry", "pattern", "adj", "number"))


_SUFFIXES = frozenset(
    ("top.kind", "bottom.kind", "dress.kind", "outer.kind", "shoes.kind", "legwear.kind", "hat.kind", "bag.kind")
)


def _absorb(pieces: list[Piece]) -> list[Piece]:
    """One Chinese character next to unknown ones is part of an unknown word (``飞`` in ``小飞象``), not a word of its own.

    A garment at the end of such a word stays one (``花瓣裙`` is a skirt).
    """
    for order in (range(1, len(pieces)), range(len(pieces) - 2, -1, -1)):
        step = -1 if isinstance(order, range) and order.step == 1 else 1
        for i in order:
            piece, beside = pieces[i], pieces[i + step]
            if step == -1 and any(m.kind == "entry" and m.value.path in _SUFFIXES for m in piece.meanings):
                continue
            if (
                len(piece.words) == 1 and piece.meanings and not piece.latin and piece.words[0] > "\u3000" and not beside.meanings
                and not beside.brk and not beside.latin and {m.kind for m in piece.meanings} <= _ABSORBED | {"fill"}
                and {m.kind for m in piece.meanings} & _ABSORBED
                and (beside.end == piece.start or piece.end == beside.start)
            ):  # fmt: skip
                piece.meanings = ()
    return pieces
