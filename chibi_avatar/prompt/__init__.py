"""The prompt room: a sentence in Chinese or English becomes a Character, and the Character becomes each model family's prompt."""

from .build import Result, build

__all__ = ["Result", "build"]
