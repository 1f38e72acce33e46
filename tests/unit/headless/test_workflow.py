"""Workflow files from anybody: changed by name, converted as the canvas would, refused in words when they are broken."""

from __future__ import annotations

import asyncio
import json

import pytest
from chibi_testing.fake_comfy import OBJECT_INFO, echo_prompt

from chibi_avatar.headless.convert import convert
from chibi_avatar.headless.errors import InputError, PromptRejected, WorkflowError
from chibi_avatar.headless.problems import problems_from_reply
from chibi_avatar.headless.workflow import (
    find,
    find_input,
    load,
    local_files,
    mute,
    preflight,
    set_value,
    upload_files,
    with_model_hints,
)

INFO = {
    **OBJECT_INFO,
    "LoadImage": {
        "name": "LoadImage",
        "input": {"required": {"image": [["example.png"], {"image_upload": True}]}},
        "output": ["IMAGE"],
    },
    "Upscale": {
        "name": "Upscale",
        "input": {"required": {"image": ["IMAGE", {}]}, "optional": {"mask": ["MASK", {}]}},
        "output": ["IMAGE"],
    },
    "SaveImage": {
        "name": "SaveImage",
        "input": {"required": {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "x"}]}},
        "output": [],
        "output_node": True,
    },
    "Loader": {
        "name": "Loader",
        "input": {"required": {"ckpt_name": [["mine.safetensors"], {}]}},
        "output": ["TEXT"],
    },
}


def node(node_id, kind, *, inputs=(), outputs=(), mode=0, values=None, title="", properties=None):
    """A canvas node; ``inputs``: (name, type, link), ``outputs``: types."""
    return {
        "id": node_id, "type": kind, "mode": mode, "title": title, "properties": properties or {}, "widgets_values": values,
        "inputs": [{"name": name, "type": type_, "link": link} for name, type_, link in inputs],
        "outputs": [{"name": type_, "type": type_, "links": []} for type_ in outputs],
    }  # fmt: skip


