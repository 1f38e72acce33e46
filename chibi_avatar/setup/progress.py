"""Progress on stderr: whole lines in a log, one rewritten line on a terminal. stdout stays free for results."""

from __future__ import annotations

import sys
import time


class Progress:
    """One step of work, shown with its elapsed time. Use as a context manager; :meth:`update` says where it is."""

    def __init__(self, title: str, quiet_seconds: float = 10.0) -> None:
        self.title = title
        self._quiet_seconds = quiet_seconds
        self._started = self._shown = 0.0
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        self._started = self._shown = time.monotonic()
        self._write(f"{self.title} ...")
        return self

    def update(self, detail: str, important: bool = False) -> None:
        """Show ``detail``: at once on a terminal or when important, otherwise at most every ``quiet_seconds``."""
        now = time.monotonic()
        if self._terminal or important or now - self._shown >= self._quiet_seconds:
            self._shown = now
            self._write(f"{self.title}: {detail} ({now - self._started:.0f} s)")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds = time.monotonic() - self._started
        outcome = "done" if kind is None else "stopped"
        self._write(f"{self.title}: {outcome} ({seconds:.1f} s)", last=True)

    def _write(self, text: str, last: bool = False) -> None:
        if self._terminal:
            sys.stderr.write(f"\r\x1b[2K{text[:118]}" + ("\n" if last else ""))
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()


def say(text: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
