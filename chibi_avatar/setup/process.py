"""Child processes whose output is kept in a log, and which never outlive this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .errors import SetupError


def start(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdout: int
) -> subprocess.Popen:
    """Start ``command`` in a process group of its own, stdin closed, stderr joined to ``stdout``.

    On Linux it dies with this process, even if that one is killed without a chance to clean up.
    """
    if sys.platform == "win32":
        group: dict = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        group = {"start_new_session": True}
        if sys.platform.startswith("linux"):
            group["preexec_fn"] = _die_with_parent()
    return subprocess.Popen(
        list(command),
        env=dict(env) if env is not None else None,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        **group,
    )


def _die_with_parent() -> Callable[[], None]:
    """What the child does before it becomes ``command``: ask the kernel for SIGKILL when the parent ends."""
    import ctypes

    set_death_signal = 1
    library = ctypes.CDLL(None, use_errno=True)
    return lambda: library.prctl(set_death_signal, signal.SIGKILL)


def stop(process: subprocess.Popen, grace_seconds: float = 5.0) -> None:
    """End ``process`` and everything it started: politely, then by force."""
    if sys.platform == "win32":
        if process.poll() is None:
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
            process.wait()
        return
    for how, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            if how == signal.SIGTERM:
                continue
            return


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log file, or an empty string."""
    try:
        with open(path, "rb") as handle:
            handle.seek(0, os.SEEK_END)
            handle.seek(max(0, handle.tell() - 64 * 1024))
            return "\n".join(handle.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def run_logged(
    command: Sequence[str], log: Path, *, what: str, env: Mapping[str, str] | None = None, cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Run ``command`` to its end with its output in ``log``; raise :class:`SetupError` with the last lines if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    process = start(command, env=env, cwd=cwd, stdout=subprocess.PIPE)
    try:
        with open(log, "wb") as handle:
            for raw in process.stdout or ():
                handle.write(raw)
                if on_line is not None:
                    on_line(raw.decode("utf-8", "replace").rstrip())
        code = process.wait()
    except BaseException:
        stop(process)
        raise
    if code != 0:
        raise SetupError(f"{what} failed (exit {code}). Its last lines, in full in {log}:\n{tail(log, 12)}")


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Treat a polite request to end (SIGTERM, a closed terminal) like Ctrl-C, so that clean-up runs."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    kinds = [signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    previous = {kind: signal.signal(kind, interrupt) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)
