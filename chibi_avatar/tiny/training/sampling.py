"""Sampling while training and measuring, on diffusers' scheduler; people sample in ComfyUI."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .schedule import SCHEDULER


@torch.no_grad()
def sample(
    network: nn.Module, context: Tensor, empty: Tensor, size: int, *, steps: int = 20, guidance: float = 5.0, seed: int = 0,
    bf16: bool = True, control: nn.Module | None = None, hints: Tensor | None = None, noise: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """DDIM with classifier-free guidance: context (N, 77, 768) and the empty caption's (1, 77, 768) → latents (N, 4, size, size).

    ``control`` and ``hints`` (N, 3, 8·size, 8·size) steer by a ControlNet; ``noise`` replaces the seed's.
    """
    from diffusers import DDIMScheduler

    device = context.device
    scheduler: Any = DDIMScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    if noise is None:
        noise = torch.randn((len(context), 4, size, size), generator=torch.Generator().manual_seed(seed))
    x = noise.to(device)
    both = torch.cat([empty.expand_as(context), context])
    hints = None if hints is None else torch.cat([hints, hints]).to(device)
    for t in scheduler.timesteps:
        twice = torch.cat([x, x])
        moment = t.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            extra: dict[str, Any] = {}
            if control is not None:
                down, middle = control(twice, moment, both, controlnet_cond=hints, return_dict=False)
                extra = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
            without, with_ = network(twice, moment, both, **extra).sample.float().chunk(2)
        x = scheduler.step(without + guidance * (with_ - without), t, x).prev_sample
    return x
