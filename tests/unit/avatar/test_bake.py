"""The bake: what was drawn must be on the avatar, where it was drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from chibi_testing.shapes import figure
from scipy.ndimage import binary_dilation, binary_erosion, map_coordinates

from chibi_avatar.avatar import strips
from chibi_avatar.avatar.bake import BakeOptions, atlas_faces, bake
from chibi_avatar.avatar.build import build_avatar
from chibi_avatar.avatar.camera import Camera, Views, view_set
from chibi_avatar.avatar.guides import guide_maps
from chibi_avatar.avatar.metrics import delta_e2000, psnr, srgb_to_lab
from chibi_avatar.avatar.model import AvatarError, Material, Texture
from chibi_avatar.avatar.padding import Padding, seam_edges
from chibi_avatar.avatar.texels import texel_gbuffer
from chibi_avatar.avatar.untouched import folded
from tools.gallery import random_character

SIZE = 512  # of the atlas in these tests
VIEW = 256
OPTIONS = BakeOptions(SIZE)


def _pattern(place: np.ndarray) -> np.ndarray:
    """A colour for every point in space: smooth, different on every side, no two alike nearby."""
    x, y, z = place.T
    return np.stack(
        [
            0.5 + 0.3 * np.sin(9 * x + 4 * y) * np.cos(7 * z),
            0.45 + 0.3 * np.sin(11 * y + 5 * z),
            0.5 + 0.3 * np.cos(8 * x - 6 * z),
        ],
        1,
    ).astype(np.float32)


@pytest.fixture(scope="module")
def truth():
    """A figure painted with the pattern, the same figure unpainted, and the texels."""
    blank = figure(24, np.full((64, 64, 3), 128, np.uint8))
    texels = texel_gbuffer(blank.mesh, SIZE)
    color = texels.image(torch.from_numpy(_pattern(texels.surface()[0].numpy())))
    atlas = Padding(texels.raster.face >= 0).spread(color).numpy()
    painted = blank.with_textures([Texture("atlas", (atlas * 255 + 0.5).astype(np.uint8))])
    return blank, painted, texels, atlas


@pytest.fixture(scope="module")
def four(truth):
    """The bake from four synthetic views."""
    blank, painted, _, _ = truth
    views = view_set(blank, "sides4", VIEW)
    images = guide_maps(painted, views, ["paint"])["paint"]
    return views, images, bake(blank, images, views, OPTIONS)


def _rerender(avatar, views, images):
    again = guide_maps(avatar, views, ["paint", "mask"])
    return [psnr(a[m > 0], b[m > 0]) for a, b, m in zip(again["paint"], images, again["mask"], strict=True)]


def test_the_pictures_come_back(four):
    """The avatar would not look like what was drawn: re-render at least 45 dB in every view."""
    views, images, result = four
    assert min(_rerender(result.avatar, views, images)) >= 45
    assert min(view["psnr_db"] for view in result.report["views"]) >= 45
    assert all(view["iou"] == 1.0 and view["scale"] == 1.0 for view in result.report["views"])


def test_hard_edges_come_back_sharp():
    """Eyes and lettering would be smoothed twice, once into the texture and once out of it: 45 dB with the painted figure of a checker."""
    cells = np.indices((256, 256)).sum(0) // 16 % 2
    painted = figure(24, np.where(cells[..., None], 230, 40).astype(np.uint8).repeat(3, 2))
    views = view_set(painted, "sides4", 512)
    images = guide_maps(painted, views, ["paint"])["paint"]
    result = bake(figure(24, np.full((64, 64, 3), 128, np.uint8)), images, views, BakeOptions(1024))
    assert min(_rerender(result.avatar, views, images)) >= 33
    assert min(view["psnr_db"] for view in result.report["views"]) >= 45


def test_coverage_of_four_and_six_views(truth, four):
    """Most of the avatar would be guesswork: 97 % from four views, 99.5 % from six, all filled."""
    blank, painted, texels, _ = truth
    assert four[2].report["coverage"] >= 0.97
    views = view_set(blank, "sides6", VIEW)
    six = bake(blank, guide_maps(painted, views, ["paint"])["paint"], views, OPTIONS)
    assert six.report["coverage"] >= 0.995
    covered = four[2].coverage.reshape(-1)[texels.pixels.numpy()] > 0
    filled = four[2].report["filled_mirror"] + four[2].report["filled_surface"]
    assert covered.sum() + filled == len(covered)


def test_no_background_inside_the_charts(truth, four):
    """White specks of the paper would sit along every edge of the figure."""
    blank, painted, texels, _ = truth
    views, images, _ = four
    key = np.where((guide_maps(blank, views, ["mask"])["mask"] > 0)[..., None], images, np.float32([1, 0, 1]))
    atlas = bake(blank, key, views, OPTIONS).atlas.reshape(-1, 3)[texels.pixels.numpy()]
    assert np.abs(atlas - (1, 0, 1)).max(1).min() > 0.1


def test_unseen_places_get_the_colour_of_their_surroundings(truth):
    """Holes would be grey, or take another chart's colour: at least 22 dB where no view looked."""
    blank, painted, texels, atlas = truth
    views = view_set(blank, "sides4", VIEW)
    images = guide_maps(painted, views, ["paint"])["paint"]
    masks = np.ones(images.shape[:3], np.float32)
    masks[:, 100:115] = 0  # a belt that no view may paint
    result = bake(blank, images, views, OPTIONS, masks)
    unseen = result.coverage.reshape(-1)[texels.pixels.numpy()] == 0
    assert 0.02 < unseen.mean() < 0.25
    flat, wanted = result.atlas.reshape(-1, 3)[texels.pixels.numpy()], atlas.reshape(-1, 3)[texels.pixels.numpy()]
    assert psnr(flat[unseen], wanted[unseen]) >= 22


