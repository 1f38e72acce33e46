"""How much a picture is like a person, as far as that can be measured, and an honest word where it cannot.

Face recognisers were trained on photographs. On a chibi they mostly find no face; when they find one, their similarity says little. What carries the
likeness there is whether hair, skin and glasses agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .attributes import read_attributes
from .colors import to_lab
from .detect import choose_face, find_faces
from .fuse import normalised
from .model import Guess, Identity
from .registry import BY_KEY
from .stack import FaceStack

# Colours closer than this (CIE76) pass for the same in a flat drawing.
NEAR = 22.0


@dataclass(frozen=True)
class Score:
    """Agreement of attributes 0..1 (None: nothing to compare), cosine similarity (None: not measurable), and the report."""

    attributes: float | None
    similarity: float | None
    verdict: str
    report: str

    @property
    def value(self) -> float:
        """One number 0..1 for sorting: attribute agreement, with the recogniser's opinion where it has one."""
        parts = [part for part in (self.attributes, self.similarity) if part is not None]
        return float(np.clip(np.mean(parts), 0, 1)) if parts else 0.0


def color_presence(image: np.ndarray, color: str) -> float:
    """Share of an RGB picture within :data:`NEAR` of a hex colour, counting a shade lighter or darker as the same."""
    import cv2

    small = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)
    target = to_lab(np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]))
    away = (to_lab(small) - target) * np.array([0.5, 1.0, 1.0])
    return float((np.sqrt((away**2).sum(-1)) < NEAR).mean())


def compare_attributes(
    wanted: Mapping[str, Guess], image: np.ndarray, seen: Mapping[str, Guess] | None
) -> dict[str, float]:
    """Agreement 0..1 for each attribute that can be compared: with what was read from a face, else with the colours in the picture."""
    result: dict[str, float] = {}
    for path, guess in wanted.items():
        if guess.confidence < 0.35:
            continue
        if path in ("hair.color", "skin.color"):
            share = color_presence(image, guess.value)
            result[path] = float(np.clip(share / 0.03, 0, 1))
        elif seen is not None and path in seen:
            result[path] = 1.0 if (seen[path].name or seen[path].value) == (guess.name or guess.value) else 0.0
    return result


def score_picture(identity: Identity, image: np.ndarray, stack: FaceStack | None) -> Score:
    """Compare one RGB picture [H, W, 3] uint8 with an identity."""
    lines: list[str] = []
    face, picture = None, image
    if stack is not None:
        faces, picture = find_faces(image, stack.detector, turn=False)
        face = choose_face(faces, picture.shape)
    seen = read_attributes(picture, face) if face is not None else None
    agreement = compare_attributes(identity.attributes, picture, seen)
    attributes = float(np.mean(list(agreement.values()))) if agreement else None
    if agreement:
        lines.append("attributes: " + ", ".join(f"{path} {share:.0%}" for path, share in agreement.items()))
    else:
        lines.append("attributes: nothing to compare")
    similarity, verdict = None, "not measurable on this style"
    known = [item for item in (stack.recognisers if stack else ()) if item.recogniser.key in identity.embeddings]
    if face is None:
        lines.append(
            "likeness: not measurable on this style (the recogniser finds no face; it was trained on photographs)"
        )
    elif not known:
        lines.append("likeness: not measurable (this identity has no embedding of a recogniser that is here)")
    else:
        band = BY_KEY[known[0].recogniser.key]
        similarity = float(normalised(known[0](picture, face)) @ identity.embeddings[band.key].vector)
        verdict = (
            "same person"
            if similarity >= band.same
            else "someone else"
            if similarity < band.different
            else "cannot tell"
        )
        lines.append(
            f"likeness: {similarity:.2f} with {band.key}: {verdict} (same person from {band.same:.2f}, strangers below {band.different:.2f}; "
            "calibrated on photographs, so a low value on a drawing proves nothing)"
        )
    return Score(attributes, similarity, verdict, "\n".join(lines))
