"""InstantID's tokens and points as core's ControlNet nodes want them."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from chibi_testing import identity_files as files
from chibi_testing.identity_rig import Rig


@pytest.fixture(scope="module")
def rig(comfyui_path, root):
    return Rig(comfyui_path, root)


@pytest.fixture(scope="module")
def node(rig):
    return importlib.import_module(f"{rig.apply.__package__}.identity_control").ChibiIdentityControl


@pytest.fixture(scope="module")
def instantid(rig, tmp_path_factory):
    """A narrow random InstantID adapter: its file has the shapes of Portrait-unnorm's, so the kind is chosen by hand."""
    blocks, make = rig.room.blocks.layout("sdxl"), files.maker(3)
    proj = {"latents": make(1, 16, 64), **files.perceiver("", 64, 512, 2048, make)}
    layers = files.ip_layers(blocks.blocks, 2048, make, lambda block: 8)
    path = files.save_bin(tmp_path_factory.mktemp("instantid") / "ip-adapter.bin", proj, layers)
    return rig.room.adapter_file.read_adapter(path, "instantid")


@pytest.fixture(scope="module")
def person(rig):
    """An identity with an embedding of antelopev2's recogniser."""
    known = rig.room.registry.BY_KEY["glintr100"]
    vector = torch.nn.functional.normalize(files.maker(5, 1.0)(1, 512))[0].numpy()
    return rig.room.model.Identity(
        {known.key: rig.room.model.Embedding(known.key, known.sha256, vector, vector * 20, vector[None])}
    )


def prompt(seed: int):
    return [[files.maker(seed, 1.0)(1, 77, 2048), {"pooled_output": torch.zeros(1, 1280)}]]


def test_the_controlnet_hears_the_face_and_sees_its_place(node, instantid, person):
    """InstantID without its ControlNet is half of it; with the text instead of the face, the ControlNet was not trained for that."""
    points = np.zeros((18, 3))
    points[[0, 14, 15, 16, 17, 1]] = [
        (384, 300, 1),
        (354, 270, 1),
        (414, 270, 1),
        (300, 280, 1),
        (468, 280, 1),
        (384, 460, 1),
    ]
    pose = [{"people": [{"pose_keypoints_2d": points.ravel().tolist()}], "canvas_width": 768, "canvas_height": 1024}]
    given = prompt(1), prompt(2)
    positive, negative, picture = node.execute(instantid, person, *given, 768, 1024, pose).result
    tokens = [side[0][1]["cross_attn_controlnet"] for side in (positive, negative)]
    assert all(part.shape == (1, 16, 2048) and torch.isfinite(part).all() for part in tokens)
    assert not torch.equal(*tokens) and "cross_attn_controlnet" not in given[0][0][1]
    assert torch.equal(positive[0][0], given[0][0][0]), "the words are gone"
    drawn = (picture[0].numpy() * 255).round().astype(int)
    assert drawn.shape == (1024, 768, 3)
    rows, columns = np.nonzero(drawn.sum(-1))
    assert 200 < rows.min() and rows.max() < 560 and abs(columns.mean() - 384) < 30
    for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)):
        assert (drawn == color).all(-1).sum() > 250
    left_eye, right_eye = ((drawn == color).all(-1).nonzero()[1].mean() for color in ((255, 0, 0), (0, 255, 0)))
    assert left_eye < right_eye


def test_nobody_passes_through_and_other_adapters_are_refused(rig, node, instantid, person, tmp_path):
    """A photo without a face would stop the workflow; FaceID's tokens would be noise for InstantID's ControlNet."""
    given = prompt(1), prompt(2)
    positive, negative, picture = node.execute(instantid, rig.room.model.Identity(), *given, 64, 64).result
    assert positive is given[0] and negative is given[1] and picture.shape == (1, 64, 64, 3) and picture.max() == 0
    faceid = rig.adapter(tmp_path / "faceid.bin", "sdxl", with_lora=False)
    with pytest.raises(rig.room.errors.IdentityError) as caught:
        node.execute(faceid, person, *given, 64, 64)
    assert (
        "faceid.bin" in str(caught.value)
        and str(tmp_path) in str(caught.value)
        and "variant instantid" in str(caught.value)
    )
