"""What was found, as a picture: each photo with its faces numbered, and the aligned crops that will be used beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .model import Identity

HEIGHT = 512
_USED, _OTHER, _REJECTED = (64, 200, 120), (250, 190, 70), (235, 90, 90)


def draw(identity: Identity, photos: Sequence[np.ndarray], height: int = HEIGHT) -> list[np.ndarray]:
    """One picture of one size for each photo, [512, 768, 3] uint8 RGB: the photo with numbered boxes, the crop at its right."""
    from PIL import Image, ImageDraw, ImageFont

    width = height * 3 // 2
    font = ImageFont.load_default(max(12, height // 24))
    pictures = []
    for index, image in enumerate(photos):
        canvas = Image.new("RGB", (width, height), (32, 34, 40))
        photo = identity.photos[index] if index < len(identity.photos) else None
        scale = min(height / image.shape[0], height / image.shape[1])
        small = Image.fromarray(image).resize(
            (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))), Image.LANCZOS
        )
        left, top = (height - small.width) // 2, (height - small.height) // 2
        canvas.paste(small, (left, top))
        pen = ImageDraw.Draw(canvas)
        if photo is not None and photo.face is not None:
            for number, face in enumerate([photo.face, *photo.others]):
                color = (_USED if photo.used else _REJECTED) if number == 0 else _OTHER
                x0, y0, x1, y1 = (float(v) * scale for v in face.box)
                pen.rectangle((x0 + left, y0 + top, x1 + left, y1 + top), outline=color, width=3 if number == 0 else 2)
                label = str(number)
                box = pen.textbbox((0, 0), label, font=font)
                wide, tall = box[2] - box[0] + 10, box[3] + 6
                pen.rectangle((x0 + left, y0 + top - tall, x0 + left + wide, y0 + top), fill=color)
                pen.text((x0 + left + 5, y0 + top - tall + 1), label, fill=(20, 20, 20), font=font)
            if photo.crop is not None:
                side = width - height - 32
                canvas.paste(Image.fromarray(photo.crop).resize((side, side), Image.LANCZOS), (height + 16, 16))
            y = height // 2
            for line in _lines(photo):
                pen.text((height + 16, y), line, fill=(235, 235, 235), font=font)
                y += height // 18
        else:
            pen.text((height + 16, height // 2), "no face", fill=_REJECTED, font=font)
        pictures.append(np.asarray(canvas))
    return pictures


def _lines(photo) -> list[str]:
    lines = [f"photo {photo.index + 1}: {'used' if photo.used else 'left out'}"]
    if not photo.used:
        lines.append(photo.reason[:24])
    if photo.quality is not None:
        lines.append(f"quality {photo.quality.total:.2f}")
    for path in ("hair.color", "skin.color", "glasses.kind"):
        guess = photo.attributes.get(path)
        if guess is not None:
            lines.append(f"{path.split('.')[0]} {guess.name or guess.value} {guess.confidence:.0%}")
    return lines
