"""Workflows that end in a 3D avatar."""

from __future__ import annotations

from .canvas import Flow, Handle, Out
from .flows import describe, flow, sample

EMPTY_FORM = '{"version":1,"fields":{},"locks":[],"weights":{}}'
"""What the canvas writes for a form in which nobody chose anything."""


@flow("""
# Turnaround views → texture → VRM (the full way) · 多视图绘制 → 烘焙 → VRM

The 3D base gives depth and line maps of four sides; the checkpoint paints over them, starting from the base's own
paint, and the four views are baked onto the model. The avatar keeps its rig, expressions and licence fields.

`python3 -m chibi_avatar models download --workflow turnaround_to_vrm`

3D 素体给出四个方向的深度与线稿，由模型在底色之上重绘，再烘焙回贴图；骨骼、表情与许可信息保持不变。
""")
def turnaround_to_vrm(f: Flow) -> None:
    f.group = "Models · 模型"
    checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="DreamShaper_8_pruned.safetensors")
    depth = f(
        "ControlNetLoader", "Depth control · 深度控制", control_net_name="control_v11f1p_sd15_depth_fp16.safetensors"
    )
    line = f(
        "ControlNetLoader",
        "Line control · 线稿控制",
        control_net_name="control_v11p_sd15s2_lineart_anime_fp16.safetensors",
    )
    f.group = "Character and base · 角色与素体"
    words, encoded = describe(f, checkpoint[1], "sd15")
    base = f("ChibiAvatarBase", "Base · 素体", character=words[2], texture_size="1024")
    guides = f("ChibiAvatarGuides", "Guide maps · 引导图", avatar=base[0], view_set="sides4", size=512, layout="batch")
    f.group = "Paint the views · 绘制视图"
    first = f(
        "ControlNetApplyAdvanced", positive=encoded[0], negative=encoded[1], control_net=depth[0], image=guides[0],
        strength=0.9, start_percent=0.0, end_percent=0.9,
    )  # fmt: skip
    second = f(
        "ControlNetApplyAdvanced", positive=first[0], negative=first[1], control_net=line[0], image=guides[3],
        strength=0.8, start_percent=0.0, end_percent=0.8,
    )  # fmt: skip
    start = f("VAEEncode", "Start from the paint · 从底色开始", pixels=guides[5], vae=checkpoint[2])
    views = sample(f, checkpoint[0], second[0], second[1], start[0], checkpoint[2], cfg=7.0, denoise=0.55)
    f("SaveImage", "Save views · 保存视图", images=views[0], filename_prefix="chibi/views")
    f.group = "Bake and export · 烘焙与导出"
    baked = f("ChibiTextureBake", "Bake · 烘焙", avatar=base[0], images=views[0], views=guides[6], size="1024")
    f("SaveImage", "Save atlas · 保存贴图", images=baked[1], filename_prefix="chibi/atlas")
    shown = f("ChibiAvatarRender", "Picture · 预览", avatar=baked[0], view="three_quarter", width=768, height=768)
    f("SaveImage", "Save picture · 保存预览", images=shown[0], filename_prefix="chibi/turnaround")
    f("ChibiAvatarExport", "Export · 导出", avatar=baked[0], filename_prefix="chibi/turnaround")


@flow("""
# Restyle your own VRM (VRoid and others) · 为自己的 VRM 换画风

Upload your .vrm with the button on **Your avatar** (or put it into ComfyUI's `input/3d` folder and press R), and tick
*i_am_the_author* only if you are. Its own texture is the start; the checkpoint repaints the four sides in chibi style.

`python3 -m chibi_avatar models download --workflow restyle_vrm`

Headless: `python3 -m chibi_avatar run restyle_vrm --set "Your avatar.file=@me.vrm"`

先下载模型（命令见上）。用**你的模型**节点上的按钮上传 .vrm（或放进 ComfyUI 的 `input/3d` 文件夹后按 R）；只有确为作者本人时才勾选
i_am_the_author。以原贴图为起点，由模型把四个方向重绘成 Q 版画风。
""")
def restyle_vrm(f: Flow) -> None:
    f.group = "Models · 模型"
    checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="DreamShaper_8_pruned.safetensors")
    depth = f(
        "ControlNetLoader", "Depth control · 深度控制", control_net_name="control_v11f1p_sd15_depth_fp16.safetensors"
    )
    f.group = "Your avatar · 你的模型"
    loaded = f("ChibiAvatarLoad", "Your avatar · 你的模型", file="none")
    guides = f(
        "ChibiAvatarGuides", "Guide maps · 引导图", avatar=loaded[0], view_set="sides4", size=512, layout="batch"
    )
    _, encoded = describe(f, checkpoint[1], "sd15", "Q版, 手办质感, 柔和光线, 全身")
    f.group = "Paint and bake · 绘制与烘焙"
    applied = f(
        "ControlNetApplyAdvanced", positive=encoded[0], negative=encoded[1], control_net=depth[0], image=guides[0],
        strength=0.9, start_percent=0.0, end_percent=0.9,
    )  # fmt: skip
    start = f("VAEEncode", "Start from its paint · 从原贴图开始", pixels=guides[5], vae=checkpoint[2])
    views = sample(f, checkpoint[0], applied[0], applied[1], start[0], checkpoint[2], cfg=7.0, denoise=0.45)
    baked = f("ChibiTextureBake", "Bake · 烘焙", avatar=loaded[0], images=views[0], views=guides[6], size="1024")
    shown = f("ChibiAvatarRender", "Picture · 预览", avatar=baked[0], view="three_quarter", width=768, height=768)
    f("SaveImage", "Save picture · 保存预览", images=shown[0], filename_prefix="chibi/restyled")
    f("ChibiAvatarExport", "Export · 导出", avatar=baked[0], filename_prefix="chibi/restyled")


