"""Adapter files: read safely, told apart by hash, then by shape, then by the person's choice.

Both layouts exist in the wild: a pickled ``{"image_proj": {...}, "ip_adapter": {...}}`` (``.bin``) and flat safetensors with the prefixes
``image_proj.`` and ``ip_adapter.``. Pickles are read with torch's restricted loader, which runs no code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .blocks import Layout, layout
from .errors import IdentityError
from .registry import file_sha256

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Variant:
    """A kind of adapter: what it eats, and whose embeddings it was trained on."""

    name: str
    needs_face: bool
    needs_clip: bool
    raw: bool = False
    recognisers: tuple[str, ...] = ("w600k_r50",)


VARIANTS = {
    item.name: item
    for item in (
        Variant("faceid", True, False),
        Variant("faceid_plus", True, True),
        Variant("faceid_plus_v2", True, True),
        Variant("portrait", True, False),
        Variant("portrait_unnorm", True, False, raw=True),
        Variant("plus_face", False, True, recognisers=()),
        Variant("image", False, True, recognisers=()),
        Variant("instantid", True, False, raw=True, recognisers=("glintr100",)),
    )
}
KNOWN_FILES = {
    "201344e22e6f55849cf07ca7a6e53d8c3b001327c66cb9710d69fd5da48a8da7": "faceid",
    "252fb53e0d018489d9e7f9b9e2001a52ff700e491894011ada7cfb471e0fadf2": "faceid_plus",
    "26d0d86a1d60d6cc811d3b8862178b461e1eeb651e6fe2b72ba17aa95411e313": "faceid_plus_v2",
    "a48cb4f89ed18e02c6000f65aa9efec452e87eaed4a1bc9fcf4a460c8d0e3bc6": "portrait",
    "f455fed24e207c878ec1e0466b34a969d37bab857c5faa4e8d259a0b4ff63d7e": "faceid",
    "c6945d82b543700cc3ccbb98d363b837e9c596281607857c74b713a876daf5fb": "faceid_plus_v2",
    "5631ce7824cdafd2db37c5e85b985730a95ff59c5b4fc80c2b79b0bee5711512": "portrait",
    "220bb86e205393a3d0411631cb473caddbf35fd371be2905ca9008818170db55": "portrait_unnorm",
    "677ad8860204f7d0bfba12d29e6c31ded9beefdf3e4bbd102518357d31a292c1": "plus_face",
}


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter file in memory (memory-mapped where the format allows). ``lora`` holds diffusers-style keys, or is empty."""

    path: str
    sha256: str
    variant: Variant
    unet: Layout
    image_proj: Mapping[str, Tensor]
    layers: Mapping[str, Tensor]
    lora: Mapping[str, Tensor]
    separate_lora: str = ""

    def __deepcopy__(self, memo: dict) -> Adapter:
        return self  # read-only

    @property
    def place(self) -> str:
        """The file and its folder, for messages."""
        return f"{os.path.basename(self.path)} in {os.path.dirname(self.path)}"

    def __str__(self) -> str:
        """One line for reports and previews."""
        lora = (
            f", LoRA from {os.path.basename(self.separate_lora)}"
            if self.separate_lora
            else ", LoRA inside"
            if self.lora
            else ", no LoRA"
        )
        return f"{os.path.basename(self.path)}: {self.variant.name} for {self.unet.name}{lora}"


def _damaged(path: Path, why: object) -> IdentityError:
    return IdentityError(
        f"{path.name} in {path.parent} cannot be read as an adapter ({why}). Download it again; a file that torch's safe loader refuses "
        "may carry code and must not be used."
    )


def _read(path: Path) -> dict[str, dict[str, Tensor]]:
    """The file's tensors by section. Raises :class:`IdentityError` for anything damaged, malicious or foreign."""
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            data: object = load_file(str(path), device="cpu")
        else:
            try:
                data = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError as error:
                if "mmap" not in str(error):
                    raise
                data = torch.load(str(path), map_location="cpu", weights_only=True)  # the old, unzipped format
    except FileNotFoundError as error:
        raise IdentityError(f"{path.name} is not in {path.parent}: put the adapter file there, then refresh") from error
    except Exception as error:
        first = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise _damaged(path, first) from error
    if not isinstance(data, Mapping):
        raise _damaged(path, f"it holds a {type(data).__name__}")
    sections: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in data.items():
        if key in sections and isinstance(value, Mapping):
            sections[key].update(value)
            continue
        head, _, rest = str(key).partition(".")
        head = "ip_adapter" if head == "adapter_modules" else head
        if head in sections and isinstance(value, torch.Tensor):
            sections[head][rest] = value
    if not sections["image_proj"] or not sections["ip_adapter"]:
        found = ", ".join(sorted({str(key).split(".")[0] for key in data})[:6])
        raise _damaged(path, f"it has no image_proj and ip_adapter parts; found: {found}")
    for name, section in sections.items():
        for key, value in section.items():
            if not isinstance(value, torch.Tensor):
                raise _damaged(path, f"{name}.{key} is not a tensor")
    return sections


