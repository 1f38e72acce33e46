"""Speed and accuracy of the pose room. Run: python3 -m chibi_avatar test tests/bench/bench_pose.py -s"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chibi_avatar.pose import draw, library
from chibi_avatar.pose.keypoints import Frame, Person, parse, to_keypoints
from chibi_avatar.pose.retarget import retarget

ROOT = Path(__file__).resolve().parents[2]


def measured(action: Callable[[], object], repeat: int = 20, share: int = 1) -> str:
    """Medians of five runs of ``repeat`` calls, in milliseconds a call (and a person, where ``share`` are in it): by the
    clock, and of processor time, which a busy machine leaves alone.
    """
    action()
    runs = []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(repeat):
            action()
        runs.append(((time.perf_counter() - wall) / repeat, (time.process_time() - cpu) / repeat))
    wall, cpu = (sorted(column)[2] * 1000 / share for column in zip(*runs, strict=True))
    return f"{wall:.2f} ms, processor {cpu:.2f} ms"


def test_speed(capsys):
    """Prints times; never fails on speed."""
    tagged = library.frame("waving", 768, 768, 7.0)
    plain = Frame(768, 768, (Person(**tagged.people[0].parts()),))
    crowd = Frame(768, 768, plain.people * 20)
    keypoints = to_keypoints([tagged])
    lines = [
        f"retarget, one person, proportions estimated: {measured(lambda: retarget([plain], 2.5))} (goal 1)",
        f"retarget, one person, proportions known:     {measured(lambda: retarget([tagged], 2.5))} (goal 1)",
        f"retarget, 20 people, a person:               {measured(lambda: retarget([crowd], 2.5), 3, 20)} (goal 1)",
        f"parse POSE_KEYPOINT:                         {measured(lambda: parse(keypoints))}",
        f"draw 1024x1024, body, hands and face:        {measured(lambda: draw.draw(tagged, 1024, 1024, draw.Style(face=True)), 5)}",
        f"preset, solved and projected:                {measured(lambda: library.frame('waving', 768, 768))}",
    ]
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r}); import numpy, json, logging, pathlib, dataclasses\n"
        "wall, cpu = time.perf_counter(), time.process_time()\n"
        "import chibi_avatar.pose.draw, chibi_avatar.pose.library, chibi_avatar.pose.retarget, chibi_avatar.pose.rig, chibi_avatar.pose.detect\n"
        "sys.stdout.write(f'{(time.perf_counter() - wall) * 1000} {(time.process_time() - cpu) * 1000}')"
    )
    starts = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(7)]
    wall, cpu = (sorted(column)[3] for column in zip(*(map(float, s.split()) for s in starts), strict=True))
    lines.append(f"import of the room after numpy:              {wall:.0f} ms, processor {cpu:.0f} ms (goal 50)")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def test_detection(capsys, wheel_model, tmp_path):
    """Prints the time for one picture with body, hands and face."""
    from skimage import data

    from chibi_avatar.pose.detect import Request, detect_frames

    modules = {
        "pose_detection": "pose_detection",
        "pose_landmark_full": "pose_landmark",
        "hand_landmark_lite": "hand_landmark",
        "face_landmark": "face_landmark",
    }
    hashes = {
        "pose_detection": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        "pose_landmark_full": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        "hand_landmark_lite": "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
        "face_landmark": "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    }
    for name, module in modules.items():
        (tmp_path / f"{name}.tflite").symlink_to(
            wheel_model("mediapipe", "0.10.21", f"mediapipe/modules/{module}/{name}.tflite", hashes[name])
        )
    picture = np.ascontiguousarray(data.astronaut())[None]
    alone, crowd = Request(), Request(most=10)
    full = measured(lambda: detect_frames(picture, [tmp_path], alone, "blazepose"), 3)
    body = measured(lambda: detect_frames(picture, [tmp_path], Request(hands=False, face=False), "blazepose"), 3)
    many = measured(lambda: detect_frames(picture, [tmp_path], crowd, "blazepose"), 1)
    with capsys.disabled():
        sys.stdout.write(
            f"\nBlazePose on 512x512: {full} with hands and face (goal 150); {body} body only; {many} for up to ten\n"
        )