@flow("""
# A crowd of background characters · 一群路人

Four different people from four sentences, no model needed. For a hundred, use a table:
`python3 -m chibi_avatar batch people.csv --workflow quickstart --mute Photo --map who=Words.description`

四句话生成四个不同的人，不需要任何模型。要一百个，请用表格批量运行（命令同上）。
""")
def crowd(f: Flow) -> None:
    people = (
        "a boy with short black hair and glasses in a red hoodie",
        "银色长发、穿洛丽塔裙的女孩",
        "an old man with a white beard in a brown coat",
        "橙色短发、猫耳、穿运动服的女孩",
    )
    pictures = []
    for number, who in enumerate(people, 1):
        f.group = f"Person {number} · 第 {number} 人"
        words = f("ChibiPromptBuilder", "Words · 文字", description=who, family="sd15", seed=number)
        base = f("ChibiAvatarBase", "Base · 素体", character=words[2], texture_size="1024")
        backdrop, name = (("soft", "waving"), ("mint", "standing"), ("sky", "hands_on_hips"), ("lilac", "jumping"))[
            number - 1
        ]
        pose = f("ChibiPosePreset", "Pose · 姿势", pose=name, character=words[2])
        look = {"width": 512, "height": 640, "background": backdrop}
        pictures.append(f("ChibiAvatarRender", "Picture · 图", avatar=base[0], pose=pose[0], **look))
    f.group = "Together · 合影"
    batch = f("BatchImagesNode", "Together · 合并", **{f"images__image{n}": p[0] for n, p in enumerate(pictures)})
    single = f("RebatchImages", "One by one · 拆分", images=batch[0], batch_size=1)
    grid = f("ImageGrid", "Sheet · 排版", images=single[0], columns=4, cell_width=512, cell_height=640, padding=0)
    f("SaveImage", "Save · 保存", images=grid[0], filename_prefix="chibi/crowd")


def present(f: Flow, words: Handle, avatar: Out, turntable: Out, picture: Out) -> tuple[Handle, Handle]:
    """Turntable as a sheet, export with ``picture`` as thumbnail, and what was understood; returns the first two's nodes."""
    single = f("RebatchImages", "One by one", images=turntable, batch_size=1)
    grid = f("ImageGrid", "Sheet", images=single[0], columns=4, cell_width=512, cell_height=640, padding=0)
    around = f("SaveImage", "Save turntable", images=grid[0], filename_prefix="chibi/turntable")
    exported = f("ChibiAvatarExport", "Export", avatar=avatar, filename_prefix="chibi/avatar", thumbnail=picture)
    f.group = "What was understood · 理解结果"
    f("PreviewAny", "Prompt", source=words[0])
    f("PreviewAny", "Character", source=words[2])
    f("PreviewAny", "What was understood", source=words[3])
    return around, exported


