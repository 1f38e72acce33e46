"""PNG encoding tuned for atlases: one row filter per row chosen by its size, deflate in strips on several threads.

PNG, https://www.w3.org/TR/png/. Zlib lets strips that end in a full flush be joined, so the result does not depend
on the
number of threads.
"""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .model import AvatarError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_STRIP_BYTES = 1 << 20


def encode_png(pixels: np.ndarray, level: int = 6) -> bytes:
    """``pixels`` (H, W), (H, W, 3) or (H, W, 4) uint8 as PNG bytes. ``level`` is zlib's, 1 fast to 9 small."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.size == 0:
        raise AvatarError(f"an image must be a non-empty uint8 array, got {pixels.dtype} {pixels.shape}")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    color_type = {1: 0, 3: 2, 4: 6}.get(channels)
    if color_type is None:
        raise AvatarError(f"an image must have 1, 3 or 4 channels, got {channels}")
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, width * channels)
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    data = _deflate(_filter(rows, channels), level)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _filter(rows: np.ndarray, channels: int) -> np.ndarray:
    """(H, 1 + W·C) uint8: each row with its filter byte. Up for rows that repeat the one above, else Sub."""
    height, size = rows.shape
    out = np.empty((height, size + 1), np.uint8)
    up = rows.copy()
    up[1:] -= rows[:-1]
    sub = rows.copy()
    sub[:, channels:] -= rows[:, :-channels]
    use_up = np.count_nonzero(up, axis=1) <= np.count_nonzero(sub, axis=1)
    out[:, 0] = np.where(use_up, 2, 1)
    np.copyto(out[:, 1:], np.where(use_up[:, None], up, sub))
    return out


def _deflate(data: np.ndarray, level: int) -> bytes:
    flat = memoryview(data.reshape(-1))
    starts = range(0, len(flat), _STRIP_BYTES)

    def strip(start: int) -> bytes:
        packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
        body = packer.compress(flat[start : start + _STRIP_BYTES])
        return body + packer.flush(zlib.Z_FINISH if start + _STRIP_BYTES >= len(flat) else zlib.Z_FULL_FLUSH)

    with ThreadPoolExecutor(4) as pool:
        strips = list(pool.map(strip, starts))
    return b"\x78\x9c" + b"".join(strips) + struct.pack(">I", zlib.adler32(flat))
