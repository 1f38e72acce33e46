"""The noise schedule and the diffusion losses, in the notation of Ho, Jain & Abbeel 2020 (DDPM).

Forward process: x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε with ε ~ N(0, 1). The network predicts ε, and the loss is

    L(θ) = E ‖ε − ε_θ(√ᾱ_t x₀ + √(1 − ᾱ_t) ε, t)‖²

The derivation, and where the article's printed formulas differ, stands in ``docs/tiny.md``.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 1000
BETA_START, BETA_END = 0.00085, 0.012  # Stable Diffusion's; linear in the square root ("scaled_linear")

SCHEDULER = {"num_train_timesteps": STEPS, "beta_start": BETA_START, "beta_end": BETA_END, "beta_schedule": "scaled_linear",
             "prediction_type": "epsilon", "clip_sample": False, "set_alpha_to_one": True, "steps_offset": 1}  # fmt: skip


def alphas_bar() -> Tensor:
    """ᾱ_t for t = 0 … 999: (1000,) float32, falling."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, STEPS, dtype=torch.float64).square()
    return torch.cumprod(1 - betas, 0).float()


def add_noise(x: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t for ``x`` and ``noise`` (B, C, H, W) and ᾱ_t (B,)."""
    a = alpha_bar[:, None, None, None]
    return a.sqrt() * x + (1 - a).sqrt() * noise


def loss_weight(alpha_bar: Tensor, gamma: float = 5.0) -> Tensor:
    """The weight (B,) of ‖ε − ε_θ‖²: min(SNR, γ)/SNR, which is min-SNR for ε-prediction (Hang et al. 2023), times 1/√SNR where SNR < 1.

    There words decide what is drawn, and there ε is nearly the input itself: without the second factor the last half of the steps made a
    tenth of the loss, and colours were hardly learned.
    """
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=gamma) / snr * snr.clamp(max=1.0).rsqrt()


def bound_weights() -> Tensor:
    """The weight of ‖ε − ε_θ‖² at each t in the variational bound, (1000,): KL(q(x_{t−1} | x_t, x₀) ‖ p_θ(x_{t−1} | x_t)) with σ_t² = β̃_t.

    It is β_t² / (2 σ_t² α_t (1 − ᾱ_t)) (Ho et al., eq. 12); the first step, whose β̃ is 0, takes β_1 instead.
    """
    bar = alphas_bar().double()
    before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
    alpha = bar / before
    beta = 1 - alpha
    variance = beta * (1 - before) / (1 - bar)
    variance[0] = beta[0]
    return (beta.square() / (2 * variance * alpha * (1 - bar))).float()
