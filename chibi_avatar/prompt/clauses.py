"""Cut pieces into clauses: at punctuation and line ends, at the spaces people type instead of Chinese commas, and where the next person begins."""

from __future__ import annotations

from .datafiles import load
from .segment import Piece

Clause = tuple[list[Piece], str]

_NOUNS = frozenset(("entry", "head", "idiom"))
_MODIFIERS = frozenset(("color", "shade", "adj", "pattern", "tone", "very", "slight"))
_WAITING = _MODIFIERS | frozenset(
    ("neg", "wear", "hold", "and", "or", "copula", "in", "left", "right", "number", "half", "one", "affirm", "contrast")
)
_REACH = 16  # pieces of a clause that decide about the next
_BOUND = frozenset(("copula", "postneg", "and", "or", "base", "tips", "theme", "heads", "dots"))


def clauses(pieces: list[Piece], text: str, several: bool) -> list[Clause]:
    """The clauses, each with the mark that ends it ('' for a space or the next person). ``several``: more than one person is described."""
    out: list[Clause] = []
    body: list[Piece] = []
    for k, piece in enumerate(pieces):
        if piece.brk:
            out += _parts(body, several, piece.brk)
            body = []
            continue
        if k and body and "\n" in text[pieces[k - 1].end : piece.start]:
            out += _parts(body, several, "\n")
            body = []
        body.append(piece)
    return out + _parts(body, several, "")


def _parts(body: list[Piece], several: bool, mark: str) -> list[Clause]:
    if not body:
        return [([], mark)]
    parts = _split(body)
    if several:
        parts = [part for each in parts for part in _by_person(each)]
    return [(part, "") for part in parts[:-1]] + [(parts[-1], mark)]


def _split(body: list[Piece]) -> list[list[Piece]]:
    """At spaces between Chinese words, unless one side waits for the other; around signs that mean nothing here (``💗``)."""
    chunks: list[list[Piece]] = [[body[0]]]
    for before, piece in zip(body, body[1:], strict=False):
        spaced = before.end < piece.start and not before.latin and not piece.latin
        if spaced or decoration(before) or decoration(piece):
            chunks.append([piece])
        else:
            chunks[-1].append(piece)
    parts = [chunks[0]]
    for k, chunk in enumerate(chunks[1:], 1):
        plain = not decoration(chunk[0]) and not decoration(parts[-1][-1])
        if (
            plain
            and _joins(parts[-1][-_REACH:], chunk)
            and (_needs_color(parts[-1][-_REACH:]) or not _looks_ahead(chunk, chunks[k + 1 : k + 3]))
        ):
            parts[-1] = parts[-1] + chunk
        else:
            parts.append(chunk)
    return parts


def _needs_color(body: list[Piece]) -> bool:
    """Hair and eyes take a colour sooner than a thing does."""
    noun = next(piece for piece in reversed(body) if is_noun(piece)) if any(is_noun(piece) for piece in body) else None
    return noun is not None and any(
        m.kind == "head" or m.kind == "entry" and m.value.path.startswith(("hair.", "eyes.")) for m in noun.meanings
    )


def _looks_ahead(chunk: list[Piece], rest: list[list[Piece]]) -> bool:
    """``🎀 粉色 👗``: a colour between two bare nouns is the second one's, unless that has its own after it."""
    if not rest or not all(_kinds(piece) & {"color", "shade"} for piece in chunk):
        return False
    if len(rest[0]) != 1 or not is_noun(rest[0][0]):
        return False
    return len(rest) < 2 or not all(_kinds(piece) & {"color", "shade"} for piece in rest[1])


def decoration(piece: Piece) -> bool:
    """An unknown sign that is no letter of any script: an emoji, mostly."""
    return not piece.meanings and not piece.latin and len(piece.words) == 1 and not piece.words[0][0].isalnum()


def _kinds(piece: Piece) -> set[str]:
    return {meaning.kind for meaning in piece.meanings}


def is_noun(piece: Piece) -> bool:
    """Whether a piece surely names a thing."""
    kinds = _kinds(piece)
    return bool(kinds & _NOUNS) and not kinds & (_MODIFIERS | {"fill", "wear"})


def _joins(before: list[Piece], after: list[Piece]) -> bool:
    if not any(is_noun(piece) for piece in before):
        return True
    first = _kinds(after[0])
    if first & _BOUND and not first & _NOUNS:
        return True
    if all(_kinds(piece) & {"neg", "fill", "contrast"} for piece in after) and any("neg" in _kinds(p) for p in after):
        return True
    if not any(is_noun(piece) for piece in after):
        return all(_kinds(piece) & (_MODIFIERS | {"fill", "and"}) for piece in after) and _colourless(before)
    if any("neg" in _kinds(piece) for piece in before):
        return len(after) == 1 and bool(_kinds(after[0]) & {"entry"})
    last = _kinds(before[-1])
    if last & _WAITING and not last & _NOUNS:
        return not (last & _MODIFIERS and _takes_back(before))
    return False


