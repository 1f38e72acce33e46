"""Where a batch's jobs run: servers reached from this process, or Ray actors that each hold one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..types import Prompt


@dataclass(frozen=True)
class BatchJob:
    """One row, ready to run: the prompt, which inputs are local files (node id, input, path), and the job id to use."""

    row_id: str
    prompt: Prompt
    files: tuple[tuple[str, str, str], ...]
    job_id: str
    workflow: dict[str, Any] | None = None
    timeout: float | None = None
    types: tuple[str, ...] = ("output",)
    tag: str = field(default="", compare=False)


@dataclass(frozen=True)
class Done:
    """A finished job: its files in the output folder, and how long the server took."""

    files: tuple[dict[str, Any], ...]
    seconds: float | None


class Worker(Protocol):
    """One ComfyUI server as the batch sees it."""

    name: str

    async def start(self) -> None:
        """Make the server ready. Raises :class:`~..errors.ServerUnreachable`."""

    async def alive(self) -> bool:
        """Whether it answers."""

    async def object_info(self) -> dict[str, Any]:
        """Its nodes."""

    async def run(self, job: BatchJob, folder: Path) -> Done:
        """Run a job and put its files into ``folder``. Raises a :class:`~..errors.HeadlessError`."""

    async def close(self) -> None:
        """Let go of it."""
