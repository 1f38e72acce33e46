"""What a description says, collected while reading it: fields by person, refusals, free text, and where each came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..character import FIELDS, Color
from .lexicon import WORN, ColorWord, Entry, family_of, lexicon

GENERIC = frozenset(
    ("hat", "glasses", "shoes", "ears", "tail", "wings", "horns", "bag", "hair_ornament", "animal_ears", "dress", "skirt", "pants",
     "jacket", "earrings", "uniform", "casual", "necklace", "bow", "full", "happy", "smile", "shirt", "beard", "mask", "school_uniform", "updo", "bench", "top", "window", "outdoors", "indoors", "sky"),
)  # fmt: skip


_CLOTHES = ("outfit.kind", "top.kind", "bottom.kind", "dress.kind")
SHARED = ("scene.", "style.", "pose.framing", "pose.view")

_ONE_EACH = ("hair.color", "hair.style", "hair.length", "eyes.color")  # what a person has only one of


class Span(NamedTuple):
    """``text[start:end]`` said this: ``kind`` is field, negated, unknown, blocked, corrected or special."""

    start: int
    end: int
    kind: str
    what: str


@dataclass(eq=False)
class Person:
    """The fields of one figure, with emphasis."""

    fields: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)
    implied: set[str] = field(default_factory=set)
    fringe: str = ""  # what a coloured fringe is called while no other hair has a colour


@dataclass(eq=False)
class Parse:
    """Everything a description said."""

    text: str
    people: list[Person] = field(default_factory=lambda: [Person()])
    negatives: list[str] = field(default_factory=list)
    verbatim: list[str] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)
    specials: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    subjects: int = 1
    with_me: bool = False
    together: bool = False  # whether one number names them all, ``two girls``, and none of them was told apart yet

    def unknown(self) -> list[Span]:
        """Spans no rule understood."""
        return [span for span in self.spans if span.kind == "unknown"]

    def blocked(self) -> list[Span]:
        """Spans the all-ages lexicon refuses."""
        return [span for span in self.spans if span.kind == "blocked"]


def color_path(path: str) -> str | None:
    """The field that holds the colour of what is said at ``path``."""
    group = path.split(".")[0]
    if group == "hair":
        return "hair.color"
    if group == "eyes":
        return "eyes.color"
    if group == "skin":
        return "skin.color"
    if group == "scene" and path == "scene.background":
        return "scene.color"
    if group in WORN or group == "outfit":
        return f"{group}.color"
    return None


def is_garment(path: str) -> bool:
    """True where a pattern can be."""
    group = path.split(".")[0]
    return (group in WORN or group == "outfit") and f"{group}.pattern" in FIELDS


@dataclass(eq=False)
class Noun:
    """A thing that was named: an entry, or a region such as the hair. Colours and patterns attach to it."""

    path: str
    start: int
    end: int
    entry: Entry | None = None
    bare: bool = False
    colored: bool = False
    negated: bool = False
    eye: str = ""
    accent: bool = False
    color_refused: bool = False
    words: tuple[str, ...] = ()
    kept: bool = False


class Notebook:
    """Writes facts into a :class:`Parse`, with the rules for two words about one field."""

    def __init__(self, parse: Parse) -> None:
        self.parse = parse
        self.who = 0

    @property
    def person(self) -> Person:
        while len(self.parse.people) <= self.who:
            self.parse.people.append(Person())
        return self.parse.people[self.who]

    def span(self, start: int, end: int, kind: str, what: str) -> None:
        self.parse.spans.append(Span(start, end, kind, what))

    def put(self, path: str, value: Any, start: int, end: int, weak: bool = False) -> bool:
        """Set a field. A specific word replaces a generic one; a second different word for one field becomes free text."""
        if self.who and path.startswith(SHARED):
            here, self.who = self.who, 0
            done = self.put(path, value, start, end, weak)
            self.who = here
            return done
        fields = self.person.fields
        old = fields.get(path)
        if path in self.person.implied:
            if value in GENERIC:
                self.person.implied.discard(path)
                self.span(start, end, "field", path)
                return True
            self.person.implied.discard(path)
            old = None
        if path == "hair.color" and isinstance(value, Color) and value.name == "gold":
            value = lexicon().colors["blonde"].color()
        if old is not None and old != value:
            if weak:
                return False
            if self.parse.together and self._for_next(path, value):  # ``two girls with red hair and blue hair``
                self.span(start, end, "field", path)
                return True
            if isinstance(old, str) and isinstance(value, str) and FIELDS[path].type in ("kind", "enum"):
                if old == "none" or old in GENERIC or path in ("presentation", "age_look"):
                    if path == "presentation":
                        return False
                elif value in GENERIC:
                    return False
                else:
                    found = lexicon().entries.get(path, {}).get(value)
                    if found and found.tag and value != "none":
                        self.extra(found.tag, start, end)
                        self.parse.notes.append(
                            f"'{found.tag}' besides '{str(old).replace('_', ' ')}': kept as free text"
                        )
                    return False
            elif isinstance(old, Color):
                return False
        fields[path] = value
        self.span(start, end, "field", path)
        return True

    def _for_next(self, path: str, value: Any) -> bool:
        """Give a second value of one field to the next of several people who has none."""
        if path not in _ONE_EACH:
            return False
        people = self.parse.people
        people += [Person() for _ in range(self.parse.subjects - len(people))]
        free = next((person for person in people[self.who + 1 :] if path not in person.fields), None)
        if free is None:
            return False
        free.fields[path] = value
        return True

    def extra(self, text: str, start: int, end: int) -> None:
        text = " ".join(text.split())[:200]
        if text and text not in self.person.extras:
            self.person.extras.append(text)

    def negative(self, text: str, start: int, end: int) -> None:
        if text and text not in self.parse.negatives:
            self.parse.negatives.append(text)
        self.span(start, end, "negated", text)

    def also(self, entry: Entry, start: int, end: int) -> None:
        """Fields that a word implies, unless something said otherwise."""
        lex = lexicon()
        for path, value in entry.also:
            if path in self.person.fields or path in _CLOTHES:  # clothes come at the end, if nothing else is worn
                continue
            self.person.fields[path] = literal(path, value, lex.tones)
            self.person.implied.add(path)

    def colors(self, noun: Noun, words: list[ColorWord], start: int, end: int, weight: float = 1.0) -> None:
        """Give a noun its colours: the first is the main one, the second its companion field."""
        path = color_path(noun.path)
        if not words:
            return
        noun.colored = True
        if path is None:
            if noun.entry is not None and noun.entry.tag:
                self.extra(f"{words[0].name} {noun.entry.tag}", start, end)
            return
        fields = self.person.fields
        if noun.accent:
            if len(words) >= 2 and path not in fields:
                self.put(path, words[0].color(), start, end)
                self.put("hair.color2", words[1].color(), start, end)
            else:
                self.put("hair.color2", words[0].color(), start, end)
            return
        if noun.eye:
            self._eye(noun.eye, words[0].color(), start, end)
            return
        first = words[0].color()
        mixed = fields.get("hair.coloring") in ("gradient", "streaked", "inner", "two_tone")
        bangs = noun.entry is not None and noun.entry.path == "hair.bangs"
        if path == "hair.color" and mixed and not bangs and "hair.color" in fields and "hair.color2" not in fields:
            self.put("hair.color2", first, start, end)
            return
        if path == "hair.color" and bangs and path not in fields:
            self.person.fringe = f"{words[0].name} {noun.entry.tag}"  # type: ignore[union-attr]
        elif path == "hair.color" and self.person.fringe and not bangs and fields.get(path) != first:
            self.extra(self.person.fringe, start, end)  # ``pink bangs and black hair``: the hair comes after its fringe
            self.person.fringe = ""
            fields.pop(path, None)
        if path == "hair.color" and noun.entry is not None and isinstance(fields.get(path), Color):
            if fields[path].name != words[0].name and path not in self.person.implied:
                self.extra(f"{words[0].name} {noun.entry.tag}", start, end)  # a pink fringe in black hair
                return
        if path == "eyes.color" and len(words) >= 2 and family_of(first) != words[1].family:
            self._eye("left", first, start, end)
            self._eye("right", words[1].color(), start, end)
            return
        done = self.put(path, first, start, end)
        if path == "scene.color" and "scene.background" not in self.parse.people[0].fields:
            self.put("scene.background", "simple", start, end)
        second = path.replace(".color", ".color2")
        if len(words) >= 2 and second in FIELDS and done:
            self.put(second, words[1].color(), start, end)
            if path == "hair.color" and "hair.coloring" not in fields:
                self.put("hair.coloring", "two_tone", start, end)
        if weight != 1.0:
            self.person.weights[path] = weight

    def _eye(self, side: str, color: Color, start: int, end: int) -> None:
        fields = self.person.fields
        if side == "left":
            old = fields.get("eyes.color")
            if (
                old is not None
                and old != color
                and "eyes.color_right" not in fields
                and getattr(self, "right_seen", False)
            ):
                fields["eyes.color_right"] = old
            fields.pop("eyes.color", None)
            self.put("eyes.color", color, start, end)
        else:
            self.right_seen = True
            if "eyes.color" not in fields:
                self.put("eyes.color", color, start, end)
                fields["eyes.color_right"] = color
            else:
                self.put("eyes.color_right", color, start, end)

    def finish(self) -> None:
        """Roles get their clothes. An archer's bow is no ribbon. Drop what only repeats: a right eye of the left eye's colour, a second hair colour equal to the first."""
        for person in self.parse.people:
            fields = person.fields
            if fields.get("face.beard", "none") != "none" and "presentation" not in fields:
                fields["presentation"] = "masculine"
                person.implied.add("presentation")
            self._dress(person)
            archer = fields.get("role") in ("archer", "ranger") or fields.get("bag.kind") == "quiver"
            if archer and fields.get("hair_ornament.kind") == "bow" and "held.kind" not in fields:
                del fields["hair_ornament.kind"]
                fields["held.kind"] = "bow_and_arrow"
            if fields.get("eyes.color_right") is not None and fields["eyes.color_right"] == fields.get("eyes.color"):
                del fields["eyes.color_right"]
            if fields.get("outfit.kind") in ("kimono", "yukata", "hakama") and fields.get("belt.kind") == "belt":
                fields["belt.kind"] = "obi"
            for path in [p for p in fields if p.endswith(".color2") and fields[p] == fields.get(p[:-1])]:
                del fields[path]

    def _dress(self, person: Person) -> None:
        """A nurse of whose clothes nothing is said wears a nurse's; a man no dress that nobody asked for."""
        entries = lexicon().entries
        fields = person.fields
        role = entries["role"].get(str(fields.get("role")))
        if role is None or any(path in fields for path in _CLOTHES):
            return
        for path, value in role.also:
            worn = entries[path][value]
            dress = path == "dress.kind" or worn.shape == "dress"
            if not (worn.tag in self.parse.negatives or dress and fields.get("presentation") == "masculine"):
                fields[path] = value
                person.implied.add(path)


def literal(path: str, text: str, tones: dict[str, Color]) -> Any:
    """A field value from a data file's text."""
    kind = FIELDS[path].type
    if kind == "color":
        if path == "skin.color" and text in tones:
            return tones[text]
        return lexicon().colors[text].color()
    if kind == "flag":
        return text == "true"
    return text
