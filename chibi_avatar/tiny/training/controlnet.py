"""Train the pose ControlNet: the diffusion model stays as it is, a copy of its first half learns to follow drawn skeletons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...pose.draw import Style, draw
from ...pose.keypoints import Frame, Person
from ..networks.autoencoder import Autoencoder
from ..networks.unet import controlnet
from .attention import ATTENTION
from .diffusion import Corpus, Diffusion, decode
from .diffusion import Options as DiffusionOptions
from .loop import Ema, Run, Settings, TrainingError, autocast, digest, generator, learning_rate
from .plots import grid
from .sampling import sample
from .schedule import add_noise, alphas_bar, loss_weight


@dataclass(frozen=True)
class Options(DiffusionOptions):
    """What is trained; see :class:`~.diffusion.Options`."""

    rate: float = 3e-4


def skeleton(keypoints: np.ndarray, size: int, out: int) -> np.ndarray:
    """Keypoints (18, 3) of a picture of ``size`` pixels as the ControlNet's hint, (out, out, 3) uint8."""
    body = np.where(keypoints[:, 2:] > 0, keypoints, 0.0).astype(np.float64)
    return draw(Frame(size, size, [Person(body)]), out, out, Style())


def train_controlnet(
    settings: Settings,
    corpus: Corpus,
    model: Diffusion,
    autoencoder: Autoencoder,
    options: Options = Options(),  # noqa: B008
    start: nn.Module | None = None,
) -> nn.Module:
    """Train on the drawn pictures of ``corpus``; returns the averaged ControlNet. Raises :class:`~.loop.TrainingError`. A new run begins
    with a copy of the UNet's first half, or goes on from ``start``.
    """
    if not corpus.store.drawn:
        raise TrainingError("the pose ControlNet needs pictures with keypoints: train it on what  train data  draws")
    torch.manual_seed(settings.seed)
    base = model.unet.to(settings.device).requires_grad_(False).eval()
    text = model.text.to(settings.device).requires_grad_(False).eval()
    network = (
        (start or controlnet(base)).to(settings.device, memory_format=torch.channels_last).requires_grad_(True).train()
    )
    optimizer = torch.optim.AdamW(network.parameters(), options.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = Ema(network)
    config = {
        "network": "controlnet",
        "seed": settings.seed,
        "model": digest(base, text),
        "attention": ATTENTION,
        **vars(options),
    }
    run = Run(settings, config, {"network": network, "optimizer": optimizer, "ema": ema})
    orders = {size: corpus.order(size, settings.seed + 1) for size in corpus.counts}
    bar = alphas_bar().to(settings.device)

    def hints(numbers: np.ndarray, size: int) -> Tensor:
        drawn = [skeleton(corpus.store.items[i].keypoints, 256, size) for i in numbers]  # type: ignore[arg-type]
        return torch.from_numpy(np.stack(drawn)).movedim(-1, 1).float() / 255

    def one(step: int) -> Mapping[str, float]:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.rate, step, settings.steps, warmup=100)
        random_numbers = generator(settings.seed + 1, step, settings.device)
        seen = corpus.see(orders, step, settings.steps, options, settings.device, random_numbers)
        x = seen.x
        shown = seen.window(hints(seen.numbers, seen.size)).repeat(options.noises, 1, 1, 1).to(x)
        noise = torch.randn(x.shape, generator=random_numbers, device=x.device)
        # where things stand is decided early, at high noise: those steps are drawn more often
        t = ((torch.rand(len(x), generator=random_numbers, device=x.device) ** 0.6) * seen.most).long()
        rows = text.rows_of(corpus.captions(seen.numbers, f"control {settings.seed} {step}").to(x.device))
        noisy = add_noise(x, noise, bar[t])
        with autocast(settings):
            context = text(rows).repeat(options.noises, 1, 1)
            down, middle = network(noisy, t, context, controlnet_cond=shown, return_dict=False)
            predicted = base(
                noisy, t, context, down_block_additional_residuals=down, mid_block_additional_residual=middle
            ).sample
        error = (seen.attention * (predicted.float() - noise).square()).mean((1, 2, 3))
        loss = (loss_weight(bar[t]) * error).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        ema.update(step)
        return {"weighted loss": float(loss.detach())}

    held = np.arange(len(corpus.store) - 1, max(-1, len(corpus.store) - 9), -1)

    def samples(step: int) -> None:
        captions = corpus.held_out(9)
        shown = hints(held, 256)
        with ema.applied():
            rows = text.rows_of(captions.to(settings.device))
            latents = sample(
                base, text(rows[:-1]), text(rows[-1:]), 32, control=network, hints=shown, bf16=settings.bf16
            )
        pairs = np.concatenate([shown.movedim(1, -1).numpy(), decode(autoencoder, latents)], 2)
        grid(pairs, run.folder / f"samples-{step:06d}.png", 2)

    run.go(one, samples)
    ema.put(ema.shadow)
    return network.eval()
