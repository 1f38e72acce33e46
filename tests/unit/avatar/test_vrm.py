"""VRM writing: what apps read from the file, and that our own checker sees what is broken."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.gltf import Container, accessor, read_glb
from chibi_avatar.avatar.licence import Licence
from chibi_avatar.avatar.model import REQUIRED_BONES, Avatar, AvatarError, Expression, Material
from chibi_avatar.avatar.vrm import write_vrm
from chibi_avatar.avatar.vrm_check import check_vrm

from . import hostile

VERSIONS = ("1.0", "0.x")


@pytest.fixture(scope="module")
def files(figure: Avatar) -> dict[str, bytes]:
    """Both versions of the small figure."""
    return export_avatar(figure, version="both").vrms


def _document(data: bytes) -> dict[str, Any]:
    return read_glb(data).document


def _mesh_accessor(container: Container, name: str) -> np.ndarray:
    return accessor(container, container.document["meshes"][0]["primitives"][0]["attributes"][name])


@pytest.mark.parametrize("version", VERSIONS)
def test_written_files_keep_the_specification(files: dict[str, bytes], version: str) -> None:
    """A file that breaks the specification is refused by UniVRM, three-vrm or cluster."""
    assert check_vrm(read_glb(files[version])) == []


def test_bones_expressions_and_springs_are_there(files: dict[str, bytes]) -> None:
    """Without them the avatar stands still and stares."""
    new, old = _document(files["1.0"]), _document(files["0.x"])
    assert set(REQUIRED_BONES) <= set(new["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"])
    assert set(REQUIRED_BONES) <= {entry["bone"] for entry in old["extensions"]["VRM"]["humanoid"]["humanBones"]}
    assert {"blink", "happy", "neutral"} <= set(new["extensions"]["VRMC_vrm"]["expressions"]["preset"])
    groups = old["extensions"]["VRM"]["blendShapeMaster"]["blendShapeGroups"]
    assert {"blink", "joy", "neutral", "unknown"} == {group["presetName"] for group in groups}
    assert new["extensions"]["VRMC_springBone"]["springs"][0]["joints"][0]["stiffness"] == 1.0
    assert old["extensions"]["VRM"]["secondaryAnimation"]["boneGroups"][0]["bones"] == [18]
    assert new["meshes"][0]["extras"]["targetNames"] == ["blink", "smile"]


def test_vrm_0_faces_the_other_way(files: dict[str, bytes], figure: Avatar) -> None:
    """0.x apps show the back of an avatar that faces +Z: geometry, normals, morphs and joints are turned together."""
    turn = np.array([-1, 1, -1], np.float32)
    new, old = read_glb(files["1.0"]), read_glb(files["0.x"])
    assert np.array_equal(_mesh_accessor(new, "POSITION"), figure.mesh.positions)
    for name in ("POSITION", "NORMAL"):
        assert np.array_equal(_mesh_accessor(old, name), _mesh_accessor(new, name) * turn)
    blink = [c.document["meshes"][0]["primitives"][0]["targets"][0]["POSITION"] for c in (new, old)]
    assert np.array_equal(accessor(old, blink[1]), accessor(new, blink[0]) * turn)
    for a, b in zip(new.document["nodes"], old.document["nodes"], strict=True):
        if "translation" in a:
            assert np.allclose(np.array(a["translation"]) * turn, b["translation"])
    matrices = accessor(old, old.document["skins"][0]["inverseBindMatrices"]).reshape(-1, 4, 4)
    head = figure.bone("head")
    assert np.allclose(matrices[head, 3, :3], -figure.joints[head].position * turn, atol=1e-6)
    assert np.allclose(matrices[:, :3, :3], np.eye(3))


def test_the_licence_is_strict_unless_asked(files: dict[str, bytes]) -> None:
    """Nobody may give away another person's rights by leaving a field alone."""
    meta = _document(files["1.0"])["extensions"]["VRMC_vrm"]["meta"]
    assert meta["avatarPermission"] == "onlyAuthor" and meta["modification"] == "prohibited"
    assert meta["commercialUsage"] == "personalNonProfit" and meta["creditNotation"] == "required"
    assert not any(value for key, value in meta.items() if key.startswith("allow"))
    old = _document(files["0.x"])["extensions"]["VRM"]["meta"]
    assert old["allowedUserName"] == "OnlyAuthor" and old["licenseName"] == "Redistribution_Prohibited"
    assert [old[f"{what}UssageName"] for what in ("violent", "sexual", "commercial")] == ["Disallow"] * 3


