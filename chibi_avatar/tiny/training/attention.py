"""What matters in a picture: how much an error counts at each place, and windows around places that count."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...avatar.build import PARTS
from ..data.store import Store

# On the ground, on the figure and in its face, where few places tell one expression from another
ATTENTION = GROUND, FIGURE, FACE = 1.0, 2.0, 5.0


def attention(store: Store, numbers: np.ndarray, side: int) -> Tensor:
    """How much each place of pictures ``numbers`` (n,) counts, (n, 1, side, side) of :data:`ATTENTION`; all the same where the store does
    not know parts."""
    if not store.drawn:
        return torch.ones((len(numbers), 1, side, side))
    value = torch.full((len(PARTS) + 1,), FIGURE)
    value[0], value[1 + PARTS.index("face")] = GROUND, FACE
    parts = np.stack([store.items[i].parts for i in numbers])  # type: ignore[misc]
    return F.adaptive_avg_pool2d(value[torch.from_numpy(parts).long()][:, None], side)


def corners(counts: Tensor, side: int, random_numbers: torch.Generator) -> np.ndarray:
    """Where windows of ``side`` cells begin (n, 2), y and x, one in each map of ``counts`` (n, 1, whole, whole): around places that are
    drawn as often as they count, but not over the edge."""
    whole = counts.shape[-1]
    flat = counts.flatten(1).to(random_numbers.device)
    centre = torch.multinomial(flat, 1, generator=random_numbers)[:, 0].cpu().numpy()
    return np.clip(np.stack(np.divmod(centre, whole), 1) - side // 2, 0, whole - side)


def cut(pictures: Tensor, corners: np.ndarray, side: int) -> Tensor:
    """The windows (n, C, side, side) of pictures (n, C, h, w) that begin at ``corners``."""
    return torch.stack([p[:, y : y + side, x : x + side] for p, (y, x) in zip(pictures, corners, strict=True)])
