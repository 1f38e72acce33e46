"""`run` and the client against a real ComfyUI: what a script gets, and what it is told when something is wrong."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from chibi_avatar.commands import main
from chibi_avatar.headless import SyncClient
from chibi_avatar.headless.errors import JobFailed, PromptRejected


@pytest.fixture(scope="module")
def client(server):
    with SyncClient(server.url) as ready:
        yield ready


@pytest.fixture()
def photo(tmp_path):
    path = tmp_path / "自拍.png"
    Image.new("RGB", (96, 64), (200, 120, 90)).save(path)
    return path


def scale(image: str = "example.png", **changes):
    inputs = {"image": ["1", 0], "upscale_method": "lanczos", "width": 64, "height": 48, "crop": "disabled", **changes}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}, "_meta": {"title": "Photo"}},
        "2": {"class_type": "ImageScale", "inputs": inputs, "_meta": {"title": "Scale"}},
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "t/scaled"},
            "_meta": {"title": "Save"},
        },
    }


def test_a_local_photo_goes_in_and_a_checked_picture_comes_out(server, photo, tmp_path, capsys):
    """The plainest use of all: one photo, one command, one file; with a Chinese file name."""
    workflow = tmp_path / "scale.json"
    workflow.write_text(json.dumps(scale()), encoding="utf-8")
    arguments = ["run", str(workflow), "--server", server.url, "--out", str(tmp_path / "out"), "--json"]
    assert main([*arguments, "--set", f"Photo.image={photo}", "--set", "Scale.width=32"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert Image.open(report["files"][0]["path"]).size == (32, 48)
    assert main([*arguments, "--set", "Photo.image=nowhere.png"]) == 2
    assert main([*arguments, "--set", "Scale.widht=32"]) == 2
    assert "nowhere.png" in capsys.readouterr().err


def test_the_same_workflow_twice_gives_the_same_file(client, photo, tmp_path):
    """ComfyUI answers a repeat from its cache with an old name; the user must get the right picture all the same."""
    prompt = scale(client.upload(photo))
    first, second = (client.run(prompt, out_dir=tmp_path / name) for name in "ab")
    assert first.files[0].sha256 == second.files[0].sha256
    assert first.files[0].path.name == "scaled.png"


def test_progress_names_nodes(client, photo):
    """A minute of silence looks like a crash."""
    events = []
    client.run(scale(client.upload(photo.read_bytes() + b" ", ".png"), width=33), on_progress=events.append)
    assert {"Scale", "Save"} <= {event.title for event in events}


def plain(**changes):
    """As ``scale``, from a blank picture: valid on every server but for ``changes``."""
    prompt = scale(**changes)
    blank = {"width": 64, "height": 64, "batch_size": 1, "color": 0}
    return prompt | {"1": {"class_type": "EmptyImage", "inputs": blank, "_meta": {"title": "Blank"}}}


@pytest.mark.parametrize(
    ("prompt", "kind", "words", "code"),
    [
        (plain(upscale_method="lancos"), "value_not_in_list", "'lanczos'", 2),
        (plain(width=-1), "value_smaller_than_min", "-1", 2),
        (plain(width=10**9), "value_bigger_than_max", "16384", 2),
        (plain(width="wide"), "invalid_input_type", "wide", 2),
        (plain() | {"2": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0], "vae": ["1", 0]}}},
         "return_type_mismatch", "IMAGE", 2),
        (plain() | {"3": {"class_type": "SaveImage", "inputs": {"images": ["2"], "filename_prefix": "x"}}},
         "bad_linked_input", "[", 2),
        (plain() | {"3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}, "required_input_missing", "images", 2),
        ({"1": plain()["1"]}, "prompt_no_outputs", "Save", 2),
        (plain() | {"4": {"class_type": "IPAdapterAdvanced", "inputs": {}}}, "missing_node_type", "ipadapter", 4),
        (scale("no-such.png"), "custom_validation_failed", "no-such.png", 2),
    ],
)  # fmt: skip
def test_every_refusal_is_told_in_both_languages(client, prompt, kind, words, code):
    """ComfyUI's own answer is often an empty text; the user needs the node, the input and a value that would work."""
    with pytest.raises(PromptRejected) as caught:
        client.queue(prompt)
    problem = caught.value.problems[0]
    assert problem.type in kind.split("|") and words in caught.value.text("en")
    assert caught.value.text("zh") != caught.value.text("en")
    assert caught.value.exit_code == code


def test_a_missing_model_comes_with_its_download_line(server, tmp_path, capsys, monkeypatch):
    """“Value not in list” is the most frequent error in all of ComfyUI."""
    monkeypatch.setenv("CHIBI_LANG", "en")
    assert main(["run", "text_to_chibi_sd15", "--server", server.url, "--out", str(tmp_path), "--json"]) == 4
    printed = capsys.readouterr()
    assert "models download dreamshaper-8" in printed.err
    assert json.loads(printed.out)["exit_code"] == 4


def test_a_server_that_run_starts_sees_the_downloaded_models(tmp_path, capsys, monkeypatch):
    """`models download`, then `run`: the run would ask for the file that was just fetched."""
    from chibi_avatar.models import locate

    monkeypatch.setattr(locate, "folders", lambda base=None: locate.Folders(tmp_path, {}))
    monkeypatch.setenv("CHIBI_LANG", "en")
    checkpoint = tmp_path / "models" / "checkpoints" / "DreamShaper_8_pruned.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"x")
    assert main(["run", "text_to_chibi_sd15", "--out", str(tmp_path / "out")]) == 4
    told = capsys.readouterr().err
    assert "models download controlnet-sd15-openpose" in told and "dreamshaper-8" not in told


def test_a_cycle_and_a_failing_node(client):
    """Both must end in words; a cycle once took the whole server down."""
    loop = scale()
    loop["4"] = {"class_type": "ImageScale", "inputs": {**loop["2"]["inputs"], "image": ["5", 0]}}
    loop["5"] = {"class_type": "ImageScale", "inputs": {**loop["2"]["inputs"], "image": ["4", 0]}}
    loop["6"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}}
    with pytest.raises(PromptRejected, match="circle|成环"):
        client.queue(loop)
    empty = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "ImageCrop", "inputs": {"image": ["1", 0], "width": 1, "height": 1, "x": 0, "y": 0}},
        "3": {"class_type": "ImageFromBatch", "inputs": {"image": ["2", 0], "batch_index": 0, "length": 1}},
        "4": {"class_type": "ImagePadForOutpaint", "inputs": {"image": ["3", 0], "left": 0, "top": 0, "right": 0, "bottom": 0,
              "feathering": 40}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "ok"}},
    }  # fmt: skip
    try:
        client.wait(client.queue(empty), prompt=empty)
    except JobFailed as error:
        assert error.text("en")
