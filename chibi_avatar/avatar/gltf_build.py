"""Write a glTF document from arrays: buffer views, accessors, images; canonical JSON, so that equal input gives
equal bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .gltf import COMPONENT, SHAPE, Container, write_glb

ARRAY_BUFFER = 34962
ELEMENT_ARRAY_BUFFER = 34963
_COMPONENT_OF = {dtype.newbyteorder("=").str[1:]: code for code, dtype in COMPONENT.items()}


class Builder:
    """Collects a glTF document. ``document`` is open: callers add nodes, meshes, materials and extensions
    themselves."""

    def __init__(self, generator: str) -> None:
        self.document: dict[str, Any] = {"asset": {"version": "2.0", "generator": generator}}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, key: str, item: dict[str, Any]) -> int:
        """Append to the array ``key``; returns the index."""
        values = self.document.setdefault(key, [])
        values.append(item)
        return len(values) - 1

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes to the buffer, 4-aligned, as a new buffer view; returns its index."""
        entry = {"buffer": 0, "byteOffset": self._size, "byteLength": len(data)}
        if target is not None:
            entry["target"] = target
        padding = -len(data) % 4
        self._parts.append(data + bytes(padding))
        self._size += len(data) + padding
        return self.add("bufferViews", entry)

    def accessor(self, values: np.ndarray, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """Append an array as an accessor of element type ``kind``. ``bounds`` adds min and max (POSITION needs
        them)."""
        flat = np.ascontiguousarray(values).reshape(-1, SHAPE[kind])
        entry = self._entry(flat, kind, bounds)
        entry["bufferView"] = self.view(flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes(), target)
        return self.add("accessors", entry)

    def sparse(self, values: np.ndarray, kind: str, rows: np.ndarray) -> int:
        """Append a mostly-zero array: only ``rows`` (ascending, may be empty) are stored."""
        flat = np.ascontiguousarray(values).reshape(-1, SHAPE[kind])
        entry = self._entry(flat, kind, True)
        if len(rows) == 0:
            rows = np.zeros(1, np.int64)
        index = rows.astype("<u2" if len(flat) <= 65535 else "<u4")
        entry["sparse"] = {
            "count": len(rows),
            "indices": {
                "bufferView": self.view(index.tobytes()),
                "componentType": 5123 if index.itemsize == 2 else 5125,
            },
            "values": {"bufferView": self.view(np.ascontiguousarray(flat[rows]).tobytes())},
        }
        return self.add("accessors", entry)

    @staticmethod
    def _entry(flat: np.ndarray, kind: str, bounds: bool) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "componentType": _COMPONENT_OF[flat.dtype.newbyteorder("=").str[1:]],
            "count": len(flat),
            "type": kind,
        }
        if bounds:
            entry["min"] = [float(v) for v in flat.min(axis=0)]
            entry["max"] = [float(v) for v in flat.max(axis=0)]
        return entry

    def image(self, data: bytes, mime: str, name: str) -> int:
        """Append an encoded image; returns its index."""
        return self.add("images", {"name": name, "bufferView": self.view(data), "mimeType": mime})

    def use_extension(self, name: str) -> None:
        """List ``name`` in extensionsUsed once, sorted."""
        used = set(self.document.get("extensionsUsed", ()))
        self.document["extensionsUsed"] = sorted(used | {name})

    def finish(self) -> bytes:
        """The GLB bytes. Half of a surrogate pair, which a name from a file or a page may hold, becomes a question mark."""
        binary = b"".join(self._parts)
        self.document["buffers"] = [{"byteLength": len(binary)}]
        text = json.dumps(self.document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return write_glb(Container(text.encode("utf-8", "replace"), self.document, binary, True))
