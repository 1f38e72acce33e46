"""Read a description: nouns take the colours and patterns of their own scope, refusals remove, unknown words are reported.

A clause is the text between two punctuation marks. Inside it colours bind to the next noun, or back to the noun before them when nothing
follows (``eyes blue``, ``裙子是白色的``). A refusal (``no``, ``不要``) reaches to the end of its clause, over ``or`` and ``、``.
"""

from __future__ import annotations

import re

from ..character import FIELDS
from .clauses import FIRST_PERSON, PRONOUNS, clauses, companion, marker, person
from .datafiles import load
from .facts import GENERIC, Notebook, Noun, Parse, color_path, is_garment, literal
from .lexicon import WORN, ColorWord, Entry, Meaning, lexicon
from .segment import Piece
from .tints import Tints

_HEADS = {
    "hair": "hair.color",
    "eyes": "eyes.color",
    "eye": "eyes.color",
    "eye_left": "eyes.color",
    "eye_right": "eyes.color",
    "skin": "skin.color",
}
_ANIMAL_PRINTS = frozenset(("animal_print", "cat", "bear_print", "bunny_print"))
_EVERYDAY = frozenset(("很", "好", "老", "太", "挺", "真的很", "so", "really", "too"))
_FEMININE = frozenset(("girl", "lady", "woman", "女", "娘", "姐", "妹"))
_GENDERED = re.compile("girl|lady|woman|boy|女|娘|姐|妹|少年|小哥|大叔")


