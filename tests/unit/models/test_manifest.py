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


def test_templates_and_blueprints_carry_address_folder_and_hash(root: Path):
    """ComfyUI's own missing-model window offers the download only with these."""
    for path in (*root.glob("workflows/*.json"), *root.glob("subgraphs/*.json")):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        nodes = [node for graph in (workflow, *workflow["definitions"]["subgraphs"]) for node in graph["nodes"]]
        declared = {m["name"]: m for n in nodes for m in n.get("properties", {}).get("models", [])}
        for need in from_nodes(workflow):
            found = declared[need.filename]
            assert found["directory"] == need.entry.folder and found["url"].startswith("https://")
            assert found.get("hash") == need.entry.sha256


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_lists_every_file(root: Path, page):
    """Licences are decided by this table; a stale one would mislead."""
    from tools.models_sync import with_table

    text = (root / page).read_text(encoding="utf-8")
    assert text == with_table(page, text), "run python -m tools.models_sync"
    assert text.count("| `") >= len(RAW["models"])


def _check(workflow: str, folder: Path, capsys) -> tuple[int, dict]:
    parser = __import__("argparse").ArgumentParser()
    command.add_arguments(parser)
    code = command.run(parser.parse_args(["check", "--workflow", workflow, "--comfyui", str(folder), "--json"]))
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("workflow", "ids"),
    [
        ("turnaround_to_vrm", ["dreamshaper-8", "controlnet-sd15-depth", "controlnet-sd15-lineart-anime"]),
        ("selfie_to_chibi_sdxl", ["animagine-xl-4", "clip-vision-h", "ip-adapter-plus-face-sdxl", "yunet", "sface"]),
        ("pose_controlnet_sdxl_union", ["animagine-xl-4", "controlnet-union-sdxl", "blazepose-detector",
                                        "blazepose-landmarks", "mediapipe-hands", "mediapipe-face-mesh"]),
    ],
)  # fmt: skip
def test_check_lists_what_is_missing_with_one_command(workflow, ids, tmp_path, capsys, monkeypatch):
    """On a fresh machine the user needs names, sizes, licences and one line to paste."""
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path / "cache"))
    code, report = _check(workflow, tmp_path, capsys)
    assert code == 4 and [model["id"] for model in report["models"]] == ids
    assert {model["state"] for model in report["models"]} == {"missing"}
    assert all(model["license"] and model["size"] for model in report["models"])
    assert report["command"] == f"python3 -m chibi_avatar models download {' '.join(ids)}"


def test_a_restricted_file_is_named_with_the_word_that_accepts_it(tmp_path, capsys, monkeypatch):
    """The pasted command would be refused, and the user would look for the right flag."""
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path / "cache"))
    _, report = _check("selfie_to_chibi_faceid", tmp_path, capsys)
    assert "--accept-license arcface-w600k-r50" in report["command"] and report["command"].endswith("--allow-pickle")


def test_nothing_is_missing_once_the_files_are_there(tmp_path, capsys, monkeypatch):
    """The check would send people to download what they have; face models count from the pack's cache too."""
    monkeypatch.setenv("CHIBI_AVATAR_CACHE", str(tmp_path / "cache"))
    yunet = manifest.by_id("yunet")
    kept = tmp_path / "cache" / "models" / f"{yunet.sha256[:12]}-{yunet.base_name}"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    _, report = _check("quickstart", tmp_path, capsys)
    assert [(model["id"], model["state"]) for model in report["models"]] == [("yunet", "wrong"), ("sface", "missing")]
    assert _check("crowd", tmp_path, capsys) == (0, {"base": str(tmp_path), "models": []})
