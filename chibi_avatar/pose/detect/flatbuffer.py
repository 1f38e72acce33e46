"""Reading a TensorFlow Lite model file: graph, weights (dense, half precision or sparse) and operator options.

Only what float models need; the layout is the public schema (tensorflow/lite/schema/schema.fbs), field numbers in its order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..keypoints import PoseError

_TYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 9: np.int8}
_FLOAT16 = 1


@dataclass
class Tensor:
    """``data`` is None for what the graph computes."""

    shape: tuple[int, ...]
    data: np.ndarray | None


@dataclass
class Operator:
    """``code`` is the schema's BuiltinOperator; ``options`` reads a field of the operator's options table."""

    code: int
    inputs: list[int]
    outputs: list[int]
    options: _Table | None

    def option(self, field: int, kind: str = "i", default: Any = 0) -> Any:
        return default if self.options is None else self.options.scalar(field, kind, default)


@dataclass
class Graph:
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: list[int]
    outputs: list[int]


class _Table:
    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position
        self.vtable = position - struct.unpack_from("<i", data, position)[0]
        self.fields = (struct.unpack_from("<H", data, self.vtable)[0] - 4) // 2

    def _at(self, field: int) -> int:
        if field >= self.fields:
            return 0
        offset = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * field)[0]
        return self.position + offset if offset else 0

    def scalar(self, field: int, kind: str, default: Any = 0) -> Any:
        at = self._at(field)
        return struct.unpack_from("<" + kind, self.data, at)[0] if at else default

    def table(self, field: int) -> _Table | None:
        at = self._at(field)
        return _Table(self.data, at + struct.unpack_from("<I", self.data, at)[0]) if at else None

    def _vector(self, field: int) -> tuple[int, int]:
        at = self._at(field)
        if not at:
            return 0, 0
        start = at + struct.unpack_from("<I", self.data, at)[0]
        return start + 4, struct.unpack_from("<I", self.data, start)[0]

    def array(self, field: int, kind: str) -> np.ndarray:
        start, count = self._vector(field)
        return np.frombuffer(self.data, dtype=kind, count=count, offset=start) if count else np.zeros(0, kind)

    def tables(self, field: int) -> list[_Table]:
        start, count = self._vector(field)
        places = [start + 4 * i for i in range(count)]
        return [_Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in places]


def read(path: Path) -> Graph:
    """The first graph of a ``.tflite`` file. Raises :class:`PoseError` if it is not one."""
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise PoseError(
            f"{path.name} is not a TensorFlow Lite model: fetch it again with 'python3 -m chibi_avatar models download'"
        )
    try:
        model = _Table(data, struct.unpack_from("<I", data, 0)[0])
        codes = [max(t.scalar(0, "b"), t.scalar(3, "i")) for t in model.tables(1)]
        buffers = model.tables(4)
        graph = model.tables(2)[0]
        tensors = [_tensor(t, buffers) for t in graph.tables(0)]
        operators = [
            Operator(codes[t.scalar(0, "I")], t.array(1, "<i4").tolist(), t.array(2, "<i4").tolist(), t.table(4))
            for t in graph.tables(3)
        ]
        return Graph(tensors, operators, graph.array(1, "<i4").tolist(), graph.array(2, "<i4").tolist())
    except (struct.error, IndexError, ValueError, KeyError) as error:
        raise PoseError(
            f"{path.name} is damaged ({error}): fetch it again with 'python3 -m chibi_avatar models download'"
        ) from error


def _tensor(table: _Table, buffers: list[_Table]) -> Tensor:
    shape = tuple(int(v) for v in table.array(0, "<i4"))
    kind = np.dtype(_TYPES[table.scalar(1, "b")]).newbyteorder("<")
    raw = buffers[table.scalar(2, "I")].array(0, "u1")
    if not len(raw):
        return Tensor(shape, None)
    values = np.frombuffer(raw.tobytes(), dtype=kind)
    sparsity = table.table(6)
    values = _dense(values, shape, sparsity) if sparsity is not None else values.reshape(shape)
    return Tensor(shape, values.astype(np.float32) if table.scalar(1, "b") == _FLOAT16 else values)


def _dense(values: np.ndarray, shape: tuple[int, ...], sparsity: _Table) -> np.ndarray:
    """Unpack the format of "tensor algebra compiler" papers: per dimension dense, or compressed rows; blocks innermost."""
    order = sparsity.array(0, "<i4").tolist()
    blocks = sparsity.array(1, "<i4").tolist()
    levels = []
    for level in sparsity.tables(2):
        if level.scalar(0, "b") == 0:
            levels.append((level.scalar(1, "i"), None, None))
        else:
            parts = []
            for kind_field, field in ((2, 3), (4, 5)):
                kind = {1: "<i4", 2: "<u2", 3: "u1"}[level.scalar(kind_field, "B")]
                held = level.table(field)
                parts.append(held.array(0, kind).astype(np.int64) if held is not None else np.zeros(0, np.int64))
            levels.append((0, *parts))
    # coordinates of every stored value, one column a level
    columns: list[np.ndarray] = []
    nodes = np.zeros(1, np.int64)
    for size, segments, indices in levels:
        if segments is None:
            count = len(nodes)
            columns = [np.repeat(c, size) for c in columns] + [np.tile(np.arange(size), count)]
            nodes = (nodes[:, None] * size + np.arange(size)).ravel()
        else:
            lengths = segments[nodes + 1] - segments[nodes]
            columns = [np.repeat(c, lengths) for c in columns]
            first = np.repeat(segments[nodes], lengths)
            within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            nodes = first + within
            columns.append(indices[nodes])
    rank = len(shape)
    block_of = {dimension: len(shape) + i for i, dimension in enumerate(blocks)}
    at = {dimension: columns[level] for level, dimension in enumerate(order)}
    block_size = {order[level]: levels[level][0] for level in range(len(levels)) if order[level] >= rank}
    place = []
    for dimension in range(rank):
        index = at[dimension]
        if dimension in block_of:
            index = index * block_size[block_of[dimension]] + at[block_of[dimension]]
        place.append(index)
    out = np.zeros(shape, values.dtype)
    out[tuple(place)] = values[: len(place[0])] if len(place[0]) <= len(values) else np.resize(values, len(place[0]))
    return out
