"""What a training picture shows, decided by its number alone: who, in which pose, seen from where, on what ground, and its caption."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ...avatar.build import FACES
from ...avatar.ground import GROUNDS
from ...avatar.wardrobe import HAIR, OUTFITS
from ...character import Character, Color
from ...pose import library
from ...prompt.conflicts import resolve_conflicts
from ...prompt.dialects import dialect
from ...prompt.lexicon import lexicon
from ...prompt.spoken import spoken
from ...prompt.tags import character_tags
from ...prompt.variety import draw

PER_CHARACTER = 3  # pictures that share a Character: building one costs half a picture
FRAMINGS = (("portrait", 0.3), ("upper_body", 0.2), ("cowboy_shot", 0.12), ("full_body", 0.38))
GUIDE_SHARE = 0.15  # pictures through the cameras of the four-view set, in T-pose, as the texture bake uses them
_FEMININE_HAIR = frozenset(("twin_tails", "low_twin_tails", "twin_braids", "hime", "double_bun", "bun"))
_FEMININE_OUTFITS = frozenset(("dress", "qipao"))
EXPRESSIONS = ("neutral", "smile", "smile", "happy", "grin", "angry", "sad", "surprised", "closed_eyes", "wink", "pout", "worried", "sleepy", "shy")  # fmt: skip
_UNSAID = frozenset(("pose.name", "pose.framing", "pose.view", "scene.background", "scene.color", "scene.time", "style.render", "proportions.heads", "age_look"))  # fmt: skip
_GROUND_WORDS = {"soft": "pink", "mint": "mint green", "sky": "sky blue", "lilac": "lavender", "studio": "gray"}


@dataclass(frozen=True)
class Scene:
    """One picture. ``azimuth`` and ``elevation`` in degrees; ``pose`` None is the T-pose; ``ground`` is a name of ``GROUNDS``, one colour,
    or two (top, bottom); ``light`` points to the key light in view space. ``tags`` are ``(text, field path)``, most telling first."""

    number: int
    character: Character
    pose: str | None
    mirrored: bool
    framing: str  # a framing of FRAMINGS, or "guide"
    azimuth: float
    elevation: float
    zoom: float
    shift: tuple[float, float]  # fractions of the picture
    light: tuple[float, float, float]
    ground: str | tuple[tuple[float, float, float], ...]
    tags: tuple[tuple[str, str], ...]


def training_character(number: int, seed: int = 0) -> Character:
    """The Character of picture ``number``: the shapes that the base has come up evenly, the rest as the prompt room draws it."""
    r = random.Random(f"chibi character {seed} {number // PER_CHARACTER}")
    feminine = r.random() < 0.58
    values: dict[str, Any] = {
        "presentation": "feminine" if feminine else "masculine",
        "proportions.heads": round(r.uniform(2.1, 3.2), 2),
    }
    if r.random() < 0.72:
        values["hair.style"] = r.choice([name for name in HAIR if feminine or name not in _FEMININE_HAIR])
    if r.random() < 0.62:
        values["outfit.kind"] = r.choice([name for name in OUTFITS if feminine or name not in _FEMININE_OUTFITS])
    if r.random() < 0.75:
        values["expression"] = r.choice(EXPRESSIONS)
    values["glasses.kind"] = r.choice(("round_glasses", "square_glasses", "glasses")) if r.random() < 0.3 else "none"
    if r.random() < 0.72:
        values["hat.kind"] = "none"
    for slot, chance in (("outer", 0.7), ("mask", 1.0), ("held", 1.0), ("face.marking", 1.0)):
        if r.random() < chance:  # what the base cannot draw, or what hides the rest, is rarer than in a prompt
            values[slot if "." in slot else f"{slot}.kind"] = "none"
    return draw(Character(values), r.randrange(2**31))


def scene(number: int, seed: int = 0) -> Scene:
    """The scene of picture ``number``; the same for the same ``seed`` on every machine."""
    who = training_character(number, seed)
    r = random.Random(f"chibi scene {seed} {number}")
    guide = r.random() < GUIDE_SHARE
    if guide:
        framing, pose, azimuth, elevation = "guide", None, float(r.choice((0, 90, 180, 270))), 0.0
    else:
        framing = r.choices([name for name, _ in FRAMINGS], [share for _, share in FRAMINGS])[0]
        pose = r.choice(_poses(framing)) if r.random() < 0.85 else "standing"
        azimuth, elevation = _side(r, framing), r.uniform(-3.0, 10.0)
    hidden = _UNSAID | resolve_conflicts(who).hidden
    in_words, _ = spoken(who, dialect("tiny"))  # as prompts for this model are written
    tags = [(tag.text, tag.path) for tag in character_tags(in_words, hidden=hidden)]
    tags += _picture_tags(framing, azimuth, pose)
    ground, words = _ground(r)
    tags += [(word, "scene.background") for word in words]
    light = (r.uniform(-0.7, 0.1), r.uniform(0.45, 0.75), r.uniform(0.5, 0.8))
    return Scene(
        number,
        who,
        pose,
        r.random() < 0.5,
        framing,
        azimuth,
        elevation,
        1.0 if guide else r.uniform(0.94, 1.08),
        (0.0, 0.0) if guide else (r.uniform(-0.03, 0.03), r.uniform(-0.02, 0.02)),
        (-0.46, 0.62, 0.66) if r.random() < 0.4 else light,
        ground,
        tuple(tags),
    )


@lru_cache(maxsize=4)
def _poses(framing: str) -> tuple[str, ...]:
    """Poses that suit a framing: who lies or sits low is shown whole."""
    low = ("rest", "sit") if framing != "full_body" else ()
    bent = ("bow", "leaning_forward", "looking_back", "curtsey") if framing != "full_body" else ()
    return tuple(name for name, about in library.poses().items() if about["group"] not in low and name not in bent)


def _side(r: random.Random, framing: str) -> float:
    chance = r.random()
    if framing != "full_body":  # a face is what a portrait is for
        return r.uniform(-8, 8) if chance < 0.55 else r.choice((-1, 1)) * r.uniform(12, 48)
    if chance < 0.45:
        return r.uniform(-10, 10)
    if chance < 0.75:
        return r.choice((-1, 1)) * r.uniform(12, 50)
    return r.choice((-1, 1)) * r.uniform(75, 105) if chance < 0.87 else 180 + r.uniform(-40, 40)


def view_word(azimuth: float) -> str:
    """The view tag's key for an azimuth in degrees: front, three_quarter, side or back."""
    turn = abs((azimuth + 180) % 360 - 180)
    return "front" if turn < 12 else "three_quarter" if turn < 62 else "side" if turn < 125 else "back"


