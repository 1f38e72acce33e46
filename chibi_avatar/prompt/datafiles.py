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


@cache
def load(name: str) -> dict[str, Any]:
    """The parsed ``data/<name>.json``. Treat as read-only. Raises :class:`DataError` when it is not valid."""
    try:
        text = (DATA / f"{name}.json").read_text(encoding="utf-8")
        data = json.loads(text)
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"chibi_avatar/prompt/data/{name}.json cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise DataError(f'chibi_avatar/prompt/data/{name}.json: expected "schema": {SCHEMA}')
    return data
