"""Built-in Characters, and a person's own as JSON files in a folder that the caller names."""

from __future__ import annotations

import json
import os
import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..character import MAX_JSON_BYTES, Character, CharacterError, Evidence
from .datafiles import load

_NAME = re.compile(r"[\w\u3400-\u9fff][\w\u3400-\u9fff ()-]{0,59}\Z")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\Z", re.IGNORECASE)
MAX_PRESETS = 500


class PresetError(ValueError):
    """A preset's name or content cannot be used. The message says why."""


def _as_preset(character: Character) -> Character:
    return Character(dict(character), {path: Evidence("preset") for path in character})


@lru_cache(maxsize=1)
def _builtin() -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in load("presets")["presets"]}


def builtin_names() -> list[str]:
    """Ids of the built-in presets."""
    return list(_builtin())


def builtin(name: str) -> Character:
    """A built-in preset. Raises :class:`PresetError` for an unknown name."""
    item = _builtin().get(name)
    if item is None:
        raise PresetError(f"there is no built-in preset {name[:40]!r}; there are: {', '.join(_builtin())}")
    return _as_preset(Character.from_dict(item["character"]))


def builtin_list() -> list[dict[str, Any]]:
    """Id, labels and Character of every built-in preset, JSON-ready."""
    return [dict(item) for item in _builtin().values()]


def check_name(name: str) -> str:
    """A preset's file name without ending; raises :class:`PresetError` for one that is not a plain name."""
    name = name.strip()
    if not _NAME.match(name) or _RESERVED.match(name):
        raise PresetError(
            "a preset's name has 1 to 60 letters, digits, spaces, - or _ and starts with a letter or digit"
        )
    return name


def user_list(folder: Path) -> list[dict[str, Any]]:
    """The presets in ``folder``; files that are no preset are listed with their error."""
    found = []
    for path in sorted(folder.glob("*.json"))[:MAX_PRESETS] if folder.is_dir() else ():
        try:
            found.append({"id": path.stem, "character": read_user(folder, path.stem).to_dict()})
        except (PresetError, CharacterError) as error:
            found.append({"id": path.stem, "error": str(error)})
    return found


def read_user(folder: Path, name: str) -> Character:
    """One preset of a person's own. Raises :class:`PresetError` or :class:`CharacterError`."""
    path = folder / f"{check_name(name)}.json"
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise PresetError(f"preset {name!r} is larger than {MAX_JSON_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"preset {name!r} cannot be read: {error}") from error
    return _as_preset(Character.from_json(text))


def save_user(folder: Path, name: str, character: Character) -> Path:
    """Write a preset under a temporary name, then rename it."""
    path = folder / f"{check_name(name)}.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists() and len(list(folder.glob("*.json"))) >= MAX_PRESETS:
        raise PresetError(f"there are already {MAX_PRESETS} presets; delete one first")
    data = character.to_dict()
    del data["evidence"]
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False, indent=2)
    os.replace(temporary, path)
    return path


def delete_user(folder: Path, name: str) -> bool:
    """Remove a preset; False when there was none."""
    path = folder / f"{check_name(name)}.json"
    if not path.is_file():
        return False
    path.unlink()
    return True
