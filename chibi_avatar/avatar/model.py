"""The avatar as data: what builders make, what raster, bake and export read.

Conventions (VRM 1.0 and glTF): metres, Y up, the character faces +Z, its left is +X, T-pose, soles at Y = 0. UV origin is the upper
left texel corner, v grows downwards, as in glTF. Triangles are counter-clockwise seen from outside. Arrays are C-contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

# VRM 1.0 humanoid names; the 17 that both VRM versions need come first.
REQUIRED_BONES = (
    "hips", "spine", "chest", "neck", "head",
    "leftUpperLeg", "leftLowerLeg", "leftFoot", "rightUpperLeg", "rightLowerLeg", "rightFoot",
    "leftUpperArm", "leftLowerArm", "leftHand", "rightUpperArm", "rightLowerArm", "rightHand",
)  # fmt: skip


class AvatarError(ValueError):
    """An avatar, or a file that claims to be one, cannot be used. The message says what, where and how to fix it."""


@dataclass
class Joint:
    """A node of the skeleton. ``position`` is its rest position in world space; rest rotation is identity.

    ``bone`` is the VRM humanoid name or None (spring chains, helpers). ``parent`` indexes the skeleton, -1 for the root; parents come first.
    """

    name: str
    parent: int
    position: np.ndarray  # (3,) float64
    bone: str | None = None


@dataclass
class Mesh:
    """One shared vertex buffer for the whole avatar; parts and materials are labels on triangles.

    V vertices, F triangles. A vertex on a UV seam is stored once per side; ``weld`` gives both the same number.
    """

    positions: np.ndarray  # (V, 3) float32
    normals: np.ndarray  # (V, 3) float32, unit
    uvs: np.ndarray  # (V, 2) float32, v down; 0..1, further where the texture repeats
    faces: np.ndarray  # (F, 3) int32
    face_material: np.ndarray  # (F,) int32, index into Avatar.materials
    face_part: np.ndarray  # (F,) int32, index into Avatar.parts
    joints: np.ndarray  # (V, 4) uint16, index into Avatar.joints
    weights: np.ndarray  # (V, 4) float32, rows sum to 1
    morphs: dict[str, np.ndarray] = field(default_factory=dict)  # name -> (V, 3) float32 position deltas
    weld: np.ndarray | None = None  # (V,) int32: equal numbers are one point of the surface
    mirror: np.ndarray | None = None  # (V,) int32: the vertex at (-x, y, z), itself on the middle line, -1 if none


@dataclass
class Texture:
    """An image used by materials. ``pixels`` is (H, W, 3 or 4) uint8 sRGB; ``encoded`` keeps a file's own bytes when unchanged."""

    name: str
    pixels: np.ndarray | None
    encoded: bytes | None = None
    mime: str = "image/png"


@dataclass
class Material:
    """Toon material: base colour texture times factor, shade tint for the dark side, outline; exported as MToon with unlit fallback."""

    name: str
    texture: int | None = None  # index into Avatar.textures
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)  # sRGB factor
    shade: tuple[float, float, float] = (0.86, 0.72, 0.76)  # sRGB multiplier of the texture in shadow
    outline_width: float = 0.0  # metres; 0 for none
    outline_color: tuple[float, float, float] = (0.35, 0.2, 0.22)  # sRGB
    alpha_mode: str = "OPAQUE"  # OPAQUE, MASK or BLEND
    alpha_cutoff: float = 0.5
    double_sided: bool = False


@dataclass
class Expression:
    """A facial expression: ``morphs`` maps morph names to weights 0..1. ``preset`` is a VRM 1.0 preset name or None for custom.

    ``uv_offset`` (material index, (du, dv)) is the flip-book alternative; such an expression is binary.
    """

    name: str
    preset: str | None
    morphs: dict[str, float] = field(default_factory=dict)
    uv_offset: dict[int, tuple[float, float]] = field(default_factory=dict)
    is_binary: bool = False
    override_blink: str = "none"
    override_mouth: str = "none"


@dataclass
class Collider:
    """A sphere, or a capsule when ``tail`` is given, fixed to a joint; offsets in metres from the joint, world axes at rest."""

    joint: int
    offset: tuple[float, float, float]
    radius: float
    tail: tuple[float, float, float] | None = None


@dataclass
class SpringChain:
    """A spring-bone chain: ``joints`` from root to tip; the last one is only the tail."""

    name: str
    joints: list[int]
    stiffness: float = 1.0
    gravity: float = 0.0
    drag: float = 0.4
    radius: float = 0.01
    colliders: list[int] = field(default_factory=list)  # indices into Avatar.colliders


@dataclass
class Avatar:
    """A rigged, textured, morphable character. Treat as immutable: use :meth:`with_textures` and ``dataclasses.replace``."""

    name: str
    mesh: Mesh
    joints: list[Joint]
    materials: list[Material]
    textures: list[Texture]
    parts: list[str]  # names, e.g. "face", "hair", "body", "outfit", "shoes"
    expressions: list[Expression] = field(default_factory=list)
    springs: list[SpringChain] = field(default_factory=list)
    colliders: list[Collider] = field(default_factory=list)
    look_offset: tuple[float, float, float] = (0.0, 0.06, 0.0)  # point between the eyes, metres from the head joint
    heads: float = 2.5
    atlas: int = 0  # index of the texture that the bake paints
    character: Any = None  # the Character it was built from, if any
    source: Any = None  # a user's own file (see load.py): its container, kept byte for byte
    meta: dict[str, Any] = field(default_factory=dict)

    def bone(self, name: str) -> int:
        """Index of the joint that is humanoid bone ``name``; raises :class:`AvatarError` if there is none."""
        for index, joint in enumerate(self.joints):
            if joint.bone == name:
                return index
        raise AvatarError(f"avatar {self.name!r} has no bone {name!r}")

    def has_bone(self, name: str) -> bool:
        """Whether there is a joint that is humanoid bone ``name``."""
        return any(joint.bone == name for joint in self.joints)

    @property
    def height(self) -> float:
        """Metres from the lowest to the highest vertex at rest."""
        y = self.mesh.positions[:, 1]
        return float(y.max() - y.min())

    def with_textures(self, textures: list[Texture]) -> Avatar:
        """A copy that shares everything but its textures."""
        return replace(self, textures=textures)
