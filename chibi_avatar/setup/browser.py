"""A Chromium for the browser tests: the machine's own, Debian's package, or one from the npm registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import node_packages, paths
from .errors import SetupError
from .locking import exclusive
from .process import run_logged
from .progress import Progress

# No sandbox: the tests may run as root in a container and only open loopback pages.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-features=Translate,MediaRouter,OptimizationHints",
)  # fmt: skip
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "microsoft-edge", "msedge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)


def ensure() -> Path:
    """A Chromium-family browser's executable (``CHIBI_CHROMIUM`` names one). Installs one where there is none."""
    own = os.environ.get("CHIBI_CHROMIUM")
    if own:
        if not Path(own).is_file():
            raise SetupError(f"CHIBI_CHROMIUM is {own}, which is not a file.")
        return Path(own)
    found = _installed()
    if found is None and sys.platform.startswith("linux"):
        with exclusive(paths.cache_root() / "browser.lock"):
            found = _installed() or _from_debian() or _from_npm()
    if found is None:
        raise SetupError("no Chromium, Chrome or Edge was found; install one, or name it with CHIBI_CHROMIUM.")
    return found


def _installed() -> Path | None:
    for name in _NAMES:
        if path := shutil.which(name):
            return Path(path)
    for place in (*_PLACES, _npm_executable()):
        if Path(place).is_file():
            return Path(place)
    return None


def _from_debian() -> Path | None:
    """Debian's own package. Ubuntu's is a pointer to a snap, which does not run in containers."""
    release = Path("/etc/os-release")
    is_debian = release.is_file() and "\nID=debian" in "\n" + release.read_text(encoding="utf-8")
    if not is_debian or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        with Progress("Installing Debian's chromium package (once)"):
            for command in (
                ["apt-get", "update", "-qq"],
                ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
            ):
                run_logged(command, paths.cache_root() / "logs" / "apt.log", what=" ".join(command), env=env)
    except SetupError:
        return None
    found = shutil.which("chromium")
    return Path(found) if found else None


def _npm_executable() -> Path:
    return paths.cache_root() / "chromium" / "chromium"


def _from_npm() -> Path | None:
    """``@sparticuz/chromium``: a compressed Linux build with the libraries it needs; unpacked into the cache."""
    modules = node_packages.ensure(Path(__file__).resolve().parent / "chromium")
    target = _npm_executable()
    with (
        Progress("Unpacking Chromium"),
        tempfile.TemporaryDirectory(prefix="chromium-", dir=paths.cache_root()) as scratch,
    ):
        unpack = (
            "import(process.argv[1]).then(m => (m.default ?? m).executablePath())"
            ".then(path => console.log(path), error => { console.error(error); process.exit(1); });"
        )
        env = {
            **node_packages.node_environment(modules), "TMPDIR": scratch, "AWS_LAMBDA_JS_RUNTIME": "nodejs20.x",
            "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x",
        }  # fmt: skip
        entry = _entry(modules / "@sparticuz" / "chromium")
        done = subprocess.run(
            [node_packages.node(), "-e", unpack, entry.as_uri()],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode != 0:
            raise SetupError(f"Chromium from npm did not unpack: {done.stderr.strip()[-400:]}")
        shutil.rmtree(target.parent, ignore_errors=True)
        shutil.copytree(scratch, target.parent)
        target.chmod(0o755)
    return target


def _entry(package: Path) -> Path:
    for name in ("build/esm/index.js", "build/index.js", "index.js"):
        if (package / name).is_file():
            return package / name
    raise SetupError(f"{package} has an unexpected layout.")


def launch_environment(executable: Path) -> dict[str, str]:
    """Environment variables for starting ``executable``: the npm build finds its libraries beside it."""
    env = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    libraries = [str(folder) for folder in executable.parent.glob("*/lib")]
    if executable == _npm_executable() and libraries:
        env["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, env.get("LD_LIBRARY_PATH", "")])
    return env
