"""Read the sentence files of tests/data/prompt and score the parser on them.

A line is ``sentence => item ...``; an item is ``[?][2:]path[|path]=value[|value]``: one of the paths holds one of the values. ``?`` may be set but
need not be; ``2:`` is about the second person; ``f`` and ``m`` are the presentation; ``neg:tag`` is in the negative prompt; ``unk:words`` is
reported; ``people=2`` counts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from chibi_avatar.character import Color
from chibi_avatar.prompt.facts import Parse
from chibi_avatar.prompt.lexicon import family_of
from chibi_avatar.prompt.parse import parse

FOLDER = Path(__file__).resolve().parents[1] / "data" / "prompt"
FILE = FOLDER / "sentences.txt"
_PRESENTATION = {"f": "presentation=feminine", "m": "presentation=masculine"}


@dataclass
class Score:
    expected: int = 0
    hit: int = 0
    claimed: int = 0
    right: int = 0
    refusals: int = 0
    refused: int = 0
    misses: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.hit / self.expected

    @property
    def precision(self) -> float:
        return self.right / self.claimed


@dataclass(frozen=True)
class Item:
    """One expectation about a field."""

    shown: str
    person: int
    paths: frozenset[str]
    values: tuple[str, ...]
    optional: bool

    def met_by(self, path: str, value: object) -> bool:
        return path in self.paths and any(matches(value, wanted) for wanted in self.values)


def sentences(path: Path = FILE) -> list[tuple[str, list[str]]]:
    """Each sentence with its expectations."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            text, _, wanted = line.rpartition(" => ")
            rows.append((text, wanted.split()))
    return rows


def matches(value: object, wanted: str) -> bool:
    """Whether a field's value is what the sentence's author meant."""
    if isinstance(value, Color):
        return wanted in (value.name.replace(" ", "_"), family_of(value))
    if isinstance(value, bool):
        return wanted == str(value).lower()
    if isinstance(value, float):
        return float(wanted) == value
    return value == wanted


def item_of(word: str) -> Item:
    """Read one expectation about a field."""
    body = _PRESENTATION.get(word, word)
    optional = body.startswith("?")
    body = body.removeprefix("?")
    second = body.startswith("2:")
    paths, _, values = body.removeprefix("2:").partition("=")
    return Item(word, int(second), frozenset(paths.split("|")), tuple(values.split("|")), optional)


def told(parsed: Parse, text: str, word: str) -> bool | None:
    """Whether an expectation about the whole sentence holds; None when ``word`` is about a field."""
    if word.startswith("neg:"):
        return word[4:].replace("_", " ") in parsed.negatives
    if word.startswith("unk:"):
        return any(word[4:] in text[s.start : s.end] for s in parsed.spans if s.kind in ("unknown", "blocked"))
    if word.startswith("people="):
        return parsed.subjects == int(word[7:])
    return None


def score(rows: list[tuple[str, list[str]]]) -> Score:
    """Recall over the expectations, precision over the fields that were set."""
    total = Score()
    for text, wanted in rows:
        parsed = parse(text)
        items: list[Item] = []
        for word in wanted:
            good = told(parsed, text, word)
            if good is None:
                item = item_of(word)
                items.append(item)
                if item.optional:
                    continue
                fields = parsed.people[item.person].fields if item.person < len(parsed.people) else {}
                good = any(item.met_by(path, fields.get(path)) for path in item.paths)
            total.expected += 1
            total.hit += good
            if word.startswith("neg:") or word.endswith(("=none", "=false")):
                total.refusals += 1
                total.refused += good
            if not good:
                total.misses.append(f"MISS {word:40} | {text} | {shown(parsed)}")
        for number, person in enumerate(parsed.people[:2]):
            meant = [item for item in items if item.person == number]
            if number and not meant:
                continue
            for path, value in person.fields.items():
                about = [item for item in meant if path in item.paths]
                if path in person.implied and not about:
                    continue
                total.claimed += 1
                good = any(item.met_by(path, value) for item in about)
                total.right += good
                if not good:
                    total.misses.append(f"EXTRA {path}={value} | {text}")
    return total


def shown(parsed: Parse) -> str:
    return " // ".join(
        " ".join(f"{k}={v.name if isinstance(v, Color) else v}" for k, v in person.fields.items())
        for person in parsed.people
    )


if __name__ == "__main__":
    import sys

    for name in sys.argv[1:]:
        result = score(sentences(Path(name)))
        lines = [
            *result.misses,
            f"{name}: recall {result.recall:.3f} ({result.hit}/{result.expected}), precision {result.precision:.3f} "
            f"({result.right}/{result.claimed}), refusals {result.refused}/{result.refusals}",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
