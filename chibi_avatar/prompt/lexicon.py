"""The lexicon: every word the builder knows, in English and Chinese, and what it says about a Character.

The words live in ``data/*.json``. An entry belongs to a field path (``"hair.style"``) and has an ``id`` (the field's value), a ``tag``
(as the models were trained), surface forms in ``en`` and ``zh`` (the first one is the label), and may have ``shape`` (the kind the 3D base
draws), ``also`` (other fields it implies), ``emoji`` and ``rarity`` (weight of a random draw).
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from ..character import FIELDS, Color
from .datafiles import DataError, load
from .text import normalise, simplified, tokenise

ENTRY_FILES = ("hair", "eyes_face", "body", "outfits", "garments", "accessories", "scene")
WORN = (
    "top", "bottom", "dress", "outer", "neck", "legwear", "shoes", "gloves", "glasses", "hat", "hair_ornament", "animal_ears",
    "horns", "halo", "wings", "tail", "earrings", "headphones", "bag", "mask", "belt", "held",
)  # fmt: skip


class Entry(NamedTuple):
    """One value of one field, with the words for it."""

    path: str
    id: str
    tag: str
    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    shape: str = ""
    also: tuple[tuple[str, str], ...] = ()
    rarity: float = 1.0
    prose: str = ""

    @property
    def value(self) -> Any:
        """The field's value: the id, or True for a flag."""
        return True if FIELDS[self.path].type == "flag" else self.id

    def label(self, language: str) -> str:
        """The name to show: the first Chinese form for ``zh``, the tag otherwise."""
        return (
            self.zh[0]
            if language == "zh" and self.zh
            else (self.en[0] if self.en else self.tag or self.id.replace("_", " "))
        )


class ColorWord(NamedTuple):
    """A named colour; ``family`` is the plain colour it is a kind of."""

    id: str
    hex: str
    family: str
    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    rarity: float = 0.3
    implies: str = ""

    @property
    def name(self) -> str:
        """Canonical English name."""
        return self.id.replace("_", " ")

    def color(self) -> Color:
        """As a Character's colour."""
        return Color(self.hex, self.name)


class Pattern(NamedTuple):
    """A pattern or material of a garment."""

    id: str
    tag: str
    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    rarity: float = 0.3


class Meaning(NamedTuple):
    """What a surface form may stand for: ``kind`` is ``entry``, ``color``, ``pattern``, ``tone``, ``head``, or a particle's name."""

    kind: str
    value: Any


@dataclass(eq=False)
class Lexicon:
    """All words, and the trie over their tokens (a nested dict; the key ``""`` holds the meanings that end there)."""

    entries: dict[str, dict[str, Entry]]
    colors: dict[str, ColorWord]
    patterns: dict[str, Pattern]
    tones: dict[str, Color]
    trie: dict[str, Any] = field(default_factory=dict)
    prints: dict[str, Pattern] = field(default_factory=dict)
    vocabulary: dict[str, int] = field(default_factory=dict)
    color_by_name: dict[str, ColorWord] = field(default_factory=dict)
    modifiers: frozenset[str] = frozenset()

    def lookup(self, words: tuple[str, ...]) -> tuple[Meaning, ...]:
        """The meanings of exactly these tokens."""
        node = self.trie
        for word in words:
            node = node.get(word)
            if node is None:
                return ()
        return tuple(node.get("", ()))


