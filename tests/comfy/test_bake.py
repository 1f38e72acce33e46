"""Guides, render and bake inside a real ComfyUI, alone and as the shipped workflow."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from chibi_testing import api
from chibi_testing.blender import losses
from PIL import Image, ImageDraw

from chibi_avatar.avatar.camera import view_set
from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.guides import guide_maps
from chibi_avatar.avatar.load import load_avatar
from chibi_avatar.avatar.vrm_check import check_vrm

CHARACTER = json.dumps(
    {
        "chibi_character": 1,
        "name": "Mint",
        "hair": {"style": "bob", "color": {"hex": "#7fd0b0"}},
        "outfit": {"kind": "hoodie", "color": {"hex": "#e8b23a"}},
    }
)
BASE = {"class_type": "ChibiAvatarBase", "inputs": {"character": CHARACTER, "preset": "mobile", "texture_size": "512"}}


def _guides(**inputs):
    return {
        "class_type": "ChibiAvatarGuides",
        "inputs": {"avatar": ["1", 0], "view_set": "sides4", "size": 256, "layout": "batch", "fov": 0.0, **inputs},
    }


def _bake(images, **inputs):
    options = {
        "size": "512",
        "register": True,
        "match_colors": True,
        "mirror": True,
        "fill": "auto",
        "strength": 1.0,
        **inputs,
    }
    return {
        "class_type": "ChibiTextureBake",
        "inputs": {"avatar": ["1", 0], "images": images, "views": ["2", 6], **options},
    }


def _render(avatar, **inputs):
    options = {
        "view": "front",
        "width": 256,
        "height": 320,
        "background": "soft",
        "expression": "",
        "outline": True,
        "frames": 8,
    }
    return {"class_type": "ChibiAvatarRender", "inputs": {"avatar": avatar, **options, **inputs}}


def _save(images, prefix="chibi_bake/test"):
    return {"class_type": "SaveImage", "inputs": {"images": images, "filename_prefix": prefix}}


def _pictures(server, entry, node):
    return [
        Image.open(io.BytesIO(api.fetch(server.url, item))).convert("RGB") for item in entry["outputs"][node]["images"]
    ]


def _array(picture):
    return np.asarray(picture, np.float32) / 255


def test_every_guide_arrives_as_a_picture(server):
    """ControlNet would get a wrong size or nothing: all maps, as batch and as sheet."""
    graph = {"1": BASE, "2": _guides(), "3": _guides(layout="sheet", view_set="sides6", size=128)}
    graph["4"] = {"class_type": "MaskToImage", "inputs": {"mask": ["2", 4]}}
    for number, slot in enumerate((0, 1, 2, 3, 5, 7)):
        graph[f"1{number}"] = _save(["2", slot])
        graph[f"2{number}"] = _save(["3", slot])
    graph["30"] = _save(["4", 0])
    entry = api.run_prompt(server.url, graph)
    for number in range(6):
        batch, sheet = _pictures(server, entry, f"1{number}"), _pictures(server, entry, f"2{number}")
        assert [p.size for p in batch] == [(256, 256)] * 4 and [p.size for p in sheet] == [(384, 256)]
        assert all(_array(p).std() > 0.01 for p in (*batch, *sheet))
    mask = _array(_pictures(server, entry, "30")[0])[:, :, 0]
    depth = _array(_pictures(server, entry, "10")[0])[:, :, 0]
    assert ((mask > 0.5) == (depth > 0)).all()


def test_what_was_drawn_is_on_the_exported_avatar(server):
    """The whole promise: a drawing on the front view ends up on the front of the VRM, and nowhere else."""
    graph = {
        "1": BASE,
        "2": _guides(),
        "3": {"class_type": "EmptyImage", "inputs": {"width": 24, "height": 24, "batch_size": 1, "color": 0xFF0000}},
    }
    # a red square on the chest of the front view only
    graph["4"] = {"class_type": "ImageFromBatch", "inputs": {"image": ["2", 5], "batch_index": 0, "length": 1}}
    graph["5"] = {"class_type": "ImageFromBatch", "inputs": {"image": ["2", 5], "batch_index": 1, "length": 3}}
    graph["6"] = {
        "class_type": "ImageCompositeMasked",
        "inputs": {"destination": ["4", 0], "source": ["3", 0], "x": 116, "y": 160, "resize_source": False},
    }
    graph["7"] = {"class_type": "ImageBatch", "inputs": {"image1": ["6", 0], "image2": ["5", 0]}}
    graph["8"] = _bake(["7", 0], size="1024")
    for number, view in enumerate(("front", "back")):
        graph[f"1{number}"] = _render(["8", 0], view=view, outline=False)
        graph[f"2{number}"] = _save([f"1{number}", 0])
    graph["30"] = {"class_type": "PreviewAny", "inputs": {"source": ["8", 3]}}
    graph["31"] = {
        "class_type": "ChibiAvatarExport",
        "inputs": {"avatar": ["8", 0], "filename_prefix": "chibi_bake/mint", "vrm_version": "1.0", "author": "Test"},
    }
    entry = api.run_prompt(server.url, graph)
    front, back = (_array(_pictures(server, entry, f"2{number}")[0]) for number in (0, 1))

    def red(image):
        return ((image[..., 0] > 0.75) & (image[..., 1] < 0.15) & (image[..., 2] < 0.2)).sum()

    assert red(front) > 100 and red(back) == 0
    report = json.loads(entry["outputs"]["30"]["text"][0])
    assert report["atlas"] == 1024 and len(report["views"]) == 4
    assert all(view["iou"] > 0.95 and view["scale"] == 1.0 for view in report["views"])
    files = {item["filename"].rpartition(".")[2]: item for item in entry["outputs"]["31"]["3d"]}
    data = api.fetch(server.url, files["vrm"])
    assert check_vrm(read_glb(data)) == []
    pixels = load_avatar(data, "mint.vrm", i_am_the_author=True).textures[0].pixels
    assert red(pixels[:, :, :3] / 255) > 50


def _spots(picture: np.ndarray, color: tuple[int, int, int]) -> tuple[int, np.ndarray]:
    """How many pixels of ``picture`` (H, W, 3) 0..1 have ``color``, and their middle (x, y)."""
    y, x = np.nonzero(np.abs(picture - np.float32(color) / 255).max(2) < 0.2)
    return len(x), np.array([x.mean(), y.mean()]) if len(x) else np.zeros(2)


def test_hand_made_views_through_the_shipped_workflow(server, root, run_node, tmp_path):
    """Save the four views, draw on two of them, bake: the drawing must be on the VRM where it was drawn, for three-vrm and after Blender."""
    graph = json.loads((root / "workflows" / "api" / "avatar_from_views.json").read_text(encoding="utf-8"))
    first = {key: node for key, node in graph.items() if key in ("1", "2", "3", "4", "5", "6")}
    views = _pictures(server, api.run_prompt(server.url, first), "6")
    figure = np.nonzero((np.asarray(views[0]).min(2) < 250).any(1))[0]
    spot = 562, int(figure[0] + 0.56 * (figure[-1] - figure[0]))
    colors = {0: (255, 0, 255), 2: (0, 60, 255)}  # a magenta button on the chest, a blue one on the back
    for number, view in enumerate(views):
        if number in colors:
            x, y = spot
            ImageDraw.Draw(view).ellipse((x - 16, y - 16, x + 16, y + 16), fill=colors[number])
        view.save(server.base / "input" / f"drawn_{number}.png")
        graph[f"2{number}"] = {"class_type": "LoadImage", "inputs": {"image": f"drawn_{number}.png"}}
    for number in (1, 2, 3):
        before = [f"3{number - 1}", 0] if number > 1 else ["20", 0]
        graph[f"3{number}"] = {"class_type": "ImageBatch", "inputs": {"image1": before, "image2": [f"2{number}", 0]}}
    graph["7"]["inputs"]["images"] = ["33", 0]
    for key in ("4", "5", "6"):
        del graph[key]
    entry = api.run_prompt(server.url, graph)
    (vrm,) = [item for item in entry["outputs"]["10"]["3d"] if item["filename"].endswith(".vrm")]
    path = tmp_path / "drawn.vrm"
    path.write_bytes(api.fetch(server.url, vrm))
    (seen,) = [
        json.loads(line) for line in run_node(root / "tests" / "js" / "check_avatars.mjs", str(path)).splitlines()
    ]
    assert "failed" not in seen and seen["errors"] == 0 and seen["bones"] >= 17
    files = [path]
    if sys.version_info[:2] == (3, 11):  # the only Python that Blender and its VRM add-on both have wheels for
        assert losses([path], tmp_path, root, run_node) == {}
        files.append(tmp_path / "blender_drawn.vrm")
    for file in files:
        avatar = load_avatar(file.read_bytes(), file.name, i_am_the_author=True)
        shown = guide_maps(avatar, view_set(avatar, "sides4", 1024), ["paint"])["paint"]
        for number, color in colors.items():
            wanted, _ = _spots(_array(views[number]), color)
            count, middle = _spots(shown[number], color)
            assert abs(count - wanted) < 0.1 * wanted, (file.name, number)
            np.testing.assert_allclose(middle, spot, atol=2.0, err_msg=f"{file.name}, view {number}")
            assert _spots(shown[2 - number], color)[0] == 0


def test_a_turntable_a_portrait_and_a_pose(server):
    """The demo's pictures: a batch all around, an expression that shows, a pose from keypoints."""
    graph = {
        "1": BASE,
        "2": _render(["1", 0], view="turntable", frames=3, width=128, height=160),
        "3": _save(["2", 0]),
        "4": _render(["1", 0], view="face"),
        "5": _save(["4", 0]),
        "6": _render(["1", 0], view="face", expression="blink"),
        "7": _save(["6", 0]),
        "8": {
            "class_type": "ChibiPosePreset",
            "inputs": {"pose": "waving", "view": "auto", "heads": 2.5, "width": 256, "height": 256, "mirror": False},
        },
        "9": _render(["1", 0], pose=["8", 0]),
        "10": _save(["9", 0]),
        "11": _render(["1", 0]),
        "12": _save(["11", 0]),
    }
    entry = api.run_prompt(server.url, graph)
    assert [p.size for p in _pictures(server, entry, "3")] == [(128, 160)] * 3
    pictures = {node: _array(_pictures(server, entry, node)[0]) for node in ("5", "7", "10", "12")}
    assert np.abs(pictures["5"] - pictures["7"]).mean() > 0.002
    assert np.abs(pictures["10"] - pictures["12"]).mean() > 0.02


