"""Pictures of the avatar: toon renders, guide maps, and the bake of views into its texture."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from comfy_api.latest import io

from .types import ChibiAvatar, ChibiViews, PoseKeypoint

CATEGORY = "Chibi Avatar/Avatar"

T = TypeVar("T")
BACKGROUNDS = ["soft", "mint", "sky", "lilac", "studio", "transparent"]


def _on_fastest(work: Callable[[Any], T]) -> tuple[T, str]:
    """``work(device)`` on ComfyUI's GPU, or on the CPU where there is none, where it fails (memory), and on Apple's and others' that know no
    double precision. Also says why the GPU was given up, or nothing."""
    from comfy import model_management

    device = model_management.get_torch_device()
    if device.type != "cuda":
        return work("cpu"), ""
    try:
        return work(device), ""
    except RuntimeError as error:
        note = f"done on the CPU, because the GPU failed: {str(error).splitlines()[0][:200]}"
        logging.warning("Chibi Avatar: %s", note)
        return work("cpu"), note


class ChibiAvatarRender(io.ComfyNode):
    """Toon render of an avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarRender",
            display_name="Chibi Avatar Render",
            category=CATEGORY,
            description="Draw the 3D avatar as a toon picture or a turntable sheet, on the CPU: two-tone shading, coloured outlines, "
            "a soft ground or a transparent background.",
            search_aliases=["toon render", "turntable", "avatar picture", "render vrm", "3d chibi render", "渲染"],
            inputs=[
                ChibiAvatar.Input("avatar", tooltip="The avatar to draw."),
                io.Combo.Input(
                    "view",
                    options=[
                        "three_quarter",
                        "front",
                        "left",
                        "right",
                        "back",
                        "back_three_quarter",
                        "face",
                        "pose",
                        "turntable",
                    ],
                    default="three_quarter",
                    tooltip="Where to look from. Pose looks from where the pose was seen; turntable draws a batch of pictures all around.",
                ),
                io.Int.Input(
                    "width", default=1024, min=64, max=4096, step=8, tooltip="Width of the picture in pixels."
                ),
                io.Int.Input(
                    "height", default=1024, min=64, max=4096, step=8, tooltip="Height of the picture in pixels."
                ),
                io.Combo.Input(
                    "background",
                    options=BACKGROUNDS,
                    default="soft",
                    tooltip="A pastel ground with a contact shadow, or transparent: then use the mask as alpha.",
                ),
                io.String.Input(
                    "expression",
                    default="",
                    tooltip="Facial expression, such as happy, blink, aa or neutral. Empty shows the Character's own.",
                ),
                io.Boolean.Input(
                    "outline", default=True, tooltip="Draw outlines in a darker, richer version of each colour."
                ),
                io.Int.Input(
                    "frames",
                    default=8,
                    min=1,
                    max=64,
                    tooltip="How many pictures a turntable has. Only used by the turntable view.",
                    advanced=True,
                ),
                PoseKeypoint.Input(
                    "pose",
                    optional=True,
                    tooltip="Pose the avatar like the first person of these keypoints. Without it, the avatar stands.",
                ),
                io.Load3DCamera.Input("camera", optional=True, tooltip="A ComfyUI 3D camera; it replaces the view."),
            ],
            outputs=[
                io.Image.Output(
                    "image", display_name="image", tooltip="The picture, or one picture per turntable step."
                ),
                io.Mask.Output("mask", display_name="mask", tooltip="Coverage of the figure: 1 inside, 0 outside."),
            ],
        )

    @classmethod
    def execute(
        cls, avatar, view, width, height, background, expression, outline, frames, pose=None, camera=None
    ) -> io.NodeOutput:
        import torch

        from ..chibi_avatar.avatar.camera import Camera
        from ..chibi_avatar.avatar.render import render_all, turntable
        from ..chibi_avatar.avatar.skin import posed

        rotations, offset, azimuth = None, None, 0.0
        if pose is not None:
            from ..chibi_avatar.pose.rig import pose_rig

            rig = pose_rig(pose, avatar.joints)
            rotations, offset, azimuth = rig.rotations, rig.offset, rig.azimuth
        if camera is not None:
            looks = [Camera.from_load3d(camera, width, height)]
        elif view == "turntable":
            looks = turntable(avatar, frames, width, height, posed(avatar, rotations, None, offset)[0])
        else:
            looks = [azimuth if view == "pose" else view]
        ground = None if background == "transparent" else background
        face = expression.strip() or avatar.meta.get("expression")
        image, mask = render_all(avatar, looks, (width, height), rotations, face, ground, outline, offset=offset)
        return io.NodeOutput(torch.from_numpy(image), torch.from_numpy(mask))


