"""Our drawing against the tools whose pictures the ControlNets were trained on, pixel by pixel."""

from __future__ import annotations

import ast
import colorsys
import importlib.util
import math
import sys

import numpy as np
import pytest

from chibi_avatar.pose import draw
from chibi_avatar.pose.draw import Style
from chibi_avatar.pose.keypoints import COUNTS, Frame, Person

SIZES = ((512, 512), (512, 768), (640, 448), (1024, 1024), (1024, 1536), (2048, 2048))


def random_frames(count: int, seed: int = 7) -> list[Frame]:
    """Poses with one to four people, missing points and parts, short limbs, and points off the canvas."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        people = []
        for _ in range(int(rng.integers(1, 5))):
            parts = {}
            centre = rng.random(2) * (width, height)
            for part, points in COUNTS.items():
                if part == "feet" or (part != "body" and rng.random() < 0.35):
                    continue
                spread = (
                    {"body": 0.30, "face": 0.06}.get(part, 0.05)
                    * height
                    * rng.uniform(0.02 if number % 9 == 0 else 0.4, 1.2)
                )
                xy = centre + rng.normal(0, 1, (points, 2)) * spread
                score = (rng.random(points) > (0.3 if number % 3 else 0.0)).astype(float)
                parts[part] = np.column_stack([xy, score]) * (score > 0)[:, None]
            people.append(Person(**parts))
        frames.append(Frame(width, height, tuple(people)))
    return frames


FRAMES = random_frames(216)


@pytest.fixture(scope="module")
def annotator():
    """controlnet_aux's drawing module, alone: the package's own import pulls in every detector."""
    if importlib.util.find_spec("matplotlib") is None:  # it is only asked for one colour conversion
        plotting = type(sys)("matplotlib")
        plotting.colors = type(sys)("matplotlib.colors")
        plotting.colors.hsv_to_rgb = lambda hsv: np.array(colorsys.hsv_to_rgb(*hsv))
        sys.modules["matplotlib"] = plotting
    found = importlib.util.find_spec("controlnet_aux")
    folder = found.submodule_search_locations[0]
    package = type(sys)("aux_open_pose")
    package.__path__ = [f"{folder}/open_pose"]
    sys.modules["aux_open_pose"] = package
    outer = type(sys)("controlnet_aux_alone")
    outer.__path__ = [folder]
    modules = {}
    for name in ("body", "util"):
        spec = importlib.util.spec_from_file_location(f"aux_open_pose.{name}", f"{folder}/open_pose/{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"aux_open_pose.{name}"] = module
        if name == "body":
            module.Keypoint = module.BodyResult = type(
                "Keypoint", (), {"__init__": lambda self, x, y: self.__dict__.update(x=x, y=y)}
            )
        else:
            spec.loader.exec_module(module)
        modules[name] = module
    return modules["util"], modules["body"].Keypoint


def annotated(frame: Frame, annotator, exact: bool = True) -> np.ndarray:
    """The frame through controlnet_aux's functions, which take coordinates as shares of the canvas."""
    util, keypoint = annotator
    canvas = np.zeros((frame.height, frame.width, 3), np.uint8)

    def share(value: float, side: int) -> float:
        part = value / side  # some shares do not come back to the same pixel coordinate; take the next double that does
        while part * side < value:
            part = np.nextafter(part, np.inf)
        while part * side > value:
            part = np.nextafter(part, -np.inf)
        return part

    def listed(points):
        return [
            keypoint(share(x, frame.width), share(y, frame.height)) if s > 0 else None for x, y, s in points.tolist()
        ]

    def hidden(points):  # its hand and face functions know a missing point only by its place
        return [
            keypoint(x / frame.width, y / frame.height) if p is None else p
            for p, (x, y, _) in zip(listed(points), points.tolist(), strict=True)
        ]

    for person in frame.people:
        canvas = util.draw_bodypose(canvas, listed(person.body))
        for part, function in (
            ("left_hand", util.draw_handpose),
            ("right_hand", util.draw_handpose),
            ("face", util.draw_facepose),
        ):
            points = getattr(person, part)
            if points is not None:
                canvas = function(canvas, hidden(points))
    return canvas


def test_sd15_profile_equals_controlnet_aux(annotator):
    """A ControlNet sees what it was trained on only if every pixel is the annotator's."""
    assert len(FRAMES) >= 200
    for number, frame in enumerate(FRAMES):
        ours = draw.draw(frame, style=Style("sd15", face=True))
        assert np.array_equal(ours, annotated(frame, annotator)), f"pose {number} of {frame.width}×{frame.height}"


