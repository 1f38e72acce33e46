"""File names from strangers, and bytes that may not be what they claim: nothing leaves the output folder, nothing half-
written stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

MAX_NAME_BYTES = 180
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


def safe_name(name: str, fallback: str = "file") -> str:
    """A file name that is valid on every system and has no path in it.

    Directory parts, control and direction-changing characters and trailing dots go; a leading dot and Windows' device
    names get an underscore; the result is NFC and at most 180 UTF-8 bytes, the suffix kept.
    """
    name = unicodedata.normalize("NFC", str(name)).replace("\\", "/").rsplit("/", 1)[-1]
    name = _FORBIDDEN.sub("_", name.encode("utf-8", "replace").decode("utf-8")).strip().rstrip(". ")
    if not name.strip("._ "):
        return fallback
    if name.startswith(".") or _RESERVED.match(name):
        name = "_" + name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 12:
        stem, suffix = name, ""
    room = MAX_NAME_BYTES - len(suffix.encode()) - 1
    stem = stem.encode()[:room].decode(errors="ignore").rstrip(". ")
    return f"{stem}.{suffix}" if suffix else stem


def is_file(path: Path) -> bool:
    """Whether a file is there; False for a text that cannot be a path (too long, a zero byte)."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def free_path(folder: Path, name: str, taken: Callable[[Path], bool] = Path.exists) -> Path:
    """``folder/name``, or ``name (2)`` and so on where that is taken."""
    path = folder / name
    stem, suffix, number = path.stem, path.suffix, 2
    while taken(path):
        path = folder / f"{stem} ({number}){suffix}"
        number += 1
    return path


def write_atomically(path: Path, data: bytes | str) -> Path:
    """Write ``data`` to a temporary name beside ``path``, flush it to disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    raw = data.encode("utf-8") if isinstance(data, str) else data
    try:
        with part.open("wb") as handle:
            handle.write(raw)
            flush(handle)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def flush(handle: BinaryIO) -> None:
    """Push a file's bytes through to the disk."""
    handle.flush()
    os.fsync(handle.fileno())


def sha256_of(path: Path, chunk: int = 1 << 20) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(chunk):
            digest.update(block)
    return digest.hexdigest()


def content_name(data: bytes, suffix: str) -> str:
    """An ASCII name made from the content: the same photo always uploads under the same name, whatever it was
    called.
    """
    suffix = suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else ""
    return f"chibi_{hashlib.sha256(data).hexdigest()[:24]}{suffix}"


# --- is this file whole? ---------------------------------------------------------------------------------------------


def broken(path: Path, suffix: str) -> str:
    """Why the file's bytes are not a whole file of that kind, or an empty string. Kinds without a check pass if not
    empty.

    PNG: chunk structure and CRCs to IEND (ISO/IEC 15948). JPEG: SOI to EOI. WebP: RIFF length. GLB and VRM: header
    length and chunks (glTF 2.0 §4.4). JSON: parses. Anything else that begins like an HTML page is an error page.
    """
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    with path.open("rb") as handle:
        head = handle.read(64)
        handle.seek(0)
        check = _CHECKS.get(suffix.lower())
        if check is not None:
            return check(handle, size)
    if suffix.lower() not in (".html", ".htm", ".svg", ".xml") and looks_like_html(head):
        return "it is a web page, not a file"
    return ""


def looks_like_html(head: bytes) -> bool:
    """Whether the first bytes are those of a web page."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body"))


def _png(handle: BinaryIO, size: int) -> str:
    if handle.read(8) != b"\x89PNG\r\n\x1a\n":
        return "it is not a PNG"
    position = 8
    while position + 12 <= size:
        length, kind = struct.unpack(">I4s", handle.read(8))
        if length > size - position - 12:
            break
        body = handle.read(length)
        if struct.unpack(">I", handle.read(4))[0] != zlib.crc32(kind + body):
            return f"the PNG is damaged (chunk {kind.decode('latin-1')})"
        if kind == b"IEND":
            return ""
        position += 12 + length
    return "the PNG is cut short"


def _jpeg(handle: BinaryIO, size: int) -> str:
    if handle.read(3) != b"\xff\xd8\xff":
        return "it is not a JPEG"
    handle.seek(max(0, size - 64))
    return "" if b"\xff\xd9" in handle.read() else "the JPEG is cut short"


def _webp(handle: BinaryIO, size: int) -> str:
    head = handle.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WEBP":
        return "it is not a WebP"
    return "" if struct.unpack("<I", head[4:8])[0] + 8 <= size else "the WebP is cut short"


def _glb(handle: BinaryIO, size: int) -> str:
    head = handle.read(20)
    if len(head) < 20 or head[:4] != b"glTF":
        return "it is not a GLB"
    _, total, length, kind = struct.unpack("<IIII", head[4:20])
    if total != size:
        return f"the GLB is cut short ({size} of {total} bytes)"
    if kind != 0x4E4F534A or length > size - 20:
        return "the GLB has no JSON chunk"
    try:
        json.loads(handle.read(length))
    except ValueError:
        return "the GLB's JSON is damaged"
    return ""


def _json(handle: BinaryIO, size: int) -> str:
    if size > 64 << 20:
        return ""
    try:
        json.loads(handle.read())
    except ValueError:
        return "the JSON is damaged"
    return ""


_CHECKS: dict[str, Callable[[BinaryIO, int], str]] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".jpeg": _jpeg,
    ".webp": _webp,
    ".glb": _glb,
    ".vrm": _glb,
    ".json": _json,
}
