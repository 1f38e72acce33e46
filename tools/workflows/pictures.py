"""Workflows that end in a picture: from words, from a pose, with an edit model; and the training of a LoRA."""

from __future__ import annotations

from .canvas import Flow, Handle, Out
from .flows import GIRL, describe, flow, sample, train_lora


@flow("""
# Text → chibi picture (SD 1.5) · 文字生成 Q 版图

1. Get the files: `python3 -m chibi_avatar models download --workflow text_to_chibi_sd15`
2. Write who it is, in Chinese or English, and press **Run**.

Any SD 1.5 checkpoint works. The pose is drawn in chibi proportions, so ControlNet does not stretch the figure.

1. 下载模型：`python3 -m chibi_avatar models download --workflow text_to_chibi_sd15`
2. 用中文或英文写出角色，点击**运行**。任何 SD 1.5 模型都可以；骨架按 Q 版比例绘制，不会把人物拉长。
""")
def text_to_chibi_sd15(f: Flow) -> None:
    f.group = "Models · 模型"
    checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="DreamShaper_8_pruned.safetensors")
    control = f(
        "ControlNetLoader", "Pose control · 姿势控制", control_net_name="control_v11p_sd15_openpose_fp16.safetensors"
    )
    f.group = "Character · 角色"
    words, encoded = describe(f, checkpoint[1], "sd15")
    pose = f("ChibiPosePreset", "Pose · 姿势", pose="waving", width=512, height=768, character=words[2])
    drawn = f("ChibiPoseDraw", "Skeleton · 骨架", pose=pose[0], profile="sd15")
    f.group = "Picture · 出图"
    applied = f(
        "ControlNetApplyAdvanced", positive=encoded[0], negative=encoded[1], control_net=control[0], image=drawn[0],
        strength=0.8, start_percent=0.0, end_percent=0.8,
    )  # fmt: skip
    latent = f("EmptyLatentImage", "Size · 尺寸", width=512, height=768, batch_size=1)
    image = sample(f, checkpoint[0], applied[0], applied[1], latent[0], checkpoint[2], cfg=7.0)
    f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/text_sd15")


@flow("""
# Text → chibi picture (SDXL, Illustrious, Animagine) · 文字生成 Q 版图

1. `python3 -m chibi_avatar models download --workflow text_to_chibi_sdxl`
2. Set **family** to the checkpoint's: illustrious, noobai, pony, animagine or sdxl. The tags and their order change
with it.

1. 运行上面的命令下载模型。
2. **family** 要与所用模型一致（illustrious、noobai、pony、animagine、sdxl），标签写法会随之改变。
""")
def text_to_chibi_sdxl(f: Flow) -> None:
    f.group = "Models · 模型"
    checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="animagine-xl-4.0-opt.safetensors")
    control = f(
        "ControlNetLoader", "Pose control · 姿势控制", control_net_name="controlnet-union-sdxl-1.0-promax.safetensors"
    )
    union = f("SetUnionControlNetType", "As pose · 姿势模式", control_net=control[0], type="openpose")
    f.group = "Character · 角色"
    words, encoded = describe(f, checkpoint[1], "animagine")
    pose = f("ChibiPosePreset", "Pose · 姿势", pose="waving", width=832, height=1216, character=words[2])
    drawn = f("ChibiPoseDraw", "Skeleton · 骨架", pose=pose[0], profile="xinsir")
    f.group = "Picture · 出图"
    applied = f(
        "ControlNetApplyAdvanced", positive=encoded[0], negative=encoded[1], control_net=union[0], image=drawn[0],
        strength=0.7, start_percent=0.0, end_percent=0.7,
    )  # fmt: skip
    latent = f("EmptyLatentImage", "Size · 尺寸", width=832, height=1216, batch_size=1)
    image = sample(f, checkpoint[0], applied[0], applied[1], latent[0], checkpoint[2], cfg=5.0)
    f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/text_sdxl")


