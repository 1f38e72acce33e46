"""The errors that set-up reports. The command line turns them into one line and an exit code."""

from __future__ import annotations


class SetupError(RuntimeError):
    """Something that the work needs could not be made or found. The message says what, where and how to fix it."""


class ServerError(RuntimeError):
    """ComfyUI did not start, or died. ``log_tail`` holds its last lines."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail
