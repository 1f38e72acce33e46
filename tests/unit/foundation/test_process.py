"""Child processes end with us, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from chibi_avatar.setup.errors import SetupError
from chibi_avatar.setup.process import run_logged, start, stop

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
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
        run_logged([sys.executable, "-c", "import sys; print('no matching distribution'); sys.exit(3)"], log, what="Installing")
    assert "no matching distribution" in log.read_text()
