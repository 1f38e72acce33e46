"""The attention patch: what a UNet's cross-attention adds for each identity. The attention function is passed in; nothing here imports a host.

A patch is immutable. Adding an identity makes a new patch that holds the old one's identities, so models upstream never change. Keys and values
were computed when the identity was applied: a call gathers rows and runs one small attention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .schedules import Window
from .tokens import LayerKV

if TYPE_CHECKING:
    from torch import Tensor

STEP = "chibi_identity"
TAG = "chibi_identity"


@dataclass(frozen=True)
class Chunk:
    """One conditioning in a step: which side it is on (0 positive), the identities it was tagged with, and its area in latent pixels."""

    side: int
    tags: frozenset[str]
    area: tuple[int, ...] | None


@dataclass
class Step:
    """What all layers of one step share: the noise level as a number, the conditionings by place and uuid, and the latent's size."""

    sigma: float
    chunks: Mapping[tuple[int, Any], Chunk]
    size: tuple[int, int]
    cache: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Applied:
    """One identity as applied to one model. ``scope``: act only on conditionings tagged with it; None: on every positive one."""

    name: str
    window: Window
    scope: str | None = None
    mask: Tensor | None = None  # [H, W] 0..1 over the whole picture
    cap: float = 0.0
    share: float = 1.0  # of the negative side, when several scoped identities share it


