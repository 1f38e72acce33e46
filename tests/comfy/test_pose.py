"""Pose nodes in a real ComfyUI server: with core's nodes, with files, with a photo, and in front of a real
ControlNet.
"""

from __future__ import annotations

import io
import json
import urllib.request

import numpy as np
import pytest
from chibi_testing import api
from PIL import Image

from chibi_avatar.pose import draw, keypoints, library

MODELS = {
    "pose_detection.tflite": ("pose_detection", "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"),
    "pose_landmark_full.tflite": ("pose_landmark", "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"),
    "hand_landmark_lite.tflite": ("hand_landmark", "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6"),
    "face_landmark.tflite": ("face_landmark", "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"),
}


def preview(node: str, slot: int = 0) -> dict:
    return {"class_type": "PreviewImage", "inputs": {"images": [node, slot]}}


def pictures(server, entry: dict, node: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(api.fetch(server.url, i)))) for i in entry["outputs"][node]["images"]]


def failure(server, prompt: dict) -> str:
    """What ComfyUI reports for a graph that breaks while running or is refused."""
    status, reply = api.post(server.url, "/prompt", {"prompt": prompt})
    if status != 200:
        return json.dumps(reply, ensure_ascii=False)
    for _ in range(600):
        entry = api.get(server.url, f"/history/{reply['prompt_id']}").get(reply["prompt_id"])
        if entry is not None:
            return json.dumps(entry["status"], ensure_ascii=False)
        urllib.request.urlopen(f"{server.url}/system_stats", timeout=30).read()
    raise AssertionError("the job did not end")


DRAW = {
    "profile": "sd15",
    "width": 0,
    "height": 0,
    "body": True,
    "hands": True,
    "face": False,
    "stick_width": 0,
    "threshold": 0.3,
}
PRESET = {"pose": "peace", "view": "auto", "heads": 2.5, "width": 512, "height": 640, "mirror": False}


def test_preset_is_drawn_at_the_size_of_the_latent(server):
    """A skeleton of another size is resized by nearest neighbour in front of the ControlNet, and its sticks break."""
    prompt = {
        "1": {"class_type": "ChibiPosePreset", "inputs": PRESET},
        "2": {"class_type": "ChibiPoseDraw", "inputs": {**DRAW, "pose": ["1", 0]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 768, "height": 960, "batch_size": 1}},
        "4": {"class_type": "ChibiPoseDraw", "inputs": {**DRAW, "pose": ["1", 0], "latent": ["3", 0]}},
        "5": preview("2"),
        "6": preview("4"),
    }
    entry = api.run_prompt(server.url, prompt)
    frame = keypoints.parse(keypoints.to_keypoints([library.frame("peace", 512, 640)]))[0]
    assert np.array_equal(pictures(server, entry, "5")[0], draw.draw(frame))
    assert np.array_equal(pictures(server, entry, "6")[0], draw.draw(frame, 768, 960))


def test_core_nodes_read_our_poses_and_draw_them_alike(server):
    """Core's SDPose nodes crash on missing parts and read scores; our pose has to go through them as it is."""
    core = {"draw_body": True, "draw_hands": True, "draw_face": True, "draw_feet": False, "draw_head": True}
    prompt = {
        "1": {"class_type": "ChibiPosePreset", "inputs": {**PRESET, "view": "back"}},
        "2": {
            "class_type": "SDPoseDrawKeypoints",
            "inputs": {**core, "keypoints": ["1", 0], "stick_width": 4, "face_point_size": 3, "score_threshold": 0.3},
        },
        "3": {"class_type": "ChibiPoseDraw", "inputs": {**DRAW, "pose": ["1", 0], "profile": "core", "face": True}},
        "4": {"class_type": "SDPoseFaceBBoxes", "inputs": {"keypoints": ["1", 0], "scale": 1.5, "force_square": True}},
        "5": preview("2"),
        "6": preview("3"),
    }
    entry = api.run_prompt(server.url, prompt)
    theirs, ours = pictures(server, entry, "5")[0], pictures(server, entry, "6")[0]
    assert theirs.max() > 0
    assert np.array_equal(theirs, ours)


def test_an_editor_value_is_posted_retargeted_saved_and_loaded(server):
    """Without the page, a script posts the pose as JSON; what is saved has to be read back the same."""
    text = keypoints.to_json([library.frame("running", 640, 512, 7.0)])
    prompt = {
        "1": {"class_type": "ChibiPoseEditor", "inputs": {"pose_json": text}},
        "2": {
            "class_type": "ChibiPoseRetarget",
            "inputs": {"pose": ["1", 0], "heads": 2.5, "keep_contacts": True, "source_heads": 0.0},
        },
        "3": {"class_type": "ChibiPoseSave", "inputs": {"pose": ["2", 0], "filename_prefix": "chibi/test_pose"}},
    }
    entry = api.run_prompt(server.url, prompt)
    item = entry["outputs"]["3"]["files"][0]
    saved = api.fetch(server.url, item).decode()
    assert keypoints.parse(saved)[0].people[0].tag["heads"] == 2.5
    (server.base / "input" / "pose_from_test.json").write_text(saved, encoding="utf-8")
    prompt = {
        "1": {
            "class_type": "ChibiPoseLoad",
            "inputs": {"file": "pose_from_test.json", "pose_json": "", "width": 0, "height": 0},
        },
        "2": {"class_type": "ChibiPoseDraw", "inputs": {**DRAW, "pose": ["1", 0]}},
        "3": preview("2"),
    }
    entry = api.run_prompt(server.url, prompt)
    assert np.array_equal(pictures(server, entry, "3")[0], draw.draw(keypoints.parse(saved)[0]))