def _colourless(body: list[Piece]) -> bool:
    """Whether the last noun of ``body`` has no colour or adjective of its own yet."""
    k = max(k for k, piece in enumerate(body) if is_noun(piece))
    return not any(_kinds(piece) & {"color", "adj"} for piece in (*body[k + 1 :], *body[max(0, k - 1) : k]))


def _takes_back(body: list[Piece]) -> bool:
    """``帽子红色``: the modifier at the end belongs to the noun before it, which has none in front."""
    k = max(k for k, piece in enumerate(body) if is_noun(piece))
    return not any(_kinds(piece) & {"color", "shade"} for piece in body[max(0, k - 2) : k])


def _by_person(body: list[Piece]) -> list[list[Piece]]:
    """A clause that goes on to the next person is cut there: ``一个金发一个黑发``, ``mom with a bun and dad with a beard``."""
    parts: list[list[Piece]] = [[]]
    for i, piece in enumerate(body):
        if i and parts[-1] and _starts_person(body, i):
            if parts[-1] and _kinds(parts[-1][-1]) & {"and", "contrast"} and not is_noun(parts[-1][-1]):
                parts[-1].pop()
            parts.append([])
        parts[-1].append(piece)
    return [part for part in parts if part]


def _starts_person(body: list[Piece], i: int) -> bool:
    piece, following = body[i], body[i + 1] if i + 1 < len(body) else None
    kinds = _kinds(piece)
    if kinds & {"and", "hold"} and not piece.latin and any(person(p) for p in body[:i]):
        later = next((k for k in range(i + 1, len(body)) if person(body[k])), None)
        if later is not None and later > i + 1 and body[later - 1].words == ("的",):
            return True
    if kinds & {"one", "second"} or marker(piece) and following is not None and not person(following):
        return True
    if "other" in kinds and not any("eyes" in str(m.value) for p in body for m in p.meanings if m.kind == "head"):
        return True
    if (
        "".join(piece.words) in FIRST_PERSON
        and following is not None
        and _kinds(following) & {"wear", "copula", "hold"}
    ):
        return True
    if person(piece):
        return (
            "and" in _kinds(body[i - 1])
            or bool(following is not None and _kinds(following) & {"wear", "copula", "hold", "in"})
            and not any(_kinds(p) & {"one", "second"} or marker(p) for p in body[:i])
        )
    return False


def marker(piece: Piece) -> bool:
    """``一个``, ``一只``: may begin what is said about one of several people."""
    return len(piece.words) == 2 and piece.words[0] == "一" and piece.words[1] in "个只位名"


def with_me(pieces: list[Piece]) -> bool:
    """``我和男朋友``, ``me (glasses) and my girlfriend``: one of two people is the speaker."""
    me = next((k for k, piece in enumerate(pieces) if "".join(piece.words) in FIRST_PERSON), None)
    if me is None or me and not pieces[me - 1].brk and me > 1:
        return False
    for k in range(me + 1, len(pieces)):
        after = next((piece for piece in pieces[k + 1 : k + 3] if person(piece) or companion(piece)), None)
        if (
            "and" in _kinds(pieces[k])
            and after is not None
            and (pieces[k + 1] is after or "fill" in _kinds(pieces[k + 1]))
        ):
            return True
    return False


def companion(piece: Piece) -> bool:
    """Whether a piece names somebody beside the speaker, woman or man: ``my friend``, ``同学``."""
    return "".join(piece.words).removeprefix("我") in load("grammar")["companions"]


def counted(pieces: list[Piece]) -> int:
    """How many people are named by one number: ``两只小猫娘``, ``two cute boys``, ``两个戴眼镜的男生``, ``a couple``."""
    most = max((int(m.value) for piece in pieces for m in piece.meanings if m.kind == "count"), default=1)
    for k, piece in enumerate(pieces):
        number = _NUMBERS.get(piece.words[0])
        if number is None or is_noun(piece):
            continue
        for after in pieces[k + 1 : k + 5]:  # only modifiers between
            found = after.meaning("entry")
            if person(after) or found is not None and found.value.path in ("presentation", "role", "species"):
                return max(most, number)
            if not _kinds(after) & {"adj", "fill", "color", "shade", "chibi", "very"} or after.brk:
                break
        rest = pieces[k + 1 :]
        if rest and rest[0].words[0] in ("个", "位", "名"):
            rest = rest[1:]
        if not piece.latin and rest and _kinds(rest[0]) & {"wear", "hold"}:
            for last, after in zip(rest, rest[1:], strict=False):
                if last.brk:
                    break
                if person(after) and last.words == ("的",):
                    return max(most, number)
    return most


