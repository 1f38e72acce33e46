"""Read a description: nouns take the colours and patterns of their own scope, refusals remove, unknown words are reported.

A clause is the text between two punctuation marks. Inside it colours bind to the next noun, or back to the noun before them when nothing
follows (``eyes blue``, ``裙子是白色的``). A refusal (``no``, ``不要``) reaches to the end of its clause, over ``or`` and ``、``.
"""

from __future__ import annotations

from ..character import FIELDS
from .facts import Noun, Notebook, Parse, color_path, is_garment, literal
from .lexicon import WORN, ColorWord, Entry, Meaning, Pattern, lexicon, shaded
from .datafiles import load
from .segment import Piece, segment
from .text import MAX_CHARACTERS, normalise, specials, tokenise
from .weights import regions

_LINKS = frozenset(("and", "or", "fill", "minor", "copula", "wear", "hold", "contrast"))
_HAIR_ADJ = {
    "long": ("hair.length", "long"), "short": ("hair.length", "short"), "medium": ("hair.length", "medium"),
    "very long": ("hair.length", "very_long"), "straight": ("hair.texture", "straight"), "wavy": ("hair.texture", "wavy"),
    "curly": ("hair.texture", "curly"), "spiky": ("hair.texture", "spiky"), "messy": ("hair.texture", "messy"),
}  # fmt: skip
_DROPPABLE = frozenset(WORN) - {"top", "bottom"}
_HEADS = {"hair": "hair.color", "eyes": "eyes.color", "eye": "eyes.color", "eye_left": "eyes.color", "eye_right": "eyes.color", "skin": "skin.color"}
_EVERYDAY = frozenset(("很", "好", "老", "太", "挺", "真的很", "so", "really", "too"))
_SUBJECT_PRONOUNS = frozenset(("she", "her", "he", "him", "his", "她", "他"))


