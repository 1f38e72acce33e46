"""The repository's own promises: style, licences, files that ComfyUI and the registry read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def tracked(root: Path, *patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [root / line for line in listed.stdout.splitlines() if (root / line).is_file()]


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff(root, arguments):
    """Style would drift until nobody dares to reformat."""
    ruff = Path(sys.prefix) / ("Scripts/ruff.exe" if sys.platform == "win32" else "bin/ruff")
    done = subprocess.run(
        [str(ruff), *arguments, "--no-cache", "."], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_files_stay_small_enough_to_read(root):
    """A file that needs a table of contents is two files."""
    long = {
        str(path.relative_to(root)): count
        for path in tracked(root, "*.py", "web/*.js", "web/*.mjs")
        if "/lib/" not in path.as_posix() and (count := path.read_text(encoding="utf-8").count("\n")) > 600
    }
    assert not long


def test_no_unfinished_or_switched_off_code(root):
    """A test that never runs, or a promise in a comment, is a promise that nobody keeps."""
    unfinished = re.compile("TO" + "DO|FIX" + r"ME|@pytest\.mark\.(skip|xfail)|pytest\.(skip|xfail|importorskip)\(")
    found = [
        str(path.relative_to(root))
        for path in tracked(root, "*.py")
        if unfinished.search(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_the_registry_can_read_the_project(root):
    """The pack would be refused by the registry, or shown without a name or with the wrong ComfyUI."""
    with open(root / "pyproject.toml", "rb") as handle:
        data = tomllib.load(handle)
    project, comfy = data["project"], data["tool"]["comfy"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert "comfyui" not in project["name"].lower() and len(project["name"]) < 100
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert comfy["requires-comfyui"] == ">=0.30.0"
    assert "web" not in comfy, "WEB_DIRECTORY does this; both together load every script twice"
    for requirement in project["dependencies"]:
        assert re.fullmatch(r"[A-Za-z0-9_.\-]+(>=[\d.]+)?", requirement), f"lower bounds only: {requirement}"
    wanted = {
        line for line in (root / "requirements.txt").read_text(encoding="utf-8").split("\n") if line and line[0] != "#"
    }
    assert wanted == set(project["dependencies"])
    import chibi_avatar

    assert project["version"] == chibi_avatar.__version__
    assert f"## {project['version']}" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_licences_are_there(root):
    """Nobody could use the code or an avatar without knowing the terms."""
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence and "Version 2.0" in licence
    assert "CC0" in (root / "LICENSES.md").read_text(encoding="utf-8")


def test_continuous_integration_runs_what_the_readme_says(root):
    """CI would be green on something that a person never runs."""
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    command = "python3 -m chibi_avatar test"
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert lines[-1].removeprefix("exec ") == command
    assert command in (root / "README.md").read_text(encoding="utf-8")


def test_only_templates_lie_in_the_template_folder(root):
    """A stray .json in workflows/ shows up as a broken template; a template without a .jpg has no picture."""
    for path in (root / "workflows").glob("*.json"):
        graph = json.loads(path.read_text(encoding="utf-8"))
        assert {"nodes", "links"} <= set(graph), f"{path.name} is not a canvas workflow"
        assert path.with_suffix(".jpg").is_file(), f"{path.name} has no thumbnail"
        assert (path.parent / "api" / path.name).is_file(), f"{path.name} has no API twin"
        types = [node["type"] for node in graph["nodes"]]
        assert {"MarkdownNote", "Note"} & set(types), f"{path.name} explains itself with no note"


def test_every_script_in_the_web_folder_is_meant_to_load(root):
    """ComfyUI imports every .js under the web folder when the page opens: libraries and tests must not be there."""
    for path in tracked(root, "web/*.js"):
        assert "registerExtension" in path.read_text(encoding="utf-8"), f"{path.name} registers no extension"
