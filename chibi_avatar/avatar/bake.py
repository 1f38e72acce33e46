"""Bake pictures of an avatar into its texture atlas."""

from __future__ import annotations

from .texels import TexelBuffer, texel_gbuffer

__all__ = ["TexelBuffer", "texel_gbuffer"]
