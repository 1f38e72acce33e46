"""Colours, patterns and sides: which noun each of them belongs to."""

from __future__ import annotations

from .choices import Choices
from .clauses import person
from .datafiles import load
from .facts import Noun, is_garment
from .lexicon import ColorWord, Meaning, lexicon, shaded
from .nouns import Nouns
from .people import People
from .segment import Piece

_TIPPED = {
    "animal_ears.kind": "ears",
    "tail.kind": "tail",
    "wings.kind": "wings",
}  # have tips of their own, besides hair


class Tints(Choices, People, Nouns):
    """The part of the reader that gives colours and patterns to nouns."""

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
        fields = self.book.person.fields
        if (
            self.half
            and not self.colors
            and fields.get("hair.coloring") == "two_tone"
            and "hair.color2" not in fields
            and self.nouns
        ):
            self.book.put("hair.color2", word.color(), piece.start, piece.end)
            return
        if not self.colors:
            self.color_span = (piece.start, piece.end)
        self.colors.append(word)
        self.color_span = (self.color_span[0], piece.end)
        if self.neg is not None and not self.neg_count:
            self.neg_colored = True
        follows = self.chosen[i + 1][0] if i + 1 < len(body) else ""
        if follows in ("left", "right") and body[i + 1].words[0] == "on":
            return
        if follows == "and" and not self.color_follows(i + 1):
            follows = ""
        if follows == "fill" and body[i + 1].words == ("一",) and self.color_follows(i + 1):
            return
        if (
            self.nouns
            and self.nouns[-1].accent
            and not self.nouns[-1].colored
            and i
            and self.chosen[i - 1][0] in ("entry", "tips")
        ):
            self.attach(self.nouns[-1])
            return
        if self.nouns and self.nouns[-1].path == "skin.color" and self.nouns[-1].bare and follows != "color":
            self.skin(self.nouns.pop())
            return
        if self.copula is not None and follows not in ("color", "shade", "and"):
            joined = follows in ("entry", "head", "pattern") and self.copula.path.startswith(("outfit", "hair"))
            if follows == "entry":
                joined = joined or self.chosen[i + 1][1].value.path == self.copula.path
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
        after = next((k for k in range(i - 1, -1, -1) if self.chosen[k][0] not in ("fill", "shade")), None)
        if after is None or self.chosen[after][0] != "head":
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

    def on_shade(self, piece: Piece, meaning: Meaning, body, i) -> None:
        self.shade = meaning.value

    def on_tone(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if self.neg is not None:
            self.book.negative(f"{meaning.value} skin", piece.start, piece.end)
            return
        self.book.put("skin.color", lexicon().tones[meaning.value], piece.start, piece.end)

    def on_pattern(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if (
            self.describe(piece)
            or meaning.value.id == "print"
            and self.patterns
            and piece.start - self.patterns[-1][1].end <= piece.latin
        ):
            return
        after = body[i + 1] if i + 1 < len(body) else None
        if after is not None and "".join(after.words) in load("grammar")["sleeves"] and not after.meaning("entry"):
            self.book.extra(f"{meaning.value.tag} {' '.join(after.words)}", piece.start, after.end)
            return
        if self.neg is not None and self.next_content(body, i) is None:
            self.book.negative(meaning.value.tag, piece.start, piece.end)
            self.neg_count += 1
            return
        if self.holding and self.next_content(body, i) is None:
            self.book.extra(piece.words[0] if piece.latin else meaning.value.tag, piece.start, piece.end)
            return
        if self.colors and self.printed(piece, body, i) and self.last is not None and is_garment(self.last.path):
            if len(self.colors) > 1 and not self.last.colored:
                self.attach(self.last)
                self.book.put(f"{self.last.path.split('.')[0]}.pattern", meaning.value.id, piece.start, piece.end)
                return
            self.second_color(self.last)
        self.patterns.append((meaning.value, piece))

    def on_base(self, piece: Piece, meaning, body, i) -> None:
        if self.colors and self.last is not None:
            self.attach(self.last)

    def on_dots(self, piece: Piece, meaning, body, i) -> None:
        target = self.last if self.last is not None and is_garment(self.last.path) else None
        if self.colors and target is not None:
            self.second_color(target)
            self.book.put(f"{target.path.split('.')[0]}.pattern", "polka_dot", piece.start, piece.end)
            return
        elif self.colors:
            self.book.extra(f"{self.colors[-1].name} {piece.words[-1] if piece.latin else 'spots'}", *self.color_span)
            self.colors = []
            return
        self.patterns.append((lexicon().patterns["polka_dot"], piece))

    def on_tips(self, piece: Piece, meaning, body, i) -> None:
        after = next((m.value for m in body[i + 1].meanings if m.kind == "entry"), None) if i + 1 < len(body) else None
        owner = after or (self.last.entry if self.last is not None else None)
        if owner is not None and owner.path in _TIPPED and self.neg is None:
            color = f"{self.colors[0].name} " if self.colors else ""
            self.book.extra(f"{color}tipped {_TIPPED[owner.path]}", piece.start, piece.end)
            self.colors = []
            return
        self.accent("gradient", piece)

    def on_half(self, piece: Piece, meaning, body, i) -> None:
        self.half = True

    def on_hetero(self, piece: Piece, meaning, body, i) -> None:
        self.hetero = True
        self.last = Noun("eyes.color", piece.start, piece.end, bare=True)
        if self.sides:
            self.settle_sides("eyes")
        if len(self.colors) >= 2:
            self.attach(Noun("eyes.color", piece.start, piece.end))

    def on_left(self, piece: Piece, meaning, body, i) -> None:
        self.on_side("left", piece, body, i)

    def on_right(self, piece: Piece, meaning, body, i) -> None:
        self.on_side("right", piece, body, i)

    def on_side(self, side: str, piece: Piece, body: list[Piece], i: int) -> None:
        """``左黑右白``, ``green on the left``; with several people a side may be a person."""
        follow = next((k for k in range(i + 1, len(body)) if self.chosen[k][0] != "fill"), None)
        one = (
            follow is not None and i + 1 < follow and body[i + 1].words == ("的",) and self.chosen[follow][0] == "entry"
        )
        if (
            self.parse.subjects > 1
            and follow is not None
            and (one or person(body[follow]) or self.chosen[follow][0] in ("wear", "one"))
        ):
            if not person(body[follow]):
                self.turn_to(int(side == "right"))
            return
        if piece.words[0] == "on" and len(self.colors) == 1:
            self.sides[side] = (self.colors.pop(), piece)
            if self.last is not None:
                self.last.colored = True
            return
        self.side = side

    def on_other(self, piece: Piece, meaning, body, i) -> None:
        if self.parse.subjects > 1 and not (self.last is not None and self.last.path.startswith("eyes")):
            self.on_second(piece, meaning, body, i)
            return
        noun = Noun("eyes.color", piece.start, piece.end, bare=True, eye="right")
        self.push(noun)