@flow("""
# Pose a chibi by hand (SD 1.5) · 手动摆姿势

1. `python3 -m chibi_avatar models download --workflow pose_controlnet_sd15`
2. Drag the joints in **Pose editor**: the lock keeps chibi proportions. Or choose a preset there.
3. **Run**. The skeleton is drawn at the exact size of the picture, so the ControlNet sees it unchanged.

在**姿势编辑器**里拖动关节（锁定时保持头身比），或选一个预设姿势，然后运行。骨架按出图尺寸绘制，不会被缩放。
""")
def pose_controlnet_sd15(f: Flow) -> None:
    f.group = "Models · 模型"
    checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="DreamShaper_8_pruned.safetensors")
    control = f(
        "ControlNetLoader", "Pose control · 姿势控制", control_net_name="control_v11p_sd15_openpose_fp16.safetensors"
    )
    f.group = "Pose · 姿势"
    words, encoded = describe(f, checkpoint[1], "sd15")
    pose = f("ChibiPoseEditor", "Pose editor · 姿势编辑器")
    shaped = f("ChibiPoseRetarget", "Proportions · 头身比", pose=pose[0], character=words[2])
    latent = f("EmptyLatentImage", "Size · 尺寸", width=768, height=768, batch_size=1)
    drawn = f("ChibiPoseDraw", "Skeleton · 骨架", pose=shaped[0], profile="sd15", latent=latent[0])
    f.group = "Picture · 出图"
    applied = f(
        "ControlNetApplyAdvanced", positive=encoded[0], negative=encoded[1], control_net=control[0], image=drawn[0],
        strength=0.85, start_percent=0.0, end_percent=0.8,
    )  # fmt: skip
    image = sample(f, checkpoint[0], applied[0], applied[1], latent[0], checkpoint[2], cfg=7.0)
    f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/pose_sd15")


@flow("""
# The pose of a photo, in chibi proportions (SDXL Union) · 用照片的姿势画 Q 版

1. `python3 -m chibi_avatar models download --workflow pose_controlnet_sdxl_union`
2. Choose a photo. The body, hands and face are found on your own machine; nothing is uploaded.
3. **Proportions** shortens the body and enlarges the head; **xinsir** draws the thick sticks that Union was trained on.

选择一张照片，姿势在本机识别，不会上传；**头身比**节点把骨架变成 Q 版，**xinsir** 画法与 Union 的训练一致。
""")
def pose_controlnet_sdxl_union(f: Flow) -> None:
    f.group = "Models · 模型"
    checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="animagine-xl-4.0-opt.safetensors")
    control = f(
        "ControlNetLoader", "Pose control · 姿势控制", control_net_name="controlnet-union-sdxl-1.0-promax.safetensors"
    )
    union = f("SetUnionControlNetType", "As pose · 姿势模式", control_net=control[0], type="openpose")
    f.group = "Pose · 姿势"
    words, encoded = describe(f, checkpoint[1], "animagine")
    photo = f("LoadImage", "Photo · 照片", image="example.png")
    found = f("ChibiPoseFromImage", "Find the pose · 识别姿势", image=photo[0])
    shaped = f("ChibiPoseRetarget", "Proportions · 头身比", pose=found[0], character=words[2])
    latent = f("EmptyLatentImage", "Size · 尺寸", width=1024, height=1024, batch_size=1)
    drawn = f("ChibiPoseDraw", "Skeleton · 骨架", pose=shaped[0], profile="xinsir", latent=latent[0])
    f("PreviewImage", "What was found · 识别结果", images=found[1])
    f.group = "Picture · 出图"
    applied = f(
        "ControlNetApplyAdvanced", positive=encoded[0], negative=encoded[1], control_net=union[0], image=drawn[0],
        strength=0.7, start_percent=0.0, end_percent=0.7,
    )  # fmt: skip
    image = sample(f, checkpoint[0], applied[0], applied[1], latent[0], checkpoint[2], cfg=5.0)
    f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/pose_sdxl")


@flow("""
# Train a chibi LoRA from your own avatar · 用自己的角色训练 LoRA

Six views of the avatar, rendered by the pack, teach the checkpoint this one character (core's training nodes). For a
real LoRA raise
*steps* to 500–1500. The file lands in ComfyUI's output folder under `loras`.

`python3 -m chibi_avatar models download --workflow chibi_lora_training`

先下载模型（命令见上）。用本包渲染的六个视图教模型认识这一个角色（使用 ComfyUI 自带的训练节点）。正式训练请把 steps 调到 500–1500；结果在 output/loras。
""")
def chibi_lora_training(f: Flow) -> None:
    f.group = "Character · 角色"
    checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="DreamShaper_8_pruned.safetensors")
    words = f("ChibiPromptBuilder", "Words · 文字", description=GIRL, family="sd15", seed=0)
    base = f("ChibiAvatarBase", "Base · 素体", character=words[2], texture_size="1024")
    pictures = f(
        "ChibiAvatarRender", "Six pictures · 六张图", avatar=base[0], view="turntable", width=512, height=512, frames=6
    )
    f.group = "Train · 训练"
    caption = f(
        "CLIPTextEncode", "Caption · 描述", clip=checkpoint[1], text="chibi_oc, chibi, 1girl, simple background"
    )
    train_lora(f, checkpoint[0], checkpoint[2], pictures[0], caption[0], "loras/chibi_oc", 100, 0.0003)
    f("SaveImage", "Save pictures · 保存训练图", images=pictures[0], filename_prefix="chibi/lora_data")


