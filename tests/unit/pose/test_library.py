"""The built-in poses, and putting a rig into them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from chibi_avatar.pose import draw, figure, hands, library, rig, silhouette
from chibi_avatar.pose.keypoints import Frame, Person, PoseError, parse, to_keypoints
from chibi_avatar.pose.retarget import BONES, canonical_lengths, measured_lengths
from chibi_avatar.pose.skeleton import PARENTS, proportions, rest_joints

KEYS = {
    "zh",
    "group",
    "view",
    "hips",
    "spine",
    "head",
    "left",
    "right",
    "left_leg",
    "right_leg",
    "stretch",
    "air",
    "seat",
}
ARM = {"upper", "fore", "at", "pole", "offset", "hand", "fingers", "palm", "shrug"}
LEG = {"plant", "raise", "knee", "out", "toe", "thigh", "shin"}
REST = figure.with_head(rest_joints(2.5), 0.85 * proportions(2.5).ear_x, 1.0)


def test_there_are_sixty_poses_and_they_are_well_formed():
    """A mistyped key would silently leave an arm hanging."""
    poses = library.poses()
    assert len(poses) >= 60
    places = set(figure._places(REST, "left", 1.0))
    for name, pose in poses.items():
        assert set(pose) <= KEYS, name
        assert pose["zh"] and pose["group"], name
        assert pose.get("view", "front") in library.VIEWS, name
        for side in ("left", "right"):
            assert set(pose.get(side, {})) <= ARM, name
            assert set(pose.get(f"{side}_leg", {})) <= LEG, name
            assert pose.get(side, {}).get("hand", "open") in hands.SHAPES, name
            assert pose.get(side, {}).get("at", "hip") in places, name
    wanted = "standing sitting_chair walking running jumping waving peace heart_hands hugging sleeping_side thinking selfie dancing guitar phone_call"
    assert set(wanted.split()) <= set(poses)
    views = {pose.get("view", "front") for pose in poses.values()}
    assert {"front", "three_quarter", "side", "back_three_quarter"} <= views


@pytest.mark.parametrize("heads", [2.0, 2.5, 7.0])
def test_bones_have_their_length_and_poses_fit_the_canvas(heads):
    """A pose with a stretched limb, or with a hand cut off by the edge, is of no use for a ControlNet."""
    limit = canonical_lengths(heads)[:12]
    for name in library.names():
        for view in ("auto", "back"):
            frame = library.frame(name, 640, 832, heads, view)
            person = frame.people[0]
            assert (np.nan_to_num(measured_lengths(person.body)[:12]) <= limit * person.tag["unit"] * 1.02).all(), name
            for part in person.parts().values():
                seen = part[part[:, 2] > 0, :2]
                assert np.isfinite(part).all() and (seen >= 0).all() and (seen <= (639, 831)).all(), name


def test_no_two_poses_are_nearly_the_same():
    """Sixty poses that are ten poses would be a trick."""
    solved = {}
    for name in library.names():
        points = library.frame(name, 1024, 1024, 7.0, view="three_quarter").people[0]
        body = points.body[:, :2] - points.body[[8, 11], :2].mean(0)
        solved[name] = body / points.tag["unit"]
    for (a, p), (b, q) in itertools.combinations(solved.items(), 2):
        assert np.hypot(*(p - q).T).max() > 0.25, (a, b)


def test_mirroring_exchanges_the_sides():
    """A mirrored wave is the other hand's wave."""
    plain = library.frame("waving", 512, 512).people[0].body
    other = library.frame("waving", 512, 512, mirrored=True).people[0].body
    order = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
    turned = other[order] * (-1, 1, 1) + (512, 0, 0)
    assert np.abs(plain - turned)[plain[:, 2] > 0].max() < 1e-6


def test_unknown_names_and_views_are_refused():
    """The message has to offer names that exist."""
    with pytest.raises(PoseError, match="waving"):
        library.frame("waving_wildly")
    with pytest.raises(PoseError, match="view"):
        library.frame("waving", view="above")


