"""From an Identity to an adapter's tokens, and from tokens to the keys and values that every layer will reuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import projectors
from .adapter_file import Adapter
from .errors import IdentityError
from .fuse import checked
from .model import Embedding, Identity
from .registry import BY_KEY
from .schedules import BlockWeight, block_weight

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens [1, T, C] for the positive and the negative side, float32."""

    cond: Tensor
    uncond: Tensor


def face_vector(adapter: Adapter, identity: Identity) -> Embedding:
    """The embedding this adapter was trained on. Raises :class:`IdentityError` when the identity has another recogniser's."""
    for key in adapter.variant.recognisers:
        if key in identity.embeddings:
            embedding = identity.embeddings[key]
            if embedding.sha256 != BY_KEY[key].sha256:
                raise IdentityError(
                    f"the identity was read with a file that is not the published {BY_KEY[key].filename} (sha256 {embedding.sha256[:12]}…): "
                    f"put the published one in models/insightface and analyse the photos again"
                )
            return embedding
    wanted = " or ".join(BY_KEY[key].filename for key in adapter.variant.recognisers)
    have = ", ".join(identity.embeddings) or "none"
    pack = "antelopev2" if "glintr100" in adapter.variant.recognisers else "buffalo_l"
    raise IdentityError(
        f"{adapter.place} ({adapter.variant.name}) needs embeddings of {wanted}, this identity has {have}. Another recogniser's numbers mean a different face. "
        f"Put insightface's {pack} in models/insightface/models/{pack} and analyse the photos again with profile research, "
        "or use a plus-face adapter, which needs no recogniser."
    )


# CLIP vision models by the width of what they give: hidden states, and the pooled embedding.
_CLIP_MODELS = (
    {1280: "CLIP-ViT-H-14", 1664: "CLIP-ViT-bigG-14", 1024: "CLIP-ViT-L-14"},
    {1024: "CLIP-ViT-H-14", 1280: "CLIP-ViT-bigG-14", 768: "CLIP-ViT-L-14"},
)


def _check_clip(adapter: Adapter, clip: tuple[Tensor, Tensor]) -> None:
    """Raises :class:`IdentityError` when the CLIP vision model is another one than the adapter was trained on."""
    pooled = adapter.variant.name == "image"
    layer = "proj" if pooled else "proj_in" if adapter.variant.name == "plus_face" else "perceiver_resampler.proj_in"
    wanted, have = adapter.image_proj[f"{layer}.weight"].shape[1], clip[pooled].shape[-1]
    if have != wanted:
        known = _CLIP_MODELS[pooled]
        name = known.get(wanted, f"the CLIP vision model of width {wanted} that it was trained on")
        other = f" (as {known[have]} does)" if have in known else ""
        raise IdentityError(
            f"{adapter.place} ({adapter.variant.name}) needs {name}: it reads {wanted} numbers, the connected CLIP vision gives {have}{other}. "
            f"Put {name} in models/clip_vision and choose it in Load CLIP Vision."
        )


