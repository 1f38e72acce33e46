"""Put new pictures into a user's own GLB or VRM: image bytes and the few numbers that locate them change, every
other byte stays."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from .gltf import Container, GltfError, is_index, parse_json, splice_json, write_glb
from .load import Source, decode_image, image_bytes, shown_image
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
        new.update(_pictures(source.container, image, pixels))
        notes.append(f"note: picture {texture.name!r} was replaced ({pixels.shape[1]}x{pixels.shape[0]})")
        if any("KHR_texture_basisu" in _extensions(entry) for entry in _textures_of(source.container, image)):
            notes.append(f"note: the KTX2 copy of {texture.name!r} cannot be painted and is no longer used")
        for shade in source.shade_images.get(number, ()):
            try:
                dark = decode_image(image_bytes(source.container, shade), f"images[{shade}]")
            except GltfError as error:
                notes.append(f"note: the shadow picture of {texture.name!r} stays as it was: {error}")
                continue
            new.update(_pictures(source.container, shade, _shaded(pixels, old, dark)))
            notes.append(f"note: the shadow picture of {texture.name!r} was darkened to match")
    return replace_images(source.container, new), notes


def _pictures(container: Container, image: int, pixels: np.ndarray) -> dict[int, tuple[bytes, str]]:
    """``pixels`` for ``image``, and for the images that apps without EXT_texture_webp show instead of it, where
    nothing else uses these."""
    count = len(container.items("images"))
    mine: set[int] = set()
    others: set[int] = set()
    for entry in container.items("textures"):
        if is_index(entry.get("source"), count):
            (mine if shown_image(entry) == image else others).add(entry["source"])
    return {index: _encode(pixels, _mime(container, index)) for index in sorted({image} | mine - others)}


def _textures_of(container: Container, image: int) -> list[dict[str, Any]]:
    return [entry for entry in container.items("textures") if shown_image(entry) == image]


def _extensions(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    extensions = entry.get("extensions")
    return extensions if isinstance(extensions, Mapping) else {}


def replace_images(container: Container, new: Mapping[int, tuple[bytes, str]]) -> bytes:
    """The GLB of ``container`` with images (index → bytes, MIME type) replaced.

    An image whose bytes something else uses too gets a place of its own at the end. Textures that offer a KTX2 picture
    beside a replaced one stop doing so. Raises :class:`GltfError` for images in a buffer outside the binary chunk.
    """
    changes: dict[tuple[str | int, ...], Any] = {}
    views = container.items("bufferViews")
    sharing: dict[int, list[int]] = {}
    for index, (data, mime) in sorted(new.items()):
        entry = container.item("images", index, "image")
        if entry.get("mimeType") != mime and ("mimeType" in entry or entry.get("bufferView") is not None):
            changes["images", index, "mimeType"] = mime
        if entry.get("bufferView") is None:
            changes["images", index, "uri"] = f"data:{mime};base64,{base64.b64encode(data).decode()}"
            continue
        view = container.item("bufferViews", entry["bufferView"], f"images[{index}]")
        if view.get("buffer") != 0 or "uri" in container.items("buffers")[0]:
            raise GltfError(
                f"images[{index}] lies in a buffer outside the binary chunk; save the file as a plain .glb first"
            )
        sharing.setdefault(entry["bufferView"], []).append(index)
    for index, entry in enumerate(container.items("textures")):
        kept = {name: value for name, value in _extensions(entry).items() if name != "KHR_texture_basisu"}
        if len(kept) < len(_extensions(entry)) and any(shown_image(entry) == image for image in new):
            changes["textures", index, "extensions"] = kept
    binary = container.binary
    if sharing:
        spans = _spans(views)
        uses = _uses(container.document)
        placed = {
            view: new[images[0]][0]
            for view, images in sharing.items()
            if uses[view] == len(images) and len({new[i][0] for i in images}) == 1 and _is_apart(spans, view)
        }
        moved = {i: new[i][0] for view, images in sharing.items() if view not in placed for i in images}
        binary = _rebuild(container, spans, placed, changes)
        if moved:
            binary = _append(binary, len(views), moved, changes)
    json_bytes = splice_json(container.json_bytes, changes)
    return write_glb(
        Container(json_bytes, parse_json(json_bytes), binary, container.has_binary, container.extra_chunks)
    )


def _uses(document: dict[str, Any]) -> Counter[int]:
    """How often each buffer view is named, by whatever: images, accessors, extensions that nobody here knows."""
    out: Counter[int] = Counter()
    stack: list[Any] = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(value.get("bufferView"), int):
                out[value["bufferView"]] += 1
            value = value.values()
        stack.extend(item for item in value if isinstance(item, (dict, list)))
    return out


def _spans(views: list[dict[str, Any]]) -> dict[int, tuple[int, int]]:
    """(first byte, byte after the last) of every view of the binary chunk; without damaged ones, which nothing can
    use."""
    out = {}
    for index, view in enumerate(views):
        start, size = view.get("byteOffset", 0), view.get("byteLength")
        if view.get("buffer") == 0 and is_index(start, 1 << 32) and is_index(size, 1 << 32):
            out[index] = (start, start + size)
    return out


def _is_apart(spans: Mapping[int, tuple[int, int]], view: int) -> bool:
    if view not in spans:
        return False
    start, end = spans[view]
    return all(other == view or a >= end or b <= start or a == b for other, (a, b) in spans.items())


def _append(binary: bytes, count: int, moved: Mapping[int, bytes], changes: dict[tuple[str | int, ...], Any]) -> bytes:
    """The binary chunk with the bytes of some images in new views behind the ``count`` that are there."""
    parts = [binary, bytes(-len(binary) % 4)]
    at = len(binary) + len(parts[1])
    made: dict[bytes, int] = {}
    for image, data in sorted(moved.items()):
        if data not in made:
            made[data] = count + len(made)
            changes["bufferViews", made[data]] = {"buffer": 0, "byteOffset": at, "byteLength": len(data)}
            parts += [data, bytes(-len(data) % 4)]
            at += len(data) + len(parts[-1])
        changes["images", image, "bufferView"] = made[data]
    changes["buffers", 0, "byteLength"] = at
    return b"".join(parts)


def _rebuild(
    container: Container,
    spans: Mapping[int, tuple[int, int]],
    placed: Mapping[int, bytes],
    changes: dict[tuple[str | int, ...], Any],
) -> bytes:
    """The binary chunk with some views' bytes replaced; later views move by a multiple of 4."""
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
    changes["buffers", 0, "byteLength"] = container.items("buffers")[0]["byteLength"] + shift
    return b"".join(parts)


def _mime(container: Container, image: int) -> str:
    """What ``image`` is written as: WebP where it is that, else PNG."""
    try:
        return "image/webp" if image_bytes(container, image)[:4] == b"RIFF" else "image/png"
    except GltfError:  # a stand-in that is missing
        return "image/png"


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
