"""The prompt room: a sentence in Chinese or English becomes a Character, and the Character becomes each model family's prompt."""

from .build import Result, build
from .read_back import read_prompt

__all__ = ["Result", "build", "read_prompt"]
