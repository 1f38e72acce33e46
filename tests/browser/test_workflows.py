"""Every workflow of the pack, and a spread of ComfyUI's own, in the real page: what it sends is what our converter
makes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chibi_testing import api
from chibi_testing.frontend import Frontend

from chibi_avatar.headless.convert import convert

ROOT = Path(__file__).resolve().parents[2]
OURS = sorted((ROOT / "workflows").glob("*.json"))
VIRTUAL = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}
BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
SPREAD = 9
BYPASSED = 4

EMPTY_FORM = '{"version":1,"fields":{},"locks":[],"weights":{}}'


@pytest.fixture
def classic_frontend(page, server):
    """App mode and the template browser look the same over both renderers; once is enough."""
    return Frontend(page, server, "classic")


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
        graph = json.loads(path.read_text(encoding="utf-8"))
        frontend.load(graph)
        sent = _executed(frontend.api_prompt(), info)
        assert sent == _executed(convert(graph, info), info), path.name
        # What is switched off on the canvas until a person wants it (the quickstart's photo) is on in the twin.
        if any(node["mode"] == BYPASSED for node in graph["nodes"]):
            frontend.page.evaluate("() => window.app.graph.nodes.forEach(node => { node.mode = 0; })")
            sent = _executed(frontend.api_prompt(), info)
        twin = json.loads((root / "workflows" / "api" / path.name).read_text(encoding="utf-8"))
        assert sent == _executed(twin, info), path.name
        again = frontend.serialize()
        assert {n["id"]: n["type"] for n in again["nodes"]} == {n["id"]: n["type"] for n in graph["nodes"]}


def test_official_templates_convert_as_the_page_does(classic_frontend, server):
    """People run workflows from everywhere; subgraphs, bypass and dynamic inputs must not change their meaning.

    One in nine of the official templates, so that the suite stays quick.
    """
    frontend, info = classic_frontend, api.get(server.url, "/object_info")
    chosen = _official(info)[::SPREAD]
    assert len(chosen) > 15
    wrong = []
    for path in chosen:
        workflow = json.loads(path.read_text(encoding="utf-8"))
        frontend.page.evaluate("async graph => { await window.app.loadGraphData(graph); }", workflow)
        if _executed(frontend.api_prompt(), info) != _executed(convert(workflow, info, path.name), info):
            wrong.append(path.name)
    assert len(wrong) <= 0.05 * len(chosen), wrong


def test_blueprints_are_offered_and_mean_what_they_say(frontend, server):
    """People who build graphs of their own would wire face, pose or avatar by hand each time."""
    info = api.get(server.url, "/object_info")
    listed = {entry["name"] for entry in api.get(server.url, "/global_subgraphs").values()}
    assert len(BLUEPRINTS) == 3 and {path.stem for path in BLUEPRINTS} <= listed
    for path in BLUEPRINTS:
        graph = json.loads(path.read_text(encoding="utf-8"))
        frontend.load(graph)
        sent = _executed(frontend.api_prompt(), info)
        assert sent == _executed(convert(graph, info, path.name), info), path.name
        assert set(sent) == {
            f"{graph['nodes'][0]['id']}:{n['id']}" for n in graph["definitions"]["subgraphs"][0]["nodes"]
        }
    frontend.clear()
    _search(frontend, "Chibi Pose")
    frontend.page.mouse.click(800, 400)
    frontend.page.wait_for_function("() => window.app.graph.nodes.length === 1")
    frontend.page.evaluate(
        "() => { window.app.graph.nodes[0].widgets.find(widget => widget.name === 'pose').value = 'sitting_floor'; }"
    )
    placed = frontend.serialize()
    assert placed["nodes"][0]["widgets_values"][:3] == ["sitting_floor", 832, 1216]
    sent = _executed(frontend.api_prompt(), info)
    assert sent == _executed(convert(placed, info), info)
    assert [inputs["pose"] for kind, inputs in sent.values() if kind == "ChibiPosePreset"] == ["sitting_floor"]


def _search(frontend, name: str) -> None:
    """Take the first thing that the node search finds; the next click on the canvas puts it there."""
    frontend.page.evaluate("() => window.app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    frontend.page.get_by_placeholder("Search for", exact=False).or_(frontend.page.locator("input:focus")).first.fill(
        name
    )
    first = frontend.page.get_by_test_id("result-item").first
    first.get_by_text("Blueprint", exact=True).wait_for()
    first.click()


def _toggle_app_mode(frontend) -> None:
    frontend.page.evaluate("() => window.app.extensionManager.command.execute('Comfy.ToggleLinear')")


def _app_mode(frontend, path: Path) -> list[str]:
    """Open a workflow as a form; the names of what it asks for."""
    frontend.load(path)
    _toggle_app_mode(frontend)
    frontend.page.get_by_test_id("app-mode-widget-item").first.wait_for()
    return frontend.page.get_by_test_id("builder-widget-label").all_inner_texts()


def test_app_mode_shows_forms(classic_frontend, root):
    """Somebody who never wants to see a graph would have no way in."""
    forms = {
        "selfie_to_chibi_sd15": ["image", "description", "weight"],
        "selfie_to_chibi_sdxl": ["image", "description", "weight"],
        "selfie_to_chibi_faceid": ["image", "description", "weight"],
        "selfie_to_chibi_edit": ["image", "prompt"],
        "turnaround_edit": ["image"],
        "quickstart": ["description", "pose", "background"],
    }
    for name, fields in forms.items():
        assert _app_mode(classic_frontend, root / "workflows" / f"{name}.json") == fields, name
        _toggle_app_mode(classic_frontend)


def test_app_mode_makes_an_avatar(classic_frontend, server, root):
    """The form would take words and give nothing back."""
    page = classic_frontend.page
    _app_mode(classic_frontend, root / "workflows" / "quickstart.json")
    page.get_by_test_id("app-mode-widget-item").locator("textarea").fill("a boy with blue hair and glasses")
    with page.expect_response(lambda reply: reply.url.endswith("/prompt") and reply.request.method == "POST") as caught:
        page.get_by_test_id("linear-run-button").get_by_role("button", name="Run").last.click()
    job = caught.value.json()["prompt_id"]
    assert "a boy with blue hair" in caught.value.request.post_data
    assert classic_frontend.finished(job)["outputs"]
    picture = page.locator("img[src*='turntable']").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_the_template_browser_shows_every_workflow_with_its_picture(classic_frontend, server, root):
    """A template without a picture is never clicked."""
    assert set(api.get(server.url, "/workflow_templates")["chibi-avatar"]) == {path.stem for path in OURS}
    page = classic_frontend.page
    page.evaluate("() => window.app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.get_by_text("chibi-avatar", exact=True).or_(page.get_by_text("Extensions", exact=True)).first.wait_for()
    if not page.get_by_text("chibi-avatar", exact=True).count():
        page.get_by_text("Extensions", exact=True).first.click()
    page.get_by_text("chibi-avatar", exact=True).first.click()
    page.get_by_test_id(f"template-workflow-{OURS[0].stem}").wait_for()
    for path in OURS:
        card = page.get_by_test_id(f"template-workflow-{path.stem}")
        card.scroll_into_view_if_needed()
        picture = card.locator("img").first
        picture.wait_for()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") >= 512, path.stem
