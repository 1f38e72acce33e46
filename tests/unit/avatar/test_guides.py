"""Guide maps: what the sampler is told must be what the bake will see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chibi_testing.shapes import figure
from scipy.ndimage import binary_erosion

from chibi_avatar.avatar.bake import BakeOptions, bake
from chibi_avatar.avatar.camera import Camera, Views, view_set
from chibi_avatar.avatar.guides import MAPS, cut_sheet, guide_maps, make_sheet
from chibi_avatar.avatar.keypoints import pose_frame
from chibi_avatar.avatar.model import AvatarError, Material, Texture
from chibi_avatar.avatar.visibility import look_all


@pytest.fixture(scope="module")
def avatar():
    """A checkered figure."""
    return figure(24)


@pytest.fixture(scope="module")
def maps(avatar):
    """All maps of four sides at 192 pixels."""
    return guide_maps(avatar, view_set(avatar, "sides4", 192))


def test_every_map_of_every_view(maps):
    """A map would be missing, or of another size than its sisters, and ControlNet would stop."""
    assert tuple(maps) == MAPS
    for name, images in maps.items():
        assert images.shape == ((4, 192, 192) if name == "mask" else (4, 192, 192, 3)), name
        assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1


def test_guide_masks_are_the_bake_masks(avatar, maps):
    """Texture would be taken from beside the figure: IoU must be exactly 1."""
    for look, mask in zip(
        look_all(avatar, view_set(avatar, "sides4", 192).cameras, None, "cpu"), maps["mask"], strict=True
    ):
        assert ((mask > 0.5) == look.silhouette.inside).all()


def test_what_is_kept_goes_with_the_opacity_of_materials(avatar):
    """A dress made see-through would hide the body from the next bake all the same."""
    views = view_set(avatar, "sides4", 192).cameras[:1]

    def seen(opacity):
        materials = [replace(m, alpha_mode="BLEND", color=(1.0, 1.0, 1.0, opacity)) for m in avatar.materials]
        return look_all(replace(avatar, materials=materials), views, None, "cpu")[0].silhouette.inside.any()

    assert seen(1.0) and not seen(0.3)


def test_normals_follow_the_controlnet_convention(maps):
    """Blue is front, red is left, green is top; another order lights the drawing from the wrong side."""
    normal, mask = maps["normal"][0], maps["mask"][0] > 0
    rows = np.flatnonzero(mask.any(1))
    head = rows[0] + 40
    columns = np.flatnonzero(mask[head])
    left, right, middle = normal[head, columns[1]], normal[head, columns[-2]], normal[head, 96]
    assert left[0] > 0.85 and right[0] < 0.15 and middle[2] > 0.95
    assert normal[rows[0] + 1, 96][1] > 0.8
    np.testing.assert_allclose(normal[0, 0], (0.5, 0.5, 1.0))


def test_depth_is_near_white_and_agrees_between_views(maps):
    """Limbs would swap front and back, and the four drawings would not fit one body."""
    depth, mask = maps["depth"][:, :, :, 0], maps["mask"] > 0
    assert (depth[~mask] == 0).all() and depth[mask].min() > 0.05
    middle = depth[0, 60, 96]
    edge = depth[0, 60, np.flatnonzero(mask[0, 60])[0]]
    assert middle > edge + 0.1
    np.testing.assert_allclose(depth[0, 40:150, 96], depth[2, 40:150, 96], atol=0.02)


def test_line_art_draws_shape_and_paint(maps):
    """The drawing would lose its outline, its chin, or the painted pattern."""
    line, mask = maps["line"][0, :, :, 0], maps["mask"][0] > 0
    assert line[:2].max() == 0 and line.max() > 0.9
    border = mask & ~(np.roll(mask, 1, 1) & np.roll(mask, -1, 1))
    assert line[border].mean() > 0.5
    assert 0.005 < (line > 0.3).mean() < 0.2


def test_paint_is_unlit_on_white_and_parts_are_flat(maps, avatar):
    """img2img would start from baked-in light; a part could not be picked by its colour."""
    assert (maps["paint"][0, 0, 0] == 1).all()
    colors = np.unique(maps["parts"][0].reshape(-1, 3), axis=0)
    assert len(colors) == 3  # background, face, body
    assert maps["paint"][0][maps["mask"][0] > 0].std(0).max() > 0.05


def test_pose_comes_from_the_bones_and_hides_the_face_behind(avatar):
    """A back view with eyes makes the sampler draw a second face on the back of the head."""
    front, left, back = (Camera(a, 0, (0, 0.5, 0), 1.1, 200, 200) for a in (0, 90, 180))
    seen = [
        np.array(pose_frame(avatar, c)["people"][0]["pose_keypoints_2d"]).reshape(18, 3) for c in (front, left, back)
    ]
    assert seen[0][[0, 14, 15, 16, 17], 2].all()
    assert not seen[2][[0, 14, 15], 2].any()
    assert seen[1][15, 2] and not seen[1][16, 2]
    assert seen[0][14, 0] < 100 < seen[0][15, 0]  # the right eye is on the left of the picture
    assert seen[0][14, 1] == pytest.approx(seen[0][15, 1])


def test_a_model_without_a_rig_has_all_guides(avatar):
    """A plain GLB or a core MESH could not be painted at all."""
    plain = replace(avatar, joints=[replace(joint, bone=None) for joint in avatar.joints])
    drawn = guide_maps(plain, view_set(plain, "front", 64))
    assert set(drawn) == set(MAPS) and not drawn["pose"].any() and drawn["mask"].any()


def test_a_model_away_from_the_origin_fills_its_views(avatar):
    """What was saved from somewhere in a scene would be a dot in every view, and its texture mush."""
    away = replace(avatar, mesh=replace(avatar.mesh, positions=avatar.mesh.positions + np.float32([20, 0, -7])))
    there, here = (guide_maps(a, view_set(a, "sides4", 128), ["mask"])["mask"].sum() for a in (away, avatar))
    assert abs(there / here - 1) < 0.1


def test_sheets_come_apart_as_they_were_put_together():
    """View three would be baked through camera two."""
    random = np.random.default_rng(0).random((5, 8, 6, 3))
    sheet = make_sheet(random, 3)
    assert sheet.shape == (1, 16, 18, 3)
    np.testing.assert_array_equal(cut_sheet(sheet[0], 5, 3), random)


def test_a_sheet_bakes_like_its_views(avatar):
    """One sampling for all views would not be usable."""
    views = view_set(avatar, "sides4", 128)
    paint = guide_maps(avatar, views, ["paint"])["paint"]
    batch = bake(avatar, paint, views, BakeOptions(512))
    sheet = bake(avatar, make_sheet(paint, views.columns), Views(views.cameras, views.columns, True), BakeOptions(512))
    assert (batch.atlas == sheet.atlas).all()


def test_an_unknown_map_is_named(avatar):
    """A script with a typing error would silently miss a map."""
    with pytest.raises(AvatarError, match="no guide map 'dept'"):
        guide_maps(avatar, view_set(avatar, "front", 64), ["dept"])


def _with_layers(mode: str, alpha: int):
    """The figure, and 3 cm in front of its middle a square of a second material: red, its left half see-through."""
    plain = figure(24)
    mesh = plain.mesh
    corners = np.array([[-0.1, 0.6, 0.3], [0.1, 0.6, 0.3], [0.1, 0.8, 0.3], [-0.1, 0.8, 0.3]], np.float32)
    count = len(mesh.positions)

    def more(name, rows):
        return np.concatenate([getattr(mesh, name), np.asarray(rows, getattr(mesh, name).dtype)])

    square = replace(
        mesh,
        positions=more("positions", corners),
        normals=more("normals", [[0, 0, 1]] * 4),
        uvs=more("uvs", [[0, 1], [1, 1], [1, 0], [0, 0]]),
        faces=more("faces", [[count, count + 1, count + 2], [count, count + 2, count + 3]]),
        face_material=more("face_material", [1, 1]),
        face_part=more("face_part", [1, 1]),
        joints=more("joints", [[0] * 4] * 4),
        weights=more("weights", [[1, 0, 0, 0]] * 4),
        morphs={},
        weld=None,
        mirror=None,
    )
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :, 0] = 255
    pixels[:, 4:, 3] = alpha
    return replace(
        plain,
        mesh=square,
        materials=[*plain.materials, Material("layer", 1, alpha_mode=mode)],
        textures=[*plain.textures, Texture("layer", pixels)],
    )


@pytest.mark.parametrize(("mode", "alpha", "share"), [("MASK", 255, 1.0), ("BLEND", 255, 1.0), ("BLEND", 102, 0.4)])
def test_see_through_materials_are_seen_through(mode, alpha, share):
    """The lashes of a VRoid figure would be black boxes on its face, in the guides and in the renders."""
    layered, bare = _with_layers(mode, alpha), figure(24)
    views = view_set(bare, "front", 256)
    got = guide_maps(layered, views, ["paint", "mask", "depth"])
    without = guide_maps(bare, views, ["paint", "mask", "depth"])
    camera = views.cameras[0]
    (x0, y0, _), (x1, y1, _) = camera.project(np.array([[-0.08, 0.78, 0.3], [-0.02, 0.62, 0.3]]))[0]
    clear = (0, slice(int(y0), int(y1)), slice(int(x0), int(x1)))
    (x0, _, _), (x1, _, _) = camera.project(np.array([[0.03, 0.78, 0.3], [0.08, 0.62, 0.3]]))[0]
    tinted = (0, slice(int(y0), int(y1)), slice(int(x0), int(x1)))
    np.testing.assert_allclose(got["paint"][clear], without["paint"][clear], atol=1e-6)
    wanted = without["paint"][tinted] * (1 - share) + np.float32([1, 0, 0]) * share
    np.testing.assert_allclose(got["paint"][tinted], wanted, atol=0.01)
    nearer = got["depth"][tinted].mean() > without["depth"][tinted].mean() + 0.01
    assert nearer == (share == 1.0)
    assert (got["mask"] == without["mask"]).all()


def test_what_a_thin_layer_tints_is_not_painted_under_it():
    """Blush or shadow drawn as a layer would be baked into the skin below, and then lie over it once more."""
    layered = _with_layers("BLEND", 102)
    views = view_set(layered, "front", 256)
    paint = guide_maps(layered, views, ["paint"])["paint"]
    result = bake(layered, paint, views, BakeOptions(512, register=False, match_colors=False))
    old, new = guide_maps(layered, views, ["paint"])["paint"], guide_maps(result.avatar, views, ["paint"])["paint"]
    assert np.abs(old - new).max() < 0.1 and result.avatar.textures[1] is layered.textures[1]


def test_cut_out_cloth_is_painted_and_keeps_its_holes():
    """VRoid clothes are cut out of their texture by alpha: they must take the drawing, and lace must stay lace."""
    layered = replace(_with_layers("MASK", 255), atlas=1)
    views = view_set(layered, "front", 256)
    paint = guide_maps(layered, views, ["paint"])["paint"].copy()
    red = np.abs(paint - np.float32([1, 0, 0])).max(3) < 0.1
    assert red.sum() > 400
    paint[red] = (0.1, 0.3, 0.9)
    result = bake(layered, paint, views, BakeOptions(512, register=False, match_colors=False))
    again = guide_maps(result.avatar, views, ["paint"])["paint"]
    inner = binary_erosion(red[0], iterations=2)
    assert np.abs(again[0][inner] - np.float32([0.1, 0.3, 0.9])).max() < 0.06
    pixels = result.avatar.textures[1].pixels
    assert pixels.shape[2] == 4 and 0.45 < (pixels[:, :, 3] > 127).mean() < 0.55
    assert result.avatar.textures[0] is layered.textures[0]
