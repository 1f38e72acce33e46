"""The prompt room's data files: read once, checked once."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA = 1
DATA = Path(__file__).parent / "data"


class DataError(ValueError):
    """A data file of the prompt room is damaged. The message names the file."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the file, in which no key may stand twice: the first would be lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return found


@cache
def load(name: str) -> dict[str, Any]:
    """The parsed ``data/<name>.json``. Treat as read-only. Raises :class:`DataError` when it is not valid."""
    try:
        text = (DATA / f"{name}.json").read_text(encoding="utf-8")
        data = json.loads(text, object_pairs_hook=_once)
    except (OSError, ValueError) as error:
        raise DataError(f"chibi_avatar/prompt/data/{name}.json cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise DataError(f'chibi_avatar/prompt/data/{name}.json: expected "schema": {SCHEMA}')
    return data
