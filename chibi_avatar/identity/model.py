"""The data of this room: a face in a photo, a photo's usefulness, and the identity that travels on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from ..character import Character


@dataclass(frozen=True)
class Face:
    """A detected face. ``box`` is x0, y0, x1, y1 and ``points`` [5, 2] are left eye, right eye, nose, left and right mouth corner

    (left and right as seen in the picture), in pixels of the photo after ``turns`` quarter turns counter-clockwise, which make it upright.
    """

    box: np.ndarray
    points: np.ndarray
    score: float
    turns: int = 0

    @property
    def size(self) -> float:
        """Longer side of the box in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    @property
    def roll(self) -> float:
        """Tilt of the eye line in degrees; 0 is level."""
        dx, dy = self.points[1] - self.points[0]
        return float(np.degrees(np.arctan2(dy, dx)))


@dataclass(frozen=True)
class Quality:
    """How useful a photo is as a reference. Each part is 0..1, ``total`` their product-like mean."""

    size: float
    sharpness: float
    frontal: float
    exposure: float
    detection: float

    @property
    def total(self) -> float:
        """Weighted geometric mean: one bad part pulls the whole down, but not to zero."""
        parts = np.array([self.size, self.sharpness, self.frontal, self.exposure, self.detection])
        weights = np.array([0.3, 0.2, 0.25, 0.15, 0.1])
        return float(np.exp(np.sum(weights * np.log(np.maximum(parts, 0.02)))))


@dataclass(frozen=True)
class Guess:
    """An attribute read from a photo: its value and how sure it is, 0..1. Values are strings of the Character's vocabulary, or a hex colour."""

    value: str
    confidence: float
    name: str = ""


@dataclass(frozen=True)
class Photo:
    """One reference photo: the chosen face, what it is worth, and whether it went into the identity (``reason`` says why not)."""

    index: int
    face: Face | None
    others: tuple[Face, ...] = ()
    quality: Quality | None = None
    crop: np.ndarray | None = None  # [224, 224, 3] uint8 RGB, upright, for CLIP-fed adapters and for previews
    embedding: np.ndarray | None = None  # [D] as the recogniser gave it
    attributes: Mapping[str, Guess] = field(default_factory=dict)
    used: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Embedding:
    """A fused face embedding. ``vector`` [D] has norm 1; ``raw`` [D] keeps the recogniser's own length (some adapters want that)."""

    recogniser: str
    sha256: str
    vector: np.ndarray
    raw: np.ndarray
    # One row per photo that was used, norm 1: Portrait adapters take several.
    each: np.ndarray


@dataclass(frozen=True)
class Identity:
    """Who it is: embeddings by recogniser key, attributes, the Character they amount to, and what each photo was worth.

    ``faceless`` identities (no face found, no model present) carry the report and no embedding; every consumer passes through.
    """

    embeddings: Mapping[str, Embedding] = field(default_factory=dict)
    attributes: Mapping[str, Guess] = field(default_factory=dict)
    character: Character = field(default_factory=Character)
    photos: tuple[Photo, ...] = ()
    crops: tuple[np.ndarray, ...] = ()
    profile: str = "clean"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "embeddings", MappingProxyType(dict(self.embeddings)))
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    def __deepcopy__(self, memo: dict) -> Identity:
        return self  # immutable

    @property
    def faceless(self) -> bool:
        """True when no photo gave a usable face."""
        return not self.embeddings and not self.crops
