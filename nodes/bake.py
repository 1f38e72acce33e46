"""Pictures of the avatar: toon renders, guide maps, and the bake of views into its texture."""

from __future__ import annotations

from comfy_api.latest import io

from .types import ChibiAvatar, PoseKeypoint

BACKGROUNDS = ["soft", "mint", "sky", "lilac", "studio", "transparent"]


class ChibiAvatarRender(io.ComfyNode):
    """Toon render of an avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiAvatarRender",
            display_name="Chibi Avatar Render",
            category="Chibi Avatar/Avatar",
            description="Draw the 3D avatar as a toon picture or a turntable sheet, on the CPU: two-tone shading, coloured outlines, "
            "a soft ground or a transparent background.",
            search_aliases=["toon render", "turntable", "avatar picture", "render vrm", "3d chibi render", "渲染"],
            inputs=[
                ChibiAvatar.Input("avatar", tooltip="The avatar to draw."),
                io.Combo.Input(
                    "view",
                    options=["three_quarter", "front", "left", "right", "back", "back_three_quarter", "face", "turntable"],
                    default="three_quarter",
                    tooltip="Where to look from. Turntable draws a batch of pictures around the figure.",
                ),
                io.Int.Input("width", default=1024, min=64, max=4096, step=8, tooltip="Width of the picture in pixels."),
                io.Int.Input("height", default=1024, min=64, max=4096, step=8, tooltip="Height of the picture in pixels."),
                io.Combo.Input(
                    "background",
                    options=BACKGROUNDS,
                    default="soft",
                    tooltip="A pastel ground with a contact shadow, or transparent: then use the mask as alpha.",
                ),
                io.String.Input(
                    "expression",
                    default="",
                    tooltip="Facial expression, such as happy, blink or aa. Empty keeps the avatar's own face.",
                ),
                io.Boolean.Input("outline", default=True, tooltip="Draw outlines in a darker, richer version of each colour."),
                io.Int.Input(
                    "frames",
                    default=8,
                    min=1,
                    max=64,
                    tooltip="How many pictures a turntable has. Only used by the turntable view.",
                    advanced=True,
                ),
                PoseKeypoint.Input(
                    "pose", optional=True, tooltip="Pose the avatar like the first person of these keypoints. Without it, the avatar stands."
                ),
                io.Load3DCamera.Input("camera", optional=True, tooltip="A ComfyUI 3D camera; it replaces the view."),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The picture, or one picture per turntable step."),
                io.Mask.Output("mask", display_name="mask", tooltip="Coverage of the figure: 1 inside, 0 outside."),
            ],
        )

    @classmethod
    def execute(
        cls, avatar, view, width, height, background, expression, outline, frames, pose=None, camera=None
    ) -> io.NodeOutput:
        import numpy as np
        import torch

        from ..chibi_avatar.avatar.camera import Camera
        from ..chibi_avatar.avatar.render import render

        rotations = None
        if pose is not None:
            from ..chibi_avatar.pose.rig import pose_to_rotations

            rotations = pose_to_rotations(pose, avatar.joints)
        if camera is not None:
            looks = [Camera.from_load3d(camera, width, height)]
        elif view == "turntable":
            looks = [360.0 * step / frames for step in range(frames)]
        else:
            looks = [view]
        ground = None if background == "transparent" else background
        drawn = [
            render(avatar, look, (width, height), rotations, expression.strip() or None, ground, outline) for look in looks
        ]
        image, mask = (torch.from_numpy(np.stack(item)) for item in zip(*drawn, strict=True))
        return io.NodeOutput(image, mask)


NODES: list[type[io.ComfyNode]] = [ChibiAvatarRender]
