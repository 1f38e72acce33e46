"""Choosing a detector, and what happens around it; the networks themselves run in the oracle layer."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chibi_avatar.pose import detect, library
from chibi_avatar.pose.detect import Request, flatbuffer
from chibi_avatar.pose.keypoints import PoseError

GREY = np.full((1, 120, 90, 3), 128, np.uint8)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path):
    for name in detect.BACKENDS["blazepose"].files:
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def pretend(monkeypatch, people):
    """A detector that returns ``people`` and remembers what it was asked."""
    asked = []

    def detector(picture, request):
        asked.append(request)
        return people

    changed = dataclasses.replace(detect.BACKENDS["blazepose"], opened=lambda folder: detector)
    monkeypatch.setitem(detect.BACKENDS, "blazepose", changed)
    return asked


def test_nobody_gives_an_editable_t_pose_and_says_so(monkeypatch, folder):
    """A black map makes a ControlNet draw anything; a T-pose can at least be edited."""
    pretend(monkeypatch, [])
    frames, report = detect.detect_frames(GREY, [folder], Request(), "blazepose")
    assert (frames[0].people[0].body[:, 2] > 0).all()
    assert (frames[0].width, frames[0].height) == (90, 120)
    assert "T-pose" in report and "mask" in report


def test_people_are_passed_on(monkeypatch, folder):
    """Ten people in a picture are ten people in the pose."""
    person = library.frame("standing", 90, 120).people[0]
    pretend(monkeypatch, [person] * 10)
    frames, report = detect.detect_frames(np.repeat(GREY, 2, 0), [folder], Request(most=10), "blazepose")
    assert [len(f.people) for f in frames] == [10, 10]
    assert report.count("10 found") == 2


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("blazepose", "python3 -m chibi_avatar models download blazepose-detector blazepose-landmarks"),
        ("dwpose", "hf download yzd-v/DWPose dw-ll_ucoco_384.onnx yolox_l.onnx --local-dir"),
        ("openpose", "hf download lllyasviel/Annotators body_pose_model.pth"),
    ],
)
def test_a_missing_model_names_file_folder_and_command(tmp_path, monkeypatch, name, command):
    """The message is all that a person has to go by."""
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda module: module)
    with pytest.raises(PoseError) as caught:
        detect.choose(name, [tmp_path])
    for part in (*detect.BACKENDS[name].files, str(tmp_path), command):
        assert part in str(caught.value)


def test_a_missing_package_names_its_command(tmp_path, monkeypatch):
    """The other thing that can be missing."""
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(PoseError, match="pip install controlnet-aux"):
        detect.choose("openpose", [tmp_path])
    with pytest.raises(PoseError, match=r"no pose detector.*models download"):
        detect.choose("auto", [tmp_path])
    with pytest.raises(PoseError, match="detector"):
        detect.choose("magic", [tmp_path])


def test_a_detector_that_does_not_start_says_why(monkeypatch, folder):
    """A package that breaks while it is imported must not end in its own traceback."""

    def broken(folder):
        raise AttributeError("module 'mediapipe' has no attribute 'solutions'")

    changed = dataclasses.replace(detect.BACKENDS["blazepose"], opened=broken)
    monkeypatch.setitem(detect.BACKENDS, "blazepose", changed)
    with pytest.raises(PoseError, match=r"BlazePose does not start.*solutions.*another detector"):
        detect.detect_frames(GREY, [folder], Request(), "auto")


def test_auto_goes_on_to_the_next_when_the_best_does_not_start(monkeypatch, folder):
    """One broken optional package would take away the detector that works."""

    def broken(folder):
        raise ImportError("cannot import name 'RTMPose'\nfrom 'rtmlib'")

    person = library.frame("standing", 90, 120).people[0]
    pretend(monkeypatch, [person])
    best = dataclasses.replace(detect.BACKENDS["dwpose"], module=None, files=(), opened=broken)
    monkeypatch.setitem(detect.BACKENDS, "dwpose", best)
    frames, report = detect.detect_frames(GREY, [folder], Request(), "auto")
    assert len(frames[0].people) == 1
    first, second = report.splitlines()
    assert "DWPose (rtmlib) does not start" in first and "RTMPose" in first and "BlazePose is used instead" in first
    assert second == "picture 1: 1 found by BlazePose"
    with pytest.raises(PoseError, match="DWPose.*does not start"):
        detect.detect_frames(GREY, [folder], Request(), "dwpose")


def test_auto_takes_what_is_there(folder):
    """With only the free files present, auto must not insist on others."""
    assert detect.choose("auto", [folder]).name == "blazepose"


def test_a_damaged_file_is_called_damaged(tmp_path):
    """A download that was cut off must not end in a number from inside a parser."""
    for content in (b"", b"hello world, not a model", b"\x1c\0\0\0TFL3" + b"\0" * 40):
        path = tmp_path / "pose_landmark_full.tflite"
        path.write_bytes(content)
        with pytest.raises(PoseError, match="pose_landmark_full"):
            flatbuffer.read(path)


def test_pictures_must_be_pictures(folder):
    """An empty batch is a wiring mistake."""
    with pytest.raises(PoseError, match="image"):
        detect.detect_frames(np.zeros((0, 4, 4, 3), np.uint8), [folder], Request(), "blazepose")


def test_importing_the_room_is_light():
    """Every ComfyUI start pays for what the pack imports: no torch, no OpenCV, no onnxruntime before they are used."""
    code = (
        "import sys, importlib.util as u\n"
        f"s = u.spec_from_file_location('chibi_avatar', {str(ROOT / 'chibi_avatar' / '__init__.py')!r},"
        f" submodule_search_locations=[{str(ROOT / 'chibi_avatar')!r}])\n"
        "m = u.module_from_spec(s); sys.modules['chibi_avatar'] = m; s.loader.exec_module(m)\n"
        "import chibi_avatar.pose.keypoints, chibi_avatar.pose.draw, chibi_avatar.pose.library, chibi_avatar.pose.retarget\n"
        "import chibi_avatar.pose.rig, chibi_avatar.pose.detect\n"
        "assert not {'torch', 'cv2', 'onnxruntime', 'PIL', 'scipy', 'rtmlib', 'controlnet_aux'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
