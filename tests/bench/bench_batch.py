"""Twenty photos to twenty avatars: python3 -m chibi_avatar test tests/bench/bench_batch.py -s

On a real server of its own; the client is killed after the seventh avatar, the server after the thirteenth, and the same line
is run again each time.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from chibi_testing.faces import portraits

from chibi_avatar.commands import main
from chibi_avatar.headless.journal import Journal
from chibi_avatar.setup.server import launch

PHOTOS = 20


def _until(out: Path, count: int, child: subprocess.Popen) -> None:
    while len(list(out.glob("*.vrm"))) < count:
        assert child.poll() is None, "the batch ended too soon"
        time.sleep(0.05)


def test_twenty_photos(root: Path, tmp_path: Path):
    """Printed: seconds in all, avatars, how often each row was done, and the contact sheet's place."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number, picture in enumerate(portraits(PHOTOS)):
        picture.save(photos / f"p{number:02d}.jpg")
    started = time.monotonic()
    server = launch(tmp_path / "comfyui")
    server.wait_until_ready()
    words = [
        "batch",
        str(photos),
        "--workflow",
        "quickstart",
        "--map",
        "photo=Photo.image",
        "--out",
        str(out),
        "--json",
    ]
    command = [sys.executable, "-m", "chibi_avatar", *words, "--servers", server.url]
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    _until(out, 7, child)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    child = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    _until(out, 13, child)
    os.killpg(server.process_id, signal.SIGKILL)
    server = launch(tmp_path / "comfyui", port=server.port)
    code = child.wait(900)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        again = main([*words, "--servers", server.url])
    server.stop()
    report = json.loads(printed.getvalue())
    journal = Journal(out / "batch.sqlite")
    files = Counter(item["file"] for record in journal.all_rows() for item in record.files)
    journal.close()
    vrms = sorted(path.name for path in out.glob("*.vrm"))
    sys.stdout.write(
        f"\n{PHOTOS} photos: {time.monotonic() - started:.0f} s, {len(vrms)} VRMs, done {report['done']}, failed {report['failed']},"
        f" files listed twice {sum(count - 1 for count in files.values())}, exit codes {code} and {again},"
        f" sheet {report['contact_sheet']}\n"
    )
