"""Seeded variety: fill what nobody chose, attribute by attribute, each from its own sub-seed; and crowds of distinct Characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..character import Character, Evidence
from .chance import number, pick
from .conflicts import resolve_conflicts
from .lexicon import family_of, lexicon, shape_of

_CHANCE = {
    "hair.ahoge": 0.12, "face.freckles": 0.1, "face.mole": 0.08, "face.fang": 0.1, "face.blush": 0.6, "hair_ornament.kind": 0.35,
    "earrings.kind": 0.12, "neck.kind": 0.25, "outer.kind": 0.25, "legwear.kind": 0.4, "gloves.kind": 0.08, "belt.kind": 0.06,
    "held.kind": 0.2, "mask.kind": 0.03, "hair.texture": 0.3, "brows.style": 0.2, "hair.coloring": 0.1, "eyes.color_right": 0.04,
    "glasses.kind": 0.22, "hat.kind": 0.25, "animal_ears.kind": 0.16, "horns.kind": 0.03, "halo.kind": 0.03, "wings.kind": 0.05,
    "tail.kind": 0.6, "headphones.kind": 0.06, "bag.kind": 0.1, "face.shape": 0.3, "eyes.style": 0.5, "face.marking": 0.04, "pose.name": 0.7,
}  # fmt: skip
_SIMPLE = (
    "presentation", "hair.style", "hair.bangs", "hair.texture", "hair.ahoge", "eyes.style", "brows.style", "face.shape", "face.freckles",
    "face.mole", "face.fang", "face.blush", "face.marking", "expression", "glasses.kind", "hat.kind", "hair_ornament.kind",
    "animal_ears.kind", "horns.kind", "halo.kind", "wings.kind", "tail.kind", "earrings.kind", "headphones.kind", "bag.kind", "mask.kind",
    "held.kind", "neck.kind", "outer.kind", "legwear.kind", "shoes.kind", "gloves.kind", "belt.kind", "pose.name",
)  # fmt: skip
_DRAWN_COLORS = ("hair.color", "eyes.color", "eyes.color_right")
_CLOTHES = ("outfit.kind", "dress.kind", "top.kind", "bottom.kind")
_NATURAL_SKIN = (
    ("fair", 3.0),
    ("light", 4.0),
    ("medium", 2.0),
    ("olive", 1.0),
    ("tan", 1.5),
    ("brown", 1.5),
    ("dark", 1.5),
    ("pale", 1.0),
)
_KEYS = (
    ("hair.style", 2.0), ("hair.color", 2.0), ("outfit.kind", 2.0), ("outfit.color", 1.0), ("eyes.color", 1.0), ("skin.color", 1.0),
    ("hat.kind", 1.0), ("glasses.kind", 0.7), ("animal_ears.kind", 1.0), ("presentation", 0.7), ("expression", 0.6), ("hair_ornament.kind", 0.4),
    ("dress.kind", 1.0), ("top.kind", 0.5), ("bottom.kind", 0.5),
)  # fmt: skip
DRAWABLE = (*_SIMPLE, *_DRAWN_COLORS, *_CLOTHES, "skin.color")


def _draw_kind(seed: int, path: str) -> Any:
    entries = [item for item in lexicon().entries.get(path, {}).values() if item.rarity > 0 and item.id != "none"]
    if path == "presentation":
        return pick(seed, path, ("feminine", "masculine", "androgynous"), (5.0, 4.0, 1.0))
    found = pick(seed, path, entries, [item.rarity for item in entries])
    return found.value


def _draw_color(seed: int, path: str) -> Any:
    words = [word for word in lexicon().colors.values() if word.rarity > 0]
    weights = []
    for word in words:
        weight = word.rarity
        if path == "hair.color":
            weight *= 0.0 if word.family == "beige" or word.id == "gold" else 1.0
            weight *= 2.0 if word.implies else 1.0
        elif path.startswith("eyes"):
            weight *= 0.15 if word.family in ("white", "beige", "rainbow") else 1.0
        else:
            weight *= 0.4 if word.family in ("rainbow", "gray") else 1.0
        weights.append(weight)
    return pick(seed, path, words, weights).color()


def draw(character: Character, seed: int, variety: float = 1.0, locks: Iterable[str] = ()) -> Character:
    """A copy in which unset fields are drawn; ``variety`` 0..1 is how likely each one is touched.

    A field's draw depends on ``seed`` and its own name alone. Fields in ``locks`` and fields that are set stay as they are. Drawn values
    have evidence ``seed``. The outcome has no open conflicts.
    """
    keep = set(locks)
    drawn: dict[str, Any] = {}

    def free(path: str) -> bool:
        return path not in character and path not in keep and number(seed, f"gate {path}") < variety

    for path in _SIMPLE:
        if free(path) and number(seed, f"chance {path}") < _CHANCE.get(path, 1.0):
            drawn[path] = _draw_kind(seed, path)
    for path in _DRAWN_COLORS:
        if free(path) and number(seed, f"chance {path}") < _CHANCE.get(path, 1.0):
            drawn[path] = _draw_color(seed, path)
    if free("skin.color"):
        names, weights = zip(*_NATURAL_SKIN, strict=True)
        drawn["skin.color"] = lexicon().tones[pick(seed, "skin.color", names, weights)]
    if not any(path in character for path in _CLOTHES) and all(free(path) for path in ("outfit.kind",)):
        masculine = {**character, **drawn}.get("presentation") == "masculine"
        kind = pick(seed, "clothes", ("outfit", "separates", "dress"), (5.0, 4.0, 0.0 if masculine else 1.5))
        for path in {"outfit": ("outfit.kind",), "separates": ("top.kind", "bottom.kind"), "dress": ("dress.kind",)}[
            kind
        ]:
            if path not in keep:
                drawn[path] = _draw_kind(seed, path)
    elif "top.kind" in character and "bottom.kind" not in character and free("bottom.kind"):
        drawn["bottom.kind"] = _draw_kind(seed, "bottom.kind")
    elif "bottom.kind" in character and "top.kind" not in character and free("top.kind"):
        drawn["top.kind"] = _draw_kind(seed, "top.kind")
    for path in list({**character, **drawn}):
        slot, _, leaf = path.partition(".")
        color = f"{slot}.color"
        value = drawn.get(path, character.get(path))
        if (
            leaf == "kind"
            and value != "none"
            and slot in _COLORED
            and free(color)
            and number(seed, f"chance {color}") < 0.75
        ):
            drawn[color] = _draw_color(seed, color)
    evidence = {path: character.evidence(path) or Evidence() for path in character}
    evidence.update({path: Evidence("seed", 0.5) for path in drawn})
    made = Character({**character, **drawn}, evidence)
    return resolve_conflicts(_settled(made, drawn)).character


_COLORED = frozenset(
    (
        "outfit",
        "dress",
        "top",
        "bottom",
        "outer",
        "neck",
        "shoes",
        "hat",
        "hair_ornament",
        "legwear",
        "bag",
        "headphones",
        "gloves",
        "wings",
    ),
)


def _settled(character: Character, drawn: dict[str, Any]) -> Character:
    """Small agreements between drawn fields: tails go with ears, no beard of flowers; drawn fields give way, chosen ones do not."""
    changes: dict[str, Any] = {}
    if "tail.kind" in drawn:
        tail = str(character.get("animal_ears.kind", "none")).replace("_ears", "_tail")
        changes["tail.kind"] = tail if tail in lexicon().entries["tail.kind"] and tail != "none" else None
    if character.get("presentation") == "masculine" and "skirt" in str(drawn.get("bottom.kind")):
        changes["bottom.kind"] = "pants"
    if "eyes.color_right" in drawn and family_of(drawn["eyes.color_right"]) == family_of(
        character.get("eyes.color", drawn["eyes.color_right"])
    ):
        changes["eyes.color_right"] = None
    if not changes:
        return character
    values: dict[str, Any] = {**character, **changes}
    return Character(
        {path: value for path, value in values.items() if value is not None},
        {path: character.evidence(path) for path in character if values.get(path) is not None},
    )


def distance(a: Character, b: Character) -> float:
    """How different two Characters look, 0 (same at a glance) to 1."""
    a, b = a.resolve(), b.resolve()
    total = score = 0.0
    for path, weight in _KEYS:
        one, two = a.get(path), b.get(path)
        total += weight
        if path.endswith("color"):
            same = (
                one is None
                and two is None
                or (one is not None and two is not None and family_of(one) == family_of(two))
            )
        else:
            same = shape_of(path, str(one)) == shape_of(path, str(two)) if one and two else one == two
        score += 0.0 if same else weight
    return score / total


def crowd(
    count: int, seed: int, base: Character | None = None, minimum: float = 0.3, locks: Iterable[str] = ()
) -> list[Character]:
    """``count`` different Characters (at most 64), no two nearer than ``minimum``. ``base`` is what they share.

    When the shared fields leave too little room, the least near candidates are taken after 200 tries each.
    """
    if not 1 <= count <= 64:
        raise ValueError(f"a crowd has 1 to 64 figures, got {count}")
    base = base or Character()
    made: list[Character] = []
    attempt = 0
    for _ in range(count):
        best: tuple[float, Character] | None = None
        for _ in range(200):
            candidate = draw(base, int(number(seed, f"crowd {attempt}") * 2**52), 1.0, locks)
            attempt += 1
            near = min((distance(candidate, other) for other in made), default=1.0)
            if best is None or near > best[0]:
                best = (near, candidate)
            if near >= minimum:
                break
        made.append(best[1])
    return made
