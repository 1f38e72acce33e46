"""Pictures as latents, encoded once and kept beside the run: float16 (n, 4, 32, 32) for 256², and (n, 4, 16, 16) for the same at 128²."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...precision import mixed
from ..data.store import Store
from ..networks.autoencoder import Autoencoder
from .loop import digest

PIECE = 240


def autoencoder_digest(network: Autoencoder) -> str:
    """Names the encoder that made latents: 12 hex digits of its weights."""
    return digest(network.taesd_encoder)


def encode_all(
    network: Autoencoder, store: Store, folder: Path, size: int, device: str, say: Callable[[str], None], count: int
) -> np.ndarray:
    """Latents of the first ``count`` pictures, in whole pieces, at ``size`` pixels: (n, 4, size/8, size/8) float16. Pieces that exist
    are read back.
    """
    folder = folder / f"latents-{autoencoder_digest(network)}"
    folder.mkdir(parents=True, exist_ok=True)
    network = network.to(device, memory_format=torch.channels_last).eval()

    def encoded(numbers: range) -> np.ndarray:
        piece = _encode(network, store, numbers, size, device)
        say(f"encoded {numbers.stop}/{len(store)} pictures at {size}²")
        return piece

    out: list[np.ndarray] = []
    for start in range(0, min(count, len(store)), PIECE):
        numbers = range(start, min(start + PIECE, len(store)))
        path = folder / f"{size}-{start // PIECE:05d}-{store.stamp(numbers)}.npy"
        out.append(kept(path, partial(encoded, numbers)))
    return np.concatenate(out)


def kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in ``path``, mapped from the file; where there is none it is made, and written whole or not at all."""
    if not path.is_file():
        array = make()
        part = path.with_name(f".{os.getpid()}.{path.name}.part")
        with part.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        os.replace(part, path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


@torch.no_grad()
def _encode(network: Autoencoder, store: Store, numbers: range, size: int, device: str) -> np.ndarray:
    out = []
    step = 16 if device == "cpu" else 64
    for first in range(numbers.start, numbers.stop, step):
        pixels = np.stack([store.picture(i, size) for i in range(first, min(first + step, numbers.stop))])
        batch = (torch.from_numpy(pixels).to(device).movedim(-1, 1).float() / 255).contiguous(
            memory_format=torch.channels_last
        )
        with mixed(device):
            out.append(network.encode(batch).float().cpu().numpy().astype(np.float16))
    return np.concatenate(out)
