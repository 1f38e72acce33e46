"""The pictures of a person's own file: read as apps show them, and painted without touching anything else."""

from __future__ import annotations

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from chibi_avatar.avatar import load
from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.gltf import Container, buffer_view, read_glb
from chibi_avatar.avatar.load import decode_image, image_bytes, load_avatar
from chibi_avatar.avatar.model import Avatar, AvatarError
from chibi_avatar.avatar.retexture import replace_images

from . import hostile
from .hostile import painted

RED, GREEN, BLUE = (250, 10, 20), (10, 200, 30), (20, 30, 240)
KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80)


def _blue(avatar: Avatar, size: int = 16) -> Container:
    """The file of ``avatar`` with its first texture painted blue."""
    return read_glb(export_avatar(painted(avatar, 0, np.full((size, size, 3), BLUE, np.uint8))).main)


def _color(container: Container, image: int) -> tuple[int, ...]:
    return tuple(decode_image(image_bytes(container, image), "picture")[0, 0].tolist())


def test_a_separate_shadow_picture_follows_the_paint(vroid: bytes) -> None:
    """MToon would otherwise show the old face in the shade."""
    avatar = load_avatar(vroid, "vee")
    face = next(i for i, t in enumerate(avatar.textures) if t.name == "face")
    blue = np.full((32, 32, 3), [0, 40, 240], np.uint8)
    exported = export_avatar(painted(avatar, face, blue))
    container = read_glb(exported.main)
    assert container.items("images")[1]["mimeType"] == "image/png"  # it was a JPEG
    shade = load_avatar(exported.main, "again").source.shade_images
    assert shade == {face: [3]}
    color = decode_image(image_bytes(container, 3), "shade")[0, 0]
    assert color[2] > color[1] > color[0] and color[2] < 240
    assert "shadow picture" in exported.report


def test_a_shadow_picture_that_cannot_be_read_stays(vroid: bytes) -> None:
    """It is found out after minutes of painting; the painting must not be lost to it."""

    def break_(document: dict[str, Any]) -> None:
        document["images"][3] = {"uri": "data:image/png;base64,AAAA"}

    avatar = load_avatar(hostile.repack(vroid, break_), "vee")
    face = next(i for i, t in enumerate(avatar.textures) if t.name == "face")
    exported = export_avatar(painted(avatar, face, np.full((32, 32, 3), BLUE, np.uint8)))
    assert "shadow picture of 'face' stays as it was: images[3] cannot be read" in exported.report
    assert _color(read_glb(exported.main), 1) == BLUE


def test_pictures_in_data_uris_and_webp_are_replaced(vroid: bytes) -> None:
    """Other exporters store pictures in these ways."""
    webp = hostile.picture((10, 200, 30), "WEBP")

    def change(document: dict[str, Any]) -> None:
        document["images"][0] = {
            "uri": "data:image/webp;base64," + base64.b64encode(webp).decode(),
            "mimeType": "image/webp",
        }
        document["textures"][0] = {"extensions": {"EXT_texture_webp": {"source": 0}}}

    avatar = load_avatar(hostile.repack(vroid, change), "vee")
    number = avatar.source.images.index(0)
    pixels = np.random.default_rng(2).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    again = load_avatar(export_avatar(painted(avatar, number, pixels)).main, "again")
    assert np.array_equal(again.textures[number].pixels, pixels)
    assert again.textures[number].mime == "image/webp"


def test_the_webp_picture_that_apps_show_is_painted_with_its_stand_in() -> None:
    """Painting only the PNG that old apps fall back to would show nobody the new paint."""
    builder = hostile.ribbon(
        [0.1, 0.9], (hostile.picture(RED), "image/png"), (hostile.picture(GREEN, "WEBP"), "image/webp")
    )
    builder.document["textures"][0]["extensions"] = {"EXT_texture_webp": {"source": 1}}
    avatar = load_avatar(builder.finish(), "both")
    assert np.abs(avatar.textures[0].pixels[0, 0].astype(int) - GREEN).max() < 12
    after = _blue(avatar)
    assert [_color(after, image) for image in (0, 1)] == [BLUE, BLUE]
    assert [image["mimeType"] for image in after.items("images")] == ["image/png", "image/webp"]

    builder.add("textures", {"source": 0})  # the stand-in is somebody else's picture too
    after = _blue(load_avatar(builder.finish(), "both"))
    assert [_color(after, image) for image in (0, 1)] == [RED, BLUE]


def test_painted_textures_no_longer_offer_their_ktx2_copy() -> None:
    """Apps prefer the compressed copy, which cannot be repainted: they would go on showing the old picture."""
    builder = hostile.ribbon([0.1, 0.9], (hostile.picture(RED), "image/png"), (KTX2, "image/ktx2"))
    builder.document["textures"][0]["extensions"] = {"KHR_texture_basisu": {"source": 1}, "ACME_keep": {"a": 1}}
    builder.add("textures", {"source": 1, "extensions": {"KHR_texture_basisu": {"source": 1}}})
    avatar = load_avatar(builder.finish(), "packed")
    exported = export_avatar(painted(avatar, 0, np.full((16, 16, 3), BLUE, np.uint8)))
    first, second = read_glb(exported.main).items("textures")
    assert first == {"source": 0, "extensions": {"ACME_keep": {"a": 1}}}
    assert second["extensions"] == {"KHR_texture_basisu": {"source": 1}}
    assert "KTX2 copy of 'picture 0' cannot be painted and is no longer used" in exported.report
    assert _color(read_glb(exported.main), 0) == BLUE


