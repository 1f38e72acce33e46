"""The base mesh: budgets, symmetry, texture layout, proportions, skinning and faces, on many Characters."""

from __future__ import annotations

import numpy as np
import pytest
from chibi_testing.rig import inside, stretch, turn

from chibi_avatar.avatar import base, wardrobe
from chibi_avatar.avatar.build import CUSTOM_EXPRESSIONS, PRESET_EXPRESSIONS, build_avatar
from chibi_avatar.avatar.model import REQUIRED_BONES, AvatarError
from chibi_avatar.avatar.raster import rasterize
from chibi_avatar.avatar.render import render
from chibi_avatar.character import Character
from tools.gallery import GIRL, random_character

STYLES = (
    "bob",
    "long_straight",
    "hime",
    "twin_tails",
    "low_twin_tails",
    "ponytail",
    "braid",
    "twin_braids",
    "short",
    "spiky",
    "wolf_cut",
    "curly",
    "bun",
    "double_bun",
    "bald",
)


@pytest.fixture(scope="module")
def crowd():
    """Twenty random figures at a small texture size."""
    return [build_avatar(random_character(seed), texture_size=256) for seed in range(20)]


def test_every_style_and_outfit_exists_in_every_preset() -> None:
    """A Character's hair or clothes would otherwise fail to build for some preset."""
    assert set(wardrobe.HAIR) == set(STYLES)
    assert len(wardrobe.OUTFITS) >= 13
    for preset in base.PRESETS:
        for name in base.piece_names():
            assert len(base.piece(name, preset).arrays["face"]) > 0


@pytest.mark.parametrize("preset", base.PRESETS)
def test_triangle_budget(preset: str) -> None:
    """A platform would refuse the avatar: VRChat Quest hides, Monaverse rejects."""
    for seed in range(8):
        avatar = build_avatar(random_character(seed), preset, 256)
        assert len(avatar.mesh.faces) <= base.BUDGET[preset]
        assert len(avatar.materials) <= 2


def test_everything_at_once_keeps_the_mobile_budget() -> None:
    """The person who wants ears, horns, a hat, wings and a bag on their phone would get a file that the platform hides."""
    values = {"hair.style": "curly", "outfit.kind": "sailor_uniform", "presentation": "feminine"}
    kinds = {
        "glasses": "round_glasses",
        "headphones": "headphones",
        "animal_ears": "rabbit_ears",
        "hair_ornament": "bow",
    }
    kinds |= {"horns": "horns", "halo": "halo", "tail": "fox_tail", "wings": "angel_wings", "bag": "backpack"}
    character = Character({**values, **{f"{slot}.kind": kind for slot, kind in kinds.items()}})
    avatar = build_avatar(character, "mobile", 256)
    assert 7000 < len(avatar.mesh.faces) <= base.BUDGET["mobile"]
    mesh = avatar.mesh
    uv = np.concatenate([mesh.uvs, np.zeros((len(mesh.uvs), 1), np.float32)], 1)[mesh.faces].astype(np.float64)
    area = np.abs(np.cross(uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0])[:, 2]).sum() / 2
    assert (
        rasterize(np.c_[mesh.uvs * 1024.0, np.zeros(len(mesh.uvs))], mesh.faces, 1024, 1024).face >= 0
    ).sum() / 1024**2 == pytest.approx(area, rel=0.01)


def test_body_and_head_are_exactly_symmetric() -> None:
    """Mirror fill of the bake copies the wrong texels when left and right differ."""
    avatar = build_avatar(Character({"hair.style": "bald"}), texture_size=256)
    mesh = avatar.mesh
    assert (mesh.mirror >= 0).all()
    other = mesh.positions[mesh.mirror] * np.float32([-1, 1, 1])
    assert np.abs(other - mesh.positions).max() == 0.0


