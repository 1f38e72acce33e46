"""A Character as tags: every field says itself in the words the models were trained on, in the order that keeps identity first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..character import FIELDS, Character, Color
from .lexicon import WORN, entry, lexicon

GROUPS = ("subject", "identity", "outfit", "accessories", "pose", "scene", "style", "free")
_IDENTITY_WORN = frozenset(("animal_ears", "horns", "halo", "wings", "tail", "glasses"))
_CLOTHES = ("outfit", "dress", "top", "bottom", "outer", "neck", "legwear", "shoes")
_COUNT = {"feminine": "1girl", "masculine": "1boy", "androgynous": "1other"}


class Tag(NamedTuple):
    """One tag, the group it is ordered by, the field it says, and its weight."""

    text: str
    group: str
    path: str = ""
    weight: float = 1.0


def said(character: Character, path: str) -> bool:
    """Whether somebody or something said this field; defaults are filled in silently."""
    evidence = character.evidence(path)
    return evidence is None or evidence.source != "default"


def color_words(color: Color) -> str:
    """A colour's name for a prompt: its own, else the nearest known colour's."""
    from .lexicon import nearest_color

    return color.name or nearest_color(color.hex).name


def value_tag(path: str, value: object) -> str:
    """The tag of a plain field value; '' when the value says nothing in a prompt."""
    found = entry(path, "true" if value is True else str(value))
    if found is not None:
        return found.tag or (found.en[0] if found.en else found.id.replace("_", " "))
    return str(value).replace("_", " ")


def pattern_words(kind: str) -> str:
    """The tag of a pattern."""
    found = lexicon().patterns.get(kind)
    return found.tag if found else kind.replace("_", " ")


def worn_tags(slot: str, values: Mapping[str, object]) -> list[str]:
    """Tags of one garment or accessory: colour and pattern bound to its noun."""
    kind = values.get(f"{slot}.kind")
    color, second, pattern = (values.get(f"{slot}.{leaf}") for leaf in ("color", "color2", "pattern"))
    if kind is None:
        if slot != "outfit" or color is None:
            return []
        noun, rest = "clothes", []
    elif kind == "none":
        return ["barefoot"] if slot == "shoes" else []
    else:
        noun, *rest = [part.strip() for part in value_tag(f"{slot}.kind", kind).split(",")]
    words = []
    if isinstance(color, Color):
        words.append(color_words(color))
        if isinstance(second, Color):
            words.append("and " + color_words(second))
    if isinstance(pattern, str) and pattern != "none":
        words.append(pattern_words(pattern))
    return [" ".join([*words, noun]), *rest]


def hair_tags(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Tags of the hair with the field each one says."""
    out: list[tuple[str, str]] = []
    style = values.get("hair.style")
    color, second, coloring = values.get("hair.color"), values.get("hair.color2"), values.get("hair.coloring")
    if style == "bald":
        return [("bald", "hair.style")]
    if isinstance(color, Color):
        out.append((f"{color_words(color)} hair", "hair.color"))
    if isinstance(second, Color):
        name = color_words(second)
        if coloring == "streaked":
            out.append((f"{name} streaked hair", "hair.color2"))
        elif coloring == "inner":
            out.append((f"{name} colored inner hair", "hair.color2"))
        elif coloring == "gradient":
            out.append((f"gradient hair with {name} tips", "hair.color2"))
        else:
            out.append((f"two-tone hair, {name} hair", "hair.color2"))
    elif coloring not in (None, "solid"):
        out.append((value_tag("hair.coloring", coloring), "hair.coloring"))
    if style not in (None, "none"):
        out.append((value_tag("hair.style", style), "hair.style"))
    if values.get("hair.length"):
        out.append((value_tag("hair.length", values["hair.length"]), "hair.length"))
    texture = values.get("hair.texture")
    if texture:
        out.append((value_tag("hair.texture", texture), "hair.texture"))
    if values.get("hair.bangs"):
        out.append((value_tag("hair.bangs", values["hair.bangs"]), "hair.bangs"))
    if values.get("hair.ahoge"):
        out.append(("ahoge", "hair.ahoge"))
    return out


