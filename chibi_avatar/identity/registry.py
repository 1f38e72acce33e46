"""Face recognisers and detectors that the pack knows: by sha256, with the licence profile and the space each one speaks.

Two recognisers with 512 numbers each are not interchangeable: an adapter trained on one gives a stranger's face when it is
fed by another. The sha256 of the file decides; a file name proves nothing.

The bands are cosine similarities: above ``same`` two photos are of one person, below ``different`` of two people; between
them the recogniser cannot tell. ``w600k_mbf`` was measured (22 faces of one crowd picture: strangers .07 ± .08, the same person
.63), SFace's ``same`` is OpenCV's published threshold (.363), the others are the customary ones of their authors.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Recogniser:
    """A face recogniser: its embedding ``space`` and size, the profile it belongs to and its calibrated band."""

    key: str
    filename: str
    sha256: str
    dim: int
    profile: str
    same: float
    different: float
    licence: str


RECOGNISERS = (
    Recogniser("sface", "face_recognition_sface_2021dec.onnx", "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
               128, "clean", 0.363, 0.25, "Apache-2.0"),
    Recogniser("w600k_r50", "w600k_r50.onnx", "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
               512, "research", 0.35, 0.20, "non-commercial research (insightface)"),
    Recogniser("w600k_mbf", "w600k_mbf.onnx", "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
               512, "research", 0.40, 0.25, "non-commercial research (insightface)"),
    Recogniser("glintr100", "glintr100.onnx", "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
               512, "research", 0.35, 0.20, "non-commercial research (insightface)"),
)  # fmt: skip
BY_KEY = {item.key: item for item in RECOGNISERS}
BY_SHA256 = {item.sha256: item for item in RECOGNISERS}
BY_FILENAME = {item.filename: item for item in RECOGNISERS}

YUNET = ("face_detection_yunet_2023mar.onnx", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4")
PARSING = ("79999_iter.pth", "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567")
SCRFD_NAMES = ("det_10g.onnx", "det_500m.onnx", "det_2.5g.onnx", "scrfd_10g_bnkps.onnx", "scrfd_500m_bnkps.onnx")
GENDER_AGE = "genderage.onnx"
# Best first: FaceID adapters were trained on w600k_r50.
RESEARCH_ORDER = ("w600k_r50", "glintr100", "w600k_mbf")
FACE_FILES = (YUNET[0], PARSING[0], GENDER_AGE, *SCRFD_NAMES, *BY_FILENAME)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, modified: int) -> str:
    with open(path, "rb") as handle:
        digest = hashlib.sha256()
        for chunk in iter(lambda: handle.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file; remembered until its size or time changes."""
    stat = os.stat(path)
    return _digest(os.fspath(Path(path).resolve()), stat.st_size, stat.st_mtime_ns)


def find_file(name: str, folders: list[Path], *, cached: bool = False) -> Path | None:
    """``name`` in the folders or their sub-folders (``insightface/models/buffalo_l/…`` and nested copies).

    With ``cached`` also as the pack's cache names it, with a hash before: research files there were put by tests, not by the person. The first
    folder that has the file wins; inside one folder the shortest path does.
    """
    for folder in folders:
        if not folder.is_dir():
            continue
        found = [
            path
            for path in folder.rglob(f"*{name}")
            if path.is_file() and (path.name == name or (cached and path.name.endswith(f"-{name}")))
        ]
        if found:
            return min(found, key=lambda path: (len(path.parts), str(path)))
    return None


def face_files_mark(folders: Sequence[str | Path]) -> str:
    """Text that changes when a face model file in ``folders`` comes, goes or changes. Opens no file, never raises."""
    found = []
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                if name.endswith(FACE_FILES):
                    path = os.path.join(root, name)
                    try:
                        stat = os.stat(path)
                    except OSError:
                        continue  # it went away meanwhile
                    found.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return "\n".join(sorted(found))
