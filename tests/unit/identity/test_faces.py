"""Faces in photos: found however the photo is framed or turned, chosen as asked, and read into a Character."""

from __future__ import annotations

import numpy as np
import pytest

from chibi_avatar.identity.analyze import analyze, empty, report
from chibi_avatar.identity.detect import find_faces
from chibi_avatar.identity.errors import MissingModelError
from chibi_avatar.identity.stack import load_stack


def test_the_demo_portrait_becomes_a_character(portrait, clean):
    """The avatar of the README would have default hair instead of the person's brown."""
    identity, _ = analyze([portrait], clean)
    assert identity.character["hair.color"].name == "brown"
    assert identity.character.evidence("hair.color").source == "photo"
    assert identity.character["glasses.kind"] == "none"
    assert identity.character["skin.color"].name in ("fair", "light")
    assert not identity.faceless and abs(np.linalg.norm(identity.embeddings["sface"].vector) - 1) < 1e-6


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_lying_on_its_side_is_read_as_if_upright(portrait, clean, turns):
    """Phone photos without EXIF would give a stranger's embedding."""
    lying, _ = analyze([np.rot90(portrait, turns).copy()], clean)
    standing, _ = analyze([portrait], clean)
    assert float(lying.embeddings["sface"].vector @ standing.embeddings["sface"].vector) > 0.9


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.7, 0.85, 1.0, 1.15])
def test_close_ups_are_found(portrait, group, clean, ratio):
    """A face that fills the frame, as in most selfies, would be missed."""
    for photo in (portrait, group):
        faces = find_faces(photo, clean.detector)[0]
        for face in faces:
            middle, half = (face.box[:2] + face.box[2:]) / 2, face.size / ratio / 2
            low = np.maximum(middle - half, 0).astype(int)
            high = (middle + half).astype(int)
            crop = np.ascontiguousarray(photo[low[1] : high[1], low[0] : high[0]])
            centres = [(found.box[:2] + found.box[2:]) / 2 + low for found in find_faces(crop, clean.detector)[0]]
            assert any(np.linalg.norm(centre - middle) < 0.25 * face.size for centre in centres)


def test_a_photo_without_a_face_is_reported_and_the_rest_is_used(portrait, clean):
    """One landscape among the photos would lose the whole identity."""
    identity, _ = analyze([np.zeros((64, 64, 3), np.uint8), portrait, np.zeros((1, 1, 3), np.uint8)], clean)
    assert [photo.used for photo in identity.photos] == [False, True, False]
    assert "photo 1: no face found; left out" in report(identity, clean)


def test_no_face_anywhere_is_an_empty_identity_with_a_reason(clean):
    """A picture of a cat would stop the workflow instead of falling back to the words."""
    identity, _ = analyze([np.full((80, 80, 3), 90, np.uint8)], clean)
    assert identity.faceless and len(identity.character) == 0
    assert "passes through unchanged" in report(identity, clean)
    assert "nothing here" in report(empty("nothing here"))


def test_missing_models_name_file_folder_and_command(tmp_path):
    """A newcomer would not know what to download, or where to."""
    with pytest.raises(MissingModelError) as caught:
        load_stack([tmp_path], "clean")
    message = str(caught.value)
    assert "face_detection_yunet_2023mar.onnx" in message and str(tmp_path) in message and "models download" in message
