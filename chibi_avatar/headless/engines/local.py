"""Servers reached over HTTP from this process; no further dependency."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...setup.errors import ServerError
from ..client import Client, with_tag
from ..errors import BadReply, HeadlessError, JobStopped, JobStuck, JobTimeout, ServerUnreachable
from ..types import Output
from . import BatchJob, Done

if TYPE_CHECKING:
    from ...setup.server import Server

logger = logging.getLogger(__name__)

# How long a cancelled job may take to end: ComfyUI looks for the wish between two steps of a node.
STOP_SECONDS = 60.0


class LocalWorker:
    """One server by its address."""

    def __init__(self, url: str, *, patience: float = 20.0):
        self.client = Client(url, patience=patience)
        self.name = self.client.url

    async def start(self) -> None:
        """Ask the server who it is."""
        await self.client.system_stats()
        self.name = self.client.url

    async def alive(self) -> bool:
        """Whether the server answers now."""
        try:
            await self.client.system_stats(patience=0.0)
        except (ServerUnreachable, BadReply):
            return False
        return True

    async def object_info(self) -> dict[str, Any]:
        """The server's nodes."""
        return await self.client.object_info()

    async def run(self, job: BatchJob, folder: Path) -> Done:
        """Upload, queue (or take up again), wait, fetch."""
        prompt = copy.deepcopy(job.prompt)
        for node_id, name, path in job.files:
            prompt[node_id]["inputs"][name] = await self.client.upload(Path(path))
        tagged, tag = with_tag(prompt, salt=job.tag)
        await self.client.queue(tagged, job_id=job.job_id, workflow=job.workflow)
        try:
            finished = await self.client.wait(job.job_id, prompt=prompt, timeout=job.timeout, from_start=True)
        except JobTimeout as error:
            # Left alone it would keep the server from the rows behind it.
            stopped = await self._stopped(job.job_id)
            raise (JobStopped if stopped else JobStuck)(**error.values) from None

        def name_of(output: Output, plain: str) -> str:
            return plain if plain.startswith(f"{job.row_id}_") else f"{job.row_id}_{plain}"

        files = await self.client.fetch(
            finished, folder, prompt=prompt, types=job.types, name=name_of, tag=tag, replace=True
        )
        facts = [
            {"file": f.path.name, "node": f.node_id, "kind": f.kind, "size": f.size, "sha256": f.sha256} for f in files
        ]
        return Done(tuple(facts), finished.seconds)

    async def _stopped(self, job_id: str) -> bool:
        try:
            return await self.client.stop(job_id, STOP_SECONDS)
        except HeadlessError:
            # A server that does not even answer is found out with the next row.
            return True

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


class OwnWorker(LocalWorker):
    """A server that this process starts, and starts again when it has died. ``start`` blocks until one is ready."""

    def __init__(self, start: Callable[[], Server], *, patience: float = 20.0):
        self._start, self._patience = start, patience
        self._server = start()
        super().__init__(self._server.url, patience=patience)

    async def start(self) -> None:
        """Ask the server who it is."""
        await self.client.system_stats()

    async def _stopped(self, job_id: str) -> bool:
        if not await super()._stopped(job_id):
            logger.warning("%s: a job does not stop; ending the server", self.name)
            await asyncio.to_thread(self._server.stop)
        return True

    async def alive(self) -> bool:
        """Whether the server answers now; a dead one is started anew."""
        if not self._server.alive():
            logger.warning("%s: the server died; starting another", self.name)
            try:
                self._server = await asyncio.to_thread(self._start)
            except ServerError as error:
                logger.warning("%s: %s", self.name, error)
                return False
            await self.client.close()
            self.client = Client(self._server.url, patience=self._patience)
        return await super().alive()
