"""Child processes whose output is kept in a log, and which never outlive this one."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .errors import SetupError

T = TypeVar("T")


def start(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdout: int
) -> subprocess.Popen:
    """Start ``command`` in a process group of its own, stdin closed, stderr joined to ``stdout``.

    On Linux it dies with this process, even if that one is killed without a chance to clean up. Raises
    ``KeyboardInterrupt`` if this process was asked to end meanwhile.
    """
    if sys.platform == "win32":
        group: dict = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    else:
        group = {"start_new_session": True}
        if sys.platform.startswith("linux"):
            group["preexec_fn"] = _die_with_parent()
    process = None
    try:
        with interrupts_held():
            process = subprocess.Popen(
                list(command),
                env=dict(env) if env is not None else None,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                **group,
            )
        heed_interrupts()
    except KeyboardInterrupt:
        if process is not None:
            stop(process)
        raise
    return process


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
        _reap(process, patience)


def _reap(process: subprocess.Popen, patience: float | None) -> None:
    """Wait for the end of ``process``, at most ``patience`` seconds. ``Popen.wait`` could wait for ever here: an interrupt that hits
    ``Popen.poll`` at the wrong moment leaves its lock taken.
    """
    deadline = math.inf if patience is None else time.monotonic() + patience
    while process.returncode is None:
        try:
            found, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has reaped it
            process.returncode = -signal.SIGKILL
            return
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
        elif time.monotonic() > deadline:
            return
        else:
            time.sleep(0.01)


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


class _Interrupts:
    """Requests to end since :func:`signals_as_interrupts` began. Signals are the whole process's, so is this."""

    came = False
    held = 0


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Treat a polite request to end (SIGTERM, a closed terminal) like Ctrl-C, so that clean-up runs."""

    def interrupt(number: int, frame: object) -> None:
        _Interrupts.came = True
        if not _Interrupts.held:
            raise KeyboardInterrupt

    before = _Interrupts.came
    _Interrupts.came = False
    try:
        with _handled_by(interrupt):
            yield
    finally:
        _Interrupts.came = before


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Requests to end go to ``handler``; not Ctrl-C where it is ignored, as in a job in the background."""
    kinds = [signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        kinds.append(signal.SIGINT)
    previous = {kind: signal.signal(kind, handler) for kind in kinds}
    try:
        yield
    finally:
        for kind, earlier in previous.items():
            signal.signal(kind, earlier)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Remember requests to end instead of raising them; call :func:`heed_interrupts` soon after. For short work in which Python would
    lose the exception and print its traceback: it calls back from C (``fork``'s hooks, the import system's locks). Does nothing in
    threads other than the main one, where Python raises it.
    """
    mine = _in_main_thread()
    _Interrupts.held += mine
    try:
        yield
    finally:
        _Interrupts.held -= mine


def heed_interrupts() -> None:
    """Raise ``KeyboardInterrupt`` if this process was asked to end, in the main thread."""
    if _Interrupts.came and _in_main_thread():
        raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run(work)`` inside :func:`signals_as_interrupts`: the first request to end cancels ``work`` at its next ``await``, as
    asyncio itself does for Ctrl-C alone, and a second one interrupts it where it is. Raises ``KeyboardInterrupt`` when cancelled so.
    """
    import asyncio

    async def watched() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def cancel(number: int, frame: object) -> None:
            if _Interrupts.came:
                raise KeyboardInterrupt
            _Interrupts.came = True
            loop.call_soon_threadsafe(task.cancel)

        with _handled_by(cancel):
            return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        heed_interrupts()
        raise