def test_texture_patches_do_not_overlap_and_the_head_leads() -> None:
    """Paint of one part would show up on another, or the face would be blurred."""
    for seed in range(24):
        plan = wardrobe.plan(random_character(seed))
        rects = [(patch.rect, patch.zone, name) for name in plan.pieces for patch in base.patches(name)]
        r = np.array([rect for rect, _, _ in rects])
        assert (r >= 0).all() and (r <= 1).all()
        wide = np.minimum(r[:, None, 2], r[None, :, 2]) - np.maximum(r[:, None, 0], r[None, :, 0])
        high = np.minimum(r[:, None, 3], r[None, :, 3]) - np.maximum(r[:, None, 1], r[None, :, 1])
        both = (wide > 0) & (high > 0)
        np.fill_diagonal(both, False)
        assert not both.any(), [(rects[i][1:], rects[j][1:]) for i, j in np.argwhere(both)[:3]]
    face = next(patch for patch in base.patches("head") if patch.zone == "face").rect
    assert (face[2] - face[0]) * (face[3] - face[1]) >= 0.25
    assert 0.56 * 0.50 + 0.44 * 0.50 >= 0.45  # the upper half of the atlas belongs to head and hair
    head = [
        patch.rect
        for name in base.piece_names()
        if name == "head" or name.startswith(("hair_", "fringe")) and not name.startswith("hair_ornament")
        for patch in base.patches(name)
    ]
    assert max(rect[3] for rect in head) <= 0.5


def test_proportions_are_continuous_and_bones_stay_inside(crowd) -> None:
    """A figure between two and four heads would jump, or bend outside its flesh."""
    heights = [
        build_avatar(Character({"proportions.heads": h, "hair.style": "bald"}), texture_size=256).height
        for h in np.linspace(2, 4, 9)
    ]
    steps = np.diff(heights)
    assert (steps > 0).all() and steps.max() / steps.min() < 1.2
    for h, height in zip(np.linspace(2, 4, 9), heights, strict=True):
        assert abs(height - h * base.HEAD_HEIGHT) < 0.01
    for avatar in crowd:
        found = inside(avatar)
        assert all(found.values()), [bone for bone, ok in found.items() if not ok]


def test_skin_stretches_little(crowd) -> None:
    """Shoulders or crotch would tear when the avatar moves."""
    arms = {"leftUpperArm": turn(2, -60), "rightUpperArm": turn(2, 60)}
    legs = {"leftUpperLeg": turn(0, -60), "rightUpperLeg": turn(0, -60)}
    for avatar in crowd[:8]:
        assert stretch(avatar, arms) <= 1.5
        assert stretch(avatar, {"head": turn(0, 30)}) <= 1.5
        assert stretch(avatar, legs) <= 2.0


def test_weights_are_four_and_sum_to_one(crowd) -> None:
    """Loaders drop or rescale anything else."""
    for avatar in crowd:
        w = avatar.mesh.weights
        assert w.shape[1] == 4 and (w >= 0).all() and np.abs(w.sum(1) - 1).max() < 1e-5
        assert avatar.mesh.joints.max() < len(avatar.joints)
        assert {j.bone for j in avatar.joints} >= set(REQUIRED_BONES)
        assert len(avatar.joints) <= 75


def test_every_expression_shows_and_a_blink_hides_the_eye() -> None:
    """A smile or blink in an app would change nothing, or leave half an eye open."""
    avatar = build_avatar(GIRL, texture_size=1024)
    names = {e.name for e in avatar.expressions}
    assert names == {*PRESET_EXPRESSIONS, *CUSTOM_EXPRESSIONS}
    rest, mask = render(avatar, "face", 192, outline=False, supersample=1)
    face = np.zeros(mask.shape, bool)
    face[66:156, 36:156] = True
    for name in sorted(names):
        seen, _ = render(avatar, "face", 192, expression=name, outline=False, supersample=1)
        changed = (np.abs(seen - rest).max(2) > 0.05) & face
        assert changed.sum() > 0.005 * face.sum(), name

    def blue(image: np.ndarray) -> int:
        return int(((image[..., 2] - image[..., 0] > 0.10) & face & (image[..., 2] > 0.35)).sum())

    shut, _ = render(avatar, "face", 192, expression="blink", outline=False, supersample=1)
    assert blue(shut) <= 0.1 * blue(rest)


def test_closed_dot_eyes_are_lines() -> None:
    """Faces with dot eyes would have none at all while they blink or laugh."""
    avatar = build_avatar(
        Character({"eyes.style": "dot", "skin.color": "#fbe0cf", "hair.style": "bald"}), texture_size=1024
    )

    def dark(expression: str | None) -> np.ndarray:
        seen, _ = render(avatar, "face", 192, expression=expression, outline=False)
        return seen[74:122, 45:147].mean(2) < 0.4

    rest = dark(None).sum()
    for name in ("blink", "happy"):
        shut = dark(name)
        assert 0.025 * rest < shut.sum() < 0.15 * rest, name
        assert np.ptp(np.nonzero(shut)[0]) <= 5, name  # rows: two lines side by side


