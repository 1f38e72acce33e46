"""Waiting with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(awaitable: Awaitable[T], seconds: float | None) -> T:
    """What ``awaitable`` gives; ``asyncio.TimeoutError`` after so many seconds, when it is cancelled.

    Before Python 3.12 ``asyncio.wait_for`` forgets a cancellation that comes in the same moment as the answer: a batch that a person stopped
    would go on until its job is done. ``asyncio.wait`` does not.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
