"""Selfie to chibi on a checkpoint: the clean way (plus-face adapters), and FaceID for private use."""

from __future__ import annotations

from .canvas import Flow
from .flows import describe, flow, sample

_STEPS = """
1. Choose one clear photo: face to the camera, even light.
2. Say in **Words** what the photo cannot: outfit, pose, mood. Words win over the photo.
3. Press **Run**. More like the photo: raise *weight*. More chibi: lower it.

To fill in a form instead of a graph, switch to **App mode** at the top left.
"""
_STEPS_ZH = """
1. 选一张清晰的正面照片，光线均匀。
2. 在**文字**里写照片里没有的：服装、姿势、心情。文字优先于照片。
3. 点击**运行**。更像本人：调高 *weight*；更 Q 版：调低。

不想看节点图？点左上角切换到**应用模式**，只填一张表单。
"""


_CLEAN = (
    "The adapter and the face models are free for any use; the checkpoint has terms of its own. Files:",
    "适配器和人脸模型可自由使用；主模型有它自己的条款。下载命令同上。",
)


def _selfie(
    f: Flow, *, checkpoint: str, family: str, adapter: str, size: tuple[int, int], cfg: float, prefix: str,
    profile: str = "auto",
) -> None:  # fmt: skip
    f.group = "Selfie · 自拍"
    photo = f("LoadImage", "Photo · 照片", image="example.png")
    face = f("ChibiFaceAnalyze", "Face · 人脸", image=photo[0], choose="largest_centered", index=0, profile=profile)
    f("PreviewImage", "Faces found · 识别结果", images=face[1])
    f.group = "Models · 模型"
    models = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name=checkpoint)
    vision = f("CLIPVisionLoader", "CLIP vision", clip_name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors")
    loaded = f("ChibiIdentityLoader", "Adapter · 适配器", adapter_name=adapter)
    f.group = "Character · 角色"
    words, encoded = describe(f, models[1], family, "穿校服、微笑、挥手，全身", identity=face[0])
    f.group = "Picture · 出图"
    like = f(
        "ChibiApplyIdentity", "Likeness · 相似度", model=models[0], adapter=loaded[0], identity=face[0], clip_vision=vision[0],
        weight=0.8, weight_type="chibi", start_at=0.0, end_at=1.0,
    )  # fmt: skip
    latent = f("EmptyLatentImage", "Size · 尺寸", width=size[0], height=size[1], batch_size=1)
    image = sample(f, like[0], encoded[0], encoded[1], latent[0], models[2], cfg=cfg)
    saved = f("SaveImage", "Picture · 图片", images=image[0], filename_prefix=prefix)
    f("ChibiIdentityScore", "Likeness check · 相似度检查", image=image[0], identity=face[0])
    f.as_app([(photo, "image"), (words, "description"), (like, "weight")], [saved])


def _note(name: str, licence: str, licence_zh: str, action: str = "download") -> str:
    line = f"`python3 -m chibi_avatar models {action} --workflow {name}`"
    heading = "# Selfie → chibi · 自拍变 Q 版\n"
    return f"{heading}{_STEPS}\n{licence} {line}\n\n---\n{_STEPS_ZH}\n{licence_zh}"


@flow(_note("selfie_to_chibi_sd15", *_CLEAN))
def selfie_to_chibi_sd15(f: Flow) -> None:
    _selfie(
        f, checkpoint="DreamShaper_8_pruned.safetensors", family="sd15", adapter="ip-adapter-plus-face_sd15.safetensors",
        size=(512, 768), cfg=7.0, prefix="chibi/selfie_sd15",
    )  # fmt: skip


@flow(_note("selfie_to_chibi_sdxl", *_CLEAN))
def selfie_to_chibi_sdxl(f: Flow) -> None:
    _selfie(
        f, checkpoint="animagine-xl-4.0-opt.safetensors", family="animagine",
        adapter="ip-adapter-plus-face_sdxl_vit-h.safetensors", size=(832, 1216), cfg=5.0, prefix="chibi/selfie_sdxl",
    )  # fmt: skip


@flow(
    _note(
        "selfie_to_chibi_faceid",
        "**FaceID and its face models are for non-commercial use only**; `models download` fetches them only with "
        "`--accept-license`. The whole command is printed by:",
        "**FaceID 及其人脸模型仅限非商业用途**，下载时须加 `--accept-license`；完整命令由上面的 `models check` 给出。",
        "check",
    )
)
def selfie_to_chibi_faceid(f: Flow) -> None:
    _selfie(
        f, checkpoint="DreamShaper_8_pruned.safetensors", family="sd15", adapter="ip-adapter-faceid-plusv2_sd15.bin",
        profile="research", size=(512, 768), cfg=7.0, prefix="chibi/selfie_faceid",
    )  # fmt: skip
