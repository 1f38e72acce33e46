"""Photos and drawings to keypoints, by whichever detector is installed and has its model files."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import library
from ..keypoints import Frame, Person, PoseError, body_from

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Request:
    """What to look for in a picture: how many people, in which ``boxes`` (x, y, width, height), or in the ``whole`` picture."""

    most: int = 1
    boxes: tuple[Box, ...] = ()
    whole: bool = False
    hands: bool = True
    face: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class Backend:
    """A detector. ``files`` are looked up in ``folders``; ``module`` has to be importable."""

    name: str
    label: str
    module: str | None
    files: tuple[str, ...]
    fetch: str
    run: Callable[[np.ndarray, Path, Request], list[Person]]

    def folder(self, folders: Sequence[Path]) -> Path | None:
        """The first folder that has all of this detector's files."""
        return next((f for f in folders if all((f / name).is_file() for name in self.files)), None)

    def missing(self, folders: Sequence[Path]) -> str | None:
        """Why this detector cannot run, and what to do; None when it can."""
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            return f"{self.label} needs the Python package '{self.module.replace('_', '-')}'"
        if self.folder(folders) is None:
            where = folders[0] if folders else Path("models/chibi_pose")
            return f"{self.label} needs {', '.join(self.files)} in {where}. {self.fetch}"
        return None


def _blazepose(picture: np.ndarray, folder: Path, request: Request) -> list[Person]:
    from . import blazepose

    found = blazepose.detect(
        picture, folder, request.boxes, request.most, request.whole, request.hands, request.face, request.device
    )
    return [one.person for one in found]


def _rtmlib(picture: np.ndarray, folder: Path, request: Request) -> list[Person]:
    from rtmlib import Wholebody

    model = Wholebody(
        det=str(folder / "yolox_l.onnx"),
        det_input_size=(640, 640),
        pose=str(folder / "dw-ll_ucoco_384.onnx"),
        pose_input_size=(288, 384),
        to_openpose=False,
        backend="onnxruntime",
        device="cpu",
    )
    points, scores = model(np.ascontiguousarray(picture[..., ::-1]))
    people = []
    for xy, score in zip(np.asarray(points, float), np.asarray(scores, float), strict=True):
        rows = np.column_stack([xy, np.where(score >= 0.3, np.clip(score, 0, 1), 0)])
        parts = body_from(rows * (rows[:, 2:] > 0), "rtmlib")
        people.append(Person(**{k: v for k, v in parts.items() if k == "body" or (v[:, 2] > 0).any()}))
    return people[: request.most]


def _controlnet_aux(picture: np.ndarray, folder: Path, request: Request) -> list[Person]:
    from controlnet_aux.open_pose import OpenposeDetector

    height, width = picture.shape[:2]
    detector = OpenposeDetector.from_pretrained(str(folder))

    def points(keypoints: Sequence | None, count: int) -> np.ndarray | None:
        if not keypoints:
            return None
        out = np.zeros((count, 3))
        for i, point in enumerate(keypoints[:count]):
            if point is not None and point.x >= 0 and point.y >= 0:
                out[i] = (point.x * width, point.y * height, 1.0)
        return out if (out[:, 2] > 0).any() else None

    people = []
    for pose in detector.detect_poses(picture, include_hand=request.hands, include_face=request.face)[: request.most]:
        body = points(pose.body.keypoints, 18)
        if body is not None:
            people.append(Person(body, points(pose.face, 70), points(pose.left_hand, 21), points(pose.right_hand, 21)))
    return people


_FETCH = (
    "Fetch them with: python3 -m chibi_avatar models download "
    "blazepose-detector blazepose-landmarks mediapipe-hands mediapipe-face-mesh"
)
BACKENDS: dict[str, Backend] = {
    b.name: b
    for b in (
        Backend(
            "dwpose",
            "DWPose (rtmlib)",
            "rtmlib",
            ("dw-ll_ucoco_384.onnx", "yolox_l.onnx"),
            "Both come from yzd-v/DWPose on Hugging Face.",
            _rtmlib,
        ),
        Backend(
            "blazepose", "BlazePose", None, ("pose_detection.tflite", "pose_landmark_full.tflite"), _FETCH, _blazepose
        ),
        Backend(
            "openpose",
            "OpenPose (controlnet_aux)",
            "controlnet_aux",
            ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
            "They come from lllyasviel/Annotators on Hugging Face.",
            _controlnet_aux,
        ),
    )
}  # in the order of preference


def choose(name: str, folders: Sequence[Path]) -> Backend:
    """The detector ``name``, or for "auto" the first that can run. Raises :class:`PoseError` that says what to install."""
    if name != "auto":
        if name not in BACKENDS:
            raise PoseError(f"detector: {name!r} is not one of auto, {', '.join(BACKENDS)}")
        reason = BACKENDS[name].missing(folders)
        if reason:
            raise PoseError(reason)
        return BACKENDS[name]
    for backend in BACKENDS.values():
        if backend.missing(folders) is None:
            return backend
    raise PoseError(f"no pose detector can run. {BACKENDS['blazepose'].missing(folders)}")


def detect_frames(
    pictures: np.ndarray, folders: Sequence[Path], request: Request, name: str = "auto"
) -> tuple[list[Frame], str]:
    """Poses in (B, H, W, 3) uint8 RGB pictures, and a report line for each.

    A picture with nobody in it gives an editable T-pose and says so. Raises :class:`PoseError` when no detector can run.
    """
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or not pictures.size:
        raise PoseError(f"image: expected a batch of RGB pictures, got an array of shape {pictures.shape}")
    backend = choose(name, folders)
    folder = backend.folder(folders)
    assert folder is not None
    frames, lines = [], []
    for index, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        people = backend.run(picture, folder, request)
        if not people and not request.whole and not request.boxes:
            people = backend.run(picture, folder, Request(**{**request.__dict__, "whole": True}))
        if people:
            lines.append(f"picture {index + 1}: {len(people)} found by {backend.label}")
        else:
            people = list(library.frame("t_pose", width, height, 7.0, with_face=False).people)
            lines.append(
                f"picture {index + 1}: nobody was found, a T-pose stands in. Give a box or a mask around the figure, "
                "try whole_image for a drawn character, or pose it in Chibi Pose Editor."
            )
        frames.append(Frame(width, height, tuple(people)))
    return frames, "\n".join(lines)
