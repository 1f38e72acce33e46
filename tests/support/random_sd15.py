"""A Stable Diffusion 1.5 checkpoint and ControlNet of the full architecture with random weights, for runs without a download.

Run inside ComfyUI's environment: python random_sd15.py COMFYUI_FOLDER OUTPUT_FOLDER
The names and shapes come from ComfyUI's own model classes, built without memory; the values are small and seeded.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import NamedTuple

CHECKPOINT, CONTROLNET = "random_sd15.safetensors", "random_sd15_openpose.safetensors"


class RandomModels(NamedTuple):
    """File names as ComfyUI's loaders list them."""

    checkpoint: str = CHECKPOINT
    controlnet: str = CONTROLNET


def text_encoder_shapes() -> dict[str, tuple[int, ...]]:
    """CLIP ViT-L/14's text model."""
    prefix = "cond_stage_model.transformer.text_model."
    out = {
        f"{prefix}embeddings.token_embedding.weight": (49408, 768),
        f"{prefix}embeddings.position_embedding.weight": (77, 768),
        f"{prefix}final_layer_norm.weight": (768,),
        f"{prefix}final_layer_norm.bias": (768,),
    }
    for layer in range(12):
        at = f"{prefix}encoder.layers.{layer}."
        shapes = {"layer_norm1": (768,), "layer_norm2": (768,), "mlp.fc1": (3072, 768), "mlp.fc2": (768, 3072)}
        shapes |= {f"self_attn.{name}_proj": (768, 768) for name in ("q", "k", "v", "out")}
        for name, shape in shapes.items():
            out[f"{at}{name}.weight"] = shape
            out[f"{at}{name}.bias"] = shape[:1]
    return out


def model_shapes() -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Names and shapes of the checkpoint and of the ControlNet, from ComfyUI's classes on the meta device."""
    import comfy.cldm.cldm
    import comfy.ops
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = {
        "image_size": 32,
        "in_channels": 4,
        "model_channels": 320,
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": (1, 2, 4, 4),
        "num_heads": 8,
        "use_spatial_transformer": True,
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "context_dim": 768,
        "legacy": False,
        "dtype": torch.float16,
        "device": "meta",
        "operations": comfy.ops.disable_weight_init,
    }
    decoder = {"transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "transformer_depth_middle": 1}
    parts = {
        "model.diffusion_model.": UNetModel(out_channels=4, **unet, **decoder),
    }
    sizes = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    sizes |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with torch.device("meta"):
        parts["first_stage_model."] = AutoencoderKL(ddconfig=sizes, embed_dim=4)
    checkpoint = {p + k: tuple(v.shape) for p, m in parts.items() for k, v in m.state_dict().items()}
    control = comfy.cldm.cldm.ControlNet(hint_channels=3, **{**unet, "transformer_depth_middle": 1})
    return {**checkpoint, **text_encoder_shapes()}, {f"control_model.{k}": tuple(v.shape) for k, v in control.state_dict().items()}


def write(path: Path, shapes: dict[str, tuple[int, ...]], seed: int) -> None:
    """A safetensors file of small random half-precision values; norms' weights are 1."""
    import numpy as np

    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(1 << 20).astype(np.float16)
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            count = int(np.prod(shape))
            if "norm" in name and name.endswith("weight"):
                values = np.ones(count, np.float16)
            else:
                fan = max(1, count // shape[0])
                values = np.resize(np.roll(noise, int(rng.integers(1 << 20))), count) * np.float16(0.7 / fan**0.5)
            file.write(values.astype(np.float16).tobytes())
    part.replace(path)


def main() -> None:
    comfyui, target = sys.argv[1:3]
    sys.argv = [sys.argv[0], "--cpu"]
    sys.path.insert(0, comfyui)
    import comfy.options

    comfy.options.enable_args_parsing()
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, control = model_shapes()
    write(folder / CHECKPOINT, checkpoint, 1)
    write(folder / CONTROLNET, control, 2)


if __name__ == "__main__":
    main()