def eye_tags(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Tags of the eyes."""
    out: list[tuple[str, str]] = []
    left, right = values.get("eyes.color"), values.get("eyes.color_right")
    if isinstance(left, Color):
        if isinstance(right, Color):
            out.append((f"heterochromia, {color_words(left)} left eye, {color_words(right)} right eye", "eyes.color"))
        else:
            out.append((f"{color_words(left)} eyes", "eyes.color"))
    if values.get("eyes.style"):
        out.append((value_tag("eyes.style", values["eyes.style"]), "eyes.style"))
    return out


def character_tags(
    character: Character, weights: Mapping[str, float] | None = None, hidden: frozenset[str] = frozenset()
) -> list[Tag]:
    """Every set field as tags, in the order of :data:`GROUPS`. Default-filled and hidden fields are not said."""
    weights = weights or {}
    values = {}
    for path, value in character.items():
        if path not in hidden and said(character, path):
            values[path] = value
    tags: list[Tag] = []

    def add(text: str, group: str, path: str) -> None:
        for part in text.split(", "):
            if part:
                tags.append(Tag(part, group, path, weights.get(f"extra:{part}" if path == "extra" else path, 1.0)))

    presentation = values.get("presentation")
    add(_COUNT.get(str(presentation), "1other") if presentation else "", "subject", "presentation")
    for path in ("species", "role"):
        if values.get(path) and values[path] not in ("none", "human"):
            add(value_tag(path, values[path]), "identity", path)
    for text, path in (*hair_tags(values), *eye_tags(values)):
        add(text, "identity", path)
    for path in ("skin.color",):
        if path in values:
            add(f"{color_words(values[path])} skin", "identity", path)
    for path in (
        "brows.style",
        "face.shape",
        "face.blush",
        "face.freckles",
        "face.mole",
        "face.fang",
        "face.beard",
        "face.marking",
        "age_look",
        "proportions.build",
    ):
        value = values.get(path)
        if value in (None, False, "none"):
            continue
        add(value_tag(path, value), "identity", path)
    heads = values.get("proportions.heads")
    if heads is not None:
        add(f"{heads:g} heads tall", "identity", "proportions.heads")
    for slot in WORN:
        if slot in _IDENTITY_WORN:
            for text in worn_tags(slot, values):
                add(text, "identity", f"{slot}.kind")
    if values.get("expression"):
        add(value_tag("expression", values["expression"]), "identity", "expression")
    for slot in (*_CLOTHES, *WORN):
        if slot in _IDENTITY_WORN or (slot in _CLOTHES and any(t.path == f"{slot}.kind" for t in tags)):
            continue
        group = "outfit" if slot in _CLOTHES else "accessories"
        for text in worn_tags(slot, values):
            if not any(t.text == text for t in tags):
                add(text, group, f"{slot}.kind")
    for path in ("pose.name", "pose.framing", "pose.view"):
        if values.get(path):
            add(value_tag(path, values[path]), "pose", path)
    if values.get("scene.background"):
        text = value_tag("scene.background", values["scene.background"])
        color = values.get("scene.color")
        add(
            f"{color_words(color)} background, {text}" if isinstance(color, Color) else text,
            "scene",
            "scene.background",
        )
    if values.get("scene.time"):
        add(value_tag("scene.time", values["scene.time"]), "scene", "scene.time")
    if values.get("style.render"):
        add(value_tag("style.render", values["style.render"]), "style", "style.render")
    for text in values.get("extra", ()):
        add(text, "free", "extra")
    seen: set[str] = set()
    return [tag for tag in tags if not (tag.text in seen or seen.add(tag.text))]


def absent_tags(character: Character) -> list[str]:
    """What the Character is certainly without, for the negative prompt."""
    out = []
    for path, value in character.items():
        if value != "none" or path in ("hair.bangs", "shoes.kind"):
            continue
        slot = path.split(".")[0]
        word = {
            "hair_ornament": "hair ornament",
            "animal_ears": "animal ears",
            "outer": "jacket",
            "neck": "scarf",
            "held": "holding",
            "legwear": "socks",
        }
        out.append("beard" if path == "face.beard" else word.get(slot, slot) if FIELDS[path].type == "kind" else slot)
    return out
