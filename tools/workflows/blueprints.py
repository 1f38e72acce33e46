"""Subgraph blueprints: the identity, pose and avatar rooms as single nodes, for graphs of one's own."""

from __future__ import annotations

from .canvas import Flow
from .flows import blueprint


@blueprint(
    "Chibi Identity",
    "Photos of a person make a model draw that person: face analysis, adapter and likeness in one node. "
    "照片让模型画出本人：人脸分析、适配器与相似度合为一个节点。",
    ["selfie", "face id", "likeness", "ip-adapter", "自拍", "相似度"],
)
def chibi_identity(f: Flow) -> None:
    model, photos = f.ask("model"), f.ask("photos")
    face = f("ChibiFaceAnalyze", image=photos, choose="largest_centered", index=0)
    adapter = f("ChibiIdentityLoader", adapter_name=f.ask("adapter", "ip-adapter-plus-face_sdxl_vit-h.safetensors"))
    vision = f("CLIPVisionLoader", clip_name=f.ask("clip_vision", "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"))
    like = f(
        "ChibiApplyIdentity", model=model, adapter=adapter[0], identity=face[0], clip_vision=vision[0],
        weight=f.ask("weight", 0.8), weight_type="chibi", start_at=0.0, end_at=1.0,
    )  # fmt: skip
    f.give("model", like[0])
    f.give("identity", face[0])
    f.give("preview", face[1])
    f.give("report", like[2])


@blueprint(
    "Chibi Pose",
    "A pose in the character's own proportions steers both prompts through a pose ControlNet. "
    "按角色头身比绘制的姿势，通过姿势 ControlNet 控制画面。",
    ["openpose", "skeleton", "controlnet", "姿势", "骨架"],
)
def chibi_pose(f: Flow) -> None:
    positive, negative, character = f.ask("positive"), f.ask("negative"), f.ask("character")
    pose = f(
        "ChibiPosePreset", pose=f.ask("pose", "waving"), width=f.ask("width", 832), height=f.ask("height", 1216),
        character=character,
    )  # fmt: skip
    drawn = f("ChibiPoseDraw", pose=pose[0], profile=f.ask("profile", "xinsir"))
    control = f(
        "ControlNetLoader", control_net_name=f.ask("control_net", "controlnet-union-sdxl-1.0-promax.safetensors")
    )
    kind = f("SetUnionControlNetType", control_net=control[0], type="openpose")
    applied = f(
        "ControlNetApplyAdvanced", positive=positive, negative=negative, control_net=kind[0], image=drawn[0],
        strength=f.ask("strength", 0.8), start_percent=0.0, end_percent=0.8,
    )  # fmt: skip
    f.give("positive", applied[0])
    f.give("negative", applied[1])
    f.give("pose", pose[0])
    f.give("skeleton", drawn[0])


@blueprint(
    "Chibi Avatar",
    "A character becomes a rigged 3D avatar: a picture of it, and VRM and GLB files in the output folder. "
    "角色变成带骨骼的 3D 形象：一张图片，以及输出文件夹里的 VRM 与 GLB。",
    ["vrm", "glb", "3d avatar", "metaverse", "3D 形象", "虚拟形象"],
)
def chibi_avatar(f: Flow) -> None:
    base = f("ChibiAvatarBase", character=f.ask("character"), preset=f.ask("preset", "standard"))
    picture = f(
        "ChibiAvatarRender", avatar=base[0], view=f.ask("view", "three_quarter"), background=f.ask("background", "soft")
    )
    exported = f(
        "ChibiAvatarExport", avatar=base[0], filename_prefix=f.ask("filename_prefix", "chibi/avatar"),
        platform=f.ask("platform", "any"), author=f.ask("author", ""), thumbnail=picture[0],
    )  # fmt: skip
    f.give("avatar", base[0])
    f.give("picture", picture[0])
    f.give("vrm", exported[1])
    f.give("report", exported[2])
