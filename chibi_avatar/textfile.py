"""Text files as people's programs write them."""

from __future__ import annotations

import re
from pathlib import Path

_HIGH = re.compile(rb"[\x80-\xff]+")


def read_text(path: Path) -> str:
    """The text of a file, lines ended by ``\\n``, in UTF-8, with or without a byte order mark, or in GBK, as spreadsheets on a Chinese Windows save it.

    GBK is believed only where all bytes above ASCII come in pairs, as its common characters do: single ones are letters with accents in some
    other encoding. Raises :class:`UnicodeDecodeError` (for UTF-8) and :class:`OSError`.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if any(len(run) % 2 for run in _HIGH.findall(data)):
            raise
        try:
            text = data.decode("gb18030")
        except UnicodeDecodeError:
            raise error from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
