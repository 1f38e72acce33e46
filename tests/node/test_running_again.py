"""What makes ComfyUI run a node again. It asks with the widgets' values; a connected input is there as None, an empty one is not there."""

from __future__ import annotations

import pytest
from chibi_testing import pack


@pytest.fixture(scope="module")
def node(comfyui_path, root):
    """A node class of the pack by its room and name."""
    return lambda room, name: getattr(pack.load(comfyui_path, root, f"nodes.{room}"), name)


@pytest.fixture
def models(node, tmp_path, monkeypatch):
    """An empty folder, the only one that is searched for face models."""
    monkeypatch.setitem(node("identity", "face_models_mark").__globals__, "face_folders", lambda: [str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize(
    ("room", "name", "inputs"),
    [
        ("identity", "ChibiFaceAnalyze", {"image": None, "choose": "index", "index": 0, "profile": None}),
        ("identity", "ChibiIdentityScore", {"image": None, "identity": None}),
        ("identity_adapter", "ChibiApplyIdentity", {"model": None, "adapter": None, "image": None, "weight": 0.8}),
    ],
)
def test_downloaded_face_models_are_used_on_the_next_run(node, models, room, name, inputs):
    """The report says what to download; after that, Run would show the same report until a restart."""
    asked = node(room, name).fingerprint_inputs
    before = asked(**inputs)
    (models / "notes.txt").write_text("nothing to do with it")
    assert asked(**inputs) == before
    (models / "buffalo_l").mkdir()
    (models / "buffalo_l" / "det_10g.onnx").write_bytes(b"half")
    half = asked(**inputs)
    (models / "buffalo_l" / "det_10g.onnx").write_bytes(b"the whole")
    assert len({before, half, asked(**inputs)}) == 3
    (models / "0ba9fb-face_recognition_sface_2021dec.onnx").write_bytes(b"as the pack's cache names it")
    assert asked(**inputs) not in (before, half)


def test_a_new_face_model_does_not_sample_pictures_again(node, models):
    """Minutes of sampling, though the identity that is applied came from a card."""
    asked = node("identity_adapter", "ChibiApplyIdentity").fingerprint_inputs
    before = asked(model=None, adapter=None, identity=None, image=None)
    (models / "det_10g.onnx").write_bytes(b"new")
    assert asked(model=None, adapter=None, identity=None, image=None) == before


def test_connected_text_does_not_run_everything_again(node, tmp_path, monkeypatch):
    """ComfyUI takes an error here for "changed": every Run would sample the picture again. A connected name could not be queued at all."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    pose, card = node("pose", "ChibiPoseLoad"), node("identity", "ChibiLoadIdentity")
    assert pose.fingerprint_inputs(file="none", pose_json=None, width=0, height=0)
    assert pose.fingerprint_inputs(file=None, pose_json="", width=0, height=0)
    assert card.validate_inputs(name=None) is True
    before = card.fingerprint_inputs(name=None)
    (tmp_path / "input" / "identities").mkdir(parents=True)
    for ending in (".json", ".safetensors"):
        (tmp_path / "input" / "identities" / f"Dr. Who{ending}").write_bytes(b"a card")
    after = card.fingerprint_inputs(name=None)
    assert after != before and after == card.fingerprint_inputs(name="Dr. Who")
