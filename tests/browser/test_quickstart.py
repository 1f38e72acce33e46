"""The quickstart workflow file in ComfyUI's real page: what a person loads is what scripts run."""

from __future__ import annotations

import json

import pytest

from chibi_avatar import quickstart


def plain(prompt: dict) -> dict:
    """Without what the page adds for itself."""
    return {
        key: {"class_type": node["class_type"], "inputs": node["inputs"], "_meta": node["_meta"]}
        for key, node in prompt.items()
    }


@pytest.fixture
def canvas(root) -> dict:
    return json.loads((root / "workflows" / "quickstart.json").read_text(encoding="utf-8"))


@pytest.fixture
def example_photo(server):
    """ComfyUI's stock input folder has an example.png; the test server's is empty."""
    from PIL import Image
    from skimage.data import astronaut

    path = server.base / "input" / "example.png"
    if not path.is_file():
        Image.fromarray(astronaut()).save(path)
    return path


def test_run_sends_what_the_api_file_holds(frontend, root, canvas):
    """The canvas and the scripts would make two different avatars."""
    frontend.load(canvas)
    sent, job = frontend.queue()
    assert plain(sent) == plain(quickstart.without(quickstart.load_workflow(diffusion=False), *quickstart.PHOTO_NODES))
    files = [
        item["filename"]
        for output in job["outputs"].values()
        for kind in output.values()
        for item in kind
        if isinstance(item, dict)
    ]
    assert {name.rsplit(".", 1)[-1] for name in files} >= {"png", "vrm", "glb"}
    assert frontend.errors == []


def test_switching_the_photo_on_sends_the_whole_api_file(frontend, example_photo, canvas):
    """The note says Ctrl+B on two nodes; they would stay unconnected."""
    frontend.load(canvas)
    frontend.page.evaluate(
        "titles => window.app.graph.nodes.filter(n => titles.includes(n.title)).forEach(n => { n.mode = 0; })",
        list(quickstart.PHOTO_NODES),
    )
    assert plain(frontend.api_prompt()) == plain(quickstart.load_workflow(diffusion=False))
    assert frontend.errors == []


def test_saving_and_loading_again_changes_nothing(frontend, canvas):
    """Values would move between widgets each time somebody saves."""
    frontend.load(canvas)
    before = frontend.api_prompt()
    frontend.load(frontend.serialize())
    assert frontend.api_prompt() == before


def test_the_template_browser_offers_it(frontend, root):
    """Nobody would find the example from inside ComfyUI."""
    from chibi_testing import api

    from chibi_avatar.setup.server import PACK_FOLDER

    assert "quickstart" in api.get(frontend.server.url, "/workflow_templates")[PACK_FOLDER]
    picture = frontend.page.request.get(f"{frontend.server.url}/api/workflow_templates/{PACK_FOLDER}/quickstart.jpg")
    assert picture.ok and picture.body()[:2] == b"\xff\xd8"
