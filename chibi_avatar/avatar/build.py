"""From a Character to an Avatar: pieces, proportions, paint, rig, expressions and springs."""

from __future__ import annotations

import numpy as np

from ..character import Character
from . import base, paint, wardrobe
from .model import Avatar, AvatarError, Collider, Expression, Material, SpringChain, Texture

PARTS = ["face", "hair", "body", "outfit", "accessory"]
MATERIALS = {"face": 0, "body": 0, "outfit": 0, "accessory": 0, "hair": 1}

PRESET_EXPRESSIONS = (
    "happy",
    "angry",
    "sad",
    "relaxed",
    "surprised",
    "aa",
    "ih",
    "ou",
    "ee",
    "oh",
    "blink",
    "blinkLeft",
    "blinkRight",
    "lookUp",
    "lookDown",
    "lookLeft",
    "lookRight",
)
CUSTOM_EXPRESSIONS = ("smile", "grin", "pout", "worried", "joyEyes")
# words of an expression → the morphs that show it; the longest match wins
FACES: dict[str, dict[str, float]] = {
    "smile": {"smile": 1.0}, "smug": {"smile": 1.0}, "happy": {"happy": 1.0}, "laugh": {"happy": 1.0}, "joy": {"happy": 1.0}, "excited": {"grin": 1.0, "surprised": 0.3},
    "grin": {"grin": 1.0}, "angry": {"angry": 1.0}, "annoyed": {"angry": 0.7}, "frown": {"angry": 0.6}, "sad": {"sad": 1.0}, "cry": {"sad": 1.0}, "tears": {"sad": 1.0},
    "surprised": {"surprised": 1.0}, "shocked": {"surprised": 1.0}, "open_mouth": {"aa": 0.8}, "relaxed": {"relaxed": 1.0}, "sleepy": {"relaxed": 1.0}, "tired": {"relaxed": 1.0}, "calm": {"relaxed": 0.4},
    "closed_eyes": {"blink": 1.0, "smile": 1.0}, "sleeping": {"blink": 1.0}, "wink": {"blinkLeft": 1.0, "smile": 1.0}, "shy": {"worried": 1.0, "smile": 0.5}, "embarrassed": {"worried": 1.0},
    "worried": {"worried": 1.0}, "nervous": {"worried": 1.0}, "scared": {"worried": 1.0, "oh": 0.5}, "pout": {"pout": 1.0}, "proud": {"joyEyes": 1.0, "smile": 1.0},
}  # fmt: skip
_CLOSES_EYES = ("happy", "joyEyes")
_MOVES_MOUTH = ("happy", "grin", "surprised", "angry", "sad")


