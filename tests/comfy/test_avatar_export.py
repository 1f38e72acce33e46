"""The avatar nodes inside a real ComfyUI: build, load, export, and core's own 3D nodes beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from chibi_testing import api, avatars

from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.licence import Licence
from chibi_avatar.avatar.load import load_avatar
from chibi_avatar.avatar.vrm_check import check_vrm

CHARACTER = json.dumps(
    {"chibi_character": 1, "name": "Momo", "hair": {"style": "low_twintails", "color": {"hex": "#f08ab0"}}}
)


def _base(preset: str = "mobile") -> dict[str, Any]:
    inputs = {"character": CHARACTER, "preset": preset, "texture_size": "512"}
    return {"class_type": "ChibiAvatarBase", "inputs": inputs}


def _files(entry: dict[str, Any], node: str) -> dict[str, dict[str, str]]:
    return {item["filename"].partition("_.")[2]: item for item in entry["outputs"][node]["3d"]}


def test_a_character_becomes_files_that_keep_the_specification(server) -> None:
    """The main road: character in, VRM of both versions, GLB and atlas out, with a report that names the platforms."""
    graph = {
        "1": _base(),
        "2": {
            "class_type": "ChibiAvatarExport",
            "inputs": {
                "avatar": ["1", 0],
                "filename_prefix": "export/momo",
                "vrm_version": "both",
                "author": "Ann, 小明",
            },
        },
    }
    entry = api.run_prompt(server.url, graph)
    files = _files(entry, "2")
    assert set(files) == {"vrm", "vrm0.vrm", "glb", "atlas.png"}
    for ending in ("vrm", "vrm0.vrm"):
        container = read_glb(api.fetch(server.url, files[ending]))
        assert check_vrm(container) == []
        assert len(container.document["images"]) == 2  # atlas and thumbnail
    meta = read_glb(api.fetch(server.url, files["vrm"])).document["extensions"]["VRMC_vrm"]["meta"]
    assert (meta["name"], meta["authors"]) == ("Momo", ["Ann", "小明"])
    report = entry["outputs"]["2"]["text"][0]
    assert "VSeeFace: pass" in report and "cluster: pass" in report and "momo_" in report
    assert not list((server.output / "export").glob(".chibi-*"))


def test_core_nodes_take_the_outputs_unchanged(server) -> None:
    """Preview 3D shows the GLB, Save 3D Model keeps the VRM byte for byte, and MESH goes on to core's nodes."""
    graph = {
        "1": _base(),
        "2": {"class_type": "ChibiAvatarExport", "inputs": {"avatar": ["1", 0], "filename_prefix": "interop/a"}},
        "3": {"class_type": "SaveGLB", "inputs": {"mesh": ["2", 1], "filename_prefix": "interop/core"}},
        "4": {"class_type": "Preview3D", "inputs": {"model_file": ["2", 0]}},
        "5": {"class_type": "SaveGLB", "inputs": {"mesh": ["2", 3], "filename_prefix": "interop/mesh"}},
    }
    entry = api.run_prompt(server.url, graph)
    own = api.fetch(server.url, _files(entry, "2")["vrm"])
    saved = entry["outputs"]["3"]["3d"][0]
    assert saved["filename"].endswith(".vrm")
    assert api.fetch(server.url, saved) == own
    assert entry["outputs"]["4"]["result"][0].endswith(".glb")
    mesh = read_glb(api.fetch(server.url, entry["outputs"]["5"]["3d"][0])).document
    assert mesh["images"] and "TEXCOORD_0" in mesh["meshes"][0]["primitives"][0]["attributes"]


def test_a_mesh_of_core_is_painted_and_saved(server) -> None:
    """MESH in: what another node made becomes an avatar without bones, saved as GLB."""
    graph = {
        "1": _base(),
        "2": {
            "class_type": "ChibiAvatarExport",
            "inputs": {"avatar": ["1", 0], "filename_prefix": "interop/b", "vrm_version": "none"},
        },
        "3": {"class_type": "ChibiAvatarLoad", "inputs": {"file": "none", "i_am_the_author": False, "mesh": ["2", 3]}},
        "4": {"class_type": "ChibiAvatarExport", "inputs": {"avatar": ["3", 0], "filename_prefix": "interop/prop"}},
    }
    entry = api.run_prompt(server.url, graph)
    assert set(_files(entry, "4")) == {"glb", "atlas.png"}
    assert "no VRM was written" in entry["outputs"]["4"]["text"][0]


