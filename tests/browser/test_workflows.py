"""Every workflow of the pack, and a spread of ComfyUI's own, in the real page: what it sends is what our converter
makes.
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from chibi_testing import api

from chibi_avatar.headless.convert import convert

ROOT = Path(__file__).resolve().parents[2]
OURS = sorted((ROOT / "workflows").glob("*.json"))
VIRTUAL = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}
SPREAD = 9
# On the quickstart's canvas the photo is switched off until a person has one; its twin is what `demo` runs, with a
# photo.
TWIN_DIFFERS = {"quickstart"}


EMPTY_FORM = '{"version":1,"fields":{},"locks":[],"weights":{}}'


def _executed(prompt: dict, info: dict) -> dict:
    """What the server would run: classes and inputs, inputs at their default left out.

    Titles of unnamed nodes follow the page's language, the prompt panel writes its empty form out in full, and a button
    that sends nothing under a name that the node does not have changes nothing.
    """
    found = {}
    for node_id, node in json.loads(json.dumps(prompt)).items():
        groups = info[node["class_type"]]["input"]
        specs = {**groups.get("required", {}), **groups.get("optional", {})}
        defaults = {name: spec[1].get("default") for name, spec in specs.items() if len(spec) > 1}
        inputs = {
            name: value
            for name, value in node["inputs"].items()
            if value != EMPTY_FORM
            and (name not in defaults or defaults[name] != value)
            and not (value is None and name not in specs)
        }
        found[node_id] = (node["class_type"], inputs)
    return found


def _official(info: dict) -> list[Path]:
    """The official templates that use only the server's own nodes."""
    import comfyui_workflow_templates_core as core

    found = []
    for path in sorted(Path(core.__file__).parents[1].glob("comfyui_workflow_templates_*/**/*.json")):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(workflow, dict) or "nodes" not in workflow:
            continue
        subgraphs = {s["id"]: s for s in (workflow.get("definitions") or {}).get("subgraphs") or []}
        kinds = {node["type"] for graph in (workflow, *subgraphs.values()) for node in graph["nodes"]}
        if all(kind in info or kind in VIRTUAL or kind in subgraphs for kind in kinds):
            found.append(path)
    return found


def test_our_workflows_mean_the_same_on_the_canvas_and_over_the_api(frontend, server, root):
    """A twin that drifted would give script users another picture than canvas users."""
    info = api.get(server.url, "/object_info")
    for path in OURS:
        frontend.load(path)
        sent = _executed(frontend.api_prompt(), info)
        twin = json.loads((root / "workflows" / "api" / path.name).read_text(encoding="utf-8"))
        if path.stem not in TWIN_DIFFERS:
            assert sent == _executed(twin, info), path.name
        assert sent == _executed(convert(json.loads(path.read_text(encoding="utf-8")), info), info), path.name
        again = frontend.serialize()
        assert {n["id"]: n["type"] for n in again["nodes"]} == {
            n["id"]: n["type"] for n in json.loads(path.read_text(encoding="utf-8"))["nodes"]
        }


def test_official_templates_convert_as_the_page_does(frontend, server):
    """People run workflows from everywhere; subgraphs, bypass and dynamic inputs must not change their meaning.

    One in nine of the official templates, so that the suite stays quick.
    """
    if frontend.renderer != "classic":
        return
    info = api.get(server.url, "/object_info")
    chosen = _official(info)[::SPREAD]
    assert len(chosen) > 15
    wrong = []
    for path in chosen:
        workflow = json.loads(path.read_text(encoding="utf-8"))
        frontend.page.evaluate("async graph => { await window.app.loadGraphData(graph); }", workflow)
        if _executed(frontend.api_prompt(), info) != _executed(convert(workflow, info, path.name), info):
            wrong.append(path.name)
    assert len(wrong) <= 0.05 * len(chosen), wrong


def test_templates_are_listed_with_pictures(server, root):
    """A template without a picture is never clicked."""
    listed = api.get(server.url, "/workflow_templates")
    names = set(listed["chibi-avatar"])
    for path in OURS:
        assert path.stem in names
        picture = path.with_suffix(".jpg")
        assert picture.is_file(), f"{picture.name}: run python -m tools.workflows.thumbnails"
        with urllib.request.urlopen(
            f"{server.url}/api/workflow_templates/chibi-avatar/{picture.name}", timeout=10
        ) as reply:
            assert reply.read(2) == b"\xff\xd8"
