"""Headless figures: python3 -m chibi_avatar test tests/bench/bench_headless.py -s

Import and idle size of the client, throughput of four servers against one, how late a job is found with a silent
websocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from pathlib import Path

from chibi_testing.fake_comfy import OBJECT_INFO, FakeComfy, echo_prompt

from chibi_avatar.headless import SyncClient
from chibi_avatar.headless.batch import Batch, plan
from chibi_avatar.headless.engines.local import LocalWorker
from chibi_avatar.headless.rows import Row


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _child(root: Path, code: str) -> float:
    boot = f"import sys, time; sys.path.insert(0, {str(root)!r})\n{code}"
    return float(subprocess.run([sys.executable, "-c", boot], capture_output=True, text=True, check=True).stdout)


def test_import_and_idle_size(root: Path):
    """Printed: milliseconds to import the client, megabytes of a process with an open client."""
    code = "t = time.perf_counter(); from chibi_avatar.headless import Client; print((time.perf_counter() - t) * 1000)"
    _say(f"\nimport: {statistics.median(_child(root, code) for _ in range(5)):.1f} ms")
    code = (
        "from chibi_avatar.headless import SyncClient\n"
        "with SyncClient(sys.argv[1] if len(sys.argv) > 1 else '{url}') as c:\n"
        "    c.system_stats()\n"
        "    lines = open('/proc/self/status').read().split('VmRSS:')[1]\n"
        "    print(int(lines.split()[0]) / 1024)"
    )
    with FakeComfy() as fake:
        _say(f"idle client: {statistics.median(_child(root, code.format(url=fake.url)) for _ in range(5)):.1f} MB")


def _seconds(servers: int, rows: list[Row], out: Path) -> float:
    async def work(urls: list[str]) -> float:
        workers = [LocalWorker(url) for url in urls]
        mapping = {"text": "Say.text", "model": "Say.model"}
        batch = Batch(plan(echo_prompt(), rows, mapping, OBJECT_INFO, base=Path(".")), workers, out)
        started = time.monotonic()
        await batch.run()
        spent = time.monotonic() - started
        for worker in workers:
            await worker.close()
        return spent

    with contextlib.ExitStack() as stack:
        fakes = [stack.enter_context(FakeComfy(seconds=0.2, load_seconds=0.3)) for _ in range(servers)]
        return asyncio.run(work([fake.url for fake in fakes]))


def test_four_servers(tmp_path: Path):
    """Printed: how many times faster four servers are than one, with three checkpoints to load."""
    rows = [Row(f"{n:03d}", {"text": f"row {n}", "model": "abc"[n % 3] + ".safetensors"}) for n in range(120)]
    one = _seconds(1, rows, tmp_path / "one")
    four = statistics.median(_seconds(4, rows, tmp_path / f"four{n}") for n in range(3))
    _say(
        f"\n1 server {one:.2f} s, 4 servers {four:.2f} s: {one / four:.2f} times as fast ({one / four / 4:.0%} of ideal)"
    )


def test_lateness_without_a_websocket():
    """Printed: seconds from a job's end to the client knowing it, websocket silent."""
    late = []
    with FakeComfy(seconds=1.5, ws="silent") as fake, SyncClient(fake.url) as client:
        for number in range(5):
            client.run(echo_prompt(f"{number}"))
            late.append(time.monotonic() - max(fake.finished_at.values()))
    _say(f"\nfound {statistics.median(late):.2f} s (at most {max(late):.2f} s) after the end, websocket silent")
