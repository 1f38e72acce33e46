"""VRM 0.x: the ``VRM`` extension, https://github.com/vrm-c/vrm-specification/tree/master/specification/0.0.

The character faces −Z in the file. Offsets inside the extension are in Unity's left-handed axes (z reversed),
colours are sRGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .gltf_build import Builder
from .licence import Licence
from .model import Avatar, Expression, Material
from .vrm1 import LOOKS

if TYPE_CHECKING:
    from .vrm import Layout

PRESETS = {
    "neutral": ("Neutral", "neutral"),
    "aa": ("A", "a"),
    "ih": ("I", "i"),
    "ou": ("U", "u"),
    "ee": ("E", "e"),
    "oh": ("O", "o"),
    "blink": ("Blink", "blink"),
    "happy": ("Joy", "joy"),
    "angry": ("Angry", "angry"),
    "sad": ("Sorrow", "sorrow"),
    "relaxed": ("Fun", "fun"),
    "lookUp": ("LookUp", "lookup"),
    "lookDown": ("LookDown", "lookdown"),
    "lookLeft": ("LookLeft", "lookleft"),
    "lookRight": ("LookRight", "lookright"),
    "blinkLeft": ("Blink_L", "blink_l"),
    "blinkRight": ("Blink_R", "blink_r"),
}
_THUMB = {"Metacarpal": "Proximal", "Proximal": "Intermediate"}  # 1.0 renamed the thumb's first two bones


def add_vrm0(builder: Builder, avatar: Avatar, licence: Licence, layout: Layout, thumbnail: int | None) -> None:
    """Add the VRM 0.x extension to a document whose geometry is already turned to face −Z."""
    meta = licence.to_vrm0()
    if thumbnail is not None:
        meta["texture"] = builder.add("textures", {"sampler": 0, "source": thumbnail, "name": "thumbnail"})
    bones = [
        {"bone": bone_name(joint.bone), "node": layout.nodes[i], "useDefaultValues": True}
        for i, joint in enumerate(avatar.joints)
        if joint.bone
    ]
    head = layout.nodes[avatar.bone("head")]
    builder.document.setdefault("extensions", {})["VRM"] = {
        "exporterVersion": builder.document["asset"]["generator"],
        "specVersion": "0.0",
        "meta": meta,
        "humanoid": {
            "humanBones": bones,
            "armStretch": 0.05,
            "legStretch": 0.05,
            "upperArmTwist": 0.5,
            "lowerArmTwist": 0.5,
            "upperLegTwist": 0.5,
            "lowerLegTwist": 0.5,
            "feetSpacing": 0.0,
            "hasTranslationDoF": False,
        },
        "firstPerson": _first_person(avatar, head, layout),
        "blendShapeMaster": {"blendShapeGroups": _groups(builder, avatar, layout)},
        "secondaryAnimation": _secondary(avatar, layout),
        "materialProperties": [_mtoon(material, layout) for material in avatar.materials],
    }
    builder.use_extension("VRM")


def bone_name(name: str) -> str:
    """The 0.x name of a VRM 1.0 bone."""
    side, thumb, joint = name.partition("Thumb")
    return side + thumb + _THUMB.get(joint, joint)


def _vector(offset: tuple[float, float, float]) -> dict[str, float]:
    """An offset in our axes as 0.x stores it: turned by 180° about Y (x and z change sign), then Unity's z reversal."""
    return {"x": -float(offset[0]) + 0.0, "y": float(offset[1]), "z": float(offset[2])}


def _first_person(avatar: Avatar, head: int, layout: Layout) -> dict[str, Any]:
    presets = {expression.preset for expression in avatar.expressions}
    by_shape = all(look in presets for look in LOOKS)
    curve = {
        "curve": [0, 0, 0, 1, 1, 1, 1, 0],
        "xRange": 30.0 if by_shape else 90.0,
        "yRange": 1.0 if by_shape else 8.0,
    }
    return {
        "firstPersonBone": head,
        "firstPersonBoneOffset": _vector(avatar.look_offset),
        "meshAnnotations": [{"mesh": 0, "firstPersonFlag": "Auto"}],
        "lookAtTypeName": "BlendShape" if by_shape else "Bone",
        "lookAtHorizontalInner": dict(curve),
        "lookAtHorizontalOuter": dict(curve),
        "lookAtVerticalDown": dict(curve),
        "lookAtVerticalUp": dict(curve),
    }


def _groups(builder: Builder, avatar: Avatar, layout: Layout) -> list[dict[str, Any]]:
    groups = [_group(avatar, expression, layout) for expression in avatar.expressions]
    if all(group["presetName"] != "neutral" for group in groups):
        groups.insert(0, _group(avatar, Expression("neutral", "neutral"), layout))
    return groups


