"""The prompt nodes and routes in a real ComfyUI."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from chibi_testing import api

TEXT = "白衬衫配红领结和蓝色百褶裙，左眼蓝右眼金，不要戴帽子，a wug"


def run(server, inputs: dict) -> list[str]:
    graph = {
        "1": {
            "class_type": "ChibiPromptBuilder",
            "inputs": {"description": TEXT, "family": "illustrious", "seed": 1, "form": "{}", **inputs},
        },
        **{str(10 + k): {"class_type": "PreviewAny", "inputs": {"source": ["1", k]}} for k in range(4)},
    }
    outputs = api.run_prompt(server.url, graph)["outputs"]
    return [outputs[str(10 + k)]["text"][0] for k in range(4)]


def test_the_builder_runs_headless_without_its_panel(server):
    """API users would need a browser."""
    positive, negative, _, report = run(server, {})
    assert "red bowtie" in positive and "blue left eye" in positive and "gold right eye" in positive
    assert "hat" in negative.split(", ")
    assert "unknown at" in report and "wug" in report
    assert "tokens: chunk 1:" in report


def test_form_preset_variety_and_character_text(server):
    """What people choose by hand, or post as JSON, would not reach the prompt."""
    character = json.dumps({"chibi_character": 1, "hair": {"style": "hime"}})
    positive, *_ = run(
        server,
        {
            "form": '{"fields": {"hair.color": {"hex": "#2f8f92", "name": "teal"}}}',
            "preset": "knight_silver",
            "character": character,
        },
    )
    assert "teal hair" in positive and "hime cut" in positive and "armor" in positive
    one, two = run(server, {"variety": 1.0, "seed": 5})[0], run(server, {"variety": 1.0, "seed": 5, "form": " {}"})[0]
    assert one == two != run(server, {"variety": 1.0, "seed": 6})[0]


def test_a_bad_form_names_itself(server):
    """The error would be a stack trace."""
    with pytest.raises(AssertionError, match="the form is not JSON"):
        run(server, {"form": "[1, 2"})


def test_a_crowd_is_a_list(server):
    """Background figures could not be drawn one after the other."""
    graph = {
        "1": {
            "class_type": "ChibiPromptCrowd",
            "inputs": {"count": 3, "family": "sd15", "seed": 2, "description": "school uniform", "difference": 0.3},
        },
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
    }
    texts = api.run_prompt(server.url, graph)["outputs"]["2"]["text"]
    assert len(set(texts)) == 3 and all("school uniform" in text for text in texts)


def test_the_preview_writes_nothing_and_refuses_nonsense(server):
    """Looking at a prompt would change files, or a bad request would crash the server."""
    before = sorted(path.name for path in server.base.rglob("*.json"))
    status, reply = api.post(server.url, "/chibi_avatar/prompt/preview", {"description": TEXT, "family": "pony"})
    assert status == 200 and reply["positive"].startswith("score_9") and reply["tokens"]["exact"]
    assert reply["unknown"][0]["text"] == "wug"
    assert sorted(path.name for path in server.base.rglob("*.json")) == before
    for body in ({"family": "x"}, {"form": "["}, {"preset": "nobody"}, {"character": "{}"}):
        status, reply = api.post(server.url, "/chibi_avatar/prompt/preview", body)
        assert status == 400 and reply["error"]


def refused(server, route: str, body: dict) -> int:
    request = urllib.request.Request(
        server.url + route, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def test_presets_are_saved_listed_and_cannot_leave_their_folder(server):
    """A preset would be lost, or overwrite a file elsewhere."""
    character = {"chibi_character": 1, "hair": {"style": "bun"}}
    assert api.post(server.url, "/chibi_avatar/prompt/presets/mine", character) == (200, {"saved": "mine"})
    listed = api.get(server.url, "/chibi_avatar/prompt/presets")
    assert [item["id"] for item in listed["user"]] == ["mine"] and len(listed["builtin"]) >= 40
    assert listed["user"][0]["character"]["hair"]["style"] == "bun"
    for name in ("..%2F..%2Fevil", "a%2Fb", ".x", "%00"):
        assert refused(server, f"/chibi_avatar/prompt/presets/{name}", character) in (400, 404, 405), name
    assert not list(server.base.rglob("evil*"))


def test_a_pasted_prompt_fills_the_form(server):
    """Prompts people already have would be of no use."""
    _, reply = api.post(
        server.url,
        "/chibi_avatar/prompt/read",
        {"positive": "masterpiece, 1girl, cat_ears, silver hair", "negative": "lowres, glasses"},
    )
    assert reply["character"]["animal_ears"]["kind"] == "cat_ears"
    assert reply["character"]["glasses"]["kind"] == "none"
    assert api.get(server.url, "/chibi_avatar/prompt/words")["groups"]
