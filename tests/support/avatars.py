"""Avatars for the slower layers: the small capsule figure, and random Characters."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path


def small_figure():
    """17 bones, two morphs, one spring chain, two materials (tests/unit/avatar/conftest.py)."""
    path = Path(__file__).resolve().parents[1] / "unit" / "avatar" / "conftest.py"
    spec = importlib.util.spec_from_file_location("chibi_testing.avatar_figure", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_figure()


HAIR = (
    "bob", "long_straight", "hime", "twin_tails", "low_twin_tails", "ponytail", "braid", "twin_braids",
    "short", "spiky", "wolf_cut", "curly", "bun", "double_bun", "bald",
)  # fmt: skip
OUTFITS = (
    "sailor_uniform", "blazer_uniform", "hoodie", "tshirt_shorts", "dress", "suit", "hanfu", "qipao", "kimono",
    "overalls", "sweater", "raincoat", "space_suit",
)  # fmt: skip
WORN = {
    "glasses.kind": ("round", "square"),
    "hat.kind": ("cap", "beanie", "witch", "straw"),
    "animal_ears.kind": ("cat", "rabbit", "fox"),
    "tail.kind": ("cat", "fox"),
    "wings.kind": ("angel", "devil"),
    "halo.kind": ("halo",),
}


def random_character(seed: int):
    """A Character of random hair, clothes, colours and proportions; the same for the same seed."""
    from chibi_avatar.character import Character

    rng = random.Random(seed)
    values = {
        "name": f"Test {seed}",
        "proportions.heads": round(rng.uniform(2.0, 4.0), 2),
        "proportions.build": rng.choice(("slim", "average", "chubby")),
        "face.shape": rng.choice(("round", "oval", "heart", "square")),
        "hair.style": rng.choice(HAIR),
        "hair.color": f"#{rng.randrange(1 << 24):06x}",
        "hair.coloring": rng.choice(("solid", "two_tone", "gradient", "streaked", "inner")),
        "eyes.color": f"#{rng.randrange(1 << 24):06x}",
        "outfit.kind": rng.choice(OUTFITS),
    }
    for field, kinds in WORN.items():
        if rng.random() < 0.25:
            values[field] = rng.choice(kinds)
    return Character(values)
