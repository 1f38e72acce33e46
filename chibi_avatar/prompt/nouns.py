"""Nouns and what belongs to them: colours, patterns and adjectives find their noun; refused nouns become ``none``."""

from __future__ import annotations

from functools import cache

from .choices import Choice
from .datafiles import load
from .facts import GENERIC, Notebook, Noun, Parse, Person, color_path, is_garment
from .lexicon import WORN, ColorWord, Entry, Pattern, lexicon
from .refusals import Refusals
from .segment import Piece
from .text import normalise, tokenise

_HAIR_ADJ = {
    "long": ("hair.length", "long"), "short": ("hair.length", "short"), "medium": ("hair.length", "medium"),
    "very long": ("hair.length", "very_long"), "straight": ("hair.texture", "straight"), "wavy": ("hair.texture", "wavy"),
    "curly": ("hair.texture", "curly"), "spiky": ("hair.texture", "spiky"), "messy": ("hair.texture", "messy"),
}  # fmt: skip


@cache
def adjective_forms(name: str) -> tuple[tuple[str, ...], ...]:
    """The tokens of every way to say an adjective of the grammar."""
    item = load("grammar")["adjectives"][name]
    return tuple(tuple(token.text for token in tokenise(normalise(form))) for form in (name, *item["en"], *item["zh"]))


def placed(found: Entry, place: str) -> Entry | None:
    """What a thing is at a place of the body: a bow at the neck is a bow tie."""
    target = load("grammar")["placed"].get(found.id, {}).get(place)
    if target is None:
        return None
    path, kind = target.split("=")
    return lexicon().entries[path][kind]


