"""Train the text encoder: before there is a picture to denoise it learns what a caption says, as CLIP does for Stable Diffusion.

Next to nothing of the noise loss depends on the words, and a text encoder that learns from that alone hardly learns. Here a small reader
asks the context for what the captioned picture shows: its mean latents at 8 × 8 places, and for drawn pictures also the share and the mean
latents of every part (hair, outfit …) and every label. Diffusion then trains on the frozen result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...avatar.build import PARTS
from ..networks.text import WIDTH, TextEncoder
from .loop import Ema, Order, Run, Settings, autocast, checkpoint, learning_rate

if TYPE_CHECKING:
    from .diffusion import Corpus

PLACES = 8  # along each side
_ASK, _HEADS = 384, 6
_MOST = 128  # values of a label that is still a choice
_UNKNOWN = -100


@dataclass(frozen=True)
class Options:
    """What is trained."""

    batch: int = 64
    rate: float = 5e-4


class Reader(nn.Module):
    """Context (B, 77, 768) → answers: ``places`` (B, 4 + parts, 8, 8), ``colors`` (B, parts, 4), and logits for every label.

    A place or a part is a query of its own that reads the words twice; for a label every word has its say, and the surest is heard.
    All of it is thrown away after training.
    """

    def __init__(self, labels: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.questions = nn.Parameter(torch.randn(PLACES**2 + len(PARTS), _ASK) * 0.1)
        self.blocks = nn.ModuleList(_Block() for _ in range(2))
        self.places, self.colors = nn.Linear(_ASK, 4 + len(PARTS)), nn.Linear(_ASK, 4)
        self.labels = nn.ModuleDict({name: nn.Linear(WIDTH, len(values)) for name, values in labels.items()})

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        x = self.questions.expand(len(context), -1, -1)
        for block in self.blocks:
            x = block(x, context)
        spots, parts = x.split([PLACES**2, len(PARTS)], 1)
        told = {name: head(context).float().logsumexp(1) for name, head in self.labels.items()}
        return self.places(spots).movedim(1, -1).unflatten(-1, (PLACES, PLACES)), self.colors(parts), told


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.norm2 = nn.LayerNorm(_ASK), nn.LayerNorm(_ASK)
        self.q, self.k, self.v = nn.Linear(_ASK, _ASK), nn.Linear(WIDTH, _ASK), nn.Linear(WIDTH, _ASK)
        self.out = nn.Linear(_ASK, _ASK)
        self.feed = nn.Sequential(nn.Linear(_ASK, 2 * _ASK), nn.GELU(), nn.Linear(2 * _ASK, _ASK))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for part in (self.q(self.norm(x)), self.k(context), self.v(context))
        )
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.feed(self.norm2(x))


def choices(corpus: Corpus) -> dict[str, tuple[str, ...]]:
    """The labels that are a choice among words, with their values; none for a person's own pictures."""
    found: dict[str, set[str]] = {}
    for item in corpus.store.items[: corpus.counts[128]]:
        for name, value in item.labels.items():
            if isinstance(value, str) and not value.startswith("#"):
                found.setdefault(name, set()).add(value)
    return {name: tuple(sorted(values)) for name, values in sorted(found.items()) if 1 < len(values) <= _MOST}


def train_text(settings: Settings, corpus: Corpus, options: Options = Options()) -> TextEncoder:  # noqa: B008
    """Train on the captions of ``corpus``; returns the averaged encoder. Raises :class:`~.loop.TrainingError`."""
    torch.manual_seed(settings.seed)
    device = settings.device
    # a run goes on with the words and labels that it began with, even when more pictures were drawn meanwhile
    begun = checkpoint(settings.folder) if settings.resume else None
    labels = begun["config"]["labels"] if begun else choices(corpus)
    text = TextEncoder(begun["parts"]["network"]["tokens"].clone() if begun else torch.from_numpy(corpus.tokens))
    text = text.to(device)
    both = nn.ModuleList([text, Reader(labels)]).to(device).train()
    optimizer = torch.optim.AdamW(both.parameters(), options.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = Ema(text, 0.998)
    config = {"network": "text", "seed": settings.seed, "labels": labels, **vars(options)}
    run = Run(settings, config, {"network": text, "reader": both[1], "optimizer": optimizer, "ema": ema})
    order = Order(corpus.counts[128], settings.seed + 3)

    numbered = {name: {value: k for k, value in enumerate(values)} for name, values in labels.items()}

    def one(step: int) -> Mapping[str, float]:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.rate, step, settings.steps, warmup=100)
        numbers = order.take(step * options.batch, options.batch)
        items = [corpus.store.items[i] for i in numbers]
        rows = text.rows_of(corpus.captions(numbers, f"text {settings.seed} {step}").to(device))
        with autocast(settings):
            places, colors, told = both[1](text(rows))
        x = corpus.batch(128, numbers).to(device)
        out = {"places": F.mse_loss(places[:, :4].float(), F.adaptive_avg_pool2d(x, PLACES))}
        if corpus.store.drawn:
            maps = torch.from_numpy(np.stack([item.parts for item in items])).long().to(device)  # type: ignore[arg-type]
            where = F.one_hot(maps, len(PARTS) + 1)[..., 1:].movedim(-1, 1).float()
            out["shares"] = F.mse_loss(places[:, 4:].float(), F.adaptive_avg_pool2d(where, PLACES))
            out["part colors"] = _color_error(colors.float(), x, where)
        for name, logits in told.items():
            wanted = torch.tensor(
                [numbered[name].get(item.labels.get(name), _UNKNOWN) for item in items], device=device
            )
            known = (wanted != _UNKNOWN).sum().clamp(min=1)
            out[name] = F.cross_entropy(logits, wanted, ignore_index=_UNKNOWN, reduction="sum") / known
        chosen = sum((out[name] for name in labels), torch.zeros((), device=device)) / max(1, len(labels))
        loss = out["places"] + 2 * out.get("shares", 0.0) + out.get("part colors", 0.0) + chosen
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        ema.update(step)
        return {name: float(value.detach()) for name, value in out.items()}

    run.go(one)
    ema.put(ema.shadow)
    return text.eval()


def _color_error(told: Tensor, x: Tensor, where: Tensor) -> Tensor:
    """Squared error of each part's mean latents, (B, parts, 4) against latents (B, 4, h, w) and masks (B, parts, H, W); unseen parts do
    not count."""
    weight = F.adaptive_avg_pool2d(where, x.shape[-1]).flatten(2)
    area = weight.sum(2)
    mean = weight @ x.flatten(2).transpose(1, 2) / area.clamp(min=1e-6)[..., None]
    seen = (area > 1.0).float()
    return ((told - mean).square().mean(2) * seen).sum() / seen.sum().clamp(min=1)
