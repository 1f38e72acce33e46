"""A person's own file: read right, repainted, and otherwise left alone."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from chibi_avatar.avatar.export import describe, export_avatar
from chibi_avatar.avatar.gltf import buffer_view, read_glb
from chibi_avatar.avatar.interop import from_arrays, to_arrays
from chibi_avatar.avatar.licence import read_terms
from chibi_avatar.avatar.load import image_bytes, load_avatar
from chibi_avatar.avatar.model import Avatar, AvatarError

from . import hostile


@pytest.fixture(scope="module")
def vroid() -> bytes:
    """The VRoid-style file."""
    return hostile.vroid_like()


def _painted(avatar: Avatar, number: int, pixels: np.ndarray) -> Avatar:
    textures = list(avatar.textures)
    textures[number] = replace(textures[number], pixels=pixels, encoded=None)
    return avatar.with_textures(textures)


@pytest.mark.parametrize("version", ["1.0", "0.x"])
def test_our_own_files_come_back_the_same(figure: Avatar, version: str) -> None:
    """What was exported last year must still be editable: same surface, rig, morphs, expressions and springs, facing
    +Z."""
    back = load_avatar(export_avatar(figure, version=version).vrms[version], "back", i_am_the_author=True)
    assert np.allclose(back.mesh.positions, figure.mesh.positions, atol=1e-6)
    assert np.allclose(back.mesh.uvs, figure.mesh.uvs, atol=1e-6)
    assert np.array_equal(back.mesh.faces, figure.mesh.faces)
    assert np.array_equal(back.textures[back.atlas].pixels, figure.textures[0].pixels)
    for name, delta in figure.mesh.morphs.items():
        assert np.allclose(back.mesh.morphs[name], delta, atol=1e-6)
    for joint in figure.joints:
        if joint.bone:
            assert np.allclose(back.joints[back.bone(joint.bone)].position, joint.position, atol=1e-6)
    assert {(e.preset, tuple(e.morphs.items())) for e in figure.expressions} <= {
        (e.preset, tuple(e.morphs.items())) for e in back.expressions
    }
    assert [len(s.joints) for s in back.springs] == [3]
    assert np.allclose(back.colliders[0].offset, figure.colliders[0].offset, atol=1e-6)
    assert np.allclose(back.look_offset, figure.look_offset, atol=1e-6)


def test_an_untouched_file_is_written_back_byte_for_byte(vroid: bytes) -> None:
    """Loading and saving must not be a conversion."""
    assert export_avatar(load_avatar(vroid, "vee")).main == vroid


def test_only_the_painted_pictures_change(vroid: bytes) -> None:
    """Licence, spring bones, other tools' data and every number but the picture's own place must stay."""
    avatar = load_avatar(vroid, "vee")
    body = next(i for i, t in enumerate(avatar.textures) if t.name == "body")
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    after = read_glb(export_avatar(_painted(avatar, body, pixels)).main)
    before = read_glb(vroid)
    assert after.extra_chunks == before.extra_chunks
    for index in range(len(before.items("bufferViews"))):
        if index != before.items("images")[0]["bufferView"]:
            assert bytes(buffer_view(after, index)) == bytes(buffer_view(before, index))
    old_lines, new_lines = before.json_bytes.rstrip().splitlines(), after.json_bytes.rstrip().splitlines()
    assert len(old_lines) == len(new_lines)
    changed = [old.split(b":")[0].strip() for old, new in zip(old_lines, new_lines, strict=True) if old != new]
    assert set(changed) <= {b'"byteOffset"', b'"byteLength"'}
    assert all(entry.get("byteOffset", 0) % 4 == 0 for entry in after.items("bufferViews"))
    again = load_avatar(export_avatar(_painted(avatar, body, pixels)).main, "again")
    assert np.array_equal(again.textures[body].pixels[..., :3], pixels)
    assert (again.textures[body].pixels[..., 3] == 255).all()  # the old picture's transparency stays


def test_a_separate_shadow_picture_follows_the_paint(vroid: bytes) -> None:
    """MToon would otherwise show the old face in the shade."""
    avatar = load_avatar(vroid, "vee")
    face = next(i for i, t in enumerate(avatar.textures) if t.name == "face")
    blue = np.full((32, 32, 3), [0, 40, 240], np.uint8)
    exported = export_avatar(_painted(avatar, face, blue))
    container = read_glb(exported.main)
    assert container.items("images")[1]["mimeType"] == "image/png"  # it was a JPEG
    shade = load_avatar(exported.main, "again").source.shade_images
    from chibi_avatar.avatar.load import decode_image

    assert shade == {face: [3]}
    color = decode_image(image_bytes(container, 3), "shade")[0, 0]
    assert color[2] > color[1] > color[0] and color[2] < 240
    assert "shadow picture" in exported.report


def test_node_transforms_and_skins_are_evaluated(vroid: bytes) -> None:
    """Guides drawn from raw vertex data would show VRoid models in pieces."""
    avatar = load_avatar(vroid, "vee")
    assert np.allclose(
        avatar.joints[avatar.bone("head")].position, [0, 0.7, 0], atol=1e-6
    )  # 1.4 m under a root scaled by one half
    face = avatar.mesh.positions[:4]
    assert np.allclose(face.mean(axis=0), [0, 0.75, 0.05], atol=1e-6)
    assert np.allclose(avatar.mesh.morphs["Fcl_EYE_Close"][:2, 1], 0.01, atol=1e-6)
    assert avatar.springs[0].name == "hair" and len(avatar.springs[0].joints) == 2
    assert [m.alpha_mode for m in avatar.materials[:4]] == ["OPAQUE", "OPAQUE", "BLEND", "MASK"]
    cloth = avatar.mesh.faces[avatar.mesh.face_material == 4]
    assert avatar.mesh.uvs[cloth].min() >= 0.0 and np.isclose(
        avatar.mesh.uvs[cloth][..., 0].min(), 0.5
    )  # KHR_texture_transform
    assert {"face", "hair", "body"} <= set(avatar.parts)
    assert avatar.textures[avatar.atlas].name == "body"


def test_a_licence_that_prohibits_changes_stops(vroid: bytes, figure: Avatar) -> None:
    """We must not help to repaint somebody else's character against their word."""
    strict = export_avatar(figure, version="both").vrms
    for data in strict.values():
        with pytest.raises(AvatarError, match="does not allow changing it.*Anonymous.*i_am_the_author"):
            load_avatar(data, "theirs")
        assert load_avatar(data, "mine", i_am_the_author=True).source is not None
    avatar = load_avatar(vroid, "vee")
    assert "modification: allowModification" in describe(avatar)

    def drop(document: dict[str, Any]) -> None:
        del document["extensions"]["VRMC_vrm"]["meta"]["modification"]

    with pytest.raises(AvatarError, match="does not allow"):  # the specification's default is prohibited
        load_avatar(hostile.repack(vroid, drop), "vee")


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [("CC0", False), ("CC_BY", False), ("CC_BY_ND", True), ("Redistribution_Prohibited", True), ("Other", False)],
)
def test_old_licences_are_understood(name: str, forbidden: bool) -> None:
    """0.x has no modification field; its licence name decides."""
    assert read_terms({"extensions": {"VRM": {"meta": {"licenseName": name}}}}).forbids_modification is forbidden


