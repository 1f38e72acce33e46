"""Train the autoencoder: reconstruction, and from a third of the run on a patch discriminator in alternating steps; in the last part the
encoder is settled and only the decoder goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.store import Store
from ..networks.adversarial import discriminator_loss, generator_loss
from ..networks.autoencoder import Autoencoder, PatchDiscriminator
from .attention import ATTENTION, attention, corners, cut
from .loop import Ema, Order, Run, Settings, autocast, generator, learning_rate, trained_on
from .plots import grid

LATENT_NOISE = 0.05  # deviation added to latents while training, so that near latents look alike
CELL = 4  # pixels between places where crops can lie
HELD_OUT = 64  # the last pictures are never trained on


@dataclass(frozen=True)
class Options:
    """What is trained. ``crop`` pixels a side, a multiple of 8, around places that count; ``adversarial`` is one of ``LOSSES``; ``weight``
    its share of the decoder's loss; the last ``settled`` share of the steps leave the encoder, and so all latents, as they are.
    """

    batch: int = 8
    crop: int = 64
    rate: float = 1e-3
    adversarial: str = "least_squares"
    weight: float = 0.02
    settled: float = 0.5


def train_autoencoder(
    settings: Settings,
    store: Store,
    options: Options = Options(),  # noqa: B008
    start: Autoencoder | None = None,
) -> Autoencoder:
    """Train on the pictures of ``store``; returns the averaged network. Raises :class:`~.loop.TrainingError`. A new run begins with
    nothing, or goes on from ``start``.
    """
    torch.manual_seed(settings.seed)
    network = (start or Autoencoder()).train().to(settings.device, memory_format=torch.channels_last)
    judge = PatchDiscriminator().to(settings.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), options.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    judging = torch.optim.AdamW(judge.parameters(), options.rate * 0.4, betas=(0.5, 0.99), weight_decay=1e-4)
    ema = Ema(network, 0.998)
    count = trained_on(len(store), HELD_OUT)
    order = Order(count, settings.seed)
    config = {"network": "autoencoder", "seed": settings.seed, "attention": ATTENTION, **vars(options)}
    run = Run(
        settings, config, {"network": network, "judge": judge, "optimizer": optimizer, "judging": judging, "ema": ema}
    )
    begins, settles = settings.steps // 3, settings.steps * (1 - options.settled)

    def batch(step: int, random_numbers: torch.Generator) -> Tensor:
        numbers = order.take(step * options.batch, options.batch)
        pictures = torch.from_numpy(np.stack([store.picture(int(i)) for i in numbers])).movedim(-1, 1)
        cells = pictures.shape[-1] // CELL
        begin = corners(attention(store, numbers, cells), options.crop // CELL, random_numbers)
        pixels = cut(pictures, begin * CELL, options.crop).to(settings.device)
        return (pixels.float() / 255).contiguous(memory_format=torch.channels_last)

    def one(step: int) -> Mapping[str, float]:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.rate, step, settings.steps)
        random_numbers = generator(settings.seed, step, settings.device)
        real = batch(step, random_numbers)
        with autocast(settings):
            with torch.set_grad_enabled(step < settles):
                latent = network.encode(real)
            noise = torch.randn(latent.shape, generator=random_numbers, device=latent.device).to(latent)
            fake = network.taesd_decoder(latent + LATENT_NOISE * noise)
        fake, latent = fake.float(), latent.float()
        losses = {"reconstruction": reconstruction(fake, real), "latent": 0.02 * spread(latent)}
        if step >= begins:
            with autocast(settings):
                judged = judge(fake)
            losses["decoder fools"] = options.weight * generator_loss(options.adversarial, judged.float())
        optimizer.zero_grad()
        sum(losses.values()).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        ema.update(step)
        if step >= begins:
            with autocast(settings):
                told = judge(real), judge(fake.detach())
            loss = discriminator_loss(options.adversarial, told[0].float(), told[1].float())
            judging.zero_grad()
            loss.backward()
            judging.step()
            losses["judge"] = loss
        with torch.no_grad():
            losses["PSNR dB"] = -10 * torch.log10(F.mse_loss(fake.clamp(0, 1), real))
        return {name: float(value.detach()) for name, value in losses.items()}

    def samples(step: int) -> None:
        shown = (
            np.stack([store.picture(i) for i in range(len(store) - 1, max(-1, len(store) - 9), -1)]).astype(np.float32)
            / 255
        )
        with ema.applied() as averaged:
            back = reconstruct(averaged, shown, settings)
        pairs = np.concatenate([shown, back], 2)
        grid(pairs, run.folder / f"samples-{step:06d}.png", 2)

    run.go(one, samples)
    with ema.applied():
        out = Autoencoder()
        out.load_state_dict(network.state_dict())
    return out.eval()


def reconstruction(fake: Tensor, real: Tensor) -> Tensor:
    """L1 at full, half and quarter size, so that both lines and areas count."""
    loss = F.l1_loss(fake, real) + 0.5 * F.mse_loss(fake, real)
    for _ in range(2):
        fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
        loss = loss + 0.5 * F.l1_loss(fake, real)
    return loss


def spread(latent: Tensor) -> Tensor:
    """How far each channel of the latents is from mean 0 and deviation 1."""
    flat = latent.movedim(1, 0).flatten(1)
    return flat.mean(1).square().mean() + (flat.std(1) - 1).square().mean()


@torch.no_grad()
def reconstruct(network: Autoencoder, pictures: np.ndarray, settings: Settings) -> np.ndarray:
    """(N, H, W, 3) floats through encoder and decoder."""
    out = []
    for picture in pictures:
        pixels = torch.from_numpy(picture).to(settings.device).movedim(-1, 0)[None]
        with autocast(settings):
            out.append(network.decode(network.encode(pixels)).float().cpu()[0].movedim(0, -1).numpy())
    return np.stack(out)


def held_out_psnr(network: Autoencoder, store: Store, settings: Settings, count: int = HELD_OUT) -> float:
    """Mean PSNR in dB over the last ``count`` pictures, which training leaves out."""
    values = []
    for index in range(len(store) - count, len(store)):
        picture = store.picture(index).astype(np.float32)[None] / 255
        error = float(((reconstruct(network, picture, settings) - picture) ** 2).mean())
        values.append(-10 * np.log10(max(error, 1e-12)))
    return float(np.mean(values))
