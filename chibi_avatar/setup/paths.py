"""Where things live: the checkout, and one per-user cache folder. Nothing is written anywhere else."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).resolve().parent / "lock"


def cache_root() -> Path:
    """The per-user cache folder (``CHIBI_AVATAR_CACHE`` overrides it), made if missing."""
    override = os.environ.get("CHIBI_AVATAR_CACHE")
    if override:
        root = Path(override).expanduser().resolve()
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "chibi-avatar"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches" / "chibi-avatar"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chibi-avatar"
    root.mkdir(parents=True, exist_ok=True)
    return root


def lock_file(name: str) -> Path:
    """The pinned package list called ``name`` (``runtime``, ``test``, ``comfy_cli``)."""
    return LOCKS / f"{name}.lock"


def lock_key(name: str) -> str:
    """A folder-name-sized key of a lock file's content, this Python's minor version and this platform."""
    content = lock_file(name).read_bytes().replace(b"\r\n", b"\n")
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{digest}-cp{sys.version_info[0]}{sys.version_info[1]}-{sys.platform}-{platform.machine().lower()}"


def environment_python(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def environment_script(environment: Path, name: str) -> Path:
    """A console script of a virtual environment."""
    return environment / (f"Scripts/{name}.exe" if sys.platform == "win32" else f"bin/{name}")