def test_same_character_same_bytes() -> None:
    """Shared files and caches would differ from run to run."""
    one, two = (build_avatar(random_character(5), texture_size=256) for _ in range(2))
    assert one.mesh.positions.tobytes() == two.mesh.positions.tobytes()
    assert one.textures[0].pixels.tobytes() == two.textures[0].pixels.tobytes()


def test_wishes_the_base_cannot_follow_are_told() -> None:
    """A person would wonder why the astronaut helmet is missing."""
    avatar = build_avatar(
        Character({"outfit.kind": "clown_costume", "hair.style": "liberty_plume", "proportions.heads": 6.5}),
        texture_size=256,
    )
    text = " ".join(avatar.meta["notes"])
    assert "clown costume" in text and "liberty plume" in text and "6.5" in text
    plan = wardrobe.plan(Character({"hat.kind": "beanie", "animal_ears.kind": "rabbit_ears"}))
    assert "animal_ears_rabbit" not in plan.pieces and any(n.startswith("animal_ears:") for n in plan.notes)


@pytest.mark.parametrize(
    ("path", "kind", "piece"),
    [
        ("glasses.kind", "square_glasses", "glasses_square"),
        ("glasses.kind", "round_glasses", "glasses_round"),
        ("glasses.kind", "glasses", "glasses_round"),
        ("animal_ears.kind", "fox_ears", "animal_ears_fox"),
        ("animal_ears.kind", "animal_ears", "animal_ears_cat"),
        ("tail.kind", "fox_tail", "tail_fox"),
        ("tail.kind", "tail", "tail_cat"),
        ("hair.bangs", "none", "fringe_swept_back"),
    ],
)
def test_what_is_worn_has_the_shape_that_was_asked_for(path, kind, piece) -> None:
    """'ears' in 'fox_ears' is longer than 'fox': foxes had the ears of cats, and square glasses were round."""
    assert piece in wardrobe.plan(Character({path: kind})).pieces


def test_a_tail_is_of_the_same_animal() -> None:
    """A fox would have a cat's tail as soon as its tail is only called fluffy."""
    assert "tail_fox" in wardrobe.plan(Character({"animal_ears.kind": "fox_ears", "tail.kind": "fluffy_tail"})).pieces
    assert "tail_fox" in wardrobe.plan(Character({"species": "wolf_person", "tail.kind": "tail"})).pieces


@pytest.mark.parametrize(("path", "kind"), [("animal_ears.kind", "elf_ears"), ("tail.kind", "fish_tail")])
def test_what_the_base_does_not_have_is_left_off_and_told(path, kind) -> None:
    """An elf would have a cat's ears, a mermaid a cat's tail."""
    plan = wardrobe.plan(Character({path: kind}))
    slot = path.split(".")[0]
    assert not any(piece.startswith(slot) for piece in plan.pieces)
    assert any(kind.replace("_", " ") in note for note in plan.notes)
    assert any(note.startswith("shoes") for note in wardrobe.plan(Character({"shoes.kind": "none"})).notes)


def test_bad_requests_are_refused_by_name() -> None:
    """A typo would otherwise end in a stack trace far away."""
    with pytest.raises(AvatarError, match="preset"):
        build_avatar(Character(), "huge")
    with pytest.raises(AvatarError, match="1000"):
        build_avatar(Character(), texture_size=1000)


def test_colours_reach_the_texture() -> None:
    """Picture and avatar would disagree about the hair or the eyes."""
    avatar = build_avatar(
        Character(
            {"hair.color": "#2fae6b", "hair.style": "bob", "eyes.color": "#3050ff", "eyes.color_right": "#e0a020"}
        ),
        texture_size=1024,
    )
    front, _ = render(avatar, "back", 256, outline=False)
    middle = front[60:110, 100:156].reshape(-1, 3).mean(0)
    assert middle[1] > middle[0] + 0.15 and middle[1] > middle[2] + 0.1
    face = render(avatar, "face", 320, outline=False)[0]
    left, right = face[150:230, 175:235].reshape(-1, 3), face[150:230, 85:145].reshape(-1, 3)
    assert (left[:, 2] - left[:, 0]).max() > 0.3 > (right[:, 2] - right[:, 0]).max()
