"""A Character in the words that one model family knows: its dialect may name what a kind is drawn as, what hides what, and what it never says.

Only what is said changes. The Character itself, and so the 3D avatar, keeps every word of its person.
"""

from __future__ import annotations

from ..character import Character
from .dialects import Dialect
from .tags import said, value_tag


def spoken(character: Character, dial: Dialect) -> tuple[Character, list[str]]:
    """``character`` as ``dial`` says it, and what became of words that it does not say (for the report)."""
    if not (dial.says or dial.silent or dial.hides):
        return character, []
    changes: dict[str, object] = {}
    drawn_as: list[str] = []
    left_out: list[str] = []
    for path, value in character.items():
        if not said(character, path) or value in (None, False, "none"):
            continue
        if path in dial.silent or path.split(".")[0] in dial.silent:
            changes |= _without(character, path)
            # what a role or a species wears is said by fields of its own
            if path.endswith(".kind") or path.startswith("face."):
                left_out.append(value_tag(path, value))
        elif (other := dial.says.get(path, {}).get(str(value), value)) is None:
            changes |= _without(character, path)
            left_out.append(value_tag(path, value))
        elif other != value:
            changes[path] = other
            if (old := value_tag(path, value)) != (new := value_tag(path, other)):
                drawn_as.append(f"{old} as {new}")
    now = character.having(changes) if changes else character
    hidden: dict[str, object] = {}
    for path, others in dial.hides.items():
        if now.get(path) not in (None, "none") and said(now, path):
            for other in others:
                if now.get(other) not in (None, False, "none") and said(now, other):
                    hidden |= _without(now, other)
                    left_out.append(f"{value_tag(other, now[other])} (under {value_tag(path, now[path])})")
    notes = []
    if drawn_as:
        notes.append(f"the {dial.id} model draws {', '.join(drawn_as)}")
    if left_out := [text for text in dict.fromkeys(left_out) if text]:
        notes.append(f"the {dial.id} model does not draw {', '.join(left_out)}")
    return (now.having(hidden) if hidden else now), notes


def _without(character: Character, path: str) -> dict[str, object]:
    """What takes the field away, and the colours that belong to it."""
    slot = path.removesuffix(".kind")
    own = (f"{slot}.color", f"{slot}.color2", f"{slot}.pattern") if path.endswith(".kind") else ()
    return {key: None for key in (path, *own) if key in character}
