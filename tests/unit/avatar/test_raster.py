"""The raster, cameras and skinning: everything that draws or bakes stands on these."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chibi_testing.shapes import figure

from chibi_avatar.avatar.camera import VIEW_SETS, Camera, view_set
from chibi_avatar.avatar.model import AvatarError
from chibi_avatar.avatar.raster import rasterize
from chibi_avatar.avatar.skin import joint_transforms, posed, rotation_matrix
from chibi_avatar.avatar.texels import texel_gbuffer


def _soup(count: int, seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(seed).uniform(-8, size + 8, (count * 3, 3))
    return points, np.arange(count * 3).reshape(-1, 3)


def _reference(points: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Nearest triangle per pixel, one triangle at a time, by edge functions."""
    y, x = np.mgrid[0:size, 0:size] + 0.5
    best, face = np.full((size, size), np.inf), np.full((size, size), -1)
    for index, (a, b, c) in enumerate(points[faces]):
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        u = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        v = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        depth = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth < best)
        best[hit], face[hit] = depth[hit], index
    return face


def test_every_pixel_shows_the_nearest_triangle():
    """Parts behind would show through parts in front."""
    points, faces = _soup(60, 3, 96)
    assert (rasterize(points, faces, 96, 96).face.numpy() == _reference(points, faces, 96)).all()


def test_triangles_that_share_an_edge_leave_no_gap_and_no_overlap():
    """Pinholes and stray pixels would run along every edge of the mesh."""
    random = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(np.linspace(0, 64, 9), np.linspace(0, 64, 9)), -1).reshape(-1, 2)
    inner = (grid > 0).all(1) & (grid < 64).all(1)
    grid[inner] += random.uniform(-2, 2, (inner.sum(), 2))
    points = np.concatenate([grid, np.zeros((len(grid), 1))], 1)
    quad = np.arange(81).reshape(9, 9)
    a, b, c, d = quad[:-1, :-1].ravel(), quad[1:, :-1].ravel(), quad[1:, 1:].ravel(), quad[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    counts = sum((rasterize(points, faces[i : i + 1], 64, 64).face >= 0).int() for i in range(len(faces)))
    assert (counts == 1).all()


def test_barycentrics_give_the_position_back():
    """Textures would swim over the surface, in perspective most of all."""
    avatar = figure(16)
    for fov in (0.0, 35.0):
        camera = Camera(30, 10, (0, 0.5, 0), 1.2, 128, 160, fov)
        screen, inverse, _ = camera.project(avatar.mesh.positions)
        raster = rasterize(screen, avatar.mesh.faces, 128, 160, cull=True, inverse_depth=inverse)
        faces = torch.as_tensor(avatar.mesh.faces).long()
        place = raster.interpolate(torch.as_tensor(avatar.mesh.positions), faces).numpy()
        again = camera.project(place)[0]
        column, row = raster.pixels.numpy() % 128, raster.pixels.numpy() // 128
        assert np.abs(again[:, 0] - column - 0.5).max() < 2e-3
        assert np.abs(again[:, 1] - row - 0.5).max() < 2e-3


def test_the_result_does_not_depend_on_threads_or_broken_vertices():
    """The same avatar would bake to other bytes on another machine; one NaN would take the whole picture down."""
    points, faces = _soup(400, 1, 256)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = rasterize(points, faces, 256, 256)
        torch.set_num_threads(2)
        two = rasterize(points, faces, 256, 256)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.face, two.face) and torch.equal(one.bary, two.bary)
    points[0] = np.nan
    assert 0 not in rasterize(points, faces, 256, 256).face.unique().tolist()
    assert len(rasterize(points, faces[:0], 8, 8).pixels) == 0


def test_a_texture_raster_reaches_the_border_texels():
    """A thin light line would show along every UV seam."""
    texels = texel_gbuffer(figure(16).mesh, 128)
    face = texels.raster.face.numpy()
    plain = rasterize(
        np.concatenate([figure(16).mesh.uvs * 128.0, np.zeros((len(figure(16).mesh.uvs), 1))], 1),
        figure(16).mesh.faces,
        128,
        128,
    ).face.numpy()
    covered = np.pad(plain >= 0, 1)
    around = sum(covered[1 + dy : 129 + dy, 1 + dx : 129 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)) > 0
    assert ((face >= 0) == around).all()
    assert (face[plain >= 0] == plain[plain >= 0]).all()
    assert texels.surface()[0].isfinite().all()


