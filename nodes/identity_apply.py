"""Putting an identity on a ComfyUI model: the part that knows ModelPatcher, LoRA loading, CLIP vision and conditioning."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import comfy.lora
import comfy.model_management
import comfy.patcher_extension
import comfy.weight_adapter
import torch
from comfy.ldm.modules.attention import attention_pytorch, optimized_attention

from ..chibi_avatar.identity.adapter_file import Adapter
from ..chibi_avatar.identity.errors import IdentityError
from ..chibi_avatar.identity.headbox import box_mask, head_box
from ..chibi_avatar.identity.model import Identity
from ..chibi_avatar.identity.patch import STEP, TAG, Applied, IdentityPatch, Sides, begin_step, tensors_of
from ..chibi_avatar.identity.schedules import CHIBI, CHIBI_CAP, CHIBI_RAMP, CHIBI_START, window
from ..chibi_avatar.identity.tokens import make_layers, make_tokens

KEY = "chibi_identity"
LORAS = "chibi_identity_loras"
_FAMILIES = {"sd15": "SD1.5", "sdxl": "SDXL"}


@dataclass(frozen=True)
class Request:
    """What a person asked for, with the preset's values filled in by :meth:`resolved`."""

    adapter: Adapter
    identity: Identity
    weight: float
    kind: str
    start: float
    end: float
    ramp: float
    cap: float
    structure: float
    scaling: str
    lora_strength: float
    compatible: bool

    def resolved(self) -> Request:
        """The chibi preset begins late, fades in, and is capped, unless the person set these."""
        if self.kind != CHIBI:
            return self
        values = {
            **self.__dict__,
            "start": max(self.start, CHIBI_START),
            "ramp": self.ramp or CHIBI_RAMP,
            "cap": self.cap or CHIBI_CAP,
        }
        return Request(**values)


class _ShareStep:
    """What all layers of all identities share: around every run the sides of the guider's conditionings, around every step one reading of it."""

    def __init__(self) -> None:
        self._sides = Sides()

    def run(self, executor, *given, **named):
        before, self._sides = self._sides, Sides(getattr(executor.class_obj, "conds", None))
        try:
            return executor(*given, **named)
        finally:
            self._sides = before  # a sampler may sample inside another one's run

    def step(self, executor, model, conds, x_in, timestep, model_options):
        options = {**model_options, "transformer_options": {**model_options.get("transformer_options", {})}}
        options["transformer_options"][STEP] = begin_step(conds, x_in, timestep, self._sides)
        return executor(model, conds, x_in, timestep, options)


def check_model(model, adapter: Adapter) -> None:
    """Every block of the adapter must be in the model, with its widths. Raises :class:`IdentityError` naming both families."""
    weights = model.model.state_dict()
    for block in adapter.unet.blocks:
        kind, at, index = block.key
        place = (
            f"middle_block.1.transformer_blocks.{index}"
            if kind == "middle"
            else f"{kind}_blocks.{at}.1.transformer_blocks.{index}"
        )
        found = weights.get(f"diffusion_model.{place}.attn2.to_k.weight")
        wanted = tuple(adapter.layers[f"{block.number}.to_k_ip.weight"].shape)
        if found is None or tuple(found.shape) != wanted:
            have = "no such block" if found is None else f"{found.shape[0]} x {found.shape[1]}"
            raise IdentityError(
                f"{adapter.place} does not fit this model: block {kind} {at} is {wanted[0]} x {wanted[1]} in the adapter, {have} in the model. "
                f"Load a {_FAMILIES[adapter.unet.name]} checkpoint, or an adapter made for this one."
            )


def _clip_encoder(clip_vision, compatible: bool):
    """Crops to (hidden states, pooled); None to those of zero pixel values, which is what the adapters saw in training."""
    if clip_vision is None:
        return None

    def encode(crops):
        if crops is not None:
            images = torch.from_numpy(crops.astype("float32") / 255)
        elif compatible:
            images = torch.zeros(1, 224, 224, 3)
        else:
            comfy.model_management.load_model_gpu(clip_vision.patcher)
            size = clip_vision.image_size
            out = clip_vision.model(
                pixel_values=torch.zeros(1, 3, size, size, device=clip_vision.load_device), intermediate_output=-2
            )
            return out[1], out[2]
        out = clip_vision.encode_image(images)
        return out["penultimate_hidden_states"], out["image_embeds"]

    return encode


def _same(adapter_patch, tensor) -> bool:
    weights = getattr(adapter_patch, "weights", None)
    return (
        bool(weights)
        and isinstance(weights[0], torch.Tensor)
        and weights[0].shape == tensor.shape
        and torch.equal(weights[0].cpu(), tensor.cpu())
    )


def _fits(adapter_patch, tensor) -> bool:
    """Whether a plain LoRA has the shape of the weight it is for; other kinds are ComfyUI's to judge."""
    if not isinstance(adapter_patch, comfy.weight_adapter.LoRAAdapter):
        return True
    up, down = adapter_patch.weights[:2]
    return up.shape[0] == tensor.shape[0] and down.flatten(1).shape[1] == tensor.flatten(1).shape[1]


