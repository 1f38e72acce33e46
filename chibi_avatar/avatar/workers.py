"""How this room uses the CPU: one torch thread per task, several tasks side by side.

The arrays are handled in cache-sized pieces, so splitting each operation over threads costs more than it gives, and on a busy machine
the threads wait for each other at every step. Whole views, on the other hand, do not depend on each other.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_WORKER = threading.local()


def workers() -> int:
    """How many tasks to run at once: the processor cores this process may use, at most 4 (memory); 1 in a task of :func:`each`."""
    if getattr(_WORKER, "busy", False):
        return 1
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, min(cores, 4))


def single_threaded(function: Callable[..., R]) -> Callable[..., R]:
    """Decorator: torch uses one thread per operation while ``function`` runs, and its former number afterwards."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> R:
        import torch

        before = torch.get_num_threads()
        if before == 1:
            return function(*args, **kwargs)
        torch.set_num_threads(1)
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_num_threads(before)

    return wrapper


def each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``function`` of every item, side by side, results in order; the first error is raised.

    Torch's inference mode belongs to a thread, and ComfyUI runs nodes in it: the workers are in it too when the caller is.
    """
    from concurrent.futures import ThreadPoolExecutor

    import torch

    items = list(items)
    count = min(workers(), len(items))
    if count < 2:
        return [function(item) for item in items]
    inference = torch.is_inference_mode_enabled()

    def run(item: T) -> R:
        _WORKER.busy = True  # the threads end with this call
        with torch.inference_mode(inference):
            return function(item)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, items))
