"""One meaning for every piece of a clause: what a word stands for depends on what stands around it."""

from __future__ import annotations

from .datafiles import load
from .facts import color_path, is_garment
from .lexicon import Meaning, lexicon
from .segment import Piece

REACH = 12  # pieces that a word looks ahead or back
Choice = tuple[str, Meaning | None]

_PICTURED = frozenset(("held", "scene", "hair_ornament", "animal_ears", "species", "wings", "tail", "earrings"))
_LIKE = frozenset(("像", "好像", "如", "如同", "宛如", "仿佛"))
_ALIKE = frozenset(("一样", "一般", "似的", "般", "那样", "一样的", "般的"))


def simile(body: list[Piece]) -> set[int]:
    """Positions of things that are only compared with: ``as white as snow``, ``像雪一样白``."""
    found: set[int] = set()
    for i, piece in enumerate(body):
        if "".join(piece.words) in _LIKE:
            end = next((k for k in range(i + 1, min(len(body), i + 8)) if "".join(body[k].words) in _ALIKE), i)
            found.update(k for k in range(i + 1, end) if not body[k].meaning("color"))
            if end == i and i + 2 < len(body) and _person_like(body[i + 1]) and body[i + 2].words == ("的",):
                found.add(i + 1)
        elif piece.words == ("as",) and i >= 2 and body[i - 2].words == ("as",):
            found.update(range(i + 1, min(len(body), i + 3)))
    return found


def _person_like(piece: Piece) -> bool:
    found = piece.meaning("entry")
    return found is not None and found.value.path in ("presentation", "role", "species")


class Choices:
    """The part of the reader that decides between the meanings of a word."""

    chosen: list[Choice]

    def resolve(self, body: list[Piece]) -> list[tuple[str, Meaning | None]]:
        """One meaning per piece, by what stands around it."""
        out: list[tuple[str, Meaning | None]] = []
        for i, piece in enumerate(body):
            out.append(self.choose(piece, i, body))
        for i in simile(body):
            out[i] = ("fill", None)
        return out

    def choose(self, piece: Piece, i: int, body: list[Piece]) -> tuple[str, Meaning | None]:
        if not piece.meanings:
            return "unknown", None
        kinds = {m.kind for m in piece.meanings}
        shown = self.shown_on(piece, i, body)
        if shown is not None:
            return "pattern", shown
        for first in ("banned", "idiom"):
            if first in kinds:
                return first, piece.meaning(first)
        beside = body[i + 1] if i + 1 < len(body) and not body[i + 1].brk else None
        if "".join(piece.words) == "全身" and beside is not None and beside.meaning("color"):
            return "in", piece.meanings[0]  # a colour to wear, no framing
        if piece.words == ("tan",) and len(body) == 1:
            return "tone", Meaning("tone", "tan")
        if len(kinds) == 1 and len(piece.meanings) == 1:
            return piece.meanings[0].kind, piece.meanings[0]
        following = self.next_content(body, i)
        previous = body[i - 1] if i else None
        noun_next = following is not None and self.takes_modifiers(following)
        if "fill" in kinds and kinds & {"entry", "color", "pattern"} and len(body) > 1:
            named = piece.meaning("entry")
            if named and named.value.path == "age_look" and following is not None and _person_like(following):
                return "entry", named
            if not (named and named.value.path in ("pose.name", "species") and piece.words[0] not in ("hello",)):
                return "fill", piece.meaning("fill")
        if "color" in kinds and "pattern" in kinds and noun_next and not following.meaning("head"):
            worn = following.meaning("entry")
            if worn and is_garment(worn.value.path):
                return "pattern", piece.meaning("pattern")
        if "color" in kinds:
            held = previous is not None and previous.meaning("hold") is not None
            if (
                "tone" in kinds
                and following is not None
                and following.meaning("head")
                and following.meaning("head").value == "skin"
            ):
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
        if "number" in kinds and following is not None and following.meaning("heads"):
            return "number", piece.meaning("number")
        if "adj" in kinds and kinds & {"entry", "tone", "shade", "very", "slight", "fill", "number"}:
            if noun_next or "entry" not in kinds:
                return "adj", piece.meaning("adj")
            named = following.meaning("entry") if following is not None else None
            if named is not None and named.value.path == "face.beard":
                return "fill", None
        if "shade" in kinds:
            if beside is not None and beside.meaning("color"):
                return "shade", piece.meaning("shade")
            if "tone" in kinds and following is not None and following.meaning("head"):
                return "tone", piece.meaning("tone")
            rest = next((m for m in piece.meanings if m.kind in ("adj", "entry", "fill", "tone")), piece.meanings[0])
            return rest.kind, rest
        if "number" in kinds:
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
    def shown_on(piece: Piece, i: int, body: list[Piece]) -> Meaning | None:
        """``樱花图案``, ``印着小熊``, ``a hoodie with a star on it``: the thing is a picture on a garment."""
        thing = piece.meaning("entry")
        if thing is None or thing.value.path.split(".")[0] not in _PICTURED:
            return None
        grammar, lex = load("grammar"), lexicon()
        after = body[i + 1] if i + 1 < len(body) else None
        before = next(
            (
                p
                for p in reversed(body[:i])
                if not p.meaning("color") and p.words != ("小",) and p.words != ("一", "只")
            ),
            None,
        )
        named = after is not None and (
            "".join(after.words) in grammar["shown"]
            or any(m.kind == "pattern" and m.value.id == "print" for m in after.meanings)
        )
        written = before is not None and "".join(before.words) in grammar["printed"]
        on_it = (
            after is not None
            and " ".join(after.words) in grammar["on_it"]
            and any(p.meaning("entry") is not None for p in body[:i])
        )
        many = thing.value.id in lex.prints and Choices.printed(piece, body, i) and not piece.meaning("pattern")
        if not (named or written or on_it or many):
            return None
        return piece.meaning("pattern") or Meaning("pattern", lex.prints.get(thing.value.id, lex.patterns["print"]))

    @staticmethod
    def printed(piece: Piece, body: list[Piece], i: int) -> bool:
        """``a robe with stars``: small things in the plural on a garment named before, held by nobody, are its print."""
        if not piece.words[-1].endswith("s") or any(p.meaning("hold") for p in body[:i]):
            return False
        return any(m.kind == "entry" and is_garment(m.value.path) for p in body[:i] for m in p.meanings)

    @staticmethod
    def next_content(body: list[Piece], i: int) -> Piece | None:
        """The next piece that is a thing, past modifiers and fillers."""
        for piece in body[i + 1 : i + 1 + REACH]:
            kinds = {m.kind for m in piece.meanings}
            if kinds & {"head", "heads"}:
                return piece
            if piece.words in (("colored",), ("coloured",)):
                continue
            if kinds & {"neg", "wear", "hold", "contrast", "copula", "place"}:
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
        return (
            len(marks) >= 4
            and marks[0] == "N"
            and marks[-1] == "C"
            and all(a != b for a, b in zip(marks, marks[1:], strict=False))
        )
