"""The avatar room's way in and out: build the base, load a user's own file, export."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from typing import TYPE_CHECKING

import folder_paths
from comfy_api.latest import Types, io, ui

from ..chibi_avatar.avatar.export import (
    FACES,
    PLATFORM_CHOICES,
    VERSIONS,
    Exported,
    describe,
    export_avatar,
    portrait,
    write_all,
)
from ..chibi_avatar.avatar.gltf import read_file
from ..chibi_avatar.avatar.licence import AVATAR_PERMISSION, COMMERCIAL_USAGE, CREDIT_NOTATION, MODIFICATION, Licence
from ..chibi_avatar.avatar.model import Avatar, AvatarError
from ..chibi_avatar.character import Character
from .types import ChibiAvatar, ChibiCharacter

if TYPE_CHECKING:
    import numpy as np
    import torch

CATEGORY = "Chibi Avatar/Avatar"
PRESETS = ["standard", "mobile", "desktop"]
AVATAR_ENDINGS = (".vrm", ".glb")
NO_FILE = "none"
TEXTURE_SIZES = ["512", "1024", "2048", "4096"]


def _avatar_files() -> list[str]:
    """Avatars in input/3d, as paths from the input folder."""
    root = folder_paths.get_input_directory()
    found = []
    for folder, _, names in os.walk(os.path.join(root, "3d")):
        found += [
            os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
            for name in names
            if name.lower().endswith(AVATAR_ENDINGS)
        ]
    return sorted(found)


def _inside(path: str) -> bool:
    folders = (
        folder_paths.get_input_directory(),
        folder_paths.get_output_directory(),
        folder_paths.get_temp_directory(),
    )
    return any(folder_paths.is_within_directory(folder, path) for folder in folders)


def _input_path(file: str) -> str:
    path = folder_paths.get_annotated_filepath(file)
    if not _inside(path):
        raise AvatarError(f"{file}: the file must be inside ComfyUI's input folder")
    return path


def _bytes_of(image: torch.Tensor) -> np.ndarray:
    """(H, W, C) 0..1 as uint8."""
    return (image.clamp(0, 1).cpu().numpy() * 255 + 0.5).astype("uint8")


def _from_mesh(mesh: Types.MESH) -> Avatar:
    """The first mesh of a batch as an unrigged avatar."""
    from ..chibi_avatar.avatar.interop import from_arrays

    vertices, faces, uvs = mesh.vertices[0], mesh.faces[0], None if mesh.uvs is None else mesh.uvs[0]
    if mesh.vertex_counts is not None:
        vertices, faces = vertices[: int(mesh.vertex_counts[0])], faces[: int(mesh.face_counts[0])]
        uvs = None if uvs is None else uvs[: int(mesh.vertex_counts[0])]
    texture = None if mesh.texture is None else _bytes_of(mesh.texture[0])
    return from_arrays(vertices.cpu().numpy(), faces.cpu().numpy(), None if uvs is None else uvs.cpu().numpy(), texture)


def _to_mesh(avatar: Avatar) -> Types.MESH:
    import torch

    from ..chibi_avatar.avatar.interop import to_arrays

    vertices, faces, uvs, texture = to_arrays(avatar)
    picture = None if texture is None else torch.from_numpy(texture.astype("float32") / 255)[None]
    return Types.MESH(
        torch.from_numpy(vertices)[None], torch.from_numpy(faces)[None], torch.from_numpy(uvs)[None], texture=picture
    )


class ChibiAvatarBase(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarBase",
            display_name="Chibi Avatar Base",
            category=CATEGORY,
            description="Build a rigged, painted 3D chibi avatar from a Character: body, hair, outfit, bones, "
            "expressions and spring bones.",
            search_aliases=["3d avatar", "vrm base", "chibi mesh", "character to 3d", "rig", "3D形象", "虚拟形象"],
            inputs=[
                ChibiCharacter.Input(
                    "character",
                    optional=True,
                    tooltip="Who the avatar is, from Chibi Prompt Builder; a Character as JSON text works too. "
                    "Without one, the default character is built.",
                ),
                io.Combo.Input(
                    "preset",
                    optional=True,
                    options=PRESETS,
                    default="standard",
                    tooltip="Level of detail. mobile: about 7,500 triangles, for phones and Quest. standard: 15,000. "
                    "desktop: 32,000, smoother close up.",
                ),
                io.Combo.Input(
                    "texture_size",
                    optional=True,
                    options=TEXTURE_SIZES,
                    default="2048",
                    advanced=True,
                    tooltip="Side of the texture atlas in pixels. 2048 suits most apps; 1024 for Quest; 4096 is "
                    "sharper and four times larger.",
                ),
            ],
            outputs=[
                ChibiAvatar.Output(
                    display_name="avatar", tooltip="The avatar: mesh, rig, morphs, materials and paint."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What was built, and what of the Character the 3D base could not follow.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, preset: str = "standard", texture_size: str = "2048", character: Character | str | dict | None = None
    ) -> io.NodeOutput:
        from ..chibi_avatar.avatar.build import build_avatar

        avatar = build_avatar(
            Character() if character is None else Character.coerce(character), preset, int(texture_size)
        )
        return io.NodeOutput(avatar, describe(avatar))


class ChibiAvatarLoad(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarLoad",
            display_name="Load Avatar (VRM, GLB)",
            category=CATEGORY,
            description=(
                "Load your own .vrm (1.0 or 0.x) or .glb, such as a VRoid model, to paint new textures on it. "
                "The file is kept: on export only its pictures change."
            ),
            search_aliases=["vroid", "load vrm", "load glb", "import avatar", "retexture", "载入形象"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=[NO_FILE, *_avatar_files()],
                    default=NO_FILE,
                    tooltip="A .vrm or .glb in ComfyUI's input/3d folder. Put yours there, or use the upload button, "
                    "then press R to refresh.",
                ),
                io.Boolean.Input(
                    "i_am_the_author",
                    optional=True,
                    default=False,
                    tooltip="Switch on only if the model is yours. Needed when the file's own licence prohibits "
                    "modification.",
                ),
                io.Int.Input(
                    "paint_texture",
                    optional=True,
                    default=-1,
                    min=-1,
                    max=255,
                    advanced=True,
                    tooltip="Which of the file's textures Chibi Texture Bake paints, counted from 0. -1: the one "
                    "that covers most of the surface.",
                ),
                io.File3DAny.Input(
                    "model_3d", optional=True, tooltip="A .vrm or .glb from another node; used instead of the file."
                ),
                io.Mesh.Input(
                    "mesh",
                    optional=True,
                    tooltip="A MESH from core nodes, to be painted and saved as GLB; used when there is no file.",
                ),
            ],
            outputs=[
                ChibiAvatar.Output(display_name="avatar", tooltip="The avatar at rest, facing the front."),
                io.String.Output(display_name="report", tooltip="What is in the file, and what its licence allows."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None) -> bool | str:
        if file in (None, "", NO_FILE):
            return True
        if not str(file).lower().endswith(AVATAR_ENDINGS):
            return f"{file}: not a .vrm or .glb file"
        if not _inside(folder_paths.get_annotated_filepath(file)):
            return f"{file}: the file must be inside ComfyUI's input folder"
        if not folder_paths.exists_annotated_filepath(file):
            return f"{file} is not in ComfyUI's input folder; put your .vrm or .glb into {os.path.join('input', '3d')}"
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str | None = None, **others: object) -> str:
        if file in (None, "", NO_FILE):
            return ""
        return hashlib.sha256(read_file(_input_path(file))).hexdigest()

    @classmethod
    def execute(
        cls,
        file: str,
        i_am_the_author: bool = False,
        paint_texture: int = -1,
        model_3d: Types.File3D | None = None,
        mesh: Types.MESH | None = None,
    ) -> io.NodeOutput:
        from ..chibi_avatar.avatar.load import load_avatar, load_file

        if model_3d is not None:
            source = model_3d.get_source()
            if isinstance(source, str):
                avatar = load_file(source, i_am_the_author, paint_texture)
            else:
                avatar = load_avatar(source.read(), "model_3d", i_am_the_author, paint_texture)
        elif file not in ("", NO_FILE):
            avatar = load_file(_input_path(file), i_am_the_author, paint_texture)
        elif mesh is not None:
            avatar = _from_mesh(mesh)
        else:
            raise AvatarError("choose a .vrm or .glb file, or connect a node to 'model_3d' or 'mesh'")
        return io.NodeOutput(avatar, describe(avatar))


class ChibiAvatarExport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarExport",
            display_name="Export Chibi Avatar (VRM, GLB)",
            category=CATEGORY,
            description=(
                "Save the avatar as VRM 1.0 and/or 0.x, GLB and atlas PNG in the output folder, its licence inside, "
                "and tell which platforms accept it."
            ),
            search_aliases=[
                "save vrm",
                "vrm",
                "export glb",
                "vrchat",
                "cluster",
                "vseeface",
                "metaverse",
                "导出",
                "虚拟形象",
            ],  # fmt: skip
            is_output_node=True,
            inputs=[
                ChibiAvatar.Input(
                    "avatar", tooltip="The avatar to save, from Chibi Avatar Base, Chibi Texture Bake or Load Avatar."
                ),
                io.String.Input(
                    "filename_prefix",
                    optional=True,
                    default="avatar/chibi",
                    tooltip="Where in the output folder, and the start of the file name.",
                ),
                io.Combo.Input(
                    "platform",
                    optional=True,
                    options=list(PLATFORM_CHOICES),
                    default="any",
                    tooltip="Preset for one app: picks the VRM version and texture size it wants. any keeps the full "
                    "texture. The report checks every app.",
                ),
                io.Combo.Input(
                    "vrm_version",
                    optional=True,
                    options=list(VERSIONS),
                    default="auto",
                    tooltip="auto follows the platform (1.0 for any). 0.x is for VSeeFace and older apps. both "
                    "writes two files. none writes only the GLB.",
                ),
                io.String.Input(
                    "title",
                    optional=True,
                    default="",
                    tooltip="The avatar's name as apps show it. Empty: the Character's name.",
                ),
                io.String.Input(
                    "author",
                    optional=True,
                    default="",
                    tooltip="Who made it; several separated by commas. Apps show this. Empty: 'Anonymous'.",
                ),
                io.Combo.Input(
                    "who_may_use",
                    optional=True,
                    options=list(AVATAR_PERMISSION),
                    default="onlyAuthor",
                    tooltip="Who may wear the avatar. The strict choice is the default.",
                ),
                io.Combo.Input(
                    "commercial_use",
                    optional=True,
                    options=list(COMMERCIAL_USAGE),
                    default="personalNonProfit",
                    tooltip="What the avatar may be used for.",
                ),
                io.Combo.Input(
                    "modification",
                    optional=True,
                    options=list(MODIFICATION),
                    default="prohibited",
                    tooltip="Whether others may change the file.",
                ),
                io.Boolean.Input(
                    "redistribution", optional=True, default=False, tooltip="Whether others may pass the file on."
                ),
                io.Combo.Input(
                    "credit",
                    optional=True,
                    options=list(CREDIT_NOTATION),
                    default="required",
                    advanced=True,
                    tooltip="Whether users must name the author.",
                ),
                io.Boolean.Input(
                    "allow_violence",
                    optional=True,
                    default=False,
                    advanced=True,
                    tooltip="Whether the avatar may be used in excessively violent scenes.",
                ),
                io.Boolean.Input(
                    "allow_sexual",
                    optional=True,
                    default=False,
                    advanced=True,
                    tooltip="Whether the avatar may be used in excessively sexual scenes.",
                ),
                io.Boolean.Input(
                    "allow_politics",
                    optional=True,
                    default=False,
                    advanced=True,
                    tooltip="Whether the avatar may be used for politics or religion.",
                ),
                io.Boolean.Input(
                    "allow_hate",
                    optional=True,
                    default=False,
                    advanced=True,
                    tooltip="Whether the avatar may be used in antisocial or hateful content.",
                ),
                io.String.Input(
                    "contact",
                    optional=True,
                    default="",
                    advanced=True,
                    tooltip="How to reach the author; written into the file.",
                ),
                io.String.Input(
                    "copyright",
                    optional=True,
                    default="",
                    advanced=True,
                    tooltip="Copyright notice; written into the file.",
                ),
                io.Image.Input(
                    "thumbnail",
                    optional=True,
                    tooltip="Picture that apps show in lists; the middle square is used. Without one, the avatar is "
                    "rendered.",
                ),
                io.Combo.Input(
                    "face",
                    optional=True,
                    options=list(FACES),
                    default="morphs",
                    advanced=True,
                    tooltip="How expressions are made. morphs move the face smoothly, and the eyes follow. flip_book "
                    "switches between painted faces in a second texture, as a drawn cartoon does.",
                ),
            ],
            outputs=[
                io.File3DGLB.Output(
                    display_name="glb", tooltip="The avatar as GLB, for Preview 3D and other core nodes."
                ),
                io.File3DAny.Output(
                    display_name="vrm",
                    tooltip="The avatar as VRM (1.0 if it was written, else 0.x); core's Save 3D Model keeps it "
                    "unchanged.",
                ),
                io.String.Output(
                    display_name="report", tooltip="Size, licence, and which platforms accept the avatar, with reasons."
                ),
                io.Mesh.Output(
                    display_name="mesh",
                    tooltip="The painted surface as a plain MESH for core's 3D nodes: no bones, one texture.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        avatar: Avatar,
        filename_prefix: str = "avatar/chibi",
        platform: str = "any",
        vrm_version: str = "auto",
        title: str = "",
        author: str = "",
        who_may_use: str = "onlyAuthor",
        commercial_use: str = "personalNonProfit",
        modification: str = "prohibited",
        redistribution: bool = False,
        credit: str = "required",
        allow_violence: bool = False,
        allow_sexual: bool = False,
        allow_politics: bool = False,
        allow_hate: bool = False,
        contact: str = "",
        copyright: str = "",
        thumbnail: torch.Tensor | None = None,
        face: str = "morphs",
    ) -> io.NodeOutput:
        licence = Licence(
            name=title.strip() or avatar.name,
            authors=tuple(author.replace("，", ",").split(",")),
            contact=contact,
            copyright=copyright,
            avatar_permission=who_may_use,
            commercial_usage=commercial_use,
            credit_notation=credit,
            modification=modification,
            allow_redistribution=redistribution,
            allow_violence=allow_violence,
            allow_sexual=allow_sexual,
            allow_politics_or_religion=allow_politics,
            allow_antisocial_or_hate=allow_hate,
        )
        if thumbnail is not None:
            picture = _bytes_of(thumbnail[0])
        else:
            picture = None if avatar.source is not None else portrait(avatar)
        exported = export_avatar(avatar, licence, platform, vrm_version, picture, face)
        saved = _save(exported, filename_prefix)
        report = "\n".join(
            [exported.report, "files:", *(f"  {os.path.join(item['subfolder'], item['filename'])}" for item in saved)]
        )
        return io.NodeOutput(
            Types.File3D(BytesIO(exported.glb), "glb"),
            Types.File3D(BytesIO(exported.main), "vrm" if exported.vrms else "glb"),
            report,
            _to_mesh(avatar),
            ui={"3d": saved, "text": ui.PreviewText(report).as_dict()["text"]},
        )


def _save(exported: Exported, prefix: str) -> list[dict[str, str]]:
    """Write all files, or none, into ComfyUI's output folder under the next free number; returns what core's savers
    report to the page."""
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    files = {f"{name}_{counter:05}_{ending}": data for ending, data in exported.files().items()}
    write_all({os.path.join(folder, filename): data for filename, data in files.items()})
    return [{"filename": filename, "subfolder": subfolder, "type": "output"} for filename in files]


NODES: list[type[io.ComfyNode]] = [ChibiAvatarBase, ChibiAvatarLoad, ChibiAvatarExport]