@flow("""
# Your chibi in one click · 一键生成 Q 版形象

1. Describe who it is in **Words**, in English or Chinese.
2. Press **Run**. You get a picture, a turntable and a rigged 3D avatar (`.vrm`, `.glb`) in ComfyUI's output folder `chibi/`.
3. *With a selfie:* choose it in **Photo**, select **Photo** and **Face**, press `Ctrl+B` to switch them on, run again. What you
say in **Words** wins over what the photo shows.

To fill in a form instead of a graph, switch to **App mode** at the top left.

---

1. 在 **Words** 里用中文或英文描述角色。
2. 点**运行**。图片、环绕图和带骨骼的 3D 形象（`.vrm`、`.glb`）会保存到输出文件夹的 `chibi/`。
3. *用自拍：* 在 **Photo** 里选照片，选中 **Photo** 和 **Face**，按 `Ctrl+B` 启用，再运行。文字描述优先于照片。

不想看节点图？点左上角切换到**应用模式**，只填一张表单。
""")
def quickstart(f: Flow) -> None:
    f.group = "Optional: a selfie · 可选：自拍"
    photo = f("LoadImage", "Photo", image="example.png")
    face = f("ChibiFaceAnalyze", "Face", image=photo[0], choose="largest_centered", index=0)
    f.group = "Who · 角色"
    words = f(
        "ChibiPromptBuilder", "Words", description="粉色双马尾、穿校服、微笑的女孩", family="illustrious", seed=0,
        form=EMPTY_FORM, identity=face[0],
    )  # fmt: skip
    pose = f("ChibiPosePreset", "Pose", pose="waving", width=768, height=768, character=words[2])
    f.group = "3D"
    avatar = f("ChibiAvatarBase", "Avatar", character=words[2])
    picture = f("ChibiAvatarRender", "Picture", avatar=avatar[0], view="pose", pose=pose[0])
    f.group = "Results · 结果"
    saved = f("SaveImage", "Save picture", images=picture[0], filename_prefix="chibi/avatar")
    f.group = "3D"
    turntable = f("ChibiAvatarRender", "Turntable", avatar=avatar[0], view="turntable", width=512, height=640, frames=8)
    f.group = "Results · 结果"
    around, exported = present(f, words, avatar[0], turntable[0], picture[0])
    f.group = "Optional: a selfie · 可选：自拍"
    found = f("PreviewImage", "Face found", images=face[1])
    f.bypass(photo, face, found)
    f.as_app([(words, "description"), (pose, "pose"), (picture, "background")], [saved, around, exported])


@flow("""
# Your own four views · 自己的四个视角

The four views in the middle are the avatar's own paint with ink lines over it, so that this runs without any model.

**By hand:** run once, draw over the saved views, load them with *Load Image* (one batch, same order: front, left, back, right) and
connect them to *images* of the bake.

**With a model:** take `paint` as the img2img start, `depth`, `normal`, `pose` or `line` for ControlNet, denoise 0.4 to 0.6, and
connect the decoded pictures to the bake.

---

中间的四个视角是形象的底色加上墨线，因此无需任何模型即可运行。

**手绘：** 先运行一次，在保存的视角上绘画，用「加载图像」载入（同一批次，顺序为正、左、背、右），接到烘焙的 *images*。

**用模型：** `paint` 作图生图起点，`depth`、`normal`、`pose`、`line` 接 ControlNet，重绘幅度 0.4–0.6，把解码后的图接到烘焙。
""")
def avatar_from_views(f: Flow) -> None:
    f.group = "Who · 角色"
    words = f(
        "ChibiPromptBuilder", "Words · 文字", description="a girl with long mint twin tails, golden eyes and a yellow raincoat",
        family="illustrious", seed=0,
    )  # fmt: skip
    avatar = f("ChibiAvatarBase", "Avatar · 形象", character=words[2])
    f.group = "Four views · 四个视角"
    guides = f("ChibiAvatarGuides", "Guides · 引导图", avatar=avatar[0], view_set="sides4", layout="batch")
    ink = f("ImageInvert", "Ink: black lines on white · 墨线", image=guides[3])
    views = f(
        "ImageBlend", "The four views: lines over paint · 四个视角", image1=guides[5], image2=ink[0], blend_factor=0.55,
        blend_mode="multiply",
    )  # fmt: skip
    f("SaveImage", "Save views, to draw over · 保存以便绘画", images=views[0], filename_prefix="chibi/view")
    f.group = "Onto the avatar · 贴到形象上"
    baked = f("ChibiTextureBake", "Bake · 烘焙", avatar=avatar[0], images=views[0], views=guides[6])
    picture = f("ChibiAvatarRender", "Picture · 图片", avatar=baked[0], view="three_quarter", background="mint")
    f("SaveImage", "Save picture · 保存图片", images=picture[0], filename_prefix="chibi/baked")
    f.group = "Take it home · 导出"
    f("ChibiAvatarExport", "Export · 导出", avatar=baked[0], filename_prefix="chibi/avatar", thumbnail=picture[0])
    f.group = "Onto the avatar · 贴到形象上"
    f("PreviewAny", "Report · 报告", source=baked[3])