class ChibiAvatarGuides(io.ComfyNode):
    """Guide maps for ControlNet and img2img."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarGuides",
            display_name="Chibi Avatar Guides",
            category=CATEGORY,
            description="Pictures of the avatar that tell a sampler what to draw: depth, normal, OpenPose, line art, mask, paint and "
            "parts, from exactly the cameras that Chibi Texture Bake looks through.",
            search_aliases=[
                "controlnet guides",
                "depth map",
                "normal map",
                "openpose",
                "lineart",
                "multiview",
                "turnaround",
                "引导图",
            ],
            inputs=[
                ChibiAvatar.Input(
                    "avatar",
                    tooltip="The avatar to draw guides of. It is drawn in its rest pose, as the bake needs it.",
                ),
                io.Combo.Input(
                    "view_set",
                    options=["sides4", "front", "front_back", "sides6", "three_quarter", "around8"],
                    default="sides4",
                    tooltip="Which views. Four sides cover about nine tenths of what is to be seen of a figure; six add top and bottom; "
                    "eight look between the sides from below and above and leave almost nothing to the fill.",
                ),
                io.Int.Input(
                    "size",
                    default=1024,
                    min=64,
                    max=4096,
                    step=64,
                    tooltip="Pixels of each square view, a multiple of 64. Take the size your checkpoint likes.",
                ),
                io.Combo.Input(
                    "layout",
                    options=["batch", "sheet"],
                    default="batch",
                    tooltip="A batch draws one picture per view. A sheet puts all views into one picture, so one sampling gives "
                    "views that agree with each other, at a lower resolution each.",
                ),
                io.Float.Input(
                    "fov",
                    default=0.0,
                    min=0.0,
                    max=90.0,
                    step=1.0,
                    tooltip="Vertical field of view in degrees. 0 is orthographic, which bakes with the least distortion.",
                    advanced=True,
                ),
                io.Load3DCamera.Input(
                    "camera", optional=True, tooltip="A ComfyUI 3D camera; its one view replaces the view set."
                ),
            ],
            outputs=[
                io.Image.Output(
                    "depth", display_name="depth", tooltip="Inverse depth, near is white; one scale for all views."
                ),
                io.Image.Output(
                    "normal",
                    display_name="normal",
                    tooltip="View-space normals as ControlNet 1.1 wants them: blue is front, red is left, green is top.",
                ),
                io.Image.Output(
                    "pose", display_name="pose", tooltip="OpenPose skeleton drawn from the avatar's own bones."
                ),
                io.Image.Output(
                    "line", display_name="line", tooltip="Line art, white on black: outlines, folds and painted edges."
                ),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="1 on the figure, 0 outside: the very pixels that the bake will use.",
                ),
                io.Image.Output(
                    "paint",
                    display_name="paint",
                    tooltip="The avatar's own colours without light, on white: a start for img2img.",
                ),
                ChibiViews.Output(
                    "views", display_name="views", tooltip="The cameras. Connect them to Chibi Texture Bake."
                ),
                io.Image.Output(
                    "parts",
                    display_name="parts",
                    tooltip="One flat colour per part: face, hair, body, outfit, accessories.",
                ),
            ],
        )

    @classmethod
    def execute(cls, avatar, view_set, size, layout, fov, camera=None) -> io.NodeOutput:
        import torch

        from ..chibi_avatar.avatar.camera import Camera, Views
        from ..chibi_avatar.avatar.camera import view_set as make_views
        from ..chibi_avatar.avatar.guides import guide_maps, make_sheet

        sheet = layout == "sheet"
        if camera is not None:
            views = Views((Camera.from_load3d(camera, size, size),), 1, sheet)
        else:
            views = make_views(avatar, view_set, size, fov, sheet)
        maps, _ = _on_fastest(lambda device: guide_maps(avatar, views, device=device))
        if sheet:
            maps = {name: make_sheet(images, views.columns) for name, images in maps.items()}
        tensors = {name: torch.from_numpy(images) for name, images in maps.items()}
        order = ("depth", "normal", "pose", "line", "mask", "paint")
        return io.NodeOutput(*(tensors[name] for name in order), views, tensors["parts"])


class ChibiTextureBake(io.ComfyNode):
    """Views into the texture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiTextureBake",
            display_name="Chibi Texture Bake",
            category=CATEGORY,
            description="Project drawn views onto the avatar's texture, on CPU or GPU with nothing to compile: fits each picture to its "
            "silhouette, matches colours, blends, fills what no view saw, closes seams and pads for mipmaps.",
            search_aliases=[
                "texture projection",
                "bake views",
                "multiview texture",
                "project texture",
                "retexture",
                "贴图烘焙",
            ],
            inputs=[
                ChibiAvatar.Input(
                    "avatar", tooltip="The avatar whose texture is painted. The original is not changed."
                ),
                io.Image.Input(
                    "images",
                    tooltip="The drawn views, in the order of the guides: a batch, or one sheet. Any resolution, same shape as the guides.",
                ),
                ChibiViews.Input("views", tooltip="The cameras, from Chibi Avatar Guides."),
                io.Combo.Input(
                    "size",
                    options=["2048", "1024", "512", "4096"],
                    default="2048",
                    tooltip="Width and height of the texture. 1024 is a quick preview; 4096 needs about 2 GB and several seconds.",
                ),
                io.Boolean.Input(
                    "register",
                    default=True,
                    tooltip="Shift and scale each picture by up to 2 % so that its figure lies on the guide. Needs a plain background or a mask.",
                ),
                io.Boolean.Input(
                    "match_colors",
                    default=True,
                    tooltip="Bring the views to one brightness and tint where they overlap. The front view stays as it is.",
                ),
                io.Boolean.Input(
                    "mirror",
                    default=True,
                    tooltip="What no view saw is copied from the mirrored side where that was seen. Turn it off for uneven outfits.",
                ),
                io.Combo.Input(
                    "fill",
                    options=["auto", "paint", "surface"],
                    default="auto",
                    tooltip="What fills the rest: the avatar's own paint tinted like the views, or the views' colours continued over "
                    "the surface. Auto takes the paint when it resembles the pictures.",
                    advanced=True,
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How far the views replace the old texture where they see it.",
                    advanced=True,
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White where a picture may be used, one mask per view or one sheet. It also helps the registration.",
                ),
            ],
            outputs=[
                ChibiAvatar.Output(
                    "avatar",
                    display_name="avatar",
                    tooltip="The avatar with the new texture, ready to render or export.",
                ),
                io.Image.Output("atlas", display_name="atlas", tooltip="The new texture."),
                io.Mask.Output(
                    "coverage", display_name="coverage", tooltip="1 on texels that a view painted; the rest was filled."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="JSON: coverage, fit of each view, colour gains, seam difference, re-render error, notes.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, avatar, images, views, size, register, match_colors, mirror, fill, strength, mask=None
    ) -> io.NodeOutput:
        import json

        import torch

        from ..chibi_avatar.avatar.bake import BakeOptions, bake

        options = BakeOptions(int(size), register, match_colors, mirror, fill, strength)
        masks = None if mask is None else mask.cpu().numpy()
        pictures = images.cpu().numpy()
        result, note = _on_fastest(lambda device: bake(avatar, pictures, views, options, masks, device))
        if note:
            result.report["notes"].append(note)
        return io.NodeOutput(
            result.avatar,
            torch.from_numpy(result.atlas)[None],
            torch.from_numpy(result.coverage)[None],
            json.dumps(result.report, ensure_ascii=False, indent=1),
        )


NODES: list[type[io.ComfyNode]] = [ChibiAvatarGuides, ChibiAvatarRender, ChibiTextureBake]