def chain(*, upscale_mode=0, upscale="Upscale", properties=None):
    """LoadImage → reroute → Upscale → SaveImage on a canvas."""
    return {
        "nodes": [
            node(1, "LoadImage", outputs=["IMAGE"], values=["example.png", "image"]),
            node(2, "Reroute", inputs=[("", "*", 1)], outputs=["*"]),
            node(3, upscale, inputs=[("image", "IMAGE", 2), ("mask", "MASK", None)], outputs=["IMAGE"], mode=upscale_mode,
                 properties=properties),
            node(4, "SaveImage", inputs=[("images", "IMAGE", 3)], values=["chibi"]),
            node(5, "Note", values=["read me"]),
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"], [3, 3, 0, 4, 0, "IMAGE"]],
    }  # fmt: skip


def test_reroutes_bypass_and_mute_mean_what_they_mean_on_the_canvas():
    """The script would run another graph than the one on the screen."""
    plain = convert(chain(), INFO)
    assert plain["3"]["inputs"] == {"image": ["1", 0]} and plain["4"]["inputs"]["images"] == ["3", 0]
    assert set(plain) == {"1", "3", "4"}
    bypassed = convert(chain(upscale_mode=4), INFO)
    assert set(bypassed) == {"1", "4"} and bypassed["4"]["inputs"]["images"] == ["1", 0]
    muted = convert(chain(upscale_mode=2), INFO)
    assert set(muted) == {"1", "4"} and "images" not in muted["4"]["inputs"]


@pytest.mark.parametrize(
    ("properties", "english", "chinese"),
    [
        ({"cnr_id": "comfyui-magic"}, "comfyui-magic", "安装节点包 comfyui-magic"),
        ({"cnr_id": "comfy-core"}, "Update ComfyUI", "请更新 ComfyUI"),
        ({}, "Install missing nodes", "安装缺失节点"),
    ],
)
def test_unknown_nodes_are_named_with_the_pack_to_install(properties, english, chinese):
    """“Node type not found” sends people through a dozen packs."""
    with pytest.raises(PromptRejected) as caught:
        convert(chain(upscale="MagicUpscale", properties=properties), INFO)
    assert caught.value.exit_code == 4
    assert "MagicUpscale" in caught.value.text("en") and english in caught.value.text("en")
    assert chinese in caught.value.text("zh")
    # A node that is switched off does not need its pack.
    assert "3" not in convert(chain(upscale_mode=4, upscale="MagicUpscale"), INFO)


def test_api_files_with_unknown_nodes_and_broken_links_are_told_in_one_go():
    """ComfyUI stops at the first; the user would meet them one run at a time."""
    prompt = echo_prompt()
    prompt["1"]["class_type"] = "IPAdapterAdvanced"
    prompt["2"]["inputs"]["value"] = ["9", 0]
    found = preflight(prompt, INFO)
    assert [problem.type for problem in found] == ["missing_node_type", "bad_linked_input"]
    assert "comfyui_ipadapter_plus" in PromptRejected(found).text("en")


def test_circles_and_subgraphs_in_themselves_end_in_words():
    """Either would hang the converter, or blow its stack."""
    graph = chain()
    graph["nodes"][1:1] = [node(6, "Reroute", inputs=[("", "*", 5)], outputs=["*"])]
    graph["links"] = [[1, 6, 0, 2, 0, "*"], [2, 2, 0, 3, 0, "IMAGE"], [3, 3, 0, 4, 0, "IMAGE"], [5, 2, 0, 6, 0, "*"]]
    with pytest.raises(WorkflowError, match="circle|成环"):
        convert(graph, INFO)
    looped = {"id": "s", "nodes": [node(1, "s")], "links": [], "inputs": [], "outputs": []}
    with pytest.raises(WorkflowError, match="itself|自身"):
        convert({"nodes": [node(1, "s")], "links": [], "definitions": {"subgraphs": [looped]}}, INFO)


def test_a_missing_model_is_named_with_the_line_that_fetches_it():
    """Also for a file that this pack has never heard of, the values that are there must be listed."""
    prompt = {"1": {"class_type": "Loader", "inputs": {}, "_meta": {"title": "Checkpoint"}}}
    for name, words in (
        ("DreamShaper_8_pruned.safetensors", "models download dreamshaper-8"),
        ("other.safetensors", "mine"),
    ):
        extra = {"input_name": "ckpt_name", "received_value": name}
        reply = {"node_errors": {"1": {"errors": [{"type": "value_not_in_list", "extra_info": extra}]}}}
        error = with_model_hints(PromptRejected(problems_from_reply(reply, prompt, INFO)))
        assert error.exit_code == 4 and name in error.text("en") and words in error.text("en")
        assert error.text("zh") != error.text("en")


def test_a_photo_that_is_not_on_the_server_comes_with_both_ways_out():
    """The quickstart's own placeholder photo would stop everybody who has none."""
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}, "_meta": {"title": "Photo"}}}
    extra = {"input_name": "image", "received_value": "example.png"}
    error = {"type": "custom_validation_failed", "details": "Invalid image file: example.png", "extra_info": extra}
    told = PromptRejected(problems_from_reply({"node_errors": {"1": {"errors": [error]}}}, prompt, INFO))
    assert '--set "Photo.image=FILE"' in told.text("en") and '--mute "Photo"' in told.text("en")
    assert '--mute "Photo"' in told.text("zh")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "neither a canvas"),
        ('{"1": {"inputs": {}}}', "neither a canvas"),
        ('{"nodes": 5, "links": []}', "neither a canvas"),
        ("[" * 100_000, "not JSON"),
        ("", "not JSON"),
    ],
)
def test_files_that_are_no_workflow_are_refused_by_name(text, words, tmp_path, monkeypatch):
    """A wrong file must not end in a traceback, however it is made."""
    monkeypatch.setenv("CHIBI_LANG", "en")
    path = tmp_path / "画.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WorkflowError, match=words) as caught:
        load(path)
    assert "画.json" in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"nodes": [{"id": 1}], "links": []},
        {"nodes": [{"id": 1, "type": "Echo"}], "links": [["a"]]},
        {"nodes": [{"id": 1, "type": "Echo", "inputs": 7, "widgets_values": "x"}], "links": []},
        {"nodes": ["x"], "links": []},
        {"nodes": [], "links": [], "definitions": {"subgraphs": [{"nodes": []}]}},
    ],
)
def test_canvases_with_missing_parts_are_refused(broken):
    """Files cut by a chat program or written by another tool reach us too."""
    with pytest.raises(WorkflowError):
        convert(broken, INFO)