@pytest.fixture(scope="module")
def core_drawer(comfyui_path, tmp_path_factory):
    """Core's KeypointDraw class, copied out of its node file for this test run so that nothing of ComfyUI has to start."""
    text = (comfyui_path / "comfy_extras" / "nodes_sdpose.py").read_text(encoding="utf-8")
    found = next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == "KeypointDraw")
    alone = tmp_path_factory.mktemp("core") / "core_keypoint_draw.py"
    source = ast.get_source_segment(text, found)
    alone.write_text(f"import colorsys, math\nimport numpy as np\n{source}\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("core_keypoint_draw", alone)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.KeypointDraw()


def test_core_profile_equals_core(core_drawer):
    """People who tuned a workflow on core's SDPose picture must get the same picture from this node."""
    for number, frame in enumerate(FRAMES):
        canvas = np.zeros((frame.height, frame.width, 3), np.uint8)
        for person in frame.people:
            columns = [person.body, np.zeros((6, 3))]
            for part, count in (("face", 68), ("right_hand", 21), ("left_hand", 21)):
                points = getattr(person, part)
                columns.append(np.zeros((count, 3)) if points is None else points[:count])
            points = np.concatenate(columns).astype(np.float32)
            canvas = core_drawer.draw_wholebody_keypoints(canvas, points[:, :2], points[:, 2], draw_feet=False)
        rounded = Frame(frame.width, frame.height, tuple(_as_float32(p) for p in frame.people))
        ours = draw.draw(rounded, style=Style("core", face=True))
        assert np.array_equal(ours, canvas), f"pose {number} of {frame.width}×{frame.height}"


def _as_float32(person: Person) -> Person:
    return Person(**{name: points.astype(np.float32).astype(float) for name, points in person.parts().items()})


def xinsir_reference(frame: Frame) -> np.ndarray:
    """The body as the README of ControlNetPlus says: stick and joint radius 4 × ratio, ratio by the longer side."""
    import cv2

    longest = max(frame.width, frame.height)
    ratio = 1 if longest < 500 else 2 if longest < 1000 else min(longest // 1000 + 2, 7)
    canvas = np.zeros((frame.height, frame.width, 3), np.uint8)
    for person in frame.people:
        for (a, b), color in zip(draw.LIMBS, draw.COLORS, strict=False):
            if min(person.body[a, 2], person.body[b, 2]) <= 0:
                continue
            (xa, ya), (xb, yb) = person.body[a, :2], person.body[b, :2]
            length = math.hypot(xa - xb, ya - yb)
            angle = math.degrees(math.atan2(ya - yb, xa - xb))
            middle = (int((xa + xb) / 2), int((ya + yb) / 2))
            polygon = cv2.ellipse2Poly(middle, (int(length / 2), 4 * ratio), int(angle), 0, 360, 1)
            cv2.fillConvexPoly(canvas, polygon, [int(c * 0.6) for c in color])
        for (x, y, s), color in zip(person.body, draw.COLORS, strict=True):
            if s > 0:
                cv2.circle(canvas, (int(x), int(y)), 4 * ratio, color, thickness=-1)
    return canvas


@pytest.mark.parametrize("longest", [499, 500, 999, 1000, 1999, 2000, 2999, 3000, 4999, 5000])
def test_xinsir_profile_at_every_threshold(longest):
    """SDXL ControlNets were trained on sticks and dots that grow in steps; at a wrong step the pose is followed poorly."""
    rng = np.random.default_rng(longest)
    body = np.column_stack([rng.random((18, 2)) * (longest, 0.6 * longest), np.ones(18)])
    frame = Frame(longest, int(0.6 * longest), (Person(body),))
    assert np.array_equal(draw.draw(frame, style=Style("xinsir")), xinsir_reference(frame))


def test_pillow_draws_nearly_the_same(monkeypatch):
    """Without OpenCV the picture must still be a pose picture of the same shapes."""
    for frame in FRAMES[:12]:
        reference = draw.draw(frame, style=Style("sd15", face=True))
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "cv2", None)
            ours = draw.draw(frame, style=Style("sd15", face=True))
        differing = (ours != reference).any(-1).sum() / max(1, (reference > 0).any(-1).sum())
        assert differing < 0.25