class Reader:
    """One pass over the pieces of a description."""

    def __init__(self, parse: Parse, pieces: list[Piece], weight_at: list[tuple[int, int, float]]) -> None:
        self.book = Notebook(parse)
        self.parse = parse
        self.pieces = pieces
        self.weight_at = weight_at
        self.last: Noun | None = None
        self.hetero = False
        self.eyes_named = 0
        self.negative_list = False
        self.explicit_subject = False
        self.markers = 0
        self.reset_clause()

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
        self.back = False
        self.half = False
        self.side = ""
        self.sides: dict[str, tuple[ColorWord, Piece]] = {}
        self.linked = False
        self.holding = False
        self.dressed = False

    # -- walking ---------------------------------------------------------------------------------------------------

    def read(self) -> None:
        clause: list[Piece] = []
        clauses: list[tuple[list[Piece], str]] = []
        for piece in self.pieces:
            if piece.brk:
                clauses.append((clause, piece.brk))
                clause = []
            else:
                clause.append(piece)
        clauses.append((clause, ""))
        for index, (body, mark) in enumerate(clauses):
            if body:
                self.read_clause(body, clauses[index + 1 :])
            if mark in (".", ";", "!", "?", "\n", "。", "；"):
                self.negative_list = False
        self.book.finish()
        if self.hetero:
            fields = self.book.person.fields
            if "eyes.color_right" not in fields:
                self.book.extra("heterochromia", 0, 0)
                self.parse.notes.append("heterochromia without two colours: name both, for example 'left eye blue, right eye gold'")

    def read_clause(self, body: list[Piece], after: list[tuple[list[Piece], str]]) -> None:
        self.reset_clause()
        self.chosen = self.resolve(body)
        self.back = self.backward(body)
        if self.negative_list and self.bare_list(body):
            self.neg = body[0]
        i = 0
        while i < len(body):
            i = self.step(body, i)
        self.end_clause(body)
        if self.neg is not None and self.neg_count:
            self.negative_list = self.list_continues(after)
        elif self.negative_list:
            self.negative_list = False

    def bare_list(self, body: list[Piece]) -> bool:
        return all(kind in ("entry", "or", "and", "fill", "head", "negword") for kind, _ in self.chosen)

    def list_continues(self, after: list[tuple[list[Piece], str]]) -> bool:
        """``no wings, tail or horns``: bare nouns after the comma belong to the refusal when an ``or`` closes the list."""
        for body, mark in after:
            kinds = [kind for kind, _ in self.resolve(body)]
            if not kinds or any(kind not in ("entry", "or", "fill", "head", "negword") for kind in kinds):
                return False
            if "or" in kinds:
                return True
            if mark not in (",", "，", "、"):
                return False
        return False

    def resolve(self, body: list[Piece]) -> list[tuple[str, Meaning | None]]:
        """One meaning per piece, by what stands around it."""
        out: list[tuple[str, Meaning | None]] = []
        for i, piece in enumerate(body):
            out.append(self.choose(piece, i, body))
        return out

    def choose(self, piece: Piece, i: int, body: list[Piece]) -> tuple[str, Meaning | None]:
        if not piece.meanings:
            return "unknown", None
        kinds = {m.kind for m in piece.meanings}
        for first in ("banned", "idiom"):
            if first in kinds:
                return first, piece.meaning(first)
        if len(kinds) == 1 and len(piece.meanings) == 1:
            return piece.meanings[0].kind, piece.meanings[0]
        following = self.next_content(body, i)
        previous = body[i - 1] if i else None
        noun_next = following is not None and self.takes_modifiers(following)
        if "fill" in kinds and kinds & {"entry", "color", "pattern"} and len(body) > 1:
            named = piece.meaning("entry")
            if not (named and named.value.path in ("pose.name", "species") and piece.words[0] not in ("hello",)):
                return "fill", piece.meaning("fill")
        if "color" in kinds:
            held = previous is not None and previous.meaning("hold") is not None
            if "tone" in kinds and following is not None and following.meaning("head") and following.meaning("head").value == "skin":
                return "tone", piece.meaning("tone")
            if "entry" in kinds and (held or not (noun_next or self.head_before(body, i))):
                return "entry", piece.meaning("entry")
            return "color", piece.meaning("color")
        if "dots" in kinds and previous is not None and previous.meaning("color"):
            return "dots", piece.meaning("dots")
        if "pattern" in kinds:
            if noun_next and not (following.meaning("head") and "entry" in kinds):
                return "pattern", piece.meaning("pattern")
            if "entry" in kinds:
                if self.printed(piece, body, i):
                    return "pattern", piece.meaning("pattern")
                return "entry", piece.meaning("entry")
            if kinds & {"adj", "dots", "shade"} - {"pattern"} and noun_next:
                return "pattern", piece.meaning("pattern")
            return "pattern", piece.meaning("pattern")
        if "adj" in kinds and kinds & {"entry", "tone", "shade", "very", "slight", "fill", "number"}:
            if noun_next or "entry" not in kinds:
                return "adj", piece.meaning("adj")
        if "shade" in kinds:
            if following is not None and following.meaning("color"):
                return "shade", piece.meaning("shade")
            if "tone" in kinds and following is not None and following.meaning("head"):
                return "tone", piece.meaning("tone")
            rest = next((m for m in piece.meanings if m.kind in ("adj", "entry", "fill", "tone")), piece.meanings[0])
            return rest.kind, rest
        if "number" in kinds:
            if following is not None and following.meaning("heads"):
                return "number", piece.meaning("number")
            rest = next((m for m in piece.meanings if m.kind != "number"), piece.meanings[0])
            return rest.kind, rest
        if "entry" in kinds:
            found = [m for m in piece.meanings if m.kind == "entry"]
            if len(found) > 1:
                worn = [m for m in found if m.value.path == "outfit.kind"]
                role = [m for m in found if m.value.path == "role"]
                if worn and role:
                    found = worn if previous is not None and previous.meaning("wear") else role
            return "entry", found[0]
        for kind in ("neg", "postneg", "affirm", "very", "slight", "contrast", "wear", "hold", "or", "and", "copula"):
            if kind in kinds:
                if kind in ("very", "slight") and not (following is not None or i == len(body) - 1):
                    continue
                if kind == "contrast" and "copula" in kinds:
                    continue
                return kind, piece.meaning(kind)
        return piece.meanings[0].kind, piece.meanings[0]

    @staticmethod
    def printed(piece: Piece, body: list[Piece], i: int) -> bool:
        """``a robe with stars``: small things in the plural on a garment named before, held by nobody, are its print."""
        if not piece.words[-1].endswith("s") or any(p.meaning("hold") for p in body[:i]):
            return False
        return any(m.kind == "entry" and is_garment(m.value.path) for p in body[:i] for m in p.meanings)

    @staticmethod
    def next_content(body: list[Piece], i: int) -> Piece | None:
        """The next piece that is a thing, past modifiers and fillers."""
        for piece in body[i + 1 :]:
            kinds = {m.kind for m in piece.meanings}
            if kinds & {"head", "heads"}:
                return piece
            if kinds & {"neg", "wear", "hold", "contrast", "copula"}:
                return None
            if "entry" in kinds and not kinds & {"color", "pattern", "adj", "fill"}:
                return piece
            if kinds & {"color", "pattern", "adj", "shade"} and piece is body[-1] and "entry" in kinds:
                return piece
        return None

    @staticmethod
    def takes_modifiers(piece: Piece) -> bool:
        if piece.meaning("head"):
            return True
        found = piece.meaning("entry")
        return found is not None and color_path(found.value.path) is not None

    @staticmethod
    def head_before(body: list[Piece], i: int) -> bool:
        return any(piece.meaning("head") for piece in body[max(0, i - 3) : i])

    def backward(self, body: list[Piece]) -> bool:
        """True for ``noun colour noun colour``: the colours then belong to the noun before them."""
        marks: list[str] = []
        for kind, meaning in self.chosen:
            if kind == "color":
                if not marks or marks[-1] != "C":
                    marks.append("C")
            elif kind == "head" or (kind == "entry" and color_path(meaning.value.path)):
                marks.append("N")
        return len(marks) >= 4 and marks[0] == "N" and marks[-1] == "C" and all(a != b for a, b in zip(marks, marks[1:], strict=False))

    # -- one piece -------------------------------------------------------------------------------------------------

    def step(self, body: list[Piece], i: int) -> int:
        piece = body[i]
        kind, meaning = self.chosen[i]
        handler = getattr(self, "on_" + kind, None)
        if handler is None:
            return i + 1
        taken = handler(piece, meaning, body, i)
        return i + (taken or 1)

    def on_banned(self, piece: Piece, meaning, body, i) -> None:
        if self.neg is None:
            self.book.span(piece.start, piece.end, "blocked", "not an all-ages word; it is not used")
        else:
            self.book.span(piece.start, piece.end, "negated", "nsfw")
            self.neg_count += 1

    def on_minor(self, piece: Piece, meaning, body, i) -> None:
        self.book.span(piece.start, piece.end, "blocked", "characters have no stated age; this word is not used")
        for word, value in (("girl", "feminine"), ("女", "feminine"), ("姑娘", "feminine"), ("boy", "masculine"), ("男", "masculine")):
            if any(word in part for part in piece.words) and "presentation" not in self.book.person.fields:
                self.book.put("presentation", value, piece.start, piece.end)

    def on_unknown(self, piece: Piece, meaning, body, i) -> int:
        word = piece.words[0]
        if len(piece.words) == 1 and word.endswith("less") and len(word) > 6:
            stem = lexicon().lookup((word[:-4],)) or lexicon().lookup((word[:-4] + "s",))
            target = next((m for m in stem if m.kind == "entry"), None)
            if target:
                self.refuse_entry(target.value, piece.start, piece.end)
                return 1
        j = i
        while j + 1 < len(body) and self.chosen[j + 1][0] == "unknown" and body[j + 1].latin == piece.latin:
            j += 1
        if piece.latin and j == i and word in lexicon().modifiers and self.compounds(body, i):
            self.mods.append(piece)
            return 1
        start, end = piece.start, body[j].end
        named_next = j + 1 < len(body) and self.chosen[j + 1][0] in ("entry", "head", "pattern", "idiom")
        if piece.latin and self.colors and self.neg is None and not named_next and self.color_span[1] <= start <= self.color_span[1] + 2:
            start, self.colors = self.color_span[0], []
        text = self.parse.text[start:end]
        if self.neg is not None and piece.latin:
            self.book.negative(" ".join(text.split())[:80], start, end)
            self.neg_count += 1
        self.book.span(start, end, "unknown", text)
        if piece.latin and self.neg is None and any(c.isalpha() for c in text):
            self.book.extra(text, start, end)
            for first, last, weight in self.weight_at:
                if first <= start < last:
                    self.book.person.weights[f"extra:{' '.join(text.split())}"] = weight
        return j - i + 1

    def compounds(self, body: list[Piece], i: int) -> bool:
        follow = self.next_content(body, i)
        return follow is not None and bool(lexicon().lookup((body[i].words[0], *follow.words)))

    def on_color(self, piece: Piece, meaning: Meaning, body, i) -> None:
        word: ColorWord = meaning.value
        if self.shade:
            word, self.shade = shaded(word, self.shade), ""
        if self.side:
            self.sides[self.side] = (word, piece)
            self.side = ""
            if self.last is not None:
                self.last.colored = True
            return
        if (
            len(self.colors) == 1 and self.nouns and not self.nouns[-1].colored and self.nouns[-1].bare and self.neg is None
            and not self.linked and self.copula is None and not self.half and body[i - 1].words != ("一",)
        ):  # fmt: skip
            self.give_back()
        if not self.colors:
            self.color_span = (piece.start, piece.end)
        self.colors.append(word)
        self.color_span = (self.color_span[0], piece.end)
        if self.neg is not None and not self.neg_count:
            self.neg_colored = True
        follows = self.chosen[i + 1][0] if i + 1 < len(body) else ""
        if follows == "and" and not self.color_follows(i + 1):
            follows = ""
        if follows == "fill" and body[i + 1].words == ("一",) and self.color_follows(i + 1):
            return
        if self.nouns and self.nouns[-1].accent and not self.nouns[-1].colored and i and self.chosen[i - 1][0] == "entry":
            self.attach(self.nouns[-1])
            return
        if self.copula is not None and follows not in ("color", "shade", "and"):
            joined = follows in ("entry", "head", "pattern") and self.copula.path.startswith(("outfit", "hair"))
            if not joined or self.copula.path == "outfit.color" and follows != "entry":
                self.attach(self.copula)
            self.copula = None
        elif self.back and follows not in ("color", "and", "shade") and self.nouns:
            self.attach(self.nouns[-1])
        elif self.bare_before(body, i):
            self.attach(self.nouns[-1])
        self.linked = False

    def color_follows(self, i: int) -> bool:
        """Whether a colour comes next after position ``i``, past fillers."""
        for kind, _ in self.chosen[i + 1 :]:
            if kind != "fill":
                return kind in ("color", "shade")
        return False

    def bare_before(self, body: list[Piece], i: int) -> bool:
        """``头发粉色裙子…``: a region named alone takes the colour right after it, when the next noun has its own or is not a region."""
        if not self.nouns or not self.nouns[-1].bare or self.nouns[-1].colored or len(self.colors) != 1 or self.linked:
            return False
        if i == 0 or self.chosen[i - 1][0] not in ("head", "fill", "shade"):
            return False
        if i + 1 < len(body) and self.chosen[i + 1][0] in ("color", "and", "shade"):
            return False
        nxt = next((k for k in range(i + 1, len(body)) if self.chosen[k][0] in ("head", "entry")), None)
        if nxt is None:
            return True
        later = any(self.chosen[k][0] == "color" for k in range(nxt + 1, len(body)))
        if self.chosen[nxt][0] == "head":
            return later
        return True

    def give_back(self) -> None:
        self.attach(self.nouns[-1])

    def attach(self, noun: Noun) -> None:
        """Pending colours go to ``noun``."""
        if not self.colors:
            return
        if noun.negated or self.neg is not None:
            self.refuse_color(noun)
        else:
            if self.half and noun.path == "hair.color":
                self.book.put("hair.coloring", "two_tone", *self.color_span)
            self.book.colors(noun, self.colors, *self.color_span, weight=self.intensity)
        self.colors = []
        self.intensity = 1.0

    def refuse_color(self, noun: Noun) -> None:
        name = noun.path.split(".")[0] if noun.entry is None else (noun.entry.en[0] if noun.entry.en else noun.entry.tag)
        self.book.negative(f"{self.colors[0].name} {name}", *self.color_span)
        self.neg_count += 1

    def on_shade(self, piece: Piece, meaning: Meaning, body, i) -> None:
        self.shade = meaning.value

    def on_tone(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if self.neg is not None:
            self.book.negative(f"{meaning.value} skin", piece.start, piece.end)
            return
        self.book.put("skin.color", lexicon().tones[meaning.value], piece.start, piece.end)

    def on_pattern(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if self.colors and self.printed(piece, body, i) and self.last is not None and is_garment(self.last.path):
            self.book.put(f"{self.last.path.split('.')[0]}.color2", self.colors[-1].color(), *self.color_span, weak=True)
            self.colors = []
        self.patterns.append((meaning.value, piece))

    def on_adj(self, piece: Piece, meaning: Meaning, body, i) -> None:
        self.adjectives.append((meaning.value, piece))

    def on_very(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if meaning.value not in _EVERYDAY:
            self.intensity = 1.2

    def on_slight(self, piece: Piece, meaning, body, i) -> None:
        self.intensity = 0.85

    def on_half(self, piece: Piece, meaning, body, i) -> None:
        self.half = True

    def on_hetero(self, piece: Piece, meaning, body, i) -> None:
        self.hetero = True
        if self.sides:
            self.settle_sides("eyes")
        if len(self.colors) >= 2:
            self.attach(Noun("eyes.color", piece.start, piece.end))

    def on_left(self, piece: Piece, meaning, body, i) -> None:
        self.side = "left"

    def on_right(self, piece: Piece, meaning, body, i) -> None:
        self.side = "right"

    def on_other(self, piece: Piece, meaning, body, i) -> None:
        noun = Noun("eyes.color", piece.start, piece.end, bare=True, eye="right")
        self.push(noun)

    def on_number(self, piece: Piece, meaning: Meaning, body, i) -> int:
        if i + 1 < len(body) and self.chosen[i + 1][0] == "heads":
            heads, field = float(meaning.value), FIELDS["proportions.heads"]
            if field.low <= heads <= field.high:
                self.book.put("proportions.heads", heads, piece.start, body[i + 1].end)
            else:
                self.parse.notes.append(f"{heads:g} heads is outside {field.low:g} to {field.high:g}; ignored")
            return 2
        return 1

    def on_count(self, piece: Piece, meaning: Meaning, body, i) -> None:
        self.parse.subjects = max(self.parse.subjects, int(meaning.value))
        words = "".join(piece.words)
        for signs, value in ((("girl", "女", "妹", "姐", "闺", "women", "姑娘", "sister"), "feminine"), (("boy", "男", "men", "兄弟", "brother"), "masculine")):
            if any(sign in words for sign in signs) and "presentation" not in self.book.person.fields:
                self.book.put("presentation", value, piece.start, piece.end)
                break

    def on_one(self, piece: Piece, meaning, body, i) -> None:
        if self.parse.subjects > 1:
            self.book.who = min(self.markers, self.parse.subjects - 1)
            self.markers += 1
            self.last = None

    def on_second(self, piece: Piece, meaning, body, i) -> None:
        if self.parse.subjects > 1:
            self.book.who = 1
            self.markers = 2
            self.last = None

    def on_base(self, piece: Piece, meaning, body, i) -> None:
        if self.colors and self.last is not None:
            self.attach(self.last)

    def on_dots(self, piece: Piece, meaning, body, i) -> None:
        target = self.last if self.last is not None and is_garment(self.last.path) else None
        if self.colors and target is not None:
            group = target.path.split(".")[0]
            self.book.put(f"{group}.color2", self.colors[-1].color(), *self.color_span, weak=True)
            self.colors = []
        self.patterns.append((lexicon().patterns["polka_dot"], piece))

    def on_tips(self, piece: Piece, meaning, body, i) -> None:
        self.push(Noun("hair.coloring", piece.start, piece.end, entry=lexicon().entries["hair.coloring"]["gradient"], accent=True))

    def on_bare(self, piece: Piece, meaning, body, i) -> None:
        self.book.negative(meaning.value, piece.start, piece.end)

    def on_negword(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if self.neg is not None:
            self.book.negative(meaning.value, piece.start, piece.end)
            self.neg_count += 1
            self.neg_linked = False

    # -- links -----------------------------------------------------------------------------------------------------

    def on_and(self, piece: Piece, meaning, body, i) -> None:
        self.linked = True
        self.neg_linked = True

    on_or = on_and

    def on_copula(self, piece: Piece, meaning, body, i) -> None:
        self.end_negation()
        if self.side:
            return
        if self.nouns and not self.nouns[-1].colored and not self.colors:
            self.copula = self.nouns[-1]

    def on_wear(self, piece: Piece, meaning, body, i) -> None:
        self.end_negation()
        target = next((n for n in reversed(self.nouns) if not n.colored and color_path(n.path)), None)
        if self.colors and target is not None:
            self.attach(target)
        elif self.colors and self.dressed:
            self.close_colors()
        self.linked = False
        self.copula = None
        self.dressed = True

    def on_in(self, piece: Piece, meaning, body, i) -> None:
        self.dressed = True

    def on_hold(self, piece: Piece, meaning, body, i) -> None:
        self.on_wear(piece, meaning, body, i)
        self.holding = True

    def on_contrast(self, piece: Piece, meaning, body, i) -> None:
        if self.neg is not None and (self.neg_count or self.colors):
            self.close_colors()
            self.end_negation()
        self.linked = False

    def on_neg(self, piece: Piece, meaning, body, i) -> None:
        self.close_colors()
        if i == len(body) - 1 or not any(kind not in ("fill", "very", "adj", "slight") for kind, _ in self.chosen[i + 1 :]):
            if self.nouns and not self.chosen_adj(i):
                for noun in self.nouns:
                    self.withdraw(noun, piece)
                return
        self.neg = piece
        self.neg_count = 0
        self.neg_linked = True
        self.neg_colored = False

    def chosen_adj(self, i: int) -> bool:
        return any(kind == "adj" for kind, _ in self.chosen[i + 1 :])

    def on_postneg(self, piece: Piece, meaning, body, i) -> None:
        self.close_colors()
        for noun in self.nouns:
            self.withdraw(noun, piece)

    def end_negation(self) -> None:
        if self.neg is not None and self.neg_count:
            self.neg = None

    def withdraw(self, noun: Noun, piece: Piece) -> None:
        """``眼镜去掉``: what was just named is refused after all."""
        if noun.negated or noun.entry is None:
            return
        fields = self.book.person.fields
        if fields.get(noun.path) == noun.entry.value:
            del fields[noun.path]
            color = color_path(noun.path)
            if color and noun.colored:
                fields.pop(color, None)
        noun.negated = True
        self.refuse_entry(noun.entry, noun.start, piece.end)

    # -- nouns -----------------------------------------------------------------------------------------------------

    def on_idiom(self, piece: Piece, meaning: Meaning, body, i) -> None:
        sets = dict(meaning.value)
        kind_path = next((path for path in sets if path.endswith((".kind", ".style"))), None)
        if self.neg is not None and self.still_negated(body, i, None):
            if kind_path:
                found = lexicon().entries[kind_path].get(sets[kind_path])
                if found:
                    self.refuse_entry(found, piece.start, piece.end)
            self.neg_count += 1
            self.neg_linked = False
            return
        for path, value in sets.items():
            if path == "presentation":
                self.subject(value, piece, pronoun=False)
            else:
                self.book.put(path, literal(path, value, lexicon().tones), piece.start, piece.end)
        if kind_path:
            group = kind_path.split(".")[0]
            noun = Noun(kind_path, piece.start, piece.end, entry=lexicon().entries[kind_path].get(sets[kind_path]))
            noun.colored = f"{group}.color" in sets
            if self.colors and not noun.colored:
                self.attach(noun)
            self.flush_patterns(noun)
            self.nouns.append(noun)
            self.last = noun

    def on_head(self, piece: Piece, meaning: Meaning, body, i) -> None:
        name = meaning.value
        if name == "outfit":
            self.head_outfit(piece)
            return
        if name == "background":
            if self.neg is not None and not self.neg_count:
                self.refuse_entry(lexicon().entries["scene.background"]["simple"], piece.start, piece.end)
                self.neg_count += 1
            elif self.colors:
                self.book.put("scene.color", self.colors[0].color(), *self.color_span)
                if "scene.background" not in self.book.person.fields:
                    self.book.put("scene.background", "simple", piece.start, piece.end)
                self.colors = []
            else:
                self.push(Noun("scene.background", piece.start, piece.end, bare=True))
            return
        if name == "lips":
            self.lips(piece)
            return
        noun = Noun(_HEADS[name], piece.start, piece.end, bare=True)
        if name in ("eye_left", "eye_right"):
            noun.eye = name[4:]
        elif name == "eye":
            noun.eye = "left" if self.eyes_named == 0 else "right"
            self.eyes_named += 1
        elif self.side and name in ("eyes",):
            noun.eye, self.side = self.side, ""
        if name == "skin" and (self.colors or self.shade or self.adjectives):
            self.skin(piece)
            return
        if self.shade and name == "hair" and not self.colors:
            self.shade = ""
        if self.sides and name in ("hair", "eyes"):
            self.settle_sides(name)
        self.push(noun)

    def lips(self, piece: Piece) -> None:
        if self.colors and self.neg is None:
            self.book.put("face.marking", "lipstick", piece.start, piece.end)
            self.book.extra(f"{self.colors[0].name} lips", piece.start, piece.end)
        self.colors = []

    def head_outfit(self, piece: Piece) -> None:
        noun = Noun("outfit.color", piece.start, piece.end, bare=True)
        if self.neg is not None:
            return
        if "outfit.color" in self.book.person.fields:
            return
        if self.last is not None and is_garment(self.last.path) and not self.last.colored and not self.colors:
            return
        self.push(noun)

    def skin(self, piece: Piece) -> None:
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

    def on_entry(self, piece: Piece, meaning: Meaning, body, i) -> None:
        found: Entry = meaning.value
        found = self.compose(found, piece)
        if found.path == "presentation":
            if self.neg is not None and self.neg_count == 0 and "".join(piece.words) not in _SUBJECT_PRONOUNS and not self.more_nouns(i):
                self.book.negative(found.tag, piece.start, piece.end)
                self.neg_count += 1
            else:
                self.subject(found.id, piece, pronoun="".join(piece.words) in _SUBJECT_PRONOUNS)
            return
        if found.id == "hairband" and self.nouns and self.nouns[-1].path == "animal_ears.kind" and self.nouns[-1].end >= piece.start - 1:
            return
        if found.path == "held.kind" and i + 1 < len(body) and self.chosen[i + 1][0] == "theme":
            self.book.extra(f"{found.tag} theme", piece.start, piece.end)
            self.patterns = []
            return
        if found.path == "held.kind" and self.neg is None and not self.holding and i + 1 < len(body) and self.chosen[i + 1][0] == "entry":
            beside = self.chosen[i + 1][1].value
            if color_path(beside.path) and beside.path.split(".")[0] in WORN:
                self.book.extra(f"{found.tag} {beside.tag}", piece.start, body[i + 1].end)
                return
        if found.path == "species" and "presentation" not in self.book.person.fields:
            for signs, value in ((("girl", "娘", "女"), "feminine"), (("boy",), "masculine")):
                if any(sign in word for sign in signs for word in piece.words):
                    self.book.put("presentation", value, piece.start, piece.end)
        noun = Noun(found.path, piece.start, piece.end, entry=found)
        noun.accent = found.path == "hair.coloring" and found.id in ("streaked", "inner")
        self.push(noun, body, i)

    def more_nouns(self, i: int) -> bool:
        return any(kind in ("entry", "head", "idiom") and not (kind == "entry" and m.value.path == "presentation") for kind, m in self.chosen[i + 1 :])

    def compose(self, found: Entry, piece: Piece) -> Entry:
        """``leather`` + … + ``jacket``: an adjective or material before its noun may make another entry."""
        lex = lexicon()
        words: list[tuple[tuple[str, ...], object]] = [((name,), item) for name, item in self.adjectives]
        words += [(mod.words, None) for mod in self.mods]
        words += [(p.words, (pattern, p)) for pattern, p in self.patterns]
        words += [(p.words, item) for name, item in self.adjectives for p in (item,)]
        for prefix, item in words:
            for meaning in lex.lookup((*prefix, *piece.words)):
                if meaning.kind == "entry" and (meaning.value.path.split(".")[0] == found.path.split(".")[0] or found.path == "held.kind"):
                    if isinstance(item, tuple):
                        self.patterns.remove(item)
                    self.adjectives = [pair for pair in self.adjectives if pair[1] is not item]
                    return meaning.value
        return found

    def subject(self, value: str, piece: Piece, pronoun: bool) -> None:
        if self.parse.subjects > 1:
            index = next((k for k, person in enumerate(self.parse.people) if person.fields.get("presentation") == value), None)
            if index is None:
                self.book.who = len([p for p in self.parse.people if "presentation" in p.fields])
                self.book.who = min(self.book.who, self.parse.subjects - 1)
            elif len(self.parse.people) > 1 or index == 0 and self.book.who != 0 and self.markers == 0:
                if self.markers == 0:
                    self.book.who = index
        if not pronoun and not self.explicit_subject:
            self.book.person.fields.pop("presentation", None)
        if not pronoun:
            self.explicit_subject = True
        self.book.put("presentation", value, piece.start, piece.end)

    def still_negated(self, body: list[Piece], i: int, noun: Noun | None) -> bool:
        """Whether the refusal still reaches this noun."""
        if self.neg is None:
            return False
        if self.neg_count == 0:
            return True
        chinese = not body[i].latin if body else False
        if self.linked or self.neg_linked:
            if self.colors and not self.neg_colored:
                self.neg = None
                return False
            return True
        if chinese and noun is not None and not self.colors and not self.adjectives and noun.path.split(".")[0] in _DROPPABLE:
            return True
        self.neg = None
        return False

    def push(self, noun: Noun, body: list[Piece] | None = None, i: int = 0) -> None:
        """A noun arrives: it takes what is pending, or is refused."""
        negated = self.still_negated(body or [], i, noun) if body else (self.neg is not None and (self.neg_count == 0 or self.neg_linked))
        if not negated and self.neg is not None and self.neg_count:
            self.neg = None
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

    def refuse(self, noun: Noun) -> None:
        noun.color_refused = bool(self.colors)
        if noun.entry is None:
            if self.adjectives and noun.path == "hair.color":
                self.book.negative(f"{self.adjectives[0][0]} hair", noun.start, noun.end)
                self.neg_count += 1
            elif self.colors:
                self.refuse_color(noun)
            elif noun.path == "hair.color":
                self.refuse_entry(lexicon().entries["hair.style"]["ponytail"], noun.start, noun.end)
            self.colors, self.adjectives = [], []
            return
        colors = [word.name for word in self.colors]
        self.colors, self.adjectives, self.patterns = [], [], []
        self.refuse_entry(noun.entry, noun.start, noun.end, " ".join(colors))
        self.neg_count += 1

    def refuse_entry(self, found: Entry, start: int, end: int, color: str = "") -> None:
        """The thing goes to the negative prompt, and its field to ``none`` where that is a possible and decent wish."""
        if found.id == "none" and found.path == "shoes.kind":
            return
        words = found.tag or (found.en[0] if found.en else found.id.replace("_", " "))
        self.book.negative(f"{color} {words}".strip(), start, end)
        group = found.path.split(".")[0]
        fields = self.book.person.fields
        if FIELDS[found.path].type == "flag":
            fields.setdefault(found.path, False)
        elif group in _DROPPABLE or found.path in ("face.beard", "hair.bangs"):
            fields.setdefault(found.path, "none")
        elif found.path == "scene.background" and found.id == "simple":
            fields.setdefault(found.path, "simple")

    def accept(self, noun: Noun) -> None:
        entry = noun.entry
        weight = self.weight(noun)
        if entry is not None:
            if entry.path == "face.beard" and self.colors and entry.id != "none":
                self.book.extra(f"{self.colors[0].name} {entry.tag}", noun.start, noun.end)
                self.colors = []
            if self.book.put(entry.path, entry.value, noun.start, noun.end):
                self.book.also(entry, noun.start, noun.end)
                if weight != 1.0:
                    self.book.person.weights[entry.path] = weight
        if self.colors and len(self.colors) == 2 and self.nouns and self.nouns[-1].bare and not self.nouns[-1].colored and not self.linked:
            first, self.colors = self.colors[:1], self.colors[1:]
            self.book.colors(self.nouns[-1], first, *self.color_span)
        if self.colors:
            if noun.accent or color_path(noun.path) or noun.path == "face.marking":
                if self.half and noun.path.startswith("hair."):
                    self.book.put("hair.coloring", "two_tone", *self.color_span)
                self.book.colors(noun, self.colors, *self.color_span, weight=weight if noun.entry is None else 1.0)
                self.colors = []
        elif self.linked and noun.bare and self.nouns and self.nouns[-1].bare and self.nouns[-1].colored:
            previous = self.book.person.fields.get(color_path(self.nouns[-1].path) or "")
            path = color_path(noun.path)
            if previous is not None and path:
                self.book.put(path, previous, noun.start, noun.end)
                noun.colored = True
        self.take_adjectives(noun)
        self.flush_patterns(noun)
        self.intensity = 1.0

    def weight(self, noun: Noun) -> float:
        for start, end, weight in self.weight_at:
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

    # -- clause ends -----------------------------------------------------------------------------------------------

    def settle_sides(self, region: str) -> None:
        left, right = self.sides.get("left"), self.sides.get("right")
        if region == "eyes":
            for side, item in (("left", left), ("right", right)):
                if item:
                    self.book.colors(Noun("eyes.color", item[1].start, item[1].end, eye=side), [item[0]], item[1].start, item[1].end)
        elif left and right:
            noun = Noun("hair.color", left[1].start, right[1].end)
            self.book.colors(noun, [left[0], right[0]], left[1].start, right[1].end)
        self.sides = {}

    def close_colors(self) -> None:
        """No noun follows: colours belong to the last one named."""
        target = next((n for n in reversed(self.nouns) if not n.colored and (color_path(n.path) or n.accent)), None)
        if target is None and not self.nouns and self.last is not None and color_path(self.last.path):
            target = self.last if not self.last.colored or self.neg is not None or self.last.negated is False else None
        if not self.colors:
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
            if self.dressed:
                self.book.colors(Noun("outfit.color", *self.color_span), self.colors, *self.color_span)
            else:
                start, end = self.color_span
                self.book.span(start, end, "unknown", self.parse.text[start:end])
            self.colors = []

    def restore(self, noun: Noun) -> None:
        """``不要红色的裙子，要蓝色的``: it was the colour that was refused, not the thing."""
        noun.negated = False
        if noun.entry is not None:
            fields = self.book.person.fields
            if fields.get(noun.path) in (None, "none"):
                fields.pop(noun.path, None)
                self.book.put(noun.path, noun.entry.value, noun.start, noun.end)

    def end_clause(self, body: list[Piece]) -> None:
        if self.sides:
            region = "hair" if self.last is not None and self.last.path.startswith("hair") and not self.hetero else "eyes"
            if len(self.sides) == 2 or self.hetero or self.eyes_near():
                self.settle_sides(region)
        self.close_colors()
        if self.adjectives and self.neg is None:
            target = next((n for n in reversed(self.nouns) if n.path.startswith(("hair", "eyes"))), None)
            if target is None and not self.nouns:
                target = self.last
            if target is not None and target.path.startswith(("hair", "eyes")):
                region = target.path.split(".")[0]
                self.take_adjectives(Noun(f"{region}.color", target.start, target.end))
        elif self.adjectives and self.neg is not None and self.nouns and self.nouns[-1].path.startswith("hair"):
            self.book.negative(f"{self.adjectives[0][0]} hair", self.neg.start, self.adjectives[0][1].end)
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


def parse(text: str) -> Parse:
    """Read a description in English, Chinese or both. Never raises on text; what is not understood is in ``spans`` and ``notes``."""
    notes: list[str] = []
    if len(text) > MAX_CHARACTERS:
        notes.append(f"the description has {len(text)} characters; the first {MAX_CHARACTERS} are read")
        text = text[:MAX_CHARACTERS]
    result = Parse(text, notes=notes)
    normal = normalise(text)
    chars = list(normal)
    for special in specials(text):
        result.specials.append(special.text)
        result.notes.append(f"{special.text} goes through untouched")
        for k in range(special.start, special.end):
            chars[k] = ","
        from .facts import Span

        result.spans.append(Span(special.start, special.end, "special", special.text))
    masked = "".join(chars)
    found, blank, weight_notes = regions(masked)
    result.notes.extend(weight_notes)
    tokens = tokenise(blank)
    pieces, corrections = segment(tokens)
    for item in corrections:
        result.notes.append(f"'{item.found}' at position {item.start} is read as '{item.read_as}'")
    for piece in pieces:
        count = piece.meaning("count")
        if count:
            result.subjects = max(result.subjects, int(count.value))
    if result.subjects == 1:
        result.subjects = _subjects(pieces)
    plain = [r for r in found if r.inner.strip()]
    for region in plain:
        result.notes.append(f"emphasis {region.weight:g} at {region.start}-{region.end}")
    Reader(result, pieces, [(r.start, r.end, r.weight) for r in plain]).read()
    result.spans.sort()
    return result


def _subjects(pieces: list[Piece]) -> int:
    """Two, when two different kinds of person are named and joined (``一个女孩和一个男孩``)."""
    kinds: list[tuple[int, str]] = []
    for k, piece in enumerate(pieces):
        found = piece.meaning("entry")
        if found is not None and found.value.path == "presentation" and "".join(piece.words) not in _SUBJECT_PRONOUNS:
            kinds.append((k, found.value.id))
    for (a, one), (b, two) in zip(kinds, kinds[1:], strict=False):
        between = pieces[a + 1 : b]
        if one != two and any(p.meaning("and") for p in between) and all(p.meaning("and") or p.meaning("fill") for p in between):
            return 2
    return 1
