"""The face models of a profile: a detector and a recogniser from local files, loaded once, never downloaded.

``clean``: YuNet and SFace through OpenCV (MIT, Apache-2). ``research``: SCRFD and ArcFace through insightface's model classes and
onnxruntime (weights for non-commercial research only).
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from .detect import Detector
from .errors import IdentityError, MissingModelError
from .geometry import crop_face
from .model import Face, Guess
from .registry import (
    BY_FILENAME,
    BY_KEY,
    BY_SHA256,
    GENDER_AGE,
    PARSING,
    RESEARCH_ORDER,
    SCRFD_NAMES,
    YUNET,
    Recogniser,
    file_sha256,
    find_file,
)

_Model = TypeVar("_Model")
PROFILES = ("auto", "clean", "research")
_PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider",
              "DmlExecutionProvider", "OpenVINOExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider")  # fmt: skip
# Starting TensorRT costs minutes of engine building for a model that runs in milliseconds.
_SKIPPED = {"TensorrtExecutionProvider"}
# What the models of a profile run on: module, and the package that brings it.
_PACKAGES = {
    "clean": {"cv2": "opencv-python-headless"},
    "research": {"onnxruntime": "onnxruntime", "insightface.model_zoo": "insightface"},
}


def providers(available: Sequence[str] | None = None, device: str = "auto") -> list[str]:
    """Onnxruntime providers to ask for, best first, CPU always last. ``device="cpu"`` gives the CPU alone."""
    if available is None:
        import onnxruntime

        available = onnxruntime.get_available_providers()
    if device == "cpu":
        return ["CPUExecutionProvider"]
    chosen = [name for name in _PROVIDERS if name in available and name not in _SKIPPED]
    return chosen if "CPUExecutionProvider" in chosen else [*chosen, "CPUExecutionProvider"]


class _YuNet:
    name = "YuNet"
    sure = 0.88

    def __init__(self, path: Path) -> None:
        import cv2

        self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.6, 0.3, 200)
        self._lock = threading.Lock()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        import cv2

        with self._lock:
            self._net.setInputSize((image.shape[1], image.shape[0]))
            _, rows = self._net.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if rows is None:
            return np.zeros((0, 15))
        # YuNet: x, y, w, h, then points with the person's right eye (the left one in the picture) first, score last.
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        return np.hstack([boxes, rows[:, 14:15], rows[:, 4:14]])


class _Scrfd:
    sure = 0.75

    def __init__(self, path: Path, device: str) -> None:
        from insightface import model_zoo

        self._net = model_zoo.get_model(str(path), providers=providers(device=device))
        self._net.prepare(0 if device != "cpu" else -1, det_thresh=0.5, input_size=(640, 640))
        self.name = f"SCRFD ({path.name})"

    def __call__(self, image: np.ndarray) -> np.ndarray:
        side = 640 if max(image.shape[:2]) > 320 else 320
        boxes, points = self._net.detect(image[:, :, ::-1], input_size=(side, side))
        if len(boxes) == 0:
            return np.zeros((0, 15))
        return np.hstack([boxes[:, :5], points.reshape(len(boxes), 10)])


class _SFace:
    def __init__(self, path: Path, recogniser: Recogniser) -> None:
        import cv2

        self.recogniser = recogniser
        self._net = cv2.FaceRecognizerSF.create(str(path), "")
        self._lock = threading.Lock()

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray:
        with self._lock:
            return (
                self._net.feature(np.ascontiguousarray(crop_face(image, face.points, 112)[:, :, ::-1]))
                .reshape(-1)
                .astype(np.float32)
            )


class _ArcFace:
    def __init__(self, path: Path, recogniser: Recogniser, device: str) -> None:
        from insightface import model_zoo

        self.recogniser = recogniser
        self._net = model_zoo.get_model(str(path), providers=providers(device=device))

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray:
        crop = np.ascontiguousarray(crop_face(image, face.points, 112)[:, :, ::-1])
        return np.asarray(self._net.get_feat(crop)).reshape(-1).astype(np.float32)


class _GenderAge:
    """insightface's genderage.onnx: presentation and years. Poor on children and on crowds; its confidence says so."""

    def __init__(self, path: Path, device: str) -> None:
        from insightface import model_zoo

        self._net = model_zoo.get_model(str(path), providers=providers(device=device))

    def guess(self, image: np.ndarray, face: Face) -> dict[str, Guess]:
        """Presentation and age band; never surer than one half, so that a person's word and a second photo count for more."""
        gender, age = self._net.get(np.ascontiguousarray(image[:, :, ::-1]), _Row(bbox=face.box.astype(np.float32)))
        band = "youthful" if int(age) < 25 else "adult" if int(age) < 60 else "elder"
        return {
            "presentation": Guess("masculine" if int(gender) == 1 else "feminine", 0.5),
            "age_look": Guess(band, 0.4),
        }


class _Row(dict):
    def __getattr__(self, name: str):
        return self[name]

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value


