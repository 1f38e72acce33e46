"""A real ComfyUI server with this pack in it: on loopback, in a folder of its own, ended with everything it started."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import comfyui, environment, paths
from .errors import ServerError
from .process import heed_interrupts, interrupts_held, start, stop, tail

PACK_FOLDER = "chibi-avatar"
BASE_FOLDERS = ("custom_nodes", "input", "output", "models", "temp", "user")
_BOOT_SECONDS = 240
_REPLY_BYTES = 1 << 20


class Server:
    """A running ComfyUI. ``url`` is its address, ``base`` its folder, ``log`` everything it printed."""

    def __init__(self, base: Path, port: int, process: subprocess.Popen, log: Path) -> None:
        self.base = base
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self._process = process

    @property
    def process_id(self) -> int:
        """The server's process (and process group) id."""
        return self._process.pid

    @property
    def output(self) -> Path:
        """The folder where save nodes write."""
        return self.base / "output"

    def alive(self) -> bool:
        """Whether the server process still runs."""
        return self._process.poll() is None

    def log_tail(self, lines: int = 25) -> str:
        """The last lines that the server printed."""
        return tail(self.log, lines)

    def wait(self) -> None:
        """Return when the server process ends."""
        self._process.wait()

    def check(self) -> None:
        """Raise :class:`ServerError` with the last log lines if the server has died."""
        if not self.alive():
            raise ServerError(f"ComfyUI ended unexpectedly (exit {self._process.returncode}).", self.log_tail())

    def wait_until_ready(self, seconds: float = _BOOT_SECONDS) -> None:
        """Return when the server answers; raise :class:`ServerError` if it dies or stays silent."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            answers = self._answers()
            heed_interrupts()
            if answers:
                self.check()  # another program may own the port while ours is about to die of it
                return
            time.sleep(0.1)
        raise ServerError(f"ComfyUI did not answer on {self.url} within {seconds:.0f} s.", self.log_tail())

    def _answers(self) -> bool:
        try:
            with interrupts_held():
                reply = urllib.request.urlopen(f"{self.url}/system_stats", timeout=2)
            with reply:
                json.loads(reply.read(_REPLY_BYTES))
        except (OSError, ValueError):
            return False
        return True

    def stop(self) -> None:
        """End the server and every process it started."""
        stop(self._process)


def free_port() -> int:
    """A loopback port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_is_free(port: int) -> bool:
    """Whether ``port`` can be listened on."""
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def has_gpu() -> bool:
    """Whether ComfyUI can use a graphics processor here (decided without importing torch)."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (subprocess.SubprocessError, OSError):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def link_pack(base: Path, checkout: Path = paths.CHECKOUT, name: str = PACK_FOLDER) -> Path:
    """Put the pack under ``base/custom_nodes`` as a link (a junction on Windows), never a copy."""
    target = base / "custom_nodes" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.exists():
        return target
    if sys.platform == "win32":
        subprocess.run(["cmd", "/c", "mklink", "/J", str(target), str(checkout)], check=True, capture_output=True)
    else:
        target.symlink_to(checkout, target_is_directory=True)
    return target


def unlink_pack(base: Path, name: str = PACK_FOLDER) -> None:
    """Remove the link (only the link), so that deleting ``base`` cannot reach the checkout."""
    target = base / "custom_nodes" / name
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            os.rmdir(target)
        else:
            target.unlink()


def launch(
    base: Path, *, port: int | None = None, with_pack: bool = True, arguments: Sequence[str] = (),
    python: Path | None = None, cpu: bool | None = None, api_nodes: bool = False,
) -> Server:  # fmt: skip
    """Start ComfyUI with ``base`` as its folder and return at once; call :meth:`Server.wait_until_ready` next.

    ``cpu`` None means: on the CPU when there is no GPU. Other packs that a person has are not loaded.
    """
    for name in BASE_FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    root = comfyui.ensure()
    port = port or free_port()
    log = base / "comfyui.log"
    command = [
        str(python or environment.ensure("runtime")),
        str(root / "main.py"),
        "--listen",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += [
        "--base-directory",
        str(base),
        "--database-url",
        f"sqlite:///{(base / 'user' / 'comfyui.db').as_posix()}",
    ]
    command += ["--disable-auto-launch", "--disable-all-custom-nodes"]
    if with_pack:
        link_pack(base)
        command += ["--whitelist-custom-nodes", PACK_FOLDER]
    if not api_nodes:
        command.append("--disable-api-nodes")
    if cpu if cpu is not None else not has_gpu():
        command.append("--cpu")
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    env.pop("PYTHONPATH", None)
    with open(log, "wb") as output:
        process = start([*command, *arguments], env=env, cwd=base, stdout=output.fileno())
    return Server(base, port, process, log)


@contextlib.contextmanager
def running(
    *, port: int | None = None, base: Path | None = None, with_pack: bool = True, arguments: Sequence[str] = (),
    api_nodes: bool = False,
) -> Iterator[Server]:  # fmt: skip
    """A ready server for the length of the block. Without ``base``, in a scratch folder that is removed afterwards.

    A start that loses its port to another program, or finds its GPU unusable, is tried again (another port, the CPU).
    """
    own = base is None
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=_scratch())) if base is None else base
    cpu: bool | None = None
    try:
        for attempt in range(3):
            server = launch(folder, port=port, with_pack=with_pack, arguments=arguments, cpu=cpu, api_nodes=api_nodes)
            try:
                try:
                    server.wait_until_ready()
                except ServerError as error:
                    reason = error.log_tail.lower()
                    if attempt < 2 and port is None and "address already in use" in reason:
                        continue
                    if attempt < 2 and cpu is None and ("cuda" in reason or "nvidia" in reason) and has_gpu():
                        cpu = True
                        continue
                    raise
                yield server
                return
            finally:
                server.stop()
    finally:
        unlink_pack(folder)
        if own:
            shutil.rmtree(folder, ignore_errors=True)


def _scratch() -> Path:
    folder = paths.cache_root() / "scratch"
    folder.mkdir(exist_ok=True)
    return folder