def _shape_variant(proj: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The variants that fit the projector's shapes, the likelier first."""
    if "perceiver_resampler.proj_in.weight" in proj:
        return "faceid_plus_v2", "faceid_plus"
    if "latents" in proj and "proj_in.weight" in proj:
        return ("plus_face",) if proj["proj_in.weight"].shape[1] != 512 else ("portrait_unnorm", "instantid")
    if "proj.2.weight" in proj and "norm.weight" in proj:
        return ("portrait",) if proj["proj.2.weight"].shape[0] // proj["norm.weight"].shape[0] > 4 else ("faceid",)
    if "proj.weight" in proj and "norm.weight" in proj:
        return ("image",)
    return ()


def _choose(path: Path, digest: str, fitting: tuple[str, ...], wanted: str) -> Variant:
    if not fitting:
        raise _damaged(path, "its projector is of a kind this pack does not know")
    known = KNOWN_FILES.get(digest)
    if wanted != "auto":
        if wanted not in fitting:
            raise IdentityError(
                f"{path.name} in {path.parent} cannot be a {wanted} adapter: its shapes are those of {' or '.join(fitting)}. Choose that, or auto."
            )
        if known and known != wanted:
            raise IdentityError(
                f"{path.name} in {path.parent} is the published {known} file (by sha256), not {wanted}: choose auto."
            )
        return VARIANTS[wanted]
    if known:
        return VARIANTS[known]
    if len(fitting) > 1:
        raise IdentityError(
            f"{path.name} in {path.parent} may be {' or '.join(fitting)}: they have the same shapes, and its sha256 ({digest[:12]}…) is not in the table. "
            "Choose the variant in Identity Loader."
        )
    return VARIANTS[fitting[0]]


def _unet(path: Path, layers: Mapping[str, Tensor]) -> Layout:
    first = layers.get("1.to_k_ip.weight")
    if first is None:
        raise _damaged(path, "layer 1.to_k_ip.weight is missing")
    for name in ("sd15", "sdxl"):
        candidate = layout(name)
        if first.shape[1] == candidate.text_width and len(candidate.blocks) == sum(
            key.endswith("to_k_ip.weight") for key in layers
        ):
            for block in candidate.blocks:
                for part in ("to_k_ip", "to_v_ip"):
                    tensor = layers.get(f"{block.number}.{part}.weight")
                    if tensor is None or tensor.ndim != 2 or tensor.shape[1] != candidate.text_width:
                        raise _damaged(path, f"layer {block.number}.{part}.weight is missing or misshapen")
            return candidate
    count = sum(key.endswith("to_k_ip.weight") for key in layers)
    raise IdentityError(
        f"{path.name} in {path.parent}: {count} layers of text width {first.shape[1]} fit neither SD1.5 (16 of 768) nor SDXL (70 of 2048): "
        "download an adapter for one of these"
    )


def lora_keys(unet: Layout, layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The LoRA inside an adapter file under the names that ComfyUI's own LoRA loader knows; empty when there is none."""
    found: dict[str, Tensor] = {}
    for number, name in unet.self_and_cross.items():
        for part in ("q", "k", "v", "out"):
            for side in ("down", "up"):
                tensor = layers.get(f"{number}.to_{part}_lora.{side}.weight")
                if tensor is not None:
                    found[f"{name}.processor.to_{part}_lora.{side}.weight"] = tensor
    return found


def read_adapter(path: str | os.PathLike[str], variant: str = "auto", lora_path: str = "") -> Adapter:
    """An adapter file, checked. ``variant`` is ``auto`` or one of :data:`VARIANTS`; ``lora_path`` replaces the LoRA inside.

    Raises :class:`IdentityError` with the file, its folder and the fix.
    """
    file = Path(path)
    sections = _read(file)
    digest = file_sha256(file)
    chosen = _choose(file, digest, _shape_variant(sections["image_proj"]), variant)
    unet = _unet(file, sections["ip_adapter"])
    layers = {key: value for key, value in sections["ip_adapter"].items() if "_ip." in key}
    lora: Mapping[str, Tensor] = lora_keys(unet, sections["ip_adapter"])
    if lora_path:
        lora = _separate_lora(Path(lora_path), unet)
    return Adapter(str(file), digest, chosen, unet, sections["image_proj"], layers, lora, str(lora_path))


def _separate_lora(path: Path, unet: Layout) -> dict[str, Tensor]:
    """A LoRA file of its own: numbered like the adapter, or in any naming ComfyUI reads."""
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(str(path), device="cpu")
        else:
            tensors = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        raise IdentityError(
            f"the LoRA {path.name} in {path.parent} cannot be read: {str(error).splitlines()[0][:120]}. Download it again."
        ) from error
    return lora_keys(unet, tensors) or dict(tensors)
