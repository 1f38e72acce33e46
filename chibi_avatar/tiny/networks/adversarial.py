"""The two adversarial losses of the article, on logits; both players' turns use the same functions.

``cross_entropy``: Goodfellow et al. 2014 (the generator's non-saturating form); ``least_squares``: Mao et al. 2017.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("cross_entropy", "least_squares")


def discriminator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises: call ``real`` real and ``fake`` fake. Scalars."""
    if kind == "cross_entropy":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """What the generator minimises: have ``fake`` called real."""
    if kind == "cross_entropy":
        return F.softplus(-fake).mean()
    return 0.5 * (fake - 1).square().mean()


def gradient_penalty(real: Tensor, logits: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018): the squared gradient of the discriminator at real samples. ``real`` must require a gradient."""
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
