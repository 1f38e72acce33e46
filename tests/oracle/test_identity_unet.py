"""A whole UNet of full SD1.5 size against diffusers with the same IP-Adapter and LoRA, and SDXL's 70 blocks by topology."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from chibi_testing import identity_files, pack
from chibi_testing.unets import comfy_model, diffusers_unet, predict


@pytest.fixture(scope="module")
def apply(comfyui_path, root):
    """The pack's ``nodes.identity_apply``."""
    return pack.load(comfyui_path, root, "nodes.identity_apply")


def request(apply, adapter, identity, **changes):
    """Everything at its plain values: linear, the whole run, LoRA at 1."""
    values = dict(
        adapter=adapter, identity=identity, weight=0.7, kind="linear", start=0.0, end=1.0, ramp=0.0, cap=0.0, structure=1.0,
        scaling="V only", lora_strength=1.0, compatible=False,
    )  # fmt: skip
    return apply.Request(**{**values, **changes})


def faceid_identity(apply, seed: int = 5):
    """An identity with a made-up embedding of the recogniser that FaceID wants."""
    package = apply.__package__.rsplit(".", 1)[0]
    import importlib

    model = importlib.import_module(f"{package}.chibi_avatar.identity.model")
    registry = importlib.import_module(f"{package}.chibi_avatar.identity.registry")
    vector = torch.nn.functional.normalize(identity_files.maker(seed, 1.0)(1, 512))[0].numpy().astype(np.float32)
    made = model.Embedding("w600k_r50", registry.BY_KEY["w600k_r50"].sha256, vector, vector * 20, vector[None])
    return model.Identity({"w600k_r50": made})


def write_adapter(apply, path, family: str, narrow: int = 1, with_lora: bool = True, variant: str = "faceid"):
    """A random adapter file of the right widths, read back by the pack."""
    import importlib

    blocks = importlib.import_module("chibi_avatar.identity.blocks").layout(family)
    text = blocks.text_width
    make = identity_files.maker(11)

    def width(block):
        return block.width // narrow

    layers = identity_files.ip_layers(blocks.blocks, text, make, width)
    if with_lora:
        layers.update(identity_files.lora(blocks.blocks, text, make, 128 if narrow == 1 else 8, width))
    file = identity_files.save_bin(path, identity_files.image_proj(variant, text, make), layers)
    package = apply.__package__.rsplit(".", 1)[0]
    return importlib.import_module(f"{package}.chibi_avatar.identity.adapter_file").read_adapter(file)


def test_sd15_unet_equals_diffusers_with_adapter_and_lora(apply, tmp_path):
    """Published FaceID results would not be reproducible: faces come out wrong, or like nobody."""
    unet = diffusers_unet("sd15")
    model = comfy_model(unet, "sd15")
    adapter = write_adapter(apply, tmp_path / "faceid.bin", "sd15")
    identity = faceid_identity(apply)
    patched, _, report = apply.apply_identity(model, request(apply, adapter, identity))
    assert "16 of 16 blocks" in report and "LoRA on 128 layers" in report
    make = identity_files.maker(21, 1.0)
    latent, context, timestep = make(1, 4, 16, 16), make(1, 77, 768), torch.tensor([400])
    before = predict(model, latent, timestep, context)
    ours = predict(patched, latent, timestep, context)
    assert torch.equal(predict(model, latent, timestep, context), before), "the model upstream changed"
    kept = [*patched.model_options["transformer_options"]["patches_replace"]["attn2"].values()]
    assert len(kept) == 16
    expected = diffusers_faceid(unet, tmp_path / "faceid.bin", identity, latent, timestep, context, 0.7)
    del patched, model
    gc.collect()
    assert float((before - ours).norm() / before.norm()) > 1e-3, "the identity did nothing"
    assert float((ours - expected).norm() / expected.norm()) <= 1e-4


def diffusers_faceid(unet, file, identity, latent, timestep, context, weight, added=None):
    """diffusers' own IP-Adapter; its LoRA is merged by hand, as W + up @ down (what PEFT does at scale 1)."""
    added = added or {}
    state = torch.load(str(file), weights_only=True)
    names = list(unet.attn_processors)
    weights = dict(unet.named_parameters())
    with torch.no_grad():
        for number, name in enumerate(names):
            for part, leaf in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("out", "to_out.0")):
                up = state["ip_adapter"].get(f"{number}.to_{part}_lora.up.weight")
                if up is not None:
                    down = state["ip_adapter"][f"{number}.to_{part}_lora.down.weight"]
                    weights[f"{name.removesuffix('.processor')}.{leaf}.weight"] += up @ down
    unet._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [weight]
    embedding = torch.from_numpy(identity.embeddings["w600k_r50"].vector)[None, None]
    with torch.inference_mode():
        return unet(latent, timestep, context, added_cond_kwargs={"image_embeds": [embedding], **added}).sample


def test_sdxl_topology_equals_diffusers_and_every_block_is_hit_once(apply, tmp_path):
    """The middle block would go without the identity, as it does in the reference pack; or blocks would get another block's keys.

    Same 70 blocks as SDXL, channels divided by five: the numbering and wiring are what can go wrong, and they do not depend on width.
    """
    narrow = 5
    unet = diffusers_unet("sdxl", narrow)
    model = comfy_model(unet, "sdxl", narrow)
    adapter = write_adapter(apply, tmp_path / "faceid.bin", "sdxl", narrow)
    identity = faceid_identity(apply)
    patched, _, report = apply.apply_identity(model, request(apply, adapter, identity))
    assert "70 of 70 blocks" in report and "LoRA on 560 layers" in report
    make = identity_files.maker(22, 1.0)
    latent, context, timestep = make(1, 4, 16, 16), make(1, 77, 2048), torch.tensor([400])
    added = {"text_embeds": make(1, 1280), "time_ids": torch.tensor([[512.0, 512, 0, 0, 512, 512]])}
    y = torch.cat([added["text_embeds"], unet.add_time_proj(added["time_ids"].flatten()).reshape(1, -1)], dim=1)
    patches = patched.model_options["transformer_options"]["patches_replace"]["attn2"]
    calls = dict.fromkeys(patches, 0)

    def counted(key, patch):
        def call(*arguments):
            calls[key] += 1
            return patch(*arguments)

        return call

    for key, patch in list(patches.items()):
        patches[key] = counted(key, patch)
    ours = predict(patched, latent, timestep, context, y)
    assert len(calls) == 70 and set(calls.values()) == {1}
    expected = diffusers_faceid(unet, tmp_path / "faceid.bin", identity, latent, timestep, context, 0.7, added)
    assert float((ours - expected).norm() / expected.norm()) <= 1e-4
