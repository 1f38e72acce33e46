"""The diffusion UNet in Stable Diffusion 1.5's topology, small: diffusers' class for training, and the names ComfyUI reads.

Levels of 64, 128 and 192 channels over latents; attention (heads of 64 channels) below the first level, where it costs little; the
context is 768 wide as CLIP's. The pose ControlNet is diffusers' too, a copy of the UNet's first half.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

CHANNELS = (64, 128, 192)
HEAD = 64
CONTEXT = 768
LATENT_CHANNELS = 4

UNET_CONFIG: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "block_out_channels": CHANNELS,
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": CONTEXT,
    "attention_head_dim": tuple(c // HEAD for c in CHANNELS),  # diffusers' name for the number of heads
    "norm_num_groups": 32,
}

# What ``comfy.model_detection`` would find in the file: the same network in the words of the original code.
COMFY_CONFIG: dict[str, Any] = {
    "image_size": 32,
    "use_checkpoint": False,
    "use_spatial_transformer": True,
    "legacy": False,
    "in_channels": LATENT_CHANNELS,
    "out_channels": LATENT_CHANNELS,
    "model_channels": CHANNELS[0],
    "channel_mult": [c // CHANNELS[0] for c in CHANNELS],
    "num_res_blocks": [1, 1, 1],
    "transformer_depth": [0, 1, 1],
    "transformer_depth_output": [0, 0, 1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "context_dim": CONTEXT,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}


def unet() -> nn.Module:
    """A fresh ``UNet2DConditionModel``: (B, 4, h, w), step (B,), context (B, n, 768) → predicted noise."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(**UNET_CONFIG)


def controlnet(base: nn.Module) -> nn.Module:
    """A ``ControlNetModel`` that starts as a copy of ``base``'s first half; its hint is the drawn skeleton (B, 3, 8h, 8w) in 0..1."""
    from diffusers import ControlNetModel

    return ControlNetModel.from_unet(base, conditioning_embedding_out_channels=(16, 32, 96, 256))


_RES = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip


def _blocks() -> list[tuple[str, str]]:
    """(diffusers prefix, original prefix) of every block, for one layer a level."""
    levels = len(CHANNELS)
    out = [
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
        ("mid_block.resnets.0", "middle_block.0"),
        ("mid_block.attentions.0", "middle_block.1"),
        ("mid_block.resnets.1", "middle_block.2"),
    ]
    for level in range(levels):
        block = 1 + 2 * level
        out += [
            (f"down_blocks.{level}.resnets.0", f"input_blocks.{block}.0"),
            (f"down_blocks.{level}.attentions.0", f"input_blocks.{block}.1"),
            (f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{block + 1}.0.op"),
        ]
        for layer in range(2):
            block = 2 * level + layer
            out += [
                (f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{block}.0"),
                (f"up_blocks.{level}.attentions.{layer}", f"output_blocks.{block}.1"),
            ]
        # an upsampler follows the level's last attention, or its resnet where there is none
        place = 2 if UNET_CONFIG["up_block_types"][level].startswith("Cross") else 1
        out.append((f"up_blocks.{level}.upsamplers.0.conv", f"output_blocks.{2 * level + 1}.{place}.conv"))
    return out


def to_original(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A diffusers state dict of the UNet or its ControlNet under the names of the original code. Raises KeyError for a stray key."""
    table = _blocks() + [
        ("controlnet_mid_block", "middle_block_out.0"),
        ("controlnet_cond_embedding.conv_in", "input_hint_block.0"),
        ("controlnet_cond_embedding.conv_out", "input_hint_block.14"),
        *((f"controlnet_cond_embedding.blocks.{i}", f"input_hint_block.{2 * i + 2}") for i in range(6)),
        *((f"controlnet_down_blocks.{i}", f"zero_convs.{i}.0") for i in range(2 * len(CHANNELS))),
    ]
    out = {}
    for key, value in state.items():
        prefix, original = next((pair for pair in table if key.startswith(f"{pair[0]}.")), (None, None))
        if prefix is None or original is None:
            raise KeyError(f"{key} is no part of the tiny UNet or ControlNet")
        rest = key[len(prefix) + 1 :]
        name, _, leaf = rest.partition(".")
        out[
            f"{original}.{_RES[name]}.{leaf}"
            if ".resnets." in prefix or prefix.startswith("mid_block.res")
            else f"{original}.{rest}"
        ] = value
    return out


def from_original(state: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of :func:`to_original`, for a network whose own state dict is ``like``."""
    names = dict(zip(like, to_original({key: key for key in like}), strict=True))  # type: ignore[arg-type]
    return {key: state[name] for key, name in names.items()}