def test_views_look_where_their_names_say():
    """The left picture would be baked onto the right side."""
    for azimuth, axis in ((0, (0, 0, 1)), (90, (1, 0, 0)), (180, (0, 0, -1)), (270, (-1, 0, 0))):
        camera = Camera(azimuth)
        np.testing.assert_allclose(camera.axes[2], axis, atol=1e-12)
        np.testing.assert_allclose(np.cross(camera.axes[0], camera.axes[1]), camera.axes[2], atol=1e-12)
    x, y, _ = Camera().project(np.array([[0.1, 0.9, 0.0]]))[0][0]
    assert x > 512 and y < 512  # the character's left is on the right of its front view, up is up


def test_cameras_pass_through_comfyui_and_back():
    """A camera set up in ComfyUI's 3D viewer would point elsewhere here."""
    for fov in (0.0, 35.0):
        camera = Camera(35, 20, (0.1, 0.5, 0.0), 1.3, 640, 480, fov)
        again = Camera.from_load3d(camera.to_load3d(), 640, 480)
        points = np.random.default_rng(0).normal(0, 0.3, (20, 3))
        np.testing.assert_allclose(again.project(points)[0][:, :2], camera.project(points)[0][:, :2], atol=1e-6)
    for broken in (
        None,
        {},
        {"position": {"x": 0, "y": 0, "z": 0}, "target": {"x": 0, "y": 0, "z": 0}},
        {"position": {"x": "a"}},
    ):
        with pytest.raises(AvatarError, match="camera"):
            Camera.from_load3d(broken, 64, 64)


def test_view_sets_hold_the_whole_figure():
    """Hair or feet would be cut off in a guide, and never baked."""
    avatar = figure(12)
    for name in VIEW_SETS:
        for camera in view_set(avatar, name, 128).cameras:
            x, y = camera.project(avatar.mesh.positions)[0][:, :2].T
            assert x.min() > 0 and y.min() > 0 and x.max() < 128 and y.max() < 128
    with pytest.raises(AvatarError, match="multiple of 64"):
        view_set(avatar, "front", 100)
    with pytest.raises(AvatarError, match="no view set"):
        view_set(avatar, "sideways", 128)


def test_bones_turn_what_hangs_on_them():
    """A posed picture would tear the figure or leave the head behind."""
    avatar = figure(12)
    quarter = (0.0, np.sin(np.pi / 4), 0.0, np.cos(np.pi / 4))  # 90 degrees about Y
    turned, normals = posed(avatar, {"hips": quarter})
    rest = avatar.mesh.positions
    np.testing.assert_allclose(turned, np.stack([rest[:, 2], rest[:, 1], -rest[:, 0]], 1), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    nodded, _ = posed(avatar, {"head": rotation_matrix((np.sin(0.2), 0, 0, np.cos(0.2)))})
    body = avatar.mesh.joints[:, 0] == 0
    assert (nodded[body] == rest[body]).all() and np.abs(nodded[~body] - rest[~body]).max() > 0.05
    moved = joint_transforms(avatar.joints, {}, (0, 0.1, 0))
    np.testing.assert_allclose(moved[:, 1, 3], 0.1)


def test_expressions_by_name_and_by_weight():
    """A smile would not show, or a typing error would pass for a neutral face."""
    avatar = figure(12)
    rest, half, full = (posed(avatar, None, e)[0] for e in (None, {"smile": 0.5}, "smile"))
    assert np.abs(full - rest).max() == pytest.approx(0.02, abs=1e-6)
    np.testing.assert_allclose(half - rest, (full - rest) / 2, atol=1e-6)
    with pytest.raises(AvatarError, match="no expression 'simle'"):
        posed(avatar, None, "simle")
    with pytest.raises(AvatarError, match="rotation"):
        posed(avatar, {"head": (1, 2)})
