"""Where bf16 is worth it."""

from __future__ import annotations


def bf16_pays(device: str) -> bool:
    """Whether a torch device of this type multiplies bf16 in hardware. A CPU that does not (AVX2 alone) imitates it, and a training step
    takes six times as long as in fp32."""
    import torch

    return device != "cpu" or bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