class Sides:
    """Which side every conditioning of a run is on, by uuid: guiders order their prompts as they like, and guidance nodes call the model with the
    negative prompt, or an empty one, alone.

    ``named`` are the guider's conditionings under its names for them: as everywhere in ComfyUI, only ``positive`` is the positive side.
    """

    _MOST = 256

    def __init__(self, named: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> None:
        named = named if named and "positive" in named else {}
        self._named = {
            cond["uuid"]: int(name != "positive") for name, group in named.items() for cond in group if "uuid" in cond
        }
        self._seen: dict[Any, int] = {}

    def of(self, group: Sequence[Mapping[str, Any]], place: int, alone: bool) -> int:
        """The side of the ``group`` at ``place`` of a step. ``alone``: it is the only one, so its place says nothing."""
        # The guider's own come first; behind them ComfyUI may add copies from the other side, with the uuid of that side.
        first = group[0].get("uuid")
        if first in self._named:
            return self._named[first]
        if not alone:
            if len(self._seen) >= self._MOST:
                self._seen.clear()
            self._seen.update((cond.get("uuid"), place) for cond in group)
            return place
        # Never seen beside the prompts: an empty conditioning, which is nobody. Nothing seen at all: a single call, the positive one.
        return self._seen.get(first, 1 if self._seen or self._named else place)


def begin_step(
    conds: Sequence[Sequence[Mapping[str, Any]] | None], latent: Tensor, timestep: Tensor, sides: Sides | None = None
) -> Step:
    """Read what a step needs from its conditionings: one read of the noise level, however many layers follow."""
    chunks: dict[tuple[int, Any], Chunk] = {}
    sides = sides or Sides()
    for place, group in enumerate(conds):
        if not group:
            continue
        side = sides.of(group, place, len(conds) == 1)
        for cond in group:
            area = cond.get("area")
            usable = tuple(area) if isinstance(area, (tuple, list)) and all(isinstance(a, int) for a in area) else None
            chunks[place, cond.get("uuid")] = Chunk(side, frozenset(cond.get(TAG, ())), usable)
    return Step(float(timestep.flatten()[0]), chunks, (int(latent.shape[-2]), int(latent.shape[-1])))


def _rows(
    applied: Applied, options: Mapping[str, Any], step: Step | None, batch: int
) -> tuple[tuple[int, ...], tuple[float, ...], list]:
    """For every row of the batch: keys of the positive (0) or negative (1) side, how much, and the chunk it belongs to."""
    places = options.get("cond_or_uncond") or [0]
    uuids = options.get("uuids") or [None] * len(places)
    picked: list[int] = []
    amounts: list[float] = []
    chunks: list[Chunk | None] = []
    for place, uuid in zip(places, uuids, strict=False):
        chunk = step.chunks.get((place, uuid)) if step is not None else None
        side = chunk.side if chunk is not None else place
        if applied.scope is None:
            pick, amount = (0 if side == 0 else 1), 1.0
        elif chunk is not None and side == 0 and applied.scope in chunk.tags:
            pick, amount = 0, 1.0
        elif chunk is None or side == 0:
            pick, amount = 0, 0.0
        else:
            pick, amount = 1, applied.share
        picked.append(pick)
        amounts.append(amount)
        chunks.append(chunk)
    each = max(1, batch // len(picked))
    return (
        tuple(pick for pick in picked for _ in range(each)),
        tuple(amount for amount in amounts for _ in range(each)),
        [chunk for chunk in chunks for _ in range(each)],
    )


def _mask_rows(
    mask: Tensor, chunks: Sequence[Chunk | None], size: tuple[int, int], height: int, width: int, like: Tensor
) -> Tensor:
    """The mask as seen by each row, [B or 1, height * width, 1]; a conditioning with an area sees its part of it."""
    import torch
    from torch.nn import functional

    def fit(piece: Tensor) -> Tensor:
        return functional.interpolate(piece[None, None], (height, width), mode="bilinear", antialias=True).reshape(
            -1, 1
        )

    made: dict[tuple[int, ...] | None, Tensor] = {}
    for chunk in chunks:
        area = chunk.area if chunk else None
        if area not in made:
            piece = mask.float()
            if area is not None and len(area) == 4:
                rows, columns = mask.shape[-2] / size[0], mask.shape[-1] / size[1]
                top, left = round(area[2] * rows), round(area[3] * columns)
                piece = piece[top : top + max(1, round(area[0] * rows)), left : left + max(1, round(area[1] * columns))]
            made[area] = fit(piece).to(like)
    if len(made) == 1:
        return next(iter(made.values()))[None]
    return torch.stack([made[chunk.area if chunk else None] for chunk in chunks])


@dataclass(frozen=True, eq=False)
class IdentityPatch:
    """The attn2 patch of one block: ``attention`` is the host's, ``previous`` a patch of someone else that keeps working.

    ``few`` is the host's attention for an identity's few tokens: what is best for long texts is not best for four keys.
    """

    attention: Callable[..., Tensor]
    entries: tuple[tuple[Applied, LayerKV], ...]
    previous: Callable[..., Tensor] | None = None
    few: Callable[..., Tensor] | None = None
    _devices: dict = field(default_factory=dict, repr=False)

    def adding(self, applied: Applied, layer: LayerKV) -> IdentityPatch:
        """A new patch with one identity more; this one stays as it is."""
        entries = (*self.entries, (applied, layer))
        scoped = sum(item.scope is not None for item, _ in entries)
        shared = tuple(
            (replace(item, share=1 / scoped) if item.scope is not None else item, kv) for item, kv in entries
        )
        return IdentityPatch(self.attention, shared, self.previous, self.few)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        heads, precision = extra_options["n_heads"], extra_options.get("attn_precision")
        if self.previous is not None:
            out = self.previous(q, k, v, extra_options).clone()  # it may keep what it returned
        else:
            out = self.attention(q, k, v, heads, attn_precision=precision, transformer_options=extra_options)
        step: Step | None = extra_options.get(STEP)
        sigma = step.sigma if step is not None else _sigma(extra_options)
        for applied, layer in self.entries:
            strength = applied.window.factor(sigma) * layer.weight
            if strength != 0:
                out = self._add(out, q, applied, layer, strength, step, extra_options, heads, precision)
        return out

    def _add(self, out, q, applied, layer, strength, step, options, heads, precision) -> Tensor:
        cache = step.cache if step is not None else {}
        key = (
            applied.name,
            applied.share,
            q.shape[0],
            tuple(options.get("uuids") or ()),
            tuple(options.get("cond_or_uncond") or ()),
        )
        plan = cache.get(key)
        if plan is None:
            picked, amounts, chunks = _rows(applied, options, step, q.shape[0])
            varied = amounts if len(set(amounts)) > 1 else None
            plan = cache[key] = (
                _index(picked, q.device),
                amounts[0] if varied is None else None,
                _column(varied, q),
                chunks,
            )
        index, amount, column, chunks = plan
        if amount == 0:
            return out
        keys, values = layer.keys, layer.values
        if keys.device != q.device or keys.dtype != q.dtype:
            keys, values = self._moved(layer, q)
        if index is not None:
            keys, values = keys.index_select(0, index), values.index_select(0, index)
        found = (self.few or self.attention)(
            q, keys, values, heads, attn_precision=precision, transformer_options=options, low_precision_attention=False
        )
        if applied.cap > 0:
            found = _capped(found * strength, out, applied.cap)
            strength = 1.0
        if column is not None:
            found = found * column
        elif amount is not None:
            strength *= amount
        if applied.mask is not None:
            found = found * self._mask(applied, q, options, step, chunks, cache)
        if out.dtype != found.dtype:
            found = found.to(out.dtype)
        return out.add_(found, alpha=strength) if not out.is_inference() or _inference() else out + strength * found

    def _mask(self, applied, q, options, step, chunks, cache) -> Tensor:
        shape = options.get("activations_shape") or [0, 0, q.shape[1], 1]
        height, width = int(shape[-2]), int(shape[-1])
        areas = tuple(chunk.area if chunk else None for chunk in chunks)
        key = (applied.name, "mask", height, width, areas)
        if key not in cache:
            size = step.size if step is not None else (height, width)
            cache[key] = _mask_rows(applied.mask.to(q.device), chunks, size, height, width, q)
        return cache[key]

    def _moved(self, layer: LayerKV, q: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values where the UNet is; kept, because a model stays where it is for the whole run."""
        key = (id(layer), q.device, q.dtype)
        if key not in self._devices:
            self._devices[key] = (layer.keys.to(q.device, q.dtype), layer.values.to(q.device, q.dtype))
        return self._devices[key]

    def to(self, device: Any) -> IdentityPatch:
        """The host moves patches with the model; rows are moved when first used, so this only passes the word on."""
        if hasattr(self.previous, "to"):
            moved = self.previous.to(device)
            if moved is not self.previous:
                return replace(self, previous=moved)
        return self

    def models(self) -> list:
        """Models that must be loaded with the UNet: none of ours, whatever the previous patch asks for."""
        return self.previous.models() if hasattr(self.previous, "models") else []

    def cleanup(self) -> None:
        """Forget what was moved to a device."""
        self._devices.clear()
        if hasattr(self.previous, "cleanup"):
            self.previous.cleanup()


def _sigma(options: Mapping[str, Any]) -> float:
    """The noise level when no step was announced (a UNet called directly)."""
    sigmas = options.get("sigmas")
    return float(sigmas.flatten()[0]) if sigmas is not None else 1.0


def _index(picked: tuple[int, ...], device: Any):
    """Row numbers as a tensor, or None when the stored pair already is what the batch needs."""
    import torch

    return None if picked == (0, 1) else torch.tensor(picked, device=device)


def _column(amounts: tuple[float, ...] | None, like: Tensor) -> Tensor | None:
    import torch

    return None if amounts is None else torch.tensor(amounts, device=like.device, dtype=like.dtype)[:, None, None]


def _capped(found: Tensor, out: Tensor, cap: float) -> Tensor:
    """``found`` no longer than ``cap`` times what the prompt gives, position by position."""
    ours, theirs = found.norm(dim=-1, keepdim=True), out.norm(dim=-1, keepdim=True)
    return found * (cap * theirs / ours.clamp_min(1e-6)).clamp_max(1.0)


def _inference() -> bool:
    import torch

    return torch.is_inference_mode_enabled()


def tensors_of(patches: Sequence[IdentityPatch]) -> list[Tensor]:
    """Every tensor that patches keep alive (for tests and reports of memory)."""
    found: list[Tensor] = []
    for patch in patches:
        for applied, layer in patch.entries:
            found += [layer.keys, layer.values]
            if applied.mask is not None:
                found.append(applied.mask)
    return list({id(item): item for item in found}.values())
