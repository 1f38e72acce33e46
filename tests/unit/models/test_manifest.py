"""models.yaml: complete, honest, and in step with the workflows."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from chibi_avatar.commands import models as command
from chibi_avatar.models import manifest
from chibi_avatar.models.needs import from_nodes, needed, workflow_names

RAW = yaml.safe_load(manifest.PATH.read_text(encoding="utf-8"))


def test_it_has_no_faults():
    """A missing licence or a mistyped hash would be found by a user, after the download."""
    assert manifest.lint(RAW) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "abc"}, "sha256"),
        ({"size": "2 GB"}, "size"),
        ({"commercial": True}, "commercial"),
        ({"license": ""}, "license"),
        ({"filename": "../evil.safetensors"}, "filename"),
        ({"filename": "C:\\evil.safetensors"}, "filename"),
        ({"sources": []}, "sources"),
        ({"sources": [{"url": "http://plain.example/x"}]}, "https"),
        ({"sources": [{"hf": "a/b", "file": "x", "rev": "main"}]}, "rev"),
        ({"base_license": "CC-BY-NC-4.0", "commercial": "yes"}, "commercial"),
        ({"colour": "red"}, "unknown field"),
        ({"filename": "x.pth"}, "pickle"),
    ],
)
def test_faults_are_named(change, words):
    """Whoever adds a model should be told which field is wrong, not that “the YAML is invalid”."""
    raw = copy.deepcopy(RAW)
    raw["models"] = [{**raw["models"][0], **change}]
    faults = manifest.lint(raw)
    assert faults and any(words in fault for fault in faults)


def test_every_workflow_file_is_known(root: Path):
    """A workflow that asks for a file which models.yaml lacks leaves the user to search the web."""
    for name in workflow_names(root / "workflows"):
        needs, unknown = needed(name)
        assert unknown == [], name
        for need in needs:
            assert name in need.entry.used_by, f"run python -m tools.models_sync ({name}, {need.entry.id})"


def test_templates_carry_address_folder_and_hash(root: Path):
    """ComfyUI's own missing-model window offers the download only with these."""
    for path in (root / "workflows").glob("*.json"):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        declared = {m["name"]: m for n in workflow["nodes"] for m in n.get("properties", {}).get("models", [])}
        for need in from_nodes(workflow):
            found = declared[need.filename]
            assert found["directory"] == need.entry.folder and found["url"].startswith("https://")
            assert found.get("hash") == need.entry.sha256


def test_check_lists_what_is_missing_with_one_command(tmp_path, capsys, monkeypatch):
    """On a fresh machine the user needs names, sizes, licences and one line to paste."""
    parser = __import__("argparse").ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args(["check", "--workflow", "turnaround_to_vrm", "--comfyui", str(tmp_path), "--json"])
    assert command.run(arguments) == 4
    report = json.loads(capsys.readouterr().out)
    assert {m["state"] for m in report["models"]} == {"missing"} and len(report["models"]) == 3
    assert all(m["license"] and m["size"] for m in report["models"])
    assert report["command"].startswith("python3 -m chibi_avatar models download dreamshaper-8")
