"""Description and choices in, Character and prompts out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..character import Character, Evidence
from .dialects import Dialect, dialect
from .facts import Parse
from .form import read_form
from .parse import parse
from .tags import GROUPS, Tag, absent_tags, character_tags


@dataclass
class Result:
    """What :func:`build` returns. ``people`` holds the Characters of a second and third figure."""

    positive: str
    negative: str
    character: Character
    report: str
    family: str
    parsed: Parse
    people: list[Character] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: prompts, Character, what was not understood or not used, with positions."""

        def spans(kind: str) -> list[dict[str, Any]]:
            return [
                {"start": s.start, "end": s.end, "text": self.parsed.text[s.start : s.end]} for s in self.parsed.spans if s.kind == kind
            ]

        return {
            "family": self.family,
            "positive": self.positive,
            "negative": self.negative,
            "character": self.character.to_dict(),
            "people": [person.to_dict() for person in self.people],
            "unknown": spans("unknown"),
            "not_used": spans("blocked"),
            "notes": self.notes,
        }


def words_to_character(parsed: Parse, index: int = 0) -> Character:
    """The Character that one figure's words describe, with evidence ``words``."""
    person = parsed.people[index]
    values = dict(person.fields)
    if person.extras:
        values["extra"] = tuple(person.extras[:40])
    return Character(values, {path: Evidence("words", 1.0) for path in values})


def _weighted(tag: Tag, dial: Dialect) -> str:
    text = tag.text.replace("(", "\\(").replace(")", "\\)") if dial.weights else tag.text
    if dial.weights and tag.weight != 1.0:
        return f"({text}:{tag.weight:g})"
    return text


def positive_prompt(character: Character, dial: Dialect, parsed: Parse) -> str:
    """The positive prompt of one family."""
    weights = parsed.people[0].weights
    tags = character_tags(character, weights)
    by_group: dict[str, list[str]] = {name: [] for name in GROUPS}
    for tag in tags:
        by_group[tag.group].append(_weighted(tag, dial))
    count = [tag for tag in by_group["subject"]]
    if parsed.subjects == 1:
        count.append("solo")
    else:
        count = [f"{parsed.subjects} people"]
    parts = [*dial.prefix, *count, *dial.subject, *dial.rating, *by_group["identity"]]
    for name in ("outfit", "accessories", "pose", "scene", "style", "free"):
        parts += by_group[name]
    parts += dial.suffix
    parts += parsed.specials
    return ", ".join(dict.fromkeys(part for part in parts if part))


def negative_prompt(character: Character, dial: Dialect, parsed: Parse) -> str:
    """The negative prompt of one family."""
    parts = [*dial.negative, *absent_tags(character), *parsed.negatives]
    return ", ".join(dict.fromkeys(parts))


def build(
    description: str,
    family: str = "sd15",
    character: Any = None,
    identity_character: Any = None,
    seed: int = 0,
    form: str = "",
    **widgets: Any,
) -> Result:
    """From a description (Chinese or English), a Character and widget values to prompts for one model family.

    ``character`` and ``identity_character`` are anything :meth:`Character.coerce` takes. ``widgets`` are field paths with ``__`` for ``.``
    (``hair__color="#ff8899"``). Raises :class:`~.dialects.FamilyError` and :class:`~..character.CharacterError`.
    """
    dial = dialect(family)
    parsed = parse(description)
    merged = Character()
    for part in (identity_character, character):
        if part is not None:
            merged = merged.merge(Character.coerce(part))
    merged = merged.merge(words_to_character(parsed))
    choices = read_form(form)
    merged = merged.merge(choices.character())
    chosen = {path.replace("__", "."): value for path, value in widgets.items() if value is not None}
    if chosen:
        merged = merged.merge(Character(chosen, {path: Evidence("widget") for path in chosen}))
    positive = positive_prompt(merged, dial, parsed)
    negative = negative_prompt(merged, dial, parsed)
    notes = [*parsed.notes, *choices.notes]
    lines = [f"family: {dial.id}", *notes]
    lines += [f"unknown at {s.start}-{s.end}: {s.what}" for s in parsed.unknown()]
    lines += [f"not used at {s.start}-{s.end}: {s.what}" for s in parsed.blocked()]
    return Result(positive, negative, merged, "\n".join(lines), dial.id, parsed, notes=notes)
