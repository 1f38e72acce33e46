"""What the client hands back: plain, typed, immutable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = "pending", "in_progress", "completed", "failed", "cancelled"
FINISHED = frozenset({COMPLETED, FAILED, CANCELLED})

Prompt = dict[str, dict[str, Any]]
"""A workflow in API format: node id → ``{"class_type", "inputs", "_meta"}``."""


@dataclass(frozen=True)
class Output:
    """A file that a node reported, still on the server."""

    node_id: str
    kind: str
    filename: str
    subfolder: str = ""
    type: str = "output"


@dataclass(frozen=True)
class OutputFile:
    """A fetched, checked file. ``node_id`` and ``title`` say which node made it; ``sha256`` is of the bytes on disk."""

    path: Path
    node_id: str
    title: str
    kind: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Job:
    """A job as the server reports it. ``outputs`` is filled once it is completed; ``error`` once it has failed."""

    id: str
    status: str
    outputs: tuple[Output, ...] = ()
    texts: dict[str, list[str]] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    seconds: float | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to this job."""
        return self.status in FINISHED


@dataclass(frozen=True)
class Progress:
    """One thing that happened. ``value`` of ``maximum`` steps of node ``title``; ``done_nodes`` of ``all_nodes`` in the
    workflow.
    """

    job_id: str
    event: str
    node_id: str = ""
    title: str = ""
    value: float = 0.0
    maximum: float = 0.0
    done_nodes: int = 0
    all_nodes: int = 0
    previews: int = 0


@dataclass(frozen=True)
class RunResult:
    """A finished job with its files fetched. ``texts`` maps a node id to the texts it showed (reports)."""

    job_id: str
    files: tuple[OutputFile, ...]
    texts: dict[str, list[str]]
    seconds: float
    server_seconds: float | None = None
    warnings: tuple[str, ...] = ()
