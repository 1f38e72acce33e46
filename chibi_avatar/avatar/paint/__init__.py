"""Painting the atlas from the Character, patch by patch in texel space."""

from .atlas import paint_atlas
from .face import EYE_HEIGHT

__all__ = ["EYE_HEIGHT", "paint_atlas"]
