"""The embedded model in ComfyUI and in diffusers is one model: same words, same noise, same picture."""

from __future__ import annotations

import pytest
import torch
from chibi_testing import pack

from chibi_avatar.tiny import weights
from chibi_avatar.tiny.export import export_diffusers
from chibi_avatar.tiny.networks import text, unet
from chibi_avatar.tiny.networks.autoencoder import Autoencoder
from chibi_avatar.tiny.networks.preview import Generator
from chibi_avatar.tiny.training.schedule import alphas_bar

PROMPT = "1girl, solo, chibi, (pink hair:1.0), smile"
STEPS, GUIDANCE = 4, 3.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All five files with random weights of the real architecture."""
    torch.manual_seed(0)
    where = tmp_path_factory.mktemp("tiny")
    network = unet.unet()
    control = unet.controlnet(network)
    for module in [*control.controlnet_down_blocks, control.controlnet_mid_block]:
        torch.nn.init.normal_(module.weight, std=0.02)
    states = {
        "unet": unet.to_original(network.state_dict()),
        "text": text.TextEncoder(torch.arange(300, 1300, 3)).state_dict(),
        "preview": Generator().state_dict(),
        "autoencoder": Autoencoder().vae_state(),
        "controlnet": unet.to_original(control.state_dict()),
    }
    for part, state in states.items():
        weights.write(part, state, {}, where)
    return where


@pytest.fixture(scope="module")
def nodes(comfyui_path, root):
    """The pack's ``nodes.tiny`` beside a real ComfyUI."""
    return pack.load(comfyui_path, root, "nodes.tiny")


@pytest.fixture(scope="module")
def pipeline(folder, comfyui_path, tmp_path_factory):
    """The exported folder, opened as in the article."""
    from diffusers import StableDiffusionPipeline

    target = export_diffusers(
        tmp_path_factory.mktemp("exported") / "model", comfyui_path / "comfy" / "sd1_tokenizer", folder
    )
    pipe = StableDiffusionPipeline.from_pretrained(str(target))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def noise() -> torch.Tensor:
    return torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(4))


def test_the_articles_example_runs_on_the_export(pipeline):
    """``StableDiffusionPipeline(...)(prompt).images[0]`` is a picture of the model's size."""
    image = pipeline("a chibi girl with pink hair", num_inference_steps=1).images[0]
    assert image.size == (256, 256)


