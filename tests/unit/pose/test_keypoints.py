"""Every tool's keypoints are read, and what we write is read by the others."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chibi_avatar.pose import keypoints, library
from chibi_avatar.pose.keypoints import PoseError, parse, to_json, to_keypoints

BODY_25_FROM_18 = {
    0: 0,
    1: 1,
    2: 2,
    3: 3,
    4: 4,
    5: 5,
    6: 6,
    7: 7,
    9: 8,
    10: 9,
    11: 10,
    12: 11,
    13: 12,
    14: 13,
    15: 14,
    16: 15,
    17: 16,
    18: 17,
}
COCO_FROM_18 = {
    0: 0,
    1: 15,
    2: 14,
    3: 17,
    4: 16,
    5: 5,
    6: 2,
    7: 6,
    8: 3,
    9: 7,
    10: 4,
    11: 11,
    12: 8,
    13: 12,
    14: 9,
    15: 13,
    16: 10,
}


@pytest.fixture(scope="module")
def person():
    """A waving adult whose neck is the middle of the shoulders, as formats without a neck have it."""
    made = library.frame("waving", 640, 448, 7.0).people[0]
    made.body[1, :2] = made.body[[2, 5], :2].mean(0)
    return made


def flat(points, score=1.0):
    return [float(v) for x, y, s in points for v in (x, y, score if s > 0 else 0.0)]


def same_body(frame, person, tolerance=0.5):
    got = frame.people[0].body
    assert np.array_equal(got[:, 2] > 0, person.body[:, 2] > 0)
    assert np.abs((got - person.body)[got[:, 2] > 0, :2]).max() <= tolerance


def whole_body_133(person):
    out = np.zeros((133, 3))
    for j, i in COCO_FROM_18.items():
        out[j] = person.body[i]
    out[17:23], out[23:91], out[91:112], out[112:133] = (
        person.feet,
        person.face[:68],
        person.left_hand,
        person.right_hand,
    )
    return out


def aux_dwpose(p):
    person = {"pose_keypoints_2d": flat(p.body), "face_keypoints_2d": None, "hand_left_keypoints_2d": None}
    return [
        {
            "people": [{**person, "hand_right_keypoints_2d": flat(p.right_hand)}],
            "canvas_height": 448,
            "canvas_width": 640,
        }
    ]


def aux_openpose(p):
    scale = np.array([640, 448, 1.0])
    keys = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
    return [
        {
            "people": [{"pose_keypoints_2d": flat(p.body / scale), **dict.fromkeys(keys)}],
            "canvas_width": 600,
            "canvas_height": 440,
        }
    ]


def core_sdpose(p):
    return [
        {
            "canvas_width": 640,
            "canvas_height": 448,
            "people": [
                {
                    "pose_keypoints_2d": flat(p.body, 0.93),
                    "foot_keypoints_2d": flat(p.feet, 0.7),
                    "face_keypoints_2d": flat(p.face, 0.8),
                    "hand_right_keypoints_2d": flat(p.left_hand, 0.6),
                    "hand_left_keypoints_2d": flat(p.right_hand, 0.6),
                }
            ],
        }
    ]


def cmu_body_25(p):
    body = np.zeros((25, 3))
    for j, i in BODY_25_FROM_18.items():
        body[j] = p.body[i]
    body[8] = (p.body[8] + p.body[11]) / 2
    return {
        "version": 1.3,
        "people": [{"person_id": [-1], "pose_keypoints_2d": flat(body, 0.8), "face_keypoints_2d": []}],
    }


def cmu_minus_one_to_one(p):
    body = p.body.copy()
    body[:, :2] = body[:, :2] / (320, 224) - 1
    return {"people": [{"pose_keypoints_2d": flat(body)}], "canvas_width": 640, "canvas_height": 448}


def coco_17(p):
    body = np.zeros((17, 3))
    for j, i in COCO_FROM_18.items():
        body[j] = p.body[i] * (1, 1, 2)
    return {
        "images": [{"id": 7, "width": 640, "height": 448}],
        "annotations": [{"image_id": 7, "keypoints": body.ravel().tolist(), "num_keypoints": 17}],
    }


def mmpose_133(p):
    points = whole_body_133(p)
    instance = {"keypoints": points[:, :2].tolist(), "keypoint_scores": (points[:, 2] * 0.9).tolist()}
    return {"instance_info": [{"frame_id": 1, "instances": [instance]}]}


def posedata(p):
    body = np.zeros((20, 3))
    body[:18] = p.body
    body = body / (640, 448, 1)
    nothing = [[0.0, 0.0, 0.0]] * 21
    meta = {"width": 640, "height": 448, "keypoints_body": [None if r[2] <= 0 else r.tolist() for r in body]}
    return {
        "pose_metas": [
            {**meta, "keypoints_left_hand": nothing, "keypoints_right_hand": nothing, "keypoints_face": None}
        ]
    }


def points_with_nulls(p):
    values = [None if p.body[i // 3, 2] <= 0 else v for i, v in enumerate(flat(p.body))]
    return {"people": [{"pose_keypoints_2d": values}, None], "canvas_width": 640, "canvas_height": 448}


def face_68(p):
    person = {"pose_keypoints_2d": flat(p.body), "face_keypoints_2d": flat(p.face[:68])}
    return {"people": [person], "canvas_width": 640, "canvas_height": 448}


DIALECTS = [
    aux_dwpose,
    aux_openpose,
    core_sdpose,
    cmu_body_25,
    cmu_minus_one_to_one,
    coco_17,
    mmpose_133,
    posedata,
    points_with_nulls,
    face_68,
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("as_text", [False, True])
def test_every_dialect_gives_the_same_body(person, dialect, as_text):
    """A pose from another tool would come out shifted, scaled, or with limbs on the wrong joints."""
    source = dialect(person)
    frames = parse(json.dumps(source) if as_text else source, (640, 448))
    same_body(frames[0], person)
    again = parse(to_json(frames))
    same_body(again[0], person)


def test_hands_of_core_sdpose_come_to_their_own_side(person):
    """Core labels left and right hands the other way round; retargeting would hang each hand on the other wrist."""
    read = parse(core_sdpose(person))[0].people[0]
    assert np.abs(read.left_hand[:, :2] - person.left_hand[:, :2]).max() < 1e-6
    assert np.abs(read.right_hand[:, :2] - person.right_hand[:, :2]).max() < 1e-6


def test_whole_body_hands_and_face(person):
    """The 133-point layout carries fingers and face; they would be lost or swapped."""
    read = parse(mmpose_133(person))[0].people[0]
    for name in ("left_hand", "right_hand", "feet"):
        assert np.abs(getattr(read, name)[:, :2] - getattr(person, name)[:, :2]).max() < 1e-6
    assert read.face.shape == (70, 3)


def test_one_point_off_the_canvas_does_not_turn_normalised_into_pixels(person):
    """One wrist outside the picture made other readers take 0..1 for pixels: a figure of one pixel."""
    body = person.body / np.array([640, 448, 1.0])
    body[4, :2] = (1.3, 0.5)
    frame = parse({"people": [{"pose_keypoints_2d": flat(body), "id": 1}], "canvas_width": 640, "canvas_height": 448})[
        0
    ]
    assert np.ptp(frame.people[0].body[:, 1]) > 200
    assert frame.people[0].body[4, 0] == pytest.approx(1.3 * 640)


def test_what_we_write_has_every_array_and_full_scores(person):
    """Core cannot draw missing arrays and controlnet_aux drops scores below 1: our pose would crash one or vanish
    in the other.
    """
    only_body = keypoints.Person(person.body * (1, 1, 0.9))
    written = to_keypoints([keypoints.Frame(640, 448, (only_body,))])[0]["people"][0]
    sizes = {
        "pose_keypoints_2d": 54,
        "face_keypoints_2d": 210,
        "hand_left_keypoints_2d": 63,
        "hand_right_keypoints_2d": 63,
    }
    assert {key: len(written[key]) for key in sizes} == sizes
    assert {written["pose_keypoints_2d"][i] for i in range(2, 54, 3)} <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"people": [', "line 1"),
        ("[]", "no frames"),
        ('{"a": 1}', "people"),
        ('{"people": {}}', "people"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "pose_keypoints_2d"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "pose_keypoints_2d"),
        ('{"people": [{"pose_keypoints_2d": "abc"}]}', "pose_keypoints_2d"),
        ('{"people": [{"pose_keypoints_2d": ' + json.dumps(["x"] * 54) + "}]}", "pose_keypoints_2d[0].x"),
        ('{"people": [{"pose_keypoints_2d": ' + json.dumps([1e9] * 54) + "}]}", "further out"),
        ('{"people": [{"pose_keypoints_2d": [NaN, 1, 1]}]}', "NaN"),
        ('{"people": [], "canvas_width": 0, "canvas_height": 5}', "canvas_width"),
        ('{"people": [{"hand_left_keypoints_2d": ' + json.dumps([5] * 60) + "}]}", "hand_left_keypoints_2d"),
        ('{"people": [3]}', "people[0]"),
        ('{"animals": []}', "animal"),
        ('{"annotations": null}', "annotations: the list is empty"),
        ('{"annotations": [3]}', "annotations[0]"),
        ('{"instance_info": null}', "instance_info: the list is empty"),
        ('{"instance_info": 3}', "instance_info: expected a list"),
        ('{"pose_metas": null}', "pose_metas: the list is empty"),
        ('{"people": [{"pose_keypoints_2d": [' + "9" * 400 + ", 1, 1]}]}", "further out"),
        ('{"people": [{"pose_keypoints_2d": [' + "9" * 5000 + ", 1, 1]}]}", "cannot be read"),
        ('{"people": [], "canvas_width": ' + "9" * 400 + ', "canvas_height": 5}', "canvas_width"),
        ("3", "int"),
    ],
)
def test_bad_input_names_the_field(text, names):
    """Somebody with a broken file has to be told which part of it is broken."""
    with pytest.raises(PoseError) as caught:
        parse(text)
    assert names in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nan_on_the_wire_names_the_point():
    """A detector that divides by zero sends NaN; drawing would fail far from the cause."""
    body = [[5.0, 5.0, 1.0]] * 17 + [[float("nan"), 5.0, 1.0]]
    with pytest.raises(PoseError, match=r"pose_keypoints_2d\[17\]\.x"):
        parse([{"people": [{"pose_keypoints_2d": body}], "canvas_width": 64, "canvas_height": 64}])


def test_nobody_many_people_and_gaps(person):
    """Empty frames in a video and crowds are normal input."""
    one = {"pose_keypoints_2d": flat(person.body)}
    canvas = {"canvas_width": 640, "canvas_height": 448}
    assert parse([{"people": [], **canvas}])[0].people == ()
    assert len(parse([{"people": [one] * 200, **canvas}])[0].people) == 200
    frames = parse([{"people": [one], **canvas}, None, {"people": [one], **canvas}])
    assert [len(f.people) for f in frames] == [1, 0, 1]
    with pytest.raises(PoseError, match="at most"):
        parse([{"people": [one] * 300, **canvas}])


def test_somebody_whom_the_detector_lost_is_left_out(person):
    """One frame of a video with an empty person in it would stop the whole sequence."""
    one = {"pose_keypoints_2d": flat(person.body)}
    lost = [{"pose_keypoints_2d": []}, {"pose_keypoints_2d": None, "face_keypoints_2d": None}]
    canvas = {"canvas_width": 640, "canvas_height": 448}
    frames = parse(
        [{"people": [one], **canvas}, {"people": [lost[0], one, lost[1]], **canvas}, {"people": lost, **canvas}]
    )
    assert [len(frame.people) for frame in frames] == [1, 1, 0]


def test_coco_results_of_several_pictures_are_frames(person):
    """A video's results come as one list: all its frames would be drawn into one picture, as a crowd."""
    note = coco_17(person)["annotations"][0]
    notes = [{**note, "image_id": number, "category_id": 1, "score": 0.9} for number in (7, 7, 8)]
    assert [len(frame.people) for frame in parse(notes)] == [2, 1]
    assert [len(frame.people) for frame in parse(json.dumps(notes))] == [2, 1]


def test_a_byte_order_mark_is_no_mistake(person):
    """Windows' editors put one before the text; a file with it is read, and the same text pasted would be refused."""
    text = "\ufeff" + json.dumps({"people": [{"pose_keypoints_2d": flat(person.body)}]})
    assert len(parse(text)[0].people) == len(parse(text.encode())[0].people) == 1


def test_points_off_the_canvas_are_kept(person):
    """A cropped figure's elbow lies outside the picture; moving or dropping it would bend the arm."""
    body = person.body.copy()
    body[4, :2] = (-35.0, 600.0)
    read = parse([{"people": [{"pose_keypoints_2d": flat(body)}], "canvas_width": 640, "canvas_height": 448}])[
        0
    ].people[0]
    assert read.body[4].tolist() == [-35.0, 600.0, 1.0]
