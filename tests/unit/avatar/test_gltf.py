"""The GLB reader and writer: what it keeps, what it refuses."""

from __future__ import annotations

import json
import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.gltf import Container, GltfError, accessor, read_file, read_glb, splice_json, write_glb
from chibi_avatar.avatar.gltf_build import Builder
from chibi_avatar.avatar.load import load_avatar, load_file
from chibi_avatar.avatar.model import Avatar, AvatarError

from . import hostile


@pytest.fixture(scope="module")
def sound(figure: Avatar) -> bytes:
    """A VRM 1.0 of the small figure."""
    return export_avatar(figure, version="1.0").vrms["1.0"]


def test_reading_and_writing_gives_the_same_bytes() -> None:
    """A file that passes through must not lose another tool's chunk, spacing or number spelling."""
    data = hostile.vroid_like()
    assert write_glb(read_glb(data)) == data
    assert read_glb(data).extra_chunks == [(0x21212121, b"other tool's chunk!!")]


def test_splice_changes_only_the_named_values() -> None:
    """An edit of one number must not respell the others: 1.50 stays 1.50, escapes stay escapes."""
    text = b'{ "a" : [1.50, {"b":2e-3 , "c":"\\u9375"}], "a2":{}, "d" : "x,}]" }'
    assert (
        splice_json(text, {("a", 1, "b"): 7, ("d",): [1]})
        == b'{ "a" : [1.50, {"b":7 , "c":"\\u9375"}], "a2":{}, "d" : [1] }'
    )
    assert splice_json(text, {("a2", "new"): 1, ("a", 1, "n"): "z"}) == (
        b'{ "a" : [1.50, {"n":"z","b":2e-3 , "c":"\\u9375"}], "a2":{"new":1}, "d" : "x,}]" }'
    )
    assert splice_json(text, {}) == text
    assert splice_json(
        b'{"v": [{"n":1} ], "e":[]}', {("v", 0, "n"): 2, ("v", 2): 4, ("v", 1): 3, ("e", 0): "\ud83d"}
    ) == (b'{"v": [{"n":2} ,3,4], "e":["\\ud83d"]}')
    assert splice_json(b"{}", {("a",): 1, ("b",): 2}) == b'{"a":1,"b":2}'
    with pytest.raises(GltfError, match="nothing at"):
        splice_json(text, {("a", 9): 1})


def test_accessors_of_every_kind_read_back() -> None:
    """Interleaved, sparse and normalised data are how other programs store meshes."""
    builder = Builder("test")
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    plain = builder.accessor(values, "VEC3", bounds=True)
    thin = np.zeros((100, 3), np.float32)
    thin[[3, 77]] = [[1, 2, 3], [4, 5, 6]]
    sparse = builder.sparse(thin, "VEC3", np.array([3, 77]))
    empty = builder.sparse(np.zeros((9, 3), np.float32), "VEC3", np.zeros(0, np.int64))
    view = builder.view(np.arange(32, dtype=np.uint8).tobytes())
    builder.document["bufferViews"][view]["byteStride"] = 8
    strided = builder.add(
        "accessors",
        {"bufferView": view, "byteOffset": 2, "componentType": 5121, "count": 4, "type": "VEC4", "normalized": True},
    )
    container = read_glb(builder.finish())
    assert np.array_equal(accessor(container, plain), values)
    assert np.array_equal(accessor(container, sparse), thin)
    assert not accessor(container, empty).any()
    expected = (np.arange(4)[:, None] * 8 + 2 + np.arange(4)) / 255
    assert np.allclose(accessor(container, strided), expected)


def test_every_damaged_file_is_refused_at_once(sound: bytes) -> None:
    """A stranger's file must end in a clear message, never in a crash, a hang or a swollen process."""
    for name, data in hostile.damaged(sound).items():
        started = time.perf_counter()
        try:
            load_avatar(data, "bad", i_am_the_author=True)
            pytest.fail(f"{name}: accepted")
        except AvatarError as error:
            assert len(str(error)) > 15, name
        assert time.perf_counter() - started < 1.0, name


@pytest.mark.parametrize("name", ["Draco", "meshopt", "KTX2"])
def test_compression_is_refused_by_name(sound: bytes, name: str) -> None:
    """The person must learn which box to untick in their export dialog."""
    with pytest.raises(AvatarError, match=rf"(?i){name}.*export|basisu.*export"):
        load_avatar(hostile.damaged(sound)[name], "bad", i_am_the_author=True)


def test_mutated_files_never_crash(figure: Avatar) -> None:
    """Random damage, in the bytes or in the JSON's numbers, gives an avatar or a clear error, nothing else, each
    within a second."""
    bases = [hostile.vroid_like(), export_avatar(figure, version="0.x").vrms["0.x"][:]]
    rng = random.Random(7)
    refused = 0
    for round_ in range(300):
        base = bases[round_ % 4 == 0]
        data = _mutate(rng, base)
        started = time.perf_counter()
        try:
            load_avatar(data, "fuzz", i_am_the_author=True)
        except AvatarError:
            refused += 1
        assert time.perf_counter() - started < 1.0
    assert refused > 100


def _mutate(rng: random.Random, base: bytes) -> bytes:
    container = read_glb(base)
    kind = rng.randrange(4)
    if kind == 0:
        data = bytearray(base)
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    if kind == 1:
        return base[: rng.randrange(len(base))]
    if kind == 2:
        binary = bytearray(container.binary)
        for _ in range(rng.randrange(1, 40)):
            at = rng.randrange(len(binary) - 4)
            binary[at : at + 4] = struct.pack(
                "<I", rng.choice([0, 0xFFFFFFFF, 0x7FC00000, 0x7F7FFFFF, rng.getrandbits(32)])
            )
        return write_glb(Container(container.json_bytes, {}, bytes(binary), True))
    document = json.loads(container.json_bytes)
    for _ in range(rng.randrange(1, 6)):
        spots: list[tuple[dict | list, str | int]] = []
        _collect(document, spots)
        owner, key = rng.choice(spots)
        owner[key] = rng.choice(
            [None, -1, 0, 1, 3.5, 1 << 31, 1 << 40, 1e30, True, "x", "../../x", [], {}, [[]], {"node": 0}]
        )
    return write_glb(Container(json.dumps(document).encode(), {}, container.binary, True))


def _collect(value: dict | list, spots: list[tuple[dict | list, str | int]]) -> None:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        spots.append((value, key))
        if isinstance(item, (dict, list)):
            _collect(item, spots)


def test_a_file_of_500_megabytes_is_refused_unread(tmp_path: Path) -> None:
    """Picking the wrong file must not fill the memory."""
    path = tmp_path / "big.vrm"
    with open(path, "wb") as handle:
        handle.truncate(500_000_000)
    started = time.perf_counter()
    with pytest.raises(AvatarError, match=r"big\.vrm: 476 MB is too large"):
        load_file(str(path))
    assert time.perf_counter() - started < 1.0


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    """The message must say which file."""
    (tmp_path / "empty.glb").write_bytes(b"")
    with pytest.raises(AvatarError, match=r"empty\.glb: the file is empty"):
        read_file(tmp_path / "empty.glb")
    with pytest.raises(AvatarError, match=r"gone\.glb: there is no such file"):
        read_file(tmp_path / "gone.glb")
    with pytest.raises(AvatarError, match="no such file"):
        read_file(tmp_path)
