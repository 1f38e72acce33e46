"""Painting the atlas from the Character, patch by patch in texel space."""

from .atlas import paint_atlas

__all__ = ["paint_atlas"]
