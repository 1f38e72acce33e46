"""Photos and drawings to keypoints, by whichever detector is installed and has its model files."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import library
from ..keypoints import Frame, Person, PoseError

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Request:
    """What to look for in a picture: how many people, in which ``boxes`` (x, y, width, height), or in the ``whole``
    picture.
    """

    most: int = 1
    boxes: tuple[Box, ...] = ()
    whole: bool = False
    hands: bool = True
    face: bool = True
    device: str = "cpu"


Detector = Callable[[np.ndarray, Request], list[Person]]


@dataclass(frozen=True)
class Backend:
    """A detector. ``files`` are looked up in ``folders``; ``module`` has to be importable; ``opened`` loads the files of a
    folder; ``fetch`` is the command that gets them into ``{folder}``.
    """

    name: str
    label: str
    module: str | None
    files: tuple[str, ...]
    fetch: str
    opened: Callable[[Path], Detector]

    def folder(self, folders: Sequence[Path]) -> Path | None:
        """The first folder that has all of this detector's files."""
        return next((f for f in folders if all((f / name).is_file() for name in self.files)), None)

    def missing(self, folders: Sequence[Path]) -> str | None:
        """Why this detector cannot run, and what to do; None when it can."""
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            package = self.module.replace("_", "-")
            return (
                f"{self.label} needs the Python package '{package}'. Install it with: python -m pip install {package}"
            )
        if self.folder(folders) is None:
            where = folders[0] if folders else Path("models/chibi_pose")
            return f"{self.label} needs {', '.join(self.files)} in {where}. Fetch them with: {self.fetch.format(folder=where)}"
        return None


def _opener(module: str) -> Callable[[Path], Detector]:
    return lambda folder: importlib.import_module(f"{__name__}.{module}").opened(folder)


_FETCH = (
    "python3 -m chibi_avatar models download blazepose-detector blazepose-landmarks mediapipe-hands mediapipe-face-mesh"
)
BACKENDS: dict[str, Backend] = {
    b.name: b
    for b in (
        Backend(
            "dwpose",
            "DWPose (rtmlib)",
            "rtmlib",
            ("dw-ll_ucoco_384.onnx", "yolox_l.onnx"),
            "hf download yzd-v/DWPose dw-ll_ucoco_384.onnx yolox_l.onnx --local-dir '{folder}'",
            _opener("dwpose"),
        ),
        Backend(
            "blazepose",
            "BlazePose",
            None,
            ("pose_detection.tflite", "pose_landmark_full.tflite"),
            _FETCH,
            _opener("blazepose"),
        ),
        Backend(
            "openpose",
            "OpenPose (controlnet_aux)",
            "controlnet_aux",
            ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
            "hf download lllyasviel/Annotators body_pose_model.pth hand_pose_model.pth facenet.pth --local-dir '{folder}'",
            _opener("openpose"),
        ),
    )
}  # in the order of preference


def choose(name: str, folders: Sequence[Path]) -> Backend:
    """The detector ``name``, or for "auto" the first that has all it needs. Raises :class:`PoseError` that says what to
    install.
    """
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


def _open(backend: Backend, folders: Sequence[Path]) -> Detector:
    folder = backend.folder(folders)
    assert folder is not None
    try:
        return backend.opened(folder)
    except PoseError:
        raise
    except Exception as error:  # other people's packages raise whatever they like
        said = " ".join(str(error).split())[:200]
        raise PoseError(
            f"detector: {backend.label} does not start with its files in {folder} ({type(error).__name__}: {said}). "
            "Update its package or fetch the files again, or choose another detector."
        ) from error


def _start(name: str, folders: Sequence[Path]) -> tuple[Backend, Detector, list[str]]:
    """The detector ``name``, loaded, and report lines. For "auto" the first that starts, with a line for each that does not."""
    chosen = choose(name, folders)
    ready = [b for b in BACKENDS.values() if b.missing(folders) is None] if name == "auto" else [chosen]
    failed: list[str] = []
    last: PoseError | None = None
    for backend in ready:
        try:
            return backend, _open(backend, folders), [f"{reason} {backend.label} is used instead." for reason in failed]
        except PoseError as error:
            failed.append(f"{str(error).rstrip('.')}.")
            last = error
    raise PoseError(" ".join(failed)) from last


def detect_frames(
    pictures: np.ndarray, folders: Sequence[Path], request: Request, name: str = "auto"
) -> tuple[list[Frame], str]:
    """Poses in (B, H, W, 3) uint8 RGB pictures, and a report line for each, after one for each detector that "auto" had to leave out.

    A picture with nobody in it gives an editable T-pose and says so. Raises :class:`PoseError` when no detector can
    run.
    """
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or not pictures.size:
        raise PoseError(f"image: expected a batch of RGB pictures, got an array of shape {pictures.shape}")
    backend, detector, lines = _start(name, folders)
    frames = []
    for index, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        people = detector(picture, request)
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
