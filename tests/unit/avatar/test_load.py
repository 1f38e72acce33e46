"""A person's own file: read right, repainted, and otherwise left alone."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from typing import Any

import numpy as np
import pytest

from chibi_avatar.avatar.export import describe, export_avatar
from chibi_avatar.avatar.gltf import buffer_view, read_glb
from chibi_avatar.avatar.interop import from_arrays, to_arrays
from chibi_avatar.avatar.licence import read_terms
from chibi_avatar.avatar.load import load_avatar
from chibi_avatar.avatar.model import Avatar, AvatarError

from . import hostile
from .hostile import painted


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
    after = read_glb(export_avatar(painted(avatar, body, pixels)).main)
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
    again = load_avatar(export_avatar(painted(avatar, body, pixels)).main, "again")
    assert np.array_equal(again.textures[body].pixels[..., :3], pixels)
    assert (again.textures[body].pixels[..., 3] == 255).all()  # the old picture's transparency stays


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


@pytest.mark.parametrize("word", ["Prohibited", "", "allow", None, 5, [], ["allowModification"], {}])
def test_an_unknown_word_is_no_permission(word: Any) -> None:
    """A misspelt "prohibited" must not open somebody's character to everyone."""
    for extension, field in (("VRMC_vrm", "modification"), ("VRM", "licenseName")):
        terms = read_terms({"extensions": {extension: {"meta": {field: word}}}})
        assert terms.forbids_modification is True and terms.lines
    assert read_terms({"extensions": {"VRMC_vrm": 5}}).forbids_modification is True
    for word in ("allowModification", "allowModificationRedistribution"):
        assert not read_terms({"extensions": {"VRMC_vrm": {"meta": {"modification": word}}}}).forbids_modification


def test_islands_across_a_tile_border_stay_whole() -> None:
    """A hair strand laid out over the edge of the texture would get a triangle that shows the whole texture
    backwards."""

    def loaded(us: list[float]) -> list[float]:
        mesh = load_avatar(hostile.ribbon(us).finish(), "strip").mesh
        assert np.isclose(mesh.uvs[:, 1].max(), 1.0)
        return [round(float(u), 4) for u in mesh.uvs[::2, 0]]

    across = [0.3, 0.525, 0.75, 0.975, 1.0875, 1.2]
    assert loaded(across) == across
    assert loaded([u + 5 for u in across]) == across  # most of it where the bake paints
    assert loaded([-1.8, -1.4, -1.1]) == [0.2, 0.6, 0.9]
    assert loaded([0.0, 1.0, 2.0, 3.0]) == [0.0, 1.0, 2.0, 3.0]


def test_only_the_island_outside_is_moved() -> None:
    """UDIM-like layouts put the parts of one mesh side by side; each must land in the texture by itself."""
    builder = hostile.ribbon([0.1, 0.9, 3.2, 3.8])
    primitive = builder.document["meshes"][0]["primitives"][0]
    split = np.array([0, 2, 3, 0, 3, 1, 4, 6, 7, 4, 7, 5], np.uint16)
    primitive["indices"] = builder.accessor(split, "SCALAR")
    uvs = load_avatar(builder.finish(), "two").mesh.uvs
    assert np.allclose(uvs[::2, 0], [0.1, 0.9, 0.2, 0.8])


def test_parts_that_share_vertices_move_by_themselves() -> None:
    """Exporters keep all hair in one vertex list; a part in another tile adds its own vertices, not all of them."""
    builder = hostile.ribbon([0.1, 0.9, 3.2, 3.8])
    primitives = builder.document["meshes"][0]["primitives"]
    near, far = np.array([0, 2, 3, 0, 3, 1], np.uint16), np.array([4, 6, 7, 4, 7, 5], np.uint16)
    primitives.append(dict(primitives[0], indices=builder.accessor(far, "SCALAR")))
    primitives[0]["indices"] = builder.accessor(near, "SCALAR")
    mesh = load_avatar(builder.finish(), "two").mesh
    assert len(mesh.positions) == 12
    assert np.allclose(mesh.uvs[mesh.faces[2:]][..., 0].max(), 0.8)
    assert np.allclose(mesh.positions[mesh.faces[2:]][..., 0].min(), 2.0)


def test_bones_that_a_vrm_0_body_lacks_are_left_out(figure: Avatar) -> None:
    """Exporters list them with node -1, apps skip them; the file must not be refused for it."""
    files = export_avatar(figure, version="both").vrms

    def lacking(document: dict[str, Any]) -> None:
        bones = document["extensions"]["VRM"]["humanoid"]["humanBones"]
        bones[:0] = [{"bone": "jaw", "node": -1}, {"bone": "leftEye"}]
        bones.append({"bone": "rightEye", "node": bones[2]["node"]})

    back = load_avatar(hostile.repack(files["0.x"], lacking), "old", i_am_the_author=True)
    assert {joint.bone for joint in back.joints} == {joint.bone for joint in figure.joints}

    def broken(document: dict[str, Any]) -> None:
        document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]["hips"]["node"] = -1

    with pytest.raises(AvatarError, match="bone hips: its node -1 does not exist"):
        load_avatar(hostile.repack(files["1.0"], broken), "new", i_am_the_author=True)


