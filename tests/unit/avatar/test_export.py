"""Exporting: platform table, texture sizes, files on disk."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from chibi_avatar.avatar.export import export_avatar, write_all
from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.load import load_avatar
from chibi_avatar.avatar.model import Avatar, AvatarError, Texture
from chibi_avatar.avatar.platforms import PLATFORMS, Figures, problems, verdict
from chibi_avatar.avatar.png import encode_png
from chibi_avatar.avatar.vrm_check import check_vrm

SMALL = Figures(7000, 1, 1, 40, 3, 20, ((1024, 1024),), 2_000_000, ("1.0", "0.x"))


def test_a_small_avatar_passes_everywhere() -> None:
    """The table must not frighten people away from platforms that would take their avatar."""
    assert {key: problems(SMALL, platform) for key, platform in PLATFORMS.items()} == {key: [] for key in PLATFORMS}


@pytest.mark.parametrize(
    ("platform", "change", "reason"),
    [
        ("vrchat_pc", {"triangles": 70_001}, "triangles 70,001 > 70,000"),
        ("vrchat_pc", {"bones": 151}, "bones 151 > 150"),
        ("vrchat_pc", {"texture_sizes": ((8192, 8192),)}, "texture memory 85.3 MB > 75 MB"),
        ("vrchat_quest", {"materials": 3}, "materials 3 > 2"),
        ("vrchat_quest", {"triangles": 15_001}, "triangles 15,001 > 15,000"),
        ("cluster", {"texture_sizes": ((4096, 4096),)}, "largest texture 4,096 px > 2,048 px"),
        ("vseeface", {"versions": ("1.0",)}, "needs VRM 0.x"),
        ("monaverse", {"file_bytes": 12_100_000}, "file 12.1 MB > 12 MB"),
        ("monaverse", {"versions": ()}, "not a VRM"),
    ],
)
def test_every_limit_is_named(platform: str, change: dict[str, object], reason: str) -> None:
    """ "Upload failed" on the platform's site says less than the number that is too high."""
    assert any(reason in line for line in problems(replace(SMALL, **change), PLATFORMS[platform]))  # type: ignore[arg-type]


def test_ranks_say_what_the_next_better_one_needs() -> None:
    """People tune their avatar towards a rank; they need to know what stands in the way."""
    quest = PLATFORMS["vrchat_quest"]
    assert verdict(replace(SMALL, springs=0), quest) == "pass, Excellent"
    assert verdict(replace(SMALL, springs=2), quest) == "pass, Good; for Excellent: springs 2 > 0"
    assert verdict(replace(SMALL, triangles=14_000), quest) == "pass, Medium; for Good: triangles 14,000 > 10,000"
    assert verdict(replace(SMALL, triangles=90_000), PLATFORMS["vrchat_pc"]) == "FAIL: triangles 90,000 > 70,000"


def test_presets_choose_version_and_texture(figure: Avatar) -> None:
    """Choosing the app must be enough."""
    large = figure.with_textures([Texture("atlas", np.zeros((2048, 2048, 3), np.uint8))])
    quest = export_avatar(large, platform="vrchat_quest")
    assert "reduced from 2048x2048 to 1024x1024" in quest.report
    assert "2 materials were joined into one" in quest.report
    assert len(read_glb(quest.main).document["materials"]) == 1 and check_vrm(read_glb(quest.main)) == []
    assert read_glb(quest.main).document["images"][0]["name"] == "atlas"
    assert list(export_avatar(figure, platform="vseeface").vrms) == ["0.x"]
    assert list(export_avatar(figure).vrms) == ["1.0"]
    assert list(export_avatar(figure, version="both").files()) == [".vrm", ".vrm0.vrm", ".glb", ".atlas.png"]
    assert export_avatar(figure, version="none").vrms == {}
    with pytest.raises(AvatarError, match="platform 'roblox'"):
        export_avatar(figure, platform="roblox")


@pytest.mark.parametrize("shape", [(1, 1, 3), (900, 800, 3), (7, 5, 3), (64, 33, 4), (2, 300), (700, 700, 3)])
def test_png_encoding_is_lossless(shape: tuple[int, ...]) -> None:
    """One wrong byte in a texture is a coloured speck on somebody's face."""
    from PIL import Image

    pixels = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    pixels[: shape[0] // 2] = 90
    assert np.array_equal(np.asarray(Image.open(BytesIO(encode_png(pixels)))), pixels)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written avatar over the last good one would be a loss."""
    target = tmp_path / "avatar.vrm"
    target.write_bytes(b"good")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(AvatarError, match="No space left on device; nothing was left behind"):
        write_all({str(target): b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["avatar.vrm"]
    assert target.read_bytes() == b"good"


@pytest.mark.parametrize("broken", ["fdopen", "replace"])
def test_a_disk_that_fills_up_half_way_leaves_no_half_of_an_avatar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The message says that nothing was left behind; a VRM without its GLB would be taken for a whole one."""
    real, calls = getattr(os, broken), []

    def second_fails(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, broken, second_fails)
    with pytest.raises(AvatarError, match=r"b\.glb could not be written: No space left on device; nothing was left"):
        write_all({str(tmp_path / "a.vrm"): b"one", str(tmp_path / "b.glb"): b"two"})
    assert list(tmp_path.iterdir()) == []


def test_your_own_file_is_written_as_what_was_asked_for_or_says_why(figure: Avatar) -> None:
    """ "none" promises only the GLB; a VRM that was asked for and is not there needs a reason."""
    own = load_avatar(export_avatar(figure, version="1.0").main, "own", i_am_the_author=True)
    assert list(export_avatar(own, version="none").files()) == [".glb", ".atlas.png"]
    assert list(export_avatar(own, version="0.x").files()) == [".vrm", ".glb", ".atlas.png"]
    assert "your file is VRM 1.0 and stays so" in export_avatar(own, version="0.x").report
    plain = load_avatar(export_avatar(figure).glb, "plain")
    for wish in ({"version": "1.0"}, {"version": "both"}, {"platform": "vseeface"}):
        assert "no VRM was written, your file is a GLB and stays one" in export_avatar(plain, **wish).report
    for wish in ({}, {"version": "none"}):
        assert "no VRM was written" not in export_avatar(plain, **wish).report


def test_files_are_written_whole(tmp_path: Path) -> None:
    """New folders are made; an older file of the name is replaced."""
    target = tmp_path / "a" / "b.glb"
    write_all({str(target): b"one"})
    write_all({str(target): b"two"})
    assert target.read_bytes() == b"two" and len(list(target.parent.iterdir())) == 1
