"""Run ComfyUI workflows without a browser: one job, or ten thousand, on one server or many.

``Client`` is the asynchronous library, ``SyncClient`` the same with plain calls. Importing this package loads neither
asyncio nor aiohttp; a client does when it first talks to a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Client
    from .errors import HeadlessError
    from .sync import SyncClient
    from .types import Job, OutputFile, Progress, RunResult

__all__ = ["Client", "HeadlessError", "Job", "OutputFile", "Progress", "RunResult", "SyncClient"]

_HOMES = {
    "Client": "client",
    "HeadlessError": "errors",
    "Job": "types",
    "OutputFile": "types",
    "Progress": "types",
    "RunResult": "types",
    "SyncClient": "sync",
}


def __getattr__(name: str):
    """Load a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
