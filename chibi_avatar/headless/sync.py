"""The client with plain calls: a thread runs the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from .client import DEFAULT_URL, Client, NameChooser
from .types import Job, OutputFile, Progress, Prompt, RunResult

T = TypeVar("T")


class SyncClient:
    """:class:`Client` for scripts and notebooks. Use as ``with SyncClient(url) as client``; arguments are the
    client's.
    """

    def __init__(self, url: str = DEFAULT_URL, **options: Any):
        self.client = Client(url, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chibi-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return self.client.url

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Close every connection and stop the thread."""
        if not self._loop.is_running():
            return
        self._do(self.client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def system_stats(self, patience: float | None = None) -> dict[str, Any]:
        """See :meth:`Client.system_stats`."""
        return self._do(self.client.system_stats(patience))

    def object_info(self, refresh: bool = False) -> dict[str, Any]:
        """See :meth:`Client.object_info`."""
        return self._do(self.client.object_info(refresh))

    def free(self) -> None:
        """See :meth:`Client.free`."""
        self._do(self.client.free())

    def upload(self, source: Path | str | bytes, suffix: str = "") -> str:
        """See :meth:`Client.upload`."""
        return self._do(self.client.upload(source, suffix))

    def queue(self, prompt: Prompt, **options: Any) -> str:
        """See :meth:`Client.queue`."""
        return self._do(self.client.queue(prompt, **options))

    def job(self, job_id: str) -> Job | None:
        """See :meth:`Client.job`."""
        return self._do(self.client.job(job_id))

    def wait(
        self,
        job_id: str,
        *,
        prompt: Prompt | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
    ) -> Job:
        """See :meth:`Client.wait`. ``on_progress`` is called in the client's thread."""
        return self._do(self.client.wait(job_id, prompt=prompt, on_progress=on_progress, timeout=timeout))

    def cancel(self, job_id: str) -> bool:
        """See :meth:`Client.cancel`."""
        return self._do(self.client.cancel(job_id))

    def fetch(self, job: Job, out_dir: Path | str, **options: Any) -> list[OutputFile]:
        """See :meth:`Client.fetch`."""
        return self._do(self.client.fetch(job, out_dir, **options))

    def run(
        self,
        workflow: Prompt | dict[str, Any] | Path | str,
        *,
        out_dir: Path | str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
        job_id: str | None = None,
        targets: Iterable[str] | None = None,
        types: Iterable[str] = ("output",),
        name: NameChooser | None = None,
        replace: bool = False,
        attempts: int = 3,
    ) -> RunResult:
        """See :meth:`Client.run`."""
        return self._do(
            self.client.run(
                workflow,
                out_dir=out_dir,
                on_progress=on_progress,
                timeout=timeout,
                job_id=job_id,
                targets=targets,
                types=types,
                name=name,
                replace=replace,
                attempts=attempts,
            )
        )