def _edit_models(f: Flow, lora: str, title: str) -> tuple[Out, Out, Out]:
    f.group = "Models (about 31 GB) · 模型"
    model = f("UNETLoader", unet_name="qwen_image_edit_2509_fp8_e4m3fn.safetensors", weight_dtype="default")
    clip = f("CLIPLoader", clip_name="qwen_2.5_vl_7b_fp8_scaled.safetensors", type="qwen_image", device="default")
    vae = f("VAELoader", vae_name="qwen_image_vae.safetensors")
    fast = f(
        "LoraLoaderModelOnly", "Four steps · 四步加速", model=model[0],
        lora_name="Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors", strength_model=1.0,
    )  # fmt: skip
    styled = f("LoraLoaderModelOnly", title, model=fast[0], lora_name=lora, strength_model=1.0)
    shifted = f("ModelSamplingAuraFlow", model=styled[0], shift=3.0)
    normed = f("CFGNorm", model=shifted[0], strength=1.0)
    return normed[0], clip[0], vae[0]


def _edit(f: Flow, model: Out, clip: Out, vae: Out, image: Out, prompt: str, title: str) -> tuple[Handle, Handle]:
    words = f("TextEncodeQwenImageEditPlus", title, clip=clip, prompt=prompt, vae=vae, image1=image)
    nothing = f("TextEncodeQwenImageEditPlus", "Negative · 负面", clip=clip, prompt="", vae=vae, image1=image)
    latent = f("VAEEncode", pixels=image, vae=vae)
    sampler = f(
        "KSampler", model=model, positive=words[0], negative=nothing[0], latent_image=latent[0], seed=20261123, steps=4, cfg=1.0,
        sampler_name="euler", scheduler="simple", denoise=1.0,
    )  # fmt: skip
    return words, f("VAEDecode", samples=sampler[0], vae=vae)


@flow("""
# Selfie → 3D chibi (edit model) · 自拍转三维 Q 版

The likeness that holds best today, with Qwen-Image-Edit and a 3D-chibi LoRA on core nodes. **About 31 GB of files and a large GPU**;
this workflow is loaded, compared and validated by the tests, never executed by them.

`python3 -m chibi_avatar models check --workflow selfie_to_chibi_edit`

目前最像本人的做法：Qwen-Image-Edit 加 3D Q 版 LoRA，只用 ComfyUI 自带节点。**约 31 GB 文件，需要大显存**；测试只校验，不实际运行。
""")
def selfie_to_chibi_edit(f: Flow) -> None:
    model, clip, vae = _edit_models(f, "qwen_3d_chibi_lora_v1_000000820.safetensors", "Style · 画风")
    f.group = "Selfie · 自拍"
    photo = f("LoadImage", "Selfie · 自拍", image="example.png")
    sized = f("ImageScaleToTotalPixels", image=photo[0], upscale_method="lanczos", megapixels=1.0)
    f.group = "Picture · 出图"
    words, image = _edit(f, model, clip, vae, sized[0], "Convert this image into 3D Chibi Style", "What to do · 指令")
    saved = f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/edit")
    f.as_app([(photo, "image"), (words, "prompt")], [saved])


@flow("""
# Chibi picture → turnaround views (edit model) · Q 版图转三视图

Front, left and back of the same chibi, as reference sheets for modelling. **About 31 GB of files and a large GPU**; validated by the
tests, never executed by them.

`python3 -m chibi_avatar models check --workflow turnaround_edit`

同一 Q 版角色的正面、左侧与背面，可作建模参考。模型文件见上面的命令。**约 31 GB 文件，需要大显存**；测试只校验，不实际运行。
""")
def turnaround_edit(f: Flow) -> None:
    model, clip, vae = _edit_models(f, "Qwen-Edit-2509-Multiple-angles.safetensors", "Camera angles · 视角")
    f.group = "Chibi picture · Q 版图"
    photo = f("LoadImage", "Chibi picture · Q 版图", image="example.png")
    sized = f("ImageScaleToTotalPixels", image=photo[0], upscale_method="lanczos", megapixels=1.0)
    f.group = "Views · 视图"
    views = [
        _edit(f, model, clip, vae, sized[0], prompt, title)[1]
        for title, prompt in (
            ("Left · 左侧", "Rotate the camera 90 degrees to the left, full body, plain background"),
            ("Back · 背面", "Rotate the camera 180 degrees, show the back, full body, plain background"),
        )
    ]
    f.group = "Together · 合并"
    batch = f("BatchImagesNode", images__image0=sized[0], images__image1=views[0][0], images__image2=views[1][0])
    saved = f("SaveImage", "Save · 保存", images=batch[0], filename_prefix="chibi/edit_views")
    f.as_app([(photo, "image")], [saved])