def test_meshes_without_uv_say_what_to_do(vroid: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sculpt without UV cannot be painted; the person needs to know why and how to fix it."""

    def strip(document: dict[str, Any]) -> None:
        for mesh in document["meshes"]:
            for primitive in mesh["primitives"]:
                primitive["attributes"].pop("TEXCOORD_0")

    bare = hostile.repack(vroid, strip)
    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(AvatarError, match="no UV layout.*pip install xatlas"):
        load_avatar(bare, "bare")


def test_meshes_without_uv_are_unwrapped_by_xatlas(vroid: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With xatlas there, the file becomes paintable and is written anew with its rig."""
    fake = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("xatlas", None))
    fake.parametrize = lambda p, f: (
        np.arange(len(p), dtype=np.uint32),
        f.astype(np.uint32),
        np.full((len(p), 2), 0.5, np.float32),
    )
    monkeypatch.setitem(sys.modules, "xatlas", fake)

    def strip(document: dict[str, Any]) -> None:
        for mesh in document["meshes"]:
            for primitive in mesh["primitives"]:
                primitive["attributes"].pop("TEXCOORD_0")

    avatar = load_avatar(hostile.repack(vroid, strip), "bare")
    assert avatar.source is None and (avatar.mesh.uvs == 0.5).all()
    assert "xatlas" in describe(avatar)
    assert export_avatar(avatar).vrms["1.0"]


