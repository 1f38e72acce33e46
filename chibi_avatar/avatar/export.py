"""From an Avatar to files: GLB, VRM of either version, the atlas; a platform table; written so that a failure leaves
nothing behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .licence import Licence
from .model import REQUIRED_BONES, Avatar, AvatarError, Texture
from .platforms import PLATFORMS, Figures, table
from .png import encode_png
from .vrm import encode_texture, write_glb_avatar, write_vrm

VERSIONS = ("auto", "1.0", "0.x", "both", "none")
PLATFORM_CHOICES = ("any", *PLATFORMS)
FACES = ("morphs", "flip_book")
MAX_TEXTURE = 8192


@dataclass
class Exported:
    """What an export made: file endings mapped to bytes, and the report."""

    glb: bytes
    vrms: dict[str, bytes] = field(default_factory=dict)  # "1.0" or "0.x" -> bytes
    atlas: bytes = b""
    report: str = ""

    @property
    def main(self) -> bytes:
        """The VRM to hand on: 1.0 where it was made, else 0.x, else the GLB."""
        return self.vrms.get("1.0") or self.vrms.get("0.x") or self.glb

    def files(self) -> dict[str, bytes]:
        """File endings (``.vrm``, ``.vrm0.vrm`` when both versions exist, ``.glb``, ``.atlas.png``) to bytes."""
        out = {}
        if "1.0" in self.vrms:
            out[".vrm"] = self.vrms["1.0"]
        if "0.x" in self.vrms:
            out[".vrm0.vrm" if "1.0" in self.vrms else ".vrm"] = self.vrms["0.x"]
        out[".glb"] = self.glb
        if self.atlas:
            out[".atlas.png"] = self.atlas
        return out


def export_avatar(
    avatar: Avatar,
    licence: Licence | None = None,
    platform: str = "any",
    version: str = "auto",
    thumbnail: np.ndarray | None = None,
    face: str = "morphs",
) -> Exported:
    """Write ``avatar`` for ``platform`` (one of PLATFORM_CHOICES) as VRM ``version`` (one of VERSIONS) and GLB.

    ``thumbnail`` is a square (H, H, 3 or 4) uint8 picture. ``face`` (one of FACES) makes expressions of morphs, or of painted faces in a
    second texture, see :mod:`.flipbook`. The same input gives the same bytes. Raises :class:`AvatarError`.
    """
    if platform not in PLATFORM_CHOICES:
        raise AvatarError(f"platform {platform!r} is not one of {', '.join(PLATFORM_CHOICES)}")
    if version not in VERSIONS:
        raise AvatarError(f"VRM version {version!r} is not one of {', '.join(VERSIONS)}")
    if face not in FACES:
        raise AvatarError(f"face {face!r} is not one of {', '.join(FACES)}")
    licence = licence or Licence()
    notes: list[str] = []
    if avatar.source is not None:
        result = _export_source(avatar, platform, version)
        if face == "flip_book":
            result.report += (
                "\nnote: your file keeps its own expressions; a flip-book face is made for avatars built here"
            )
        return result
    if face == "flip_book":
        from .flipbook import flip_book

        avatar = flip_book(avatar)
        notes.append(
            f"note: {len(avatar.expressions)} expressions are painted faces in a second texture; the eyes do not follow what is looked at"
        )
    limit = PLATFORMS[platform].texture if platform in PLATFORMS else None
    avatar = _fit_textures(avatar, limit, notes)
    if platform in PLATFORMS and PLATFORMS[platform].one_material:
        avatar = _one_material(avatar, notes)
    encode = _remembering(encode_texture)
    versions = _versions(avatar, platform, version, notes)
    picture = _square(thumbnail) if thumbnail is not None else None
    vrms = {name: write_vrm(avatar, licence, name, picture, encode) for name in versions}
    glb = write_glb_avatar(avatar, licence, encode)
    atlas = b""
    if 0 <= avatar.atlas < len(avatar.textures):
        atlas, mime = encode(avatar.textures[avatar.atlas])
        if mime != "image/png":
            pixels = avatar.textures[avatar.atlas].pixels
            atlas = encode_png(pixels) if pixels is not None else b""
    result = Exported(glb, vrms, atlas)
    figures = _figures(avatar, len(result.main), tuple(versions))
    lines = [*_summary(avatar, figures, licence), *describe(avatar).splitlines()[1:], *notes]
    result.report = "\n".join([*lines, "platforms:", *table(figures)])
    return result


def _export_source(avatar: Avatar, platform: str, version: str) -> Exported:
    """A user's own file, its pictures replaced; its version, licence and everything else stay as they are."""
    from .retexture import write_source

    data, notes = write_source(avatar)
    kind = avatar.source.kind
    versions = () if kind == "glb" or version == "none" else (kind,)
    wanted = (
        PLATFORMS[platform].versions
        if version == "auto" and platform in PLATFORMS
        else {"both": ("1.0", "0.x")}.get(version, (version,))
    )
    if kind not in (*wanted, "glb") and not {"auto", "none"} & set(wanted):
        notes.append(f"note: your file is VRM {kind} and stays so; only its pictures are changed")
    if kind == "glb" and not {"auto", "none"} & set(wanted):
        notes.append(
            "note: no VRM was written, your file is a GLB and stays one; only its pictures are changed. To make a VRM of "
            "it, give it humanoid bones with a VRM exporter for Unity or Blender and load that file"
        )
    notes.append(
        "note: your file keeps its own title, author and licence; the fields of the export are not written into it"
    )
    result = Exported(data, dict.fromkeys(versions, data))
    if 0 <= avatar.atlas < len(avatar.textures):
        pixels = avatar.textures[avatar.atlas].pixels
        result.atlas = encode_png(pixels) if pixels is not None else b""
    figures = _figures(avatar, len(data), versions)
    result.report = "\n".join(
        [_size_line(avatar, figures), *describe(avatar).splitlines()[1:], *notes, "platforms:", *table(figures)]
    )
    return result


