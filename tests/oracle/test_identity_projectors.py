"""Every projector against diffusers' own, with random weights of full size."""

from __future__ import annotations

import pytest
import torch
from chibi_testing.identity_files import image_proj, maker
from diffusers.loaders.unet import UNet2DConditionLoadersMixin

from chibi_avatar.identity import projectors

CASES = [
    (variant, text)
    for text in (768, 2048)
    for variant in ("faceid", "portrait", "faceid_plus", "faceid_plus_v2", "plus_face")
]
CASES += [("portrait_unnorm", 2048), ("instantid", 2048)]


@pytest.mark.parametrize(("variant", "text"), CASES)
def test_tokens_equal_diffusers(variant, text):
    """An identity would become somebody else's face: tokens must be what the adapter was trained with."""
    make = maker(len(variant) + text)
    weights = image_proj(variant, text, make)
    theirs = UNet2DConditionLoadersMixin._convert_ip_adapter_image_proj_to_diffusers(
        UNet2DConditionLoadersMixin(), dict(weights), low_cpu_mem_usage=False
    )
    face, clip = make(1, 512) * 50, make(1, 257, 1280) * 50
    with torch.inference_mode():
        if variant in ("faceid", "portrait"):
            ours, expected = projectors.face_mlp(weights, face), theirs(face)
        elif variant.startswith("faceid_plus"):
            theirs.clip_embeds, theirs.shortcut, theirs.shortcut_scale = clip[None], variant == "faceid_plus_v2", 0.7
            expected = theirs(face[None])
            ours = projectors.face_plus(weights, face, clip, 0.7, variant == "faceid_plus_v2")
        else:
            features = clip if variant == "plus_face" else face[:, None]
            ours, expected = projectors.resampler(weights, features), theirs(features)
    assert (ours - expected.reshape(ours.shape)).abs().max() <= 1e-5
