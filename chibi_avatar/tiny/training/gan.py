"""Train the instant preview on latents: the generator first towards the captioned pictures, then in alternating steps with a
discriminator, with R1 every few steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.adversarial import discriminator_loss, generator_loss, gradient_penalty
from ..networks.autoencoder import Autoencoder
from ..networks.preview import NOISE, SIZE, Discriminator, Generator, pooled
from .diffusion import Corpus, Diffusion, decode
from .loop import Ema, Run, Settings, autocast, digest, generator, learning_rate
from .plots import grid

R1_EVERY, R1_WEIGHT = 8, 0.2


@dataclass(frozen=True)
class Options:
    """What is trained; ``adversarial`` is one of ``LOSSES``. ``near`` weighs the distance to the captioned picture's own latents (L1, as in
    Isola et al. 2017), and for the share ``alone`` of the steps that is all the generator learns from: colours and places are right before
    the discriminator joins. Then its say grows from nothing to all, so that it learns to judge before it is listened to.
    """

    batch: int = 48
    rate: float = 2.5e-4
    adversarial: str = "cross_entropy"
    near: float = 5.0
    alone: float = 0.7


def train_gan(
    settings: Settings, corpus: Corpus, model: Diffusion, autoencoder: Autoencoder, options: Options = Options()
) -> Generator:  # noqa: B008
    """Train on ``corpus`` with the text encoder of ``model``; returns the averaged generator. Raises :class:`~.loop.TrainingError`."""
    torch.manual_seed(settings.seed)
    device = settings.device
    maker = Generator().to(device, memory_format=torch.channels_last).train()
    judge = Discriminator().to(device, memory_format=torch.channels_last).train()
    text = model.text.to(device).requires_grad_(False).eval()
    making = torch.optim.AdamW(maker.parameters(), options.rate, betas=(0.0, 0.99), weight_decay=0.0)
    judging = torch.optim.AdamW(judge.parameters(), options.rate * 1.5, betas=(0.0, 0.99), weight_decay=0.0)
    ema = Ema(maker, 0.998)
    config = {"network": "gan", "seed": settings.seed, "text": digest(text), **vars(options)}
    run = Run(settings, config, {"maker": maker, "judge": judge, "making": making, "judging": judging, "ema": ema})
    order = corpus.order(SIZE, settings.seed + 2)

    def words(ids: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), autocast(settings):
            context = text(text.rows_of(ids))
        return context.float(), pooled(context, ids).float()

    def judge_step(step: int, real: Tensor, context: Tensor, pool: Tensor, z: Tensor) -> dict[str, float]:
        """The discriminator's turn; a wrong caption is a fake too, or the text would be of no use to it."""
        with torch.no_grad(), autocast(settings):
            fake = maker(z, context, pool).float()
        with autocast(settings):
            called, faked, mistaken = (
                judge(real, pool).float(),
                judge(fake, pool).float(),
                judge(real, pool.roll(1, 0)).float(),
            )
        loss = discriminator_loss(options.adversarial, called, faked) + 0.5 * generator_loss(
            options.adversarial, -mistaken if options.adversarial == "cross_entropy" else 1 - mistaken
        )
        numbers_out = {"judge": float(loss.detach())}
        if step % R1_EVERY == 0:
            exact = real.detach().requires_grad_(True)
            loss = loss + R1_WEIGHT * R1_EVERY / 2 * gradient_penalty(exact, judge(exact, pool))
        judging.zero_grad()
        loss.backward()
        judging.step()
        return numbers_out

    def one(step: int) -> Mapping[str, float]:
        for optimizer, share in ((making, 1.0), (judging, 1.5)):
            for group in optimizer.param_groups:
                group["lr"] = share * learning_rate(options.rate, step, settings.steps, tail=0.1)
        numbers = order.take(step * options.batch, options.batch)
        real = corpus.batch(SIZE, numbers).to(device, memory_format=torch.channels_last)
        context, pool = words(corpus.captions(numbers, f"gan {settings.seed} {step}").to(device))
        z = torch.randn((2, len(real), NOISE), generator=generator(settings.seed + 2, step)).to(device)
        taught = step >= (begin := options.alone * settings.steps)
        numbers_out = judge_step(step, real, context, pool, z[0]) if taught else {}
        # the generator's turn
        with autocast(settings):
            fake = maker(z[1], context, pool)
        away = F.l1_loss(fake.float(), real)
        loss = options.near * away
        numbers_out["distance"] = float(away.detach())
        if taught:
            with autocast(settings):
                told = judge(fake, pool).float()
            fooled = generator_loss(options.adversarial, told)
            loss = loss + min(1.0, 2 * (step - begin) / (settings.steps - begin)) * fooled
            numbers_out["generator"] = float(fooled.detach())
        making.zero_grad()
        loss.backward()
        making.step()
        ema.update(step)
        return numbers_out

    shown = corpus.held_out(17)[:-1]

    def samples(step: int) -> None:
        context, pool = words(shown.to(device))
        z = torch.randn((len(shown), NOISE), generator=generator(0, 0)).to(device)
        with ema.applied(), torch.no_grad():
            latents = maker(z, context, pool)
        grid(decode(autoencoder, latents), run.folder / f"samples-{step:06d}.png", 4)

    run.go(one, samples)
    ema.put(ema.shadow)
    return maker.eval()