def _versions(avatar: Avatar, platform: str, version: str, notes: list[str]) -> list[str]:
    if version == "auto":
        version = PLATFORMS[platform].versions[0] if platform in PLATFORMS else "1.0"
        missing = [bone for bone in REQUIRED_BONES if all(joint.bone != bone for joint in avatar.joints)]
        if missing:
            notes.append(f"note: no VRM was written, the rig lacks {', '.join(missing)}; the GLB has everything else")
            return []
    return {"both": ["1.0", "0.x"], "none": []}.get(version, [version])


def _remembering(encode: Callable[[Texture], tuple[bytes, str]]) -> Callable[[Texture], tuple[bytes, str]]:
    """Each texture is compressed once, however many files carry it."""
    done: dict[int, tuple[bytes, str]] = {}

    def encode_once(texture: Texture) -> tuple[bytes, str]:
        if id(texture) not in done:
            done[id(texture)] = encode(texture)
        return done[id(texture)]

    return encode_once


def _fit_textures(avatar: Avatar, limit: int | None, notes: list[str]) -> Avatar:
    textures = []
    for texture in avatar.textures:
        if texture.pixels is not None:
            height, width = texture.pixels.shape[:2]
            most = min(limit or MAX_TEXTURE, MAX_TEXTURE)
            if max(height, width) > most:
                size = (
                    max(1, round(width * most / max(height, width))),
                    max(1, round(height * most / max(height, width))),
                )
                notes.append(f"note: texture {texture.name!r} was reduced from {width}x{height} to {size[0]}x{size[1]}")
                texture = replace(texture, pixels=resize(texture.pixels, size), encoded=None, mime="image/png")
        textures.append(texture)
    return avatar.with_textures(textures)


