"""Description and choices in, Character and prompts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..character import Character, Evidence
from .conflicts import resolve_conflicts
from .dialects import Dialect, dialect
from .facts import Parse
from .form import read_form
from .parse import parse
from .prose import chinese, english
from .spoken import spoken
from .tags import Tag, absent_tags, character_tags, said
from .tokens import Chunk, Counter, estimate, pack, split_tags
from .variety import draw
from .wildcards import Expander

MAX_INPUT = 100_000


@dataclass(eq=False)
class Result:
    """What :func:`build` returns. ``people`` holds the Characters of a second and third figure, ``chunks`` the token windows."""

    positive: str
    negative: str
    character: Character
    report: str
    family: str
    parsed: Parse
    description: str = ""
    people: list[Character] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    exact: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: prompts, Character, what was not understood or not used, with positions."""
        text = self.parsed.text

        def spans(*kinds: str) -> list[dict[str, Any]]:
            return [
                {"start": s.start, "end": s.end, "text": text[s.start : s.end], "what": s.what}
                for s in self.parsed.spans
                if s.kind in kinds
            ]

        return {
            "family": self.family,
            "positive": self.positive,
            "negative": self.negative,
            "character": self.character.to_dict(),
            "people": [person.to_dict() for person in self.people],
            "unknown": spans("unknown"),
            "not_used": spans("blocked"),
            "refused": spans("negated"),
            "conflicts": self.conflicts,
            "notes": self.notes,
            "tokens": {
                "exact": self.exact,
                "limit": 75,
                "chunks": [{"used": chunk.used, "left": 75 - chunk.used} for chunk in self.chunks],
            },
        }


def words_to_character(parsed: Parse, index: int = 0) -> Character:
    """The Character that one figure's words describe, with evidence ``words``; what a word only implies is less sure."""
    person = parsed.people[index]
    values = dict(person.fields)
    if person.extras:
        values["extra"] = tuple(person.extras[:60])
    return Character(values, {path: Evidence("words", 0.7 if path in person.implied else 1.0) for path in values})


def _weighted(tag: Tag, dial: Dialect) -> str:
    if not dial.weights:
        return tag.text
    text = tag.text.replace("(", "\\(").replace(")", "\\)")
    return f"({text}:{tag.weight:g})" if tag.weight != 1.0 else text


def _positive(
    people: Sequence[Character],
    dial: Dialect,
    parsed: Parse,
    weights: Sequence[Mapping[str, float]],
    hidden: frozenset[str],
) -> str:
    count = max(parsed.subjects, len(people))
    if dial.form == "prose":
        shown = {path: value for path, value in people[0].items() if path not in hidden and said(people[0], path)}
        extras = [str(text) for text in shown.pop("extra", ())] + list(parsed.verbatim)
        write = chinese if dial.language == "zh" else english
        text = write(shown, extras, count)
        for number, other in enumerate(people[1:], 1):
            own = {path: value for path, value in other.items() if path != "extra"}
            text += ("" if dial.language == "zh" else " ") + write(
                own, [str(item) for item in other.get("extra", ())], 1, number
            )
        return " ".join([text, *parsed.specials])
    subject: list[str] = []
    identity: list[str] = []
    rest: dict[str, list[str]] = {name: [] for name in ("outfit", "accessories", "pose", "scene", "style", "free")}
    for index, person in enumerate(people):
        for tag in character_tags(
            person, weights[index] if index < len(weights) else {}, hidden if index == 0 else frozenset()
        ):
            if tag.text in parsed.covered:
                continue
            if dial.form == "phrases" and tag.text in _PLAIN:
                tag = Tag(_PLAIN[tag.text], tag.group, tag.path, tag.weight)
            (subject if tag.group == "subject" else identity if tag.group == "identity" else rest[tag.group]).append(
                _weighted(tag, dial)
            )
    if count == 1:
        subject.append("solo") if dial.form == "tags" else None
    elif len(set(subject)) <= 1:
        subject = [
            f"{count}girls"
            if subject == ["1girl"] or set(subject) == {"1girl"}
            else f"{count}boys"
            if "1boy" in subject
            else f"{count} people"
        ]
    rest["scene"] += [tag for path, tag in dial.unsaid if people[0].get(path) is None]
    middle = [text for name in ("outfit", "accessories", "pose", "scene", "style", "free") for text in rest[name]]
    rating = list(dial.rating)
    parts = [*dial.prefix, *subject, *dial.subject]
    parts += [*rating, *identity] if dial.rating_after == "subject" else [*identity, *rating]
    parts += [*parsed.verbatim, *middle, *dial.suffix, *parsed.specials]
    text = ", ".join(dict.fromkeys(part for part in parts if part))
    if dial.sentence:
        shown = {path: value for path, value in people[0].items() if path not in hidden and path != "extra"}
        text += ". " + english(shown, [], count)
    return text


_PLAIN = {
    "1girl": "a girl", "1boy": "a boy", "1other": "a character", "v sign": "making a peace sign", "tareme": "gentle droopy eyes",
    "tsurime": "sharp upturned eyes", "ahoge": "a cowlick", "serafuku": "sailor school uniform", "thighhighs": "thigh-high socks",
    "kneehighs": "knee-high socks", "labcoat": "lab coat", "dougi": "karate gi", "geta": "geta wooden sandals", "gakuran": "gakuran uniform",
}  # fmt: skip


def _negative(character: Character, dial: Dialect, parsed: Parse, positive: str) -> str:
    there = set(split_tags(positive))
    wanted = [tag for tag in (*absent_tags(character), *parsed.negatives) if tag not in there]
    if dial.form == "prose" and not dial.negative and not wanted:
        return ""
    return ", ".join(dict.fromkeys([*dial.negative, *wanted]))


