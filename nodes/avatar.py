"""The avatar room's way in and out: build the base, load a user's own file, export."""

from __future__ import annotations

import os
from io import BytesIO

import folder_paths
from comfy_api.latest import Types, io, ui

from ..chibi_avatar.avatar.export import PLATFORM_CHOICES, VERSIONS, Exported, describe, export_avatar, write_atomic
from ..chibi_avatar.avatar.licence import AVATAR_PERMISSION, COMMERCIAL_USAGE, CREDIT_NOTATION, MODIFICATION, Licence
from ..chibi_avatar.avatar.model import Avatar
from ..chibi_avatar.character import Character
from .types import ChibiAvatar, ChibiCharacter

CATEGORY = "Chibi Avatar/Avatar"
PRESETS = ["standard", "mobile", "desktop"]
TEXTURE_SIZES = ["512", "1024", "2048", "4096"]


class ChibiAvatarBase(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarBase",
            display_name="Chibi Avatar Base",
            category=CATEGORY,
            description="Build a rigged, painted 3D chibi avatar from a Character: body, hair, outfit, bones, expressions and spring bones.",
            search_aliases=["3d avatar", "vrm base", "chibi mesh", "character to 3d", "rig", "3D形象", "虚拟形象"],
            inputs=[
                ChibiCharacter.Input(
                    "character",
                    optional=True,
                    tooltip="Who the avatar is, from Chibi Prompt Builder; a Character as JSON text works too. Without one, the default character is built.",
                ),
                io.Combo.Input(
                    "preset",
                    options=PRESETS,
                    default="standard",
                    tooltip="Level of detail. mobile: about 7,500 triangles, for phones and Quest. standard: 15,000. desktop: 32,000, smoother close up.",
                ),
                io.Combo.Input(
                    "texture_size",
                    options=TEXTURE_SIZES,
                    default="2048",
                    advanced=True,
                    tooltip="Side of the texture atlas in pixels. 2048 suits most apps; 1024 for Quest; 4096 is sharper and four times larger.",
                ),
            ],
            outputs=[
                ChibiAvatar.Output(display_name="avatar", tooltip="The avatar: mesh, rig, morphs, materials and paint."),
                io.String.Output(display_name="report", tooltip="What was built, and what of the Character the 3D base could not follow."),
            ],
        )

    @classmethod
    def execute(cls, preset: str, texture_size: str = "2048", character: Character | str | dict | None = None) -> io.NodeOutput:
        from ..chibi_avatar.avatar.build import build_avatar

        avatar = build_avatar(Character() if character is None else Character.coerce(character), preset, int(texture_size))
        return io.NodeOutput(avatar, describe(avatar))


