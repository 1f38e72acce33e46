"""Servers reached over HTTP from this process; no further dependency."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from ..client import Client, with_tag
from ..errors import BadReply, ServerUnreachable
from ..types import Output
from . import BatchJob, Done


class LocalWorker:
    """One server by its address."""

    def __init__(self, url: str, *, patience: float = 20.0):
        self.name = url
        self.client = Client(url, patience=patience)

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
        finished = await self.client.wait(job.job_id, prompt=prompt, timeout=job.timeout)

        def name_of(output: Output, plain: str) -> str:
            return plain if plain.startswith(f"{job.row_id}_") else f"{job.row_id}_{plain}"

        files = await self.client.fetch(
            finished, folder, prompt=prompt, types=job.types, name=name_of, tag=tag, replace=True
        )
        facts = [
            {"file": f.path.name, "node": f.node_id, "kind": f.kind, "size": f.size, "sha256": f.sha256} for f in files
        ]
        return Done(tuple(facts), finished.seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()