def test_comfyui_and_diffusers_sample_the_same(pipeline, nodes, folder):
    """DDIM, four steps with guidance: at most 1e-3 apart in the latents, and so are the words before and the picture after."""
    import comfy.sample

    model, clip, vae = nodes.load_model(folder), nodes.load_clip(folder), nodes.load_vae(folder)
    positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(words)) for words in (PROMPT, "nsfw"))
    theirs = pipeline.encode_prompt(PROMPT.replace("(pink hair:1.0)", "pink hair"), "cpu", 1, True, "nsfw")
    assert (positive[0][0] - theirs[0]).abs().max() < 1e-4
    mine = comfy.sample.sample(
        model, noise(), STEPS, GUIDANCE, "ddim", "ddim_uniform", positive, negative, torch.zeros(1, 4, 32, 32), seed=0
    )
    first = alphas_bar()[1 + (STEPS - 1) * (1000 // STEPS)]
    latents = pipeline(
        prompt_embeds=theirs[0], negative_prompt_embeds=theirs[1], latents=noise() * (1 - first).sqrt(), num_inference_steps=STEPS,
        guidance_scale=GUIDANCE, output_type="latent",
    ).images  # fmt: skip
    mine = mine.cpu() * model.model.latent_format.scale_factor
    gap = float((mine - latents).abs().max())
    print(f"latents at most {gap:.1e} apart")  # noqa: T201
    assert gap < 1e-3
    picture = vae.decode(mine / model.model.latent_format.scale_factor)[0]
    with torch.no_grad():
        expected = (pipeline.vae.decode(latents).sample[0].movedim(0, -1) / 2 + 0.5).clamp(0, 1)
    assert (picture - expected).abs().max() < 5e-3


@pytest.mark.parametrize(("height", "width", "warned"), [(192, 384, False), (128, 256, True), (256, 512, True)])
def test_other_sizes_work_and_far_ones_are_warned_of(nodes, folder, caplog, height, width, warned):
    """A person who asks for 512² would blame the words for what the size did."""
    import comfy.sample

    model, clip = nodes.load_model(folder), nodes.load_clip(folder)
    words = clip.encode_from_tokens_scheduled(clip.tokenize(PROMPT))
    latent = torch.zeros(1, 4, height // 8, width // 8)
    with caplog.at_level("WARNING"):
        out = comfy.sample.sample(model, latent + 1, 1, 1.0, "ddim", "ddim_uniform", words, words, latent, seed=0)
    assert out.shape == latent.shape and bool(torch.isfinite(out).all())
    assert (f"{width}×{height}" in caplog.text) == warned


def test_core_can_ask_again_for_plain_weights(nodes, folder):
    """Core's LoRA training reloads what uses dynamic weights, and would refuse a loader that does not say how."""
    for patcher in (nodes.load_model(folder), nodes.load_clip(folder).patcher, nodes.load_vae(folder).patcher):
        again, arguments = patcher.cached_patcher_init
        plain = again(*arguments, disable_dynamic=True)
        assert not plain.is_dynamic()
        assert plain.model_size() > 0


def test_core_reads_the_pose_controlnet(nodes, folder):
    """ControlNetLoader's own code takes the file; its outputs fit the UNet and are diffusers'."""
    import comfy.controlnet
    import comfy.utils

    loaded = comfy.controlnet.load_controlnet_state_dict(
        comfy.utils.load_torch_file(str(weights.path_of("controlnet", folder)))
    )
    state = weights.read("controlnet", folder)
    theirs = unet.controlnet(unet.unet())
    theirs.load_state_dict(unet.from_original(state, theirs.state_dict()))
    x, step, context, hint = noise(), torch.tensor([500]), torch.randn(1, 77, 768), torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        down, middle = theirs.eval()(x, step, context, controlnet_cond=hint, return_dict=False)
        mine = loaded.control_model.float()(x=x, hint=hint, timesteps=step, context=context)
    for a, b in zip(mine["output"], down, strict=True):
        assert (a - b).abs().max() < 1e-4
    assert (mine["middle"][0] - middle).abs().max() < 1e-4


def test_a_strangers_conditioning_is_refused(nodes):
    """The preview reads this model's text encoder only, and says so."""
    with pytest.raises(ValueError, match="connect the clip of Load Chibi Tiny Model"):
        nodes.ChibiInstantPreview.execute(
            [[torch.zeros(1, 77, 2048), {"pooled_output": torch.zeros(1, 1280)}]], None, 0, 1
        )


def test_the_text_encoder_is_clips():
    """Hugging Face's CLIPTextModel on the spread-out rows says the same as the trained one."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(1)
    tokens = torch.tensor(sorted({5, 320, 1000, 4000, text.START, text.END}))
    mine = text.TextEncoder(tokens).eval()
    theirs = CLIPTextModel(CLIPTextConfig(**{k: v for k, v in text.CONFIG.items() if k != "architectures"})).eval()
    state = text.full_state(mine.state_dict())
    prefix = "" if any(key.startswith("text_model.") for key in theirs.state_dict()) else "text_model."
    theirs.load_state_dict({key.removeprefix(prefix): value for key, value in state.items()}, strict=False)
    ids = torch.full((2, text.LENGTH), text.END)
    ids[:, 0] = text.START
    ids[0, 1:5] = torch.tensor([320, 4000, 77, 5])  # 77 has no row: it is unknown, and so is every other stranger
    with torch.no_grad():
        expected = theirs(ids).last_hidden_state
        got = mine(mine.rows_of(ids))
        assert (expected - got).abs().max() < 2e-5
        ids[0, 3] = 78
        assert torch.equal(mine(mine.rows_of(ids)), got)