def _group(avatar: Avatar, expression: Expression, layout: Layout) -> dict[str, Any]:
    title = "Surprised" if expression.preset == "surprised" else expression.name  # what 0.x apps look for
    name, preset = PRESETS.get(expression.preset or "", (title, "unknown"))
    values = [
        {
            "materialName": avatar.materials[material].name,
            "propertyName": "_MainTex_ST",
            "targetValue": [1.0, 1.0, float(offset[0]), -float(offset[1]) + 0.0],
        }
        for material, offset in expression.uv_offset.items()
    ]
    return {
        "name": name,
        "presetName": preset,
        "isBinary": expression.is_binary,
        "binds": [
            {
                "mesh": 0,
                "index": layout.morphs.index(morph),
                "weight": round(min(max(float(weight), 0.0), 1.0) * 100, 4),
            }
            for morph, weight in expression.morphs.items()
        ],
        "materialValues": values,
    }


def _secondary(avatar: Avatar, layout: Layout) -> dict[str, Any]:
    """Springs and colliders. 0.x knows spheres only: a capsule becomes a row of them."""
    groups: list[dict[str, Any]] = []
    for collider in avatar.colliders:
        offsets = [collider.offset]
        if collider.tail is not None:
            steps = max(2, int(_distance(collider.offset, collider.tail) / max(collider.radius, 1e-3)) + 1)
            offsets = [
                tuple(a + (b - a) * i / (steps - 1) for a, b in zip(collider.offset, collider.tail, strict=True))  # type: ignore[misc]
                for i in range(steps)
            ]
        spheres = [{"offset": _vector(offset), "radius": float(collider.radius)} for offset in offsets]
        groups.append({"node": layout.nodes[collider.joint], "colliders": spheres})
    springs = [
        {
            "comment": spring.name,
            "stiffiness": float(spring.stiffness),
            "gravityPower": float(spring.gravity),
            "gravityDir": {"x": 0.0, "y": -1.0, "z": 0.0},
            "dragForce": min(max(float(spring.drag), 0.0), 1.0),
            "center": -1,
            "hitRadius": float(spring.radius),
            "bones": [layout.nodes[spring.joints[0]]],
            "colliderGroups": sorted(spring.colliders),
        }
        for spring in avatar.springs
    ]
    return {"boneGroups": springs, "colliderGroups": groups}


def _distance(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) ** 0.5


_RENDER = {
    "OPAQUE": (0.0, "Opaque", 2000),
    "MASK": (1.0, "TransparentCutout", 2450),
    "BLEND": (2.0, "Transparent", 3000),
}


def _mtoon(material: Material, layout: Layout) -> dict[str, Any]:
    mode, tag, queue = _RENDER[material.alpha_mode]
    outline = material.outline_width > 0
    textures = {}
    if material.texture is not None:
        textures = {"_MainTex": layout.textures[material.texture], "_ShadeTexture": layout.textures[material.texture]}
    keywords = {}
    if material.alpha_mode == "MASK":
        keywords["_ALPHATEST_ON"] = True
    if material.alpha_mode == "BLEND":
        keywords["_ALPHABLEND_ON"] = True
    if outline:
        keywords["MTOON_OUTLINE_WIDTH_WORLD"] = True
        keywords["MTOON_OUTLINE_COLOR_FIXED"] = True
    return {
        "name": material.name,
        "shader": "VRM/MToon",
        "renderQueue": queue,
        "floatProperties": {
            "_Cutoff": material.alpha_cutoff,
            "_BumpScale": 1.0,
            "_ReceiveShadowRate": 1.0,
            "_ShadingGradeRate": 1.0,
            "_ShadeShift": 0.0,
            "_ShadeToony": 0.9,
            "_LightColorAttenuation": 0.0,
            "_IndirectLightIntensity": 0.1,
            "_RimLightingMix": 1.0,
            "_RimFresnelPower": 1.0,
            "_RimLift": 0.0,
            "_OutlineWidth": round(material.outline_width * 100, 6) if outline else 0.0,
            "_OutlineScaledMaxDistance": 1.0,
            "_OutlineLightingMix": 0.0,
            "_DebugMode": 0.0,
            "_BlendMode": mode,
            "_OutlineWidthMode": 1.0 if outline else 0.0,
            "_OutlineColorMode": 0.0,
            "_CullMode": 0.0 if material.double_sided else 2.0,
            "_OutlineCullMode": 1.0,
            "_SrcBlend": 5.0 if material.alpha_mode == "BLEND" else 1.0,
            "_DstBlend": 10.0 if material.alpha_mode == "BLEND" else 0.0,
            "_ZWrite": 0.0 if material.alpha_mode == "BLEND" else 1.0,
        },
        "vectorProperties": {
            "_Color": [float(v) for v in material.color],
            "_ShadeColor": [*(float(v) for v in material.shade), 1.0],
            "_MainTex": [0.0, 0.0, 1.0, 1.0],
            "_RimColor": [0.0, 0.0, 0.0, 1.0],
            "_EmissionColor": [0.0, 0.0, 0.0, 1.0],
            "_OutlineColor": [*(float(v) for v in material.outline_color), 1.0],
        },
        "textureProperties": textures,
        "keywordMap": keywords,
        "tagMap": {"RenderType": tag},
    }
