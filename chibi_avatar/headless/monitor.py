"""Live progress over the websocket. A nicety: jobs finish, and are found finished, without any of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable
from typing import Any

from .problems import title_of
from .transport import Transport
from .types import Progress, Prompt
from .waiting import within

logger = logging.getLogger(__name__)

ProgressCallback = Callable[[Progress], None]
_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_PREVIEW_TYPES = frozenset({1, 2, 4})


class Watch:
    """One job being watched: ``bell`` rings when something suggests that it ended."""

    def __init__(self, job_id: str, prompt: Prompt, callback: ProgressCallback | None):
        self.job_id, self.prompt, self.callback = job_id, prompt, callback
        self.bell = asyncio.Event()
        self.done: set[str] = set()
        self.current = ""
        self.previews = 0

    async def rest(self, seconds: float) -> None:
        """Wait for the bell, at most so long."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self.bell.wait(), seconds)
        self.bell.clear()

    def tell(self, event: str, node_id: str = "", value: float = 0.0, maximum: float = 0.0) -> None:
        """Report to the caller; an error in the caller's function is logged once and ends the reports, never the
        job.
        """
        if self.callback is None:
            return
        title = title_of(self.prompt, node_id) if node_id else ""
        total = max(len(self.prompt), len(self.done))
        try:
            self.callback(
                Progress(self.job_id, event, node_id, title, value, maximum, len(self.done), total, self.previews)
            )
        except Exception:
            logger.exception("The progress callback raised; no more progress is reported for job %s", self.job_id)
            self.callback = None


class Monitor:
    """Listens on one websocket for all of a client's jobs, reconnecting for as long as any is watched."""

    def __init__(self, transport: Transport, client_id: str):
        self._transport, self._client_id = transport, client_id
        self._watches: dict[str, Watch] = {}
        self._running = ""
        self._opened = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watch(self, job_id: str, prompt: Prompt, callback: ProgressCallback | None):
        """Watch a job inside a ``with`` block."""
        watch = Watch(job_id, prompt, callback)
        self._watches[job_id] = watch
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())
        try:
            yield watch
        finally:
            self._watches.pop(job_id, None)

    async def connected(self, seconds: float) -> None:
        """Wait until the websocket is open, at most so long: ComfyUI tells the beginning of a job to open ones only."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._opened.wait(), seconds)

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        pause = 0.5
        while self._watches:
            async for message in self._transport.events(self._client_id, self._opened):
                pause = 0.5
                try:
                    self._preview(message) if isinstance(message, bytes) else self._hear(message)
                except (TypeError, ValueError, AttributeError, KeyError, struct.error):
                    logger.debug("Ignored a websocket message that is not ComfyUI's")
            self._opened.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 8.0)

    def _preview(self, message: bytes) -> None:
        watch = self._watches.get(self._running)
        if watch and len(message) > 4 and struct.unpack(">I", message[:4])[0] in _PREVIEW_TYPES:
            watch.previews += 1
            watch.tell("preview", watch.current)

    def _hear(self, message: dict[str, Any]) -> None:
        kind, data = str(message.get("type", "")), message.get("data") or {}
        watch = self._watches.get(str(data.get("prompt_id", "")))
        if watch is None:
            return
        self._running = watch.job_id
        if kind in _ENDS:
            watch.bell.set()
            watch.tell(kind, str(data.get("node_id") or ""))
        elif kind == "execution_cached":
            watch.done.update(str(node) for node in data.get("nodes") or [])
            watch.tell("cached")
        elif kind == "executing":
            if data.get("node") is None:
                watch.bell.set()
                return
            if watch.current:
                watch.done.add(watch.current)
            watch.current = str(data.get("display_node") or data["node"])
            watch.tell("node", watch.current)
        elif kind == "executed":
            watch.done.add(str(data.get("display_node") or data.get("node")))
            watch.tell("done", str(data.get("node")))
        elif kind == "progress_state":
            for node_id, state in (data.get("nodes") or {}).items():
                name = str(state.get("display_node_id") or node_id)
                if state.get("state") == "finished":
                    watch.done.add(name)
                elif state.get("state") == "running":
                    watch.tell("step", name, float(state.get("value") or 0), float(state.get("max") or 0))
        elif kind == "execution_start":
            watch.tell("start")