class Nouns(Refusals):
    """The part of the reader that keeps the state of a clause and writes nouns into the notebook."""

    book: Notebook
    parse: Parse
    chosen: list[Choice]
    last: Noun | None
    hetero: bool
    weight_at: list[tuple[int, int, float, str]]

    def reset_clause(self) -> None:
        self.nouns: list[Noun] = []
        self.colors: list[ColorWord] = []
        self.color_span: tuple[int, int] = (0, 0)
        self.patterns: list[tuple[Pattern, Piece]] = []
        self.adjectives: list[tuple[str, Piece]] = []
        self.mods: list[Piece] = []
        self.shade = ""
        self.intensity = 1.0
        self.neg: Piece | None = None
        self.neg_count = 0
        self.neg_linked = True
        self.neg_colored = False
        self.copula: Noun | None = None
        self.described: Noun | None = None
        self.back = False
        self.half = False
        self.side = ""
        self.sides: dict[str, tuple[ColorWord, Piece]] = {}
        self.linked = False
        self.holding = False
        self.dressed = False
        self.marked = False
        self.place = ""
        self.part: Piece | None = None
        self.apart = False
        self.shared = False
        self.before_all: Person | None = None
        self.detail = False
        self.clothed_at = -1
        self.negwords: list[tuple[str, Piece]] = []

    def attach(self, noun: Noun) -> None:
        """Pending colours go to ``noun``."""
        if not self.colors:
            return
        if noun.negated or self.neg is not None:
            self.refuse_color(noun)
        else:
            if self.half and color_path(noun.path) == "hair.color":
                self.book.put("hair.coloring", "two_tone", *self.color_span)
            self.book.colors(noun, self.colors, *self.color_span, weight=self.intensity)
            for other in self.nouns if self.shared else ():
                if other is not noun and not other.colored and not other.negated and color_path(other.path):
                    self.book.colors(other, self.colors, *self.color_span)
        self.colors = []
        self.intensity = 1.0

    def give_back(self) -> None:
        self.attach(self.nouns[-1])

    def lips(self, piece: Piece) -> None:
        if self.colors and self.neg is None:
            self.book.put("face.marking", "lipstick", piece.start, piece.end)
            self.book.extra(f"{self.colors[0].name} lips", piece.start, piece.end)
        self.colors = []

    def head_outfit(self, piece: Piece) -> None:
        noun = Noun("outfit.color", piece.start, piece.end, bare=True)
        if self.neg is not None:
            if self.colors:
                self.book.negative(f"{self.colors[0].name} clothes", *self.color_span)
                self.neg_count += 1
                self.colors, self.last = [], noun
            return
        if "outfit.color" in self.book.person.fields:
            return
        if self.last is not None and is_garment(self.last.path) and not self.last.colored and not self.colors:
            return
        self.push(noun)

    def skin(self, piece: Piece | Noun) -> None:
        words = load("grammar")["tone_words"]
        lex = lexicon()
        name = self.colors[0].name if self.colors else self.shade
        tone = words.get(name) or words.get(self.colors[0].id if self.colors else "")
        span = self.color_span if self.colors else (piece.start, piece.end)
        if self.neg is not None:
            self.book.negative(f"{name} skin", *span)
        elif tone:
            self.book.put("skin.color", lex.tones[tone], *span)
        elif self.colors:
            self.book.put("skin.color", self.colors[0].color(), *span)
        self.colors, self.shade = [], ""

    def compose(self, found: Entry, piece: Piece) -> Entry:
        """``leather`` + … + ``jacket``: an adjective or material before its noun may make another entry."""
        lex = lexicon()
        words: list[tuple[tuple[str, ...], object]] = [
            (surface, item) for name, item in self.adjectives for surface in adjective_forms(name)
        ]
        words += [(mod.words, None) for mod in self.mods]
        words += [(p.words, (pattern, p)) for pattern, p in self.patterns]
        mixed = {
            tuple(pattern.tag.split(" ")): (pattern, p) for pattern, p in self.patterns if piece.latin and not p.latin
        }
        words += list(mixed.items())
        named = tuple(token.text for token in tokenise(normalise(found.tag)))
        for prefix, item in words:
            for meaning in (*lex.lookup((*prefix, *piece.words)), *lex.lookup((*prefix, *named))):
                if meaning.kind == "entry" and (
                    meaning.value.path.split(".")[0] == found.path.split(".")[0] or found.path == "held.kind"
                ):
                    if isinstance(item, tuple):
                        self.patterns.remove(item)
                    self.adjectives = [
                        pair for pair in self.adjectives
                        if pair[1] is not item or found.path.startswith("hair.") and pair[0] in _HAIR_ADJ
                    ]  # fmt: skip
                    return meaning.value
        if self.place:
            return placed(found, self.place) or found
        return found

    def compose_after(self, noun: Noun, body: list[Piece]) -> None:
        """``麻花辫两条``: the number follows."""
        named = next((piece for piece in body if piece.start == noun.start), None)
        fields = self.book.person.fields
        if named is None or named.latin or fields.get(noun.path) != noun.entry.value:
            return
        if self.adjectives[-1][0] != "double":
            return
        found = self.compose(noun.entry, named)
        if found is not noun.entry and found.path == noun.path:
            fields[found.path] = found.value
            noun.entry = found

    def move(self, noun: Noun, place: str) -> None:
        """``a bow on her collar``: the place comes after the thing."""
        target = placed(noun.entry, place) if noun.entry is not None else None
        fields = self.book.person.fields
        if target is None or noun.negated or fields.get(noun.path) != noun.entry.value:
            return
        del fields[noun.path]
        self.book.put(target.path, target.value, noun.start, noun.end)
        old, new = color_path(noun.path), color_path(target.path)
        if noun.colored and old in fields:
            fields[new] = fields.pop(old)
        noun.path, noun.entry = target.path, target

    def describe(self, piece: Piece) -> bool:
        """``the skirt is pleated``, ``eyes: closed``: a word after the noun that would make another entry before it does so here too."""
        noun = self.described
        if noun is None or noun.negated or self.neg is not None:
            return False
        for meaning in lexicon().lookup((*piece.words, *noun.words)):
            if meaning.kind == "entry" and meaning.value.path.split(".")[0] in (noun.path.split(".")[0], "expression"):
                if noun.entry is not None and self.book.person.fields.get(noun.path) == noun.entry.value:
                    del self.book.person.fields[noun.path]
                self.book.put(meaning.value.path, meaning.value.value, noun.start, piece.end)
                return True
        return False

    def push(self, noun: Noun, body: list[Piece] | None = None, i: int = 0) -> None:
        """A noun arrives: it takes what is pending, or is refused."""
        negated = (
            self.still_negated(body or [], i, noun)
            if body
            else (self.neg is not None and (self.neg_count == 0 or self.neg_linked))
        )
        if not negated and self.neg is not None and self.neg_count:
            self.neg = None
        noun.kept = self.apart
        noun.negated = negated
        if negated:
            self.refuse(noun)
        else:
            self.accept(noun)
        self.nouns.append(noun)
        self.last = noun
        self.linked = False
        self.neg_linked = False
        self.copula = None
        self.mods = []
        self.holding = False

    def accept(self, noun: Noun) -> None:
        entry = noun.entry
        weight = self.weight(noun)
        if entry is not None:
            if entry.path == "face.beard" and self.colors and entry.id != "none":
                self.book.extra(f"{self.colors[0].name} {entry.tag}", noun.start, noun.end)
                self.colors = []
            self.yield_to(noun)
            self.second_thing(noun)
            if self.book.put(entry.path, entry.value, noun.start, noun.end):
                self.book.also(entry, noun.start, noun.end)
                if weight != 1.0:
                    self.book.person.weights[entry.path] = weight
            elif is_garment(entry.path) and entry.tag in self.book.person.extras:
                # kept as free text, and so is its colour
                if self.colors:
                    self.book.person.extras.remove(entry.tag)
                    self.book.extra(f"{self.colors[0].name} {entry.tag.removeprefix('holding ')}", noun.start, noun.end)
                    self.colors, noun.colored = [], True
                noun.path = "extra"
        if (
            self.colors
            and len(self.colors) == 2
            and self.nouns
            and self.nouns[-1].bare
            and not self.nouns[-1].colored
            and not self.linked
        ):
            first, self.colors = self.colors[:1], self.colors[1:]
            self.book.colors(self.nouns[-1], first, *self.color_span)
        if self.colors:
            if noun.accent or color_path(noun.path) or noun.path in ("face.marking", "species", "role"):
                if self.half and noun.path.startswith("hair."):
                    self.book.put("hair.coloring", "two_tone", *self.color_span)
                self.book.colors(noun, self.colors, *self.color_span, weight=weight if noun.entry is None else 1.0)
                self.colors = []
        elif (
            self.linked and noun.bare and not noun.eye and self.nouns and self.nouns[-1].bare and self.nouns[-1].colored
        ):
            previous = self.book.person.fields.get(color_path(self.nouns[-1].path) or "")
            path = color_path(noun.path)
            if previous is not None and path:
                self.book.put(path, previous, noun.start, noun.end)
                noun.colored = True
        self.take_adjectives(noun)
        self.flush_patterns(noun)
        self.intensity = 1.0

    def color_part(self, piece: Piece) -> bool:
        """``a fox girl with orange ears``, ``glasses with red frames``: whether a pending colour goes to a thing that she wears, by its part."""
        word = "".join(piece.words)
        path = next((path for path, words in load("grammar")["worn_parts"].items() if word in words), None)
        if path is None or not self.colors or self.book.person.fields.get(path, "none") == "none":
            return False
        self.attach(Noun(path, piece.start, piece.end))
        build, named = "proportions.build", [noun.path for noun in self.nouns]
        if path in named and named[-1] == build:  # ``thin gold frames``: not she is thin
            del self.nouns[-1]
            if named.count(build) == 1:
                self.book.person.fields.pop(build, None)
        return True

    def color_hair(self, piece: Piece) -> None:
        """``黑头发上有…``: a place that names the hair takes the colour before it."""
        hair = Noun("hair.color", piece.start, piece.end, bare=True)
        self.attach(hair)
        self.nouns.append(hair)
        self.last = hair

    def accent(self, kind: str, piece: Piece) -> None:
        """Hair of a second colour: ``streaked``, or ``gradient`` towards the tips. The colour may come before or after."""
        entry = lexicon().entries["hair.coloring"][kind]
        self.push(Noun("hair.coloring", piece.start, piece.end, entry=entry, accent=True))

    def second_color(self, noun: Noun) -> None:
        """The pending colour is the companion of the one that ``noun`` has."""
        self.book.put(f"{noun.path.split('.')[0]}.color2", self.colors[-1].color(), *self.color_span, weak=True)
        self.colors = []

    def second_thing(self, noun: Noun) -> None:
        """``a white shirt under a beige vest``: two coloured things of one slot; the plainer one becomes free text."""
        fields, path = self.book.person.fields, noun.path
        old = fields.get(path)
        color = color_path(path)
        if (
            not isinstance(old, str)
            or old == "none"
            or old == noun.entry.value
            or old not in GENERIC
            or noun.entry.value in GENERIC
        ):
            return
        if path in self.book.person.implied or not is_garment(path):
            return
        layered = path == "neck.kind" and old not in noun.entry.value
        if layered or self.colors and color in fields:
            tag = lexicon().entries[path][old].tag
            own = fields.pop(color, None)
            fields.pop(f"{color}2", None)
            fields.pop(f"{path.split('.')[0]}.pattern", None)
            text = f"{own.name} {tag}" if own else tag
            self.book.extra(text, noun.start, noun.end)
            self.parse.notes.append(f"'{text}' besides '{noun.entry.tag}': kept as free text")

    def yield_to(self, noun: Noun) -> None:
        """``圆框墨镜``: of two words for one thing side by side the last one is the thing."""
        first = self.nouns[-1] if self.nouns else None
        if (
            first is not None and first.path == noun.path and first.end == noun.start and not first.negated and first.entry is not None
            and noun.path.split(".")[0] in WORN and self.book.person.fields.get(noun.path) == first.entry.value
        ):  # fmt: skip
            del self.book.person.fields[noun.path]
            self.book.extra(first.entry.tag, first.start, noun.end)

    def weight(self, noun: Noun) -> float:
        for start, end, weight, _ in self.weight_at:
            if start <= noun.start < end:
                return weight
        return self.intensity

    def take_adjectives(self, noun: Noun) -> None:
        group = noun.path.split(".")[0]
        for name, piece in self.adjectives:
            if group == "hair" and name in _HAIR_ADJ:
                path, value = _HAIR_ADJ[name]
                if path == "hair.length" and self.intensity > 1 and value in ("long", "short"):
                    value = "very_" + value
                self.book.put(path, value, piece.start, piece.end)
            elif group in ("eyes", "hair") and noun.entry is None:
                for meaning in lexicon().lookup((name, group)) or lexicon().lookup((*piece.words, group)):
                    if meaning.kind == "entry":
                        self.book.put(meaning.value.path, meaning.value.value, piece.start, piece.end)
                        break
        if group == "eyes" and noun.entry is None:
            for mod in self.mods:
                for meaning in lexicon().lookup((*mod.words, "eyes")):
                    if meaning.kind == "entry":
                        self.book.put(meaning.value.path, meaning.value.value, mod.start, mod.end)
        self.adjectives = []

    def flush_patterns(self, noun: Noun) -> None:
        if not self.patterns or not is_garment(noun.path):
            if noun.entry is None and noun.path.startswith(("hair", "eyes")):
                self.patterns = []
            return
        group = noun.path.split(".")[0]
        for pattern, piece in self.patterns:
            path = f"{group}.pattern"
            if path in self.book.person.fields:
                self.book.extra(f"{pattern.tag} {noun.entry.tag if noun.entry else group}", piece.start, piece.end)
            else:
                self.book.put(path, pattern.id, piece.start, piece.end)
        self.patterns = []

    def settle_sides(self, region: str) -> None:
        left, right = self.sides.get("left"), self.sides.get("right")
        if region == "eyes":
            for side, item in (("left", left), ("right", right)):
                if item:
                    self.book.colors(
                        Noun("eyes.color", item[1].start, item[1].end, eye=side), [item[0]], item[1].start, item[1].end
                    )
        elif left and right:
            noun = Noun("hair.color", left[1].start, right[1].end)
            self.book.colors(noun, [left[0], right[0]], left[1].start, right[1].end)
        self.sides = {}

    def close_colors(self) -> None:
        """No noun follows: colours belong to the last one named."""
        target = next((n for n in reversed(self.nouns) if not n.colored and (color_path(n.path) or n.accent)), None)
        if target is not None and target.start < self.clothed_at <= self.color_span[0] and not is_garment(target.path):
            target = None
        worn = self.dressed and self.neg is None and self.last is not None and self.last.colored  # all in white
        if target is None and not self.nouns and self.last is not None and color_path(self.last.path) and not worn:
            target = self.last if not self.last.colored or self.neg is not None or self.last.negated is False else None
        if not self.colors:
            return
        if self.part is not None and (not self.nouns or 0 <= self.part.start - self.color_span[1] <= 1):
            self.body_part()
            return
        implied = next((word for word in self.colors if word.implies), None)
        if implied is not None and self.neg is None and (target is None or not target.path.startswith("hair")):
            self.book.put(implied.implies, implied.color(), *self.color_span)
            self.colors = []
            return
        if self.neg is not None and not self.neg_count:
            base = target or (self.nouns[-1] if self.nouns else self.last)
            if base is not None:
                self.refuse_color(base)
            elif implied is not None:
                self.book.negative(f"{implied.name} {implied.implies.split('.')[0]}", *self.color_span)
            self.colors = []
            return
        if target is not None and target.negated:
            if target in self.nouns or not target.color_refused:
                target = next((n for n in reversed(self.nouns) if not n.negated and not n.colored), None)
            else:
                self.restore(target)
        if target is not None:
            self.attach(target)
        else:
            owner = next(
                (
                    n
                    for n in reversed(self.nouns)
                    if n.colored and not n.negated and (is_garment(n.path) or n.path == "hair.color")
                ),
                None,
            )
            if self.dressed and self.detail and owner is not None:
                # white lace on a black dress, a streak in black hair
                self.second_color(owner)
                if owner.path == "hair.color":
                    self.book.put("hair.coloring", "streaked", *self.color_span, weak=True)
            elif self.dressed:
                self.book.colors(Noun("outfit.color", *self.color_span), self.colors, *self.color_span)
            else:
                start, end = self.color_span
                self.book.span(start, end, "unknown", self.parse.text[start:end])
            self.colors = []

    def body_part(self) -> None:
        """``鼻子冻得通红``, ``red nose``: a colour of a part of the body that is no field. Red cheeks are a blush."""
        word = "".join(self.part.words)
        start, end = min(self.color_span[0], self.part.start), max(self.color_span[1], self.part.end)
        if word in load("grammar")["cheeks"] and self.colors[0].family in ("red", "pink") and self.neg is None:
            self.book.put("face.blush", True, start, end)
        else:
            if self.part.latin and self.neg is None:
                self.book.extra(f"{self.colors[0].name} {word}", start, end)
            self.book.span(start, end, "unknown", self.parse.text[start:end])
        self.colors = []

    def end_clause(self, body: list[Piece]) -> None:
        if self.sides:
            self.sides = {**self.open_side, **self.sides}
            self.open_side = {}
            if len(self.sides) == 1 and self.last is not None and self.last.path.startswith("hair"):
                self.open_side = self.sides
        if self.sides:
            region = (
                "hair" if self.last is not None and self.last.path.startswith("hair") and not self.hetero else "eyes"
            )
            if len(self.sides) == 2 or self.hetero or self.eyes_near():
                self.settle_sides(region)
        self.close_colors()
        if (
            self.adjectives
            and self.neg is None
            and self.nouns
            and self.nouns[-1].entry is not None
            and not self.nouns[-1].negated
        ):
            self.compose_after(self.nouns[-1], body)
        if self.adjectives and self.neg is None:
            target = next((n for n in reversed(self.nouns) if n.path.startswith(("hair", "eyes"))), None)
            if target is None and not self.nouns:
                target = self.last
            if target is not None and target.path.startswith(("hair", "eyes")):
                region = target.path.split(".")[0]
                self.take_adjectives(Noun(f"{region}.color", target.start, target.end))
        elif (
            self.adjectives and self.neg is not None and self.nouns and self.nouns[-1].path.startswith(("hair", "eyes"))
        ):
            region = self.nouns[-1].path.split(".")[0]
            self.book.negative(f"{self.adjectives[0][0]} {region}", self.neg.start, self.adjectives[0][1].end)
        if self.patterns:
            noun = next((n for n in reversed(self.nouns) if is_garment(n.path) and not n.negated), None) or (
                self.last if self.last is not None and not self.last.negated else None
            )
            if noun is not None and is_garment(noun.path):
                self.flush_patterns(noun)
            else:
                for pattern, piece in self.patterns:
                    self.book.extra(pattern.tag, piece.start, piece.end)
                self.patterns = []

    def eyes_near(self) -> bool:
        return self.last is not None and self.last.path.startswith("eyes")