def build(
    description: str,
    family: str = "sd15",
    character: Any = None,
    identity_character: Any = None,
    seed: int = 0,
    form: str = "",
    variety: float = 0.0,
    wildcards: Mapping[str, Sequence[str]] | None = None,
    count: Counter | None = None,
    **widgets: Any,
) -> Result:
    """From a description (Chinese or English), a Character and hand-made choices to prompts for one model family.

    ``character`` and ``identity_character`` are anything :meth:`Character.coerce` takes; ``form`` is the panel's JSON; ``variety`` 0..1 draws
    unset fields from ``seed``; ``count`` counts tokens exactly (without it the report says that counts are estimates). ``widgets`` are field
    paths with ``__`` for ``.`` (``hair__color="#ff8899"``). Strongest first: hand-made, words, ``character``, photo, drawn. Raises
    :class:`~.dialects.FamilyError` and :class:`~..character.CharacterError`.
    """
    dial = dialect(family)
    choices = read_form(form)
    notes: list[str] = []
    if len(description) > MAX_INPUT:
        notes.append(f"the description has {len(description)} characters; the first {MAX_INPUT} are considered")
        description = description[:MAX_INPUT]
    expander = Expander({**builtin_wildcards(), **(wildcards or {})})
    text = expander.expand(description, seed) if any(sign in description for sign in ("{", "__", "}")) else description
    parsed = parse(text)
    merged = Character()
    for part in (identity_character, character):
        if part is not None:
            merged = merged.merge(Character.coerce(part))
    merged = _over(merged, words_to_character(parsed))
    merged = _over(merged, choices.character())
    chosen = {path.replace("__", "."): value for path, value in widgets.items() if value is not None}
    if chosen:
        merged = _over(merged, Character(chosen, {path: Evidence("widget") for path in chosen}))
    if variety > 0:
        merged = draw(merged, seed, min(1.0, variety), choices.locks)
    resolved = resolve_conflicts(merged)
    people = [resolved.character]
    for index in range(1, len(parsed.people)):
        other = words_to_character(parsed, index)
        people.append(resolve_conflicts(draw(other, seed + index, variety) if variety > 0 else other).character)
    weights = [{**person.weights, **(choices.weights if k == 0 else {})} for k, person in enumerate(parsed.people)]
    in_words = [spoken(person, dial) for person in people]
    positive = _positive([person for person, _ in in_words], dial, parsed, weights, resolved.hidden)
    negative = _negative(resolved.character, dial, parsed, positive)
    notes += [*parsed.notes, *expander.notes, *choices.notes, *(note for _, told in in_words for note in told)]
    if parsed.subjects > 1:
        notes.append(f"{parsed.subjects} figures: the Character and the 3D avatar are the first one's")
    tags = split_tags(positive) if dial.form != "prose" else []
    if strange := dial.strange(tags):
        notes.append(f"the {dial.id} model has never seen {', '.join(strange)}: it draws the rest")
    chunks, long = (
        pack(tags, count or estimate)
        if dial.form != "prose"
        else ([Chunk(positive, (count or estimate)(positive))], [])
    )
    notes += [f"'{tag[:40]}…' is longer than a 75-token chunk" for tag in long]
    result = Result(
        positive,
        negative,
        resolved.character,
        "",
        dial.id,
        parsed,
        text,
        people[1:],
        notes,
        resolved.told,
        chunks,
        count is not None,
    )
    result.report = _report(result, dial)
    return result


def _over(base: Character, over: Character) -> Character:
    """Merge; a kind that replaces another one drops the old one's colours, which belonged to the old thing."""
    stale = {
        path: None
        for kind in over
        if kind.endswith(".kind") and base.get(kind) not in (None, over[kind])
        for path in (f"{kind[:-5]}.color", f"{kind[:-5]}.color2", f"{kind[:-5]}.pattern")
        if path in base and path not in over
    }
    return (base.having(stale) if stale else base).merge(over)


def _report(result: Result, dial: Dialect) -> str:
    lines = [f"family: {dial.id}"]
    if dial.form == "prose":
        lines.append(
            f"length: {result.chunks[0].used} tokens{'' if result.exact else ' (estimate)'}, one window, no 75-token limit"
        )
    else:
        each = "; ".join(
            f"chunk {k}: {chunk.used} used, {75 - chunk.used} left" for k, chunk in enumerate(result.chunks, 1)
        )
        lines.append(f"tokens{'' if result.exact else ' (estimate)'}: {each}")
    lines += [f"conflict: {item['en']}" for item in result.conflicts]
    lines += [f"unknown at {s.start}-{s.end}: {s.what}" for s in result.parsed.unknown()]
    lines += [
        f"not used at {s.start}-{s.end}: {result.parsed.text[s.start : s.end]} ({s.what})"
        for s in result.parsed.blocked()
    ]
    lines += [f"note: {text}" for text in result.notes]
    return "\n".join(lines)


_BUILTIN: dict[str, list[str]] = {}


def builtin_wildcards() -> Mapping[str, Sequence[str]]:
    """Wildcard lists that always exist: one per field of the lexicon (``__hair_style__``), and ``__color__``."""
    if not _BUILTIN:
        from .lexicon import lexicon

        lex = lexicon()
        lists = {
            path.replace(".", "_").removesuffix("_kind"): [
                item.en[0] if item.en else item.tag
                for item in slot.values()
                if item.rarity > 0 and item.id != "none" and (item.en or item.tag)
            ]
            for path, slot in lex.entries.items()
        }
        lists["color"] = [word.name for word in lex.colors.values() if word.rarity > 0]
        lists["pattern"] = [pattern.tag for pattern in lex.patterns.values()]
        _BUILTIN.update(lists)
    return _BUILTIN
