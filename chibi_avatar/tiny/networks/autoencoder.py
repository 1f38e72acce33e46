"""The autoencoder between pictures and latents: 8 times smaller, 4 channels, in TAESD's layout, so that ComfyUI's VAE code takes it.

Layout: Ollin Boer Bohan, "TAESD: Tiny AutoEncoder for Stable Diffusion" (https://github.com/madebyollin/taesd); weights are our own.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 64
_SPREAD = 3.0  # 0..1 colours have a deviation of about a third
SCALE = 0.18215  # ComfyUI multiplies a VAE's latents by this for the SD1.5 latent format; ``vae_scale`` undoes it


def _conv(n_in: int, n_out: int, **options: object) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, padding=1, **options)  # type: ignore[arg-type]


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        w = WIDTH
        self.conv = nn.Sequential(_conv(w, w), nn.ReLU(), _conv(w, w), nn.ReLU(), _conv(w, w))
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.conv(x) + x)


def encoder(channels: int = 4) -> nn.Sequential:
    """Picture (B, 3, H, W) in 0..1 → latents (B, channels, H/8, W/8) of about unit variance."""
    layers: list[nn.Module] = [_conv(3, WIDTH), _Block()]
    for _ in range(3):
        layers += [_conv(WIDTH, WIDTH, stride=2, bias=False), _Block(), _Block(), _Block()]
    return nn.Sequential(*layers, _conv(WIDTH, channels))


def decoder(channels: int = 4) -> nn.Sequential:
    """Latents (B, channels, h, w) → picture (B, 3, 8h, 8w), about 0..1, not clamped."""
    layers: list[nn.Module] = [_Clamp(), _conv(channels, WIDTH), nn.ReLU()]
    for blocks in (3, 3, 3):
        layers += [_Block() for _ in range(blocks)]
        layers += [nn.Upsample(scale_factor=2), _conv(WIDTH, WIDTH, bias=False)]
    return nn.Sequential(*layers, _Block(), _conv(WIDTH, 3))


class Autoencoder(nn.Module):
    """Encoder and decoder under TAESD's names (``taesd_encoder.*``, ``taesd_decoder.*``)."""

    def __init__(self) -> None:
        super().__init__()
        self.taesd_encoder = encoder()
        self.taesd_decoder = decoder()
        self._begin_as_thumbnail()

    @torch.no_grad()
    def _begin_as_thumbnail(self) -> None:
        """Start from an autoencoder that shrinks and enlarges: colours are right from the first step, and training adds the detail.

        Three of the 64 channels carry red, green and blue through (they are positive, so the ReLUs let them pass); blocks begin by doing nothing.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, _Block):
                nn.init.zeros_(module.conv[-1].weight)
        blur = torch.tensor([1.0, 2.0, 1.0]) / 4
        for network in (self.taesd_encoder, self.taesd_decoder):
            for conv in network:
                if isinstance(conv, nn.Conv2d):
                    kernel = blur[:, None] * blur if conv.stride == (2, 2) else None
                    for channel in range(3):
                        conv.weight[channel] = 0
                        if kernel is None:
                            conv.weight[channel, channel, 1, 1] = 1
                        else:
                            conv.weight[channel, channel] = kernel
        last, first = self.taesd_encoder[-1], self.taesd_decoder[1]
        last.weight[:3] *= _SPREAD
        last.weight[3] *= 0.1
        last.bias[:3] = -0.5 * _SPREAD
        first.weight[:3] /= _SPREAD
        first.bias[:3] = 0.5

    def encode(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 → (B, 4, H/8, W/8)."""
        return self.taesd_encoder(picture)

    def decode(self, latent: Tensor) -> Tensor:
        """(B, 4, h, w) → (B, 3, 8h, 8w) in 0..1."""
        return self.taesd_decoder(latent).clamp(0, 1)

    def forward(self, picture: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
        """Reconstruction (not clamped) and latents; ``noise`` is the deviation added in between, which smooths the latent space."""
        latent = self.encode(picture)
        seen = latent + noise * torch.randn_like(latent) if noise else latent
        return self.taesd_decoder(seen), latent

    def vae_state(self) -> dict[str, Tensor]:
        """The state dict that ``comfy.sd.VAE`` reads as a TAESD for SD1.5 latents."""
        state = {key: value.detach() for key, value in self.state_dict().items()}
        return {**state, "vae_scale": torch.tensor(SCALE), "vae_shift": torch.tensor(0.0)}


class _Doubling(nn.Module):
    """Nearest upsampling by two and a 3×3 convolution without bias in one transposed convolution: the same sums, 4 products each, not 9.

    The four output pixels under one input pixel read it through 4×4 weights: the 3×3 kernel, mirrored, spread by the 2×2 box of the
    upsampling. ``weight`` stays that of the convolution, under its name.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight
        spread = torch.zeros(3, 3, 4, 4)
        for down, right in itertools.product(range(3), range(3)):
            spread[down, right, 2 - down : 4 - down, 2 - right : 4 - right] = 1
        self.register_buffer("spread", spread.view(9, 16).to(conv.weight), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        after, before = self.weight.shape[:2]
        kernel = (self.weight.reshape(after, before, 9) @ self.spread).view(after, before, 4, 4)
        return F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=1)


def quicken(network: nn.Module) -> None:
    """Make an autoencoder of TAESD's layout faster on a CPU, in place; names, weights and results (to rounding) are the same.

    Convolutions without AVX-512 are faster with channels last; fresh memory costs more than a ReLU.
    """
    network.to(memory_format=torch.channels_last)
    decoder = network.taesd_decoder
    for place, layer in enumerate(decoder):
        if isinstance(layer, nn.Upsample):
            decoder[place], decoder[place + 1] = nn.Identity(), _Doubling(decoder[place + 1])
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: (B, 3, H, W) → logits (B, 1, H/8, W/8). Isola et al. 2017 (pix2pix), smaller, without batch statistics."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1), nn.GroupNorm(8, 2 * width), nn.LeakyReLU(0.2)]
            width *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        return self.layers(picture * 2 - 1)