def _forms(item: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(item.get("en", ())), tuple(item.get("zh", ()))


def _plural(words: tuple[str, ...]) -> tuple[str, ...] | None:
    last = words[-1]
    if not last.isascii() or not last.isalpha() or len(last) < 3:
        return None
    if last.endswith("s") and not last.endswith("ss"):
        return None
    if last.endswith(("ss", "x", "ch", "sh")):
        return (*words[:-1], last + "es")
    if last.endswith("y") and last[-2] not in "aeiou":
        return (*words[:-1], last[:-1] + "ies")
    return (*words[:-1], last + "s")


_ON_BODY = re.compile(
    r" (on|in|over|under|behind|around|across) (nose|cheeks?|face|head|neck|hair|eyes?|ears?|forehead|chest|shoulders?|hips?|waist|back)\b"
)
_LATIN = re.compile("[a-z]+(?: [a-z]+)*")
_HAN = re.compile("[\u3400-\u9fff]+")


def _tokens(surface: str) -> tuple[str, ...]:
    """What :func:`.text.tokenise` makes of a surface; most of them need no scanner."""
    if _LATIN.fullmatch(surface):
        return tuple(surface.split())
    if _HAN.fullmatch(surface):
        return tuple(surface.translate(simplified()))
    return tuple(token.text for token in tokenise(normalise(surface)))


class _Builder:
    def __init__(self) -> None:
        self.trie: dict[str, Any] = {}
        self.vocabulary: dict[str, int] = {}
        self.weak: list[tuple[tuple[str, ...], Meaning]] = []

    def add(self, surface: str, meaning: Meaning, plural: bool = False, rank: int = 1) -> None:
        words = _tokens(surface)
        if not words:
            return
        self._put(words, meaning)
        for word in words:
            if len(word) > 2 and word.isascii() and word.isalpha():
                self.vocabulary[word] = self.vocabulary.get(word, 0) + rank
        if plural:
            more = _plural(words)
            if more:
                self.weak.append((more, meaning))
        if len(words) == 2 and all(word.isascii() and word.isalpha() for word in words) and len("".join(words)) > 6:
            self.weak.append((("".join(words),), meaning))

    def add_weak(self, surface: str, meaning: Meaning) -> None:
        """A form that counts only where no other word has it."""
        words = _tokens(surface)
        self.weak.append((words, meaning))
        more = _plural(words)
        if more:
            self.weak.append((more, meaning))

    def _put(self, words: tuple[str, ...], meaning: Meaning) -> None:
        node = self.trie
        for word in words:
            node = node.setdefault(word, {})
        meanings = node.setdefault("", [])
        if meaning not in meanings:
            meanings.append(meaning)

    def finish(self) -> None:
        """Derived forms count only where nothing else has that form."""
        for words, meaning in self.weak:
            node = self.trie
            for word in words:
                node = node.get(word, {})
            if not node.get(""):
                self._put(words, meaning)
            for word in words:
                if len(word) > 2 and word.isascii() and word.isalpha():
                    self.vocabulary.setdefault(word, 1)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The lexicon, read on first use. Raises :class:`.datafiles.DataError` when a data file is not valid."""
    builder = _Builder()
    entries: dict[str, dict[str, Entry]] = {}
    for name in ENTRY_FILES:
        for path, items in load(name)["attributes"].items():
            if path not in FIELDS:
                raise DataError(f"data/{name}.json: {path!r} is not a Character field")
            slot = entries.setdefault(path, {})
            for item in items:
                en, zh = _forms(item)
                tag = item.get("tag", "")
                entry = Entry(
                    path, item["id"], tag, en, zh, item.get("shape", ""), tuple(item.get("also", {}).items()), item.get("rarity", 1.0),
                    item.get("prose", ""),
                )  # fmt: skip
                slot[entry.id] = entry
                meaning = Meaning("entry", entry)
                for surface in en:
                    builder.add(surface, meaning, plural=True, rank=2)
                    at = _ON_BODY.search(surface)
                    if at:
                        for owner in ("her", "his", "the"):
                            builder.add_weak(f"{surface[: at.start(2)]}{owner} {surface[at.start(2) :]}", meaning)
                for surface in zh:
                    builder.add(surface, meaning)
                for sign in item.get("emoji", ()):
                    builder.add(sign, meaning)
                adjectival = (
                    path.split(".")[0] in ("hair", "eyes", "brows", "face", "proportions", "age_look")
                    or entry.id == "none"
                )
                for word in (tag,) if adjectival else (tag, entry.id.replace("_", " ")):
                    if word and "," not in word:
                        builder.add_weak(word, meaning)
    colors: dict[str, ColorWord] = {}
    by_name: dict[str, ColorWord] = {}
    for item in load("colors")["colors"]:
        en, zh = _forms(item)
        word = ColorWord(
            item["id"], item["hex"], item["family"], en, zh, item.get("rarity", 0.3), item.get("implies", "")
        )
        colors[word.id] = word
        by_name[word.name] = word
        meaning = Meaning("color", word)
        for surface in (word.name, *en):
            builder.add(surface, meaning, rank=3)
        for surface in zh:
            builder.add(surface, meaning)
            if not surface.endswith("色"):
                builder.add(surface + "色", meaning)
    patterns: dict[str, Pattern] = {}
    prints: dict[str, Pattern] = {}
    for item in load("patterns")["patterns"]:
        en, zh = _forms(item)
        pattern = Pattern(item["id"], item.get("tag") or item["id"].replace("_", " "), en, zh, item.get("rarity", 0.3))
        patterns[pattern.id] = pattern
        prints.update((thing, pattern) for thing in item.get("of", ()))
        meaning = Meaning("pattern", pattern)
        for surface in (pattern.tag, *en, *zh):
            builder.add(surface, meaning, rank=2)
    tones = _grammar(builder)
    builder.finish()
    firsts = frozenset(
        words[0]
        for slot in entries.values()
        for entry in slot.values()
        for words in map(_tokens, entry.en)
        if len(words) > 1 and words[0].isascii()
    )
    return Lexicon(entries, colors, patterns, tones, builder.trie, prints, builder.vocabulary, by_name, firsts)


def _grammar(builder: _Builder) -> dict[str, Color]:
    grammar = load("grammar")

    def both(item: dict[str, Any]) -> tuple[str, ...]:
        return (*item.get("en", ()), *item.get("zh", ()))

    tones = {}
    for tone in grammar["tones"]:
        tones[tone["id"]] = Color(tone["hex"], tone["id"])
        for surface in both(tone):
            builder.add(surface, Meaning("tone", tone["id"]))
    for group, kind in (
        ("heads", "head"),
        ("shades", "shade"),
        ("adjectives", "adj"),
        ("negatives", "negword"),
        ("counts", "count"),
    ):
        for name, item in grammar[group].items():
            for surface in both(item):
                builder.add(surface, Meaning(kind, name), rank=3 if kind == "head" else 2)
    for name, item in grammar["particles"].items():
        for surface in both(item):
            builder.add(surface, Meaning(name, surface))
    for place, item in grammar["places"].items():
        for surface in both(item):
            builder.add(surface, Meaning("place", place))
    for surface in both(grammar["no_makeup"]):
        builder.add(surface, Meaning("bare", "makeup"))
    for surface in both(grammar["heads_tall"]):
        builder.add(surface, Meaning("heads", surface))
    for word, number in grammar["numbers"].items():
        builder.add(word, Meaning("number", number))
    for surface in both(grammar["fill"]):
        builder.add(surface, Meaning("fill", surface))
    for idiom in load("idioms")["idioms"]:
        sets = tuple(idiom["sets"].items())
        for surface in idiom["surfaces"]:
            builder.add(surface, Meaning("idiom", sets), rank=2)
    for word in load("banned")["words"]:
        builder.add(word, Meaning("banned", word))
    for word in load("banned")["neutral"]:
        builder.add(word, Meaning("minor", word))
    return tones


def entry(path: str, kind: str) -> Entry | None:
    """The entry of ``kind`` in field ``path``, or None."""
    return lexicon().entries.get(path, {}).get(kind)


def shape_of(path: str, kind: str) -> str | None:
    """The nearest kind that the 3D base draws: for ``hair.style`` and ``outfit.kind`` one of its shapes, else ``kind`` itself.

    None when the lexicon does not know ``kind`` (the caller uses its own default).
    """
    found = entry(path, kind)
    return None if found is None else (found.shape or found.id)


_SHADE = {
    "light": (1.0, 0.55, 0.85), "dark": (1.0, 1.05, 0.55), "bright": (1.0, 1.25, 1.15), "pastel": (1.0, 0.45, 1.1),
    "neon": (1.0, 1.6, 1.3), "muted": (1.0, 0.5, 0.85),
}  # fmt: skip


def shaded(word: ColorWord, shade: str) -> ColorWord:
    """A shade of a colour: the lexicon's own word for it where there is one, else mixed in HSV."""
    lex = lexicon()
    name = f"{shade} {word.name}"
    if name in lex.color_by_name:
        return lex.color_by_name[name]
    red, green, blue = (int(word.hex[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    _, by_saturation, by_value = _SHADE[shade]
    if shade in ("light", "pastel"):
        value = value + (1 - value) * 0.55
    mixed = colorsys.hsv_to_rgb(hue, min(1.0, saturation * by_saturation), min(1.0, value * by_value))
    text = "#" + "".join(f"{round(part * 255):02x}" for part in mixed)
    return ColorWord(re.sub(r"\W+", "_", name), text, word.family, rarity=0.0, implies=word.implies)


def family_of(color: Color) -> str:
    """The plain colour name a colour belongs to: by its name, else by the nearest colour of the lexicon."""
    lex = lexicon()
    name = color.name.lower()
    if name in lex.color_by_name:
        return lex.color_by_name[name].family
    last = name.split(" ")[-1] if name else ""
    if last in lex.color_by_name:
        return lex.color_by_name[last].family
    return nearest_color(color.hex).family


@lru_cache(maxsize=4096)
def nearest_color(hex_value: str) -> ColorWord:
    """The lexicon's colour nearest to ``#rrggbb`` (weighted distance in sRGB, which is enough to find a name)."""
    red, green, blue = (int(hex_value[i : i + 2], 16) for i in (1, 3, 5))

    def distance(word: ColorWord) -> tuple[float, str]:
        r, g, b = (int(word.hex[i : i + 2], 16) for i in (1, 3, 5))
        mean = (red + r) / 2
        return (2 + mean / 256) * (red - r) ** 2 + 4 * (green - g) ** 2 + (2 + (255 - mean) / 256) * (
            blue - b
        ) ** 2, word.id

    return min((w for w in lexicon().colors.values() if w.family != "rainbow"), key=distance)
