"""GLB containers: read with every length checked, change a few numbers and image bytes, write everything else back
byte for byte.

Binary glTF 2.0, https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#glb-file-format-specification. Nothing
here knows VRM.
Whatever a stranger's file claims is checked against what the file holds before memory is spent on it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json.decoder import scanstring
from typing import Any

import numpy as np

from .model import AvatarError

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_JSON_BYTES = 24 * 1024 * 1024
MAX_ELEMENTS = 8_000_000  # components of one accessor, after sparse expansion

_MAGIC = 0x46546C67
_JSON = 0x4E4F534A
_BIN = 0x004E4942

COMPONENT = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
SHAPE = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_SPACE = " \t\r\n"


class GltfError(AvatarError):
    """A file is not a usable GLB. The message says what is wrong and where."""


@dataclass
class Container:
    """A GLB taken apart: the JSON's own bytes, the same parsed, the binary chunk, and chunks that glTF does not
    define."""

    json_bytes: bytes
    document: dict[str, Any]
    binary: bytes = b""
    has_binary: bool = False
    extra_chunks: list[tuple[int, bytes]] = field(default_factory=list)
    _buffers: dict[int, bytes] = field(default_factory=dict, repr=False)
    _checked: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False, compare=False)

    def items(self, key: str) -> list[dict[str, Any]]:
        """The array ``key`` of the document, [] when absent. Raises :class:`GltfError` when it is not an array of
        objects."""
        value = self.document.get(key, [])
        # Remembered: a file of thousands of primitives asks thousands of times.
        if key not in self._checked or self._checked[key] is not value:
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                raise GltfError(f"{key}: expected an array of objects")
            self._checked[key] = value
        return value

    def item(self, key: str, index: Any, where: str) -> dict[str, Any]:
        """Entry ``index`` of the array ``key``; ``where`` names who asks. Raises :class:`GltfError` for a bad index."""
        values = self.items(key)
        if not is_index(index, len(values)):
            raise GltfError(f"{where}: {key}[{str(index)[:20]}] does not exist (the file has {len(values)})")
        return values[index]


def is_index(value: Any, count: int) -> bool:
    """Whether ``value`` is an integer (not a bool) from 0 to ``count`` - 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count