def person(piece: Piece) -> str:
    """``feminine`` or ``masculine`` where a piece names a person, else ''."""
    for meaning in piece.meanings:
        if meaning.kind == "entry" and meaning.value.path == "presentation":
            return meaning.value.id
        if meaning.kind == "idiom":
            found = dict(meaning.value).get("presentation")
            if found:
                return found
    return ""


def how_many(pieces: list[Piece], most: int) -> int:
    """How many people are described: ``most`` that one number names, two named persons joined by ``and``, or clauses that begin with a girl and a boy."""
    named = [(k, person(piece)) for k, piece in enumerate(pieces) if person(piece) and not _owner(pieces, k)]
    if most > 1 or with_me(pieces):
        return max(most, 2)
    one = named or any("one" in _kinds(piece) for piece in pieces)
    if one and any("second" in _kinds(piece) and _another(pieces, k) for k, piece in enumerate(pieces)):
        return 2
    starts: set[str] = set()
    kin: set[tuple[str, ...]] = set()
    for k, who in named:
        before = _before(pieces, k)
        if before is None or before.brk or before.words == (":",):
            starts.add(who)
            if set("".join(pieces[k].words)) & _KIN and pieces[k].words[-1] not in "子娘":
                kin.add(tuple(dict.fromkeys(pieces[k].words)))
    for (a, one), (b, two) in zip(named, named[1:], strict=False):
        before = _before(pieces, b)
        joined = before is not None and bool(_kinds(before) & {"and", "or"}) and not _pronoun(pieces[b])
        modified = (
            _kinds(pieces[a + 1]) & {"and", "hold"}
            and pieces[b - 1].words == ("的",)
            and not any(p.brk for p in pieces[a:b])
        )
        if modified and (one != two or pieces[a].words != pieces[b].words):
            return 2
        near = all(_kinds(p) & {"and", "or", "fill"} for p in pieces[a + 1 : b])
        if joined and (one != two or near and pieces[a].words != pieces[b].words):
            return 2
    return 2 if len(starts) > 1 or len(kin) > 1 else 1


def _another(pieces: list[Piece], k: int) -> bool:
    """Whether ``another …`` is a person, and not another bow."""
    if pieces[k].words[-1] in ("girl", "boy", "person"):
        return True
    begins = k > 0 and (pieces[k - 1].brk or "and" in _kinds(pieces[k - 1]))
    if begins and k + 1 < len(pieces) and "wear" in _kinds(pieces[k + 1]):
        return True
    for piece in pieces[k + 1 :]:
        if person(piece):
            return True
        if piece.brk or _kinds(piece) & {"entry", "wear"}:
            return False
    return False


def _before(pieces: list[Piece], k: int) -> Piece | None:
    """The piece before ``k``, past fillers and sides."""
    for piece in reversed(pieces[:k]):
        if not _kinds(piece) & {"fill", "left", "right", "adj"} and not _pronoun(piece):
            return piece
    return None


def _pronoun(piece: Piece) -> bool:
    return "".join(piece.words) in PRONOUNS


def _owner(pieces: list[Piece], k: int) -> bool:
    """``男朋友的外套``, ``boyfriend jeans``, ``him`` after a verb: not a figure of its own."""
    piece = pieces[k]
    if "".join(piece.words) in ("him", "his", "her"):
        return True
    following = pieces[k + 1] if k + 1 < len(pieces) else None
    if following is None or following.brk:
        return False
    if following.words == ("的",) and not person(following) and piece.words != ("的",):
        return True
    return (
        is_noun(following)
        and piece.latin
        and following.latin
        or (not following.meanings and following.start == piece.end)
    )


FIRST_PERSON = frozenset(("我", "me", "i", "myself"))
_KIN = frozenset("妈爸奶爷姐妹哥弟孙女儿蜜婆公")
_NUMBERS = {
    "two": 2, "2": 2, "两": 2, "俩": 2, "three": 3, "3": 3, "三": 3, "four": 4, "4": 4, "四": 4, "five": 5, "5": 5, "五": 5, "six": 6, "6": 6, "六": 6,
}  # fmt: skip
PRONOUNS = frozenset(("she", "her", "he", "him", "his", "她", "他"))
