"""bf16 where it is worth it."""

from __future__ import annotations

from typing import Any


def mixed(device: str, bf16: bool = True) -> Any:
    """A context that computes in bf16 when ``bf16`` is asked for and a torch device of this type multiplies it in hardware. A CPU that does
    not (AVX2 alone) imitates it, and a training step takes six times as long as in fp32."""
    import torch

    pays = device != "cpu" or bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return torch.autocast(device, torch.bfloat16, enabled=bf16 and pays)
