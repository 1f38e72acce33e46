"""Portraits to make avatars from: one public-domain photo, each time another in tint, size and side."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageEnhance, ImageOps


def portraits(count: int) -> Iterator[Image.Image]:
    """``count`` different pictures of NASA's portrait of Eileen Collins (``skimage.data.astronaut``)."""
    from skimage.data import astronaut

    photo = Image.fromarray(astronaut())
    for number in range(count):
        picture = ImageOps.mirror(photo) if number % 2 else photo
        picture = ImageEnhance.Color(picture).enhance(0.6 + 0.8 * number / max(count, 2))
        side = 512 - 6 * number
        yield picture.crop((0, 0, side, side))