@pytest.mark.parametrize(
    ("bake", "message"),
    [
        (_bake(["4", 0]), "for 4 cameras"),
        (_bake(["5", 0]), "the shape must be the same"),
        (_bake(["2", 5], mask=["6", 0]), "masks of all views are empty"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_lost(server, bake, message):
    """A wrong wire must say what is wrong, not bake nonsense."""
    graph = {
        "1": BASE,
        "2": _guides(size=64),
        "3": bake,
        "4": {"class_type": "ImageFromBatch", "inputs": {"image": ["2", 5], "batch_index": 0, "length": 3}},
        "5": {
            "class_type": "ImageScale",
            "inputs": {"image": ["2", 5], "upscale_method": "area", "width": 64, "height": 96, "crop": "disabled"},
        },
        "6": {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 64, "height": 64}},
        "10": _save(["3", 1]),
    }
    entry = api.run_failing(server.url, graph)
    assert message in entry["exception_message"]
    assert entry["node_id"] == "3"


def test_the_shipped_workflow_runs(server, root):
    """The template that people open first must yield a picture and a VRM that keeps the specification, without any model."""
    graph = json.loads((root / "workflows" / "api" / "avatar_from_views.json").read_text(encoding="utf-8"))
    entry = api.run_prompt(server.url, graph)
    assert _pictures(server, entry, "9")[0].size == (1024, 1024)
    assert len(_pictures(server, entry, "6")) == 4
    report = json.loads(entry["outputs"]["11"]["text"][0])
    assert min(view["psnr_db"] for view in report["views"]) > 22 and report["seam_delta_e"]["median"] < 1
    (vrm,) = [item for item in entry["outputs"]["10"]["3d"] if item["filename"].endswith(".vrm")]
    assert check_vrm(read_glb(api.fetch(server.url, vrm))) == []
