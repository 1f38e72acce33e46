"""Colours between the pixels of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .raster import chunks

if TYPE_CHECKING:
    import torch


def bilinear(image: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Values (N, K) of ``image`` (H, W, K) float32 at pixel positions ``place`` (N, 2) float32, clamped at the border."""
    import torch

    height, width, channels = image.shape
    planes = image.permute(2, 0, 1)[None]
    scale = place.new_tensor([2 / width, 2 / height])
    out = torch.empty((len(place), channels), dtype=image.dtype, device=image.device)
    for part in chunks(len(place), image.device):
        grid = (place[part] * scale).sub_(1)[None, None]
        found = torch.nn.functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)[0, :, 0]
        for channel, values in enumerate(found):  # a transposed copy takes five times as long
            out[part, channel] = values
    return out


def sample(texture: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Bilinear lookup, wrapping: ``texture`` (H, W, K) float32 or uint8, ``uv`` (N, 2) with v down → (N, K) float32 in its range."""
    import torch

    height, width, channels = texture.shape
    flat = texture.reshape(-1, channels)
    out = torch.empty((len(uv), channels), dtype=torch.float32, device=uv.device)
    for part in chunks(len(uv), uv.device):
        x, y = uv[part, 0] * width - 0.5, uv[part, 1] * height - 0.5
        x0, y0 = torch.floor(x), torch.floor(y)
        fx, fy = (x - x0)[:, None], (y - y0)[:, None]
        left, top = x0.long() % width, (y0.long() % height) * width
        right, bottom = (left + 1) % width, (top + width) % (height * width)
        taps = (
            torch.index_select(flat, 0, tap).float() for tap in (top + left, top + right, bottom + left, bottom + right)
        )
        above, below = (torch.lerp(next(taps), next(taps), fx) for _ in range(2))
        torch.lerp(above, below, fy, out=out[part])
    return out
