"""Child processes end with us, whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from chibi_avatar.setup.errors import SetupError
from chibi_avatar.setup.process import (
    heed_interrupts,
    interrupts_held,
    run_async,
    run_logged,
    signals_as_interrupts,
    start,
    stop,
)

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
# Asks its own process to end from a hook that runs inside fork, where Python prints an exception and goes on.
FORKING = """
import importlib.util, os, signal, subprocess, sys
from importlib import import_module
spec = importlib.util.spec_from_file_location("chibi_avatar", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["chibi_avatar"] = importlib.util.module_from_spec(spec)
process = import_module("chibi_avatar.setup.process")
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
try:
    with process.signals_as_interrupts():
        process.start([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
        print("went on")
except KeyboardInterrupt:
    print("stopped")
"""
PARENT = """
import importlib.util, subprocess, sys, time
from importlib import import_module
spec = importlib.util.spec_from_file_location("chibi_avatar", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["chibi_avatar"] = importlib.util.module_from_spec(spec)
process = import_module("chibi_avatar.setup.process")
child = process.start([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
            psutil.Process(pid).wait(timeout=0.2)
        except psutil.NoSuchProcess:
            return True
        except psutil.TimeoutExpired:
            continue
    return False


def test_stop_ends_a_process_that_ignores_it_and_its_children():
    """A hung ComfyUI would stay in memory after Ctrl-C."""
    process = start([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    grandchild = int(process.stdout.readline())
    stop(process, grace_seconds=0.3)
    assert process.poll() is not None
    assert gone(grandchild)


def test_a_killed_parent_takes_its_child_along(root):
    """A demo killed by the system would leave its ComfyUI, or a half-done installation that still writes."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(root / "chibi_avatar")], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert gone(child)


def test_a_failing_command_is_told_with_its_last_lines(tmp_path):
    """People would see 'failed' without the line that says why."""
    log = tmp_path / "install.log"
    with pytest.raises(SetupError, match="no matching distribution"):
        run_logged(
            [sys.executable, "-c", "import sys; print('no matching distribution'); sys.exit(3)"], log, what="Installing"
        )
    assert "no matching distribution" in log.read_text()


def test_a_request_to_end_that_comes_while_a_child_starts_is_not_lost(root):
    """A demo stopped in its first second would paint on to its end, with a traceback about an ignored exception."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(root / "chibi_avatar")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "stopped" and done.stderr == ""


def test_held_interrupts_are_heeded_afterwards():
    """Ctrl-C during the hold would be forgotten, or not wait for its end."""
    with signals_as_interrupts():
        with interrupts_held():
            signal.raise_signal(signal.SIGTERM)
            held = True
        with pytest.raises(KeyboardInterrupt):
            heed_interrupts()
    assert held
    heed_interrupts()  # what came in there is over
    stop(start([sys.executable, "-c", ""], stdout=subprocess.DEVNULL))


def test_a_hold_in_a_helper_thread_does_not_hold_the_main_one():
    """A batch that starts a dead server anew, which it does in a thread, would not hear SIGTERM meanwhile."""
    holding, over = threading.Event(), threading.Event()

    def hold():
        with interrupts_held():
            holding.set()
            over.wait(10)
            heed_interrupts()  # is for the main thread alone

    thread = threading.Thread(target=hold)
    with signals_as_interrupts():
        thread.start()
        holding.wait(10)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        over.set()
        thread.join()


@pytest.fixture
def listening():
    """Ctrl-C is heard, even where a shell has started the tests in the background, which turns it off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asynchronous_work_is_cancelled_where_it_waits(how, listening):
    """Ctrl-C between two lines of a batch's book-keeping would leave a row half written."""
    steps = []

    async def work():
        signal.raise_signal(how)
        steps.append("to the next await")
        try:
            await asyncio.sleep(10)
        finally:
            steps.append("cleaned up")

    before = signal.getsignal(how)
    with signals_as_interrupts(), pytest.raises(KeyboardInterrupt):
        run_async(work())
    assert steps == ["to the next await", "cleaned up"] and signal.getsignal(how) is before


def test_stop_does_not_wait_for_a_lock_that_an_interrupt_left_taken():
    """Ctrl-C in Popen.poll leaves the lock of Popen.wait taken: the command would hang instead of ending its server."""
    process = start([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.DEVNULL)
    process._waitpid_lock.acquire()
    started = time.monotonic()
    stop(process)
    assert process.returncode == -signal.SIGTERM and time.monotonic() - started < 4
