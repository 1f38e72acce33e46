"""How long ComfyUI takes to start with and without the pack, and the second demo from start to files. Prints medians of 5.

Run it in the test environment: ``<its python> tests/bench/bench_start.py [--demo]``. It never fails on speed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from _bootstrap import prepare  # noqa: E402

ROUNDS = 5


def start_seconds(with_pack: bool) -> float:
    """From launch to the first answer."""
    from chibi_avatar.setup.server import running

    started = time.perf_counter()
    with running(with_pack=with_pack):
        return time.perf_counter() - started


def demo_seconds() -> float:
    """The whole command, as a person waits for it."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "chibi_avatar", "demo", "--out", folder], cwd=ROOT, check=True, capture_output=True
        )
        return time.perf_counter() - started


def report(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="time the demo command as well")
    arguments = parser.parse_args()
    prepare()
    start_seconds(True)
    pairs = [(start_seconds(False), start_seconds(True)) for _ in range(ROUNDS)]
    without, with_pack = (statistics.median(column) for column in zip(*pairs, strict=True))
    added = statistics.median(after - before for before, after in pairs)
    report(f"ComfyUI start without the pack: {without:.2f} s")
    report(f"ComfyUI start with the pack:    {with_pack:.2f} s")
    report(f"added by the pack (median of {ROUNDS} paired differences): {added:+.2f} s (bound 0.3 s)")
    if arguments.demo:
        report(f"demo, start to files: {statistics.median(demo_seconds() for _ in range(ROUNDS)):.1f} s (bound 45 s)")


if __name__ == "__main__":
    main()
