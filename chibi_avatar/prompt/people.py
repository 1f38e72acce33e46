"""Who a clause is about, when more than one person is described."""

from __future__ import annotations

import re

from .facts import Notebook, Noun, Parse
from .lexicon import Meaning
from .segment import Piece

_WOMEN = re.compile(
    "(?:girls?|women|woman|sisters?|daughters?|ladies|mom|mother|wife|girlfriend|1girl|2girls|3girls|姑娘|[女妹姐闺母妻])\\Z"
)
_PERSON = re.compile(
    r"\b(?:[123]?girls?|women|woman|sisters?|daughters?|ladies|mom|mother|wife|girlfriend|[123]?boys?|men|man|brothers?|guys?|sons?|dad|father"
    r"|husband|boyfriend)\b|姑娘|[女妹姐闺母妻男兄弟父夫]|(?<=[父母])子"
)


class People:
    """The part of the reader that turns from one person to the next."""

    book: Notebook
    parse: Parse
    last: Noun | None
    explicit_subject: bool
    markers: int
    marked: bool
    named: dict[str, int]

    def on_count(self, piece: Piece, meaning: Meaning, body, i) -> None:
        named = " ".join(piece.words) if piece.latin else "".join(piece.words)
        signs = ["feminine" if _WOMEN.match(word) else "masculine" for word in _PERSON.findall(named)]
        if signs and not self.marked:
            for index in range(self.parse.subjects):
                self.book.who = index
                if "presentation" not in self.book.person.fields:
                    self.book.put("presentation", signs[min(index, len(signs) - 1)], piece.start, piece.end)
            self.book.who = 0

    def on_one(self, piece: Piece, meaning, body, i) -> None:
        if self.parse.subjects > 1:
            self.next_person()

    def next_person(self) -> None:
        self.turn_to(self.markers)
        self.markers += 1

    def turn_to(self, index: int) -> None:
        """What follows is about this person."""
        self.book.who = min(index, self.parse.subjects - 1)
        self.last = None
        self.marked = True

    def on_second(self, piece: Piece, meaning, body, i) -> None:
        if self.parse.subjects > 1:
            self.turn_to(1)
            self.markers = 2

    def subject(self, value: str, piece: Piece, pronoun: bool) -> None:
        if self.parse.subjects > 1 and not self.marked:
            self.book.who = self.person_of(value, "".join(piece.words), pronoun)
        if not pronoun and not self.explicit_subject:
            self.book.person.fields.pop("presentation", None)
        if not pronoun:
            self.explicit_subject = True
        self.book.put("presentation", value, piece.start, piece.end)

    def person_of(self, value: str, word: str, pronoun: bool) -> int:
        """Which of several people a word names: the one it named before, else one of that presentation, else the next without a name."""
        if word in self.named:
            return self.named[word]
        shown = [person.fields.get("presentation") for person in self.parse.people]
        fresh = [k for k, seen in enumerate(shown) if seen == value and (pronoun or k not in self.named.values())]
        unnamed = [
            k for k in range(int(self.parse.with_me), self.parse.subjects) if k >= len(shown) or shown[k] is None
        ]
        same = [k for k, seen in enumerate(shown) if seen == value]
        index = next(iter((*fresh, *unnamed, *same)), self.book.who)
        if not pronoun:
            self.named[word] = index
        return index