def test_bad_poses_are_refused_in_one_line(server):
    """The canvas shows this message; it has to name the field and not lose the workflow."""
    load = {
        "class_type": "ChibiPoseLoad",
        "inputs": {"file": "none", "pose_json": '{"people": [', "width": 0, "height": 0},
    }
    drawn = {"class_type": "ChibiPoseDraw", "inputs": {**DRAW, "pose": ["1", 0]}}
    said = failure(server, {"1": load, "2": drawn, "3": preview("2")})
    assert "line 1" in said and "PoseError" in said
    load["inputs"].update(pose_json="", file="../../outside.json")
    said = failure(server, {"1": load, "2": drawn, "3": preview("2")})
    assert "outside.json" in said


@pytest.fixture(scope="module")
def detector(server, wheel_model):
    """The pose networks in the server's models folder, fetched as ``models download`` does."""
    folder = server.base / "models" / "chibi_pose"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (module, sha256) in MODELS.items():
        source = wheel_model("mediapipe", "0.10.21", f"mediapipe/modules/{module}/{name}", sha256)
        (folder / name).write_bytes(source.read_bytes())
    return folder


def photo_prompt(name: str, **options) -> dict:
    inputs = {
        "image": ["1", 0],
        "detector": "auto",
        "people": 1,
        "hands": True,
        "face": True,
        "whole_image": False,
        **options,
    }
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "ChibiPoseFromImage", "inputs": inputs},
        "3": {"class_type": "ChibiPoseSave", "inputs": {"pose": ["2", 0], "filename_prefix": "chibi/found"}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
        "5": preview("2", 1),
    }


def test_photo_and_empty_picture(server, detector):
    """A selfie gives a pose without any upload; a picture of nobody gives a T-pose to edit and says so, never a
    black image.
    """
    from skimage import data

    Image.fromarray(data.astronaut()).save(server.base / "input" / "astronaut.png")
    Image.new("RGB", (320, 240), (90, 120, 160)).save(server.base / "input" / "nobody.png")
    entry = api.run_prompt(server.url, photo_prompt("astronaut.png"))
    person = keypoints.parse(api.fetch(server.url, entry["outputs"]["3"]["files"][0]).decode())[0].people[0]
    for point, place in ((0, (222, 114)), (2, (115, 225)), (5, (290, 240))):
        assert np.hypot(*(person.body[point, :2] - place)) < 40
    assert person.face is not None
    entry = api.run_prompt(server.url, photo_prompt("nobody.png"))
    assert "T-pose" in json.dumps(entry["outputs"]["4"])
    assert pictures(server, entry, "5")[0].max() > 200
    person = keypoints.parse(api.fetch(server.url, entry["outputs"]["3"]["files"][0]).decode())[0].people[0]
    assert (person.body[:, 2] > 0).all()


def test_a_missing_detector_says_which_file_where_and_how(server, detector):
    """Without the file the node cannot work; the message must be enough to fix that."""
    said = failure(server, photo_prompt("nobody.png", detector="dwpose"))
    assert "dw-ll_ucoco_384.onnx" in said or "rtmlib" in said


def test_core_controlnet_takes_the_drawn_map(models_server, random_models):
    """The reason for drawing poses: a ControlNet of the full SD 1.5 architecture runs on the map, and the pose
    changes the picture.
    """
    prompt = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": random_models.add("sd15")}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "chibi"}},
        "3": {"class_type": "ControlNetLoader", "inputs": {"control_net_name": random_models.add("sd15_controlnet")}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
        "5": {"class_type": "ChibiPosePreset", "inputs": {**PRESET, "width": 128, "height": 128}},
        "6": {"class_type": "ChibiPoseDraw", "inputs": {**DRAW, "pose": ["5", 0], "latent": ["4", 0]}},
        "7": {
            "class_type": "ControlNetApplyAdvanced",
            "inputs": {
                "positive": ["2", 0],
                "negative": ["2", 0],
                "control_net": ["3", 0],
                "image": ["6", 0],
                "strength": 1.0,
                "start_percent": 0.0,
                "end_percent": 1.0,
            },
        },
        "8": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["7", 0],
                "negative": ["7", 1],
                "latent_image": ["4", 0],
                "seed": 1,
                "steps": 1,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        },
        "9": {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["1", 2]}},
        "10": preview("9"),
        "11": preview("6"),
    }
    first = api.run_prompt(models_server.url, prompt, 240)
    hint = pictures(models_server, first, "11")[0]
    assert hint.shape == (128, 128, 3) and hint.max() > 0
    prompt["5"]["inputs"]["pose"] = "jumping"
    second = api.run_prompt(models_server.url, prompt, 240)
    a, b = pictures(models_server, first, "10")[0], pictures(models_server, second, "10")[0]
    assert a.shape == b.shape and not np.array_equal(a, b), "the pose does not reach the picture"
