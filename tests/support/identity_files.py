"""Random adapter files in the published layouts, full-size or narrow, for tests of identity adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch


def maker(seed: int, scale: float = 0.02) -> Callable[..., torch.Tensor]:
    """``make(*shape)``: the same normal numbers for the same seed and order of calls."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator) * scale


def _norm(name: str, width: int, make: Callable[..., torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": 1 + make(width), f"{name}.bias": make(width)}


def _linear(
    name: str, outside: int, inside: int, make: Callable[..., torch.Tensor], bias: bool = True
) -> dict[str, torch.Tensor]:
    found = {f"{name}.weight": make(outside, inside)}
    if bias:
        found[f"{name}.bias"] = make(outside)
    return found


def face_mlp(text: int, tokens: int, make: Callable[..., torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        **_linear("proj.0", 1024, 512, make),
        **_linear("proj.2", text * tokens, 1024, make),
        **_norm("norm", text, make),
    }


def perceiver(
    prefix: str,
    width: int,
    features: int,
    outside: int,
    make: Callable[..., torch.Tensor],
    depth: int = 4,
    inner: int | None = None,
) -> dict[str, torch.Tensor]:
    inner = width if inner is None else inner
    found = {**_linear(f"{prefix}proj_in", width, features, make), **_linear(f"{prefix}proj_out", outside, width, make)}
    found.update(_norm(f"{prefix}norm_out", outside, make))
    for index in range(depth):
        layer = f"{prefix}layers.{index}"
        found.update(_norm(f"{layer}.0.norm1", width, make))
        found.update(_norm(f"{layer}.0.norm2", width, make))
        found.update(_linear(f"{layer}.0.to_q", inner, width, make, False))
        found.update(_linear(f"{layer}.0.to_kv", 2 * inner, width, make, False))
        found.update(_linear(f"{layer}.0.to_out", width, inner, make, False))
        found.update(_norm(f"{layer}.1.0", width, make))
        found.update(_linear(f"{layer}.1.1", 4 * width, width, make, False))
        found.update(_linear(f"{layer}.1.3", width, 4 * width, make, False))
    return found


def image_proj(variant: str, text: int, make: Callable[..., torch.Tensor]) -> dict[str, torch.Tensor]:
    """A projector of full size. Text width 768 (SD1.5) or 2048 (SDXL)."""
    if variant in ("faceid", "portrait"):
        return face_mlp(text, 4 if variant == "faceid" else 16, make)
    if variant in ("faceid_plus", "faceid_plus_v2"):
        return {**face_mlp(text, 4, make), **perceiver("perceiver_resampler.", text, 1280, text, make)}
    width = 1280 if text == 2048 or variant != "plus_face" else text
    features = 1280 if variant == "plus_face" else 512
    return {"latents": make(1, 16, width), **perceiver("", width, features, text, make)}


def ip_layers(
    blocks, text: int, make: Callable[..., torch.Tensor], width: Callable[[object], int] | None = None
) -> dict[str, torch.Tensor]:
    """K and V of every cross-attention block; ``width`` replaces the block's own width."""
    found = {}
    for block in blocks:
        size = block.width if width is None else width(block)
        found[f"{block.number}.to_k_ip.weight"] = make(size, text)
        found[f"{block.number}.to_v_ip.weight"] = make(size, text)
    return found


def lora(
    blocks, text: int, make: Callable[..., torch.Tensor], rank: int = 128, width: Callable[[object], int] | None = None
) -> dict[str, torch.Tensor]:
    """The LoRA of self- and cross-attention as FaceID files carry it."""
    found = {}
    for block in blocks:
        size = block.width if width is None else width(block)
        for half, number in enumerate((block.number - 1, block.number)):
            for part in ("q", "k", "v", "out"):
                inside = text if half and part in "kv" else size
                found[f"{number}.to_{part}_lora.down.weight"] = make(rank, inside)
                found[f"{number}.to_{part}_lora.up.weight"] = make(size, rank)
    return found


def save_bin(path, proj: Mapping[str, torch.Tensor], layers: Mapping[str, torch.Tensor]) -> str:
    """A ``.bin`` as published: two sections, pickled by torch."""
    torch.save({"image_proj": dict(proj), "ip_adapter": dict(layers)}, str(path))
    return str(path)
