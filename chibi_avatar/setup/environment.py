"""The Python environment: one per lock file, Python version and platform, in the per-user cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import paths
from .errors import SetupError
from .locking import exclusive
from .process import run_logged
from .progress import Progress, say

LEVELS = ("runtime", "train", "test")  # each holds the ones before it, in one environment


def location(tool: str = "runtime") -> Path:
    """Where the environment is, made or not. All of :data:`LEVELS` share one."""
    name = "runtime" if tool in LEVELS else tool
    return paths.cache_root() / f"env-{name}-{paths.lock_key(name)}"


def _marker(level: str) -> Path:
    return location(level) / f"complete-{level}-{paths.lock_key(level)}"


def is_ready(level: str) -> bool:
    """Whether everything in ``<level>.lock`` was installed to the end."""
    return _marker(level).is_file() and paths.environment_python(location(level)).exists()


def is_active(level: str) -> bool:
    """Whether this process already runs in that environment and it is complete."""
    return Path(sys.prefix).resolve() == location(level).resolve() and is_ready(level)


def ensure(level: str) -> Path:
    """Make the environment if it is not there yet; return its interpreter.

    ``level``: one of :data:`LEVELS`, or the name of another lock file for a tool with an environment of its own.
    Safe to interrupt (a marker is written last) and to call from several processes at once.
    """
    target = location(level)
    python = paths.environment_python(target)
    if is_ready(level):
        return python
    with exclusive(target.with_name(target.name + ".lock")):
        if is_ready(level):
            return python
        lower = LEVELS[: LEVELS.index(level)] if level in LEVELS else ()
        if not any(is_ready(name) for name in lower):
            _make_venv(target, needed=12 if level in LEVELS else 1)
        with Progress(f"Installing {_count(level)} pinned packages for {level!r} (once)") as progress:
            started = time.monotonic()
            _install(python, level, progress)
            elapsed = time.monotonic() - started
        _marker(level).write_text(f"installed in {elapsed:.0f} s\n", encoding="utf-8")
        for name in lower:
            _marker(name).touch()
    return python


def _count(level: str) -> int:
    return len(
        {
            line.split("==")[0]
            for line in paths.lock_file(level).read_text(encoding="utf-8").splitlines()
            if "==" in line
        }
    )


def _make_venv(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free / 1e9
    if free < needed:
        raise SetupError(
            f"{target.parent} has {free:.0f} GB free; the environment needs {needed} GB. "
            "Free some room, or put the cache elsewhere with the environment variable CHIBI_AVATAR_CACHE."
        )
    if target.exists():
        shutil.rmtree(target)
    base = getattr(sys, "_base_executable", None) or sys.executable
    with Progress(f"Making a Python {sys.version_info[0]}.{sys.version_info[1]} environment in {target}"):
        made = subprocess.run([base, "-m", "venv", str(target)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        raise SetupError(
            f"{base} -m venv failed: {(made.stderr or made.stdout).strip()[-600:]}\n"
            "On Debian and Ubuntu, install it with: apt install python3-venv"
        )


def pip_environment() -> dict[str, str]:
    """pip's settings for our calls: the person's own configuration, with downloads kept inside our cache."""
    env = dict(os.environ)
    env.setdefault("PIP_CACHE_DIR", str(paths.cache_root() / "downloads"))
    env.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PYTHONNOUSERSITE="1")
    env.pop("PYTHONPATH", None)
    env.pop("PYTHONHOME", None)
    return env


def _install(python: Path, level: str, progress: Progress) -> None:
    total, collected = _count(level), 0

    def watch(line: str) -> None:
        nonlocal collected
        if match := re.match(r"(Collecting|Requirement already satisfied:) ([^ =<>;]+)", line):
            collected += 1
            progress.update(f"{min(collected, total)}/{total} {match[2]}")
        elif "Downloading" in line and (match := re.search(r"\((\d+\.\d+ [MG]B)\)", line)):
            progress.update(f"{min(collected, total)}/{total} downloading {match[1]}")
        elif line.startswith("Installing collected packages"):
            progress.update("downloaded; unpacking takes a minute or more", important=True)

    lock = paths.lock_file(level)
    command = [str(python), "-m", "pip", "install", "--no-deps", "--progress-bar", "off", "-r", str(lock)]
    log = paths.cache_root() / "logs" / f"install-{level}.log"
    what = f"Installing {lock.name} (package index reachable? see pip's own configuration)"
    for attempt in (1, 2):
        try:
            run_logged(command, log, what=what, env=pip_environment(), on_line=watch)
            break
        except SetupError:
            if attempt == 2:
                raise
            say("The installation stopped; trying once more from what was downloaded ...")
    downloads = paths.cache_root() / "downloads"
    shutil.rmtree(downloads, ignore_errors=True)
