"""Variants and wildcards in the dynamicprompts syntax: ``{a|b}``, ``{2$$a|b|c}``, ``{1-2$$ and $$a|b}``, ``{0.5::a|b}``, ``__name__``.

Every choice has its own sub-seed, named by its place in the template. Depth, length and the number of choices are bounded.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .chance import number, pick

MAX_DEPTH = 12
MAX_OUTPUT = 20_000
MAX_CHOICES = 2_000
_WILDCARD = re.compile(r"__([\w./*?-]{1,80}?)__")
_BOUND = re.compile(r"\s*(?:(\d{1,3})|(\d{0,3})-(\d{0,3}))\s*\$\$")
_WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?)::")


class Literal(NamedTuple):
    text: str


class Wild(NamedTuple):
    name: str


class Variant(NamedTuple):
    options: tuple[tuple[float, Sequence_], ...]
    low: int = 1
    high: int = 1
    joiner: str = ","


class Sequence_(NamedTuple):
    parts: tuple[Literal | Wild | Variant, ...] = ()


class TemplateError(ValueError):
    """A template is malformed. The message gives the position."""


def compile_template(text: str) -> Sequence_:
    """Parse a template. Raises :class:`TemplateError` for braces that do not match or nest deeper than 12."""
    sequence, position = _sequence(text, 0, 0, top=True)
    if position != len(text):
        raise TemplateError(f"'{text[position]}' at position {position} closes nothing")
    return sequence


def _sequence(text: str, i: int, depth: int, top: bool) -> tuple[Sequence_, int]:
    parts: list[Literal | Wild | Variant] = []
    buffer: list[str] = []

    def flush() -> None:
        if buffer:
            parts.append(Literal("".join(buffer)))
            buffer.clear()

    while i < len(text):
        char = text[i]
        if char == "\\" and i + 1 < len(text) and text[i + 1] in "{}|":
            buffer.append(text[i : i + 2])
            i += 2
        elif char == "{":
            flush()
            variant, i = _variant(text, i, depth + 1)
            parts.append(variant)
        elif char == "}" or (char == "|" and not top):
            break
        elif char == "_" and (match := _WILDCARD.match(text, i)):
            flush()
            parts.append(Wild(match.group(1)))
            i = match.end()
        else:
            buffer.append(char)
            i += 1
    flush()
    return Sequence_(tuple(parts)), i


def _variant(text: str, start: int, depth: int) -> tuple[Variant, int]:
    if depth > MAX_DEPTH:
        raise TemplateError(f"braces nest deeper than {MAX_DEPTH} at position {start}")
    i, low, high, joiner = start + 1, 1, 1, ","
    bound = _BOUND.match(text, i)
    if bound:
        if bound.group(1):
            low = high = int(bound.group(1))
        else:
            low, high = int(bound.group(2) or 1), int(bound.group(3) or 999)
        i = bound.end()
        end = text.find("$$", i)
        stop = min((k for k in (text.find("|", i), text.find("}", i), text.find("{", i)) if k >= 0), default=len(text))
        if 0 <= end < stop:
            joiner, i = text[i:end], end + 2
    options: list[tuple[float, Sequence_]] = []
    while True:
        weight = 1.0
        match = _WEIGHT.match(text, i)
        if match:
            weight, i = float(match.group(1)), match.end()
        while i < len(text) and text[i] == " ":
            i += 1
        sequence, i = _sequence(text, i, depth, top=False)
        options.append((weight, sequence))
        if i >= len(text):
            raise TemplateError(f"'{{' at position {start} is never closed")
        if text[i] == "}":
            return Variant(tuple(options), low, high, joiner), i + 1
        i += 1


def _joined(joiner: str, pieces: Sequence[str]) -> str:
    """The chosen options in a row; empty ones at either end leave no joiner behind."""
    kept = list(pieces)
    while kept and not kept[0]:
        kept.pop(0)
    while kept and not kept[-1]:
        kept.pop()
    return joiner.join(kept)


class Expander:
    """Expands templates with wildcard lists: ``lists`` maps a name such as ``hair/color`` to its lines."""

    def __init__(self, lists: Mapping[str, Sequence[str]] | None = None) -> None:
        self.lists = lists or {}
        self.notes: list[str] = []
        self.used = 0

    def lines(self, name: str) -> list[str]:
        """The lines of a wildcard; ``*`` and ``?`` match several lists."""
        if "*" in name or "?" in name:
            return [line for key in sorted(self.lists) if fnmatch.fnmatchcase(key, name) for line in self.lists[key]]
        return list(self.lists.get(name, ()))

    def expand(self, text: str, seed: int) -> str:
        """One random outcome. A malformed template comes back as it is, with a note."""
        try:
            compiled = compile_template(text)
        except TemplateError as error:
            self.notes.append(f"wildcards: {error}; the text is used as it is")
            return text
        self.used = 0
        out = self._expand(compiled, seed, "", 0)
        if len(out) > MAX_OUTPUT:
            self.notes.append(f"wildcards: the result is longer than {MAX_OUTPUT} characters and is cut")
            out = out[:MAX_OUTPUT]
        return out

    def _expand(self, sequence: Sequence_, seed: int, place: str, depth: int) -> str:
        out = []
        for index, part in enumerate(sequence.parts):
            here = f"{place}/{index}"
            self.used += 1
            if self.used > MAX_CHOICES:
                return "".join(out)
            if isinstance(part, Literal):
                out.append(part.text)
            elif isinstance(part, Wild):
                out.append(self._wild(part, seed, here, depth))
            else:
                out.append(self._variant(part, seed, here, depth))
        return "".join(out)

    def _wild(self, part: Wild, seed: int, here: str, depth: int) -> str:
        lines = self.lines(part.name)
        if not lines or depth >= MAX_DEPTH:
            self.notes.append(
                f"wildcards: __{part.name}__ " + ("nests too deep" if lines else "is not known") + "; left as it is"
            )
            return f"__{part.name}__"
        weights = []
        texts = []
        for line in lines:
            match = _WEIGHT.match(line)
            weights.append(float(match.group(1)) if match else 1.0)
            texts.append(line[match.end() :] if match else line)
        if sum(weights) <= 0:
            weights = [1.0] * len(texts)
        line = pick(seed, f"wild {here}", texts, weights)
        try:
            return self._expand(compile_template(line), seed, here + "w", depth + 1)
        except TemplateError as error:
            self.notes.append(f"wildcards: in __{part.name}__: {error}")
            return line

    def _variant(self, part: Variant, seed: int, here: str, depth: int) -> str:
        options = self._pool(part)
        low, high = sorted((min(part.low, len(options)), min(part.high, len(options))))
        count = low + int(number(seed, f"count {here}") * (high - low + 1))
        if count < 1:
            return ""
        chosen: list[str] = []
        left = list(enumerate(options))
        for step in range(count):
            weights = [weight for _, (weight, _) in left]
            if sum(weights) <= 0:
                weights = [1.0] * len(left)
            index, (_, sequence) = pick(seed, f"pick {here} {step}", left, weights)
            left = [item for item in left if item[0] != index]
            text = self._expand(sequence, seed, f"{here}.{index}", depth + 1)
            if text not in chosen:
                chosen.append(text)
        return _joined(part.joiner, chosen)

    def _pool(self, part: Variant) -> list[tuple[float, Sequence_]]:
        """``{2$$__colour__}`` chooses among the wildcard's lines."""
        if len(part.options) == 1 and part.high > 1:
            weight, sequence = part.options[0]
            if len(sequence.parts) == 1 and isinstance(sequence.parts[0], Wild):
                lines = self.lines(sequence.parts[0].name)
                if lines:
                    return [(1.0, compile_template(line)) for line in lines]
        return list(part.options)

    def outcomes(self, text: str, limit: int = 10_000) -> Iterator[str]:
        """Every possible outcome, in order, at most ``limit``."""
        return itertools.islice(self._all(compile_template(text), 0), limit)

    def _all(self, sequence: Sequence_, depth: int) -> Iterator[str]:
        pools = [list(itertools.islice(self._part(part, depth), 10_000)) for part in sequence.parts]
        for pieces in itertools.product(*pools):
            yield "".join(pieces)

    def _part(self, part: Literal | Wild | Variant, depth: int) -> Iterator[str]:
        if isinstance(part, Literal):
            yield part.text
        elif isinstance(part, Wild):
            lines = self.lines(part.name)
            if not lines or depth >= MAX_DEPTH:
                yield f"__{part.name}__"
            for line in lines if depth < MAX_DEPTH else ():
                yield from self._all(compile_template(_WEIGHT.sub("", line, count=1)), depth + 1)
        else:
            options = self._pool(part)
            low, high = sorted((min(part.low, len(options)), min(part.high, len(options))))
            for count in range(low, high + 1):
                for combination in itertools.permutations(options, count):
                    for pieces in itertools.product(
                        *(list(self._all(sequence, depth + 1)) for _, sequence in combination)
                    ):
                        if len(set(pieces)) == len(pieces):
                            yield _joined(part.joiner, pieces)