def test_unseen_paint_takes_the_colours_of_the_pictures(truth):
    """Drawn with another skin, the avatar would keep its old skin under the hair: what became of a colour where it was seen becomes of it
    where it was not, on each part for itself."""
    _, _, texels, _ = truth
    place = texels.surface()[0].numpy()
    cells = (np.floor(place[:, 1] * 12) + np.floor(place[:, 2] * 12)).astype(int) % 2 == 0
    old = np.where(cells[:, None], [0.95, 0.8, 0.7], [0.2, 0.3, 0.6]).astype(np.float32)
    head = place[:, 1:2] > 0.5
    new = np.where(cells[:, None], np.where(head, [0.5, 0.35, 0.25], [0.9, 0.2, 0.2]), [0.1, 0.6, 0.5]).astype(
        np.float32
    )

    def wearing(colors):
        atlas = Padding(texels.raster.face >= 0).spread(texels.image(torch.from_numpy(colors))).numpy()
        return figure(24).with_textures([Texture("atlas", (atlas * 255 + 0.5).astype(np.uint8))])

    views = view_set(wearing(old), "front", VIEW)
    pictures = guide_maps(wearing(new), views, ["paint"])["paint"]
    result = bake(wearing(old), pictures, views, replace(OPTIONS, mirror=False, match_colors=False))
    unseen = result.coverage.reshape(-1)[texels.pixels.numpy()] == 0
    assert result.report["fill"] == "paint" and unseen.mean() > 0.4
    assert psnr(result.atlas.reshape(-1, 3)[texels.pixels.numpy()][unseen], new[unseen]) >= 22


@pytest.fixture(scope="module")
def worn():
    """An avatar in layers: guides of its own paint, and the bake of them."""
    avatar = build_avatar(random_character(2), texture_size=512)
    views = view_set(avatar, "sides4", 512)
    return avatar, views, bake(avatar, guide_maps(avatar, views, ["paint"])["paint"], views, BakeOptions(512))


def _paint(avatar):
    return avatar.textures[avatar.atlas].pixels[:, :, :3].reshape(-1, 3) / 255


def test_what_is_under_clothes_keeps_its_colour(worn):
    """A sleeve's colour would creep over the arm below it: at least 22 dB where no view looked, of all that is worn."""
    avatar, _, result = worn
    inside = (texel_gbuffer(avatar.mesh, 512, atlas_faces(avatar)).raster.face >= 0).numpy().reshape(-1)
    unseen = inside & (result.coverage.reshape(-1) == 0)
    assert unseen.sum() > 0.3 * inside.sum()
    assert psnr(result.atlas.reshape(-1, 3)[unseen], _paint(avatar)[unseen]) >= 22


