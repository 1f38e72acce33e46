"""The networks with the weights that ship, in float32 and eval mode: for measuring, for tests, and to train on from."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from . import weights
from .networks import unet
from .networks.autoencoder import Autoencoder
from .networks.preview import Generator
from .networks.text import TextEncoder
from .training.diffusion import Diffusion


def autoencoder(folder: Path = weights.FOLDER) -> Autoencoder:
    """The autoencoder. Raises :class:`~.weights.WeightsError`, as all here."""
    network = Autoencoder()
    network.load_state_dict({k: v for k, v in weights.read("autoencoder", folder).items() if k.startswith("taesd_")})
    return network.eval()


def diffusion(folder: Path = weights.FOLDER) -> Diffusion:
    """UNet and text encoder."""
    state = weights.read("text", folder)
    text, network = TextEncoder(state["tokens"]), unet.unet()
    text.load_state_dict(state)
    network.load_state_dict(unet.from_original(weights.read("unet", folder), network.state_dict()))
    return Diffusion(network.eval(), text.eval())


def controlnet(folder: Path = weights.FOLDER) -> nn.Module:
    """The pose ControlNet."""
    network = unet.controlnet(unet.unet())
    network.load_state_dict(unet.from_original(weights.read("controlnet", folder), network.state_dict()))
    return network.eval()


def preview(folder: Path = weights.FOLDER) -> Generator:
    """The instant preview's generator."""
    network = Generator()
    network.load_state_dict(weights.read("preview", folder))
    return network.eval()