def make_tokens(
    adapter: Adapter,
    identity: Identity,
    encode: Callable[[np.ndarray | None], tuple[Tensor, Tensor]] | None,
    *,
    structure: float = 1.0,
    device: object = "cpu",
) -> Tokens:
    """Run the projector once for the identity and once for "nobody".

    ``encode`` gives (hidden states [B, S, E], pooled [B, E]) of aligned crops [B, 224, 224, 3] uint8, and for None those of zero pixel values.
    """
    import torch

    variant, weights = adapter.variant, adapter.image_proj
    if variant.needs_clip and encode is None:
        raise IdentityError(
            f"{adapter.place} ({adapter.variant.name}) also looks at the photo: put CLIP-ViT-H-14 in models/clip_vision and connect "
            "Load CLIP Vision to clip_vision"
        )
    with torch.inference_mode():
        clip = nobody = None
        if variant.needs_clip and encode is not None:
            if not identity.crops:
                raise IdentityError(
                    "this identity has no face picture (a saved card keeps none): analyse the photos again for this adapter"
                )
            clip = encode(np.stack(identity.crops))
            _check_clip(adapter, clip)
            nobody = encode(None)
            clip = tuple(part.to(device, torch.float32).mean(0, keepdim=True) for part in clip)
            nobody = tuple(part.to(device, torch.float32) for part in nobody)
        if not variant.needs_face:
            assert clip is not None and nobody is not None
            run = projectors.resampler if variant.name == "plus_face" else projectors.image_linear
            source = (clip[0], nobody[0]) if variant.name == "plus_face" else (clip[1], torch.zeros_like(clip[1]))
            return Tokens(run(weights, source[0]), run(weights, source[1]))
        embedding = face_vector(adapter, identity)
        rows = (
            embedding.raw[None]
            if variant.raw
            else embedding.each
            if variant.name == "portrait"
            else embedding.vector[None]
        )
        checked(rows)
        face = torch.from_numpy(np.asarray(rows, np.float32)).to(device)
        empty = torch.zeros_like(face)
        if variant.raw:
            return Tokens(projectors.resampler(weights, face), projectors.resampler(weights, empty))
        if variant.needs_clip:
            assert clip is not None and nobody is not None
            shortcut = variant.name == "faceid_plus_v2"
            return Tokens(
                projectors.face_plus(weights, face, clip[0], structure, shortcut),
                projectors.face_plus(weights, empty, nobody[0], structure, shortcut),
            )
        # Portrait takes several photos: their tokens stand in one row.
        return Tokens(*(projectors.face_mlp(weights, part).flatten(0, 1)[None] for part in (face, empty)))


@dataclass(frozen=True, eq=False)
class LayerKV:
    """Keys and values of one block, [2, T, width] each: row 0 positive, row 1 negative; ``weight`` scales the attention's result."""

    keys: Tensor
    values: Tensor
    weight: float


def make_layers(
    adapter: Adapter,
    tokens: Tokens,
    *,
    kind: str,
    weight: float,
    composition: float | None = None,
    scaling: str = "V only",
    middle: bool = True,
    dtype: object = None,
    device: object = "cpu",
) -> dict[tuple[str, int, int], LayerKV]:
    """Keys and values for every block the identity acts on, computed once in float32 and kept in ``dtype``."""
    import torch

    out: dict[tuple[str, int, int], LayerKV] = {}
    with torch.inference_mode():
        for block in adapter.unet.blocks:
            share: BlockWeight = block_weight(kind, block, adapter.unet, weight, composition)
            if share.weight == 0 or (block.kind == "middle" and not middle):
                continue
            positive, negative = tokens.cond, tokens.uncond
            if share.swapped:
                positive, negative = torch.zeros_like(tokens.cond), tokens.cond
            both = torch.cat([positive, negative])
            # .clone(): tensors made under inference mode may not be changed or tracked later.
            keys = both @ adapter.layers[f"{block.number}.to_k_ip.weight"].to(both).T
            values = both @ adapter.layers[f"{block.number}.to_v_ip.weight"].to(both).T
            keys, values, outside = scale_embeds(keys, values, share.weight, scaling)
            out[block.key] = LayerKV(
                keys.to(device=device, dtype=dtype), values.to(device=device, dtype=dtype), outside
            )
    return out


def scale_embeds(keys: Tensor, values: Tensor, weight: float, how: str) -> tuple[Tensor, Tensor, float]:
    """Put ``weight`` on values, on keys and values, or leave it to the result (``V only``); penalties are by width over 1280."""
    if how == "V only":
        return keys, values, weight
    if how == "K+V":
        return keys * weight, values * weight, 1.0
    weight = weight * keys.shape[-1] / 1280
    if how == "K+V w/ C penalty":
        return keys * weight, values * weight, 1.0
    mean = values.mean(dim=1, keepdim=True)
    return keys * weight, values - mean + mean * weight, 1.0
