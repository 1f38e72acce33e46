"""A whole UNet of full SD1.5 size against diffusers with the same IP-Adapter and LoRA, and SDXL's 70 blocks by topology."""

from __future__ import annotations

import gc

import pytest
import torch
from chibi_testing import identity_files
from chibi_testing.identity_rig import NARROW, Rig, patches
from chibi_testing.unets import comfy_model, diffusers_unet, predict


@pytest.fixture(scope="module")
def rig(comfyui_path, root):
    """The pack's identity modules beside ComfyUI's."""
    return Rig(comfyui_path, root)


def test_sd15_unet_equals_diffusers_with_adapter_and_lora(rig, tmp_path):
    """Published FaceID results would not be reproducible: faces come out wrong, or like nobody."""
    unet = diffusers_unet("sd15")
    model = comfy_model(unet, "sd15")
    adapter = rig.adapter(tmp_path / "faceid.bin", "sd15", narrow=1)
    identity = rig.identity()
    patched, _, report = rig.applied(model, adapter, identity)
    assert "16 of 16 blocks" in report and "LoRA on 128 layers" in report
    make = identity_files.maker(21, 1.0)
    latent, context, timestep = make(1, 4, 16, 16), make(1, 77, 768), torch.tensor([400])
    before = predict(model, latent, timestep, context)
    ours = predict(patched, latent, timestep, context)
    assert torch.equal(predict(model, latent, timestep, context), before), "the model upstream changed"
    assert len(patches(patched)) == 16
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


def test_sdxl_topology_equals_diffusers_and_every_block_is_hit_once(rig, tmp_path):
    """The middle block would go without the identity, as it does in the reference pack; or blocks would get another block's keys.

    Same 70 blocks as SDXL, channels divided by five: the numbering and wiring are what can go wrong, and they do not depend on width.
    """
    unet = diffusers_unet("sdxl", NARROW)
    model = comfy_model(unet, "sdxl", NARROW)
    adapter = rig.adapter(tmp_path / "faceid.bin", "sdxl")
    identity = rig.identity()
    patched, _, report = rig.applied(model, adapter, identity)
    assert "70 of 70 blocks" in report and "LoRA on 560 layers" in report
    make = identity_files.maker(22, 1.0)
    latent, context, timestep = make(1, 4, 16, 16), make(1, 77, 2048), torch.tensor([400])
    added = {"text_embeds": make(1, 1280), "time_ids": torch.tensor([[512.0, 512, 0, 0, 512, 512]])}
    y = torch.cat([added["text_embeds"], unet.add_time_proj(added["time_ids"].flatten()).reshape(1, -1)], dim=1)
    installed = patches(patched)
    calls = dict.fromkeys(installed, 0)

    def counted(key, patch):
        def call(*arguments):
            calls[key] += 1
            return patch(*arguments)

        return call

    for key, patch in list(installed.items()):
        installed[key] = counted(key, patch)
    ours = predict(patched, latent, timestep, context, y)
    assert len(calls) == 70 and set(calls.values()) == {1}
    expected = diffusers_faceid(unet, tmp_path / "faceid.bin", identity, latent, timestep, context, 0.7, added)
    assert float((ours - expected).norm() / expected.norm()) <= 1e-4
