"""What a VRM says about its rig: humanoid bones, expressions, spring bones and colliders, both versions, into the
avatar's own terms.

A part that is damaged but not needed (an expression that points nowhere, a spring of one joint) is left out; the
file is kept whole anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .gltf import Container, GltfError, is_index, number
from .model import Collider, Expression, SpringChain
from .vrm0 import PRESETS as VRM0_PRESETS
from .vrm0 import bone_name
from .vrm1 import PRESETS as VRM1_PRESETS
from .vrm_check import ALL_BONES

MAX_CHAINS = 1000
MAX_GROUPS = 256  # collider groups of one chain
MAX_MEMBERS = 64  # colliders of one group
_FROM_VRM0 = {preset: name for name, (_, preset) in VRM0_PRESETS.items()}
_BONE_FROM_VRM0 = {bone_name(bone): bone for bone in ALL_BONES}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _extension(container: Container, name: str) -> Mapping[str, Any]:
    return _mapping(_mapping(container.document.get("extensions")).get(name))


def read_humanoid(container: Container, kind: str) -> dict[int, str]:
    """Node index → VRM 1.0 bone name.

    Raises :class:`GltfError` for a 1.0 bone whose node does not exist or is used twice. In 0.x such an entry is left
    out, as apps do: exporters list the bones that a body lacks with node -1.
    """
    pairs: list[tuple[Any, Any]] = []
    if kind == "1.0":
        bones = _mapping(_mapping(_extension(container, "VRMC_vrm").get("humanoid")).get("humanBones"))
        pairs = [(bone, _mapping(entry).get("node")) for bone, entry in bones.items()]
    elif kind == "0.x":
        entries = _list(_mapping(_extension(container, "VRM").get("humanoid")).get("humanBones"))
        pairs = [(_BONE_FROM_VRM0.get(str(_mapping(e).get("bone"))), _mapping(e).get("node")) for e in entries]
    count = len(container.items("nodes"))
    out: dict[int, str] = {}
    for bone, node in pairs:
        if bone not in ALL_BONES:
            continue
        if not is_index(node, count) or node in out or bone in out.values():
            if kind == "0.x":
                continue
            raise GltfError(f"humanoid bone {bone}: its node {str(node)[:20]} does not exist or is used twice")
        out[node] = bone
    return out


def read_expressions(
    container: Container, kind: str, keys: list[list[str]], morphs: set[str], materials: int
) -> tuple[list[Expression], tuple[float, float, float] | None]:
    """(expressions, look offset from the head). Binds to morphs or materials that do not exist are left out."""
    if kind == "1.0":
        return _expressions1(container, keys, morphs)
    if kind == "0.x":
        return _expressions0(container, keys, morphs)
    return [], None


def _bound(keys: list[list[str]], mesh: Any, index: Any, morphs: set[str]) -> str | None:
    if is_index(mesh, len(keys)) and is_index(index, len(keys[mesh])) and keys[mesh][index] in morphs:
        return keys[mesh][index]
    return None


def _expressions1(
    container: Container, keys: list[list[str]], morphs: set[str]
) -> tuple[list[Expression], tuple[float, float, float] | None]:
    extension = _extension(container, "VRMC_vrm")
    groups = _mapping(extension.get("expressions"))
    nodes = container.items("nodes")
    out = []
    for group, is_preset in (("preset", True), ("custom", False)):
        for name, entry in _mapping(groups.get(group)).items():
            if is_preset and name not in VRM1_PRESETS:
                continue
            weights: dict[str, float] = {}
            for bind in _list(_mapping(entry).get("morphTargetBinds")):
                bind = _mapping(bind)
                node = bind.get("node")
                mesh = nodes[node].get("mesh") if is_index(node, len(nodes)) else None
                key = _bound(keys, mesh, bind.get("index"), morphs)
                if key is not None:
                    weights[key] = float(np.clip(number(bind.get("weight"), 1.0), 0, 1))
            entry = _mapping(entry)
            out.append(
                Expression(
                    str(name)[:100],
                    name if is_preset else None,
                    weights,
                    is_binary=entry.get("isBinary") is True,
                    override_blink=_override(entry.get("overrideBlink")),
                    override_mouth=_override(entry.get("overrideMouth")),
                )
            )
    offset = _list(_mapping(extension.get("lookAt")).get("offsetFromHeadBone"))
    look = tuple(number(v, 0.0) for v in offset) if len(offset) == 3 else None
    return out, look  # type: ignore[return-value]


def _override(value: Any) -> str:
    return value if value in ("none", "block", "blend") else "none"


def _expressions0(
    container: Container, keys: list[list[str]], morphs: set[str]
) -> tuple[list[Expression], tuple[float, float, float] | None]:
    extension = _extension(container, "VRM")
    out = []
    for group in _list(_mapping(extension.get("blendShapeMaster")).get("blendShapeGroups")):
        group = _mapping(group)
        weights = {}
        for bind in _list(group.get("binds")):
            bind = _mapping(bind)
            key = _bound(keys, bind.get("mesh"), bind.get("index"), morphs)
            if key is not None:
                weights[key] = float(np.clip(number(bind.get("weight"), 100.0) / 100, 0, 1))
        preset = _FROM_VRM0.get(str(group.get("presetName", "")).lower())
        name = preset or str(group.get("name") or "expression")[:100]
        if preset is None and name.lower() == "surprised":
            name = preset = "surprised"
        out.append(Expression(name, preset, weights, is_binary=group.get("isBinary") is True))
    offset = _mapping(_mapping(extension.get("firstPerson")).get("firstPersonBoneOffset"))
    look = (
        (-number(offset.get("x"), 0.0), number(offset.get("y"), 0.06), number(offset.get("z"), 0.0)) if offset else None
    )
    return out, look


def read_colliders_and_springs(
    container: Container, kind: str, joint_of: dict[int, int], parents: list[int]
) -> tuple[list[Collider], list[SpringChain]]:
    """Colliders and spring chains on the avatar's joints. Chains whose joints do not descend from each other are
    left out."""
    if kind == "1.0":
        return _springs1(_extension(container, "VRMC_springBone"), joint_of, parents)
    if kind == "0.x":
        return _springs0(_mapping(_extension(container, "VRM").get("secondaryAnimation")), joint_of, parents)
    return [], []


def _springs1(
    extension: Mapping[str, Any], joint_of: dict[int, int], parents: list[int]
) -> tuple[list[Collider], list[SpringChain]]:
    colliders: list[Collider] = []
    place: dict[int, int] = {}
    for index, entry in enumerate(_list(extension.get("colliders"))[: MAX_CHAINS * 4]):
        entry = _mapping(entry)
        shape = _mapping(entry.get("shape"))
        form = _mapping(shape.get("capsule") or shape.get("sphere"))
        node = entry.get("node")
        if not isinstance(node, int) or node not in joint_of or not form:
            continue
        place[index] = len(colliders)
        tail = _vector(form.get("tail")) if "capsule" in shape else None
        colliders.append(
            Collider(joint_of[node], _vector(form.get("offset")), max(number(form.get("radius"), 0.0), 0.0), tail)
        )
    groups = [
        {place[c] for c in _list(_mapping(group).get("colliders"))[:MAX_MEMBERS] if isinstance(c, int) and c in place}
        for group in _list(extension.get("colliderGroups"))[: MAX_CHAINS * 4]
    ]
    chains = []
    for entry in _list(extension.get("springs"))[:MAX_CHAINS]:
        entry = _mapping(entry)
        items = [_mapping(item) for item in _list(entry.get("joints"))]
        joints = [joint_of.get(item.get("node"), -1) for item in items if isinstance(item.get("node"), int)]
        if len(joints) < 2 or not _descends(joints, parents):
            continue
        used = _used(entry, groups)
        first = items[0]
        chains.append(
            SpringChain(
                str(entry.get("name") or f"spring {len(chains)}")[:100],
                joints,
                number(first.get("stiffness"), 1.0),
                number(first.get("gravityPower"), 0.0),
                number(first.get("dragForce"), 0.5),
                number(first.get("hitRadius"), 0.0),
                used,
            )
        )
    return colliders, chains


def _used(entry: Mapping[str, Any], groups: list[set[int]]) -> list[int]:
    """The colliders of the groups that a spring names, ascending."""
    named = {group for group in _list(entry.get("colliderGroups"))[:MAX_GROUPS] if is_index(group, len(groups))}
    return sorted(set().union(*(groups[group] for group in named)))


def _vector(value: Any) -> tuple[float, float, float]:
    items = _list(value)
    return tuple(number(v, 0.0) for v in items) if len(items) == 3 else (0.0, 0.0, 0.0)  # type: ignore[return-value]


def _descends(joints: list[int], parents: list[int]) -> bool:
    if min(joints) < 0 or len(set(joints)) != len(joints):
        return False
    for above, below in zip(joints, joints[1:], strict=False):
        at = parents[below]
        while at > above:
            at = parents[at]
        if at != above:
            return False
    return True


def _springs0(
    extension: Mapping[str, Any], joint_of: dict[int, int], parents: list[int]
) -> tuple[list[Collider], list[SpringChain]]:
    colliders: list[Collider] = []
    groups: list[set[int]] = []
    for entry in _list(extension.get("colliderGroups"))[:MAX_CHAINS]:
        entry = _mapping(entry)
        members: set[int] = set()
        node = entry.get("node")
        if isinstance(node, int) and node in joint_of:
            for sphere in _list(entry.get("colliders"))[:MAX_MEMBERS]:
                offset = _mapping(_mapping(sphere).get("offset"))
                x, y, z = (number(offset.get(axis), 0.0) for axis in "xyz")
                members.add(len(colliders))
                colliders.append(
                    Collider(joint_of[node], (-x, y, z), max(number(_mapping(sphere).get("radius"), 0.0), 0.0))
                )
        groups.append(members)
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(parent, []).append(joint)
    chains: list[SpringChain] = []
    for entry in _list(extension.get("boneGroups"))[:MAX_CHAINS]:
        entry = _mapping(entry)
        used = _used(entry, groups)
        for root in _list(entry.get("bones")):
            if not isinstance(root, int) or root not in joint_of or len(chains) >= MAX_CHAINS:
                continue
            joints = [joint_of[root]]
            while children.get(joints[-1]):
                joints.append(children[joints[-1]][0])
            if len(joints) < 2:
                continue
            chains.append(
                SpringChain(
                    str(entry.get("comment") or f"spring {len(chains)}")[:100],
                    joints,
                    number(entry.get("stiffiness"), 1.0),
                    number(entry.get("gravityPower"), 0.0),
                    number(entry.get("dragForce"), 0.4),
                    number(entry.get("hitRadius"), 0.02),
                    used,
                )
            )
    return colliders, chains