def number(value: Any, default: float) -> float:
    """A number of the JSON as a float; ``default`` for anything else and for what no avatar needs (1e9 and more)."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9:
        return float(value)
    return default


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:20]} is out of range")
    return value


def parse_json(data: bytes) -> dict[str, Any]:
    """The JSON chunk as a dictionary. Refuses NaN, infinities, absurd nesting, and anything but an object."""
    if len(data) > MAX_JSON_BYTES:
        raise GltfError(f"the JSON chunk is {len(data) >> 20} MB; at most {MAX_JSON_BYTES >> 20} MB is read")
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_reject_constant, parse_float=_finite_float)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise GltfError(f"the JSON chunk cannot be read: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise GltfError("the JSON chunk is not an object")
    return document


def read_file(path: str | os.PathLike[str], limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of ``path``. Raises :class:`GltfError` when it is missing, empty, not a file or larger than
    ``limit``."""
    name = os.path.basename(os.fspath(path))
    try:
        if not os.path.isfile(path):
            raise GltfError(f"{name}: there is no such file")
        size = os.path.getsize(path)
        if size == 0:
            raise GltfError(f"{name}: the file is empty (0 bytes)")
        if size > limit:
            raise GltfError(f"{name}: {size >> 20} MB is too large; at most {limit >> 20} MB is read")
        with open(path, "rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise GltfError(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise GltfError(f"{name}: the file is too large; at most {limit >> 20} MB is read")
    return data


def read_glb(data: bytes) -> Container:
    """Take a GLB apart. Raises :class:`GltfError` for wrong magic, version, lengths, chunk order or JSON."""
    if len(data) > MAX_FILE_BYTES:
        raise GltfError(f"{len(data) >> 20} MB is too large; at most {MAX_FILE_BYTES >> 20} MB is read")
    if len(data) < 20:
        raise GltfError(f"not a GLB: only {len(data)} bytes, the header alone takes 20")
    magic, version, length = struct.unpack_from("<III", data)
    if magic != _MAGIC:
        if data.lstrip()[:1] == b"{":
            raise GltfError("this is a .gltf text file with loose parts; export it as one .glb or .vrm file")
        raise GltfError("not a GLB: the file does not start with 'glTF'")
    if version != 2:
        raise GltfError(f"GLB version {version} is not supported, only 2")
    if length != len(data):
        raise GltfError(f"the header says {length} bytes, the file has {len(data)}: it is truncated or damaged")
    chunks: list[tuple[int, bytes]] = []
    offset = 12
    while offset < length:
        if offset + 8 > length:
            raise GltfError(f"a chunk header at byte {offset} is cut off")
        size, kind = struct.unpack_from("<II", data, offset)
        offset += 8
        if size > length - offset:
            raise GltfError(f"the chunk at byte {offset - 8} claims {size} bytes, {length - offset} are left")
        if len(chunks) >= 64:
            raise GltfError("more than 64 chunks")
        chunks.append((kind, data[offset : offset + size]))
        offset += size
    if not chunks or chunks[0][0] != _JSON:
        raise GltfError("the first chunk is not JSON")
    has_binary = len(chunks) > 1 and chunks[1][0] == _BIN
    container = Container(
        chunks[0][1],
        parse_json(chunks[0][1]),
        chunks[1][1] if has_binary else b"",
        has_binary,
        chunks[2 if has_binary else 1 :],
    )
    asset = container.document.get("asset")
    if not isinstance(asset, dict) or not str(asset.get("version", "")).startswith("2."):
        raise GltfError("asset.version is not 2.x: this is not a glTF 2.0 file")
    return container


def write_glb(container: Container) -> bytes:
    """The GLB of ``container``: its JSON bytes as they are (spaces up to a multiple of 4), its chunks as they are."""
    json_bytes = container.json_bytes + b" " * (-len(container.json_bytes) % 4)
    parts = [struct.pack("<II", len(json_bytes), _JSON), json_bytes]
    if container.has_binary or container.binary:
        binary = container.binary + bytes(-len(container.binary) % 4)
        parts += [struct.pack("<II", len(binary), _BIN), binary]
    for kind, chunk in container.extra_chunks:
        parts += [struct.pack("<II", len(chunk), kind), chunk]
    total = 12 + sum(len(part) for part in parts)
    if total >= 1 << 32:
        raise GltfError("a GLB cannot be larger than 4 GB")
    return b"".join([struct.pack("<III", _MAGIC, 2, total), *parts])


def splice_json(data: bytes, changes: Mapping[tuple[str | int, ...], Any]) -> bytes:
    """``data`` with the values at some paths replaced; every other byte (spacing, number spelling, duplicates) stays.

    ``changes`` maps a path such as ``("bufferViews", 3, "byteLength")`` to its new value. A missing last key is added,
    and so are entries that follow the last one of an array.
    """
    text = data.decode("utf-8")
    edits: list[tuple[int, int, str]] = []
    decoder = json.JSONDecoder()

    def skip(at: int) -> int:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        return at

    def walk(at: int, pending: dict[tuple[str | int, ...], Any]) -> int:
        at = skip(at)
        if () in pending:
            end = decoder.raw_decode(text, at)[1]
            edits.append((at, end, json.dumps(pending[()], allow_nan=False)))
            return end
        is_object = text[at] == "{"
        wanted: dict[str | int, dict[tuple[str | int, ...], Any]] = {}
        for path, value in pending.items():
            wanted.setdefault(path[0], {})[path[1:]] = value
        missing = dict(wanted)
        opening, index, at = at, 0, skip(at + 1)
        while text[at] not in "}]":
            key: str | int = index
            if is_object:
                key, at = scanstring(text, at + 1, True)
                at = skip(skip(at) + 1)
            if key in wanted:
                missing.pop(key, None)
                at = walk(at, wanted[key])
            else:
                at = decoder.raw_decode(text, at)[1]
            at = skip(at)
            if text[at] == ",":
                at = skip(at + 1)
            index += 1
        new = []
        for key in missing if is_object else sorted(missing):
            if () not in missing[key] or (not is_object and key != index + len(new)):
                raise GltfError(f"the JSON has nothing at {'/'.join(map(str, (key, *next(iter(missing[key])))))}")
            value = json.dumps(missing[key][()], allow_nan=False)
            new.append(f"{json.dumps(key)}:{value}" if is_object else value)
        if new and is_object:
            edits.append((opening + 1, opening + 1, ",".join(new) + ("," if index else "")))
        elif new:
            edits.append((at, at, ("," if index else "") + ",".join(new)))
        return at + 1

    if changes:
        walk(0, dict(changes))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text.encode("utf-8")


def _integer(owner: Mapping[str, Any], key: str, where: str, default: int | None = None) -> int:
    value = owner.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise GltfError(f"{where}.{key}: expected a whole number, got {str(value)[:20]!r}")
    return value


def buffer_view(container: Container, index: Any, where: str = "bufferView") -> memoryview:
    """The bytes of buffer view ``index``. Only the GLB's own binary chunk and data URIs are buffers; other URIs are
    refused."""
    view = container.item("bufferViews", index, where)
    name = f"bufferViews[{index}]"
    extensions = view.get("extensions")
    for extension in extensions if isinstance(extensions, Mapping) else ():
        if "meshopt" in extension:
            raise GltfError(f"{extension} compression is not supported: export the file without mesh compression")
    number = _integer(view, "buffer", name)
    buffer = container.item("buffers", number, name)
    size = _integer(buffer, "byteLength", f"buffers[{number}]")
    if buffer.get("uri") is None:
        if number != 0:
            raise GltfError(f"buffers[{number}] has no bytes in this file")
        data: bytes = container.binary
    else:
        if number not in container._buffers:
            container._buffers[number] = data_uri(buffer["uri"], f"buffers[{number}]")
        data = container._buffers[number]
    if size > len(data):
        raise GltfError(f"buffers[{number}] claims {size} bytes, {len(data)} are there")
    start, length = _integer(view, "byteOffset", name, 0), _integer(view, "byteLength", name)
    if start + length > size:
        raise GltfError(f"{name} ends at byte {start + length} of a buffer of {size}")
    return memoryview(data)[start : start + length]


def data_uri(uri: Any, where: str) -> bytes:
    """The bytes of a base64 data URI. Every other URI is refused: a GLB must not make us open other files or
    addresses."""
    if not isinstance(uri, str) or not uri.startswith("data:"):
        raise GltfError(f"{where} refers to another file ({str(uri)[:60]!r}); export everything into one .glb or .vrm")
    head, comma, body = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise GltfError(f"{where}: a data URI must be base64")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise GltfError(f"{where}: the base64 data is damaged: {error}") from error


def _elements(
    data: memoryview, start: int, stride: int, count: int, width: int, dtype: np.dtype, where: str
) -> np.ndarray:
    size = width * dtype.itemsize
    stride = stride or size
    if stride < size or stride > 4096:
        raise GltfError(f"{where}: byteStride {stride} does not fit elements of {size} bytes")
    if count and start + (count - 1) * stride + size > len(data):
        raise GltfError(f"{where}: {count} elements do not fit into {len(data)} bytes")
    if not count:
        return np.zeros((0, width), dtype)
    flat = np.frombuffer(data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(flat[start:], (count, size), (stride, 1))
    return np.ascontiguousarray(rows).view(dtype)


def accessor(
    container: Container, index: Any, where: str = "accessor", kinds: Sequence[str] = tuple(SHAPE)
) -> np.ndarray:
    """Accessor ``index`` as an array [count, components]; normalised integers become float32.

    ``kinds`` are the element types that the caller can use. Raises :class:`GltfError` for bad bounds, types or
    non-finite numbers.
    """
    entry = container.item("accessors", index, where)
    name = f"{where} (accessors[{index}])"
    kind, component = entry.get("type"), entry.get("componentType")
    if not isinstance(kind, str) or kind not in kinds:
        raise GltfError(f"{name}: type {str(kind)[:20]!r} where {' or '.join(kinds)} is needed")
    if not isinstance(component, int) or component not in COMPONENT:
        raise GltfError(f"{name}: unknown componentType {str(component)[:20]!r}")
    dtype, width, count = COMPONENT[component], SHAPE[kind], _integer(entry, "count", name)
    if count * width > MAX_ELEMENTS:
        raise GltfError(f"{name}: {count} elements are too many (at most {MAX_ELEMENTS // width})")
    if entry.get("bufferView") is not None:
        data = buffer_view(container, entry["bufferView"], name)
        stride = _integer(container.items("bufferViews")[entry["bufferView"]], "byteStride", name, 0)
        values = _elements(data, _integer(entry, "byteOffset", name, 0), stride, count, width, dtype, name)
    else:
        values = np.zeros((count, width), dtype)
    sparse = entry.get("sparse")
    if sparse is not None:
        values = _apply_sparse(container, sparse, values, name)
    if dtype.kind == "f" and not np.isfinite(values).all():
        raise GltfError(f"{name}: it holds numbers that are not finite (NaN or infinity)")
    if entry.get("normalized") is True and dtype.kind != "f":
        values = np.maximum(values.astype(np.float32) / np.float32(np.iinfo(dtype).max), np.float32(-1.0))
    return values


def _apply_sparse(container: Container, sparse: Any, values: np.ndarray, name: str) -> np.ndarray:
    if not isinstance(sparse, dict) or not all(isinstance(sparse.get(key), dict) for key in ("indices", "values")):
        raise GltfError(f"{name}: sparse needs indices and values")
    count = _integer(sparse, "count", name)
    if count > len(values):
        raise GltfError(f"{name}: {count} sparse entries for {len(values)} elements")
    indices, items = sparse["indices"], sparse["values"]
    if indices.get("componentType") not in (5121, 5123, 5125):
        raise GltfError(f"{name}: sparse indices of a wrong type")
    where = _elements(
        buffer_view(container, indices.get("bufferView"), name),
        _integer(indices, "byteOffset", name, 0), 0, count, 1, COMPONENT[indices["componentType"]], name,
    )[:, 0]  # fmt: skip
    if count and int(where.max()) >= len(values):
        raise GltfError(f"{name}: a sparse index points past the end")
    out = values.copy()
    out[where] = _elements(
        buffer_view(container, items.get("bufferView"), name),
        _integer(items, "byteOffset", name, 0), 0, count, values.shape[1], values.dtype, name,
    )  # fmt: skip
    return out
