"""Train the latent diffusion model: UNet and text encoder together, on small latents first and full ones after."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data.captions import NEGATIVE, Tokenizer, said, varied, vocabulary, window
from ..data.store import Store
from ..networks.autoencoder import Autoencoder
from ..networks.text import TextEncoder
from ..networks.unet import unet
from .latents import autoencoder_digest, encode_all
from .loop import Ema, Order, Run, Settings, autocast, generator, learning_rate
from .plots import grid
from .sampling import sample
from .schedule import STEPS, add_noise, alphas_bar, bound_weights, min_snr_weight

HELD_OUT = 240  # the last pictures, and so their captions, are never trained on


@dataclass(frozen=True)
class Options:
    """What is trained. The first ``small_share`` of the steps see 128² pictures, four times cheaper; the rest 256²."""

    batch: int = 32
    rate: float = 4e-4
    small_share: float = 0.6


@dataclass
class Diffusion:
    """A trained model: ``unet`` and ``text`` with averaged weights, in eval mode."""

    unet: nn.Module
    text: TextEncoder


class Corpus:
    """Latents and captions of a store, ready for batches. ``tokens`` (V,) are the vocabulary's CLIP ids."""

    def __init__(
        self,
        store: Store,
        tokenizer: Tokenizer,
        autoencoder: Autoencoder,
        cache: Path,
        sizes: tuple[int, ...],
        settings: Settings,
    ) -> None:
        self.store, self.tokenizer = store, tokenizer
        self.count = max(1, len(store) - HELD_OUT)
        self.latents = encode_all(autoencoder, store, cache, sizes, settings.device, settings.say)
        self.tokens = vocabulary(tokenizer, (item.tags for item in store.items))

    def batch(self, size: int, numbers: np.ndarray) -> Tensor:
        """Latents (B, 4, size/8, size/8) float32."""
        return torch.from_numpy(self.latents[size][numbers].astype(np.float32))

    def captions(self, numbers: np.ndarray, key: str) -> Tensor:
        """Token ids (B, 77) of a varied caption for each picture."""
        return torch.from_numpy(
            np.stack(
                [
                    varied(self.tokenizer, self.store.items[i].tags, random.Random(f"{key} {i} {k}"))
                    for k, i in enumerate(numbers)
                ]
            )
        )

    def held_out(self, count: int) -> Tensor:
        """Token ids (count, 77): whole captions that are not trained on, and last the negative prompt."""
        last = range(len(self.store) - 1, max(-1, len(self.store) - count), -1)
        rows = [said(self.tokenizer, self.store.items[i].tags) for i in last]
        return torch.from_numpy(np.stack([*rows, window(self.tokenizer, (NEGATIVE,))]))


def train_diffusion(
    settings: Settings, corpus: Corpus, autoencoder: Autoencoder, options: Options = Options()
) -> Diffusion:  # noqa: B008
    """Train on ``corpus``; returns the averaged networks. Raises :class:`~.loop.TrainingError`."""
    torch.manual_seed(settings.seed)
    network = unet().to(settings.device, memory_format=torch.channels_last).train()
    text = TextEncoder(torch.from_numpy(corpus.tokens)).to(settings.device)
    both = nn.ModuleList([network, text])
    optimizer = torch.optim.AdamW(both.parameters(), options.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = Ema(both)
    config = {
        "network": "diffusion",
        "seed": settings.seed,
        "autoencoder": autoencoder_digest(autoencoder),
        "vocabulary": len(corpus.tokens),
        **vars(options),
    }
    run = Run(settings, config, {"network": both, "optimizer": optimizer, "ema": ema})
    order = Order(corpus.count, settings.seed)
    bar, bound = alphas_bar().to(settings.device), bound_weights().to(settings.device)

    def one(step: int) -> Mapping[str, float]:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.rate, step, settings.steps)
        numbers = order.take(step * options.batch, options.batch)
        small = step < options.small_share * settings.steps
        x = corpus.batch(128 if small else 256, numbers).to(settings.device, memory_format=torch.channels_last)
        random_numbers = generator(settings.seed, step)
        noise = torch.randn(x.shape, generator=random_numbers).to(x)
        t = torch.randint(0, STEPS, (len(x),), generator=random_numbers).to(x.device)
        rows = text.rows_of(corpus.captions(numbers, f"{settings.seed} {step}").to(x.device))
        with autocast(settings):
            predicted = network(add_noise(x, noise, bar[t]), t, text(rows)).sample
        error = (predicted.float() - noise).square().flatten(1)
        loss = (min_snr_weight(bar[t]) * error.mean(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        ema.update(step)
        with torch.no_grad():
            numbers_out = {
                "weighted loss": loss,
                "noise error": error.mean(),
                "bound (nats per value)": STEPS * (bound[t] * error.mean(1)).mean(),
            }
        return {name: float(value.detach()) for name, value in numbers_out.items()}

    shown = corpus.held_out(17)

    def samples(step: int) -> None:
        size = 128 if step <= options.small_share * settings.steps else 256
        with ema.applied():
            rows = text.rows_of(shown.to(settings.device))
            latents = sample(network, text(rows[:-1]), text(rows[-1:]), size // 8, seed=0, bf16=settings.bf16)
        grid(decode(autoencoder, latents), run.folder / f"samples-{step:06d}.png", 4)

    run.go(one, samples)
    ema.put(ema.shadow)
    return Diffusion(network.eval(), text.eval())


@torch.no_grad()
def decode(autoencoder: Autoencoder, latents: Tensor) -> np.ndarray:
    """Latents (N, 4, h, w) → pictures (N, 8h, 8w, 3) float32 0..1."""
    device = next(autoencoder.parameters()).device
    out = [autoencoder.decode(latent[None].to(device)).float().cpu()[0] for latent in latents]
    return torch.stack(out).movedim(1, -1).numpy()
