"""What is refused: ``no hat``, ``帽子不要``, ``not the red one``. It goes to the negative prompt, and its field to ``none``."""

from __future__ import annotations

from ..character import FIELDS
from .choices import Choice
from .facts import Notebook, Noun, color_path, is_garment
from .lexicon import WORN, ColorWord, Entry, lexicon
from .segment import Piece

DROPPABLE = frozenset(WORN) - {"top", "bottom"}


class Refusals:
    """The part of the reader that takes things back."""

    book: Notebook
    chosen: list[Choice]
    nouns: list[Noun]
    last: Noun | None
    colors: list[ColorWord]
    color_span: tuple[int, int]
    adjectives: list[tuple[str, Piece]]
    neg: Piece | None
    negwords: list[tuple[str, Piece]]

    def refuse_color(self, noun: Noun) -> None:
        name = (
            noun.path.split(".")[0] if noun.entry is None else (noun.entry.en[0] if noun.entry.en else noun.entry.tag)
        )
        self.book.negative(f"{self.colors[0].name} {name}", *self.color_span)
        self.neg_count += 1

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

    def drop(self, noun: Noun, body: list[Piece], i: int) -> None:
        """``把领带换成蝴蝶结``: what is replaced by another thing goes without a word."""
        follow = self.next_content(body, i)
        target = follow.meaning("entry") if follow is not None else None
        fields = self.book.person.fields
        if (
            noun.entry is None
            or noun.colored
            or target is None
            or not is_garment(noun.path)
            or fields.get(noun.path) != noun.entry.value
        ):
            return
        del fields[noun.path]
        self.nouns.remove(noun)
        self.last = None

    def withdraw_named(self, piece: Piece, body: list[Piece]) -> None:
        """The noun right before ``piece`` is refused, and those joined to it (``眼镜、帽子都不要``); not what is worn or coloured before them."""
        taken: Noun | None = None
        for word, named in self.negwords:
            self.book.negative(word, named.start, piece.end)
        if self.negwords:
            return
        for noun in reversed(self.nouns):
            if noun.kept:
                return
            if taken is not None:
                between = [p for p in body if noun.end <= p.start < taken.start]
                apart = any(not {m.kind for m in p.meanings} & {"and", "or", "fill", "contrast"} for p in between)
                if apart or noun.colored or noun.path.split(".")[0] not in DROPPABLE:
                    return
            self.withdraw(noun, piece)
            taken = noun
            front = next((p for p in reversed(body) if p.end <= noun.start and p.meaning("fill") is None), None)
            if front is not None and front.meaning("wear") is not None:
                return

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
        if (
            chinese
            and noun is not None
            and not self.colors
            and not self.adjectives
            and noun.path.split(".")[0] in DROPPABLE
        ):
            return True
        self.neg = None
        return False

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
        if found.path in self.book.person.implied:
            self.book.person.implied.discard(found.path)
            fields.pop(found.path, None)
        if FIELDS[found.path].type == "flag":
            fields.setdefault(found.path, False)
        elif group in DROPPABLE or found.path in ("face.beard", "hair.bangs"):
            fields.setdefault(found.path, "none")
        elif found.path == "scene.background" and found.id == "simple":
            fields.setdefault(found.path, "simple")

    def restore(self, noun: Noun) -> None:
        """``不要红色的裙子，要蓝色的``: it was the colour that was refused, not the thing."""
        noun.negated = False
        if noun.entry is not None:
            fields = self.book.person.fields
            if fields.get(noun.path) in (None, "none"):
                fields.pop(noun.path, None)
                self.book.put(noun.path, noun.entry.value, noun.start, noun.end)