def add_lora(model, adapter: Adapter, strength: float) -> str:
    """The adapter's LoRA through ComfyUI's own loader, once. Returns a line for the report."""
    if not adapter.lora or strength == 0:
        return "no LoRA" if not adapter.lora else "LoRA off"
    done = model.attachments.get(LORAS, frozenset())
    mark = f"{adapter.sha256}:{adapter.separate_lora}"
    if mark in done:
        return "LoRA already there from an earlier identity, not applied twice"
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    loaded = comfy.lora.load_lora(dict(adapter.lora), keys, log_missing=False)
    weights = model.model.state_dict()
    fitting = sum(_fits(patch, weights[target]) for target, patch in loaded.items())
    if not loaded or fitting < len(loaded):
        source = adapter.separate_lora and Path(adapter.separate_lora)
        name = f"{source.name} in {source.parent}" if source else f"inside {adapter.place}"
        raise IdentityError(
            f"the LoRA {name} fits {fitting} of the {len(loaded)} layers it names in this {_FAMILIES[adapter.unet.name]} model: choose the "
            "matching *_lora.safetensors of models/loras in lora_name of Identity Loader, or none"
        )
    for target, patch in loaded.items():
        if any(
            _same(entry[1], patch.weights[0]) for entry in model.patches.get(target, ()) if hasattr(patch, "weights")
        ):
            return "LoRA already there from a LoRA loader, not applied twice: remove that node to control it here"
        break
    model.add_patches(loaded, strength)
    model.set_attachments(LORAS, done | {mark})
    return f"LoRA on {len(loaded)} layers at {strength:g}"


def _region(mask, pose):
    """The mask [H, W] the identity is limited to, or None. Pose and mask together: where both agree."""
    region = None
    if mask is not None:
        region = mask[0] if mask.ndim == 3 else mask
        region = region.detach().float().cpu().clamp(0, 1)
        if float(region.max()) <= 0:
            raise IdentityError(
                "the mask is empty: the identity would act nowhere. Paint where the person is, or disconnect it."
            )
    if pose is not None:
        if not pose:
            raise IdentityError("the pose is empty: connect a POSE_KEYPOINT with one person, or disconnect it")
        head = torch.from_numpy(box_mask(head_box(pose)))
        if region is not None:
            head = torch.nn.functional.interpolate(head[None, None], region.shape, mode="bilinear")[0, 0] * region
        region = head
    return region


def apply_identity(model, request: Request, clip_vision=None, mask=None, pose=None, conditioning=None):
    """A patched copy of ``model``, the conditioning marked as this identity's, and a report."""
    request = request.resolved()
    adapter = request.adapter
    check_model(model, adapter)
    device = comfy.model_management.get_torch_device()
    tokens = make_tokens(
        adapter,
        request.identity,
        _clip_encoder(clip_vision, request.compatible),
        structure=request.structure,
        device=device,
    )
    layers = make_layers(
        adapter,
        tokens,
        kind=request.kind,
        weight=request.weight,
        scaling=request.scaling,
        middle=not request.compatible,
        dtype=_dtype(model),
        device=model.offload_device,
    )
    patched = model.clone()
    lora = add_lora(patched, adapter, request.lora_strength)
    percent = model.get_model_object("model_sampling").percent_to_sigma
    name = uuid.uuid4().hex
    applied = Applied(
        name,
        window(percent, request.start, request.end, request.ramp),
        name if conditioning else None,
        _region(mask, pose),
        request.cap,
    )
    for key, layer in layers.items():
        _install(patched, key, applied, layer)
    share, kinds = _ShareStep(), comfy.patcher_extension.WrappersMP
    for kind, wrapper in ((kinds.OUTER_SAMPLE, share.run), (kinds.CALC_COND_BATCH, share.step)):
        patched.remove_wrappers_with_key(kind, KEY)
        patched.add_wrapper_with_key(kind, KEY, wrapper)
    tagged = [[text, {**values, TAG: (*values.get(TAG, ()), name)}] for text, values in (conditioning or [])]
    kept = sum(kv.keys.nbytes + kv.values.nbytes for kv in layers.values())
    report = (
        f"{adapter}; {len(layers)} of {len(adapter.unet.blocks)} blocks at weight {request.weight:g} ({request.kind}), "
        f"from {request.start:g} to {request.end:g}; {tokens.cond.shape[1]} tokens, {kept / 1e6:.2f} MB kept; {lora}"
        + ("; limited to a region" if applied.mask is not None else "")
        + ("; acts only on its own conditioning" if applied.scope else "")
    )
    return patched, tagged, report


def _dtype(model) -> torch.dtype:
    """What the UNet computes in (fp8 weights are cast before use)."""
    kind = model.model.manual_cast_dtype or model.model.get_dtype()
    return kind if kind in (torch.float32, torch.float16, torch.bfloat16) else torch.float16


def _install(model, key: tuple[str, int, int], applied: Applied, layer) -> None:
    """Set our patch on one block: on top of our own, or around someone else's."""
    replaced = model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    before = replaced.get(key, replaced.get(key[:2]))
    patch = (
        before
        if isinstance(before, IdentityPatch)
        else IdentityPatch(optimized_attention, (), before, attention_pytorch)
    )
    model.set_model_attn2_replace(patch.adding(applied, layer), *key)


__all__ = ["STEP", "Request", "add_lora", "apply_identity", "begin_step", "check_model", "tensors_of"]
