"""The embedded model's nodes: the loader, and the instant preview."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io

from ..chibi_avatar.tiny import weights

if TYPE_CHECKING:
    import torch

CATEGORY = "Chibi Avatar/Tiny model"
SIZES = (192, 384)  # pixels a side that the model draws well, from and to


async def on_load() -> None:
    """Let core's ControlNet and VAE loaders list the files that come with the pack."""
    for kind, part in (("controlnet", "controlnet"), ("vae", "autoencoder")):
        folder_paths.add_model_folder_path(kind, str(weights.path_of(part).parent), is_default=False)


def _warn_of_size(executor: Any, noise: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """Around a whole sampling run: a size that the model does not draw well is named in the log and under the sampler."""
    height, width = (8 * int(n) for n in noise.shape[-2:])
    if min(height, width) < SIZES[0] or max(height, width) > SIZES[1]:
        from comfy_execution.utils import get_executing_context
        from server import PromptServer

        text = f"The tiny model draws well from {SIZES[0]} to {SIZES[1]} pixels a side; at {width}×{height} the figure repeats or falls apart."
        logging.warning(text)
        context, server = get_executing_context(), getattr(PromptServer, "instance", None)
        if context is not None and server is not None:
            server.send_progress_text(text, context.node_id)
    return executor(noise, *args, **kwargs)


def load_model(folder: Path = weights.FOLDER, disable_dynamic: bool = False) -> Any:
    """The UNet as a ModelPatcher that warns of sizes it does not draw well. Core asks again without dynamic weights before training."""
    import comfy.model_management
    import comfy.model_patcher
    import comfy.patcher_extension
    import comfy.supported_models
    import torch

    from ..chibi_avatar.tiny.networks.unet import COMFY_CONFIG, HEAD

    class TinyConfig(comfy.supported_models.SD15):
        """SD1.5 with another width: heads of 64 channels instead of eight heads."""

        unet_extra_config = {"num_heads": -1, "num_head_channels": HEAD}

    state = weights.read("unet", folder)
    management = comfy.model_management
    config = TinyConfig(COMFY_CONFIG)
    device, offload = management.get_torch_device(), management.unet_offload_device()
    kinds = list(config.supported_inference_dtypes)
    dtype = management.unet_dtype(
        model_params=sum(v.numel() for v in state.values()), supported_dtypes=kinds, weight_dtype=torch.float32
    )
    config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device, kinds), device=device)
    model = config.get_model(state, "")
    kind = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    patcher = kind(model, load_device=device, offload_device=offload)
    patcher.cached_patcher_init = (load_model, (folder,))
    if not management.is_device_cpu(offload):
        model.to(offload)
    model.load_model_weights(state, "", assign=patcher.is_dynamic())
    patcher.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, "chibi_tiny", _warn_of_size)
    return patcher


def load_clip(folder: Path = weights.FOLDER, disable_dynamic: bool = False) -> Any:
    """Tokenizer and text encoder as ComfyUI's CLIP; ``disable_dynamic`` as in :func:`load_model`."""
    import comfy.sd
    from comfy import sd1_clip

    from ..chibi_avatar.tiny.networks.text import CONFIG, full_state

    class TinyText(sd1_clip.SDClipModel):
        """CLIP's text transformer with two layers."""

        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
            super().__init__(
                device=device,
                dtype=dtype,
                textmodel_json_config=dict(CONFIG),
                return_projected_pooled=False,
                model_options=model_options or {},
            )

    class Target:
        params = {"clip_model": TinyText}
        clip = sd1_clip.SD1ClipModel
        tokenizer = sd1_clip.SD1Tokenizer

    state = full_state(weights.read("text", folder))
    clip = comfy.sd.CLIP(
        Target,
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        parameters=sum(v.numel() for v in state.values()),
        disable_dynamic=disable_dynamic,
    )
    clip.load_sd(state)
    clip.patcher.cached_patcher_init = (_clip_patcher, (folder,))
    return clip


def _clip_patcher(folder: Path, disable_dynamic: bool = False) -> Any:
    return load_clip(folder, disable_dynamic).patcher


