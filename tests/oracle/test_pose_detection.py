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
# Places read off the pictures by eye before any detector saw them: body point to x, y, only what can be seen; then the
# length of the torso in pixels. NASA's portrait of Eileen Collins (public domain) and a photographer (CC0) from
# scikit-image; frames of the demo film of Sports2D (BSD-3-Clause); two men of the street picture in Ultralytics' wheel.
FILM = (
    "sports2d",
    "0.8.34",
    "Sports2D/Demo/demo.mp4",
    "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
)
STREET = (
    "ultralytics",
    "8.4.190",
    "ultralytics/assets/bus.jpg",
    "c02019c4979c191eb739ddd944445ef408dad5679acab6fd520ef9d434bfbc63",
)
ASTRONAUT = {
    0: (216, 123),
    14: (202, 101),
    15: (248, 102),
    16: (181, 116),
    17: (266, 121),
    2: (120, 235),
    5: (312, 255),
}
TORSO = 260.0
CHECKED = {
    "astronaut": (ASTRONAUT, TORSO),
    "photographer": ({0: (251, 163), 16: (190, 140), 2: (105, 185), 3: (140, 315), 4: (205, 235)}, 157.0),
    "arms up": (
        {0: (632, 142), 14: (624, 132), 15: (640, 132), 16: (614, 140), 17: (648, 140), 2: (595, 168), 5: (677, 170), 3: (565, 125),
         6: (702, 125), 4: (605, 70), 7: (672, 78), 8: (609, 303), 11: (663, 303), 9: (557, 350), 12: (698, 360), 10: (543, 428),
         13: (712, 428)}, 135.0,
    ),
    "standing, backlit": (
        {0: (636, 130), 16: (614, 126), 17: (652, 127), 2: (595, 173), 5: (675, 172), 3: (588, 237), 6: (687, 237), 4: (588, 290),
         7: (686, 287), 8: (612, 295), 11: (660, 295), 9: (607, 353), 12: (657, 353), 10: (609, 433), 13: (658, 435)}, 122.0,
    ),
    "walking, long stride": (
        {0: (1202, 567), 15: (1207, 558), 17: (1230, 563), 5: (1256, 613), 6: (1293, 677), 7: (1323, 730), 3: (1188, 670),
         4: (1132, 702), 11: (1237, 738), 12: (1180, 812), 13: (1150, 893), 9: (1260, 820), 10: (1305, 897)}, 126.0,
    ),
    "walking, profile": (
        {0: (618, 551), 15: (626, 546), 17: (647, 548), 5: (656, 605), 6: (613, 666), 7: (538, 689), 4: (733, 723), 11: (648, 740),
         9: (594, 808), 10: (584, 906), 12: (670, 810), 13: (752, 889)}, 135.0,
    ),
    "man in a coat": (
        {0: (144, 451), 14: (132, 435), 15: (149, 435), 16: (107, 444), 2: (75, 497), 5: (171, 503), 3: (75, 568), 6: (189, 573),
         9: (90, 760), 12: (170, 767), 10: (72, 852), 13: (192, 857)}, 160.0,
    ),
    "man with a telephone": (
        {0: (294, 455), 14: (282, 445), 15: (301, 445), 16: (267, 450), 2: (249, 507), 5: (323, 491), 6: (337, 555), 7: (285, 527),
         4: (267, 647), 9: (262, 767), 12: (327, 730), 10: (267, 822)}, 150.0,
    ),
}  # fmt: skip


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


@pytest.fixture(scope="module")
def photos(wheel_model, astronaut) -> dict[str, np.ndarray]:
    """Picture by the name of the figure in it."""
    import cv2
    from skimage import data

    film = cv2.VideoCapture(str(wheel_model(*FILM)))
    frames = {}
    for number in range(139):
        there, picture = film.read()
        assert there
        if number in (23, 80, 138):
            frames[number] = np.ascontiguousarray(picture[..., ::-1])
    film.release()
    street = np.asarray(Image.open(wheel_model(*STREET)).convert("RGB"))
    return {
        "astronaut": astronaut,
        "photographer": np.repeat(data.camera()[..., None], 3, axis=2),
        "arms up": frames[23],
        "standing, backlit": frames[80],
        "walking, long stride": frames[80],
        "walking, profile": frames[138],
        "man in a coat": street,
        "man with a telephone": street,
    }


def error(person, truth=ASTRONAUT, torso=TORSO) -> float:
    """Mean distance of the checked points in torso lengths; a point that was not found counts as half a torso."""
    off = [
        np.hypot(*(person.body[i, :2] - place)) / torso if person.body[i, 2] > 0 else 0.5 for i, place in truth.items()
    ]
    return float(np.mean(off))


def test_mean_error_on_checked_photos(folder, photos, capsys):
    """A skeleton beside the person is worse than none; and one person drawn twice is no better."""
    errors, found = {}, {}
    for name, picture in photos.items():
        if id(picture) not in found:
            request = Request(most=10, hands=False, face=name == "astronaut")
            found[id(picture)] = detect_frames(picture[None], [folder], request, "blazepose")[0][0].people
        people = found[id(picture)]
        errors[name] = min(error(person, *CHECKED[name]) for person in people)
        middles = np.array([p.body[p.body[:, 2] > 0, :2].mean(0) for p in people])
        apart = np.hypot(*(middles[:, None] - middles[None]).T) + 1e9 * np.eye(len(people))
        assert apart.min() > 60, f"{name}: the same person twice"
    with capsys.disabled():
        lines = ", ".join(f"{name} {e:.3f}" for name, e in errors.items())
        sys.stdout.write(f"\npose error in torso lengths: {lines}; mean {np.mean(list(errors.values())):.3f}\n")
    assert np.mean(list(errors.values())) <= 0.10
    assert max(errors.values()) <= 0.15


def test_a_box_picks_the_person(folder, photos):
    """In a street full of people the user's box says who is meant, whatever the detector thinks is surest."""
    boxes = {
        "standing, backlit": (570, 90, 130, 370),
        "man with a telephone": (220, 400, 125, 470),
        "man in a coat": (40, 390, 210, 520),
    }
    for name, box in boxes.items():
        people = detect_frames(photos[name][None], [folder], Request(boxes=(box,)), "blazepose")[0][0].people
        assert error(people[0], *CHECKED[name]) <= 0.12, name


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
    """Sky, noise, a cup, a rocket, a cat and a clock are not people."""
    from skimage import data

    rng = np.random.default_rng(0)
    sky = np.full((240, 320, 3), (90, 120, 160), np.uint8)
    clock = np.repeat(data.clock()[..., None], 3, axis=2)
    things = (data.coffee(), data.rocket(), data.chelsea(), clock)
    for picture in (sky, rng.integers(0, 255, (300, 200, 3), np.uint8), *things):
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
