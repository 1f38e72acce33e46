"""What tests of applied identities share: the pack's modules beside ComfyUI's, narrow models, random adapters, and single model calls."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from . import identity_files, pack
from .unets import comfy_model, diffusers_unet

NARROW = 5  # divides the channels: the same blocks in a hundredth of the time
_ROOM = f"{pack.NAME}.chibi_avatar.identity"


class Rig:
    """The pack's identity modules as ComfyUI imports them: ``apply`` is ``nodes.identity_apply``."""

    def __init__(self, comfyui: Path, root: Path) -> None:
        self.apply = pack.load(comfyui, root, "nodes.identity_apply")
        names = ("adapter_file", "blocks", "errors", "model", "patch", "registry")
        self.room = SimpleNamespace(**{name: importlib.import_module(f"{_ROOM}.{name}") for name in names})

    def model(self, family: str, narrow: int = NARROW, dtype: torch.dtype = torch.float32):
        """A random model of the family as a ModelPatcher."""
        return comfy_model(diffusers_unet(family, narrow), family, narrow, dtype)

    def identity(self, seed: int = 5):
        """An identity with a made-up embedding of the recogniser that FaceID wants."""
        vector = torch.nn.functional.normalize(identity_files.maker(seed, 1.0)(1, 512))[0].numpy()
        known = self.room.registry.BY_KEY["w600k_r50"]
        return self.room.model.Identity(
            {known.key: self.room.model.Embedding(known.key, known.sha256, vector, vector * 20, vector[None])}
        )

    def adapter(
        self, path: Path, family: str, *, narrow: int = NARROW, with_lora: bool = True, seed: int = 11, lora: str = ""
    ):
        """A random FaceID adapter of the right widths, written and read back by the pack."""
        blocks = self.room.blocks.layout(family)
        text, make = blocks.text_width, identity_files.maker(seed)

        def width(block: Any) -> int:
            return block.width // narrow

        layers = identity_files.ip_layers(blocks.blocks, text, make, width)
        if with_lora:
            layers.update(identity_files.lora(blocks.blocks, text, make, 128 if narrow == 1 else 8, width))
        file = identity_files.save_bin(path, identity_files.image_proj("faceid", text, make), layers)
        return self.room.adapter_file.read_adapter(file, lora_path=lora)

    def request(self, adapter, identity, **changes):
        """Everything at its plain values: linear, the whole run, LoRA at 1."""
        values = dict(
            adapter=adapter, identity=identity, weight=0.7, kind="linear", start=0.0, end=1.0, ramp=0.0, cap=0.0, structure=1.0,
            scaling="V only", lora_strength=1.0, compatible=False,
        )  # fmt: skip
        return self.apply.Request(**{**values, **changes})

    def applied(self, model, adapter, identity=None, *, conditioning=None, mask=None, **changes):
        """``apply_identity`` with plain values: the patched model, the conditioning and the report."""
        request = self.request(adapter, identity or self.identity(), **changes)
        return self.apply.apply_identity(model, request, mask=mask, conditioning=conditioning)


def patches(model) -> dict:
    """A model's attn2 patches by block."""
    return model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
