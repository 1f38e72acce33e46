"""Model files of the full published architectures with random weights, so that whole workflows run without a download.

Names and shapes of networks come from ComfyUI's own classes, built without memory in a process of its own (this file as a script); adapters come
from :mod:`identity_files`. Values are seeded half-precision noise, scaled by fan-in so that nothing overflows on the way to a picture.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]

# name: folder under models/, file name. SDXL's checkpoint is 6.9 GB, its ControlNet 2.5 GB; the rest is 2 GB or less.
FILES = {
    "sd15": ("checkpoints", "random_sd15.safetensors"),
    "sdxl": ("checkpoints", "random_sdxl.safetensors"),
    "sd15_controlnet": ("controlnet", "random_sd15_controlnet.safetensors"),
    "sdxl_union": ("controlnet", "random_sdxl_union.safetensors"),
    "clip_vision_h": ("clip_vision", "random_clip_vision_h.safetensors"),
    "sd15_plus_face": ("ipadapter", "random_sd15_plus_face.safetensors"),
    "sdxl_plus_face": ("ipadapter", "random_sdxl_plus_face.safetensors"),
    "sd15_faceid": ("ipadapter", "random_sd15_faceid.safetensors"),
    "sd15_faceid_plus_v2": ("ipadapter", "random_sd15_faceid_plus_v2.safetensors"),
    "sdxl_faceid": ("ipadapter", "random_sdxl_faceid.safetensors"),
}
_NOISE = 1_000_003  # prime, so that rows of a matrix differ


class RandomModels:
    """The files of one test session under ``folder``: each is made when it is first asked for, all are gone after :meth:`remove`."""

    def __init__(self, comfyui: Path, folder: Path) -> None:
        self.folder = folder
        self._comfyui = comfyui

    def add(self, name: str) -> str:
        """Make the file ``name`` of :data:`FILES` unless it is there; returns its name as ComfyUI's loaders list it."""
        kind, filename = FILES[name]
        target = self.folder / kind / filename
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shapes = adapter_shapes(name) if kind == "ipadapter" else self._networks[name]
            write(target, shapes, zlib.crc32(name.encode()))
        return filename

    @cached_property
    def _networks(self) -> dict[str, Shapes]:
        command = [sys.executable, __file__, str(self._comfyui)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)

    def extra_model_paths(self) -> Path:
        """The file for ComfyUI's ``--extra-model-paths-config``."""
        path = self.folder / "extra_model_paths.yaml"
        kinds = sorted({kind for kind, _ in FILES.values()})
        for kind in kinds:
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        lines = ["random:", f"  base_path: {json.dumps(str(self.folder))}", *(f"  {kind}: {kind}" for kind in kinds)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def remove(self) -> None:
        """Delete every file."""
        shutil.rmtree(self.folder, ignore_errors=True)


def adapter_shapes(name: str) -> Shapes:
    """Names and shapes of an adapter file, ``family_variant``, in the flat layout of safetensors."""
    import torch

    from chibi_avatar.identity.blocks import layout

    from . import identity_files

    family, _, variant = name.partition("_")
    blocks = layout(family)

    def make(*shape: int) -> torch.Tensor:
        return torch.empty(shape, device="meta")

    layers = identity_files.ip_layers(blocks.blocks, blocks.text_width, make)
    if variant.startswith("faceid"):
        layers.update(identity_files.lora(blocks.blocks, blocks.text_width, make))
    sections = {"image_proj": identity_files.image_proj(variant, blocks.text_width, make), "ip_adapter": layers}
    return {f"{part}.{key}": tuple(value.shape) for part, found in sections.items() for key, value in found.items()}


def write(path: Path, shapes: Shapes, seed: int) -> None:
    """A safetensors file of half-precision noise: norms' weights are 1, biases small, the rest keeps the size of what passes through."""
    import numpy as np

    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(_NOISE).astype(np.float32)
    scaled: dict[float, memoryview] = {}
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
            if len(shape) == 1 and name.endswith("weight"):
                file.write(np.ones(count, np.float16).tobytes())
                continue
            scale = 0.02 if len(shape) == 1 else 0.7 / max(1, count // shape[0]) ** 0.5
            if scale not in scaled:
                scaled[scale] = memoryview((noise * scale).astype(np.float16).tobytes())
            values, start = scaled[scale], 2 * int(rng.integers(_NOISE))
            left = 2 * count
            while left:
                piece = values[start : start + left]
                file.write(piece)
                left, start = left - len(piece), 0
    part.replace(path)


def clip_l_shapes(prefix: str) -> Shapes:
    """CLIP ViT-L/14's text model."""
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


def clip_g_shapes(prefix: str) -> Shapes:
    """OpenCLIP ViT-bigG/14's text model as SDXL checkpoints carry it."""
    width = 1280
    out = {
        f"{prefix}token_embedding.weight": (49408, width),
        f"{prefix}positional_embedding": (77, width),
        f"{prefix}text_projection": (width, width),
        f"{prefix}ln_final.weight": (width,),
        f"{prefix}ln_final.bias": (width,),
    }
    for layer in range(32):
        at = f"{prefix}transformer.resblocks.{layer}."
        shapes = {"ln_1": (width,), "ln_2": (width,), "mlp.c_fc": (4 * width, width), "mlp.c_proj": (width, 4 * width)}
        shapes["attn.out_proj"] = (width, width)
        for name, shape in shapes.items():
            out[f"{at}{name}.weight"] = shape
            out[f"{at}{name}.bias"] = shape[:1]
        out[f"{at}attn.in_proj_weight"], out[f"{at}attn.in_proj_bias"] = (3 * width, width), (3 * width,)
    return out


_SD15 = {
    "image_size": 32, "in_channels": 4, "model_channels": 320, "num_res_blocks": [2, 2, 2, 2], "channel_mult": (1, 2, 4, 4), "num_heads": 8,
    "use_spatial_transformer": True, "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1, "context_dim": 768,
    "legacy": False,
}  # fmt: skip
_SD15_UP = [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
_SDXL = {
    "image_size": 32, "in_channels": 4, "model_channels": 320, "num_res_blocks": [2, 2, 2], "channel_mult": (1, 2, 4), "num_head_channels": 64,
    "use_spatial_transformer": True, "transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_middle": 10, "context_dim": 2048,
    "legacy": False, "num_classes": "sequential", "adm_in_channels": 2816, "use_linear_in_transformer": True,
}  # fmt: skip
_SDXL_UP = [0, 0, 0, 2, 2, 2, 10, 10, 10]


def network_shapes() -> dict[str, Shapes]:
    """Names and shapes of every network of :data:`FILES`, from ComfyUI's classes on the meta device."""
    import comfy.cldm.cldm
    import comfy.clip_model
    import comfy.clip_vision
    import comfy.ops
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    made = {"dtype": torch.float16, "device": "meta", "operations": comfy.ops.disable_weight_init}

    def of(module: torch.nn.Module, prefix: str = "") -> Shapes:
        return {prefix + key: tuple(value.shape) for key, value in module.state_dict().items()}

    sizes = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    sizes |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with torch.device("meta"):
        vae = of(AutoencoderKL(ddconfig=sizes, embed_dim=4), "first_stage_model.")
    found: dict[str, Shapes] = {}
    for name, config, up in (("sd15", _SD15, _SD15_UP), ("sdxl", _SDXL, _SDXL_UP)):
        unet = of(UNetModel(out_channels=4, transformer_depth_output=up, **config, **made), "model.diffusion_model.")
        found[name] = {**unet, **vae}
    found["sd15"] |= clip_l_shapes("cond_stage_model.transformer.text_model.")
    found["sdxl"] |= clip_l_shapes("conditioner.embedders.0.transformer.text_model.")
    found["sdxl"] |= clip_g_shapes("conditioner.embedders.1.model.")
    found["sd15_controlnet"] = of(comfy.cldm.cldm.ControlNet(hint_channels=3, **_SD15, **made), "control_model.")
    union = comfy.cldm.cldm.ControlNet(hint_channels=3, union_controlnet_num_control_type=8, **_SDXL, **made)
    found["sdxl_union"] = union_shapes(of(union))
    config = json.loads((Path(comfy.clip_vision.__file__).parent / "clip_vision_config_h.json").read_text())
    found["clip_vision_h"] = of(
        comfy.clip_model.CLIPVisionModelProjection(config, torch.float16, "meta", made["operations"])
    )
    return found


def union_shapes(shapes: Shapes) -> Shapes:
    """A union ControlNet's shapes under the names of diffusers, in which it is published."""
    import comfy.utils

    names = {
        new: old for old, new in comfy.utils.unet_to_diffusers({**_SDXL, "transformer_depth_output": _SDXL_UP}).items()
    }
    for side in ("weight", "bias"):
        names[f"middle_block_out.0.{side}"] = f"controlnet_mid_block.{side}"
        names.update({f"zero_convs.{at}.0.{side}": f"controlnet_down_blocks.{at}.{side}" for at in range(9)})
        hints = ["conv_in", *(f"blocks.{at}" for at in range(6)), "conv_out"]
        names.update(
            {
                f"input_hint_block.{2 * at}.{side}": f"controlnet_cond_embedding.{hint}.{side}"
                for at, hint in enumerate(hints)
            }
        )
    names.update({key: name.replace("class_embedding", "add_embedding") for key, name in names.items()})
    return {names.get(key, key.replace(".attn.in_proj.", ".attn.in_proj_")): shape for key, shape in shapes.items()}


def main() -> None:
    """Print the shapes as JSON; run with ComfyUI's folder as the only argument."""
    (comfyui,) = sys.argv[1:]
    sys.argv = [sys.argv[0], "--cpu"]
    sys.path.insert(0, comfyui)
    import comfy.options

    comfy.options.enable_args_parsing()
    sys.stdout.write(json.dumps(network_shapes()))


if __name__ == "__main__":
    main()