def test_licence_choices_reach_both_versions(figure: Avatar) -> None:
    """What the person chose must be what apps show."""
    licence = Licence(
        "桃子",
        authors=("小明", " ", "Ann"),
        avatar_permission="everyone",
        commercial_usage="corporation",
        allow_redistribution=True,
    )
    both = export_avatar(figure, licence, version="both").vrms
    meta = _document(both["1.0"])["extensions"]["VRMC_vrm"]["meta"]
    assert (meta["name"], meta["authors"], meta["allowRedistribution"]) == ("桃子", ["小明", "Ann"], True)
    old = _document(both["0.x"])["extensions"]["VRM"]["meta"]
    assert (old["title"], old["author"], old["allowedUserName"]) == ("桃子", "小明, Ann", "Everyone")
    assert old["commercialUssageName"] == "Allow"
    with pytest.raises(AvatarError, match="avatar_permission is one of"):
        Licence(avatar_permission="anyone")
    assert Licence(authors=("", "\x00")).authors == ("Anonymous",)


def test_the_copyright_notice_is_in_every_file(figure: Avatar) -> None:
    """VRM 0.x has no field of its own for it, glTF has."""
    exported = export_avatar(figure, Licence(copyright="© 2027 Ada"), version="both")
    for data in (*exported.vrms.values(), exported.glb):
        assert _document(data)["asset"]["copyright"] == "© 2027 Ada"


def test_half_an_emoji_in_a_name_is_no_error(figure: Avatar) -> None:
    """Pages cut text in the middle of one, and names in files hold it; the export would end in Python's words."""
    odd = replace(figure, materials=[replace(m, name=m.name + "\ud83d") for m in figure.materials])
    exported = export_avatar(odd, Licence(name="Momo\ud83d", authors=("\udc00",)), version="both")
    meta = _document(exported.vrms["1.0"])["extensions"]["VRMC_vrm"]["meta"]
    assert (meta["name"], meta["authors"]) == ("Momo", ["Anonymous"])
    assert _document(exported.glb)["materials"][0]["name"] == "skin?"


@pytest.mark.parametrize("version", VERSIONS)
def test_materials_are_mtoon_with_an_unlit_fallback(files: dict[str, bytes], version: str) -> None:
    """Apps without MToon must still show flat toon colours, not grey plastic."""
    document = _document(files[version])
    assert all("KHR_materials_unlit" in material["extensions"] for material in document["materials"])
    if version == "1.0":
        mtoon = document["materials"][0]["extensions"]["VRMC_materials_mtoon"]
        assert mtoon["outlineWidthMode"] == "worldCoordinates" and mtoon["outlineWidthFactor"] == 0.002
    else:
        skin, hair = document["extensions"]["VRM"]["materialProperties"]
        assert skin["shader"] == "VRM/MToon" and skin["floatProperties"]["_OutlineWidth"] == 0.2  # centimetres
        assert hair["floatProperties"]["_CullMode"] == 0.0 and skin["floatProperties"]["_CullMode"] == 2.0


def test_flip_book_faces_are_written_in_each_versions_axes(figure: Avatar) -> None:
    """A painted mouth cell must land on the right cell: 0.x counts v upwards."""
    wink = Expression("cell", None, uv_offset={1: (0.5, 0.25)}, is_binary=True, override_blink="block")
    both = export_avatar(replace(figure, expressions=[wink]), version="both").vrms
    bind = _document(both["1.0"])["extensions"]["VRMC_vrm"]["expressions"]["custom"]["cell"]
    assert bind["textureTransformBinds"] == [{"material": 1, "scale": [1.0, 1.0], "offset": [0.5, 0.25]}]
    assert bind["isBinary"] and bind["overrideBlink"] == "block"
    group = _document(both["0.x"])["extensions"]["VRM"]["blendShapeMaster"]["blendShapeGroups"][-1]
    assert group["materialValues"] == [
        {"materialName": "hair", "propertyName": "_MainTex_ST", "targetValue": [1.0, 1.0, 0.5, -0.25]}
    ]


