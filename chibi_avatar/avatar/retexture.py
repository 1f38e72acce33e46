"""Put new pictures into a user's own GLB or VRM: image bytes and the few numbers that locate them change, every
other byte stays."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from .gltf import Container, GltfError, parse_json, splice_json, write_glb
from .load import Source, decode_image, image_bytes
from .model import Avatar
from .png import encode_png


def write_source(avatar: Avatar) -> tuple[bytes, list[str]]:
    """(the bytes of the avatar's own file with its painted textures, notes). An avatar that nobody painted gives the
    file itself."""
    source = avatar.source
    if not isinstance(source, Source):
        raise GltfError(f"avatar {avatar.name!r} was not loaded from a file")
    new: dict[int, tuple[bytes, str]] = {}
    notes = []
    for number, texture in enumerate(avatar.textures[: len(source.images)]):
        old = source.pixels[number]
        if texture.pixels is None or old is None or texture.pixels is old or np.array_equal(texture.pixels, old):
            continue
        pixels = _with_alpha(texture.pixels, old)
        image = source.images[number]
        new[image] = _encode(pixels, _mime(source.container, image))
        notes.append(f"note: picture {texture.name!r} was replaced ({pixels.shape[1]}x{pixels.shape[0]})")
        for shade in source.shade_images.get(number, ()):
            dark = decode_image(image_bytes(source.container, shade), f"images[{shade}]")
            new[shade] = _encode(_shaded(pixels, old, dark), _mime(source.container, shade))
            notes.append(f"note: the shadow picture of {texture.name!r} was darkened to match")
    return replace_images(source.container, new), notes


def replace_images(container: Container, new: Mapping[int, tuple[bytes, str]]) -> bytes:
    """The GLB of ``container`` with images (index → bytes, MIME type) replaced. Raises :class:`GltfError` where
    bytes are shared."""
    changes: dict[tuple[str | int, ...], Any] = {}
    views = container.items("bufferViews")
    placed: dict[int, bytes] = {}
    for index, (data, mime) in sorted(new.items()):
        entry = container.item("images", index, "image")
        if entry.get("mimeType") != mime and ("mimeType" in entry or entry.get("bufferView") is not None):
            changes["images", index, "mimeType"] = mime
        if entry.get("bufferView") is None:
            changes["images", index, "uri"] = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        elif views[entry["bufferView"]].get("buffer") != 0 or "uri" in container.items("buffers")[0]:
            raise GltfError(
                f"images[{index}] lies in a buffer outside the binary chunk; save the file as a plain .glb first"
            )
        elif placed.setdefault(entry["bufferView"], data) != data:
            raise GltfError(
                f"images[{index}] shares its bytes with another picture, they cannot be painted differently"
            )
    binary = container.binary
    if placed:
        binary = _rebuild(container, views, placed, changes)
    json_bytes = splice_json(container.json_bytes, changes)
    return write_glb(
        Container(json_bytes, parse_json(json_bytes), binary, container.has_binary, container.extra_chunks)
    )


def _rebuild(
    container: Container,
    views: list[dict[str, Any]],
    placed: Mapping[int, bytes],
    changes: dict[tuple[str | int, ...], Any],
) -> bytes:
    """The binary chunk with some views' bytes replaced; later views move by a multiple of 4."""
    spans = {
        i: (v.get("byteOffset", 0), v.get("byteOffset", 0) + v["byteLength"])
        for i, v in enumerate(views)
        if v.get("buffer") == 0
    }
    used = {accessor.get("bufferView") for accessor in container.items("accessors")}
    for index in placed:
        start, end = spans[index]
        if index in used or any(a < end and b > start for other, (a, b) in spans.items() if other != index and a < b):
            raise GltfError(
                f"bufferViews[{index}] shares its bytes with other data; save the file again from a 3D program first"
            )
    parts: list[bytes] = []
    at, shift = 0, 0
    moves: list[tuple[int, int]] = []  # (old offset, how far everything from there on moves)
    for index in sorted(placed, key=lambda i: spans[i]):
        start, end = spans[index]
        data = placed[index] + bytes((end - start - len(placed[index])) % 4)
        parts += [container.binary[at:start], data]
        at = end
        shift += len(data) - (end - start)
        moves.append((end, shift))
        changes["bufferViews", index, "byteLength"] = len(placed[index])
    parts.append(container.binary[at:])
    for index, (start, _) in spans.items():
        moved = start + next((by for offset, by in reversed(moves) if start >= offset), 0)
        if moved != start:
            changes["bufferViews", index, "byteOffset"] = moved
    binary = b"".join(parts)
    changes["buffers", 0, "byteLength"] = container.items("buffers")[0]["byteLength"] + shift
    return binary


def _mime(container: Container, image: int) -> str:
    return "image/webp" if image_bytes(container, image)[:4] == b"RIFF" else "image/png"


def _encode(pixels: np.ndarray, mime: str) -> tuple[bytes, str]:
    if mime != "image/webp":
        return encode_png(pixels), "image/png"
    from PIL import Image

    out = BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, quality=50, exact=True)
    return out.getvalue(), mime


def _resized(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image

    if pixels.shape[:2] == shape[:2]:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.BOX))


def _with_alpha(pixels: np.ndarray, old: np.ndarray) -> np.ndarray:
    """The old picture's transparency under new colours: the bake paints colour only."""
    if old.shape[2] != 4 or pixels.shape[2] != 3:
        return pixels
    alpha = _resized(np.ascontiguousarray(old[..., 3]), pixels.shape)
    return np.dstack([pixels, alpha])


def _shaded(pixels: np.ndarray, old: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """The new picture, as much darker per channel as the old shadow picture was than the old picture."""
    ratio = (dark[..., :3].mean(axis=(0, 1)) + 1) / (old[..., :3].mean(axis=(0, 1)) + 1)
    out = pixels.copy()
    out[..., :3] = np.clip(pixels[..., :3] * np.minimum(ratio, 1.0) + 0.5, 0, 255)
    return out
