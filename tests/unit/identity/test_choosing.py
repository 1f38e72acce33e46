"""Which face of which photo counts, what is left out and why, what is shown, and how a picture is scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chibi_avatar.identity.analyze import analyze, report
from chibi_avatar.identity.detect import choose_face, find_faces
from chibi_avatar.identity.errors import IdentityError
from chibi_avatar.identity.fuse import fuse
from chibi_avatar.identity.preview import draw
from chibi_avatar.identity.quality import measure
from chibi_avatar.identity.score import score_picture


def beside(portrait, group):
    """The group with the portrait at its right, smaller than the people of the group."""
    import cv2

    small = cv2.resize(portrait, (443, 443), interpolation=cv2.INTER_AREA)
    picture = np.full((886, 1280 + 443, 3), 128, np.uint8)
    picture[:, :1280], picture[443:, 1280:] = group, small
    return picture


def test_faces_are_chosen_as_asked(group, clean):
    """The avatar would be of somebody else in the picture."""
    faces, picture = find_faces(group, clean.detector)
    left = choose_face(faces, picture.shape, "left_to_right", 0)
    right = choose_face(faces, picture.shape, "left_to_right", 99)
    assert left.box[0] == min(face.box[0] for face in faces) and right.box[0] == max(face.box[0] for face in faces)
    first, second = (choose_face(faces, picture.shape, "index", number) for number in (0, 1))
    assert first is choose_face(faces, picture.shape) and second is not first
    centre = np.array([640, 443])
    distance = [np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - centre) for face in (first, left, right)]
    assert distance[0] < min(distance[1:])


def test_the_reference_person_is_found_among_others(portrait, group, clean):
    """In a party photo the largest face would be taken for the person."""
    reference, _ = analyze([portrait], clean)
    both = beside(portrait, group)
    matched, _ = analyze([both], clean, choose="match_reference", reference=reference)
    largest, _ = analyze([both], clean)
    assert matched.photos[0].face.box[0] > 1280 > largest.photos[0].face.box[2]
    assert len(matched.photos[0].others) == 6


def test_a_stranger_among_the_photos_is_left_out_and_named(portrait, group, clean):
    """One wrong photo in the batch would bend the face."""
    photos = [portrait, group, np.ascontiguousarray(portrait[:, ::-1])]
    identity, _ = analyze(photos, clean)
    assert [photo.used for photo in identity.photos] == [True, False, True]
    assert "photo 2" in report(identity, clean) and "looks like someone else" in report(identity, clean)
    assert len(identity.crops) == len(identity.embeddings["sface"].each) == 2
    kept, _ = analyze(photos, clean, reject_outliers=False)
    assert all(photo.used for photo in kept.photos)


def test_identical_photos_are_the_photo():
    """An average that is shorter than its parts leads an adapter off its training."""
    row = np.random.default_rng(0).normal(size=512)
    fused = fuse(np.stack([row, row * 3, row]))
    assert np.allclose(fused.vector, row / np.linalg.norm(row)) and fused.kept.all()


class Broken:
    """A recogniser that answers with numbers nobody can use."""

    def __init__(self, real, value: float) -> None:
        self.recogniser, self._value = real.recogniser, value

    def __call__(self, image, face):
        return np.full(128, self._value, np.float32)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_recogniser_gone_wrong_is_reported_and_attributes_stay(portrait, clean, value):
    """A damaged onnxruntime would lead to black pictures, hours later."""
    stack = replace(clean, recognisers=(Broken(clean.recognisers[0], value),))
    identity, _ = analyze([portrait], stack)
    assert not identity.embeddings and identity.character["hair.color"].name == "brown"
    assert "sface" in report(identity, stack) and "analyse the photo again" in report(identity, stack)


def test_photos_of_the_wrong_kind_are_refused(clean):
    """A mask or a float picture would be read as darkness."""
    with pytest.raises(IdentityError, match="8-bit RGB"):
        find_faces(np.zeros((64, 64), np.uint8), clean.detector)


def test_poor_photos_are_worth_less(portrait, clean):
    """A blurred thumbnail would count as much as a portrait."""
    import cv2

    def worth(image):
        return measure(image, find_faces(image, clean.detector)[0][0]).total

    good = worth(portrait)
    assert worth(cv2.GaussianBlur(portrait, (0, 0), 4)) < good - 0.1
    assert worth((portrait * 0.2).astype(np.uint8)) < good - 0.1
    assert worth(cv2.resize(portrait, (200, 200), interpolation=cv2.INTER_AREA)) < good - 0.1


def test_the_preview_numbers_faces_and_shows_the_crop(portrait, group, clean):
    """People could not tell which number to enter."""
    identity, upright = analyze([group, portrait, np.zeros((64, 64, 3), np.uint8)], clean, reject_outliers=False)
    first, second, none = draw(identity, upright)
    assert first.shape == second.shape == none.shape == (512, 768, 3)
    crop = identity.photos[1].crop.astype(int)
    shown = second[16:240, 528:752].astype(int)
    assert np.abs(crop - shown).mean() < 3, "the crop that is used is not what is shown"
    green = (np.abs(first.astype(int) - (64, 200, 120)).sum(-1) < 12).sum()
    amber = (np.abs(first.astype(int) - (250, 190, 70)).sum(-1) < 12).sum()
    assert green > 200 and amber > 800


def test_scores_know_the_person_the_stranger_and_the_drawing(portrait, group, clean):
    """A number without a meaning: people would chase a likeness that a recogniser cannot see in a drawing."""
    identity, _ = analyze([portrait], clean)
    same, stranger = score_picture(identity, portrait, clean), score_picture(identity, group, clean)
    assert same.verdict == "same person" and same.attributes == 1.0 and same.value > stranger.value
    assert stranger.verdict == "someone else" and "strangers below" in stranger.report
    drawing = np.full((256, 256, 3), (250, 225, 205), np.uint8)
    drawing[:90] = (128, 106, 68)
    drawn = score_picture(identity, drawing, clean)
    assert drawn.similarity is None and drawn.verdict == "not measurable on this style"
    assert drawn.attributes > 0.5 and "trained on photographs" in drawn.report
    assert score_picture(identity, drawing, None).verdict == "not measurable on this style"