def test_what_opens_in_an_expression_keeps_its_paint(worn):
    """An open mouth would show the line of the closed one, drawn out to stripes."""
    avatar, views, result = worn
    shut = folded(avatar.mesh)
    assert 100 < shut.sum() < 600 and set(avatar.mesh.face_part[shut]) == {avatar.parts.index("face")}
    texels = texel_gbuffer(avatar.mesh, 512, atlas_faces(avatar))
    mouth = texels.pixels[torch.as_tensor(shut)[texels.faces]].numpy()
    old = _paint(avatar)[mouth]
    assert len(mouth) > 200 and not result.coverage.reshape(-1)[mouth].any()
    assert np.quantile(np.abs(result.atlas.reshape(-1, 3)[mouth] - old).max(1), 0.9) < 0.08  # in the picture's colours
    green = np.full((4, 512, 512, 3), (0.1, 0.8, 0.2), np.float32)
    other = bake(avatar, green, views, BakeOptions(512, fill="surface")).atlas.reshape(-1, 3)[mouth]
    assert np.median(np.abs(other - old).max(1)) < 0.01  # but for its border, which meets the green


def test_what_a_morph_enlarges_is_baked_all_the_same(truth, four):
    """A slider for a large head would leave the whole head unpainted."""
    blank, _, _, _ = truth
    views, images, result = four
    mesh = blank.mesh
    large = (mesh.positions - (0, 0.5, 0)) * (mesh.positions[:, 1:2] > 0.5) * 1.5
    slider = replace(blank, mesh=replace(mesh, morphs={**mesh.morphs, "large": large.astype(np.float32)}))
    assert not folded(slider.mesh).any()
    assert bake(slider, images, views, OPTIONS).report["coverage"] == result.report["coverage"]


def test_an_unpainted_avatar_is_filled_altogether(worn):
    """White lids and a white mouth would show in the first blink."""
    avatar, views, _ = worn
    white = avatar.with_textures([Texture("atlas", np.full((512, 512, 3), 255, np.uint8))])
    red = np.full((4, 512, 512, 3), (0.8, 0.1, 0.2), np.float32)
    texels = texel_gbuffer(avatar.mesh, 512, atlas_faces(avatar))
    shut = texels.pixels[torch.as_tensor(folded(avatar.mesh))[texels.faces]].numpy()
    atlas = bake(white, red, views, BakeOptions(512, fill="surface")).atlas.reshape(-1, 3)[shut]
    assert np.abs(atlas - (0.8, 0.1, 0.2)).max() < 0.02


def test_the_fill_meets_what_was_seen(truth):
    """A hard line would run along the border of what the views saw."""
    blank, painted, texels, _ = truth
    views = view_set(blank, "front", VIEW)
    images = guide_maps(painted, views, ["paint"])["paint"]
    old = blank.with_textures(
        [Texture("atlas", np.indices((256, 256)).sum(0)[..., None].repeat(3, 2).astype(np.uint8))]
    )
    inside = (texels.raster.face >= 0).numpy()
    for fill in ("paint", "surface"):
        result = bake(old, images, views, replace(OPTIONS, fill=fill))
        seen = result.coverage > 0
        pairs = inside[:, 1:] & inside[:, :-1] & (seen[:, 1:] != seen[:, :-1])
        assert np.abs(np.diff(result.atlas, axis=1)).mean(2)[pairs].mean() < 8 / 255


def test_the_mirror_fills_one_side_exactly(truth):
    """A figure drawn from the left only would have a smeared right side."""
    blank, _, texels, _ = truth
    place = texels.surface()[0].numpy()
    even = _pattern(np.stack([np.abs(place[:, 0]), place[:, 1], place[:, 2]], 1))
    atlas = Padding(texels.raster.face >= 0).spread(texels.image(torch.from_numpy(even))).numpy()
    painted = blank.with_textures([Texture("atlas", (atlas * 255 + 0.5).astype(np.uint8))])
    views = view_set(blank, "sides4", VIEW)
    half = Views((views.cameras[1],))
    result = bake(blank, guide_maps(painted, half, ["paint"])["paint"], half, OPTIONS)
    assert result.report["filled_mirror"] > 0.3 * result.report["texels"]
    right = (place[:, 0] < -0.1) & (np.abs(texels.surface()[1].numpy()[:, 0]) > 0.4)
    got = result.atlas.reshape(-1, 3)[texels.pixels.numpy()][right]
    assert psnr(got, even[right]) > 35
    alone = bake(blank, guide_maps(painted, half, ["paint"])["paint"], half, replace(OPTIONS, mirror=False))
    assert alone.report["filled_mirror"] == 0