def test_thumbnails_are_square(figure: Avatar) -> None:
    """Apps show a stretched or no picture otherwise."""
    wide = np.zeros((40, 70, 3), np.uint8)
    for version, data in export_avatar(figure, version="both", thumbnail=wide).vrms.items():
        assert check_vrm(read_glb(data)) == [], version


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_bytes_do_not_depend_on_the_process(files: dict[str, bytes], hash_seed: str, tmp_path: Path) -> None:
    """The same avatar twice must be the same file, so that people can tell whether anything changed."""
    root = Path(__file__).resolve().parents[3]
    code = (
        "import importlib.util as u, sys, hashlib\n"
        f"sys.path.insert(0, {str(root)!r})\n"
        f"s = u.spec_from_file_location('f', {str(Path(__file__).with_name('conftest.py'))!r})\n"
        "m = u.module_from_spec(s); s.loader.exec_module(m)\n"
        "from chibi_avatar.avatar.export import export_avatar\n"
        "v = export_avatar(m.build_figure(), version='both').vrms\n"
        "sys.stdout.write(hashlib.sha256(v['1.0'] + v['0.x']).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1" if hash_seed == "0" else "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    import hashlib

    assert done.stdout == hashlib.sha256(files["1.0"] + files["0.x"]).hexdigest()


def test_broken_avatars_are_refused_with_the_reason(figure: Avatar) -> None:
    """A builder's mistake must not become a file that crashes somebody's game."""
    mesh = figure.mesh

    def broken(**changes: Any) -> Avatar:
        return replace(figure, **changes)

    nan = mesh.positions.copy()
    nan[0] = np.nan
    beyond = mesh.faces.copy()
    beyond[0, 0] = len(mesh.positions)
    cases = [
        (broken(mesh=replace(mesh, positions=nan)), "positions must be"),
        (broken(mesh=replace(mesh, faces=beyond)), "points past"),
        (broken(mesh=replace(mesh, faces=mesh.faces[:0])), "no triangles"),
        (broken(mesh=replace(mesh, joints=np.full_like(mesh.joints, 99))), "joint that does not exist"),
        (broken(mesh=replace(mesh, morphs={"blink": mesh.morphs["blink"][:5]})), "morph 'blink' must be"),
        (broken(materials=[Material("only")]), "face_material"),
        (broken(materials=[Material("a", 7), Material("b")]), "uses texture 7"),
        (broken(expressions=[Expression("x", None, {"nothing": 1.0})]), "missing morphs nothing"),
        (
            broken(joints=[replace(j, bone=None) if j.bone == "head" else j for j in figure.joints]),
            "lacks the bones head",
        ),
        (broken(joints=[replace(figure.joints[0], parent=5), *figure.joints[1:]]), "after its parent"),
    ]
    for avatar, message in cases:
        with pytest.raises(AvatarError, match=message):
            write_vrm(avatar, Licence())


def _bones(document: dict[str, Any]) -> dict[str, Any]:
    return document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]


def _springs(document: dict[str, Any]) -> dict[str, Any]:
    return document["extensions"]["VRMC_springBone"]


def _vrm0(document: dict[str, Any]) -> dict[str, Any]:
    return document["extensions"]["VRM"]