def test_a_workflow_that_does_not_exist_is_answered_with_those_that_do():
    """A typing error would end in “file not found”."""
    with pytest.raises(InputError, match="selfie_to_chibi_sdxl"):
        find("selfie_to_chibi_sdlx")


def titled() -> dict:
    prompt = echo_prompt()
    prompt["1"]["_meta"]["title"] = "Words · 文字"
    prompt["3"] = {**prompt["1"], "inputs": dict(prompt["1"]["inputs"]), "_meta": {"title": "Negative · 负面"}}
    return prompt


@pytest.mark.parametrize("address", ["1.text", "Words.text", "文字.text", "words · 文字.text"])
def test_nodes_are_addressed_by_id_and_by_either_half_of_their_title(address):
    """Nobody types a title in two languages."""
    assert find_input(titled(), address, INFO) == ("1", "text")


@pytest.mark.parametrize(
    ("address", "words"),
    [("Echo.text", "several nodes"), ("Words.txet", "text"), ("Wrods.text", "Words"), ("text", "node.input=value")],
)
def test_addresses_that_fit_none_or_several_are_told(address, words):
    """The value would land in the wrong node, or nowhere."""
    with pytest.raises(InputError) as caught:
        find_input(titled(), address, INFO)
    assert words in caught.value.text("en") and caught.value.text("zh") != caught.value.text("en")


def test_values_take_the_type_of_their_input():
    """“12” as a text would be refused by the server, “yes” silently kept."""
    prompt = echo_prompt()
    set_value(prompt, "Say.seed", "0x10", INFO)
    set_value(prompt, "Say.strength", "0.25", INFO)
    set_value(prompt, "Say.text", "12", INFO)
    assert [prompt["1"]["inputs"][name] for name in ("seed", "strength", "text")] == [16, 0.25, "12"]
    for address, value in (("Say.seed", "many"), ("Say.strength", "")):
        with pytest.raises(InputError):
            set_value(prompt, address, value, INFO)


def test_at_signs_in_what_the_user_sets(tmp_path, monkeypatch):
    """``--set`` sends ``@file``; a prompt that begins with an artist's tag is no file, and ``@@`` is an at sign."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wlop").write_bytes(b"x")
    prompt = {str(n): echo_prompt(text)["1"] for n, text in enumerate(("@wlop", "@@wlop", "@sakimi, girl", "@" * 2))}
    sent = []

    async def upload(path):
        sent.append(str(path))
        return "there"

    changed = [(node_id, "text") for node_id in prompt]
    asyncio.run(upload_files(prompt, INFO, upload, changed=changed))
    assert [node["inputs"]["text"] for node in prompt.values()] == ["there", "@wlop", "@sakimi, girl", "@"]
    assert sent == ["wlop"]
    assert local_files(echo_prompt("@" + "wlop " * 100), INFO) == []
    with pytest.raises(InputError, match="me.png"):
        local_files(echo_prompt("@me.png"), INFO)


def test_muting_takes_along_what_cannot_do_without():
    """The quickstart without a photo: the face reader goes too, the words stay and lose only the connection."""
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "Photo"}},
        "2": {"class_type": "Upscale", "inputs": {"image": ["1", 0]}, "_meta": {"title": "Bigger"}},
        "3": {"class_type": "LoadImage", "inputs": {"image": "b.png"}, "_meta": {"title": "Ground"}},
        "4": {"class_type": "Upscale", "inputs": {"image": ["3", 0], "mask": ["2", 0]}, "_meta": {"title": "Both"}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
    }
    assert sorted(mute(prompt, "Photo", INFO)) == ["1", "2"]
    assert set(prompt) == {"3", "4", "5"} and prompt["4"]["inputs"] == {"image": ["3", 0]}
    with pytest.raises(InputError, match="Ground"):
        mute(prompt, "Grund", INFO)


def test_an_api_file_as_the_canvas_exports_it_loads(tmp_path):
    """Exports wrap the graph in ``prompt``, and editors write a BOM."""
    path = tmp_path / "w.json"
    path.write_text(json.dumps({"prompt": echo_prompt()}), encoding="utf-8-sig")
    assert load(path)["1"]["class_type"] == "Echo"
