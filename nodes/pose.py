"""Pose nodes: presets, an editor, photos, files; re-proportioned and drawn for a pose ControlNet."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..chibi_avatar.character import Character
from ..chibi_avatar.pose import draw as drawing
from ..chibi_avatar.pose import library
from ..chibi_avatar.pose.keypoints import parse, to_keypoints
from ..chibi_avatar.pose.retarget import retarget
from .types import ChibiCharacter, PoseKeypoint

_CATEGORY = "Chibi Avatar/Pose"
_HEADS_TIP = "How many heads tall the figure is: 2 is a mascot, 2.5 a classic chibi, 7 a grown adult."
_CHARACTER_TIP = "A character whose proportions (in heads) are used instead of the number above, when it has them."


def heads_from(heads: float, character: Any) -> float:
    """The Character's proportions when it has some, else the widget's."""
    if character is None:
        return float(heads)
    return float(Character.coerce(character).get("proportions.heads", heads))


def as_images(pictures: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 to ComfyUI's float32 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(torch.float32) / 255.0


class ChibiPosePreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPosePreset",
            display_name="Chibi Pose Preset",
            category=_CATEGORY,
            description="A pose from the built-in library, already in the proportions you ask for, seen from any side.",
            search_aliases=["pose library", "openpose preset", "stance", "gesture", "姿势", "动作"],
            inputs=[
                io.Combo.Input("pose", options=library.names(), default="waving", tooltip="The pose. Left and right are the figure's own."),
                io.Combo.Input("view", options=["auto", *library.VIEWS], default="auto", tooltip="The side you see the figure from. auto takes the side that shows this pose best."),
                io.Float.Input("heads", default=2.5, min=1.8, max=7.0, step=0.05, tooltip=_HEADS_TIP),
                io.Int.Input("width", default=768, min=64, max=8192, step=8, tooltip="Canvas width in pixels. Use the width of the picture you will sample."),
                io.Int.Input("height", default=768, min=64, max=8192, step=8, tooltip="Canvas height in pixels. Use the height of the picture you will sample."),
                io.Boolean.Input("mirror", default=False, tooltip="Exchange left and right."),
                ChibiCharacter.Input("character", optional=True, tooltip=_CHARACTER_TIP),
            ],
            outputs=[PoseKeypoint.Output(display_name="pose", tooltip="The pose with body, hands, feet and face points, in pixels of the canvas.")],
        )

    @classmethod
    def execute(cls, pose: str, view: str, heads: float, width: int, height: int, mirror: bool, character: Any = None) -> io.NodeOutput:
        made = library.frame(pose, width, height, heads_from(heads, character), view, mirror)
        return io.NodeOutput(to_keypoints([made]))


class ChibiPoseRetarget(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPoseRetarget",
            display_name="Chibi Pose Retarget",
            category=_CATEGORY,
            description="Gives a pose chibi proportions: every limb keeps its direction and foreshortening, the head grows, the feet stay on the ground.",
            search_aliases=["pose proportions", "head size", "big head", "openpose rescale", "姿势比例", "头身比"],
            inputs=[
                PoseKeypoint.Input("pose", tooltip="Any pose: from this pack, core's SDPose, controlnet_aux or others. Sequences work too."),
                io.Float.Input("heads", default=2.5, min=1.8, max=7.0, step=0.05, tooltip=_HEADS_TIP),
                io.Boolean.Input("keep_contacts", default=True, tooltip="Bring hands back to the hip, the face or each other where they touched before."),
                io.Float.Input(
                    "source_heads",
                    default=0.0,
                    min=0.0,
                    max=8.0,
                    step=0.1,
                    advanced=True,
                    tooltip="Proportions of the incoming figure in heads. 0 estimates them; 7 is right for most grown people.",
                ),
                ChibiCharacter.Input("character", optional=True, tooltip=_CHARACTER_TIP),
            ],
            outputs=[PoseKeypoint.Output(display_name="pose", tooltip="The same pose in the new proportions.")],
        )

    @classmethod
    def execute(cls, pose: Any, heads: float, keep_contacts: bool, source_heads: float, character: Any = None) -> io.NodeOutput:
        made = retarget(parse(pose), heads_from(heads, character), keep_contacts, source_heads)
        return io.NodeOutput(to_keypoints(made))


class ChibiPoseDraw(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPoseDraw",
            display_name="Chibi Pose Draw",
            category=_CATEGORY,
            description="Draws the skeleton picture that a pose ControlNet expects, at exactly the size you sample, so that nothing is resized on the way.",
            search_aliases=["openpose", "render pose", "skeleton", "controlnet pose", "画骨架"],
            inputs=[
                PoseKeypoint.Input("pose", tooltip="The pose to draw."),
                io.Combo.Input(
                    "profile",
                    options=list(drawing.PROFILES),
                    default="sd15",
                    tooltip="sd15: ControlNet 1.1 openpose. xinsir: SDXL ControlNet++ and Union (thicker sticks and dots). core: like ComfyUI's SDPose drawing.",
                ),
                io.Int.Input("width", default=0, min=0, max=8192, step=8, tooltip="Width to draw at, in pixels. 0 takes the pose's canvas (or the latent's size)."),
                io.Int.Input("height", default=0, min=0, max=8192, step=8, tooltip="Height to draw at, in pixels. 0 takes the pose's canvas (or the latent's size)."),
                io.Boolean.Input("body", default=True, tooltip="Draw the body."),
                io.Boolean.Input("hands", default=True, tooltip="Draw the hands. Switch off when tiny chibi hands make the ControlNet draw too many fingers."),
                io.Boolean.Input("face", default=False, tooltip="Draw the face points. Realistic face points pull a chibi face towards an adult one."),
                io.Int.Input("stick_width", default=0, min=0, max=64, advanced=True, tooltip="Thickness of the limbs. 0 takes the profile's own."),
                io.Float.Input("threshold", default=0.3, min=0.0, max=1.0, step=0.01, advanced=True, tooltip="Points with a lower score are left out."),
                io.Latent.Input("latent", optional=True, tooltip="Takes the size from the latent that you will sample: 8 pixels for each cell."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The skeleton picture, one for each frame. Connect it to Apply ControlNet.")],
        )

    @classmethod
    def execute(
        cls,
        pose: Any,
        profile: str,
        width: int,
        height: int,
        body: bool,
        hands: bool,
        face: bool,
        stick_width: int,
        threshold: float,
        latent: Any = None,
    ) -> io.NodeOutput:
        if latent is not None:
            shape = latent["samples"].shape
            width, height = width or shape[-1] * 8, height or shape[-2] * 8
        style = drawing.Style(profile, body, hands, face, stick_width, threshold)
        return io.NodeOutput(as_images(drawing.draw_all(parse(pose), width or None, height or None, style)))


NODES: list[type[io.ComfyNode]] = [ChibiPosePreset, ChibiPoseRetarget, ChibiPoseDraw]
