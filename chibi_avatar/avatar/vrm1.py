"""VRM 1.0: VRMC_vrm, VRMC_springBone and VRMC_materials_mtoon, https://github.com/vrm-c/vrm-specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .gltf_build import Builder
from .licence import Licence
from .model import Avatar, Expression, Material

if TYPE_CHECKING:
    from .vrm import Layout

SPEC_VERSION = "1.0"
PRESETS = (
    "happy", "angry", "sad", "relaxed", "surprised", "aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight",
    "lookUp", "lookDown", "lookLeft", "lookRight", "neutral",
)  # fmt: skip
LOOKS = ("lookUp", "lookDown", "lookLeft", "lookRight")
TOONY, SHIFT, GI_EQUALIZATION = 0.95, -0.05, 0.9  # what 0.x calls toony 0.9, shift 0


def add_vrm1(builder: Builder, avatar: Avatar, licence: Licence, layout: Layout, thumbnail: int | None) -> None:
    """Add the VRM 1.0 extensions to a document that already holds the mesh, skeleton and materials."""
    meta = licence.to_vrm1()
    if thumbnail is not None:
        meta["thumbnailImage"] = thumbnail
    bones = {joint.bone: {"node": layout.nodes[i]} for i, joint in enumerate(avatar.joints) if joint.bone}
    preset, custom = {}, {}
    for expression in avatar.expressions:
        if expression.preset in PRESETS:
            preset[expression.preset] = _expression(avatar, expression, layout)
        else:
            custom[expression.name] = _expression(avatar, expression, layout)
    preset.setdefault("neutral", {})
    expressions: dict[str, Any] = {"preset": {name: preset[name] for name in PRESETS if name in preset}}
    if custom:
        expressions["custom"] = custom
    builder.document.setdefault("extensions", {})["VRMC_vrm"] = {
        "specVersion": SPEC_VERSION,
        "meta": meta,
        "humanoid": {"humanBones": bones},
        "firstPerson": {"meshAnnotations": [{"node": layout.mesh_node, "type": "auto"}]},
        "lookAt": _look_at(avatar, bones, preset),
        "expressions": expressions,
    }
    builder.use_extension("VRMC_vrm")
    if avatar.springs:
        builder.document["extensions"]["VRMC_springBone"] = _springs(avatar, layout)
        builder.use_extension("VRMC_springBone")
    for entry, material in zip(builder.document["materials"], avatar.materials, strict=True):
        entry["extensions"]["VRMC_materials_mtoon"] = _mtoon(material, layout)
    builder.use_extension("VRMC_materials_mtoon")


def _expression(avatar: Avatar, expression: Expression, layout: Layout) -> dict[str, Any]:
    entry: dict[str, Any] = {"isBinary": expression.is_binary}
    binds = [
        {"node": layout.mesh_node, "index": layout.morphs.index(name), "weight": min(max(float(weight), 0.0), 1.0)}
        for name, weight in expression.morphs.items()
    ]
    if binds:
        entry["morphTargetBinds"] = binds
    if expression.uv_offset:
        entry["textureTransformBinds"] = [
            {"material": material, "scale": [1.0, 1.0], "offset": [float(v) for v in offset]}
            for material, offset in expression.uv_offset.items()
        ]
    entry["overrideBlink"] = expression.override_blink
    entry["overrideLookAt"] = "none"
    entry["overrideMouth"] = expression.override_mouth
    return entry


def _look_at(avatar: Avatar, bones: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    by_bone = "leftEye" in bones and "rightEye" in bones and not all(preset.get(look) for look in LOOKS)
    scale = 8.0 if by_bone else 1.0  # degrees of eye rotation, or expression weight, at the end of the range
    span = {"inputMaxValue": 90.0 if by_bone else 30.0, "outputScale": scale}
    return {
        "offsetFromHeadBone": [round(float(v), 6) for v in avatar.look_offset],
        "type": "bone" if by_bone else "expression",
        "rangeMapHorizontalInner": dict(span),
        "rangeMapHorizontalOuter": dict(span),
        "rangeMapVerticalDown": dict(span),
        "rangeMapVerticalUp": dict(span),
    }


def _springs(avatar: Avatar, layout: Layout) -> dict[str, Any]:
    colliders = []
    for collider in avatar.colliders:
        shape: dict[str, Any] = {"offset": [float(v) for v in collider.offset], "radius": float(collider.radius)}
        if collider.tail is not None:
            shape["tail"] = [float(v) for v in collider.tail]
        colliders.append(
            {"node": layout.nodes[collider.joint], "shape": {"capsule" if "tail" in shape else "sphere": shape}}
        )
    sets = sorted({tuple(spring.colliders) for spring in avatar.springs if spring.colliders})
    springs = []
    for spring in avatar.springs:
        joints: list[dict[str, Any]] = [
            {
                "node": layout.nodes[joint],
                "hitRadius": float(spring.radius),
                "stiffness": float(spring.stiffness),
                "gravityPower": float(spring.gravity),
                "gravityDir": [0.0, -1.0, 0.0],
                "dragForce": min(max(float(spring.drag), 0.0), 1.0),
            }
            for joint in spring.joints[:-1]
        ]
        joints.append({"node": layout.nodes[spring.joints[-1]]})
        entry: dict[str, Any] = {"name": spring.name, "joints": joints}
        if spring.colliders:
            entry["colliderGroups"] = [sets.index(tuple(spring.colliders))]
        springs.append(entry)
    out: dict[str, Any] = {"specVersion": SPEC_VERSION}
    if colliders:
        out["colliders"] = colliders
    if sets:
        out["colliderGroups"] = [{"name": f"group {i}", "colliders": list(group)} for i, group in enumerate(sets)]
    out["springs"] = springs
    return out


def _mtoon(material: Material, layout: Layout) -> dict[str, Any]:
    from .vrm import linear

    entry: dict[str, Any] = {
        "specVersion": SPEC_VERSION,
        "transparentWithZWrite": material.alpha_mode == "BLEND",
        "renderQueueOffsetNumber": 0,
        "shadeColorFactor": linear(material.shade),
        "shadingShiftFactor": SHIFT,
        "shadingToonyFactor": TOONY,
        "giEqualizationFactor": GI_EQUALIZATION,
        "parametricRimColorFactor": [0.0, 0.0, 0.0],
        "rimLightingMixFactor": 1.0,
    }
    if material.texture is not None:
        entry["shadeMultiplyTexture"] = {"index": layout.textures[material.texture]}
    if material.outline_width > 0:
        entry["outlineWidthMode"] = "worldCoordinates"
        entry["outlineWidthFactor"] = float(material.outline_width)
        entry["outlineColorFactor"] = linear(material.outline_color)
        entry["outlineLightingMixFactor"] = 0.0
    else:
        entry["outlineWidthMode"] = "none"
    return entry
