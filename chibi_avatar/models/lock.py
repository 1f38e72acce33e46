"""What was really received: sizes and hashes of the files on this machine, trusted from first use on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..headless.files import sha256_of, write_atomically
from .locate import Folders, locate
from .manifest import Entry


def lock_path() -> Path:
    """Where the lock is kept: beside the other caches of the pack."""
    from ..setup import paths

    return paths.cache_root() / "models.lock.json"


def read(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Locked facts by entry id: ``{"sha256", "size", "commit"}``. An unreadable lock counts as empty."""
    try:
        value = json.loads((path or lock_path()).read_text(encoding="utf-8"))
        return value["models"] if isinstance(value.get("models"), dict) else {}
    except (OSError, ValueError, AttributeError, KeyError):
        return {}


def verify(entry: Entry, file: Path, locked: dict[str, dict[str, Any]]) -> str:
    """``"verified"``, ``"unverified"`` (no hash is known) or ``"wrong"`` (another file than models.yaml or the lock
    says).
    """
    wanted = entry.sha256 or (locked.get(entry.id) or {}).get("sha256")
    if wanted is None:
        return "unverified"
    return "verified" if sha256_of(file) == wanted else "wrong"


def write(entries: list[Entry], where: Folders, path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Hash every entry's file that is here and write the lock. A file that models.yaml contradicts is left out."""
    path = path or lock_path()
    locked = read(path)
    for entry in entries:
        file = locate(entry, where)
        if file is None:
            continue
        digest = sha256_of(file)
        if entry.sha256 in (None, digest):
            locked[entry.id] = {"sha256": digest, "size": file.stat().st_size, "filename": entry.filename}
    text = json.dumps({"version": 1, "models": dict(sorted(locked.items()))}, indent=2, ensure_ascii=False)
    write_atomically(path, text + "\n")
    return locked
