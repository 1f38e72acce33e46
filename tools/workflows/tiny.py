"""Workflows on the embedded model: nothing to download, everything on a laptop's CPU."""

from __future__ import annotations

from functools import partial

from .avatars import EMPTY_FORM, present
from .canvas import Flow, Handle, Out
from .flows import GIRL, describe, flow, sample, train_lora

_sample = partial(sample, steps=20, cfg=5.0, title="Sampler · 采样", seed=3)
# what begins with a picture is to stay near it
_repaint = partial(_sample, method=("ddim", "ddim_uniform"), denoise=0.25, seed=20261126)


def _controlled(f: Flow, encoded: Handle, control: Out, image: Out, title: str) -> Out:
    """The positive half under ``control``. The sampler takes the negative half as it was: so guidance leads towards the pose as well."""
    applied = f(
        "ControlNetApplyAdvanced", title, positive=encoded[0], negative=encoded[1], control_net=control, image=image,
        strength=1.0, start_percent=0.0, end_percent=1.0,
    )  # fmt: skip
    return applied[0]


@flow("""
# Text → chibi picture with the model in this pack · 用本包自带的模型生成

Nothing to download, a few seconds on a laptop. Write who it is, in Chinese or English, and press **Run**.

The model knows the hair, clothes, faces and poses of this pack's avatars on plain grounds; the report names words that it
does not know.

无需下载，笔记本电脑几秒出图。用中文或英文写出角色，点击**运行**。
这个模型只认识本包形象的发型、服装、表情和姿势，背景简单；不认识的词会写在报告里。
""")
def tiny_text_to_chibi(f: Flow) -> None:
    f.group = "Model · 模型"
    tiny = f("ChibiTinyLoader", "Tiny model · 小模型")
    f.group = "Character · 角色"
    words, encoded = describe(f, tiny[1], "tiny", "粉色双马尾、穿校服、微笑的女孩，上半身")
    f("PreviewAny", "Report · 报告", source=words[3])
    f.group = "Picture · 出图"
    quick = f(
        "ChibiInstantPreview",
        "Sketch at once · 即时草图",
        positive=encoded[0],
        vae=tiny[2],
        seed=8,
        batch_size=1,
    )
    f("PreviewImage", "Sketch · 草图", images=quick[0])
    latent = f("EmptyLatentImage", "Size · 尺寸", width=256, height=256, batch_size=1)
    image = _sample(f, tiny[0], encoded[0], encoded[1], latent[0], tiny[2], seed=8)
    f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/tiny")


@flow("""
# A pose, with the model in this pack · 姿势控制（自带模型）

The skeleton is drawn in the Character's own proportions and followed by a small ControlNet that comes with the pack. Choose
another pose, or connect **Chibi Pose Editor**.

骨架按角色的头身比绘制，由本包自带的小型 ControlNet 跟随。可换姿势，或改接“Q版姿势编辑器”。
""")
def tiny_pose(f: Flow) -> None:
    f.group = "Model · 模型"
    tiny = f("ChibiTinyLoader", "Tiny model · 小模型")
    control = f("ControlNetLoader", "Pose control · 姿势控制", control_net_name="chibi_tiny_pose.safetensors")
    f.group = "Character · 角色"
    words, encoded = describe(f, tiny[1], "tiny")
    pose = f("ChibiPosePreset", "Pose · 姿势", pose="waving", width=256, height=256, character=words[2])
    latent = f("EmptyLatentImage", "Size · 尺寸", width=256, height=256, batch_size=1)
    drawn = f("ChibiPoseDraw", "Skeleton · 骨架", pose=pose[0], profile="sd15", hands=False, latent=latent[0])
    f("PreviewImage", "Skeleton · 骨架图", images=drawn[0])
    f.group = "Picture · 出图"
    applied = _controlled(f, encoded, control[0], drawn[0], "Follow the pose · 跟随姿势")
    image = _sample(f, tiny[0], applied, encoded[1], latent[0], tiny[2])
    f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/tiny_pose")