def build_avatar(character: Character | str | dict, preset: str = "standard", texture_size: int = 2048) -> Avatar:
    """Build the painted, rigged avatar of ``character``.

    ``preset``: ``mobile`` (about 7.5 k triangles), ``standard`` (15 k) or ``desktop`` (32 k). ``texture_size``: atlas side in texels, a power of two.
    Deterministic. Raises :class:`AvatarError` for an unknown preset or size, ``CharacterError`` for a bad Character.
    What the base could not follow literally is listed in ``avatar.meta["notes"]``.
    """
    who = Character.coerce(character)
    if texture_size not in (256, 512, 1024, 2048, 4096):
        raise AvatarError(f"texture size {texture_size} is not one of 256, 512, 1024, 2048, 4096")
    full = who.resolve()
    chosen = wardrobe.plan(who)
    notes = list(chosen.notes)
    low, high = base.HEADS_RANGE
    heads = float(np.clip(full["proportions.heads"], low, high))
    if heads != full["proportions.heads"]:
        notes.append(
            f"proportions.heads: the 3D base goes from {low:g} to {high:g} heads; {full['proportions.heads']:g} became {heads:g}"
        )
    made = base.assemble(chosen.pieces, preset, heads, full["proportions.build"], _shapes(full), PARTS, MATERIALS)
    atlas = paint.paint_atlas(full, chosen, texture_size)
    colliders, springs = _springs(made)
    head = next(j for j in made.joints if j.bone == "head").position
    eye = next(j for j in made.joints if j.bone == "leftEye").position
    hair = full["hair.color"].rgb
    return Avatar(
        name=full.get("name") or "Chibi",
        mesh=made.mesh,
        joints=made.joints,
        materials=[
            Material(
                "skin_and_clothes", 0, shade=(0.90, 0.76, 0.80), outline_width=0.0022, outline_color=(0.36, 0.22, 0.24)
            ),
            Material(
                "hair",
                0,
                shade=(0.80, 0.70, 0.82),
                outline_width=0.0026,
                outline_color=tuple(float(0.42 * v) for v in hair),
            ),
        ],
        textures=[Texture("atlas", atlas)],
        parts=list(PARTS),
        expressions=_expressions(made.mesh.morphs),
        springs=springs,
        colliders=colliders,
        look_offset=(0.0, float(eye[1] - head[1]), float(eye[2] - head[2])),
        heads=heads,
        atlas=0,
        character=who,
        meta={
            "notes": notes,
            "pieces": list(chosen.pieces),
            "zones": made.zones,
            "face_zone": made.face_zone,
            "expression": wardrobe.nearest(FACES, full["expression"]),
        },
    )


def _shapes(full: Character) -> dict[str, float]:
    """Shape morphs of the head: its outline and how tall the eyes stand."""
    tall = wardrobe.nearest(paint.EYE_HEIGHT, full["eyes.style"]) or 1.0
    if full["presentation"] == "masculine":
        tall *= 0.93
    return {full["face.shape"]: 1.0, "eye_tall": tall - 1.0}


def _expressions(morphs: dict[str, np.ndarray]) -> list[Expression]:
    out = []
    for name in (*PRESET_EXPRESSIONS, *CUSTOM_EXPRESSIONS):
        if name in morphs:
            out.append(
                Expression(
                    name,
                    name if name in PRESET_EXPRESSIONS else None,
                    {name: 1.0},
                    override_blink="block" if name in _CLOSES_EYES else "none",
                    override_mouth="blend" if name in _MOVES_MOUTH else "none",
                )
            )
    return out


def _springs(made: base.Assembly) -> tuple[list[Collider], list[SpringChain]]:
    """Colliders on head, chest, hips and upper legs, and a spring chain for everything that hangs."""
    number = {j.bone: i for i, j in enumerate(made.joints) if j.bone}
    position = {j.bone: j.position for j in made.joints if j.bone}
    if not made.chains:
        return [], []
    skull = base.HEAD_HEIGHT
    girth = float(position["leftUpperArm"][0]) / 0.090
    colliders = [
        Collider(number["head"], (0.0, 0.198, 0.010), 0.485 * skull),
        Collider(
            number["chest"],
            (0.0, 0.02, 0.0),
            0.075 * girth,
            tail=(0.0, float(position["neck"][1] - position["chest"][1]) - 0.03, 0.0),
        ),
        Collider(
            number["hips"],
            (0.0, 0.0, 0.0),
            0.090 * girth,
            tail=(0.0, float(position["chest"][1] - position["hips"][1]), 0.0),
        ),
    ]
    for side in ("left", "right"):
        shin = position[f"{side}LowerLeg"] - position[f"{side}UpperLeg"]
        colliders.append(
            Collider(number[f"{side}UpperLeg"], (0.0, 0.0, 0.0), 0.050 * girth, tail=tuple(float(v) for v in shin))
        )
    springs = []
    for about, joints in made.chains:
        springs.append(
            SpringChain(
                about["name"],
                joints,
                about["stiffness"],
                about["gravity"],
                about["drag"],
                about["radius"],
                [0, 1, 2] if about["parent"] == "head" else [3, 4],
            )
        )
    return colliders, springs