class Reader(Tints):
    """One pass over the pieces of a description."""

    def __init__(self, parse: Parse, pieces: list[Piece], weight_at: list[tuple[int, int, float, str]]) -> None:
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
        self.marked = False
        self.named: dict[str, int] = {}
        self.open_side: dict[str, tuple[ColorWord, Piece]] = {}
        self.reset_clause()

    # -- walking ---------------------------------------------------------------------------------------------------

    def read(self) -> None:
        parts = clauses(self.pieces, self.parse.text, self.parse.subjects > 1)
        for index, (body, mark) in enumerate(parts):
            if body:
                self.read_clause(body, parts[index + 1 :])
            if mark in (".", ";", "!", "?", "\n", "。", "；"):
                self.negative_list = False
        self.share_so_far()
        self.book.finish()
        if self.hetero:
            fields = self.book.person.fields
            if "eyes.color_right" not in fields:
                self.book.extra("heterochromia", 0, 0)
                self.parse.notes.append(
                    "heterochromia without two colours: name both, for example 'left eye blue, right eye gold'"
                )

    def read_clause(self, body: list[Piece], after: list[tuple[list[Piece], str]]) -> None:
        self.reset_clause()
        self.chosen = self.resolve(body)
        if self.parse.subjects > 1 and len(body) > 1 and marker(body[0]) and not person(body[1]):
            self.next_person()
        elif self.parse.subjects > 1 and not body[0].latin:
            named = [k for k, piece in enumerate(body) if person(piece) and "".join(piece.words) not in PRONOUNS]
            if len(named) == 1 and named[0] > 1 and body[named[0] - 1].words == ("的",):
                self.book.who = self.person_of(person(body[named[0]]), "".join(body[named[0]].words), False)
        self.back = self.backward(body)
        if self.negative_list and self.bare_list(body):
            self.neg = body[0]
        i = 0
        while i < len(body):
            i = self.step(body, i)
        self.end_clause(body)
        if self.before_all is not None:
            self.share(self.before_all)
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

    # -- one piece -------------------------------------------------------------------------------------------------

    def step(self, body: list[Piece], i: int) -> int:
        piece = body[i]
        kind, meaning = self.chosen[i]
        if self.parse.with_me and companion(piece):
            self.turn_to(1)
            return i + 1
        if len(piece.words) > 1 and not person(piece) and (piece.latin or kind not in ("entry", "idiom")):
            for word in piece.words:
                if word in PRONOUNS:
                    self.subject("feminine" if word in ("she", "her", "她") else "masculine", piece, pronoun=True)
                    break
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
        for word, value in (
            ("girl", "feminine"),
            ("女", "feminine"),
            ("姑娘", "feminine"),
            ("boy", "masculine"),
            ("男", "masculine"),
        ):
            if any(word in part for part in piece.words) and "presentation" not in self.book.person.fields:
                self.book.put("presentation", value, piece.start, piece.end)

    def on_fill(self, piece: Piece, meaning, body, i) -> None:
        word = "".join(piece.words)
        grammar = load("grammar")
        if word in grammar["parts"]:
            self.part = piece
        if word in grammar["shared"]:
            self.shared = self.shared or bool(self.nouns)
            self.of_all()
        if word in grammar["lock"] and self.neg is None and self.color_follows(i):
            self.accent("streaked", piece)
        if word in FIRST_PERSON and self.parse.subjects > 1 and self.parse.with_me and i == 0:
            self.turn_to(0)
        if not self.color_part(piece) and word in grammar["worn_parts"]["animal_ears.kind"] and self.neg is not None:
            self.push(
                Noun(
                    "animal_ears.kind",
                    piece.start,
                    piece.end,
                    entry=lexicon().entries["animal_ears.kind"]["animal_ears"],
                )
            )

    def on_place(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if self.colors and self.neg is None and piece.words[:2] == ("头", "发"):
            self.color_hair(piece)
        self.on_wear(piece, meaning, body, i)
        self.place = meaning.value
        if self.nouns and (piece.latin or i and body[i - 1].words[-1] == "在"):
            self.move(self.nouns[-1], meaning.value)

    def on_unknown(self, piece: Piece, meaning, body, i) -> int:
        if self.describe(piece):
            return 1
        word = piece.words[0]
        if self.color_part(piece):
            return 1
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
        if not piece.latin:
            named_next = any(kind in ("entry", "head", "idiom") for kind, _ in self.chosen[j + 1 :])
        if (
            self.colors
            and self.neg is None
            and not named_next
            and self.color_span[1] <= start <= self.color_span[1] + 2
        ):
            start, self.colors = self.color_span[0], []
        text = self.parse.text[start:end]
        if self.neg is not None and piece.latin:
            self.book.negative(" ".join(text.split())[:80], start, end)
            self.neg_count += 1
        self.book.span(start, end, "unknown", text)
        if piece.latin and self.neg is None and any(c.isalpha() for c in text):
            for first, last, weight, inner in self.weight_at:
                if first <= start < last:
                    text = inner if "," not in inner else text
                    self.book.person.weights[f"extra:{' '.join(text.split())}"] = weight
            self.book.extra(text, start, end)
        return j - i + 1

    def compounds(self, body: list[Piece], i: int) -> bool:
        follow = self.next_content(body, i)
        return follow is not None and bool(lexicon().lookup((body[i].words[0], *follow.words)))

    def on_adj(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if self.described is not None and self.described.entry is not None and self.describe(piece):
            return
        self.adjectives = [*self.adjectives[-7:], (meaning.value, piece)]

    def on_very(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if meaning.value not in _EVERYDAY:
            self.intensity = 1.2

    def on_slight(self, piece: Piece, meaning, body, i) -> None:
        self.intensity = 0.85

    def on_number(self, piece: Piece, meaning: Meaning, body, i) -> int:
        if i + 1 < len(body) and self.chosen[i + 1][0] == "heads":
            heads, field = float(meaning.value), FIELDS["proportions.heads"]
            if field.low <= heads <= field.high:
                self.book.put("proportions.heads", heads, piece.start, body[i + 1].end)
            else:
                self.parse.notes.append(f"{heads:g} heads is outside {field.low:g} to {field.high:g}; ignored")
            return 2
        return 1

    def on_bare(self, piece: Piece, meaning, body, i) -> None:
        self.book.negative(meaning.value, piece.start, piece.end)

    def on_apart(self, piece: Piece, meaning, body, i) -> None:
        self.apart = True

    def on_apart_end(self, piece: Piece, meaning, body, i) -> None:
        self.apart = False

    def on_negword(self, piece: Piece, meaning: Meaning, body, i) -> None:
        if self.neg is None:
            self.negwords.append((meaning.value, piece))
        if self.neg is not None:
            self.book.negative(meaning.value, piece.start, piece.end)
            self.neg_count += 1
            self.neg_linked = False

    # -- links -----------------------------------------------------------------------------------------------------

    def on_and(self, piece: Piece, meaning, body, i) -> None:
        if self.detail and self.patterns and self.patterns[-1][1] is body[i - 1] and self.last is not None:
            if is_garment(self.last.path):  # a dress with stripes and a belt: the stripes are not the belt's
                if self.colors:
                    self.second_color(self.last)
                self.flush_patterns(self.last)
        self.linked = True
        self.neg_linked = True

    on_or = on_and

    def on_copula(self, piece: Piece, meaning, body, i) -> None:
        if piece.words[-1] == "成" and self.colors and self.color_follows(i):
            self.colors = []
        if piece.words[-1] == "成" and self.nouns and self.neg is None and self.next_content(body, i) is not None:
            self.drop(self.nouns[-1], body, i)
        self.end_negation()
        if self.side:
            return
        if piece.words[0] in ("都", "全"):
            self.shared = True
            self.of_all()
        self.described = self.nouns[-1] if self.nouns else None
        if self.nouns and not self.nouns[-1].colored and not self.colors and color_path(self.nouns[-1].path):
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
        self.detail = piece.words[0] in ("with", "带", "带着", "有") or piece.words[-1] == "是"
        if piece.words[0] in ("穿", "wearing", "wears", "wear", "dressed"):
            self.clothed_at = piece.start

    def on_in(self, piece: Piece, meaning, body, i) -> None:
        self.dressed = True
        self.detail = False

    def on_hold(self, piece: Piece, meaning, body, i) -> None:
        self.on_wear(piece, meaning, body, i)
        self.holding = True

    def on_contrast(self, piece: Piece, meaning, body, i) -> None:
        if self.neg is not None and (self.neg_count or self.colors):
            self.close_colors()
            self.end_negation()
        elif piece.words[0] in ("except", "apart", "aside", "other"):
            self.close_colors()
        self.linked = False

    def on_neg(self, piece: Piece, meaning, body, i) -> None:
        if i + 1 < len(body) and body[i + 1].words == (":",):
            return
        self.close_colors()
        if i == len(body) - 1 or not any(
            kind not in ("fill", "very", "adj", "slight") for kind, _ in self.chosen[i + 1 :]
        ):
            if (
                self.nouns
                and self.nouns[-1].path == "hair.color"
                and any(set("扎绑盘") & set(p.words) for p in body[i + 1 :])
            ):
                self.refuse_entry(lexicon().entries["hair.style"]["ponytail"], piece.start, body[-1].end)
                return
            if (self.nouns or self.negwords) and not self.chosen_adj(i):
                self.withdraw_named(piece, body)
                return
        self.neg = piece
        self.neg_count = 0
        self.neg_linked = True
        self.neg_colored = False

    def chosen_adj(self, i: int) -> bool:
        return any(kind == "adj" for kind, _ in self.chosen[i + 1 :])

    def on_postneg(self, piece: Piece, meaning, body, i) -> None:
        if piece.words == ("off",) and i + 1 < len(body):
            return
        self.close_colors()
        self.withdraw_named(piece, body)

    def on_affirm(self, piece: Piece, meaning, body, i) -> None:
        self.close_colors()
        self.neg = None

    def end_negation(self) -> None:
        if self.neg is not None and self.neg_count:
            self.neg = None

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
        if self.adjectives and any(path.startswith("hair.") for path in sets):
            self.take_adjectives(Noun("hair.color", piece.start, piece.end))
        for path, value in sets.items():
            if path == "presentation":
                self.subject(value, piece, pronoun=False)
            else:
                self.book.put(path, literal(path, value, lexicon().tones), piece.start, piece.end)
        if kind_path:
            group = kind_path.split(".")[0]
            named = lexicon().entries[kind_path].get(sets[kind_path])
            if named is not None:
                found = self.compose(named, piece)
                if found is not named and found.path == kind_path:
                    self.book.person.fields[kind_path] = found.value
                    named = found
            noun = Noun(kind_path, piece.start, piece.end, entry=named)
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
        noun = Noun(_HEADS[name], piece.start, piece.end, bare=True, words=(name,))
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

    def eyes_next(self, body: list[Piece], i: int) -> bool:
        following = self.next_content(body, i)
        head = following.meaning("head") if following is not None else None
        return head is not None and head.value == "eyes"

    def on_entry(self, piece: Piece, meaning: Meaning, body, i) -> int | None:
        found: Entry = meaning.value
        if len(body) == 1 and self.last is not None and self.last.entry is not None and self.last.entry.id in GENERIC:
            self.described = self.last
            if self.describe(piece):
                return 1
        following = self.next_content(body, i) if piece.words == ("短", "袖") else None
        if following is not None and any(m.kind == "entry" and m.value.path == found.path for m in following.meanings):
            return 1  # ``短袖白衬衫``: of the shirt that comes
        found = self.compose(found, piece)
        if found.path == "hair.coloring" and self.nouns and self.nouns[-1].accent and not self.nouns[-1].colored:
            return
        ahead = self.chosen[i + 1] if i + 1 < len(body) and piece.latin and body[i + 1].start <= piece.end + 1 else None
        if (
            ahead is not None
            and found.path == "held.kind"
            and self.neg is None
            and (ahead[0] == "head" or ahead[0] == "unknown" and not self.holding)
        ):
            color = f"{self.colors[-1].name} " if self.colors and ahead[0] == "unknown" else ""
            self.book.extra(f"{color}{found.tag} {' '.join(body[i + 1].words)}", piece.start, body[i + 1].end)
            if ahead[0] == "head":
                return 1
            self.colors = []
            self.book.span(body[i + 1].start, body[i + 1].end, "unknown", " ".join(body[i + 1].words))
            return 2
        if found.path == "hair.coloring" and self.eyes_next(body, i):
            self.book.extra(f"{found.tag} eyes", piece.start, piece.end)
            return 1
        if found.path == "presentation":
            tone = lexicon().tones.get(self.colors[0].id) if self.neg is None and len(self.colors) == 1 else None
            if tone is not None and self.colors[0].id == "tan":
                self.book.put("skin.color", tone, *self.color_span)
                self.colors = []
            if self.neg is None and len(self.colors) == 1 and self.colors[0].implies:
                self.book.put(self.colors[0].implies, self.colors[0].color(), *self.color_span)
                self.colors = []
            if (
                self.neg is not None
                and self.neg_count == 0
                and "".join(piece.words) not in PRONOUNS
                and not self.more_nouns(i)
            ):
                self.book.negative(found.tag, piece.start, piece.end)
                self.neg_count += 1
            else:
                self.subject(found.id, piece, pronoun="".join(piece.words) in PRONOUNS)
            return
        if (
            found.id == "hairband"
            and self.nouns
            and self.nouns[-1].path in ("animal_ears.kind", "horns.kind")
            and self.nouns[-1].end >= piece.start - 1
        ):
            return
        beside = self.chosen[i + 1][1].value if i + 1 < len(body) and self.chosen[i + 1][0] == "entry" else None
        if found.path == "pose.name" and beside is not None and beside.path == "held.kind":
            return
        if found.path == "outfit.kind" and piece.words[-1] == "风" and beside is not None and is_garment(beside.path):
            self.book.extra(found.tag or found.id.replace("_", " "), piece.start, piece.end)
            return
        if (
            found.path == "scene.background" and beside is not None and self.neg is None
            and beside.path in ("species", "role")
        ):  # fmt: skip
            self.book.extra(f"{found.tag} {beside.tag or beside.id}", piece.start, body[i + 1].end)
            return
        after = body[i + 1] if i + 1 < len(body) else None
        if found.path == "role" and after is not None and "".join(after.words) in load("grammar")["sleeves"]:
            self.book.extra(f"{' '.join(piece.words)} {' '.join(after.words)}", piece.start, after.end)
            return
        if found.path.split(".")[0] in WORN and i + 1 < len(body) and self.chosen[i + 1][0] == "theme":
            self.book.extra(f"{found.tag} theme", piece.start, piece.end)
            self.patterns = []
            return
        if (
            found.path == "held.kind"
            and self.neg is None
            and (not self.holding or piece.latin and i + 1 < len(body) and body[i + 1].latin)
            and i + 1 < len(body)
            and self.chosen[i + 1][0] == "entry"
        ):
            beside = self.chosen[i + 1][1].value
            if beside.path == "presentation" and body[i + 1].start == piece.end:
                self.book.extra(found.tag, piece.start, piece.end)
                return
            print_of = lexicon().prints.get(found.id)
            if any(
                m.kind == "entry" and m.value.path == beside.path
                for m in lexicon().lookup((found.id, *body[i + 1].words))
            ):
                self.mods.append(Piece(piece.start, piece.end, (found.id,), ()))
                return
            hood = lexicon().entries["hat.kind"]["animal_hood"]
            if (
                beside.path == "hat.kind"
                and beside.id == "hat"
                and print_of is not None
                and print_of.id in _ANIMAL_PRINTS
            ):
                self.push(Noun("hat.kind", piece.start, body[i + 1].end, entry=hood, words=piece.words))
                return 2
            if print_of is not None and is_garment(beside.path):
                self.patterns.append((print_of, piece))
                return
            if color_path(beside.path) and beside.path.split(".")[0] in WORN:
                self.book.extra(f"{found.tag} {beside.tag}", piece.start, body[i + 1].end)
                return
        if found.path in ("species", "role") and self.neg is None and "presentation" not in self.book.person.fields:
            who = _GENDERED.search("".join(piece.words))
            if who:
                self.book.person.fields["presentation"] = "feminine" if who.group() in _FEMININE else "masculine"
                self.book.person.implied.add("presentation")
        if (
            self.holding
            and self.neg is None
            and found.path in ("hat.kind", "glasses.kind", "mask.kind", "shoes.kind")
            and found.id != "none"
        ):
            color = f"{self.colors[0].name} " if self.colors else ""
            self.book.extra(f"holding {color}{found.tag}", piece.start, piece.end)
            self.book.span(piece.start, piece.end, "field", "extra")
            self.colors, self.adjectives, self.holding = [], [], False
            return
        noun = Noun(found.path, piece.start, piece.end, entry=found, words=piece.words)
        noun.accent = found.path == "hair.coloring" and found.id in ("streaked", "inner")
        self.push(noun, body, i)
        if (
            found.id == "none" and self.neg is None
        ):  # "no shoes" is a word of its own; what "or" joins is refused like it
            self.neg, self.neg_count = piece, 1

    def more_nouns(self, i: int) -> bool:
        return any(
            kind in ("entry", "head", "idiom") and not (kind == "entry" and m.value.path == "presentation")
            for kind, m in self.chosen[i + 1 :]
        )