@flow("""
# Train a LoRA in minutes, with the model in this pack · 几分钟训练一个 LoRA（自带模型）

Eight pictures of one avatar teach the small model to draw this character, with core's training nodes on a CPU.
The picture at the end is drawn with what was just learnt.

八张同一角色的图，在 CPU 上用 ComfyUI 自带的训练节点教会小模型这个角色。最后一张图就是用刚学到的内容画出来的。
""")
def tiny_lora_training(f: Flow) -> None:
    f.group = "Character · 角色"
    tiny = f("ChibiTinyLoader", "Tiny model · 小模型")
    words = f("ChibiPromptBuilder", "Words · 文字", description=GIRL, family="tiny", seed=0)
    base = f("ChibiAvatarBase", "Base · 素体", character=words[2], texture_size="1024")
    pictures = f(
        "ChibiAvatarRender",
        "Eight pictures · 八张图",
        avatar=base[0],
        view="turntable",
        width=256,
        height=256,
        frames=8,
    )
    f.group = "Train · 训练"
    caption = f("CLIPTextEncode", "Caption · 描述", clip=tiny[1], text=words[0])
    lora = train_lora(f, tiny[0], tiny[2], pictures[0], caption[0], "loras/chibi_tiny_oc", 30, 0.0005)
    f.group = "Picture · 出图"
    learnt = f("LoraModelLoader", "With the LoRA · 加上 LoRA", model=tiny[0], lora=lora, strength_model=1.0)
    nothing = f("CLIPTextEncode", "Negative · 负面", clip=tiny[1], text="nsfw")
    latent = f("EmptyLatentImage", "Size · 尺寸", width=256, height=256, batch_size=1)
    image = _sample(f, learnt[0], caption[0], nothing[0], latent[0], tiny[2])
    f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/tiny_lora")


