"""Sampling while training and measuring, on diffusers' scheduler; people sample in ComfyUI."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...precision import mixed
from .schedule import SCHEDULER

_TAKEN = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")


@torch.no_grad()
def sample(
    network: nn.Module, context: Tensor, empty: Tensor, size: int, *, steps: int = 20, guidance: float = 5.0, seed: int = 0,
    bf16: bool = True, control: nn.Module | None = None, hints: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Euler ancestral with classifier-free guidance: context (N, 77, 768) and the empty caption's (1, 77, 768) → latents (N, 4, size, size).

    The noise that each step adds lets the next one mend what went wrong: on 72 held-out captions hair styles came out right in 89 % instead
    of 81 % of pictures, moods in 55 % instead of 50 %, beside DDIM. ``control`` and ``hints`` (N, 3, 8·size, 8·size) steer the caption's half
    by a ControlNet and leave the empty one free, so that guidance leads towards the pose as it does towards the words.
    """
    from diffusers import EulerAncestralDiscreteScheduler

    device = context.device
    settings = {name: SCHEDULER[name] for name in _TAKEN}
    scheduler: Any = EulerAncestralDiscreteScheduler(**settings, timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    random_numbers = torch.Generator().manual_seed(seed)
    x = torch.randn((len(context), 4, size, size), generator=random_numbers).to(device) * scheduler.init_noise_sigma
    both = torch.cat([empty.expand_as(context), context])
    hints = None if hints is None else hints.to(device)
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, t)
        moment = t.to(device)
        with mixed(device.type, bf16):
            extra: dict[str, Any] = {}
            if control is not None:
                down, middle = control(seen, moment, context, controlnet_cond=hints, return_dict=False)
                extra = {
                    "down_block_additional_residuals": [torch.cat([torch.zeros_like(r), r]) for r in down],
                    "mid_block_additional_residual": torch.cat([torch.zeros_like(middle), middle]),
                }
            without, with_ = network(torch.cat([seen, seen]), moment, both, **extra).sample.float().chunk(2)
        x = scheduler.step(without + guidance * (with_ - without), t, x, generator=random_numbers).prev_sample
    return x