def test_shared_bytes_are_not_overwritten(vroid: bytes) -> None:
    """Two pictures in one place, or a picture over vertex data: painting one must not destroy the other."""

    def overlap(document: dict[str, Any]) -> None:
        document["images"][1]["bufferView"] = document["images"][0]["bufferView"]

    shared = read_glb(hostile.repack(vroid, overlap))
    old = image_bytes(shared, 0)
    one = read_glb(replace_images(shared, {0: (b"abcde", "image/png")}))
    assert (image_bytes(one, 0), image_bytes(one, 1)) == (b"abcde", old)
    both = read_glb(replace_images(shared, {0: (b"abcd", "image/png"), 1: (b"efgh", "image/png")}))
    assert (image_bytes(both, 0), image_bytes(both, 1)) == (b"abcd", b"efgh")
    same = read_glb(replace_images(shared, {0: (b"abcd", "image/png"), 1: (b"abcd", "image/png")}))
    assert (image_bytes(same, 0), image_bytes(same, 1)) == (b"abcd", b"abcd") and len(same.binary) < len(shared.binary)

    def onto_vertices(document: dict[str, Any]) -> None:
        document["images"][0]["bufferView"] = document["accessors"][0]["bufferView"]

    def onto_sparse(document: dict[str, Any]) -> None:
        view = document["images"][0]["bufferView"]
        document["accessors"][0]["sparse"] = {"count": 0, "values": {"bufferView": view}}

    def onto_strangers(document: dict[str, Any]) -> None:
        document["extensions"]["ACME_secret"]["sounds"] = [{"bufferView": document["images"][0]["bufferView"]}]

    def inside_another(document: dict[str, Any]) -> None:
        document["bufferViews"].append(dict(document["bufferViews"][document["images"][0]["bufferView"]], byteLength=9))

    for share in (onto_vertices, onto_sparse, onto_strangers, inside_another):
        before = read_glb(hostile.repack(vroid, share))
        after = read_glb(replace_images(before, {0: (b"abcde", "image/png")}))
        assert image_bytes(after, 0) == b"abcde"
        views = range(len(before.items("bufferViews")))
        assert all(buffer_view(after, view) == buffer_view(before, view) for view in views), share.__name__
        assert after.items("buffers")[0]["byteLength"] <= len(after.binary)


@pytest.mark.parametrize("clear", [None, 0])
def test_grey_pictures_of_16_bits_keep_their_shades(clear: int | None) -> None:
    """They would load as plain white."""
    from PIL import Image

    values = np.array([[0, 257 * 5, 257 * 128, 65535]], np.uint16)
    out = BytesIO()
    Image.fromarray(values).save(out, "PNG", **({} if clear is None else {"transparency": clear}))
    pixels = decode_image(out.getvalue(), "grey")
    assert pixels[0, :, :3].tolist() == [[0] * 3, [5] * 3, [128] * 3, [255] * 3]
    assert clear is None or pixels[0, :, 3].tolist() == [0, 255, 255, 255]


def test_pictures_too_large_to_hold_are_refused(vroid: bytes) -> None:
    """A few kilobytes of PNG can unfold into gigabytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"")
        + chunk(b"IEND", b"")
    )

    def change(document: dict[str, Any]) -> None:
        document["images"][0] = {"uri": "data:image/png;base64," + base64.b64encode(bomb).decode()}

    with pytest.raises(AvatarError, match="larger than 8192|cannot be read"):
        load_avatar(hostile.repack(vroid, change), "bomb")
    assert BytesIO(bomb).getbuffer().nbytes < 200


def _large_pictures(count: int, views: int) -> bytes:
    """A file of ``count`` materials on pictures of 8192x8192 that lie in ``views`` buffer views over one place."""
    from PIL import Image

    out = BytesIO()
    Image.new("1", (8192, 8192)).save(out, "PNG")
    builder = hostile.ribbon([0.1, 0.9], (out.getvalue(), "image/png"))
    document = builder.document
    for number in range(1, count):
        view = document["images"][0]["bufferView"]
        if number < views:
            view = builder.add("bufferViews", dict(document["bufferViews"][view]))
        source = builder.add("images", {"bufferView": view, "mimeType": "image/png"})
        texture = builder.add("textures", {"source": source})
        builder.add("materials", {"pbrMetallicRoughness": {"baseColorTexture": {"index": texture}}})
    return builder.finish()


def test_all_pictures_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes of file must not take gigabytes and minutes: they are refused before any is unpacked, and one
    that is listed often is unpacked once."""
    decoded: list[str] = []

    def decode(data: bytes, where: str) -> np.ndarray:
        decoded.append(where)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(load, "decode_image", decode)
    with pytest.raises(AvatarError, match="5 pictures have 336 megapixels together, more than the 268"):
        load_avatar(_large_pictures(5, 5), "bomb")
    assert decoded == []
    avatar = load_avatar(_large_pictures(6, 1), "twins")
    assert len(avatar.textures) == 6 and decoded == ["images[0] (picture 0)"]


def test_pictures_that_glb_does_not_know_are_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without UVs is written as a new one; a WebP picture in it would show as nothing in most apps."""
    import sys
    import types

    fake = types.ModuleType("xatlas")
    fake.parametrize = lambda p, f: (np.arange(len(p)), f, np.zeros((len(p), 2), np.float32))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xatlas", fake)
    builder = hostile.ribbon([0.1, 0.9], (hostile.picture(GREEN, "WEBP"), "image/webp"))
    builder.document["textures"] = [{"extensions": {"EXT_texture_webp": {"source": 0}}}]
    del builder.document["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"]
    written = read_glb(export_avatar(load_avatar(builder.finish(), "bare")).glb)
    assert written.items("images")[0]["mimeType"] == "image/png" and image_bytes(written, 0)[:4] == b"\x89PNG"
