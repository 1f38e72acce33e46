"""Which of the two languages to speak."""

from __future__ import annotations

import os

LANGUAGES = ("en", "zh")


def current() -> str:
    """``"zh"`` or ``"en"``: ``CHIBI_LANG`` if set, else the first of ``LC_ALL``, ``LC_MESSAGES``, ``LANG``, else the
    system's own.
    """
    for name in ("CHIBI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "").strip().lower()
        if value:
            return "zh" if value.startswith("zh") else "en"
    import locale

    code = locale.getlocale()[0] or ""
    return "zh" if code.lower().startswith(("zh", "chinese")) else "en"


def pick(english: str, chinese: str, language: str | None = None) -> str:
    """The text in the given language, or in the user's."""
    return chinese if (language or current()) == "zh" else english
