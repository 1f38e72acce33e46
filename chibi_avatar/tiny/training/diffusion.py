"""Train the latent diffusion model: the UNet learns to read the finished text encoder, on small pictures first, then on full ones and on
windows of them."""

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
from .attention import ATTENTION, attention, corners, cut
from .latents import autoencoder_digest, encode_all
from .loop import Ema, Order, Run, Settings, autocast, digest, generator, learning_rate, trained_on
from .plots import grid
from .sampling import sample
from .schedule import STEPS, add_noise, alphas_bar, bound_weights, loss_weight

# A window of a full picture: its side in latents, and the levels of noise it is seen at. Above them a window could not be told from a
# whole small picture; below them what is drawn is mostly settled and how a mouth or a collar looks is not.
WINDOW, WINDOW_STEPS = 16, 400
HELD_OUT = 960  # the last pictures, and so their captions, are never trained on; of a small collection a tenth


@dataclass(frozen=True)
class Options:
    """What is trained. The first ``small_share`` of the steps see 128² pictures, four times cheaper. The rest see 256²: after each
    step on whole pictures come ``windows`` steps on windows of them, as cheap as small pictures (patches as in Wang et al. 2023, "Patch
    Diffusion", but around what matters and at low noise). A step draws ``noises`` levels of noise for each of batch / noises pictures:
    a caption is read once for them.
    """

    batch: int = 32
    rate: float = 4e-4
    small_share: float = 0.5
    noises: int = 2
    windows: int = 4


@dataclass
class Diffusion:
    """A trained model: ``unet`` and the ``text`` encoder it reads, with averaged weights, in eval mode."""

    unet: nn.Module
    text: TextEncoder


@dataclass(frozen=True)
class Seen:
    """What a step sees of each of its pictures: latents ``x`` (B, 4, h, w) and how much the error of each place counts, ``attention``
    (B, 1, h, w) with mean 1; B is every picture of ``numbers`` (n,) times its levels of noise. ``size`` is the pictures' side in
    pixels, ``corners`` (n, 2) where in their latents a window begins (y, x), ``most`` the level of noise that all stay below.
    """

    size: int
    numbers: np.ndarray
    x: Tensor
    attention: Tensor
    corners: np.ndarray
    most: int

    def window(self, pictures: Tensor) -> Tensor:
        """The seen part (n, C, 8h, 8w) of pictures (n, C, size, size)."""
        return cut(pictures, self.corners * 8, self.x.shape[2] * 8)


def size_at(step: int, small_share: float, steps: int) -> int:
    """The side of the pictures that step ``step`` of ``steps`` sees."""
    return 128 if step < small_share * steps else 256


