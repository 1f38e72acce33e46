"""The weights that ship: small safetensors files, read with bounds and with errors that name the file and the fix.

``unet``, ``text`` and ``preview`` keep their matrices as 8-bit integers with one float16 factor a row (symmetric, round to nearest); the rest,
and the files that ComfyUI's own loaders read (autoencoder, pose ControlNet), are float16.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent / "weights"
FILES = {
    "unet": "chibi_tiny_unet.safetensors",
    "text": "chibi_tiny_text.safetensors",
    "preview": "chibi_tiny_preview.safetensors",
    "autoencoder": "vae/chibi_tiny_vae.safetensors",
    "controlnet": "controlnet/chibi_tiny_pose.safetensors",
}
EIGHT_BIT = ("unet", "text", "preview")
FORMAT = "chibi-tiny-1"
MAX_BYTES = 64 * 1024 * 1024
_SCALE = ".row_scale"


class WeightsError(RuntimeError):
    """A weights file is missing, damaged or not ours. The message names it and the fix."""


def path_of(part: str, folder: Path = FOLDER) -> Path:
    """Where the weights of ``part`` (a key of :data:`FILES`) lie."""
    return folder / FILES[part]


def squeeze(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels as int8 with a float16 factor a row under ``<name>.row_scale``, everything else as float16; integers stay."""
    import torch

    out: dict[str, Tensor] = {}
    for key, value in state.items():
        value = value.detach().cpu().contiguous()
        if not value.is_floating_point():
            out[key] = value
        elif value.ndim < 2:
            out[key] = value.half()
        else:
            rows = value.float().flatten(1)
            scale = (rows.abs().amax(1) / 127).clamp(min=1e-7).half()
            steps = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
            out[key], out[key + _SCALE] = steps.view(value.shape), scale
    return out


def unsqueeze(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of :func:`squeeze`: float32 values that float16 holds exactly."""
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith(_SCALE):
            continue
        scale = state.get(key + _SCALE)
        if scale is not None:
            # exact in float16, which is what ComfyUI keeps a text encoder in: every loader then computes with the same numbers
            value = (value.float() * scale.float().view(-1, *[1] * (value.ndim - 1))).half()
        out[key] = value.float() if value.is_floating_point() else value
    return out


def write(part: str, state: Mapping[str, Tensor], about: Mapping[str, object], folder: Path = FOLDER) -> Path:
    """Store the weights of ``part``; ``about`` (JSON-ready) goes into the file's metadata."""
    from safetensors.torch import save_file

    path = path_of(part, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    small = squeeze(state) if part in EIGHT_BIT else {k: v.detach().cpu().half().contiguous() for k, v in state.items()}
    partial = path.with_name(f".{path.name}.part")
    save_file(small, str(partial), {"format": FORMAT, "part": part, "about": json.dumps(dict(about), sort_keys=True)})
    os.replace(partial, path)
    return path


def read(part: str, folder: Path = FOLDER) -> dict[str, Tensor]:
    """The weights of ``part`` in float32. Raises :class:`WeightsError`."""
    from safetensors import SafetensorError, safe_open

    path = path_of(part, folder)
    fix = "install Chibi Avatar again, or fetch this file anew from its repository"
    if not path.is_file():
        raise WeightsError(f"{path.name} is missing from {path.parent}: {fix}")
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path} is larger than any file of the embedded model: {fix}")
    try:
        with safe_open(str(path), "pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT or about.get("part") != part:
                raise WeightsError(f"{path} is not the embedded model's {part}: {fix}")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged ({error}): {fix}") from error
    return unsqueeze(state)


def about(part: str, folder: Path = FOLDER) -> dict[str, object]:
    """What :func:`write` was told about the weights; empty when they are not there or say nothing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path_of(part, folder)), "pt") as file:
            return json.loads((file.metadata() or {}).get("about", "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
