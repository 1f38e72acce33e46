"""The detectors of other packages, each through its own loading code, with files made here: no weights can be shipped."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from chibi_avatar.pose import library
from chibi_avatar.pose.detect import Request, detect_frames, openpose
from chibi_avatar.pose.keypoints import PoseError, parse

RTMLIB = ("rtmlib", "0.0.16", "ba932b25f7d264d7ec4837545c5e7c392001f48b53e22e514cb1497882389eaa")
COCO_17_FROM_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)


def whole_body(person) -> np.ndarray:
    """(133, 2) COCO-WholeBody points of a person."""
    out = np.zeros((133, 2))
    for j, i in enumerate(COCO_17_FROM_18):
        out[j] = person.body[i, :2]
    out[17:23], out[23:91] = person.feet[:, :2], person.face[:68, :2]
    out[91:112], out[112:133] = person.left_hand[:, :2], person.right_hand[:, :2]
    return out


def save_onnx(path, shape, outputs: dict[str, np.ndarray]) -> None:
    """A network of one convolution with random weights that looks at its whole input and then says ``outputs``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)
    weights = [numpy_helper.from_array(rng.normal(0, 0.1, (4, 3, 3, 3)).astype(np.float32), "weight"),
               numpy_helper.from_array(np.zeros(1, np.float32), "nothing")]  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["input", "weight"], ["features"], strides=[8, 8]),
        helper.make_node("ReduceMean", ["features"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["silence"]),
    ]
    values = []
    for name, array in outputs.items():
        weights.append(numpy_helper.from_array(array.astype(np.float32), f"{name}_said"))
        nodes.append(helper.make_node("Add", [f"{name}_said", "silence"], [name]))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "made", [given], values, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))


@pytest.fixture
def dwpose_files(tmp_path, monkeypatch):
    """rtmlib, and the two files of DWPose: a detector that sees a bus and a person, a pose network that sees ``waving``."""
    from chibi_avatar.setup.wheel_models import wheel

    monkeypatch.syspath_prepend(str(wheel(*RTMLIB)))
    person = library.frame("waving", 288, 384, 7.0, "front").people[0]

    grid = np.zeros((1, 8400, 85))
    grid[..., 2:4] = -5

    def says(cell: int, box, kind: int, score: float) -> None:  # the first 6400 cells are an 80 x 80 grid of 8 pixels
        x0, y0, x1, y1 = box
        column, row = cell % 80, cell // 80
        grid[0, cell, :4] = (
            (x0 + x1) / 16 - column,
            (y0 + y1) / 16 - row,
            np.log((x1 - x0) / 8),
            np.log((y1 - y0) / 8),
        )
        grid[0, cell, 4], grid[0, cell, 5 + kind] = 1.0, score

    says(80 * 20 + 10, (100, 50, 340, 370), 0, 0.9)
    says(80 * 50 + 60, (400, 400, 600, 600), 5, 0.95)
    save_onnx(tmp_path / "yolox_l.onnx", [1, 3, 640, 640], {"output": grid})
    x, y = np.zeros((1, 133, 576)), np.zeros((1, 133, 768))
    for i, (px, py) in enumerate(whole_body(person)):
        x[0, i, int(round(2 * px))] = y[0, i, int(round(2 * py))] = 0.1 if i == 9 else 0.9  # the left wrist is unsure
    save_onnx(tmp_path / "dw-ll_ucoco_384.onnx", [1, 3, 384, 288], {"simcc_x": x, "simcc_y": y})
    return tmp_path, person