@pytest.fixture(scope="module")
def small_figure():
    """A small avatar that is quick to write."""
    return avatars.small_figure()


@pytest.fixture
def input_3d(server) -> Path:
    """ComfyUI's input/3d folder."""
    folder = server.base / "input" / "3d"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_person_s_own_file_is_loaded_and_comes_back_whole(server, input_3d: Path, small_figure) -> None:
    """A file that nobody painted leaves exactly as it came; the report shows its licence."""
    licence = Licence("Rin", authors=("Rin's maker",), modification="allowModification")
    data = export_avatar(small_figure, licence, version="0.x").vrms["0.x"]
    document = read_glb(data).document
    document["extensions"]["VRM"]["meta"]["licenseName"] = "CC_BY"
    from chibi_avatar.avatar.gltf import Container, write_glb

    data = write_glb(Container(json.dumps(document).encode(), document, read_glb(data).binary, True))
    (input_3d / "rin.vrm").write_bytes(data)
    graph = {
        "1": {"class_type": "ChibiAvatarLoad", "inputs": {"file": "3d/rin.vrm", "i_am_the_author": False}},
        "2": {"class_type": "ChibiAvatarExport", "inputs": {"avatar": ["1", 0], "filename_prefix": "own/rin"}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
    }
    entry = api.run_prompt(server.url, graph)
    assert api.fetch(server.url, _files(entry, "2")["vrm"]) == data
    assert (input_3d / "rin.vrm").read_bytes() == data
    assert "CC_BY" in entry["outputs"]["3"]["text"][0]
    assert load_avatar(data).meta["format"] == "VRM 0.x"


def test_a_prohibited_or_damaged_file_stops_with_a_clear_message(server, input_3d: Path, small_figure) -> None:
    """Wrong files must end the job with a sentence, not a traceback about struct or numpy."""
    data = export_avatar(small_figure).vrms["1.0"]
    (input_3d / "theirs.vrm").write_bytes(data)
    (input_3d / "broken.vrm").write_bytes(data[: len(data) // 2])
    for name, expected in (("theirs", "i_am_the_author"), ("broken", "truncated or damaged")):
        graph = {
            "1": {"class_type": "ChibiAvatarLoad", "inputs": {"file": f"3d/{name}.vrm", "i_am_the_author": False}},
            "2": {"class_type": "ChibiAvatarExport", "inputs": {"avatar": ["1", 0], "filename_prefix": "own/x"}},
        }
        with pytest.raises(AssertionError, match=expected):
            api.run_prompt(server.url, graph)
    assert not (server.output / "own" / "x_00001_.vrm").exists()


@pytest.mark.parametrize(
    "file", ["../../secret.vrm", "3d/../../../x.glb", "/etc/passwd", "3d/gone.vrm", "3d/readme.txt"]
)
def test_paths_outside_the_input_folder_are_refused(server, file: str) -> None:
    """A workflow from a stranger must not read other files of this machine."""
    shutil.copy(Path(__file__), server.base / "secret.vrm")
    graph = {
        "1": {"class_type": "ChibiAvatarLoad", "inputs": {"file": file, "i_am_the_author": True}},
        "2": {"class_type": "ChibiAvatarExport", "inputs": {"avatar": ["1", 0], "filename_prefix": "own/x"}},
    }
    status, reply = api.post(server.url, "/prompt", {"prompt": graph})
    assert status == 400, reply


def test_output_stays_in_the_output_folder(server) -> None:
    """A file name prefix from a stranger's workflow must not write elsewhere."""
    graph = {
        "1": _base(),
        "2": {"class_type": "ChibiAvatarExport", "inputs": {"avatar": ["1", 0], "filename_prefix": "../../escape"}},
    }
    with pytest.raises(AssertionError, match="(?i)outside|not allowed"):
        api.run_prompt(server.url, graph)
    assert not list(server.base.parent.glob("escape*")) and not list(server.base.glob("escape*"))
