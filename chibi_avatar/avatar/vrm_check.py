"""Does a VRM keep the promises of its specification? Checks that a plain glTF validator cannot make, for 1.0 and 0.x.

Written from the VRM 1.0 and 0.x specifications, https://github.com/vrm-c/vrm-specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .gltf import Container, GltfError, is_index
from .licence import AVATAR_PERMISSION, COMMERCIAL_USAGE, CREDIT_NOTATION, MODIFICATION, VRM1_LICENCE_URL
from .model import REQUIRED_BONES
from .vrm0 import PRESETS as VRM0_PRESETS
from .vrm0 import bone_name
from .vrm1 import PRESETS as VRM1_PRESETS

REQUIRED_1 = tuple(bone for bone in REQUIRED_BONES if bone not in ("chest", "neck"))
_FINGERS = [
    f"{side}{finger}{joint}"
    for side in ("left", "right")
    for finger in ("Index", "Middle", "Ring", "Little", "Thumb")
    for joint in (("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal"))
]
PARENT_BONE: dict[str, str | None] = {
    "hips": None,
    "spine": "hips",
    "chest": "spine",
    "upperChest": "chest",
    "neck": "upperChest",
    "head": "neck",
    "jaw": "head",
    "leftEye": "head",
    "rightEye": "head",
}
for _side in ("left", "right"):
    PARENT_BONE |= {
        f"{_side}UpperLeg": "hips",
        f"{_side}LowerLeg": f"{_side}UpperLeg",
        f"{_side}Foot": f"{_side}LowerLeg",
        f"{_side}Toes": f"{_side}Foot",
        f"{_side}Shoulder": "upperChest",
        f"{_side}UpperArm": f"{_side}Shoulder",
        f"{_side}LowerArm": f"{_side}UpperArm",
        f"{_side}Hand": f"{_side}LowerArm",
    }
for _name in _FINGERS:
    _side = "left" if _name.startswith("left") else "right"
    for _joint, _above in (
        ("Distal", "Intermediate"),
        ("Intermediate", "Proximal"),
        ("Proximal", None),
        ("Metacarpal", None),
    ):
        if _name.endswith(_joint):
            _thumb = {"Distal": "Proximal", "Proximal": "Metacarpal"} if "Thumb" in _name else {}
            _above = _thumb.get(_joint, _above)
            PARENT_BONE[_name] = _name.removesuffix(_joint) + _above if _above else f"{_side}Hand"
            break
ALL_BONES = tuple(PARENT_BONE)


def check_vrm(container: Container) -> list[str]:
    """Every broken promise, as one line each; [] for a sound file. Never raises for a bad file."""
    from .scene import read_tree

    try:
        tree = read_tree(container)
        extensions = container.document.get("extensions")
        extensions = extensions if isinstance(extensions, Mapping) else {}
        if "VRMC_vrm" in extensions:
            return list(_Checker(container, tree.parents, tree.world).version1())
        if "VRM" in extensions:
            return list(_Checker(container, tree.parents, tree.world).version0())
        return ["neither VRMC_vrm nor VRM is among the extensions"]
    except GltfError as error:
        return [str(error)]
    except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
        return [f"the VRM extension has the wrong shape: {type(error).__name__}: {error}"]


class _Checker:
    """The checks of one file."""

    def __init__(self, container: Container, parents: list[int], world: np.ndarray) -> None:
        self.container, self.parents, self.world = container, parents, world
        self.document = container.document
        self.nodes = container.items("nodes")
        self.used = set(self.document.get("extensionsUsed", []))

    # --- VRM 1.0

    def version1(self) -> Iterator[str]:
        vrm = self.document["extensions"]["VRMC_vrm"]
        if vrm.get("specVersion") != "1.0":
            yield f"VRMC_vrm.specVersion is {vrm.get('specVersion')!r}, not '1.0'"
        yield from self._declared("VRMC_vrm")
        yield from self._meta1(vrm.get("meta"))
        bones = vrm.get("humanoid", {}).get("humanBones", {})
        yield from self._humanoid({bone: entry.get("node") for bone, entry in bones.items()}, REQUIRED_1, ALL_BONES, {})
        yield from self._facing({bone: entry.get("node") for bone, entry in bones.items()}, 1.0)
        yield from self._expressions1(vrm.get("expressions", {}))
        yield from self._look_at1(vrm.get("lookAt", {}), bones)
        for entry in vrm.get("firstPerson", {}).get("meshAnnotations", []):
            if not self._mesh_node(entry.get("node")):
                yield f"firstPerson: node {entry.get('node')} has no mesh"
            if entry.get("type") not in ("auto", "both", "thirdPersonOnly", "firstPersonOnly"):
                yield f"firstPerson: type {entry.get('type')!r}"
        if "VRMC_springBone" in self.document["extensions"]:
            yield from self._springs1(self.document["extensions"]["VRMC_springBone"])
        yield from self._materials1()

    def _declared(self, name: str) -> Iterator[str]:
        if name not in self.used:
            yield f"{name} is not listed in extensionsUsed"

    def _meta1(self, meta: Any) -> Iterator[str]:
        if not isinstance(meta, Mapping):
            yield "VRMC_vrm.meta is missing"
            return
        if not isinstance(meta.get("name"), str) or not meta["name"]:
            yield "meta.name is missing"
        authors = meta.get("authors")
        if not isinstance(authors, list) or not authors or not all(isinstance(a, str) and a for a in authors):
            yield "meta.authors needs at least one name"
        if meta.get("licenseUrl") != VRM1_LICENCE_URL:
            yield f"meta.licenseUrl is not {VRM1_LICENCE_URL}"
        for key, options in (
            ("avatarPermission", AVATAR_PERMISSION),
            ("commercialUsage", COMMERCIAL_USAGE),
            ("creditNotation", CREDIT_NOTATION),
            ("modification", MODIFICATION),
        ):
            if key in meta and meta[key] not in options:
                yield f"meta.{key} is {meta[key]!r}, not one of {', '.join(options)}"
        for key in (
            "allowExcessivelyViolentUsage", "allowExcessivelySexualUsage", "allowPoliticalOrReligiousUsage",
            "allowAntisocialOrHateUsage", "allowRedistribution",
        ):  # fmt: skip
            if key in meta and not isinstance(meta[key], bool):
                yield f"meta.{key} is not true or false"
        yield from self._thumbnail(meta.get("thumbnailImage"))

    def _thumbnail(self, index: Any) -> Iterator[str]:
        if index is None:
            return
        if not is_index(index, len(self.container.items("images"))):
            yield f"the thumbnail, image {index}, does not exist"
            return
        from .load import decode_image, image_bytes

        pixels = decode_image(image_bytes(self.container, index), "thumbnail")
        if pixels.shape[0] != pixels.shape[1]:
            yield f"the thumbnail is {pixels.shape[1]}x{pixels.shape[0]}, not square"

    def _humanoid(
        self, bones: Mapping[str, Any], required: tuple[str, ...], known: tuple[str, ...], rename: Mapping[str, str]
    ) -> Iterator[str]:
        for bone in required:
            if bone not in bones:
                yield f"the required bone {bone} is missing"
        owner: dict[int, str] = {}
        for bone, node in bones.items():
            if bone not in known:
                yield f"{bone!r} is not a humanoid bone"
            if not is_index(node, len(self.nodes)):
                yield f"bone {bone}: node {node} does not exist"
            elif node in owner:
                yield f"bones {owner[node]} and {bone} share node {node}"
            else:
                owner[node] = bone
        if "upperChest" in bones and "chest" not in bones:
            yield "upperChest without chest"
        for bone, node in bones.items():
            above = PARENT_BONE.get(rename.get(bone, bone))
            inverse = {value: key for key, value in rename.items()}
            while above is not None and inverse.get(above, above) not in bones:
                above = PARENT_BONE.get(above)
            if (
                above is not None
                and is_index(node, len(self.nodes))
                and not self._below(node, bones[inverse.get(above, above)])
            ):
                yield f"bone {bone} does not descend from {above}"
        for node in owner:
            scale = np.linalg.norm(self.world[node][:3, :3], axis=0)
            if scale.min() <= 0 or scale.max() - scale.min() > 1e-3 * scale.max():
                yield f"bone {owner[node]} has a scale that is not positive and uniform"

    def _below(self, node: int, ancestor: Any) -> bool:
        at = self.parents[node]
        while at >= 0 and at != ancestor:
            at = self.parents[at]
        return at >= 0

    def _facing(self, bones: Mapping[str, Any], side: float) -> Iterator[str]:
        """+Z front means that the left arm is at +X (``side`` 1); VRM 0.x faces −Z, so there it is at −X."""
        left, right = bones.get("leftUpperArm"), bones.get("rightUpperArm")
        if is_index(left, len(self.nodes)) and is_index(right, len(self.nodes)):
            if side * (self.world[left][0, 3] - self.world[right][0, 3]) <= 0:
                yield "the character faces the wrong way (left and right arms are swapped)"
        head, hips = bones.get("head"), bones.get("hips")
        if is_index(head, len(self.nodes)) and is_index(hips, len(self.nodes)):
            if self.world[head][1, 3] <= self.world[hips][1, 3]:
                yield "the head is not above the hips"

    def _mesh_node(self, node: Any) -> bool:
        return is_index(node, len(self.nodes)) and is_index(
            self.nodes[node].get("mesh"), len(self.container.items("meshes"))
        )

    def _targets(self, mesh: int) -> int:
        primitives = self.container.items("meshes")[mesh]["primitives"]
        counts = {len(primitive.get("targets", [])) for primitive in primitives}
        return min(counts)

    def _expressions1(self, expressions: Mapping[str, Any]) -> Iterator[str]:
        preset, custom = expressions.get("preset", {}), expressions.get("custom", {})
        for name in preset:
            if name not in VRM1_PRESETS:
                yield f"expression preset {name!r} does not exist"
        for name in custom:
            if name in VRM1_PRESETS:
                yield f"custom expression {name!r} has the name of a preset"
        for name, entry in [*preset.items(), *custom.items()]:
            for bind in entry.get("morphTargetBinds", []):
                node, index, weight = bind.get("node"), bind.get("index"), bind.get("weight")
                if not self._mesh_node(node):
                    yield f"expression {name}: node {node} has no mesh"
                elif not is_index(index, self._targets(self.nodes[node]["mesh"])):
                    yield f"expression {name}: morph target {index} does not exist"
                if not isinstance(weight, (int, float)) or not 0 <= weight <= 1:
                    yield f"expression {name}: weight {weight} is not within 0..1"
            for kind in ("materialColorBinds", "textureTransformBinds"):
                for bind in entry.get(kind, []):
                    if not is_index(bind.get("material"), len(self.container.items("materials"))):
                        yield f"expression {name}: material {bind.get('material')} does not exist"
            for key in ("overrideBlink", "overrideLookAt", "overrideMouth"):
                if entry.get(key, "none") not in ("none", "block", "blend"):
                    yield f"expression {name}: {key} is {entry[key]!r}"

    def _look_at1(self, look: Mapping[str, Any], bones: Mapping[str, Any]) -> Iterator[str]:
        if not look:
            return
        if look.get("type") not in ("bone", "expression"):
            yield f"lookAt.type is {look.get('type')!r}"
        if look.get("type") == "bone" and not {"leftEye", "rightEye"} <= set(bones):
            yield "lookAt.type is 'bone' but there are no eye bones"
        if len(look.get("offsetFromHeadBone", [0, 0, 0])) != 3:
            yield "lookAt.offsetFromHeadBone needs 3 numbers"

    def _springs1(self, springs: Mapping[str, Any]) -> Iterator[str]:
        yield from self._declared("VRMC_springBone")
        if springs.get("specVersion") != "1.0":
            yield "VRMC_springBone.specVersion is not '1.0'"
        colliders, groups = springs.get("colliders", []), springs.get("colliderGroups", [])
        for index, collider in enumerate(colliders):
            shape = collider.get("shape", {})
            if not is_index(collider.get("node"), len(self.nodes)):
                yield f"collider {index}: node {collider.get('node')} does not exist"
            if len(shape) != 1 or not set(shape) <= {"sphere", "capsule"}:
                yield f"collider {index} is neither a sphere nor a capsule"
            elif next(iter(shape.values())).get("radius", 0) < 0:
                yield f"collider {index} has a negative radius"
        for index, group in enumerate(groups):
            if not group.get("colliders") or not all(is_index(c, len(colliders)) for c in group["colliders"]):
                yield f"collider group {index} lists colliders that do not exist"
        seen: dict[int, int] = {}
        for index, spring in enumerate(springs.get("springs", [])):
            joints = [joint.get("node") for joint in spring.get("joints", [])]
            if not joints:
                yield f"spring {index} has no joints"
            for joint in joints:
                if not is_index(joint, len(self.nodes)):
                    yield f"spring {index}: node {joint} does not exist"
                elif joint in seen:
                    yield f"springs {seen[joint]} and {index} share node {joint}"
                else:
                    seen[joint] = index
            for above, below in zip(joints, joints[1:], strict=False):
                if (
                    is_index(above, len(self.nodes))
                    and is_index(below, len(self.nodes))
                    and not self._below(below, above)
                ):
                    yield f"spring {index}: node {below} does not descend from {above}"
            for joint in spring.get("joints", []):
                for key, low, high in (("dragForce", 0, 1), ("stiffness", 0, np.inf), ("hitRadius", 0, np.inf)):
                    if not low <= joint.get(key, 0.5) <= high:
                        yield f"spring {index}: {key} {joint[key]} is out of range"
            if not all(is_index(g, len(groups)) for g in spring.get("colliderGroups", [])):
                yield f"spring {index} lists collider groups that do not exist"

    def _materials1(self) -> Iterator[str]:
        textures = len(self.container.items("textures"))
        for index, material in enumerate(self.container.items("materials")):
            mtoon = material.get("extensions", {}).get("VRMC_materials_mtoon")
            if mtoon is None:
                continue
            if mtoon.get("specVersion") != "1.0":
                yield f"material {index}: MToon specVersion is not '1.0'"
            if mtoon.get("outlineWidthMode", "none") not in ("none", "worldCoordinates", "screenCoordinates"):
                yield f"material {index}: outlineWidthMode {mtoon['outlineWidthMode']!r}"
            for key, value in mtoon.items():
                if key.endswith("Texture") and not is_index(value.get("index"), textures):
                    yield f"material {index}: {key} points to a texture that does not exist"
                if key.endswith("ColorFactor") and (len(value) != 3 or not all(0 <= v <= 1 for v in value)):
                    yield f"material {index}: {key} is not three numbers within 0..1"
        if any("VRMC_materials_mtoon" in m.get("extensions", {}) for m in self.container.items("materials")):
            yield from self._declared("VRMC_materials_mtoon")

    # --- VRM 0.x

    def version0(self) -> Iterator[str]:
        vrm = self.document["extensions"]["VRM"]
        yield from self._declared("VRM")
        yield from self._meta0(vrm.get("meta"))
        entries = vrm.get("humanoid", {}).get("humanBones", [])
        names = [entry.get("bone") for entry in entries]
        for name in sorted({str(n) for n in names if names.count(n) > 1}):
            yield f"bone {name} is listed twice"
        bones = {entry.get("bone"): entry.get("node") for entry in entries}
        rename = {bone_name(bone): bone for bone in ALL_BONES}
        yield from self._humanoid(bones, REQUIRED_BONES, tuple(rename), rename)
        yield from self._facing(bones, -1.0)
        yield from self._groups0(vrm.get("blendShapeMaster", {}).get("blendShapeGroups", []))
        first = vrm.get("firstPerson", {})
        if first and not is_index(first.get("firstPersonBone"), len(self.nodes)):
            yield "firstPerson.firstPersonBone does not exist"
        if first.get("lookAtTypeName", "Bone") not in ("Bone", "BlendShape"):
            yield f"firstPerson.lookAtTypeName is {first['lookAtTypeName']!r}"
        for entry in first.get("meshAnnotations", []):
            if not is_index(entry.get("mesh"), len(self.container.items("meshes"))):
                yield f"firstPerson: mesh {entry.get('mesh')} does not exist"
            if entry.get("firstPersonFlag") not in ("Auto", "Both", "ThirdPersonOnly", "FirstPersonOnly"):
                yield f"firstPerson: flag {entry.get('firstPersonFlag')!r}"
        yield from self._secondary0(vrm.get("secondaryAnimation", {}))
        yield from self._materials0(vrm.get("materialProperties", []))

    def _meta0(self, meta: Any) -> Iterator[str]:
        if not isinstance(meta, Mapping):
            yield "VRM.meta is missing"
            return
        for key, options in (
            ("allowedUserName", ("OnlyAuthor", "ExplicitlyLicensedPerson", "Everyone")),
            ("violentUssageName", ("Disallow", "Allow")),
            ("sexualUssageName", ("Disallow", "Allow")),
            ("commercialUssageName", ("Disallow", "Allow")),
            (
                "licenseName",
                (
                    "Redistribution_Prohibited",
                    "CC0",
                    "CC_BY",
                    "CC_BY_NC",
                    "CC_BY_SA",
                    "CC_BY_NC_SA",
                    "CC_BY_ND",
                    "CC_BY_NC_ND",
                    "Other",
                ),
            ),
        ):
            if meta.get(key, options[0]) not in options:
                yield f"meta.{key} is {meta[key]!r}, not one of {', '.join(options)}"
        texture = meta.get("texture")
        if texture is not None and texture != -1:
            if not is_index(texture, len(self.container.items("textures"))):
                yield f"the thumbnail, texture {texture}, does not exist"
            else:
                yield from self._thumbnail(self.container.items("textures")[texture].get("source"))

    def _groups0(self, groups: list[Any]) -> Iterator[str]:
        presets = {preset for _, preset in VRM0_PRESETS.values()} | {"unknown"}
        seen: set[tuple[str, str]] = set()
        for group in groups:
            name, preset = group.get("name"), group.get("presetName", "unknown")
            if preset not in presets:
                yield f"blend shape {name}: preset {preset!r} does not exist"
            key = (preset, name if preset == "unknown" else "")
            if key in seen:
                yield f"blend shape {name} ({preset}) is there twice"
            seen.add(key)
            for bind in group.get("binds", []):
                mesh = bind.get("mesh")
                if not is_index(mesh, len(self.container.items("meshes"))):
                    yield f"blend shape {name}: mesh {mesh} does not exist"
                elif not is_index(bind.get("index"), self._targets(mesh)):
                    yield f"blend shape {name}: morph target {bind.get('index')} does not exist"
                if not 0 <= bind.get("weight", 0) <= 100:
                    yield f"blend shape {name}: weight {bind.get('weight')} is not within 0..100"

    def _secondary0(self, secondary: Mapping[str, Any]) -> Iterator[str]:
        groups = secondary.get("colliderGroups", [])
        for index, group in enumerate(groups):
            if not is_index(group.get("node"), len(self.nodes)):
                yield f"collider group {index}: node {group.get('node')} does not exist"
        for index, spring in enumerate(secondary.get("boneGroups", [])):
            if not all(is_index(node, len(self.nodes)) for node in spring.get("bones", [])):
                yield f"spring {index} lists nodes that do not exist"
            if not all(is_index(g, len(groups)) for g in spring.get("colliderGroups", [])):
                yield f"spring {index} lists collider groups that do not exist"
            if not 0 <= spring.get("dragForce", 0) <= 1:
                yield f"spring {index}: dragForce {spring['dragForce']} is not within 0..1"

    def _materials0(self, properties: list[Any]) -> Iterator[str]:
        materials = self.container.items("materials")
        if len(properties) != len(materials):
            yield f"{len(properties)} materialProperties for {len(materials)} materials"
        for index, entry in enumerate(properties):
            if index < len(materials) and entry.get("name") != materials[index].get("name"):
                yield f"materialProperties[{index}] is {entry.get('name')!r}, not {materials[index].get('name')!r}"
            for slot, texture in entry.get("textureProperties", {}).items():
                if not is_index(texture, len(self.container.items("textures"))):
                    yield f"materialProperties[{index}].{slot} points to a texture that does not exist"
