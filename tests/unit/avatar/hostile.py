"""GLBs that a stranger might send, and a multi-material file as VRoid Studio makes them."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np

from chibi_avatar.avatar.gltf import Container, read_glb, write_glb
from chibi_avatar.avatar.gltf_build import Builder
from chibi_avatar.avatar.model import Avatar


def painted(avatar: Avatar, number: int, pixels: np.ndarray) -> Avatar:
    """``avatar`` with other pixels in texture ``number``."""
    textures = list(avatar.textures)
    textures[number] = replace(textures[number], pixels=pixels, encoded=None)
    return avatar.with_textures(textures)


def repack(data: bytes, change: Callable[[dict[str, Any]], Any], binary: bytes | None = None) -> bytes:
    """``data`` with its document changed in place by ``change``."""
    container = read_glb(data)
    document = copy.deepcopy(container.document)
    change(document)
    text = json.dumps(document).encode()
    return write_glb(
        Container(text, document, container.binary if binary is None else binary, True, container.extra_chunks)
    )


def raw_glb(text: bytes, binary: bytes = b"") -> bytes:
    """A GLB around any JSON bytes."""
    return write_glb(Container(text, {}, binary, bool(binary)))


def picture(color: tuple[int, ...], kind: str = "PNG", size: int = 16) -> bytes:
    """An encoded square of one colour."""
    from PIL import Image

    out = BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", (size, size), color).save(out, kind)
    return out.getvalue()


def ribbon(us: list[float], *pictures: tuple[bytes, str]) -> Builder:
    """A row of upright squares, one column of vertices per u, without bones. The first of the encoded ``pictures``
    (bytes, MIME type) colours it; the others are only there. Change ``document``, then ``finish()``."""
    builder = Builder("Somebody's exporter 1.2")
    for data, mime in pictures:
        builder.image(data, mime, f"picture {len(builder.document.get('images', ()))}")
    surface = {}
    if pictures:
        builder.add("textures", {"source": 0})
        surface["baseColorTexture"] = {"index": 0}
    builder.add("materials", {"name": "paper", "pbrMetallicRoughness": surface})
    columns = np.repeat(np.arange(len(us)), 2)
    rows = np.tile([0, 1], len(us))
    first = np.arange(len(us) - 1)[:, None] * 2
    primitive = {
        "attributes": {
            "POSITION": builder.accessor(
                np.stack([columns, rows, columns * 0], -1).astype(np.float32), "VEC3", bounds=True
            ),
            "TEXCOORD_0": builder.accessor(np.stack([np.array(us)[columns], rows], -1).astype(np.float32), "VEC2"),
        },
        "indices": builder.accessor((first + [0, 2, 3, 0, 3, 1]).astype(np.uint16).ravel(), "SCALAR"),
        "material": 0,
    }
    builder.add("meshes", {"primitives": [primitive]})
    builder.add("nodes", {"mesh": 0})
    builder.document["scenes"] = [{"nodes": [0]}]
    return builder


def vroid_like() -> bytes:
    """Three skinned meshes, five materials, PNG and JPEG pictures, an overlay with alpha, rotated and scaled nodes,
    unknown extras."""
    builder = Builder("Somebody's exporter 1.2")
    document = builder.document
    sources = [
        builder.image(picture((240, 200, 180, 255)), "image/png", "body"),
        builder.image(picture((250, 220, 200), "JPEG", 32), "image/jpeg", "face"),
        builder.image(picture((20, 20, 30, 90)), "image/png", "brows"),
        builder.image(picture((180, 150, 140)), "image/png", "face_shade"),
        builder.image(picture((90, 60, 200)), "image/png", "hair"),
    ]
    document["samplers"] = [{"wrapS": 10497, "wrapT": 10497}]
    for source in sources:
        builder.add("textures", {"source": source, "sampler": 0})

    def material(name: str, texture: int, shade: int | None = None, **more: Any) -> None:
        mtoon: dict[str, Any] = {"specVersion": "1.0", "shadeColorFactor": [0.9, 0.8, 0.8]}
        if shade is not None:
            mtoon["shadeMultiplyTexture"] = {"index": shade}
        surface = {"baseColorTexture": {"index": texture}}
        builder.add(
            "materials",
            {"name": name, "pbrMetallicRoughness": surface, "extensions": {"VRMC_materials_mtoon": mtoon}, **more},
        )

    material("N00_Body_SKIN", 0, 0)
    material("N00_Face_00_SKIN", 1, 3)
    material("N00_FaceBrow_00", 2, 2, alphaMode="BLEND")
    material("N00_Hair_00", 4, 4, alphaMode="MASK", alphaCutoff=0.4)
    material("N00_Cloth", 0, 0)
    document["materials"][4]["pbrMetallicRoughness"]["baseColorTexture"]["extensions"] = {
        "KHR_texture_transform": {"offset": [0.5, 0.0], "scale": [0.5, 1.0]}
    }

    half = 2**-0.5
    bones = {
        "hips": (None, (0, 0.9, 0)),
        "spine": ("hips", (0, 0.1, 0)),
        "chest": ("spine", (0, 0.1, 0)),
        "neck": ("chest", (0, 0.2, 0)),
        "head": ("neck", (0, 0.1, 0)),
        "leftUpperLeg": ("hips", (0.1, 0, 0)),
        "leftLowerLeg": ("leftUpperLeg", (0, -0.4, 0)),
        "leftFoot": ("leftLowerLeg", (0, -0.4, 0)),
        "rightUpperLeg": ("hips", (-0.1, 0, 0)),
        "rightLowerLeg": ("rightUpperLeg", (0, -0.4, 0)),
        "rightFoot": ("rightLowerLeg", (0, -0.4, 0)),
        "leftUpperArm": ("chest", (0.2, 0.1, 0)),
        "leftLowerArm": ("leftUpperArm", (0.2, 0, 0)),
        "leftHand": ("leftLowerArm", (0.2, 0, 0)),
        "rightUpperArm": ("chest", (-0.2, 0.1, 0)),
        "rightLowerArm": ("rightUpperArm", (-0.2, 0, 0)),
        "rightHand": ("rightLowerArm", (-0.2, 0, 0)),
    }
    root = builder.add("nodes", {"name": "Root", "scale": [0.5, 0.5, 0.5]})
    nodes = {}
    for bone, (parent, offset) in bones.items():
        nodes[bone] = builder.add("nodes", {"name": f"J_{bone}", "translation": list(offset)})
        document["nodes"][nodes[parent] if parent else root].setdefault("children", []).append(nodes[bone])
    hair = builder.add("nodes", {"name": "Hair_1", "translation": [0, 0.3, -0.1], "rotation": [half, 0, 0, half]})
    tip = builder.add("nodes", {"name": "Hair_1_end", "translation": [0, 0.2, 0]})
    document["nodes"][nodes["head"]].setdefault("children", []).append(hair)
    document["nodes"][hair]["children"] = [tip]

    def quad(center: tuple[float, float, float], size: float) -> np.ndarray:
        corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
        return (corners * size + np.array(center, np.float32)).astype(np.float32)

    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    index = np.array([0, 1, 2, 0, 2, 3], np.uint16)
    joint_names = list(nodes)
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(joint_names), 1, 1))
    world = {}
    for bone, (parent, offset) in bones.items():
        world[bone] = np.array(offset) + (world[parent] if parent else 0)
        inverse[joint_names.index(bone), 3, :3] = -world[bone]
    skin = builder.add(
        "skins", {"joints": [nodes[b] for b in joint_names], "inverseBindMatrices": builder.accessor(inverse, "MAT4")}
    )

    def primitive(
        center: tuple[float, float, float], size: float, bone: str, number: int, morphs: int = 0
    ) -> dict[str, Any]:
        points = quad(center, size)
        joints = np.zeros((4, 4), np.uint8)
        joints[:, 0] = joint_names.index(bone)
        weights = np.zeros((4, 4), np.float32)
        weights[:, 0] = 1
        entry: dict[str, Any] = {
            "attributes": {
                "POSITION": builder.accessor(points, "VEC3", 34962, bounds=True),
                "NORMAL": builder.accessor(np.tile(np.float32([0, 0, 1]), (4, 1)), "VEC3", 34962),
                "TEXCOORD_0": builder.accessor(uv, "VEC2", 34962),
                "JOINTS_0": builder.accessor(joints, "VEC4", 34962),
                "WEIGHTS_0": builder.accessor(weights, "VEC4", 34962),
            },
            "indices": builder.accessor(index, "SCALAR", 34963),
            "material": number,
        }
        if morphs:
            delta = np.zeros((4, 3), np.float32)
            delta[:2, 1] = 0.02
            entry["targets"] = [
                {"POSITION": builder.accessor(delta * (i + 1), "VEC3", bounds=True)} for i in range(morphs)
            ]
        return entry

    names = {"targetNames": ["Fcl_EYE_Close", "Fcl_MTH_A"]}
    face = builder.add(
        "meshes",
        {
            "name": "Face",
            "extras": names,
            "primitives": [primitive((0, 1.5, 0.1), 0.1, "head", 1, 2), primitive((0, 1.55, 0.11), 0.05, "head", 2, 2)],
        },
    )
    body = builder.add(
        "meshes",
        {
            "name": "Body",
            "primitives": [primitive((0, 1, 0), 0.2, "hips", 0), primitive((0, 1.1, 0.02), 0.15, "chest", 4)],
        },
    )
    hair_mesh = builder.add("meshes", {"name": "Hair", "primitives": [primitive((0, 1.7, 0), 0.15, "head", 3)]})
    meshes = [
        builder.add("nodes", {"name": n, "mesh": m, "skin": skin})
        for n, m in (("Face", face), ("Body", body), ("Hair", hair_mesh))
    ]
    document["scenes"] = [{"nodes": [root, *meshes]}]
    document["scene"] = 0
    document["extras"] = {"unknown": [1.50, 2e-3, "ключ 鍵"]}
    for name in ("VRMC_vrm", "VRMC_springBone", "VRMC_materials_mtoon", "KHR_texture_transform", "ACME_secret"):
        builder.use_extension(name)
    document["extensions"] = {
        "ACME_secret": {"keep": True},
        "VRMC_vrm": {
            "specVersion": "1.0",
            "meta": {
                "name": "Vee",
                "authors": ["Ada"],
                "licenseUrl": "https://vrm.dev/licenses/1.0/",
                "modification": "allowModification",
                "avatarPermission": "everyone",
            },
            "humanoid": {"humanBones": {bone: {"node": node} for bone, node in nodes.items()}},
            "expressions": {
                "preset": {
                    "blink": {"morphTargetBinds": [{"node": meshes[0], "index": 0, "weight": 1.0}]},
                    "aa": {
                        "morphTargetBinds": [{"node": meshes[0], "index": 1, "weight": 0.8}],
                        "overrideBlink": "blend",
                    },
                },
                "custom": {},
            },
        },
        "VRMC_springBone": {
            "specVersion": "1.0",
            "colliders": [{"node": nodes["head"], "shape": {"sphere": {"offset": [0, 0.1, 0], "radius": 0.1}}}],
            "colliderGroups": [{"colliders": [0]}],
            "springs": [
                {"name": "hair", "joints": [{"node": hair, "hitRadius": 0.01}, {"node": tip}], "colliderGroups": [0]}
            ],
        },
    }
    data = builder.finish()
    container = read_glb(data)
    spaced = json.dumps(
        container.document, indent=2, ensure_ascii=True
    ).encode()  # spelt as no other writer here spells it
    return write_glb(Container(spaced, {}, container.binary, True, [(0x21212121, b"other tool's chunk!!")]))


def damaged(base: bytes) -> dict[str, bytes]:
    """Name → a file that must be refused. ``base`` is a sound one."""

    def first_accessor(document: dict[str, Any], **values: Any) -> None:
        position = document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
        document["accessors"][position].update(values)

    def stride(document: dict[str, Any]) -> None:
        position = document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
        document["bufferViews"][document["accessors"][position]["bufferView"]]["byteStride"] = 1

    def cycle(document: dict[str, Any]) -> None:
        document["nodes"][3].setdefault("children", []).append(0)

    def own_parent(document: dict[str, Any]) -> None:
        document["nodes"][2]["children"] = [2]

    def two_parents(document: dict[str, Any]) -> None:
        document["nodes"][1].setdefault("children", []).append(len(document["nodes"]) - 2)
        document["nodes"][2].setdefault("children", []).append(len(document["nodes"]) - 2)

    def outside(uri: str) -> Callable[[dict[str, Any]], None]:
        def change(document: dict[str, Any]) -> None:
            document["images"][0] = {"uri": uri}

        return change

    def requires(name: str) -> Callable[[dict[str, Any]], None]:
        return lambda document: document.update(extensionsRequired=[name], extensionsUsed=[name])

    header = struct.unpack_from("<II", base, 12)
    nan = np.frombuffer(read_glb(base).binary, np.uint8).copy()
    nan[:4096] = 255
    return {
        "zero bytes": b"",
        "four bytes": base[:4],
        "header only": base[:12],
        "truncated": base[: len(base) // 2],
        "one byte short": base[:-1],
        "not glTF": b"PK\x03\x04" + base[4:],
        "text gltf": b'{"asset": {"version": "2.0"}, "scenes": []}',
        "version 1": base[:4] + struct.pack("<I", 1) + base[8:],
        "wrong total": base[:8] + struct.pack("<I", 1 << 31) + base[12:],
        "huge chunk": base[:12] + struct.pack("<II", 0xFFFFFFF0, header[1]) + base[20:],
        "binary first": base[:16] + struct.pack("<I", 0x004E4942) + base[20:],
        "not JSON": raw_glb(b"{'a': 1}"),
        "JSON array": raw_glb(b"[1, 2]"),
        "deep JSON": raw_glb(b'{"asset":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "NaN in JSON": raw_glb(b'{"asset": {"version": "2.0"}, "x": NaN}'),
        "number too large": raw_glb(b'{"asset": {"version": "2.0"}, "x": 1e999}'),
        "no asset": raw_glb(b"{}"),
        "no meshes": raw_glb(b'{"asset": {"version": "2.0"}}'),
        "nodes not a list": repack(base, lambda d: d.update(nodes=3)),
        "node is a number": repack(base, lambda d: d["nodes"].__setitem__(1, 7)),
        "huge count": repack(base, lambda d: first_accessor(d, count=4_000_000_000)),
        "count past the buffer": repack(base, lambda d: first_accessor(d, count=100_000)),
        "negative count": repack(base, lambda d: first_accessor(d, count=-1)),
        "boolean count": repack(base, lambda d: first_accessor(d, count=True)),
        "huge offset": repack(base, lambda d: first_accessor(d, byteOffset=1 << 31)),
        "wrong type": repack(base, lambda d: first_accessor(d, type="SCALAR")),
        "unknown component": repack(base, lambda d: first_accessor(d, componentType=9999)),
        "view past the buffer": repack(base, lambda d: d["bufferViews"][0].update(byteOffset=1 << 30)),
        "view of no buffer": repack(base, lambda d: d["bufferViews"][0].update(buffer=5)),
        "buffer too long": repack(base, lambda d: d["buffers"][0].update(byteLength=1 << 30)),
        "buffer elsewhere": repack(base, lambda d: d["buffers"][0].update(uri="../../../etc/passwd")),
        "no array": repack(base, lambda d: d.update(accessors=None)),
        "stride": repack(base, stride),
        "NaN positions": repack(base, lambda d: None, nan.tobytes()),
        "node cycle": repack(base, cycle),
        "own parent": repack(base, own_parent),
        "two parents": repack(base, two_parents),
        "missing child": repack(base, lambda d: d["nodes"][1].update(children=[999])),
        "huge translation": repack(base, lambda d: d["nodes"][1].update(translation=[1e300, 0, 0])),
        "mesh of nowhere": repack(base, lambda d: d["nodes"][-1].update(mesh=99)),
        "skin of nowhere": repack(base, lambda d: d["nodes"][-1].update(skin=99)),
        "joint of nowhere": repack(base, lambda d: d["skins"][0].update(joints=[999])),
        "material of nowhere": repack(base, lambda d: d["meshes"][0]["primitives"][0].update(material=99)),
        "texture of nowhere": repack(
            base, lambda d: d["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"].update(index=99)
        ),
        "image elsewhere": repack(base, outside("../secret.png")),
        "image on a server": repack(base, outside("http://127.0.0.1/x.png")),
        "image is no image": repack(base, outside("data:image/png;base64,AAAA")),
        "bad base64": repack(base, outside("data:image/png;base64,@@@@")),
        "Draco": repack(base, requires("KHR_draco_mesh_compression")),
        "meshopt": repack(base, requires("EXT_meshopt_compression")),
        "KTX2": repack(base, requires("KHR_texture_basisu")),
        "unknown extension": repack(base, requires("ACME_scrambled")),
    }