@flow("""
# Your chibi by diffusion, on any computer · 任何电脑都能用扩散模型生成

The model that comes with this pack paints twice: a portrait that follows the pose, and four views of the 3D base that are baked into
its texture. Both start from the base's own paint and are mixed with it, so the avatar stays who you described and keeps its lines.
Nothing is downloaded; a laptop's processor needs under a minute.

1. Describe who it is in **Words**, in English or Chinese, and press **Run**.
2. *With a selfie:* choose it in **Photo**, select **Photo** and **Face**, press `Ctrl+B` to switch them on, run again.
3. More freedom inside the outlines: raise *denoise* of the samplers. More of the painting: lower *blend_factor* of **Lines of the render**, raise *strength* of
   **Bake**. Without diffusion: open *quickstart*.

---

本包自带的模型会画两次：一张跟随姿势的人像，以及 3D 素体的四个视角（烘焙进贴图）。两次都从素体自己的颜色开始，再与它混合，所以形象就是你描述的样子，线条也清楚。
无需下载，笔记本电脑不到一分钟。

1. 在 **Words** 里用中文或英文描述角色，点**运行**。
2. *用自拍：* 在 **Photo** 里选照片，选中 **Photo** 和 **Face**，按 `Ctrl+B` 启用，再运行。
3. 想在轮廓以内更自由：调高采样器的 *denoise*。想多保留画的部分：调低 **Lines of the render** 的 *blend_factor*，调高 **Bake** 的 *strength*。不用扩散：打开 *quickstart*。
""")
def tiny_avatar(f: Flow) -> None:
    f.group = "Model · 模型"
    tiny = f("ChibiTinyLoader", "Tiny model · 小模型")
    control = f("ControlNetLoader", "Pose control · 姿势控制", control_net_name="chibi_tiny_pose.safetensors")
    f.group = "Optional: a selfie · 可选：自拍"
    photo = f("LoadImage", "Photo", image="example.png")
    face = f("ChibiFaceAnalyze", "Face", image=photo[0], choose="largest_centered", index=0)
    found = f("PreviewImage", "Face found", images=face[1])
    f.group = "Who · 角色"
    words = f(
        "ChibiPromptBuilder", "Words", description="粉色双马尾、穿校服、微笑的女孩", family="tiny", seed=0,
        form=EMPTY_FORM, identity=face[0],
    )  # fmt: skip
    encoded = f("ChibiPromptEncode", "Encode", clip=tiny[1], positive=words[0], negative=words[1])
    pose = f("ChibiPosePreset", "Pose", pose="waving", width=768, height=768, character=words[2])
    avatar = f("ChibiAvatarBase", "Base", character=words[2])
    f.group = "Portrait · 人像"
    start = f(
        "ChibiAvatarRender", "Start from the render", avatar=avatar[0], view="pose", pose=pose[0], width=1024, height=1024
    )  # fmt: skip
    small = f("ImageScale", "Reduce", image=start[0], upscale_method="area", width=384, height=384, crop="disabled")
    drawn = f("ChibiPoseDraw", "Skeleton", pose=pose[0], profile="sd15", width=384, height=384, hands=False)
    applied = _controlled(f, encoded, control[0], drawn[0], "Follow the pose")
    latent = f("VAEEncode", "Portrait latent", pixels=small[0], vae=tiny[2])
    portrait = _repaint(f, tiny[0], applied, encoded[1], latent[0], tiny[2], title="Paint the portrait", steps=8)
    large = f(
        "ImageScale", "Enlarge", image=portrait[0], upscale_method="lanczos", width=1024, height=1024, crop="disabled"
    )
    # the small autoencoder softens lines and small hands: some of the render brings them back, here and in the bake
    mixed = f(
        "ImageBlend", "Lines of the render", image1=large[0], image2=start[0], blend_factor=0.5, blend_mode="normal"
    )
    # a line that the model drew beside the figure would stand around it like a ghost
    picture = f(
        "ImageCompositeMasked", "Ground of the render", destination=start[0], source=mixed[0], mask=start[1],
        x=0, y=0, resize_source=False,
    )  # fmt: skip
    f.group = "3D"
    guides = f("ChibiAvatarGuides", "Guide maps", avatar=avatar[0], view_set="sides4", size=384, layout="batch")
    sides = _controlled(f, encoded, control[0], guides[2], "Follow the views")
    around = f("VAEEncode", "Views latent", pixels=guides[5], vae=tiny[2])
    # the back is told the words for the front: much guidance would tint it
    views = _repaint(f, tiny[0], sides, encoded[1], around[0], tiny[2], title="Paint the views", steps=6, cfg=2.0)
    inside = f("GrowMask", "Away from the edges", mask=guides[4], expand=-5, tapered_corners=True)
    # what bleeds over a line is seen when a face moves: a closing eye stretches its lid
    lines = f("ImageToMask", "Lines", image=guides[3], channel="red")
    wide = f("GrowMask", "Around the lines", mask=lines[0], expand=2, tapered_corners=True)
    free = f(
        "MaskComposite", "Between the lines", destination=inside[0], source=wide[0], x=0, y=0, operation="subtract"
    )
    kept = f(
        "ImageCompositeMasked", "Edges of the base", destination=guides[5], source=views[0], x=0, y=0, resize_source=False,
        mask=free[0],
    )  # fmt: skip
    baked = f("ChibiTextureBake", "Bake", avatar=avatar[0], images=kept[0], views=guides[6], size="1024", strength=0.7)
    turntable = f("ChibiAvatarRender", "Turntable", avatar=baked[0], view="turntable", width=512, height=640, frames=8)
    f.group = "Results · 结果"
    saved = f("SaveImage", "Save picture", images=picture[0], filename_prefix="chibi/avatar")
    shown, exported = present(f, words, baked[0], turntable[0], picture[0])
    f.bypass(photo, face, found)
    f.as_app([(words, "description"), (pose, "pose")], [saved, shown, exported])
