"""The instant preview: a conditional GAN from noise and text to latents in one pass, decoded by the same autoencoder.

It draws 128² pixels, for the autoencoder alone takes a quarter of a second for 256² on a laptop; what people see is enlarged.
The generator grows 4² to 16² through residual blocks that the text and the noise modulate (FiLM, Perez et al. 2018), and reads single
words by cross-attention at 8² and 16². The discriminator compares picture and text by projection (Miyato & Koyama 2018).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .text import END

NOISE = 64
WIDTHS = (160, 128, 96)  # channels at 4², 8², 16²
SIZE = 8 * 4 * 2 ** (len(WIDTHS) - 1)  # pixels a side
CONDITION = 160
TEXT = 768


def enlarged(x: Tensor) -> Tensor:
    """Latents (B, 4, h, w) twice as large."""
    return F.interpolate(x, scale_factor=2, mode="bicubic")


def enlarged_pictures(pictures: Tensor) -> Tensor:
    """Pictures (B, h, w, 3) in 0..1 twice as large."""
    planes = pictures.movedim(-1, 1).contiguous()  # three channels last take twice as long
    return enlarged(planes).clamp_(0, 1).movedim(1, -1).contiguous()


def pooled(context: Tensor, ids: Tensor) -> Tensor:
    """The context (B, 77, 768) at the first END token of CLIP ids (B, 77): (B, 768), as CLIP pools."""
    return context[torch.arange(len(context), device=context.device), (ids == END).int().argmax(1)]


class _Words(nn.Module):
    """Cross-attention from places to tokens."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(TEXT, width), nn.Linear(TEXT, width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q = self.q(self.norm(x).flatten(2).transpose(1, 2))
        k, v = self.k(context), self.v(context)
        q, k, v = (part.view(b, -1, self.heads, c // self.heads).transpose(1, 2) for part in (q, k, v))
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        return x + self.out(seen).transpose(1, 2).view(b, c, h, w)


class _Grow(nn.Module):
    def __init__(self, before: int, after: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.norm1, self.norm2 = nn.GroupNorm(8, before, affine=False), nn.GroupNorm(8, after, affine=False)
        self.conv1, self.conv2 = nn.Conv2d(before, after, 3, 1, 1), nn.Conv2d(after, after, 3, 1, 1)
        self.skip = nn.Conv2d(before, after, 1)
        self.film1, self.film2 = nn.Linear(CONDITION, 2 * before), nn.Linear(CONDITION, 2 * after)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = F.silu(_film(self.norm1(x), self.film1(condition)))
        x = self.skip(x)
        if self.up:
            x, y = F.interpolate(x, scale_factor=2), F.interpolate(y, scale_factor=2)
        y = self.conv2(F.silu(_film(self.norm2(self.conv1(y)), self.film2(condition))))
        return x + y


def _film(x: Tensor, numbers: Tensor) -> Tensor:
    scale, shift = numbers[:, :, None, None].chunk(2, 1)
    return x * (1 + scale) + shift


class Generator(nn.Module):
    """Noise (B, 64), context (B, 77, 768) and its pooled vector (B, 768) → latents (B, 4, 16, 16) of a 128² picture."""

    def __init__(self) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(NOISE + TEXT, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION))
        self.start = nn.Linear(CONDITION, WIDTHS[0] * 16)
        pairs = [
            (WIDTHS[0], WIDTHS[0], False),
            *((a, b, True) for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)),
            (WIDTHS[-1], WIDTHS[-1], False),
        ]
        self.blocks = nn.ModuleList(_Grow(*pair) for pair in pairs)
        self.words = nn.ModuleList([_Words(WIDTHS[1]), _Words(WIDTHS[2])])
        self.out = nn.Sequential(nn.GroupNorm(8, WIDTHS[-1]), nn.SiLU(), nn.Conv2d(WIDTHS[-1], 4, 3, 1, 1))

    def forward(self, noise: Tensor, context: Tensor, pool: Tensor) -> Tensor:
        condition = self.condition(torch.cat([noise, pool], 1))
        x = self.start(condition).view(-1, WIDTHS[0], 4, 4)
        for number, block in enumerate(self.blocks):
            x = block(x, condition)
            if number in (1, 2):
                x = self.words[number - 1](x, context)
        return self.out(x)


class Discriminator(nn.Module):
    """Latents (B, 4, 16, 16) and the pooled text (B, 768) → logits (B,)."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        widths = (width, 2 * width, 2 * width)
        self.first = nn.Conv2d(4, width, 3, 1, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(a, b, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(b, b, 4, 2, 1))
            for a, b in zip(widths, widths[1:], strict=False)
        )
        self.skips = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.last = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width + 1, 2 * width, 3, 1, 1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * width * 16, 256),
            nn.LeakyReLU(0.2),
        )
        self.real, self.text = nn.Linear(256, 1), nn.Linear(TEXT, 256, bias=False)

    def forward(self, latent: Tensor, pool: Tensor) -> Tensor:
        x = self.first(latent)
        for block, skip in zip(self.blocks, self.skips, strict=True):
            x = block(x) + F.avg_pool2d(skip(x), 2)
        # with the small number the gradient exists where all samples are alike
        alike = (x.float().var(0, unbiased=False) + 1e-8).sqrt().mean().to(x).expand(len(x), 1, *x.shape[2:])
        x = self.last(torch.cat([x, alike], 1))
        return self.real(x)[:, 0] + (x * self.text(pool)).sum(1) / 16
