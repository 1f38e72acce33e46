"""The toon render: the demo's picture and the README's face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from chibi_testing.shapes import figure

from chibi_avatar.avatar.camera import Camera
from chibi_avatar.avatar.model import AvatarError, Material, Texture
from chibi_avatar.avatar.outline import ink
from chibi_avatar.avatar.render import render, turntable


@pytest.fixture(scope="module")
def avatar():
    """A figure in one light skin colour."""
    return figure(20, np.full((8, 8, 3), (250, 215, 195), np.uint8))


def test_the_figure_fills_the_picture_and_stays_inside(avatar):
    """The avatar would be cut off, or a small doll in a large room."""
    for size in (160, (120, 200), (240, 120)):
        image, mask = render(avatar, "three_quarter", size, background="soft")
        width, height = (size, size) if isinstance(size, int) else size
        assert image.shape == (height, width, 3) and mask.shape == (height, width)
        rows, columns = np.flatnonzero(mask.max(1) > 0.5), np.flatnonzero(mask.max(0) > 0.5)
        assert rows[0] > 0 and rows[-1] < height - 1 and columns[0] > 0 and columns[-1] < width - 1
        assert max(len(rows) / height, len(columns) / width) > 0.8


def test_the_shade_is_two_toned_and_warm(avatar):
    """The figure would look like grey plastic instead of a drawing."""
    image, mask = render(avatar, Camera(0, 0, (0, 0.74, 0), 0.45, 160, 160), 160, outline=False)
    assert mask.min() > 0.99 or mask.mean() > 0.8
    lit, dark = image[30, 30], image[130, 130]
    ratio = dark / lit
    assert ratio.max() < 0.98 and ratio[0] > ratio[1] and ratio[0] > ratio[2]
    tone = image[40:120, 40:120].reshape(-1, 3)[:, 1]
    middle = (tone.min() + tone.max()) / 2
    reach = (tone.max() - tone.min()) * 0.25
    assert np.mean(np.abs(tone - middle) < reach) < 0.35  # few pixels between the two tones


def test_lines_are_a_darker_version_of_the_fill():
    """Black lines would make a sticker of a soft drawing; pale ones would vanish."""
    fills = torch.tensor([[0.98, 0.85, 0.77], [0.2, 0.27, 0.47], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.96, 0.65, 0.75]])
    lines = ink(fills)
    assert (lines[:3].mean(1) < fills[:3].mean(1) * 0.7).all()
    assert (lines.amax(1) - lines.amin(1) > 0.02).all() and (lines.mean(1) < 0.45).all()
    assert lines[0, 0] > lines[0, 2] and lines[1, 2] > lines[1, 0]


def test_lines_are_thicker_outside_than_inside(avatar):
    """Outlines are what makes it read at thumbnail size."""
    with_lines, _ = render(avatar, "front", 320)
    without, _ = render(avatar, "front", 320, outline=False)
    drawn = np.abs(with_lines - without).max(2) > 0.1
    row = drawn[int(320 * 0.35)]  # through the head: two outer lines
    runs = np.diff(np.flatnonzero(np.diff(np.pad(row.astype(int), 1)) != 0))[::2]
    assert len(runs) == 2 and runs.min() >= 1 and runs.max() <= 6
    column = drawn[:, 160]  # chin over the body: one inner line between top and bottom
    assert 3 <= np.sum(np.diff(np.pad(column.astype(int), 1)) == 1) <= 4


def test_transparent_and_coloured_backgrounds(avatar):
    """The picture could not be put on another ground, or would carry a dark fringe."""
    bare, mask = render(avatar, "front", 128)
    red, same = render(avatar, "front", 128, background=(1.0, 0.0, 0.0))
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_allclose(red, np.clip(bare + (1 - mask[:, :, None]) * (1, 0, 0), 0, 1), atol=1e-6)
    assert bare[mask == 0].max() == 0
    soft, _ = render(avatar, "front", 128, background="sky")
    corner, centre = soft[2, 2], soft[50, 6]
    assert corner.min() > 0.6 and (centre >= corner - 1e-6).all()


def test_it_stands_on_a_shadow(avatar):
    """The figure would float."""
    soft, mask = render(avatar, "front", 200, background="soft")
    feet = np.flatnonzero(mask.max(1) > 0.5)[-1]
    beside = soft[feet - 2, 60:140][mask[feet - 2, 60:140] == 0].min()
    assert beside < soft[feet - 2, 4].min() - 0.04


def test_the_same_picture_twice_and_on_any_number_of_threads(avatar):
    """Caches, galleries and golden files would change from run to run."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = render(avatar, "three_quarter", 160, background="soft")[0]
        torch.set_num_threads(2)
        second = render(avatar, "three_quarter", 160, background="soft")[0]
    finally:
        torch.set_num_threads(threads)
    assert (first == second).all()


def test_a_turntable_keeps_its_scale(avatar):
    """The figure would breathe while it turns."""
    cameras = turntable(avatar, 6, 128, 128)
    assert len({(camera.extent, camera.target) for camera in cameras}) == 1
    assert [camera.azimuth for camera in cameras] == [0, 60, 120, 180, 240, 300]


def test_pose_and_expression_show(avatar):
    """A posed picture would show the T-pose."""
    rest, _ = render(avatar, "front", 128, outline=False)
    tilted, _ = render(avatar, "front", 128, pose={"head": (0, 0, 0.2, 0.98)}, expression="smile", outline=False)
    assert np.abs(rest - tilted).mean() > 0.003


def test_see_through_materials_and_missing_textures(avatar):
    """A user's own avatar without a texture, or with two-sided hair, would crash or come out black."""
    plain = replace(avatar, materials=[Material("m", None, (0.5, 0.7, 0.9, 1.0), double_sided=True)], textures=[])
    image, mask = render(plain, "front", 96, outline=False)
    assert abs(float(image[:, :, 2][mask > 0.99].max()) - 0.9) < 0.1
    lost = replace(avatar, textures=[Texture("t", None)])
    assert render(lost, "front", 96)[0].max() > 0.5


def test_wrong_views_are_named(avatar):
    """A typing error would give a picture of something else."""
    with pytest.raises(AvatarError, match="no view 'frnt': choose one of front"):
        render(avatar, "frnt", 64)
