"""Find model files where ComfyUI would: models/, --base-directory, and every path in extra_model_paths.yaml."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .manifest import Entry, load

# Folder names that stand for others, as ComfyUI reads extra_model_paths.yaml; and the second folders that it also looks
# into.
_ALIASES = {"unet": "diffusion_models", "clip": "text_encoders"}
_ALSO = {"diffusion_models": ("unet",), "text_encoders": ("clip",), "controlnet": ("t2i_adapter",)}
# Face models are looked for wherever packs keep them; see the face nodes.
_FACE_FOLDERS = ("insightface", "chibi_avatar", "facerestore_models", "facedetection", "facexlib")


@dataclass(frozen=True)
class Folders:
    """Where model files are looked for, by ComfyUI's folder name; the first of each is where downloads go."""

    base: Path
    by_name: dict[str, tuple[Path, ...]]

    def of(self, folder: str) -> tuple[Path, ...]:
        """The directories of a folder name, best first."""
        own = (self.base / "models" / folder, *(self.base / "models" / other for other in _ALSO.get(folder, ())))
        listed = self.by_name.get(folder, ())
        return tuple(dict.fromkeys((*listed[: self._defaults(folder)], *own, *listed)))

    def _defaults(self, folder: str) -> int:
        return len(self.by_name.get(f"{folder}\0default", ()))


def folders(base: Path | None = None) -> Folders:
    """The folders of the ComfyUI at ``base``, else ``COMFYUI_PATH``, else the one that ``serve`` uses.

    Reads ``extra_model_paths.yaml`` there and any file named in ``COMFYUI_EXTRA_MODEL_PATHS`` (separated like PATH).
    """
    if base is None:
        own = os.environ.get("COMFYUI_PATH")
        if own:
            base = Path(own)
        else:
            from ..setup import paths

            base = paths.cache_root() / "serve"
    base = base.expanduser().resolve()
    extra = [base / "extra_model_paths.yaml"]
    extra += [Path(item) for item in os.environ.get("COMFYUI_EXTRA_MODEL_PATHS", "").split(os.pathsep) if item]
    by_name: dict[str, tuple[Path, ...]] = {}
    for file in extra:
        for name, directories in _read_extra(file).items():
            by_name[name] = (*by_name.get(name, ()), *directories)
    return Folders(base, by_name)


def _read_extra(file: Path) -> dict[str, list[Path]]:
    import yaml

    try:
        raw: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    found: dict[str, list[Path]] = {}
    for section in raw.values() if isinstance(raw, dict) else ():
        if not isinstance(section, dict):
            continue
        root = os.path.expandvars(os.path.expanduser(str(section.get("base_path") or "")))
        start = Path(file.parent, root) if root else file.parent
        for name, value in section.items():
            if name in ("base_path", "is_default") or not isinstance(value, str):
                continue
            name = _ALIASES.get(name, name)
            for line in value.split("\n"):
                if line.strip():
                    directory = Path(start, os.path.expandvars(os.path.expanduser(line.strip())))
                    found.setdefault(name, []).append(directory)
                    if section.get("is_default"):
                        found.setdefault(f"{name}\0default", []).append(directory)
    return found


def locate(entry: Entry, where: Folders) -> Path | None:
    """The entry's file, in any of its folders or their sub-folders (a person may have sorted them), or None.

    A file of the right name but the wrong size is not it. Face models are also found in the pack's own cache, where the
    nodes look too.
    """
    names = _FACE_FOLDERS if entry.folder == "insightface" else (entry.folder,)
    directories = [directory for name in names for directory in where.of(name)]
    for directory in directories:
        exact = directory / entry.filename
        if exact.is_file() and _right_size(exact, entry):
            return exact
    for directory in directories:
        if directory.is_dir():
            for path in sorted(directory.rglob(entry.base_name)):
                if path.is_file() and _right_size(path, entry):
                    return path
    return _cached(entry) if entry.folder == "insightface" else None


def _cached(entry: Entry) -> Path | None:
    from ..setup import paths

    if entry.sha256 is None:
        return None
    kept = paths.cache_root() / "models" / f"{entry.sha256[:12]}-{entry.base_name}"
    return kept if kept.is_file() else None


def _right_size(path: Path, entry: Entry) -> bool:
    return entry.size is None or path.stat().st_size == entry.size


def target(entry: Entry, where: Folders) -> Path:
    """Where a download of the entry belongs."""
    return where.of(entry.folder)[0] / entry.filename


def server_arguments() -> list[str]:
    """ComfyUI arguments with which a server started here sees every folder in which ``models`` looks: the ``models``
    folder and what the extra_model_paths files list.
    """
    from ..headless.files import write_atomically
    from ..setup import paths

    where = folders()
    models = where.base / "models"
    there = [path.name for path in models.iterdir() if path.is_dir()] if models.is_dir() else []
    names = {name: [name] for name in sorted({*there, *(entry.folder for entry in load())})}
    preferred: dict[str, list[str]] = {}
    for name, directories in where.by_name.items():
        name, _, default = name.partition("\0")
        # Packs of others are not loaded; see setup/server.py.
        if name != "custom_nodes":
            (preferred if default else names).setdefault(name, []).extend(str(item.resolve()) for item in directories)
    sections = {"chibi_avatar": {"base_path": str(models), **{name: "\n".join(names[name]) for name in names}}}
    if preferred:
        lines = {name: "\n".join(dict.fromkeys(listed)) for name, listed in preferred.items()}
        sections["chibi_avatar_default"] = {"is_default": True, **lines}
    text = json.dumps(sections, indent=1, ensure_ascii=False)
    written = write_atomically(paths.cache_root() / "run_model_paths.yaml", text + "\n")
    return ["--extra-model-paths-config", str(written)]
