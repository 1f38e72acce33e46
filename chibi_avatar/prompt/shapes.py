"""Fill what the 3D base needs to draw from what a person said: a hair style from its length, an outfit from its garments."""

from __future__ import annotations

from typing import Any

from ..character import Character, Evidence

_BY_LENGTH = {
    "very_short": "short",
    "short": "short",
    "medium": "bob",
    "long": "long_straight",
    "very_long": "long_straight",
}
_BY_TEXTURE = {"curly": "curly", "spiky": "spiky"}
_OUTER = {
    "blazer": "blazer_uniform",
    "lab_coat": "suit",
    "cardigan": "sweater",
    "raglan": "hoodie",
    "cloak": "hanfu",
    "haori": "kimono",
}
_TOP = {
    "hoodie": "hoodie", "sweatshirt": "hoodie", "sweater": "sweater", "turtleneck": "sweater", "sweater_vest": "sweater",
    "chinese_top": "qipao", "sailor_shirt": "sailor_uniform",
}  # fmt: skip
_SKIRTS = (
    "skirt",
    "pleated_skirt",
    "miniskirt",
    "suspender_skirt",
    "denim_skirt",
    "frilled_skirt",
    "long_skirt",
    "tutu_skirt",
    "kilt",
)


def for_avatar(character: Character) -> Character:
    """A copy with ``hair.style`` and ``outfit.kind``, ``outfit.color``, ``outfit.color2`` derived where they are unset.

    What is added has evidence ``default`` (confidence 0.5): a stronger source still wins in :meth:`Character.merge`.
    """
    derived: dict[str, Any] = {}
    if "hair.style" not in character:
        style = (
            _BY_TEXTURE.get(str(character.get("hair.texture")))
            if character.get("hair.length") in (None, "short", "medium")
            else None
        )
        style = style or _BY_LENGTH.get(str(character.get("hair.length")))
        if style:
            derived["hair.style"] = style
    if "outfit.kind" not in character:
        derived.update(_outfit(character))
    evidence = {path: character.evidence(path) or Evidence() for path in character}
    evidence.update({path: Evidence("default", 0.5) for path in derived})
    return Character({**character, **derived}, evidence)


def _outfit(character: Character) -> dict[str, Any]:
    dress, top, bottom, outer = (character.get(f"{slot}.kind") for slot in ("dress", "top", "bottom", "outer"))
    if dress not in (None, "none"):
        return _colored("dress", character, "dress", "dress")
    if top is None and bottom is None and outer in (None, "none"):
        return {}
    if bottom in _SKIRTS and (top in ("shirt", "blouse", None) or outer == "blazer"):
        return _colored(
            "blazer_uniform" if outer == "blazer" else "sailor_uniform" if top is None else "blazer_uniform",
            character,
            "outer" if outer else "top",
            "bottom",
        )
    if outer in _OUTER:
        return _colored(_OUTER[outer], character, "outer", "bottom")
    return _colored(
        _TOP.get(str(top), "tshirt_shorts" if outer in (None, "none") else "hoodie"),
        character,
        "top" if top else "outer",
        "bottom",
    )


def _colored(kind: str, character: Character, main: str, second: str) -> dict[str, Any]:
    found: dict[str, Any] = {"outfit.kind": kind}
    for path, source in (
        ("outfit.color", f"{main}.color"),
        ("outfit.color2", f"{second}.color2" if main == second else f"{second}.color"),
    ):
        if source in character and path not in character:
            found[path] = character[source]
    pattern = character.get(f"{main}.pattern")
    if pattern is not None and "outfit.pattern" not in character:
        found["outfit.pattern"] = pattern
    return found