def load_vae(folder: Path = weights.FOLDER) -> Any:
    """The autoencoder as ComfyUI's VAE, on a CPU in a form that computes faster."""
    import comfy.sd

    from ..chibi_avatar.tiny.networks.autoencoder import quicken

    vae = comfy.sd.VAE(sd=weights.read("autoencoder", folder))
    if vae.device.type == "cpu":
        quicken(vae.first_stage_model)
    vae.patcher.cached_patcher_init = (
        comfy.sd.load_vae_patcher,
        (str(weights.path_of("autoencoder", folder)), None, None),
    )
    return vae


class ChibiTinyLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiTinyLoader",
            display_name="Load Chibi Tiny Model",
            category=CATEGORY,
            description="Loads the small chibi model that comes with this pack: no download, fast on a laptop, and every stock node takes it.",
            search_aliases=["tiny", "checkpoint", "embedded", "offline", "cpu", "小模型", "离线", "内置模型", "Q版"],
            inputs=[],
            outputs=[
                io.Model.Output(
                    "model",
                    display_name="model",
                    tooltip="The diffusion model, for KSampler. Made for 256×256; 192 to 384 works.",
                ),
                io.Clip.Output(
                    "clip",
                    display_name="clip",
                    tooltip="Its text encoder. Family 'tiny' of Chibi Prompt Builder writes the words that it knows.",
                ),
                io.Vae.Output("vae", display_name="vae", tooltip="Its autoencoder, for VAE Decode and VAE Encode."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(load_model(), load_clip(), load_vae())


@lru_cache(maxsize=1)
def _maker() -> torch.nn.Module:
    import torch

    from ..chibi_avatar.tiny import released

    return released.preview().requires_grad_(False).to(memory_format=torch.channels_last)


class ChibiInstantPreview(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiInstantPreview",
            display_name="Chibi Instant Preview",
            category=CATEGORY,
            description="A rough picture of the words in one pass of a small GAN, before the sampler makes the real one. Needs the tiny model's text encoder and VAE.",
            search_aliases=["gan", "preview", "draft", "fast", "one step", "预览", "草图", "快速"],
            inputs=[
                io.Conditioning.Input("positive", tooltip="The words, encoded by the clip of Load Chibi Tiny Model."),
                io.Vae.Input("vae", tooltip="The vae of Load Chibi Tiny Model."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Another seed, another idea.",
                ),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="How many pictures to draw at once."),
            ],
            outputs=[
                io.Image.Output(
                    "image", display_name="image", tooltip="The pictures, 256×256, drawn at half that size."
                ),
                io.Latent.Output(
                    "latent",
                    display_name="latent",
                    tooltip="The same as latents, to go on from with KSampler at a denoise of about 0.6.",
                ),
            ],
        )

    @classmethod
    def execute(cls, positive, vae, seed, batch_size) -> io.NodeOutput:
        import torch

        from ..chibi_avatar.tiny.networks.autoencoder import SCALE
        from ..chibi_avatar.tiny.networks.preview import NOISE, TEXT, enlarged, enlarged_pictures
        from ..chibi_avatar.tiny.networks.text import LENGTH

        context, extras = positive[0]
        pool = extras.get("pooled_output")
        if context.shape[-1] != TEXT or pool is None or pool.shape[-1] != TEXT:
            raise ValueError(
                "positive was encoded by another model's CLIP: connect the clip of Load Chibi Tiny Model to the text encoder"
            )
        with torch.inference_mode():
            noise = torch.randn((batch_size, NOISE), generator=torch.Generator().manual_seed(seed))
            words = context[:1, :LENGTH].float().cpu().expand(batch_size, -1, -1)
            latent = _maker()(noise, words, pool[:1].float().cpu().expand(batch_size, -1)) / SCALE
            picture = enlarged_pictures(vae.decode(latent))
        return io.NodeOutput(picture, {"samples": enlarged(latent)})


NODES: list[type[io.ComfyNode]] = [ChibiTinyLoader, ChibiInstantPreview]