def test_seams_do_not_show(four):
    """A line would run down the back of the head: median ΔE below 1, 99 % below 3."""
    seam = four[2].report["seam_delta_e"]
    assert seam["median"] < 1 and seam["p99"] < 3
    first, second = seam_edges(figure(24).mesh)
    assert len(first) == len(second) >= 40


def test_mip_levels_do_not_show_the_background(truth, four):
    """From a distance the avatar would get light or dark edges around every chart."""
    _, _, texels, _ = truth
    atlas = four[2].atlas
    inside = (texels.raster.face >= 0).numpy()
    level = atlas.reshape(SIZE // 8, 8, SIZE // 8, 8, 3).mean((1, 3))
    weight = inside.reshape(SIZE // 8, 8, SIZE // 8, 8).mean((1, 3))
    pure = (atlas * inside[..., None]).reshape(SIZE // 8, 8, SIZE // 8, 8, 3).mean((1, 3)) / np.maximum(weight, 1e-9)[
        ..., None
    ]
    partly = (weight > 0.02) & (weight < 1)
    assert np.abs(level - pure)[partly].max() < 0.08


def test_a_shifted_drawing_is_laid_on_its_guide(truth, four):
    """Samplers do not keep outlines: a shift of 1 % would put the eyes beside the face."""
    blank, _, _, _ = truth
    views, images, straight = four
    centre = (VIEW - 1) / 2
    y, x = np.mgrid[0:VIEW, 0:VIEW]
    source = np.stack([centre + (y - centre - 4) / 1.01, centre + (x - centre + 5) / 1.01])
    moved = images.copy()
    moved[0] = np.stack([map_coordinates(images[0, :, :, k], source, order=1, cval=1.0) for k in range(3)], -1)
    result = bake(blank, moved, views, OPTIONS)
    row = result.report["views"][0]
    assert row["iou"] > row["iou_before"] + 0.02 and row["iou"] > 0.98
    assert abs(row["scale"] - 1.01) < 0.002
    np.testing.assert_allclose(row["shift_px"], (-5, 4), atol=0.8)
    blind = bake(blank, moved, views, replace(OPTIONS, register=False))
    better, worse = (_rerender(r.avatar, views, images)[0] for r in (result, blind))
    assert better > worse + 5 and better < _rerender(straight.avatar, views, images)[0]


def test_white_on_white_is_left_where_it_is(truth, four):
    """White hair has no outline on white paper: the head seems smaller than it is, and fitting that would move the whole face."""
    blank, _, _, _ = truth
    views, images, _ = four
    rim = np.stack([m & ~binary_erosion(m, iterations=5) for m in guide_maps(blank, views, ["mask"])["mask"] > 0])
    rim[:, VIEW * 3 // 5 :] = False
    pale = np.where(rim[..., None], 1.0, images).astype(np.float32)
    rows = bake(blank, pale, views, OPTIONS).report["views"]
    assert all(row["iou_before"] < 0.95 and row["scale"] == 1.0 and row["shift_px"] == [0.0, 0.0] for row in rows)


def test_views_of_different_brightness_meet(truth, four):
    """A darker side view would leave a hard edge along the cheek."""
    blank, _, _, _ = truth
    views, images, _ = four
    tinted = images.copy()
    tinted[1] = np.where(images[1] < 1, images[1] * 0.85 + 0.03, 1)
    result = bake(blank, tinted, views, OPTIONS)
    gap = result.report["view_gap"]
    assert gap[0] > 0.03 and gap[1] < gap[0] / 3
    assert result.report["views"][0]["gain"] == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(result.report["views"][1]["gain"], 1 / 0.85, atol=0.08)
    assert _rerender(result.avatar, views, images)[1] > 30


def test_ghosts_do_not_appear_where_drawings_differ(truth, four):
    """Two drawings that disagree in detail would be averaged to mush; one of them must win."""
    blank, _, texels, _ = truth
    views, images, _ = four
    stripes = np.where(np.arange(VIEW)[None, :, None] // 6 % 2 == 0, 0.2, 0.8).astype(np.float32)
    other = images.copy()
    mask = guide_maps(blank, views, ["mask"])["mask"] > 0
    other[1] = np.where(mask[1][..., None], stripes, 1)
    result = bake(blank, other, views, replace(OPTIONS, match_colors=False, register=False))
    place, normal = (item.numpy() for item in texels.surface())
    side = (normal[:, 0] > 0.9) & (place[:, 1] < 0.5)
    got = result.atlas.reshape(-1, 3)[texels.pixels.numpy()][side]
    assert got.std(0).min() > 0.2


def test_views_that_differ_are_not_sharpened_into_each_other(truth, four):
    """Where two drawings disagree, putting back what one of them shows must not bring back the seam that the blend took away."""
    blank, _, _, _ = truth
    views, images, _ = four
    tinted = images.copy()
    tinted[1] = np.where(images[1] < 1, images[1] * 0.8 + 0.1, 1)
    result = bake(blank, tinted, views, replace(OPTIONS, match_colors=False))
    between = Views((Camera(45, 0, (0, 0.5, 0), 1.1, VIEW, VIEW),))
    uneven, plain = (
        np.abs(np.diff(guide_maps(avatar, between, ["paint"])["paint"][0], axis=1))
        for avatar in (result.avatar, four[2].avatar)
    )
    inner = slice(VIEW // 2 - 20, VIEW // 2 + 20)
    assert uneven[60:120, inner].max() < plain[60:120, inner].max() + 0.03


def test_a_detail_of_one_view_survives_where_others_lack_it(truth, four):
    """A badge drawn on the front view only must not fade because the side view, which sees that place askew, shows none."""
    blank, _, _, _ = truth
    views, images, _ = four
    drawn = images.copy()
    y, x = np.mgrid[0:VIEW, 0:VIEW]
    badge = np.hypot(x - VIEW // 2 - 15, y - 160) < 7
    drawn[0][badge] = (1, 0, 1)
    (front,) = guide_maps(bake(blank, drawn, views, OPTIONS).avatar, Views(views.cameras[:1]), ["paint"])["paint"]
    inner = binary_erosion(badge, iterations=2)
    assert np.abs(front - np.float32([1, 0, 1])).max(2)[inner].mean() < 0.03
    assert np.abs(front - drawn[0]).max(2)[binary_dilation(badge, iterations=6) & ~badge].mean() < 0.05


def test_strips_give_what_the_whole_atlas_gives(truth):
    """A line would run across the texture at the border of every strip, or texels would belong to nothing there."""
    blank, _, whole, _ = truth
    parts = [texel_gbuffer(blank.mesh, SIZE, rows=(first, first + 128)) for first in range(0, SIZE, 128)]
    assert (torch.cat([part.pixels + part.first * SIZE for part in parts]) == whole.pixels).all()
    for name in ("faces", "bary"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)), name


def test_strength_and_the_old_texture(truth, four):
    """Strength zero must leave the texture alone, and the avatar that went in must never change."""
    blank, _, texels, _ = truth
    views, images, _ = four
    before = blank.textures[0].pixels.copy()
    result = bake(blank, images, views, replace(OPTIONS, strength=0.0))
    assert np.abs(result.atlas.reshape(-1, 3)[texels.pixels.numpy()] * 255 - 128).max() <= 1
    assert (blank.textures[0].pixels == before).all() and result.avatar.textures[0] is not blank.textures[0]


def test_the_same_bake_twice_and_on_any_number_of_threads(truth, four):
    """The exported file would change from run to run."""
    blank, _, _, _ = truth
    views, images, first = four
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        second = bake(blank, images, views, OPTIONS)
    finally:
        torch.set_num_threads(threads)
    assert (first.atlas == second.atlas).all() and first.report == second.report


def test_the_bake_inside_torchs_inference_mode(truth, four):
    """ComfyUI runs nodes in it, and a thread of our own does not inherit it: every bake on the canvas would stop with an error."""
    blank, _, _, _ = truth
    views, images, _ = four
    strips.forget()
    with torch.inference_mode():
        inside = bake(blank, images, views, OPTIONS)
    kept = bake(blank, images, views, OPTIONS)  # with what the other has kept
    strips.forget()
    assert (inside.atlas == kept.atlas).all() and (inside.atlas == bake(blank, images, views, OPTIONS).atlas).all()


def test_overlays_keep_their_own_texture(truth, four):
    """The brows and lashes of a VRoid figure would be painted over."""
    blank, _, _, _ = truth
    views, images, _ = four
    material = blank.mesh.face_part.astype(np.int32)
    two = replace(
        blank,
        mesh=replace(blank.mesh, face_material=material),
        materials=[Material("skin", 0), Material("lashes", 1, alpha_mode="BLEND")],
        textures=[blank.textures[0], Texture("lashes", np.zeros((4, 4, 4), np.uint8))],
    )
    result = bake(two, images, views, OPTIONS)
    assert result.avatar.textures[1] is two.textures[1]
    assert result.report["texels"] < 0.75 * bake(blank, images, views, OPTIONS).report["texels"]


def test_a_layer_in_the_same_atlas_keeps_its_texels(truth, four):
    """Brows and lashes that share the picture with the skin would be painted over by what pads the skin's charts."""
    blank, _, texels, _ = truth
    views, images, _ = four
    pixels = np.full((SIZE, SIZE, 3), 128, np.uint8)
    layer = blank.mesh.face_part[texels.raster.face.numpy()] == 1
    layer &= texels.raster.face.numpy() >= 0
    pixels[layer] = (10, 200, 30)
    two = replace(
        blank,
        mesh=replace(blank.mesh, face_material=blank.mesh.face_part.astype(np.int32)),
        materials=[Material("skin", 0), Material("lashes", 0, alpha_mode="BLEND")],
        textures=[Texture("atlas", pixels)],
    )
    baked = bake(two, images, views, OPTIONS).avatar.textures[0].pixels
    assert (baked[layer] == (10, 200, 30)).all()
    assert (baked[~layer] != 128).any(1).mean() > 0.5


def test_a_texture_that_repeats_keeps_what_only_its_repeats_use(truth, four):
    """A tiled cloth would lose the part of its picture that lies in the next tile."""
    blank, _, _, _ = truth
    views, images, _ = four
    pixels = np.full((SIZE, SIZE, 3), 128, np.uint8)
    pixels[:, : SIZE // 4] = (10, 200, 30)
    shifted = replace(
        blank,
        mesh=replace(blank.mesh, uvs=blank.mesh.uvs * np.float32([0.7, 1]) + np.float32([0.5, 0])),
        textures=[Texture("atlas", pixels)],
    )
    baked = bake(shifted, images, views, OPTIONS).avatar.textures[0].pixels
    again = guide_maps(replace(shifted, textures=[Texture("atlas", baked)]), views, ["paint"])["paint"]
    before = guide_maps(shifted, views, ["paint"])["paint"]
    green = np.abs(before - np.float32([10, 200, 30]) / 255).max(-1) < 0.01
    assert green.mean() > 0.005 and np.abs(again - before)[green].max() < 0.05


def test_the_colour_of_a_material_is_not_applied_twice(truth, four):
    """A grey material would darken what was drawn to black-grey, while the report says that all is well."""
    blank, painted, _, _ = truth
    dark = replace(painted, materials=[replace(m, color=(0.5, 0.6, 0.7, 1.0)) for m in painted.materials])
    views = four[0]
    images = guide_maps(dark, views, ["paint"])["paint"]
    result = bake(replace(dark, textures=blank.textures), images, views, OPTIONS)
    assert min(_rerender(result.avatar, views, images)) >= 45
    bright = bake(replace(dark, textures=blank.textures), np.ones_like(images), views, OPTIONS)
    assert any("cannot be as bright" in note for note in bright.report["notes"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i[:3], "3 pictures for 4 cameras"),
        (lambda i: i[:1], "1 picture for 4 cameras.*sheet"),
        (lambda i: i[:, :, :200], "the shape must be the same"),
        (lambda i: i[..., :1], "1 channels"),
        (lambda i: i[:, :8, :8], "at least 16 pixels"),
        (lambda i: i[0, 0], "expected a batch"),
    ],
)
def test_wrong_pictures_are_refused_with_the_fix(truth, four, change, message):
    """A cropped or missing view would be baked somewhere else without a word."""
    with pytest.raises(AvatarError, match=message):
        bake(truth[0], change(four[1]), four[0], OPTIONS)


def test_masks_alpha_and_broken_pixels(truth, four):
    """Cut-out pictures are the best input there is; an empty mask must not erase the avatar."""
    blank, _, _, _ = truth
    views, images, _ = four
    mask = guide_maps(blank, views, ["mask"])["mask"]
    rgba = np.concatenate([images, mask[..., None]], -1)
    assert bake(blank, rgba, views, OPTIONS).report["views"][0]["iou"] == 1.0
    one_empty = mask.copy()
    one_empty[2] = 0
    result = bake(blank, images, views, OPTIONS, one_empty)
    assert any("view 3: its mask is empty" in note for note in result.report["notes"])
    assert result.report["views"][2]["texels"] == 0
    for nothing in (mask * 0, mask[:1] * 0):  # one mask is for all views
        with pytest.raises(AvatarError, match="masks of all views are empty"):
            bake(blank, images, views, OPTIONS, nothing)
    broken = images.copy()
    broken[0, 10, 10] = np.nan
    assert np.isfinite(bake(blank, broken, views, OPTIONS).atlas).all()
    with pytest.raises(AvatarError, match="size 1000"):
        bake(blank, images, views, BakeOptions(1000))


def test_views_and_masks_that_belong_to_other_views(truth, four):
    """A set without cameras, or masks of another set, must be named, not end in an index error."""
    blank, _, _, _ = truth
    views, images, _ = four
    with pytest.raises(AvatarError, match="no cameras: connect the views output"):
        bake(blank, images, Views(()), OPTIONS)
    masks = np.ones(images.shape[:3], np.float32)
    for wrong, message in (
        (masks[:3], "masks: 3 pictures for 4 cameras"),
        (masks[:, :100], "masks: picture 1 is 256x100"),
    ):
        with pytest.raises(AvatarError, match=message):
            bake(blank, images, views, OPTIONS, wrong)
    small = bake(blank, images, views, OPTIONS, masks[:, ::2, ::2])  # another resolution is fine
    assert all(view["psnr_db"] >= 40 for view in small.report["views"])


def test_other_resolutions_of_the_same_shape_are_fine(truth, four):
    """An upscaled view would be refused, or baked at the wrong place."""
    blank, _, _, _ = truth
    views, images, _ = four
    large = images.repeat(2, 1).repeat(2, 2)
    result = bake(blank, large, views, OPTIONS)
    assert min(_rerender(result.avatar, views, images)) > 30
    assert result.report["views"][0]["iou"] > 0.98


def test_colour_difference_matches_the_published_pairs():
    """The seam figures in the report would mean nothing. Pairs 1, 7, 17 and 25 of Sharma, Wu and Dalal (2005)."""
    first = np.array([[50, 2.6772, -79.7751], [50, 0, 0], [50, 2.5, 0], [60.2574, -34.0099, 36.2677]])
    second = np.array([[50, 0, -82.7485], [50, -1, 2], [50, 0, -2.5], [60.4626, -34.1751, 39.4387]])
    np.testing.assert_allclose(delta_e2000(first, second), [2.0425, 2.3669, 4.3065, 1.2644], atol=1e-4)
    np.testing.assert_allclose(srgb_to_lab(np.array([1.0, 1.0, 1.0])), [100, 0, 0], atol=0.01)


def test_drawn_outlines_are_not_baked(truth, four):
    """The dark contour that every drawing has would smear over the sides of the head."""
    blank, _, texels, _ = truth
    views, images, _ = four
    mask = guide_maps(blank, views, ["mask"])["mask"] > 0
    rim = np.stack([m & ~binary_erosion(m, iterations=2) for m in mask])
    inked = np.where(rim[..., None], 0.05, images).astype(np.float32)
    result = bake(blank, inked, views, OPTIONS)
    assert any("outline of 2 pixels" in note for note in result.report["notes"])
    dark = (result.atlas.reshape(-1, 3)[texels.pixels.numpy()].max(1) < 0.15).mean()
    kept = bake(blank, inked, views, replace(OPTIONS, trim_outlines=False))
    assert dark < 0.002 < (kept.atlas.reshape(-1, 3)[texels.pixels.numpy()].max(1) < 0.15).mean()