class ChibiAvatarExport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarExport",
            display_name="Export Chibi Avatar (VRM, GLB)",
            category=CATEGORY,
            description=(
                "Save the avatar as VRM 1.0 and/or 0.x, GLB and atlas PNG in the output folder, with its licence inside, "
                "and tell which platforms accept it."
            ),
            search_aliases=["vrm", "save vrm", "export glb", "vrchat", "cluster", "vseeface", "metaverse", "导出", "虚拟形象"],
            is_output_node=True,
            inputs=[
                ChibiAvatar.Input("avatar", tooltip="The avatar to save, from Chibi Avatar Base, Chibi Texture Bake or Load Avatar."),
                io.String.Input("filename_prefix", default="avatar/chibi", tooltip="Where in the output folder, and the start of the file name."),
                io.Combo.Input(
                    "platform",
                    options=list(PLATFORM_CHOICES),
                    default="any",
                    tooltip="Preset for one app: picks the VRM version and texture size it wants. any keeps the full texture. The report checks every app.",
                ),
                io.Combo.Input(
                    "vrm_version",
                    options=list(VERSIONS),
                    default="auto",
                    tooltip="auto follows the platform (1.0 for any). 0.x is for VSeeFace and older apps. both writes two files. none writes only the GLB.",
                ),
                io.String.Input("title", default="", tooltip="The avatar's name as apps show it. Empty: the Character's name."),
                io.String.Input("author", default="", tooltip="Who made it; several separated by commas. Apps show this. Empty: 'Anonymous'."),
                io.Combo.Input(
                    "who_may_use", options=list(AVATAR_PERMISSION), default="onlyAuthor", tooltip="Who may wear the avatar. The strict choice is the default."
                ),
                io.Combo.Input("commercial_use", options=list(COMMERCIAL_USAGE), default="personalNonProfit", tooltip="What the avatar may be used for."),
                io.Combo.Input("modification", options=list(MODIFICATION), default="prohibited", tooltip="Whether others may change the file."),
                io.Boolean.Input("redistribution", default=False, tooltip="Whether others may pass the file on."),
                io.Combo.Input("credit", options=list(CREDIT_NOTATION), default="required", advanced=True, tooltip="Whether users must name the author."),
                io.Boolean.Input("allow_violence", default=False, advanced=True, tooltip="Whether the avatar may be used in excessively violent scenes."),
                io.Boolean.Input("allow_sexual", default=False, advanced=True, tooltip="Whether the avatar may be used in excessively sexual scenes."),
                io.Boolean.Input("allow_politics", default=False, advanced=True, tooltip="Whether the avatar may be used for politics or religion."),
                io.Boolean.Input("allow_hate", default=False, advanced=True, tooltip="Whether the avatar may be used in antisocial or hateful content."),
                io.String.Input("contact", default="", advanced=True, tooltip="How to reach the author; written into the file."),
                io.String.Input("copyright", default="", advanced=True, tooltip="Copyright notice; written into the file."),
                io.Image.Input("thumbnail", optional=True, tooltip="Picture that apps show in lists; the middle square is used. Without one, the avatar is rendered."),
            ],
            outputs=[
                io.File3DGLB.Output(display_name="glb", tooltip="The avatar as GLB, for Preview 3D and other core nodes."),
                io.File3DAny.Output(display_name="vrm", tooltip="The avatar as VRM (1.0 if it was written, else 0.x); core's Save 3D Model keeps it unchanged."),
                io.String.Output(display_name="report", tooltip="Size, licence, and which platforms accept the avatar, with reasons."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        avatar: Avatar,
        filename_prefix: str,
        platform: str,
        vrm_version: str,
        title: str,
        author: str,
        who_may_use: str,
        commercial_use: str,
        modification: str,
        redistribution: bool,
        credit: str,
        allow_violence: bool,
        allow_sexual: bool,
        allow_politics: bool,
        allow_hate: bool,
        contact: str,
        copyright: str,
        thumbnail=None,
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
        picture = None
        if thumbnail is not None:
            picture = (thumbnail[0].clamp(0, 1).cpu().numpy() * 255 + 0.5).astype("uint8")
        exported = export_avatar(avatar, licence, platform, vrm_version, picture)
        saved = _save(exported, filename_prefix)
        report = "\n".join([exported.report, "files:", *(f"  {os.path.join(item['subfolder'], item['filename'])}" for item in saved)])
        return io.NodeOutput(
            Types.File3D(BytesIO(exported.glb), "glb"),
            Types.File3D(BytesIO(exported.main), "vrm" if exported.vrms else "glb"),
            report,
            ui={"3d": saved, "text": ui.PreviewText(report).as_dict()["text"]},
        )


def _save(exported: Exported, prefix: str) -> list[dict[str, str]]:
    """Write every file into ComfyUI's output folder under the next free number; returns what core's savers report to the page."""
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    saved = []
    for ending, data in exported.files().items():
        filename = f"{name}_{counter:05}_{ending}"
        write_atomic(os.path.join(folder, filename), data)
        saved.append({"filename": filename, "subfolder": subfolder, "type": "output"})
    return saved


NODES: list[type[io.ComfyNode]] = [ChibiAvatarBase, ChibiAvatarExport]
