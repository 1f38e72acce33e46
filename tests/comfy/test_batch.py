"""`batch` against a real ComfyUI, killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from PIL import Image

from chibi_avatar.commands import main
from chibi_avatar.headless.journal import Journal


def _photos(folder, count):
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (80, 80), (10 * number % 255, 120, 200)).save(folder / f"p{number:02d}.png")


def test_fifty_photos_through_a_kill(server, tmp_path, root, capsys):
    """The night's batch was killed at row 17: the morning's run must do the other 33 and nothing twice."""
    _photos(tmp_path / "photos", 50)
    workflow = tmp_path / "w.json"
    scale = {"image": ["1", 0], "upscale_method": "area", "width": 40, "height": 40, "crop": "disabled"}
    workflow.write_text(
        json.dumps(
            {
                "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}, "_meta": {"title": "Photo"}},
                "2": {"class_type": "ImageScale", "inputs": scale},
                "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "small"}},
            }
        )  # fmt: skip
    )
    out = tmp_path / "out"
    arguments = ["batch", str(tmp_path / "photos"), "--workflow", str(workflow), "--map", "photo=Photo.image"]
    arguments += ["--servers", server.url, "--out", str(out), "--json"]
    boot = "import sys; sys.path.insert(0, sys.argv.pop(1)); from chibi_avatar.commands import main; sys.exit(main(sys.argv[1:]))"
    child = subprocess.Popen(
        [sys.executable, "-c", boot, str(root), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (out.is_dir() and len(list(out.glob("*.png"))) >= 5) and time.monotonic() < deadline:
        assert child.poll() is None or len(list(out.glob("*.png"))) >= 5
        os.sched_yield()
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["done"] == 50 and report["failed"] == 0
    journal = Journal(out / "batch.sqlite")
    names = [item["file"] for record in journal.all_rows() for item in record.files]
    journal.close()
    assert len(names) == len(set(names)) == 50
    assert sorted(names) == sorted(p.name for p in out.glob("p*.png"))
    assert Image.open(out / names[0]).size == (40, 40)
    assert Image.open(report["contact_sheet"]).width > 1000


def test_people_become_avatars(server, tmp_path, capsys):
    """The promise: a table of people in, a VRM each and a contact sheet out."""
    table = tmp_path / "people.csv"
    table.write_text("id,who\nann,粉色双马尾的女孩\nbob,a boy with glasses\n", encoding="utf-8-sig")
    words = {"description": "", "family": "sd15", "seed": 0, "form": "{}"}
    workflow = tmp_path / "people.json"
    workflow.write_text(
        json.dumps(
            {
                "1": {"class_type": "ChibiPromptBuilder", "inputs": words, "_meta": {"title": "Words"}},
                "2": {"class_type": "ChibiAvatarBase", "inputs": {"character": ["1", 2], "texture_size": "512"}},
                "3": {"class_type": "ChibiAvatarExport", "inputs": {"avatar": ["2", 0], "filename_prefix": "avatar"}},
            }
        )  # fmt: skip
    )
    arguments = ["batch", str(table), "--workflow", str(workflow), "--map", "who=Words.description"]
    arguments += ["--servers", server.url, "--out", str(tmp_path / "out"), "--json"]
    assert main([*arguments, "--dry-run"]) == 0
    capsys.readouterr()
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 2
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"contact_sheet.png", "results.csv", "results.jsonl"} <= made
    assert all(any(name.startswith(who) and name.endswith(".vrm") for name in made) for who in ("ann", "bob"))
