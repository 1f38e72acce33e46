"""A description becomes a :class:`Parse`: its text is made plain and cut into pieces, and the reader reads them."""

from __future__ import annotations

import re

from .clauses import counted, how_many, with_me
from .facts import Parse, Span
from .reader import Reader
from .segment import segment
from .text import MAX_CHARACTERS, normalise, specials, tokenise, young
from .weights import regions


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
        result.spans.append(Span(special.start, special.end, "special", special.text))
    masked = young("".join(chars))
    found, blank, weight_notes = regions(masked)
    result.notes.extend(weight_notes)
    tokens = tokenise(blank)
    pieces, corrections = segment(tokens)
    for item in corrections:
        result.notes.append(f"'{item.found}' at position {item.start} is read as '{item.read_as}'")
    together = counted(pieces)
    result.subjects = how_many(pieces, together)
    result.together = together > 1
    result.with_me = result.subjects > 1 and with_me(pieces)
    plain = [r for r in found if r.inner.strip()]
    for region in plain:
        result.notes.append(f"emphasis {region.weight:g} at {region.start}-{region.end}")
    Reader(result, pieces, [(r.start, r.end, r.weight, _bare(r.inner)) for r in plain]).read()
    result.spans.sort()
    return result


def _bare(inner: str) -> str:
    """A bracket's text without inner brackets and weight."""
    return re.sub(r":\s*-?[\d.]+\s*$", "", inner.strip("()[] ")).strip()