def _picture_tags(framing: str, azimuth: float, pose: str | None) -> list[tuple[str, str]]:
    tags = [
        (_entry("pose.framing", "full_body" if framing == "guide" else framing), "pose.framing"),
        (_entry("pose.view", view_word(azimuth)), "pose.view"),
    ]
    if framing in ("full_body", "cowboy_shot", "guide"):
        tags.append(((pose or "t_pose").replace("_", " "), "pose.name"))
    return tags


@lru_cache(maxsize=64)
def _entry(path: str, name: str) -> str:
    return lexicon().entries[path][name].tag


def _ground(r: random.Random) -> tuple[Any, list[str]]:
    chance = r.random()
    if chance < 0.3:
        name = r.choice(sorted(GROUNDS))
        return name, [f"{_GROUND_WORDS[name]} background", "simple background"]
    if chance < 0.5:
        return ((1.0, 1.0, 1.0),), ["white background", "simple background"]
    color = r.choice(_ground_colors())
    pale = tuple(0.45 + 0.55 * v for v in color.rgb)
    if chance < 0.78:
        return (pale,), [f"{color.name} background", "simple background"]
    return (tuple(0.75 + 0.25 * v for v in color.rgb), color.rgb), [f"{color.name} background", "gradient background"]


@lru_cache(maxsize=1)
def _ground_colors() -> tuple[Color, ...]:
    return tuple(word.color() for _, word in sorted(lexicon().colors.items()) if word.rarity > 0)


def expression_class(name: str) -> str:
    """The face that an expression word makes on the base, named by its strongest morph; ``neutral`` for none."""
    morphs = FACES.get(name)
    return max(morphs, key=morphs.get) if morphs else "neutral"  # type: ignore[arg-type]