def test_a_file_of_plain_colours_gets_a_picture_to_paint_on(vroid: bytes) -> None:
    """Low-poly models often have no texture at all; painting them must still lead somewhere."""

    def strip(document: dict[str, Any]) -> None:
        for material in document["materials"]:
            material["pbrMetallicRoughness"].pop("baseColorTexture")

    avatar = load_avatar(hostile.repack(vroid, strip), "plain")
    assert avatar.source is None and avatar.textures[0].pixels.shape == (1024, 1024, 3)
    exported = export_avatar(avatar)
    assert "no pictures" in exported.report and len(read_glb(exported.main).document["images"]) == 1


def test_pictures_in_data_uris_and_webp_are_replaced(vroid: bytes) -> None:
    """Other exporters store pictures in these ways."""
    import base64

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
    again = load_avatar(export_avatar(_painted(avatar, number, pixels)).main, "again")
    assert np.array_equal(again.textures[number].pixels, pixels)
    assert again.textures[number].mime == "image/webp"


def test_shared_bytes_are_not_overwritten(vroid: bytes) -> None:
    """Two pictures in one place, or a picture over vertex data: painting one must not destroy the other."""
    from chibi_avatar.avatar.retexture import replace_images

    def overlap(document: dict[str, Any]) -> None:
        document["images"][1]["bufferView"] = document["images"][0]["bufferView"]

    shared = read_glb(hostile.repack(vroid, overlap))
    with pytest.raises(AvatarError, match="shares its bytes"):
        replace_images(shared, {0: (b"abcd", "image/png"), 1: (b"efgh", "image/png")})

    def onto_vertices(document: dict[str, Any]) -> None:
        document["images"][0]["bufferView"] = document["accessors"][0]["bufferView"]

    with pytest.raises(AvatarError, match="shares its bytes"):
        replace_images(read_glb(hostile.repack(vroid, onto_vertices)), {0: (b"abcd", "image/png")})


def test_a_chosen_texture_is_the_one_painted(vroid: bytes) -> None:
    """With several textures the person decides which one the bake paints."""
    avatar = load_avatar(vroid, "vee", paint_texture=1)
    assert avatar.atlas == 1
    with pytest.raises(AvatarError, match=r"has 4 texture\(s\)"):
        load_avatar(vroid, "vee", paint_texture=9)


def test_plain_meshes_go_in_and_out(figure: Avatar) -> None:
    """Core's mesh nodes must be able to hand a mesh over and take one back."""
    vertices, faces, uvs, texture = to_arrays(figure)
    assert len(faces) == len(figure.mesh.faces) and texture is not None and texture.shape == (64, 64, 3)
    prop = from_arrays(vertices, faces, uvs, texture)
    exported = export_avatar(prop)
    assert exported.vrms == {} and "no VRM was written" in exported.report
    assert json.loads(read_glb(exported.glb).json_bytes)["meshes"]
    with pytest.raises(AvatarError, match="usable triangles"):
        from_arrays(vertices, faces + len(vertices), uvs, texture)
    with pytest.raises(AvatarError, match="usable vertices"):
        from_arrays(np.full((3, 3), np.nan), np.array([[0, 1, 2]]), None, None)


def test_pictures_too_large_to_hold_are_refused(vroid: bytes) -> None:
    """A few kilobytes of PNG can unfold into gigabytes."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"")
        + chunk(b"IEND", b"")
    )
    import base64

    def change(document: dict[str, Any]) -> None:
        document["images"][0] = {"uri": "data:image/png;base64," + base64.b64encode(bomb).decode()}

    with pytest.raises(AvatarError, match="larger than 8192|cannot be read"):
        load_avatar(hostile.repack(vroid, change), "bomb")
    assert BytesIO(bomb).getbuffer().nbytes < 200
