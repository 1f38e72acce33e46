"""The pictures of avatars in ``docs/``: ``python -m tools.gallery`` from the repository's root, with the pack's environment."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image

from chibi_avatar.avatar import wardrobe
from chibi_avatar.avatar.build import FACES, build_avatar
from chibi_avatar.avatar.model import Avatar
from chibi_avatar.avatar.render import render
from chibi_avatar.character import Character
from chibi_avatar.pose import library
from chibi_avatar.pose.rig import pose_rig

DOCS = Path(__file__).parents[1] / "docs"
SKINS = ("#fbdcc8", "#fde6d6", "#f7d2b8", "#f3c7a6", "#e0a77f", "#c08a62", "#8f5f42")
HAIR_COLORS = (
    "#2a2630",
    "#5b3a2e",
    "#8a5a3c",
    "#c98a4b",
    "#f0cf86",
    "#f4a7c0",
    "#b88ad8",
    "#7fb6e6",
    "#8fcfb0",
    "#d9576b",
    "#f2f1f6",
    "#5d6aa8",
)
EYE_COLORS = ("#6b4632", "#3f6fb5", "#4f9a6a", "#8a5fc0", "#c98a2f", "#c2485a", "#59b5c9")
CLOTH = ("#f2b3a5", "#8fb7de", "#f7ce6d", "#a6d1b3", "#c9a6de", "#e8788a", "#6d7fb5", "#f6efe4", "#55586b")

# what people do in the gallery: poses that suit skirts, robes and trousers, and a face that goes with each
MOODS = (
    ("waving", "happy"),
    ("one_hand_on_hip", "smile"),
    ("hands_clasped", "relaxed"),
    ("walking", "grin"),
    ("peace", "wink"),
    ("hands_behind_back", "smile"),
    ("welcome", "happy"),
    ("hands_on_hips", "angry"),
    ("standing", "smile"),
    ("thumbs_up", "grin"),
    ("hand_on_heart", "smile"),
    ("pointing_up", "surprised"),
    ("shy", "shy"),
    ("arms_crossed", "pout"),
    ("presenting", "grin"),
    ("hands_in_pockets", "smile"),
)


def random_character(seed: int) -> Character:
    """A Character with everything drawn at random, the same for a seed."""
    r = random.Random(seed)
    feminine = r.random() < 0.55
    values = {
        "presentation": "feminine" if feminine else "masculine",
        "hair.style": r.choice(
            sorted(
                set(wardrobe.HAIR)
                - (
                    {"bald"}
                    if feminine
                    else {
                        "twin_tails",
                        "low_twin_tails",
                        "twin_braids",
                        "hime",
                        "double_bun",
                        "bun",
                        "braid",
                        "long_straight",
                    }
                )
            )
        ),
        "hair.bangs": r.choice(("full", "blunt", "side_swept", "parted", "curtain", "messy")),
        "hair.color": r.choice(HAIR_COLORS),
        "hair.ahoge": r.random() < 0.15,
        "eyes.color": r.choice(EYE_COLORS),
        "eyes.style": r.choice(
            ("round", "round", "round", "almond", "droopy", "cat", "sharp", "dot", "star", "sleepy")
        ),
        "brows.style": r.choice(("soft", "straight", "thick", "thin", "arched")),
        "skin.color": r.choice(SKINS),
        "face.shape": r.choice(("round", "oval", "heart", "square")),
        "face.freckles": r.random() < 0.12,
        "proportions.heads": round(r.uniform(2.1, 3.3), 2),
        "proportions.build": r.choice(("slim", "average", "average", "chubby")),
        "outfit.kind": r.choice(sorted(set(wardrobe.OUTFITS) - (set() if feminine else {"dress", "qipao"}))),
    }
    if r.random() < 0.2:
        values["hair.color2"] = r.choice(HAIR_COLORS)
        values["hair.coloring"] = r.choice(("gradient", "two_tone", "streaked", "inner"))
    if r.random() < 0.1:
        values["eyes.color_right"] = r.choice(EYE_COLORS)
    if r.random() < 0.6:
        values["outfit.color"] = r.choice(CLOTH)
    for slot, chance, kinds in (
        ("glasses", 0.22, ("round_glasses", "square_glasses")),
        ("hat", 0.16, ("cap", "beanie", "witch_hat", "straw_hat")),
        ("animal_ears", 0.16, ("cat_ears", "fox_ears", "rabbit_ears")),
        ("tail", 0.10, ("cat_tail", "fox_tail")),
        ("wings", 0.07, ("angel_wings", "demon_wings")),
        ("bag", 0.10, ("backpack",)),
        ("headphones", 0.07, ("headphones",)),
        ("hair_ornament", 0.10, ("bow",)),
    ):
        if r.random() < chance:
            values[f"{slot}.kind"] = r.choice(kinds)
    if not feminine and r.random() < 0.15:
        values["face.beard"] = r.choice(("stubble", "goatee", "full", "moustache"))
    if values.get("hat.kind") in ("cap", "beanie"):
        values["hat.color"] = r.choice(CLOTH)
    return Character(values)


GIRL = Character(
    {
        "presentation": "feminine",
        "hair.style": "twin_tails",
        "hair.color": "#f4a7c0",
        "eyes.color": "#5aa7e0",
        "outfit.kind": "sailor_uniform",
    }
)
BOY = Character(
    {
        "presentation": "masculine",
        "hair.style": "short",
        "hair.color": "#2a2630",
        "eyes.color": "#6b4632",
        "outfit.kind": "hoodie",
        "outfit.color": "#d9455b",
        "glasses.kind": "round_glasses",
    }
)


def save(name: str, image: np.ndarray) -> None:
    """Write ``docs/<name>.png`` with a dithered palette: flat art needs no more, and the repository stays small."""
    DOCS.mkdir(exist_ok=True)
    picture = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    # maximum coverage keeps the rare warm colours (cheeks, irises) that a median cut spends on the background
    palette = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
    picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(DOCS / f"{name}.png", optimize=True)


def portrait(avatar: Avatar, view: str, size: int, mood: tuple[str, str] | None = None) -> np.ndarray:
    """A figure on the soft ground, (size, size, 3) float32; in the T-pose without ``mood`` (pose of the library, expression)."""
    if mood is None:
        return render(avatar, view, size, background="soft")[0]
    rig = pose_rig(library.frame(mood[0], heads=avatar.heads), avatar.joints)
    return render(avatar, view, size, rig.rotations, FACES[mood[1]], "soft", offset=rig.offset)[0]


def main() -> None:
    """Draw the gallery of 24 and the turns of the two avatars of the README."""
    cells = []
    for seed in range(24):
        avatar = build_avatar(random_character(seed), texture_size=1024)
        mood = MOODS[seed % len(MOODS)]
        cells.append(np.concatenate([portrait(avatar, view, 300, mood)[:, 40:260] for view in ("front", "back")], 1))
    save("gallery", np.concatenate([np.concatenate(cells[i : i + 4], 1) for i in range(0, 24, 4)], 0))
    for name, character in (("avatar_girl", GIRL), ("avatar_boy", BOY)):
        avatar = build_avatar(character)
        views = [portrait(avatar, view, 560)[:, 60:500] for view in ("front", "three_quarter", "left", "back")]
        save(name, np.concatenate(views, 1))


if __name__ == "__main__":
    main()
