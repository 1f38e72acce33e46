"""Read tests/data/prompt/sentences.txt and score the parser on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from chibi_avatar.character import Color
from chibi_avatar.prompt.lexicon import family_of
from chibi_avatar.prompt.parse import parse

FILE = Path(__file__).resolve().parents[1] / "data" / "prompt" / "sentences.txt"


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


def score(rows: list[tuple[str, list[str]]]) -> Score:
    """Recall over the expectations, precision over the fields that were set."""
    total = Score()
    for text, wanted in rows:
        parsed = parse(text)
        person = parsed.people[0]
        fields = person.fields
        meant: set[str] = set()
        for item in wanted:
            if item in ("f", "m"):
                item = "presentation=" + {"f": "feminine", "m": "masculine"}[item]
            total.expected += 1
            if item.startswith("neg:"):
                good = item[4:].replace("_", " ") in parsed.negatives
            elif item.startswith("unk:"):
                good = any(item[4:] in text[s.start : s.end] for s in parsed.spans if s.kind in ("unknown", "blocked"))
            elif item.startswith("people="):
                good = parsed.subjects == int(item[7:])
            else:
                path, value = item.split("=")
                meant.add(path)
                good = path in fields and matches(fields[path], value)
                if value in ("none", "false"):
                    total.refusals += 1
                    total.refused += good
            if item.startswith("neg:"):
                total.refusals += 1
                total.refused += good
            total.hit += good
            if not good:
                total.misses.append(f"MISS {item:40} | {text} | {shown(fields)}")
        for path, value in fields.items():
            if path in person.implied and path not in meant:
                continue
            total.claimed += 1
            good = path in meant and any(
                w.split("=")[0] == path and matches(value, w.split("=")[1]) for w in expand(wanted)
            )
            total.right += good
            if not good:
                total.misses.append(f"EXTRA {path}={value} | {text}")
    return total


def expand(wanted: list[str]) -> list[str]:
    return [
        "presentation=" + {"f": "feminine", "m": "masculine"}[w] if w in ("f", "m") else w
        for w in wanted
        if "=" in w or w in ("f", "m")
    ]


def shown(fields: dict) -> str:
    return " ".join(f"{k}={v.name if isinstance(v, Color) else v}" for k, v in fields.items())
