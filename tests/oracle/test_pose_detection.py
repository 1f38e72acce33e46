"""BlazePose on real pictures with points checked by hand, and the networks' arithmetic."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from chibi_avatar.pose import draw, library
from chibi_avatar.pose.detect import Request, detect_frames

FILES = {
    "pose_detection.tflite": ("pose_detection", "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"),
    "pose_landmark_full.tflite": ("pose_landmark", "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"),
    "hand_landmark_lite.tflite": ("hand_landmark", "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6"),
    "face_landmark.tflite": ("face_landmark", "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"),
}
# Places read off the pictures by eye, body point to x, y; only what can be seen, and the torso's length in pixels.
# NASA's portrait of Eileen Collins (public domain), and a photographer (CC0), both from scikit-image.
ASTRONAUT = {
    0: (216, 123),
    14: (202, 101),
    15: (248, 102),
    16: (181, 116),
    17: (266, 121),
    2: (120, 235),
    5: (312, 255),
}
PHOTOGRAPHER = {0: (251, 163), 16: (190, 140), 2: (105, 185), 3: (140, 315), 4: (205, 235)}
TORSO, TORSO_2 = 260.0, 157.0


@pytest.fixture(scope="module")
def folder(wheel_model, tmp_path_factory):
    target = tmp_path_factory.mktemp("pose_models")
    for name, (module, sha256) in FILES.items():
        source = wheel_model("mediapipe", "0.10.21", f"mediapipe/modules/{module}/{name}", sha256)
        (target / name).symlink_to(source)
    return target


@pytest.fixture(scope="module")
def astronaut():
    from skimage import data

    return data.astronaut()


def error(person, truth=ASTRONAUT, torso=TORSO) -> float:
    return float(np.mean([np.hypot(*(person.body[i, :2] - place)) for i, place in truth.items()]) / torso)


def test_mean_error_on_checked_photos(folder, astronaut, capsys):
    """A skeleton beside the person is worse than none."""
    from skimage import data

    frames, report = detect_frames(astronaut[None], [folder], Request(), "blazepose")
    assert "1 found" in report
    assert frames[0].people[0].face.shape == (70, 3)
    errors = [error(frames[0].people[0])]
    photographer = np.repeat(data.camera()[..., None], 3, axis=2)
    frames, _ = detect_frames(photographer[None], [folder], Request(), "blazepose")
    errors.append(error(frames[0].people[0], PHOTOGRAPHER, TORSO_2))
    with capsys.disabled():
        sys.stdout.write(f"\npose error in torso lengths: {', '.join(f'{e:.3f}' for e in errors)}\n")
    assert np.mean(errors) <= 0.10


def test_the_same_person_mirrored_small_or_off_centre(folder, astronaut):
    """A detector that only likes one crop is of little use: the pose moves with the person."""
    mirrored = detect_frames(astronaut[None, :, ::-1].copy(), [folder], Request(), "blazepose")[0][0].people[0]
    swapped = {0: 0, 14: 15, 15: 14, 16: 17, 17: 16, 2: 5, 5: 2}
    assert error(mirrored, {swapped[i]: (511 - x, y) for i, (x, y) in ASTRONAUT.items()}) <= 0.10
    canvas = np.full((700, 1100, 3), 200, np.uint8)
    canvas[188:, 500:1012] = astronaut
    moved = detect_frames(canvas[None], [folder], Request(), "blazepose")[0][0].people[0]
    assert error(moved, {i: (x + 500, y + 188) for i, (x, y) in ASTRONAUT.items()}) <= 0.10
    boxed = detect_frames(canvas[None], [folder], Request(boxes=((500, 188, 512, 512),)), "blazepose")[0][0].people[0]
    assert error(boxed, {i: (x + 500, y + 188) for i, (x, y) in ASTRONAUT.items()}) <= 0.12


def test_the_same_picture_gives_the_same_pose(folder, astronaut):
    """Caches and reports rely on it."""
    first, second = (detect_frames(astronaut[None], [folder], Request(), "blazepose")[0][0].people[0] for _ in range(2))
    for name, points in first.parts().items():
        assert np.array_equal(points, getattr(second, name))


def test_an_empty_picture_is_empty(folder):
    """Sky and noise are not people."""
    rng = np.random.default_rng(0)
    sky = np.full((240, 320, 3), (90, 120, 160), np.uint8)
    for picture in (sky, rng.integers(0, 255, (300, 200, 3), np.uint8)):
        frames, report = detect_frames(picture[None], [folder], Request(), "blazepose")
        assert "nobody" in report
        assert len(frames[0].people) == 1


def test_skeleton_pictures_and_odd_sizes_do_not_break_it(folder):
    """Whatever is connected, the node has to answer."""
    drawn = draw.draw(library.frame("waving", 97, 333))
    frames, _ = detect_frames(drawn[None], [folder], Request(whole=True), "blazepose")
    assert len(frames[0].people) == 1
    tiny = np.asarray(Image.fromarray(drawn).resize((7, 9)))
    assert detect_frames(tiny[None], [folder], Request(), "blazepose")[0][0].width == 7