def test_a_shadow_texture_of_nowhere_is_left_out(figure: Avatar) -> None:
    """Exporters write -1 for "none"; the shadow picture is not needed to paint the avatar."""

    def nowhere(document: dict[str, Any]) -> None:
        for material in document["extensions"]["VRM"]["materialProperties"]:
            material["textureProperties"]["_ShadeTexture"] = -1

    data = hostile.repack(export_avatar(figure, version="0.x").vrms["0.x"], nowhere)
    assert load_avatar(data, "old", i_am_the_author=True).source.shade_images == {}


@pytest.mark.parametrize(
    "value",
    [10**400, -(10**400), 1e300, "x", None, [], {}, True],
    ids=lambda value: f"{type(value).__name__}{value!s:.5}",
)
def test_values_of_a_wrong_kind_are_not_fatal(value: Any) -> None:
    """One odd number in a colour would lose the whole avatar, with a message in Python's words."""
    uv_info = {"index": 0, "texCoord": value, "extensions": {"KHR_texture_transform": {"texCoord": value}}}
    for change in (
        {"pbrMetallicRoughness": {"baseColorFactor": [value] * 4}},
        {"pbrMetallicRoughness": {"baseColorFactor": value}, "alphaCutoff": value, "alphaMode": value, "name": value},
        {"pbrMetallicRoughness": {"baseColorTexture": uv_info}, "extensions": value},
        *(
            {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "extensions": {"KHR_texture_transform": moved}}}}
            for moved in ({"scale": [value, 1]}, {"offset": [1, value]}, {"rotation": value}, {"scale": value})
        ),
    ):
        builder = hostile.ribbon([0.1, 0.9], (hostile.picture((1, 2, 3)), "image/png"))
        builder.document["materials"][0].update(change)
        builder.document["meshes"][0]["primitives"][0]["extensions"] = value
        for view in builder.document["bufferViews"]:
            view["extensions"] = value
        avatar = load_avatar(builder.finish(), "odd")
        assert np.abs(avatar.mesh.uvs).max() < 2 and np.isfinite(avatar.materials[0].color).all()


def test_texture_coordinates_beyond_any_texture_become_zero() -> None:
    """Junk in a hidden corner must neither refuse the file nor reach the painter as infinity."""
    assert np.allclose(load_avatar(hostile.ribbon([1e30, -3e38, 0.5]).finish(), "junk").mesh.uvs[::2, 0], [0, 0, 0.5])


def test_hundreds_of_blendshapes_beside_a_large_body() -> None:
    """Faces for tracking have 52 shapes and more; what counts is the face that they move, not the body."""

    def build(shapes: int, body: int) -> bytes:
        builder = hostile.ribbon([0.1, 0.9])

        def zeros(kind: str, count: int) -> int:
            return builder.add("accessors", {"componentType": 5126, "type": kind, "count": count})

        face = builder.document["meshes"][0]["primitives"][0]
        face["targets"] = [{"POSITION": zeros("VEC3", 4)} for _ in range(shapes)]
        attributes = {"POSITION": zeros("VEC3", body), "TEXCOORD_0": zeros("VEC2", body)}
        mesh = builder.add("meshes", {"primitives": [{"attributes": attributes, "indices": face["indices"]}]})
        builder.document["scenes"][0]["nodes"].append(builder.add("nodes", {"mesh": mesh}))
        return builder.finish()

    assert len(load_avatar(build(300, 75_000), "shapes").mesh.morphs) == 300
    with pytest.raises(AvatarError, match="1000 morph targets on 75004 vertices are too many"):
        load_avatar(build(1000, 75_000), "swollen")


def test_thousands_of_small_parts_load_in_seconds() -> None:
    """CAD-like exports have a primitive per button; time must not grow with its square, and without end not at
    all."""
    builder = hostile.ribbon([0.1, 0.9])
    primitives = builder.document["meshes"][0]["primitives"]
    for number in range(1, 2000):
        material = builder.add("materials", {"name": f"button {number}"})
        attributes = {
            name: builder.add("accessors", dict(builder.document["accessors"][index]))
            for name, index in primitives[0]["attributes"].items()
        }
        primitives.append(dict(primitives[0], material=material, attributes=attributes))
    data = builder.finish()
    started = time.process_time()
    assert len(load_avatar(data, "buttons").parts) == 2000
    assert time.process_time() - started < 4.0  # 12 s when each primitive looked at all of them
    nodes = builder.document["scenes"][0]["nodes"]
    nodes += [builder.add("nodes", {"mesh": 0}) for _ in range(20)]
    with pytest.raises(AvatarError, match="too many primitives.*join"):
        load_avatar(builder.finish(), "endless")


def test_collider_groups_do_not_multiply(vroid: bytes) -> None:
    """A spring that names a group thousands of times would fill the memory with copies of its colliders."""

    def repeat(document: dict[str, Any]) -> None:
        springs = document["extensions"]["VRMC_springBone"]
        springs["colliderGroups"][0]["colliders"] = [0] * 20_000
        springs["springs"][0]["colliderGroups"] = [0] * 20_000

    started = time.perf_counter()
    assert load_avatar(hostile.repack(vroid, repeat), "vee").springs[0].colliders == [0]
    assert time.perf_counter() - started < 1.0


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


def test_a_chosen_texture_is_the_onepainted(vroid: bytes) -> None:
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
