"""Packages from the npm registry, installed into the cache from a committed package-lock.json."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from . import environment, paths
from .errors import SetupError
from .locking import exclusive
from .process import run_logged
from .progress import Progress


def ensure(manifest: Path) -> Path:
    """Install what ``manifest`` (a folder with package.json and package-lock.json) pins; return its ``node_modules``."""
    files = [manifest / "package.json", manifest / "package-lock.json"]
    key = hashlib.sha256(b"".join(path.read_bytes().replace(b"\r\n", b"\n") for path in files)).hexdigest()[:16]
    target = paths.cache_root() / f"node-{key}"
    if target.is_dir():
        return target / "node_modules"
    with exclusive(target.with_name(target.name + ".lock")):
        if not target.is_dir():
            scratch = Path(tempfile.mkdtemp(prefix="node-", dir=paths.cache_root()))
            try:
                for path in files:
                    shutil.copy(path, scratch)
                command = [
                    npm(),
                    "ci",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--cache",
                    str(scratch / "downloads"),
                ]
                with Progress(f"Installing JavaScript packages for {manifest.name!r} (once)"):
                    run_logged(
                        command, paths.cache_root() / "logs" / f"npm-{manifest.name}.log",
                        what="npm ci", env=node_environment(), cwd=scratch,
                    )  # fmt: skip
                shutil.rmtree(scratch / "downloads", ignore_errors=True)
                scratch.rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return target / "node_modules"


def node() -> str:
    """The ``node`` program: the machine's own, else one from a Python package in the cache."""
    return _program("node")


def npm() -> str:
    """The ``npm`` program: the machine's own, else one from a Python package in the cache."""
    return _program("npm")


def node_environment(node_modules: Path | None = None) -> dict[str, str]:
    """Environment variables for running :func:`node`, with ``require`` finding ``node_modules``."""
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join([str(Path(node()).parent), env.get("PATH", "")])
    if node_modules is not None:
        env["NODE_PATH"] = str(node_modules)
    return env


def _program(name: str) -> str:
    if shutil.which("node") and shutil.which("npm"):
        return str(shutil.which(name))
    environment.ensure("node")
    script = paths.environment_script(environment.location("node"), name)
    if not script.exists():
        raise SetupError(f"no {name} on this machine; install Node.js 20 or newer.")
    return str(script)
