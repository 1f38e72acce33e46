"""Reference photos in, an Identity out: find, choose, measure, fuse, and say what was done with every photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .attributes import read_attributes
from .detect import choose_face, find_faces, order_faces
from .errors import IdentityError
from .fuse import checked, fuse, normalised
from .geometry import crop_face
from .model import Embedding, Face, Identity, Photo
from .quality import measure
from .registry import BY_KEY
from .stack import FaceStack
from .traits import describe, to_character, vote

MIN_QUALITY = 0.12
CROP = 224


def _read(
    index: int, image: np.ndarray, stack: FaceStack, choose: str, number: int, reference: Identity | None
) -> tuple[Photo, np.ndarray]:
    """One photo: its chosen face with everything measured on it, and the upright picture."""
    faces, picture = find_faces(image, stack.detector)
    if not faces:
        return Photo(index, None, reason="no face found"), picture
    recogniser = stack.recognisers[0] if stack.recognisers else None

    def likeness(face: Face) -> float:
        known = reference.embeddings.get(recogniser.recogniser.key) if reference and recogniser else None
        return -1.0 if known is None else float(normalised(recogniser(picture, face)) @ known.vector)

    face = choose_face(faces, picture.shape, choose, number, likeness)
    assert face is not None
    others = tuple(other for other in order_faces(faces, picture.shape) if other is not face)
    quality = measure(picture, face)
    attributes = _attributes(picture, face, stack)
    if quality.total < MIN_QUALITY:
        return Photo(
            index, face, others, quality, None, None, attributes, reason=f"quality {quality.total:.2f} is too low"
        ), picture
    embedding = recogniser(picture, face) if recogniser else None
    return Photo(
        index, face, others, quality, crop_face(picture, face.points, CROP), embedding, attributes, True
    ), picture


def _attributes(picture: np.ndarray, face: Face, stack: FaceStack):
    attributes = stack.parser.read(picture, face) if stack.parser is not None else read_attributes(picture, face)
    if stack.gender_age is not None:
        attributes = {**attributes, **stack.gender_age.guess(picture, face)}
    return attributes


def analyze(
    photos: Sequence[np.ndarray],
    stack: FaceStack,
    *,
    choose: str = "largest_centered",
    number: int = 0,
    reference: Identity | None = None,
    reject_outliers: bool = True,
) -> tuple[Identity, list[np.ndarray]]:
    """Identity of the person in ``photos`` ([H, W, 3] uint8 RGB each), and the photos turned upright (for the preview).

    A photo without a face, too poor, or of someone else is left out and says so; the others go on. Never raises for a photo's content.
    """
    read: list[Photo] = []
    upright: list[np.ndarray] = []
    for index, image in enumerate(photos):
        photo, picture = _read(index, image, stack, choose, number, reference)
        read.append(photo)
        upright.append(picture)
    notes = list(stack.notes)
    embeddings: dict[str, Embedding] = {}
    used = [photo for photo in read if photo.used]
    for position, recogniser in enumerate(stack.recognisers):
        if not used:
            break
        band = recogniser.recogniser
        try:
            rows = checked(
                np.stack(
                    [
                        photo.embedding if position == 0 else recogniser(upright[photo.index], photo.face)
                        for photo in used
                        if photo.embedding is not None and photo.face is not None
                    ]
                )
            )
        except IdentityError as error:
            notes.append(f"{band.key}: {error}")
            continue
        weights = np.array([photo.quality.total if photo.quality else 1.0 for photo in used])
        limits = (band.same, band.different) if reject_outliers else (-1.0, -1.0)
        fused = fuse(rows, weights, *limits)
        if position == 0 and not fused.kept.all():
            for photo, kept, row in zip(used, fused.kept, rows, strict=True):
                if not kept:
                    likeness = float(normalised(row) @ fused.vector)
                    read[photo.index] = replace(
                        photo, used=False, reason=f"looks like someone else (likeness {likeness:.2f})"
                    )
            rows, used = rows[fused.kept], [photo for photo in used if read[photo.index].used]
        elif not fused.kept.all():
            rows = rows[fused.kept]
        embeddings[band.key] = Embedding(
            band.key,
            stack.hashes[band.key],
            fused.vector.astype(np.float32),
            (fused.vector * fused.length).astype(np.float32),
            normalised(rows).astype(np.float32),
        )
    seen = [photo for photo in read if photo.attributes and (photo.used or not used)]
    attributes = vote(
        [photo.attributes for photo in seen], [photo.quality.total if photo.quality else 0.1 for photo in seen]
    )
    crops = tuple(photo.crop for photo in read if photo.used and photo.crop is not None)
    identity = Identity(
        embeddings, attributes, to_character(attributes), tuple(read), crops, stack.profile, tuple(notes)
    )
    return identity, upright


def report(identity: Identity, stack: FaceStack | None = None) -> str:
    """What was found and used, photo by photo, in plain lines."""
    lines = [stack.describe() if stack else f"profile {identity.profile}"]
    lines += [f"note: {note}" for note in identity.notes]
    for photo in identity.photos:
        head = f"photo {photo.index + 1}: "
        if photo.face is None:
            lines.append(f"{head}{photo.reason}; left out")
            continue
        quality = photo.quality
        parts = f"face {photo.face.size:.0f} px"
        if photo.face.turns:
            parts += f", turned {90 * photo.face.turns} degrees"
        if photo.others:
            parts += f", {len(photo.others)} other face{'s' if len(photo.others) > 1 else ''}"
        if quality:
            parts += (
                f", quality {quality.total:.2f} (size {quality.size:.2f}, sharpness {quality.sharpness:.2f}, "
                f"frontal {quality.frontal:.2f}, exposure {quality.exposure:.2f})"
            )
        lines.append(head + parts + ("" if photo.used else f"; left out: {photo.reason}"))
    if identity.faceless:
        lines.append("no usable face: the identity is empty, and what it is connected to passes through unchanged")
    for key, embedding in identity.embeddings.items():
        band = BY_KEY.get(key)
        spread = (
            f", photos agree at {float((embedding.each @ embedding.vector).min()):.2f} or better"
            if len(embedding.each) > 1
            else ""
        )
        licence = f" ({band.licence})" if band else ""
        lines.append(
            f"identity from {len(embedding.each)} photo{'s' if len(embedding.each) > 1 else ''} with {key}{licence}{spread}"
        )
    lines.append(f"attributes: {describe(identity.attributes)}")
    return "\n".join(lines)


def empty(reason: str, profile: str = "clean") -> Identity:
    """An identity without a face that says why."""
    return Identity(profile=profile, notes=(reason,))
