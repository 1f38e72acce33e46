"""The builder's form: what a person chose by hand, as the JSON text that the panel and the API share.

``{"fields": {"hair.color": "#f4a7c0"}, "locks": ["hair.style"], "weights": {"eyes.color": 1.2}}``: every key is optional.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ..character import FIELDS, Character, CharacterError, Color, Evidence

VERSION = 1
MAX_BYTES = 64 * 1024


@dataclass(eq=False)
class Form:
    """Hand-made choices. ``locks`` are fields that random variety leaves as they are; ``weights`` their emphasis."""

    fields: dict[str, Any] = field(default_factory=dict)
    locks: frozenset[str] = frozenset()
    weights: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def character(self) -> Character:
        """The choices as a Character with evidence ``widget``."""
        return Character(self.fields, {path: Evidence("widget") for path in self.fields})


def read_form(text: str) -> Form:
    """Read the form's JSON. Wrong single values become notes; text that is no form raises :class:`CharacterError`."""
    if not text or not text.strip():
        return Form()
    if len(text) > MAX_BYTES:
        raise CharacterError(f"the form is {len(text)} characters long; the limit is {MAX_BYTES}")
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise CharacterError(f"the form is not JSON: {error}. Clear it, or give {{}}") from error
    if not isinstance(data, dict):
        raise CharacterError('the form must be a JSON object such as {"fields": {"hair.color": "#f4a7c0"}}')
    version = data.get("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise CharacterError(
            f"the form has version {str(version)[:20]}, this pack reads up to {VERSION}: update Chibi Avatar"
        )
    form = Form()
    fields = data.get("fields", {})
    for path, value in fields.items() if isinstance(fields, dict) else ():
        if value is None:
            continue
        try:
            Character({path: value})
        except CharacterError as error:
            form.notes.append(f"form: {error}; left out")
            continue
        form.fields[path] = Character({path: value})[path]
    locks = data.get("locks", [])
    if isinstance(locks, list):
        form.locks = frozenset(path for path in locks if isinstance(path, str) and path in FIELDS)
    weights = data.get("weights", {})
    for path, weight in weights.items() if isinstance(weights, dict) else ():
        if (
            path in FIELDS
            and isinstance(weight, (int, float))
            and not isinstance(weight, bool)
            and 0.1 <= weight <= 2.0
        ):
            form.weights[path] = float(weight)
        else:
            form.notes.append(f"form: weight of {str(path)[:40]!r} must be a number from 0.1 to 2; left out")
    return form


def write_form(form: Form) -> str:
    """The form as canonical JSON text."""

    def plain(value: Any) -> Any:
        if isinstance(value, Color):
            return {"hex": value.hex, "name": value.name}
        return list(value) if isinstance(value, tuple) else value

    data = {
        "version": VERSION,
        "fields": {path: plain(form.fields[path]) for path in FIELDS if path in form.fields},
        "locks": sorted(form.locks),
        "weights": dict(sorted(form.weights.items())),
    }
    return json.dumps(data, ensure_ascii=False)