@pytest.mark.parametrize("name", library.names())
def test_the_rig_takes_every_preset(name):
    """The 3D avatar has to stand as the drawn skeleton does, on the floor, with bones that do not stretch."""
    frame = library.frame(name, 768, 768, 2.5)
    posed = rig.pose_rig(parse(to_keypoints([frame])), REST)
    positions = rig.posed_positions(posed, REST)
    for bone, parent in PARENTS.items():
        if parent is not None:
            assert np.linalg.norm(positions[bone] - positions[parent]) == pytest.approx(
                np.linalg.norm(REST[bone] - REST[parent]), abs=1e-6
            )
    a = np.radians(posed.azimuth)
    right = np.array([np.cos(a), 0, -np.sin(a)])
    names = {
        3: "rightLowerArm",
        4: "rightHand",
        6: "leftLowerArm",
        7: "leftHand",
        9: "rightLowerLeg",
        10: "rightFoot",
        12: "leftLowerLeg",
        13: "leftFoot",
    }
    parents = {3: 2, 4: 3, 6: 5, 7: 6, 9: 8, 10: 9, 12: 11, 13: 12}
    roots = {2: "rightUpperArm", 5: "leftUpperArm", 8: "rightUpperLeg", 11: "leftUpperLeg"}
    body, unit = frame.people[0].body, frame.people[0].tag["unit"]
    for j, bone in names.items():
        i = parents[j]
        step = positions[bone] - positions[{**names, **roots}[i]]
        drawn = (body[j, :2] - body[i, :2]) / unit
        assert np.abs(np.array([step @ right, -step[1]]) - drawn).max() < 0.03, bone


def test_the_rig_follows_keypoints_from_anywhere():
    """A pose from a photo has no name to look up: the limbs' directions in the picture must come out on the avatar."""
    for name in ("t_pose", "standing", "waving", "star_jump", "hands_on_hips", "presenting", "ballet"):
        frame = library.frame(name, 768, 768, 2.5, "front")
        plain = Frame(768, 768, (Person(frame.people[0].body),))
        positions = rig.posed_positions(rig.pose_rig(plain, REST), REST)
        body = frame.people[0].body
        for i, j, a, b in (
            (2, 3, "rightUpperArm", "rightLowerArm"),
            (3, 4, "rightLowerArm", "rightHand"),
            (5, 6, "leftUpperArm", "leftLowerArm"),
            (6, 7, "leftLowerArm", "leftHand"),
            (8, 9, "rightUpperLeg", "rightLowerLeg"),
            (11, 12, "leftUpperLeg", "leftLowerLeg"),
        ):
            drawn, step = body[j, :2] - body[i, :2], (positions[b] - positions[a]) * (1, -1, 1)
            if np.hypot(*drawn) < 0.6 * canonical_lengths(2.5)[BONES.index((i, j))] * frame.people[0].tag["unit"]:
                continue
            cosine = float(drawn @ step[:2] / (np.hypot(*drawn) * np.hypot(*step[:2])))
            assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 12, (name, a)


def test_hands_in_front_of_the_trunk_are_not_inside_it():
    """A lifted arm that goes through the belly shows at once on the avatar."""
    frame = library.frame("hands_clasped", 768, 768, 2.5, "front")
    plain = Frame(768, 768, (Person(frame.people[0].body),))
    positions = rig.posed_positions(rig.pose_rig(plain, REST), REST)
    for side in ("left", "right"):
        assert positions[f"{side}Hand"][2] > 0.1
    assert rig.pose_to_rotations(Frame(64, 64), REST) == {}


def test_an_edited_preset_is_no_longer_the_preset():
    """After an arm was moved by hand the avatar must follow the points, not the name."""
    frame = library.frame("standing", 768, 768, 2.5)
    body = frame.people[0].body.copy()
    body[[9, 10], :2] += (-120, -60)
    moved = Frame(768, 768, (Person(body, tag=frame.people[0].tag),))
    before, after = rig.pose_to_rotations(frame, REST), rig.pose_to_rotations(moved, REST)
    assert np.abs(before["rightUpperLeg"] - after["rightUpperLeg"]).max() > 0.3


def test_the_same_pose_is_drawn_the_same(tmp_path):
    """Two runs with the same inputs must give the same bytes."""
    first = draw.draw(library.frame("dancing", 512, 512))
    library.poses.cache_clear()
    assert np.array_equal(first, draw.draw(library.frame("dancing", 512, 512)))


def test_thumbnails_show_the_figure():
    """Choosing a pose by eye needs a body and a head, and the whole of both inside the picture."""
    for name, view in (("peace", "front"), ("running", "side"), ("sleeping_side", "auto"), ("waving", "back")):
        frame = library.frame(name, 256, 256, 2.0, view, with_face=False)
        picture = np.asarray(silhouette.silhouette(frame, 128)).astype(int)
        assert picture.shape == (128, 128, 3)
        shape = np.abs(picture - picture[0, 0]).sum(-1) > 30
        skeleton = draw.draw(frame).max(-1) > 0
        assert shape.mean() > 2 * skeleton.mean(), name
        assert not shape[0].any() and not shape[:, 0].any() and not shape[:, -1].any(), name
