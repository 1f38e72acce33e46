"""Where an adapter's numbered layers live in a UNet, in diffusers' names and in ComfyUI's block keys.

IP-Adapter files number attention layers in diffusers' order: all of down, then up, then mid; self-attention even, cross-attention odd.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Block:
    """One transformer block: number of its attn2 in adapter files, ComfyUI key, running number of its spatial transformer, diffusers name."""

    number: int
    key: tuple[str, int, int]
    transformer: int
    name: str
    width: int

    @property
    def kind(self) -> str:
        """``input``, ``middle`` or ``output``."""
        return self.key[0]


@dataclass(frozen=True)
class Layout:
    """A UNet family: its cross-attention blocks in file order, text width, and the number of spatial transformers weight types count."""

    name: str
    text_width: int
    blocks: tuple[Block, ...]
    steps: int

    @property
    def self_and_cross(self) -> dict[int, str]:
        """Number in the file (every even and odd one) to diffusers' attention name, for the LoRA."""
        return {block.number - 1 + half: f"{block.name}.attn{1 + half}" for block in self.blocks for half in (0, 1)}


def _layout(name: str, text: int, steps: int, down: list, up: list, mid: tuple[int, int]) -> Layout:
    """``down`` and ``up``: (diffusers block, attention, ComfyUI id, depth, width). ``mid``: depth, width."""
    blocks: list[Block] = []

    def add(kind: str, at: int, transformer: int, path: str, depth: int, width: int) -> None:
        for index in range(depth):
            blocks.append(
                Block(2 * len(blocks) + 1, (kind, at, index), transformer, f"{path}.transformer_blocks.{index}", width)
            )

    for position, (block, attention, at, depth, width) in enumerate(down):
        add("input", at, position, f"down_blocks.{block}.attentions.{attention}", depth, width)
    for position, (block, attention, at, depth, width) in enumerate(up):
        add("output", at, len(down) + 1 + position, f"up_blocks.{block}.attentions.{attention}", depth, width)
    add("middle", 0, len(down), "mid_block.attentions.0", *mid)
    return Layout(name, text, tuple(blocks), steps)


@lru_cache(maxsize=2)
def layout(name: str) -> Layout:
    """The layout of ``sd15`` (16 cross-attention blocks) or ``sdxl`` (70)."""
    if name == "sd15":
        widths = (320, 640, 1280)
        down = [(b, a, 1 + 3 * b + a, 1, widths[b]) for b in range(3) for a in range(2)]
        up = [(b, a, 3 * b + a, 1, widths[3 - b]) for b in (1, 2, 3) for a in range(3)]
        return _layout("sd15", 768, 16, down, up, (1, 1280))
    if name == "sdxl":
        down = [(b, a, 1 + 3 * b + a, d, w) for b, d, w in ((1, 2, 640), (2, 10, 1280)) for a in range(2)]
        up = [(b, a, 3 * b + a, d, w) for b, d, w in ((0, 10, 1280), (1, 2, 640)) for a in range(3)]
        return _layout("sdxl", 2048, 11, down, up, (10, 1280))
    raise KeyError(name)
