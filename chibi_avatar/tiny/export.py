"""The embedded model as a diffusers folder, so that ``StableDiffusionPipeline.from_pretrained`` runs on it as on any other."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from . import weights
from .networks.text import CONFIG, LENGTH, full_state
from .networks.unet import UNET_CONFIG, from_original, unet
from .training.schedule import SCHEDULER

TOKENIZER_FILES = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")


def export_diffusers(target: Path, tokenizer: Path, folder: Path = weights.FOLDER, half: bool = False) -> Path:
    """Write ``target`` (a new folder): unet, text_encoder, tokenizer, vae (AutoencoderTiny), scheduler (DDIM) and ``model_index.json``.

    ``tokenizer`` is ComfyUI's ``comfy/sd1_tokenizer``; ``half`` stores float16. Raises :class:`~.weights.WeightsError` and FileExistsError.
    """
    import torch
    from safetensors.torch import save_file

    if target.exists():
        raise FileExistsError(f"{target} exists already: choose a new folder")
    dtype = torch.float16 if half else torch.float32
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)

    def put(name: str, config: dict[str, object], state: dict[str, torch.Tensor] | None, file: str) -> None:
        where = part / name
        where.mkdir(parents=True)
        (where / ("scheduler_config.json" if name == "scheduler" else "config.json")).write_text(
            json.dumps(config, indent=2) + "\n", encoding="utf-8"
        )
        if state is not None:
            save_file(
                {key: value.to(dtype).contiguous() for key, value in state.items()}, str(where / file), {"format": "pt"}
            )

    like = unet().state_dict()
    put(
        "unet",
        {"_class_name": "UNet2DConditionModel", **UNET_CONFIG},
        from_original(weights.read("unet", folder), like),
        "diffusion_pytorch_model.safetensors",
    )
    put("text_encoder", dict(CONFIG), full_state(weights.read("text", folder)), "model.safetensors")
    vae = {
        key.replace("taesd_encoder.", "encoder.layers.").replace("taesd_decoder.", "decoder.layers."): value
        for key, value in weights.read("autoencoder", folder).items()
        if key.startswith("taesd_")
    }
    # AutoencoderTiny has no layer for the clamp in front of the decoder: its numbers start one lower
    vae = {_one_lower(key) if key.startswith("decoder.layers.") else key: value for key, value in vae.items()}
    put(
        "vae",
        {"_class_name": "AutoencoderTiny", "latent_channels": 4, "scaling_factor": 1.0, "force_upcast": False},
        vae,
        "diffusion_pytorch_model.safetensors",
    )
    put("scheduler", {"_class_name": "DDIMScheduler", **SCHEDULER}, None, "")
    (part / "tokenizer").mkdir()
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, part / "tokenizer" / name)
    settings = (
        part / "tokenizer" / "tokenizer_config.json"
    )  # ComfyUI cuts into windows itself; diffusers relies on the tokenizer
    settings.write_text(
        json.dumps({**json.loads(settings.read_text(encoding="utf-8")), "model_max_length": LENGTH}, indent=2) + "\n",
        encoding="utf-8",
    )
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    (part / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    os.replace(part, target)
    return target


def _one_lower(key: str) -> str:
    head, number, rest = key[: len("decoder.layers.")], *key[len("decoder.layers.") :].split(".", 1)
    return f"{head}{int(number) - 1}.{rest}"