class Corpus:
    """Latents and captions of a store, ready for batches. ``tokens`` (V,) are the vocabulary's CLIP ids.

    Pictures are encoded when a size is first asked for, into ``cache``; at 256² only the first ``full`` (0: all), for that takes 0.2 s
    each on a core. ``counts`` says how many pictures are trained on at each size.
    """

    def __init__(
        self,
        store: Store,
        tokenizer: Tokenizer,
        autoencoder: Autoencoder,
        cache: Path,
        settings: Settings,
        full: int = 0,
    ) -> None:
        self.store, self.tokenizer = store, tokenizer
        count = trained_on(len(store), HELD_OUT)
        self.counts = {128: count, 256: min(count, full or count)}
        self.tokens = vocabulary(tokenizer, (item.tags for item in store.items))
        self._encoder, self._cache, self._settings = autoencoder, cache, settings
        self._latents: dict[int, np.ndarray] = {}

    def latents(self, size: int) -> np.ndarray:
        """The pictures that are trained on at ``size`` pixels: (n, 4, size/8, size/8) float16."""
        if size not in self._latents:
            count = self.counts[size]
            self._latents[size] = encode_all(
                self._encoder, self.store, self._cache, size, self._settings.device, self._settings.say, count
            )
        return self._latents[size]

    def order(self, size: int, seed: int) -> Order:
        """The order in which pictures of ``size`` are seen."""
        return Order(self.counts[size], seed)

    def batch(self, size: int, numbers: np.ndarray) -> Tensor:
        """Latents (B, 4, size/8, size/8) float32."""
        return torch.from_numpy(self.latents(size)[numbers].astype(np.float32))

    def see(
        self,
        orders: Mapping[int, Order],
        step: int,
        steps: int,
        options: Options,
        device: str,
        random_numbers: torch.Generator,
    ) -> Seen:
        """What step ``step`` of ``steps`` sees, on ``device``."""
        size = size_at(step, options.small_share, steps)
        whole = size // 8
        count = max(1, options.batch // options.noises)
        numbers = orders[size].take(step * count, count)
        counts = attention(self.store, numbers, whole)
        side, most, begin = whole, STEPS, np.zeros((count, 2), np.int64)
        if size == 256 and step % (options.windows + 1):
            side, most = WINDOW, WINDOW_STEPS
            begin = corners(counts, side, random_numbers)
        x, counts = (
            cut(part, begin, side).repeat(options.noises, 1, 1, 1) for part in (self.batch(size, numbers), counts)
        )
        x = x.to(device, memory_format=torch.channels_last)
        return Seen(size, numbers, x, (counts / counts.mean((2, 3), keepdim=True)).to(device), begin, most)

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
    settings: Settings,
    corpus: Corpus,
    autoencoder: Autoencoder,
    text: TextEncoder,
    options: Options = Options(),  # noqa: B008
    start: nn.Module | None = None,
) -> Diffusion:
    """Train on ``corpus`` with the finished encoder ``text``, which stays as it is; returns it with the averaged UNet. Raises
    :class:`~.loop.TrainingError`. A new run begins with nothing, or goes on from the UNet ``start``.
    """
    torch.manual_seed(settings.seed)
    network = (start or unet()).to(settings.device, memory_format=torch.channels_last).train()
    text = text.to(settings.device).requires_grad_(False).eval()
    optimizer = torch.optim.AdamW(network.parameters(), options.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = Ema(network)
    config = {
        "network": "diffusion",
        "seed": settings.seed,
        "autoencoder": autoencoder_digest(autoencoder),
        "text": digest(text),
        "attention": ATTENTION,
        **vars(options),
    }
    run = Run(settings, config, {"network": network, "text": text, "optimizer": optimizer, "ema": ema})
    orders = {size: corpus.order(size, settings.seed) for size in corpus.counts}
    bar, bound = alphas_bar().to(settings.device), bound_weights().to(settings.device)

    def one(step: int) -> Mapping[str, float]:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.rate, step, settings.steps)
        random_numbers = generator(settings.seed, step, settings.device)
        seen = corpus.see(orders, step, settings.steps, options, settings.device, random_numbers)
        x = seen.x
        noise = torch.randn(x.shape, generator=random_numbers, device=x.device)
        t = torch.randint(0, seen.most, (len(x),), generator=random_numbers, device=x.device)
        rows = text.rows_of(corpus.captions(seen.numbers, f"{settings.seed} {step}").to(x.device))
        with autocast(settings):
            with torch.no_grad():
                context = text(rows).repeat(options.noises, 1, 1)
            predicted = network(add_noise(x, noise, bar[t]), t, context).sample
        error = (predicted.float() - noise).square()
        loss = (loss_weight(bar[t]) * (seen.attention * error).mean((1, 2, 3))).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        ema.update(step)
        with torch.no_grad():
            numbers_out = {
                "weighted loss": loss,
                "noise error": error.mean(),
                "bound (nats per value)": STEPS * (bound[t] * error.mean((1, 2, 3))).mean(),
            }
        return {name: float(value.detach()) for name, value in numbers_out.items()}

    shown = corpus.held_out(17)

    def samples(step: int) -> None:
        size = size_at(step - 1, options.small_share, settings.steps)
        with ema.applied():
            rows = text.rows_of(shown.to(settings.device))
            latents = sample(network, text(rows[:-1]), text(rows[-1:]), size // 8, seed=0, bf16=settings.bf16)
        grid(decode(autoencoder, latents), run.folder / f"samples-{step:06d}.png", 4)

    run.go(one, samples)
    ema.put(ema.shadow)
    return Diffusion(network.eval(), text)


@torch.no_grad()
def decode(autoencoder: Autoencoder, latents: Tensor) -> np.ndarray:
    """Latents (N, 4, h, w) → pictures (N, 8h, 8w, 3) float32 0..1."""
    device = next(autoencoder.parameters()).device
    out = [autoencoder.decode(latent[None].to(device)).float().cpu()[0] for latent in latents]
    return torch.stack(out).movedim(1, -1).numpy()
