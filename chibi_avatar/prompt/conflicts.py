"""Contradictions: rules that say what cannot go together, what is done about it, and why.

A rule's ``when`` maps field paths to values: ``"*"`` any value, ``"!none"`` any but ``none``, ``"-x"`` but not x, ``"!"`` unset. A rule either
unsets fields, sets fields, or hides them: a hidden field stays in the Character (the 3D base shows it) but is not said in the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..character import Character
from .datafiles import load

MAX_PASSES = 8


@dataclass(eq=False)
class Resolved:
    """A Character without contradictions, what the prompt must not say, and the story of each fix."""

    character: Character
    hidden: frozenset[str] = frozenset()
    told: list[dict[str, Any]] = field(default_factory=list)


def _matches(values: Mapping[str, Any], path: str, wanted: list[Any]) -> bool:
    value = values.get(path)
    if "!" in wanted:
        return value is None
    if value is None:
        return False
    if any(isinstance(item, str) and item.startswith("-") and item[1:] == value for item in wanted):
        return False
    if "*" in wanted:
        return True
    if "!none" in wanted:
        return value != "none"
    return value in wanted


def fires(rule: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether every condition of a rule holds."""
    return all(_matches(values, path, wanted) for path, wanted in rule["when"].items())


def _changes(rule: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {path: None for path in rule.get("unset", ()) if path in values}
    changes.update({path: value for path, value in rule.get("set", {}).items() if values.get(path) != value})
    return changes


def resolve_conflicts(character: Character) -> Resolved:
    """Apply every rule until none changes anything. Order is the file's order, so the outcome is always the same."""
    rules = load("conflicts")["rules"]
    values = dict(character)
    hidden: set[str] = set()
    told: dict[str, dict[str, Any]] = {}
    for _ in range(MAX_PASSES):
        changed = False
        for rule in rules:
            if not fires(rule, values):
                continue
            fresh = [path for path in rule.get("hide", ()) if path in values and path not in hidden]
            changes = _changes(rule, values)
            if not fresh and not changes:
                continue
            hidden.update(fresh)
            for path, value in changes.items():
                changed = True
                if value is None:
                    del values[path]
                else:
                    values[path] = value
            told.setdefault(
                rule["id"], {"rule": rule["id"], "en": rule["en"], "zh": rule["zh"], "fields": list(rule["when"])}
            )
        if not changed:
            break
    evidence = {path: found for path in values if (found := character.evidence(path)) is not None}
    return Resolved(
        Character(values, evidence), frozenset(path for path in hidden if path in values), list(told.values())
    )


def unresolved(character: Character, hidden: frozenset[str] = frozenset()) -> list[str]:
    """Rules that still fire and would still change something: empty after :func:`resolve_conflicts`."""
    return [
        rule["id"]
        for rule in load("conflicts")["rules"]
        if fires(rule, character)
        and (
            any(path in character and path not in hidden for path in rule.get("hide", ())) or _changes(rule, character)
        )
    ]
