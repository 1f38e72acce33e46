"""Who a clause is about, when more than one person is described."""

from __future__ import annotations

import re
from copy import deepcopy

from .facts import SHARED, Notebook, Noun, Parse, Person
from .lexicon import Meaning
from .segment import Piece

_WOMEN = re.compile(
    "(?:girls?|women|woman|sisters?|daughters?|ladies|mom|mother|wife|girlfriend|1girl|2girls|3girls|姑娘|[女妹姐闺母妻])\\Z"
)
_PERSON = re.compile(
    r"\b(?:[123]?girls?|women|woman|sisters?|daughters?|ladies|mom|mother|wife|girlfriend|[123]?boys?|men|man|brothers?|guys?|sons?|dad|father"
    r"|husband|boyfriend)\b|姑娘|[女妹姐闺母妻男兄弟父夫]|(?<=[父母])子"
)


def _signs(piece: Piece) -> list[str]:
    """``feminine`` or ``masculine`` for every person that a piece names."""
    named = " ".join(piece.words) if piece.latin else "".join(piece.words)
    return ["feminine" if _WOMEN.match(word) else "masculine" for word in _PERSON.findall(named)]


class People:
    """The part of the reader that turns from one person to the next."""

    book: Notebook
    parse: Parse
    last: Noun | None
    explicit_subject: bool
    markers: int
    marked: bool
    named: dict[str, int]
    before_all: Person | None

    def on_count(self, piece: Piece, meaning: Meaning, body, i) -> None:
        signs = _signs(piece)
        if signs and not self.marked:
            for index in range(self.parse.subjects):
                self.book.who = index
                if "presentation" not in self.book.person.fields:
                    self.book.put("presentation", signs[min(index, len(signs) - 1)], piece.start, piece.end)
            self.book.who = 0

    def on_one(self, piece: Piece, meaning, body, i) -> None:
        if self.parse.subjects > 1:
            self.next_person()
            self.shown_by(piece)

    def next_person(self) -> None:
        self.turn_to(self.markers)
        self.markers += 1

    def turn_to(self, index: int) -> None:
        """What follows is about this person."""
        self.share_so_far()
        self.parse.together = False
        self.book.who = min(index, self.parse.subjects - 1)
        self.last = None
        self.marked = True

    def of_all(self) -> None:
        """The rest of the clause is about all of them: ``都戴眼镜``, ``both in red``."""
        if self.parse.subjects > 1 and self.before_all is None:
            self.before_all = deepcopy(self.book.person)

    def share_so_far(self) -> None:
        """What was said of ``two girls in kimonos`` before one of them was told apart is so of both."""
        if self.parse.together and len(self.named) < 2:
            self.book.who = 0
            self.share(Person())

    def share(self, before: Person) -> None:
        """What became known of one person since ``before`` is so of all of them, unless they were said to be otherwise."""
        here, one = self.book.who, self.book.person
        new = {path: value for path, value in one.fields.items() if before.fields.get(path) != value}
        extras = [text for text in one.extras if text not in before.extras]
        for index in range(self.parse.subjects):
            self.book.who = index
            other = self.book.person
            for path, value in new.items():
                if path not in other.fields and not path.startswith(SHARED):
                    other.fields[path] = value
                    other.implied.add(path)  # a word of its own replaces it
                    if path in one.weights:
                        other.weights[path] = one.weights[path]
            other.extras += [text for text in extras if text not in other.extras]
        self.book.who = here

    def on_second(self, piece: Piece, meaning, body, i) -> None:
        if self.parse.subjects > 1:
            self.turn_to(1)
            self.markers = 2
            self.shown_by(piece)

    def shown_by(self, piece: Piece) -> None:
        """``another girl`` says who the other is."""
        if signs := _signs(piece):
            self.book.put("presentation", signs[0], piece.start, piece.end)

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
