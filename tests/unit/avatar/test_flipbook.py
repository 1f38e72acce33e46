"""The flip-book face: drawn faces instead of moved ones must show the same moods."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from chibi_avatar.avatar.build import build_avatar
from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.flipbook import COLUMNS, ROWS, flip_book
from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.model import AvatarError
from chibi_avatar.avatar.render import render
from chibi_avatar.avatar.vrm_check import check_vrm
from chibi_avatar.character import Character


@pytest.fixture(scope="module")
def both():
    """An avatar with its face free, and the same as a flip-book."""
    avatar = build_avatar(Character({"hair.style": "bald", "eyes.color": "#3f6fb5"}), "mobile", 512)
    return avatar, flip_book(avatar)


def _shown(avatar, name: str) -> np.ndarray:
    """The face when an app shows expression ``name`` of a flip-book."""
    expression = next(item for item in avatar.expressions if item.name == name)
    ((material, offset),) = expression.uv_offset.items()
    uvs = avatar.mesh.uvs.copy()
    uvs[np.unique(avatar.mesh.faces[avatar.mesh.face_material == material])] += np.float32(offset)
    return _face(replace(avatar, mesh=replace(avatar.mesh, uvs=uvs)))


def _face(avatar, expression=None) -> np.ndarray:
    return render(avatar, "face", 192, expression=expression, background=(1, 1, 1), outline=False, supersample=1)[0]


def test_the_still_face_is_the_same(both):
    """The avatar would look like somebody else before it says a word."""
    moving, book = both
    assert np.abs(_face(moving) - _face(book)).mean() < 0.004
    assert not book.mesh.morphs and len(book.materials) == len(moving.materials) + 1


def test_every_mood_is_the_mood_that_the_morphs_show(both):
    """A happy cell that looks angry, or a blink with open eyes: each cell against the moved face, and clearly unlike all others."""
    moving, book = both
    still = _face(book)
    names = [item.name for item in book.expressions]
    assert {"happy", "angry", "sad", "relaxed", "surprised", "aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft"} <= set(
        names
    )
    for name in names:
        cell = _shown(book, name)
        changed = np.abs(cell - still).max(2) > 0.1
        assert changed.mean() > 0.002, name
        wanted = _face(moving, name)
        assert np.abs(cell - wanted)[changed].mean() < 0.4 * np.abs(still - wanted)[changed].mean(), name


def test_a_blink_hides_the_eyes(both):
    """Nine tenths of the blue must go."""
    moving, book = both

    def blue(image):
        return ((image[..., 2] > image[..., 0] + 0.15) & (image[..., 2] > 0.3)).sum()

    assert blue(_shown(book, "blink")) < 0.1 * blue(_face(book))


def test_the_files_keep_the_specification(both):
    """Binary expressions with texture offsets in both versions; no cell may be added to another one."""
    moving, _ = both
    made = export_avatar(moving, version="both", face="flip_book")
    for version, data in made.vrms.items():
        assert check_vrm(read_glb(data)) == [], version
    assert made.vrms == export_avatar(moving, version="both", face="flip_book").vrms
    document = read_glb(made.vrms["1.0"]).document
    expressions = document["extensions"]["VRMC_vrm"]["expressions"]
    cells = set()
    for name, entry in expressions["preset"].items():
        if name == "neutral":
            continue
        (bind,) = entry["textureTransformBinds"]
        assert (
            entry["isBinary"]
            and "morphTargetBinds" not in entry
            and document["materials"][bind["material"]]["name"] == "face_flip_book"
        )
        assert (entry["overrideBlink"] == "block") != name.startswith("blink")
        cells.add(tuple(np.round(np.array(bind["offset"]) * (COLUMNS, ROWS), 6)))
    assert len(cells) == len(expressions["preset"]) - 1 and (0.0, 0.0) not in cells
    groups = read_glb(made.vrms["0.x"]).document["extensions"]["VRM"]["blendShapeMaster"]["blendShapeGroups"]
    blink = next(group for group in groups if group["presetName"] == "blink")
    assert blink["isBinary"] and blink["materialValues"][0]["propertyName"] == "_MainTex_ST" and not blink["binds"]
    assert "flip" not in json.dumps(read_glb(export_avatar(moving).vrms["1.0"]).document)
    assert "painted faces" in made.report


def test_avatars_without_a_face_are_told_so(both):
    """A crash in the middle of an export says nothing; the reason does."""
    moving, book = both
    for avatar in (book, replace(moving, expressions=[]), replace(moving, parts=["skull", *moving.parts[1:]])):
        with pytest.raises(AvatarError, match="no face that could become a flip-book"):
            flip_book(avatar)
    with pytest.raises(AvatarError, match="face 'flipbook' is not one of"):
        export_avatar(moving, face="flipbook")