def _one_material(avatar: Avatar, notes: list[str]) -> Avatar:
    """The avatar with its materials joined into the first, where one texture and no flip-book face allows it."""
    first = avatar.materials[0]
    same = all(
        m.texture == first.texture and m.alpha_mode == first.alpha_mode and m.color == first.color
        for m in avatar.materials
    )
    if len(avatar.materials) < 2 or not same or any(expression.uv_offset for expression in avatar.expressions):
        return avatar
    notes.append(f"note: {len(avatar.materials)} materials were joined into one")
    joined = replace(first, name="avatar", double_sided=any(m.double_sided for m in avatar.materials))
    mesh = replace(avatar.mesh, face_material=np.zeros_like(avatar.mesh.face_material))
    return replace(avatar, mesh=mesh, materials=[joined])


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``pixels`` at (width, height) ``size``, by area averaging (Pillow's box filter)."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def portrait(avatar: Avatar, size: int = 384) -> np.ndarray | None:
    """(size, size, 3) uint8: the face on a soft ground, as apps show it in lists; None where there is no head."""
    from .render import render

    if all(joint.bone != "head" for joint in avatar.joints):
        return None
    image, _ = render(avatar, "face", size, background="soft", supersample=1)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _square(thumbnail: np.ndarray) -> bytes:
    height, width = thumbnail.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return encode_png(np.ascontiguousarray(thumbnail[top : top + edge, left : left + edge]))


def _figures(avatar: Avatar, file_bytes: int, versions: tuple[str, ...]) -> Figures:
    drawn = sorted({m.texture for m in avatar.materials if m.texture is not None})
    sizes = []
    for index in drawn:
        pixels = avatar.textures[index].pixels
        if pixels is not None:
            sizes.append((pixels.shape[1], pixels.shape[0]))
    used = np.unique(avatar.mesh.face_material)
    return Figures(
        triangles=len(avatar.mesh.faces),
        materials=len(used),
        meshes=1,
        bones=len(avatar.joints),
        springs=len(avatar.springs),
        morphs=len(avatar.mesh.morphs),
        texture_sizes=tuple(sizes),
        file_bytes=file_bytes,
        versions=versions,
    )


def _size_line(avatar: Avatar, figures: Figures) -> str:
    sizes = ", ".join(f"{w}x{h}" for w, h in figures.texture_sizes) or "none"
    return (
        f"{avatar.name}: {figures.triangles} triangles, {figures.materials} material(s), {figures.bones} bones, "
        f"{figures.morphs} morphs, {figures.springs} spring chains, textures {sizes}, {figures.file_bytes / 1e6:.2f} MB"
    )


def _summary(avatar: Avatar, figures: Figures, licence: Licence) -> list[str]:
    return [
        _size_line(avatar, figures),
        f"VRM {', '.join(figures.versions) or 'not written'}; author {', '.join(licence.authors)}; "
        f"use: {licence.avatar_permission}, "
        f"{licence.commercial_usage}; modification: {licence.modification}; "
        f"redistribution: {'allowed' if licence.allow_redistribution else 'prohibited'}",
    ]


def describe(avatar: Avatar) -> str:
    """A few readable lines about an avatar: size, rig, and the notes of whoever made it."""
    sizes = (
        ", ".join(f"{t.pixels.shape[1]}x{t.pixels.shape[0]}" for t in avatar.textures if t.pixels is not None) or "none"
    )
    lines = [
        f"{avatar.name}: {avatar.heads:.1f} heads, {avatar.height:.2f} m, {len(avatar.mesh.faces)} triangles, "
        f"{len(avatar.joints)} joints, {len(avatar.mesh.morphs)} morphs, {len(avatar.springs)} spring chains, "
        f"textures {sizes}"
    ]
    if "format" in avatar.meta:
        lines.append(f"file: {avatar.meta['format']}; what it says about its use: {'; '.join(avatar.meta['terms'])}")
    notes = avatar.meta.get("notes") or []
    return "\n".join([*lines, *(f"note: {note}" for note in notes)])


def write_all(files: Mapping[str, bytes]) -> None:
    """Write path → bytes through temporary files beside them: all or none. The first file appears, or replaces an older
    one, when the bytes of all are on the disk; a failure leaves no new and no temporary file. Raises
    :class:`AvatarError`."""
    ready: dict[str, str] = {}  # path -> its temporary file
    new: list[str] = []
    path = ""
    try:
        for path, data in files.items():
            folder = os.path.dirname(os.path.abspath(path))
            os.makedirs(folder, exist_ok=True)
            handle, ready[path] = tempfile.mkstemp(prefix=".chibi-", suffix=".tmp", dir=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(ready[path], 0o666 & ~_umask())
        for path in files:  # all bytes are on the disk: only now does anything appear
            fresh = not os.path.exists(path)
            os.replace(ready[path], path)
            del ready[path]
            if fresh:
                new.append(path)
    except OSError as error:
        for left in (*ready.values(), *new):
            if os.path.exists(left):
                os.unlink(left)
        raise AvatarError(f"{path} could not be written: {error.strerror or error}; nothing was left behind") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