FAULTS: list[tuple[str, str, Callable[[dict[str, Any]], Any]]] = [
    ("1.0", "required bone hips is missing", lambda d: _bones(d).pop("hips")),
    ("1.0", "share node", lambda d: _bones(d)["leftHand"].update(node=_bones(d)["rightHand"]["node"])),
    ("1.0", "does not descend from", lambda d: _bones(d)["leftFoot"].update(node=_bones(d)["rightFoot"]["node"])),
    ("1.0", "is not a humanoid bone", lambda d: _bones(d).update(thirdArm={"node": 0})),
    ("1.0", "does not exist", lambda d: _bones(d)["head"].update(node=999)),
    ("1.0", "upperChest without chest", lambda d: _bones(d).update(upperChest=_bones(d).pop("chest"))),
    ("1.0", "specVersion", lambda d: d["extensions"]["VRMC_vrm"].update(specVersion="0.0")),
    ("1.0", "not listed in extensionsUsed", lambda d: d["extensionsUsed"].remove("VRMC_vrm")),
    ("1.0", "meta.name", lambda d: d["extensions"]["VRMC_vrm"]["meta"].pop("name")),
    ("1.0", "meta.authors", lambda d: d["extensions"]["VRMC_vrm"]["meta"].update(authors=[])),
    ("1.0", "meta.licenseUrl", lambda d: d["extensions"]["VRMC_vrm"]["meta"].pop("licenseUrl")),
    ("1.0", "meta.commercialUsage", lambda d: d["extensions"]["VRMC_vrm"]["meta"].update(commercialUsage="all")),
    ("1.0", "morph target 9", lambda d: _preset(d, "blink")["morphTargetBinds"][0].update(index=9)),
    ("1.0", "has no mesh", lambda d: _preset(d, "blink")["morphTargetBinds"][0].update(node=0)),
    ("1.0", "not within 0..1", lambda d: _preset(d, "blink")["morphTargetBinds"][0].update(weight=100)),
    ("1.0", "overrideMouth", lambda d: _preset(d, "blink").update(overrideMouth="stop")),
    ("1.0", "preset 'grin'", lambda d: d["extensions"]["VRMC_vrm"]["expressions"]["preset"].update(grin={})),
    ("1.0", "does not descend", lambda d: _springs(d)["springs"][0]["joints"].reverse()),
    ("1.0", "share node", lambda d: _springs(d)["springs"].append(_springs(d)["springs"][0])),
    ("1.0", "neither a sphere nor", lambda d: _springs(d)["colliders"][0].update(shape={})),
    ("1.0", "dragForce", lambda d: _springs(d)["springs"][0]["joints"][0].update(dragForce=2)),
    ("1.0", "no eye bones", lambda d: d["extensions"]["VRMC_vrm"]["lookAt"].update(type="bone")),
    ("1.0", "texture that does not exist", lambda d: _mtoon(d)["shadeMultiplyTexture"].update(index=9)),
    ("1.0", "shadeColorFactor", lambda d: _mtoon(d).update(shadeColorFactor=[2, 0, 0])),
    ("1.0", "wrong shape", lambda d: d["extensions"]["VRMC_vrm"].update(humanoid=7)),
    ("0.x", "required bone neck is missing", lambda d: _vrm0(d)["humanoid"]["humanBones"].pop(3)),
    ("0.x", "listed twice", lambda d: _vrm0(d)["humanoid"]["humanBones"].append(_vrm0(d)["humanoid"]["humanBones"][0])),
    ("0.x", "licenseName", lambda d: _vrm0(d)["meta"].update(licenseName="Free")),
    ("0.x", "0..100", lambda d: _vrm0(d)["blendShapeMaster"]["blendShapeGroups"][1]["binds"][0].update(weight=101)),
    ("0.x", "preset 'wow'", lambda d: _vrm0(d)["blendShapeMaster"]["blendShapeGroups"][1].update(presetName="wow")),
    ("0.x", "materialProperties", lambda d: _vrm0(d)["materialProperties"].pop()),
    (
        "0.x",
        "springs? 0 lists|spring 0 lists",
        lambda d: _vrm0(d)["secondaryAnimation"]["boneGroups"][0].update(bones=[999]),
    ),
]


def _preset(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["extensions"]["VRMC_vrm"]["expressions"]["preset"][name]


def _mtoon(document: dict[str, Any]) -> dict[str, Any]:
    return document["materials"][0]["extensions"]["VRMC_materials_mtoon"]


def test_the_checker_sees_every_fault(files: dict[str, bytes]) -> None:
    """The Khronos validator is blind to VRM: a checker that misses faults would let broken files out."""
    import re

    for version, message, damage in FAULTS:
        found = check_vrm(read_glb(hostile.repack(files[version], lambda d, damage=damage: damage(d))))
        assert any(re.search(message, line) for line in found), (message, found)


def test_the_checker_sees_a_turned_avatar(files: dict[str, bytes]) -> None:
    """A 1.0 file that faces backwards walks backwards."""
    document = copy.deepcopy(_document(files["0.x"]))
    document["extensions"]["VRMC_vrm"] = _document(files["1.0"])["extensions"]["VRMC_vrm"]
    container = Container(b"", document, read_glb(files["0.x"]).binary, True)
    assert any("wrong way" in line for line in check_vrm(container))
