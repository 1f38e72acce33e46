"""Pose nodes: presets, an editor, photos, files; re-proportioned and drawn for a pose ControlNet."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy_api.latest import io, ui

from ..chibi_avatar.character import Character
from ..chibi_avatar.pose import draw as drawing
from ..chibi_avatar.pose import library
from ..chibi_avatar.pose.keypoints import Frame, PoseError, parse, to_json, to_keypoints
from ..chibi_avatar.pose.retarget import retarget
from .folders import register_model_folder
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


def as_pixels(images: torch.Tensor) -> np.ndarray:
    """ComfyUI's pictures to (B, H, W, 3) uint8."""
    return (images[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def model_folders() -> list[Path]:
    """Where the files of pose detectors are looked for, the pack's own folder first."""
    keys = ("chibi_pose", "detection")
    return [
        Path(p)
        for key in keys
        if key in folder_paths.folder_names_and_paths
        for p in folder_paths.get_folder_paths(key)
    ]


def boxes_from(value: Any, mask: torch.Tensor | None) -> tuple[tuple[float, float, float, float], ...]:
    """(x, y, width, height) from ComfyUI's bounding boxes, and around what a mask leaves."""
    out = []
    items = [value] if isinstance(value, dict) else list(value or [])
    while items and isinstance(items[0], list):
        items = items[0]
    for i, item in enumerate(items):
        try:
            box = tuple(float(item[key]) for key in ("x", "y", "width", "height"))
        except (KeyError, TypeError, ValueError) as error:
            raise PoseError(f"boxes[{i}]: expected x, y, width and height, got {str(item)[:80]}") from error
        if box[2] < 8 or box[3] < 8:
            raise PoseError(f"boxes[{i}]: {box[2]:g} × {box[3]:g} pixels is too small for a figure")
        out.append(box)
    if mask is not None:
        ys, xs = torch.nonzero(mask.reshape(-1, *mask.shape[-2:])[0] > 0.5, as_tuple=True)
        if len(ys):
            x, y = float(xs.min()), float(ys.min())
            out.append((x, y, float(xs.max()) + 1 - x, float(ys.max()) + 1 - y))
    return tuple(out)


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
                io.Combo.Input(
                    "pose",
                    options=library.names(),
                    default="waving",
                    tooltip="The pose. Left and right are the figure's own.",
                ),
                io.Combo.Input(
                    "view",
                    options=["auto", *library.VIEWS],
                    default="auto",
                    tooltip="The side you see the figure from. auto takes the side that shows this pose best.",
                ),
                io.Float.Input("heads", default=2.5, min=1.8, max=7.0, step=0.05, tooltip=_HEADS_TIP),
                io.Int.Input(
                    "width",
                    default=768,
                    min=64,
                    max=8192,
                    step=8,
                    tooltip="Canvas width in pixels. Use the width of the picture you will sample.",
                ),
                io.Int.Input(
                    "height",
                    default=768,
                    min=64,
                    max=8192,
                    step=8,
                    tooltip="Canvas height in pixels. Use the height of the picture you will sample.",
                ),
                io.Boolean.Input("mirror", default=False, tooltip="Exchange left and right."),
                ChibiCharacter.Input("character", optional=True, tooltip=_CHARACTER_TIP),
            ],
            outputs=[
                PoseKeypoint.Output(
                    display_name="pose",
                    tooltip="The pose with body, hands, feet and face points, in pixels of the canvas.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, pose: str, view: str, heads: float, width: int, height: int, mirror: bool, character: Any = None
    ) -> io.NodeOutput:
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
                PoseKeypoint.Input(
                    "pose",
                    tooltip="Any pose: from this pack, core's SDPose, controlnet_aux or others. Sequences work too.",
                ),
                io.Float.Input("heads", default=2.5, min=1.8, max=7.0, step=0.05, tooltip=_HEADS_TIP),
                io.Boolean.Input(
                    "keep_contacts",
                    default=True,
                    tooltip="Bring hands back to the hip, the face or each other where they touched before.",
                ),
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
    def execute(
        cls, pose: Any, heads: float, keep_contacts: bool, source_heads: float, character: Any = None
    ) -> io.NodeOutput:
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
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=8192,
                    step=8,
                    tooltip="Width to draw at, in pixels. 0 takes the pose's canvas (or the latent's size).",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=8192,
                    step=8,
                    tooltip="Height to draw at, in pixels. 0 takes the pose's canvas (or the latent's size).",
                ),
                io.Boolean.Input("body", default=True, tooltip="Draw the body."),
                io.Boolean.Input(
                    "hands",
                    default=True,
                    tooltip="Draw the hands. Switch off when tiny chibi hands make the ControlNet draw too many fingers.",
                ),
                io.Boolean.Input(
                    "face",
                    default=False,
                    tooltip="Draw the face points. Realistic face points pull a chibi face towards an adult one.",
                ),
                io.Int.Input(
                    "stick_width",
                    default=0,
                    min=0,
                    max=64,
                    advanced=True,
                    tooltip="Thickness of the limbs. 0 takes the profile's own.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Points with a lower score are left out.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="Takes the size from the latent that you will sample: 8 pixels for each cell.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The skeleton picture, one for each frame. Connect it to Apply ControlNet.",
                )
            ],
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


class ChibiPoseFromImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..chibi_avatar.pose.detect import BACKENDS

        return io.Schema(
            node_id="ChibiPoseFromImage",
            display_name="Chibi Pose From Image",
            category=_CATEGORY,
            description="Finds the pose of people in photos, and of drawn figures. Works offline with BlazePose; uses DWPose or OpenPose when you have them.",
            search_aliases=[
                "openpose",
                "dwpose",
                "blazepose",
                "pose detection",
                "pose estimation",
                "姿势检测",
                "骨架识别",
            ],
            inputs=[
                io.Image.Input("image", tooltip="One or more pictures. Each gives one frame of the pose."),
                io.Combo.Input(
                    "detector",
                    options=["auto", *BACKENDS],
                    default="auto",
                    tooltip="auto takes the best detector that is installed and has its files: dwpose, then blazepose, then openpose.",
                ),
                io.Int.Input(
                    "people",
                    default=1,
                    min=1,
                    max=50,
                    tooltip="At most so many people, the surest first. Boxes count on top: each is looked into.",
                ),
                io.Boolean.Input("hands", default=True, tooltip="Also find hands."),
                io.Boolean.Input("face", default=True, tooltip="Also find face points."),
                io.Boolean.Input(
                    "whole_image",
                    default=False,
                    tooltip="Take the whole picture as one figure. For drawings, and for figures that the detector overlooks.",
                ),
                io.BoundingBox.Input(
                    "boxes",
                    optional=True,
                    force_input=True,
                    tooltip="Look only inside these boxes, one figure in each.",
                ),
                io.Mask.Input("mask", optional=True, tooltip="Look only around what the mask covers."),
            ],
            outputs=[
                PoseKeypoint.Output(
                    display_name="pose",
                    tooltip="One frame for each picture. Where nobody is found, a T-pose that you can edit.",
                ),
                io.Image.Output(display_name="preview", tooltip="The skeleton over the darkened picture."),
                io.String.Output(
                    display_name="report",
                    tooltip="What was found in each picture, by which detector, and what to do if it was nothing.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        detector: str,
        people: int,
        hands: bool,
        face: bool,
        whole_image: bool,
        boxes: Any = None,
        mask: Any = None,
    ) -> io.NodeOutput:
        from ..chibi_avatar.pose.detect import Request, detect_frames

        pixels = as_pixels(image)
        places = boxes_from(boxes, mask)
        request = Request(max(people, len(places)), places, whole_image, hands, face)
        frames, report = detect_frames(pixels, model_folders(), request, detector)
        style = drawing.Style(face=True)
        drawn = np.stack([drawing.draw(frame, style=style) for frame in frames])
        preview = np.where(drawn.max(-1, keepdims=True) > 0, drawn, pixels // 2)
        return io.NodeOutput(to_keypoints(frames), as_images(preview), report)


class ChibiPoseEditor(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        start = to_json([library.frame("standing", with_face=False)])
        return io.Schema(
            node_id="ChibiPoseEditor",
            display_name="Chibi Pose Editor",
            category=_CATEGORY,
            description="Pose figures by hand on the canvas: drag joints with the proportions locked, add people, mirror, undo, take presets. The pose is kept in the workflow.",
            search_aliases=["openpose editor", "pose editor", "skeleton editor", "姿势编辑"],
            has_intermediate_output=True,
            inputs=[
                io.String.Input(
                    "pose_json",
                    default=start,
                    socketless=True,
                    extra_dict={"widgetType": "CHIBI_POSE"},
                    tooltip="The pose as POSE_KEYPOINT JSON; the editor writes it. Empty passes the connected pose through.",
                ),
                io.Image.Input(
                    "background", optional=True, tooltip="A picture to trace. It shows behind the figure after a run."
                ),
                PoseKeypoint.Input(
                    "pose",
                    optional=True,
                    tooltip="A pose to start from. After a run, the button 'take' takes it over into the editor.",
                ),
            ],
            outputs=[PoseKeypoint.Output(display_name="pose", tooltip="The pose as you see it in the editor.")],
        )

    @classmethod
    def execute(cls, pose_json: str, background: Any = None, pose: Any = None) -> io.NodeOutput:
        shown: dict[str, Any] = {}
        incoming = parse(pose) if pose is not None else None
        if background is not None:
            shown["chibi_background"] = list(ui.PreviewImage(background[:1], cls=cls).as_dict()["images"])
        if incoming is not None:
            shown["chibi_pose"] = [to_json(incoming)]
        if pose_json.strip():
            frames = parse(pose_json)
        elif incoming is not None:
            frames = incoming
        else:
            raise PoseError("pose_json is empty and no pose is connected: pose a figure in the editor, or connect one")
        return io.NodeOutput(to_keypoints(frames), ui=shown or None)


class ChibiPoseLoad(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        folder = Path(folder_paths.get_input_directory())
        files = sorted(p.name for p in folder.glob("*.json")) if folder.is_dir() else []
        return io.Schema(
            node_id="ChibiPoseLoad",
            display_name="Chibi Pose Load",
            category=_CATEGORY,
            description="Reads a pose from JSON: OpenPose and BODY_25, DWPose, SDPose, COCO, whole-body 133, WanAnimate, or this pack's own.",
            search_aliases=["load openpose json", "pose json", "keypoints json", "读取姿势"],
            inputs=[
                io.Combo.Input(
                    "file", options=["none", *files], default="none", tooltip="A JSON file in ComfyUI's input folder."
                ),
                io.String.Input(
                    "pose_json",
                    default="",
                    multiline=True,
                    tooltip="Pose JSON itself. Used instead of the file when it is not empty.",
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=16384,
                    advanced=True,
                    tooltip="Canvas width for files that do not tell theirs. 0 guesses it from the points.",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=16384,
                    advanced=True,
                    tooltip="Canvas height for files that do not tell theirs. 0 guesses it from the points.",
                ),
            ],
            outputs=[PoseKeypoint.Output(display_name="pose", tooltip="The pose in pixels, body in COCO-18 order.")],
        )

    @classmethod
    def validate_inputs(cls, file: str | None = None) -> bool | str:
        if file in (None, "", "none") or folder_paths.exists_annotated_filepath(file):
            return True
        return f"{file} is not in ComfyUI's input folder"

    @classmethod
    def fingerprint_inputs(cls, file: str | None = "none", pose_json: str | None = "", **rest: Any) -> str:
        content = (pose_json or "").strip().encode()  # None: connected, not known yet
        if not content and file not in (None, "", "none"):
            content = _input_file(file).read_bytes()
        return hashlib.sha256(content).hexdigest() + str(sorted(rest.items()))

    @classmethod
    def execute(cls, file: str, pose_json: str, width: int, height: int) -> io.NodeOutput:
        text: str | bytes = pose_json.strip()
        if not text:
            if file in ("", "none"):
                raise PoseError("choose a file, or give pose_json")
            text = _input_file(file).read_bytes()
        return io.NodeOutput(to_keypoints(parse(text, (width, height) if width and height else None)))


def _input_file(name: str) -> Path:
    path = Path(folder_paths.get_annotated_filepath(name)).resolve()
    if (
        not folder_paths.is_within_directory(folder_paths.get_input_directory(), str(path))
        or path.suffix.lower() != ".json"
    ):
        raise PoseError(f"{name}: only .json files in ComfyUI's input folder can be read")
    if not path.is_file():
        raise PoseError(f"{name} is not in ComfyUI's input folder ({folder_paths.get_input_directory()})")
    return path


class ChibiPoseSave(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPoseSave",
            display_name="Chibi Pose Save",
            category=_CATEGORY,
            description="Writes a pose to a JSON file in the output folder, readable by other pose nodes too.",
            search_aliases=["save openpose json", "export keypoints", "保存姿势"],
            is_output_node=True,
            inputs=[
                PoseKeypoint.Input("pose", tooltip="The pose to save."),
                io.String.Input(
                    "filename_prefix",
                    default="chibi/pose",
                    tooltip="Name of the file under the output folder; a number is added.",
                ),
            ],
            outputs=[io.String.Output(display_name="file", tooltip="The file's path under the output folder.")],
        )

    @classmethod
    def execute(cls, pose: Any, filename_prefix: str) -> io.NodeOutput:
        frames: list[Frame] = parse(pose)
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        file = f"{name}_{counter:05}_.json"
        target = Path(folder) / file
        part = target.with_suffix(".part")
        part.write_text(to_json(frames, indent=1), encoding="utf-8")
        os.replace(part, target)
        listed = {"filename": file, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(f"{subfolder}/{file}" if subfolder else file, ui={"files": [listed]})


async def on_load() -> None:
    """The model folder, and what the editor and the gallery ask for."""
    register_model_folder("chibi_pose", {".tflite", ".onnx", ".pth"})
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        _add_routes(server.routes)


def _add_routes(routes: Any) -> None:
    from aiohttp import web

    def number(request: Any, name: str, default: float, low: float, high: float) -> float:
        try:
            value = float(request.query.get(name, default))
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{name}: expected a number") from error
        if not low <= value <= high:
            raise web.HTTPBadRequest(text=f"{name}: expected {low:g} to {high:g}")
        return value

    @routes.get("/chibi_avatar/poses")
    async def list_poses(_: Any) -> Any:
        listed = [{"name": name, "zh": pose["zh"], "group": pose["group"]} for name, pose in library.poses().items()]
        return web.json_response({"poses": listed})

    def asked(request: Any, default_size: int) -> Frame:
        width, height = (int(number(request, side, default_size, 64, 8192)) for side in ("width", "height"))
        heads = number(request, "heads", 2.5, 1.8, 7)
        try:
            return library.frame(request.query.get("name", ""), width, height, heads, with_face=False)
        except PoseError as error:
            raise web.HTTPNotFound(text=str(error)) from error

    @routes.get("/chibi_avatar/pose")
    async def one_pose(request: Any) -> Any:
        return web.Response(text=to_json([asked(request, 768)]), content_type="application/json")

    @routes.get("/chibi_avatar/pose/thumbnail")
    async def thumbnail(request: Any) -> Any:
        from io import BytesIO

        from ..chibi_avatar.pose.silhouette import silhouette

        picture = silhouette(asked(request, 384), 128)
        out = BytesIO()
        picture.save(out, "PNG")
        return web.Response(body=out.getvalue(), content_type="image/png", headers={"Cache-Control": "max-age=86400"})


NODES: list[type[io.ComfyNode]] = [
    ChibiPosePreset,
    ChibiPoseEditor,
    ChibiPoseFromImage,
    ChibiPoseLoad,
    ChibiPoseSave,
    ChibiPoseRetarget,
    ChibiPoseDraw,
]
