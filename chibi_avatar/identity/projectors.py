"""From a face embedding (and CLIP features) to the few tokens that a UNet attends to: the projectors of the IP-Adapter family.

Written as plain functions over the file's own tensors, so nothing has to be built, initialised or kept. Shapes: embeddings [B, 512], CLIP
hidden states [B, S, 1280], tokens out [B, T, C] with C = 768 (SD1.5) or 2048 (SDXL). References: "IP-Adapter" (Ye et al. 2023); the resampler is
that of "Flamingo" (Alayrac et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Weights = Mapping[str, "Tensor"]
_HEAD = 64


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    from torch.nn import functional

    bias = weights.get(f"{name}.bias")
    return functional.linear(x, weights[f"{name}.weight"].to(x), None if bias is None else bias.to(x))


def _norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"].to(x), weights[f"{name}.bias"].to(x))


def _perceive(weights: Weights, prefix: str, features: Tensor, latents: Tensor) -> Tensor:
    """Perceiver resampler: ``latents`` [B, T, D] read ``features`` [B, S, E] through every layer."""
    from torch import cat
    from torch.nn import functional

    features = _linear(weights, f"{prefix}proj_in", features)
    depth = 0
    while f"{prefix}layers.{depth}.0.to_q.weight" in weights:
        layer = f"{prefix}layers.{depth}"
        keys = _norm(weights, f"{layer}.0.norm1", features)
        seen = _norm(weights, f"{layer}.0.norm2", latents)
        q = _linear(weights, f"{layer}.0.to_q", seen)
        k, v = _linear(weights, f"{layer}.0.to_kv", cat([keys, seen], dim=1)).chunk(2, dim=-1)
        heads = q.shape[-1] // _HEAD
        q, k, v = (part.unflatten(-1, (heads, _HEAD)).transpose(1, 2) for part in (q, k, v))
        read = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        latents = latents + _linear(weights, f"{layer}.0.to_out", read)
        inner = functional.gelu(_linear(weights, f"{layer}.1.1", _norm(weights, f"{layer}.1.0", latents)))
        latents = latents + _linear(weights, f"{layer}.1.3", inner)
        depth += 1
    return _norm(weights, f"{prefix}norm_out", _linear(weights, f"{prefix}proj_out", latents))


def face_mlp(weights: Weights, embedding: Tensor) -> Tensor:
    """FaceID and Portrait: two linear layers and a norm over T tokens."""
    from torch.nn import functional

    width = weights["norm.weight"].shape[0]
    hidden = functional.gelu(_linear(weights, "proj.0", embedding))
    return _norm(weights, "norm", _linear(weights, "proj.2", hidden).unflatten(-1, (-1, width)))


def face_plus(
    weights: Weights, embedding: Tensor, clip: Tensor, structure: float = 1.0, shortcut: bool = True
) -> Tensor:
    """FaceID Plus: the face tokens read CLIP features. v2 (``shortcut``) adds what they read, times ``structure``; v1 replaces."""
    tokens = face_mlp(weights, embedding)
    read = _perceive(weights, "perceiver_resampler.", clip, tokens)
    return tokens + structure * read if shortcut else read


def resampler(weights: Weights, features: Tensor) -> Tensor:
    """Plus, plus-face, Portrait-unnorm and InstantID: learned latents read ``features`` [B, S, E] ([B, E] is one of length 1)."""
    if features.ndim == 2:
        features = features[:, None]
    latents = weights["latents"].to(features).expand(features.shape[0], -1, -1)
    return _perceive(weights, "", features, latents)


def image_linear(weights: Weights, pooled: Tensor) -> Tensor:
    """The plain image adapter: one linear layer and a norm over CLIP's pooled embedding [B, E]."""
    width = weights["norm.weight"].shape[0]
    return _norm(weights, "norm", _linear(weights, "proj", pooled).unflatten(-1, (-1, width)))