def test_dwpose_through_rtmlib(dwpose_files):
    """People who have DWPose get its 133 points on the right joints, from people only, and from the box they drew."""
    folder, person = dwpose_files
    picture = np.full((1, 640, 640, 3), 90, np.uint8)
    frames, report = detect_frames(picture, [folder], Request(most=5), "auto")
    assert "1 found by DWPose" in report, "the bus was taken for a person, or the person was not found"
    got = frames[0].people[0]
    # rtmlib widens the box (240 x 320) by a quarter to 300 x 400, the network's 288 x 384 lies over that
    to_picture = lambda points: (points - (144, 192)) * (300 / 288) + (220, 210)  # noqa: E731
    seen = [i for i in range(18) if i not in (1, 7)]
    assert np.abs(got.body[seen, :2] - to_picture(person.body[seen, :2])).max() < 1.0
    assert got.body[7, 2] == 0, "a point below the field's threshold was drawn"
    for part in ("left_hand", "right_hand", "feet"):
        assert np.abs(getattr(got, part)[:, :2] - to_picture(getattr(person, part)[:, :2])).max() < 1.0
    request = Request(boxes=((300, 300, 120, 160),), hands=False, face=False)
    boxed = detect_frames(picture, [folder], request, "dwpose")[0][0].people[0]
    middle = boxed.body[boxed.body[:, 2] > 0, :2].mean(0)
    assert np.abs(middle - (360, 380)).max() < 40
    assert boxed.left_hand is None and boxed.face is None


def test_a_damaged_dwpose_file_is_named(dwpose_files):
    """A download that was cut off must say which detector and which folder."""
    folder, _ = dwpose_files
    (folder / "yolox_l.onnx").write_bytes(b"cut off")
    with pytest.raises(PoseError, match="DWPose") as caught:
        detect_frames(np.zeros((1, 64, 64, 3), np.uint8), [folder], Request(), "dwpose")
    assert str(folder) in str(caught.value)


def test_openpose_through_controlnet_aux(tmp_path):
    """Its own loader has to take our folder: the three files at their full architecture, with random weights."""
    import torch
    from controlnet_aux.open_pose import BodyResult, Keypoint, PoseResult
    from controlnet_aux.open_pose.face import FaceNet
    from controlnet_aux.open_pose.model import bodypose_model, handpose_model

    torch.manual_seed(0)
    for name, model, cut in (
        ("body_pose_model.pth", bodypose_model(), 1),
        ("hand_pose_model.pth", handpose_model(), 1),
        ("facenet.pth", FaceNet(), 0),
    ):
        weights = {key.split(".", cut)[-1]: value.half() for key, value in model.state_dict().items()}
        torch.save(weights, tmp_path / name)
    picture = np.random.default_rng(0).integers(0, 255, (1, 96, 72, 3), np.uint8)
    frames, report = detect_frames(picture, [tmp_path], Request(most=3, boxes=((8, 8, 56, 72),)), "openpose")
    assert "OpenPose" in report or "nobody" in report
    assert all(person.body.shape == (18, 3) for person in frames[0].people)

    body = [Keypoint(0.1 * i, 0.05 * i) if i != 3 else None for i in range(18)]
    hand = [Keypoint(0.5, 0.25)] + [Keypoint(-1 / 200, -1 / 100)] * 20
    person = openpose.person_from(PoseResult(BodyResult(body, 9.0, 17), hand, None, None), 200, 100)
    assert person.body[2].tolist() == [40.0, 10.0, 1.0] and person.body[3].tolist() == [0, 0, 0]
    assert person.left_hand[0].tolist() == [100.0, 25.0, 1.0] and not person.left_hand[1:].any()
    assert person.right_hand is None and person.face is None


def test_frames_of_cores_sdpose_are_read(comfyui_path):
    """Core's own code turns SDPose's 133 points into POSE_KEYPOINT; read back, every part is on its side."""
    text = (comfyui_path / "comfy_extras" / "nodes_sdpose.py").read_text(encoding="utf-8")
    wanted = ("_preprocess_keypoints", "_to_openpose_frames")
    functions = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name in wanted]
    core: dict = {"np": np}
    exec(compile(ast.Module(functions, []), "nodes_sdpose.py", "exec"), core)  # noqa: S102
    person = library.frame("waving", 640, 448, 7.0).people[0]
    points = whole_body(person).astype(np.float32)
    scores = np.full(133, 0.93, np.float32)
    frames = core["_to_openpose_frames"]([[points]], [[scores]], 448, 640)
    read = parse(frames)[0]
    assert (read.width, read.height) == (640, 448)
    got = read.people[0]
    shoulders = [i for i in range(18) if i != 1]
    assert np.abs(got.body[shoulders, :2] - person.body[shoulders, :2]).max() <= 0.5
    for part in ("left_hand", "right_hand", "feet"):
        assert np.abs(getattr(got, part)[:, :2] - getattr(person, part)[:, :2]).max() <= 0.5, part