@dataclass(frozen=True)
class FaceStack:
    """The models of one profile, ready to use. ``recognisers`` may be empty: detection and attributes still work."""

    profile: str
    detector: Detector
    recognisers: tuple
    hashes: dict[str, str]
    parser: object | None = None
    gender_age: object | None = None
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for the report."""
        names = ", ".join(item.recogniser.key for item in self.recognisers) or "no recogniser"
        parsing = ", BiSeNet parsing" if self.parser is not None else ""
        return f"profile {self.profile}: {self.detector.name} + {names}{parsing}"


_cache: dict[tuple, FaceStack] = {}
_cache_lock = threading.Lock()


def _recogniser_file(
    keys: Sequence[str], folders: list[Path], *, cached: bool = False
) -> list[tuple[Recogniser, Path, str]]:
    found = []
    for key in keys:
        path = find_file(BY_KEY[key].filename, folders, cached=cached)
        if path is not None:
            digest = file_sha256(path)
            known = BY_SHA256.get(digest)
            # A renamed file is what its bytes say; an unknown one keeps its name's key and its own hash, so that it matches only itself.
            found.append((known or BY_FILENAME[BY_KEY[key].filename], path, digest))
    return found


def installed_recognisers(folders: Sequence[str | Path]) -> dict[str, str]:
    """Key to sha256 of every recogniser file in ``folders``, to compare an identity card with."""
    found = _recogniser_file(tuple(BY_KEY), [Path(folder) for folder in folders], cached=True)
    return {known.key: digest for known, _, digest in reversed(found)}


def load_stack(folders: Sequence[str | Path], profile: str = "auto", device: str = "auto") -> FaceStack:
    """The face models found in ``folders``. ``auto`` takes the research models where a full set and its packages are there, else the clean ones.

    Raises :class:`MissingModelError`, naming the files, the folders and the command that fetches them, and ``ImportError`` naming the package.
    """
    places = [Path(folder) for folder in folders]
    scrfd = next((path for path in (find_file(name, places) for name in SCRFD_NAMES) if path is not None), None)
    research = _recogniser_file(RESEARCH_ORDER, places) if profile != "clean" else []
    yunet, clean = find_file(YUNET[0], places, cached=True), _recogniser_file(["sface"], places, cached=True)
    notes: tuple[str, ...] = ()
    if profile == "auto":
        profile = "research" if scrfd is not None and research else "clean"
        if profile == "research" and yunet is not None:
            try:
                _import_packages(profile)
            except ImportError as error:
                profile, notes = "clean", (f"{error}. Until then the clean face models are used.",)
    if profile == "research":
        if scrfd is None or not research:
            raise _missing(
                "research", [*(() if scrfd else ("det_10g.onnx",)), *(() if research else ("w600k_r50.onnx",))], places
            )
        needed: list[tuple[Recogniser, Path, str]] = research
    else:
        if yunet is None:
            raise _missing("clean", [YUNET[0], *(() if clean else ("face_recognition_sface_2021dec.onnx",))], places)
        needed = clean
    parsing = find_file(PARSING[0], places) if profile == "research" else None
    ages = find_file(GENDER_AGE, places) if profile == "research" else None
    detector = scrfd if profile == "research" else yunet
    files = (detector, parsing, ages)
    key = (profile, device, *(item[2] for item in needed), *(path and (str(path), file_sha256(path)) for path in files))
    with _cache_lock:
        if key not in _cache:
            _cache.clear()
            _cache[key] = _load(profile, device, detector, needed, parsing, ages)
        stack = _cache[key]
    return replace(stack, notes=(*stack.notes, *notes)) if notes else stack


def _import_packages(profile: str) -> None:
    """Import what a profile's models run on, so that a broken package is not taken for a damaged file. Raises ``ImportError`` naming it."""
    for module, package in _PACKAGES[profile].items():
        try:
            importlib.import_module(module)
        except Exception as error:  # compiled packages raise whatever they like
            raise ImportError(
                f"the {profile} face models need the Python package {package}, which cannot be imported ({_first_line(error)}): "
                f"run `python3 -m pip install --upgrade {package}` with ComfyUI's Python and restart ComfyUI",
                name=module,
            ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__


def _opened(make: Callable[..., _Model], path: Path, *arguments: object) -> _Model:
    """A model from its file. Raises :class:`IdentityError` naming file, folder and fix when the file is damaged or another network."""
    try:
        return make(path, *arguments)
    except (IdentityError, ImportError):
        raise
    except Exception as error:
        raise IdentityError(
            f"{path.name} in {path.parent} cannot be loaded as a face model ({_first_line(error)}): delete it and download it again"
        ) from error


def _load(profile, device, detector_path, needed, parsing, ages) -> FaceStack:
    _import_packages(profile)
    notes: list[str] = []
    if profile == "clean":
        recognisers = tuple(_opened(_SFace, path, known) for known, path, _ in needed)
        detector: Detector = _opened(_YuNet, detector_path)
        if not needed:
            notes.append(
                "face_recognition_sface_2021dec.onnx is not there: faces are found but cannot be compared or fused by likeness."
            )
    else:
        detector = _opened(_Scrfd, detector_path, device)
        recognisers = tuple(_opened(_ArcFace, path, known, device) for known, path, _ in needed)
    parser = None
    if parsing is not None:
        from .parsing import FaceParser

        if file_sha256(parsing) == PARSING[1]:
            parser = FaceParser(parsing)
        else:
            notes.append(f"{parsing}: not the known face-parsing weights (sha256 differs); read without them.")
    hashes = {known.key: digest for known, _, digest in needed}
    for known, path, digest in needed:
        if digest != known.sha256:
            notes.append(
                f"{path}: not the published {known.filename} (sha256 {digest[:12]}…); its identities match only this file."
            )
    return FaceStack(
        profile,
        detector,
        recognisers,
        hashes,
        parser,
        _opened(_GenderAge, ages, device) if ages else None,
        tuple(notes),
    )


def _missing(profile: str, names: Sequence[str], places: Sequence[Path]) -> MissingModelError:
    looked = ", ".join(str(place) for place in places) or "no folder"
    how = (
        "run `python3 -m chibi_avatar models download yunet sface`"
        if profile == "clean"
        else "download buffalo_l from insightface's releases (non-commercial use) and unpack it in models/insightface/models/buffalo_l"
    )
    return MissingModelError(f"the {profile} face models {', '.join(names)} were not found in {looked}: {how}")
