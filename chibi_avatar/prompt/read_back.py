"""Prompt to Character: a pasted prompt or a tagger's output fills the form."""

from __future__ import annotations

from typing import Any

from ..character import Character, Evidence
from .build import words_to_character
from .dialects import FAMILIES, dialect
from .parse import parse
from .tokens import split_tags


def _house_words() -> frozenset[str]:
    words: set[str] = set()
    for name in FAMILIES:
        dial = dialect(name)
        words.update(dial.prefix, dial.suffix, dial.subject, dial.rating)
    return frozenset(words)


def read_prompt(positive: str, negative: str = "") -> tuple[Character, list[dict[str, Any]]]:
    """The Character a prompt describes, and the spans nothing was known about. Quality and rating tags are skipped.

    What the negative prompt refuses becomes ``none``, except what a family's own negative list always refuses.
    """
    house = _house_words()
    kept = ", ".join(tag for tag in split_tags(positive[:20_000].replace("_", " ")) if tag.strip().lower() not in house)
    parsed = parse(kept)
    character = words_to_character(parsed)
    always = {tag for name in FAMILIES for tag in dialect(name).negative}
    refused = [tag for tag in split_tags(negative[:20_000].replace("_", " ")) if tag not in always]
    if refused:
        absent = parse(". ".join(f"no {tag}" for tag in refused)).people[0].fields
        extra = {path: value for path, value in absent.items() if value in ("none", False) and path not in character}
        evidence = {path: character.evidence(path) or Evidence("words") for path in character}
        character = Character({**character, **extra}, {**evidence, **{path: Evidence("words", 0.8) for path in extra}})
    unknown = [{"start": s.start, "end": s.end, "text": s.what} for s in parsed.unknown()]
    return character, unknown
