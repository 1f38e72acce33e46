"""A1111 emphasis: ``(text:1.3)``, ``((text))``, ``[text]``. Finds the weighted regions and blanks their punctuation for the parser."""

from __future__ import annotations

import re
from typing import NamedTuple

_EXPLICIT = re.compile(r":\s*(-?\d{1,3}(?:\.\d{1,4})?)\s*\)")
MAX_DEPTH = 20


class Region(NamedTuple):
    """``text[start:end]`` is the whole outermost bracket; ``inner`` its text without the brackets; ``weight`` the product."""

    start: int
    end: int
    weight: float
    inner: str


def regions(text: str) -> tuple[list[Region], str, list[str]]:
    """Outermost weighted regions, ``text`` with bracket and weight signs blanked (same length), and notes on what is malformed."""
    blank = list(text)
    found: list[Region] = []
    notes: list[str] = []
    stack: list[tuple[int, str]] = []
    weights: list[float] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char == "\\" and i + 1 < len(text) and text[i + 1] in "()[]\\":
            blank[i] = blank[i + 1] = " "
            i += 2
            continue
        if char in "([":
            if len(stack) >= MAX_DEPTH:
                notes.append(f"brackets nested deeper than {MAX_DEPTH} are read as plain text (position {i})")
                blank[i] = " "
            else:
                if not stack:
                    weights = []
                stack.append((i, char))
            i += 1
            continue
        if char in ")]":
            blank[i] = ","
            if not stack or {"(": ")", "[": "]"}[stack[-1][1]] != char:
                notes.append(f"'{char}' at position {i} closes nothing; ignored")
                i += 1
                continue
            opened, sign = stack.pop()
            blank[opened] = ","
            match = None
            if sign == "(":
                tail = text.rfind(":", opened, i)
                match = _EXPLICIT.match(text, tail) if tail >= 0 else None
                if match and match.end() == i + 1:
                    for k in range(tail, i):
                        blank[k] = " "
                    weights.append(float(match.group(1)))
                elif tail >= 0 and re.fullmatch(r":\s*[-+]?[\d.]*\d[\d.\w]*\s*", text[tail:i]):
                    notes.append(f"'{text[tail:i].strip()}' at position {tail} is not a weight; read as 1.1")
                    for k in range(tail, i):
                        blank[k] = " "
                    weights.append(1.1)
                else:
                    weights.append(1.1)
            else:
                weights.append(1 / 1.1)
            if not stack:
                product = 1.0
                for weight in weights:
                    product *= weight
                body = text[opened + 1 : i]
                found.append(Region(opened, i + 1, max(-5.0, min(5.0, round(product, 3))), body))
        i += 1
    for opened, sign in stack:
        blank[opened] = " "
        notes.append(f"'{sign}' at position {opened} is never closed; ignored")
    return found, "".join(blank), notes
