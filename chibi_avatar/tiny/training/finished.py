"""Networks with the averaged weights of a run's checkpoint, finished or not: for the next run, for measuring and for shipping."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..networks.autoencoder import Autoencoder
from ..networks.preview import Generator
from ..networks.text import TextEncoder
from ..networks.unet import controlnet as new_controlnet
from ..networks.unet import unet
from .diffusion import Diffusion
from .loop import TrainingError, checkpoint

N = TypeVar("N", bound=nn.Module)


def _checkpoint(folder: Path) -> dict[str, Any]:
    state = checkpoint(folder)
    if state is None:
        raise TrainingError(
            f"there is no checkpoint in {folder}: run  python3 -m chibi_avatar train {folder.name}  first"
        )
    return state


def _averaged(network: N, state: dict[str, Any], part: str) -> N:
    """``network`` with buffers of ``part`` and the parameters of its moving average."""
    network.load_state_dict(state["parts"][part])
    with torch.no_grad():
        for p, value in zip(network.parameters(), state["parts"]["ema"]["shadow"], strict=True):
            p.copy_(value)
    return network.eval()


def _read(folder: Path, part: str, make: Callable[[dict[str, Any]], N]) -> N:
    state = _checkpoint(folder)
    return _averaged(make(state), state, part)


def autoencoder(folder: Path) -> Autoencoder:
    """The autoencoder of the run in ``folder``."""
    return _read(folder, "network", lambda _: Autoencoder())


def text(folder: Path) -> TextEncoder:
    """The text encoder of the run in ``folder``."""
    return _read(folder, "network", lambda state: TextEncoder(state["parts"]["network"]["tokens"]))


def diffusion(folder: Path) -> Diffusion:
    """UNet and text encoder of the run in ``folder``."""
    state = _checkpoint(folder)
    encoder = TextEncoder(state["parts"]["text"]["tokens"])
    encoder.load_state_dict(state["parts"]["text"])
    return Diffusion(_averaged(unet(), state, "network"), encoder.eval())


def controlnet(folder: Path) -> nn.Module:
    """The pose ControlNet of the run in ``folder``."""
    return _read(folder, "network", lambda _: new_controlnet(unet()))


def preview(folder: Path) -> Generator:
    """The instant preview's generator of the run in ``folder``."""
    return _read(folder, "maker", lambda _: Generator())


def step_of(folder: Path) -> int:
    """How many steps the run in ``folder`` has behind it."""
    return int(_checkpoint(folder)["step"])


def stopped(folder: Path) -> tuple[int, int] | None:
    """(step, of how many) when the run in ``folder`` was stopped before its end."""
    state = _checkpoint(folder)
    step, steps = int(state["step"]), int(state.get("of", state["step"]))
    return (step, steps) if step < steps else None


def autoencoder_of(folder: Path) -> str:
    """The digest of the autoencoder whose latents the diffusion run in ``folder`` learned."""
    return str(_checkpoint(folder)["config"].get("autoencoder"))
