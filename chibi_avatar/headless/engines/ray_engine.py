"""Ray: one actor per ComfyUI server, on whatever machine has a GPU for it. The journal stays with the driver.

An actor attaches to a server that runs (by URL), or starts ComfyUI on its own node with the GPU that Ray gave it. Ray
restarts an actor that dies; its jobs go back to the journal at once, so that the other actors take them meanwhile. The
pack travels to the nodes with the job, and files come back through Ray: no shared disk is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..address import shown_url
from ..errors import HeadlessError, ServerUnreachable
from ..files import write_atomically
from ..waiting import within
from . import BatchJob, Done

if TYPE_CHECKING:
    from ...setup.server import Server

_STAYS_HOME = (".git", ".ci", "tests", "tools", "docs", "out", "output")


class RayMissing(HeadlessError):
    """Ray is not installed here."""

    key = "ray_missing"
    exit_code = 4

    def __init__(self) -> None:
        super().__init__(python=sys.executable)


class _Actor:
    """Lives in a Ray worker process and holds one server."""

    def __init__(self, url: str | None, patience: float):
        self._url, self._patience, self._worker = url, patience, None
        self._stack = contextlib.ExitStack()
        self._starting = asyncio.Lock()

    async def start(self) -> str:
        """Make the server ready; its address."""
        from .local import LocalWorker, OwnWorker

        async with self._starting:
            if self._worker is None and self._url is not None:
                self._worker = LocalWorker(self._url, patience=self._patience)
            elif self._worker is None:
                self._worker = await asyncio.to_thread(OwnWorker, self._spawn, patience=self._patience)
        await self._worker.start()
        return self._worker.name

    def _spawn(self) -> Server:
        from ...models.locate import server_arguments
        from ...setup.server import running

        return self._stack.enter_context(running(arguments=server_arguments()))

    async def alive(self) -> bool:
        """Whether the server answers, started again if need be."""
        if self._worker is None:
            await self.start()
        return await self._worker.alive()

    async def object_info(self) -> dict[str, Any]:
        """The server's nodes."""
        await self.start()
        return await self._worker.object_info()

    async def run(
        self, job: BatchJob, uploads: dict[str, bytes]
    ) -> tuple[list[tuple[dict[str, Any], bytes]], float | None]:
        """Run a job; the facts and bytes of its files. ``uploads``: the local files that the job names, by path."""
        await self.start()
        with tempfile.TemporaryDirectory(prefix="chibi-ray-") as scratch:
            folder = Path(scratch)
            inputs = folder / "inputs"
            inputs.mkdir()
            moved = []
            for number, (node_id, name, path) in enumerate(job.files):
                copy = inputs / f"{number}{Path(path).suffix}"
                copy.write_bytes(uploads[path])
                moved.append((node_id, name, str(copy)))
            own = BatchJob(
                job.row_id, job.prompt, tuple(moved), job.job_id, job.workflow, job.timeout, job.types, job.tag
            )
            done = await self._worker.run(own, folder)
            return [(facts, (folder / facts["file"]).read_bytes()) for facts in done.files], done.seconds

    async def close(self) -> None:
        """Let go of the server; end it if it was started here."""
        if self._worker is not None:
            await self._worker.close()
        await asyncio.to_thread(self._stack.close)


class RayWorker:
    """The driver's side of one actor."""

    def __init__(self, ray: Any, actor: Any, name: str):
        self._ray, self.actor, self.name = ray, actor, name

    async def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return await getattr(self.actor, method).remote(*arguments)
        except self._ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise (
                cause if isinstance(cause, HeadlessError) else ServerUnreachable(url=self.name, reason=str(cause))
            ) from error
        except self._ray.exceptions.RayError as error:
            raise ServerUnreachable(url=self.name, reason=f"the Ray actor died ({type(error).__name__})") from error

    async def start(self) -> None:
        """Wait until the actor has its server."""
        await self._ask("start")

    async def alive(self) -> bool:
        """Whether the actor, restarted if need be, reaches its server."""
        try:
            return await self._ask("alive")
        except HeadlessError:
            return False

    async def object_info(self) -> dict[str, Any]:
        """The server's nodes."""
        return await self._ask("object_info")

    async def run(self, job: BatchJob, folder: Path) -> Done:
        """Send the job with its photos, write what comes back."""
        uploads = {path: Path(path).read_bytes() for _, _, path in job.files}
        files, seconds = await self._ask("run", job, uploads)
        for facts, data in files:
            write_atomically(folder / facts["file"], data)
        return Done(tuple(facts for facts, _ in files), seconds)

    async def close(self) -> None:
        """End the actor."""
        try:
            await within(self._ask("close"), 20)
        except (HeadlessError, asyncio.TimeoutError):
            pass
        self._ray.kill(self.actor)


def ray_workers(
    urls: list[str], *, spawn: int = 1, address: str | None = None, gpus: float | None = None, patience: float = 20.0
) -> list[RayWorker]:
    """One actor per URL, or ``spawn`` actors that start a server each, on the cluster at ``address`` (default: this
    machine). ``patience``: seconds that an actor waits for a silent server.

    Raises :class:`RayMissing` with the line to run.
    """
    if importlib.util.find_spec("ray") is None:
        raise RayMissing()
    import ray

    if not ray.is_initialized():
        # The whole pack: an actor that starts ComfyUI needs the nodes too.
        checkout = {"working_dir": str(Path(__file__).resolve().parents[3]), "excludes": list(_STAYS_HOME)}
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            runtime_env=checkout,
        )
    if gpus is None:
        gpus = 1.0 if not urls and ray.cluster_resources().get("GPU", 0) >= spawn else 0.0
    kind = ray.remote(num_cpus=0 if urls else 1, num_gpus=gpus, max_restarts=-1, max_task_retries=0, max_concurrency=8)(
        _Actor
    )
    targets: list[str | None] = list(urls) if urls else [None] * spawn
    return [
        RayWorker(ray, kind.remote(url, patience), shown_url(url) if url else f"ray-{number}")
        for number, url in enumerate(targets, 1)
    ]
