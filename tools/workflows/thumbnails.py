"""Write workflows/NAME.jpg from pictures of this pack's own avatars: python -m tools.workflows.thumbnails [NAME…]

A thumbnail shows what a workflow is for: what goes in on the left, what comes out on the right. No checkpoint is
needed. ``--server URL`` uses a running ComfyUI with this pack, else one is started.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from chibi_avatar.headless import SyncClient
from chibi_avatar.headless.workflow import find, load
from chibi_avatar.quickstart import PHOTO_NODES, without
from chibi_avatar.setup.server import running

from .build import WORKFLOWS
from .flows import GIRL

SIZE = (640, 480)
BOY = "a boy with short black hair and glasses in a red hoodie"
_PAPER = (250, 244, 240)


def parts(client: SyncClient, folder: Path) -> dict[str, Any]:
    """The pictures that thumbnails are made of, by name."""
    from PIL import Image

    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    prompt: dict[str, Any] = {}
    for who, words in (("girl", GIRL), ("boy", BOY)):
        prompt[f"{who}-words"] = node("ChibiPromptBuilder", description=words, family="sd15", seed=0, form="{}")
        prompt[f"{who}-base"] = node(
            "ChibiAvatarBase", character=[f"{who}-words", 2], preset="standard", texture_size="1024"
        )
        prompt[f"{who}-pose"] = node(
            "ChibiPosePreset", pose="waving", view="auto", heads=2.5, width=480, height=480, mirror=False, character=[f"{who}-words", 2]
        )  # fmt: skip
        render = {"width": 480, "height": 480, "background": "soft", "expression": "", "outline": True, "frames": 4}
        avatar = [f"{who}-base", 0]
        prompt[f"{who}-picture"] = node(
            "ChibiAvatarRender", avatar=avatar, view="three_quarter", pose=[f"{who}-pose", 0], **render
        )  # fmt: skip
        prompt[f"{who}-save"] = node("SaveImage", images=[f"{who}-picture", 0], filename_prefix=f"{who}-picture")
    prompt["guides"] = node(
        "ChibiAvatarGuides", avatar=["girl-base", 0], view_set="sides4", size=512, layout="batch", fov=0.0
    )
    for slot, name in ((0, "depth"), (3, "line"), (5, "paint")):
        prompt[name] = node("SaveImage", images=["guides", slot], filename_prefix=name)
    prompt["drawn"] = node(
        "ChibiPoseDraw", pose=["girl-pose", 0], profile="sd15", width=480, height=480, body=True, hands=True, face=False,
        stick_width=0, threshold=0.3,
    )  # fmt: skip
    prompt["skeleton"] = node("SaveImage", images=["drawn", 0], filename_prefix="skeleton")
    files = client.run(prompt, out_dir=folder, replace=True).files
    found: dict[str, Any] = {}
    for file in files:
        name = file.path.stem.replace(" (", "-").rstrip(")")
        found[name] = Image.open(file.path).convert("RGB")
    return found


def compose(pictures: list[Any]) -> Any:
    """Pictures side by side on paper, cropped to fill."""
    from PIL import Image, ImageOps

    sheet = Image.new("RGB", SIZE, _PAPER)
    gap = 8
    columns = len(pictures)
    rows = -(-len(pictures) // columns)
    width, height = (SIZE[0] - gap * (columns + 1)) // columns, (SIZE[1] - gap * (rows + 1)) // rows
    for index, picture in enumerate(pictures):
        fitted = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (gap + (index % columns) * (width + gap), gap + (index // columns) * (height + gap)))
    return sheet


RECIPES: dict[str, tuple[str, ...]] = {
    "text_to_chibi_sd15": ("skeleton", "girl-picture"),
    "text_to_chibi_sdxl": ("skeleton", "boy-picture"),
    "turnaround_to_vrm": ("depth", "line", "paint"),
    "restyle_vrm": ("paint", "girl-picture"),
    "avatar_from_views": ("views", "girl-picture"),
    "chibi_lora_training": ("paint-2", "paint", "paint-3"),
    "selfie_to_chibi_edit": ("photo", "boy-picture"),
    "turnaround_edit": ("paint", "paint-2", "paint-3"),
    "pose_controlnet_sd15": ("skeleton", "girl-picture"),
    "pose_controlnet_sdxl_union": ("skeleton", "boy-picture"),
    "selfie_to_chibi_sd15": ("photo", "girl-picture"),
    "selfie_to_chibi_sdxl": ("photo", "boy-picture"),
    "selfie_to_chibi_faceid": ("photo", "girl-picture", "boy-picture"),
    "crowd": ("person-0", "person-1", "person-2", "person-3"),
    "tiny_text_to_chibi": ("tiny_text_to_chibi",),
    "tiny_pose": ("skeleton", "tiny_pose"),
    "tiny_lora_training": ("paint-2", "paint", "tiny_lora_training"),
    "tiny_avatar": ("paint", "tiny_avatar"),
}
"""Workflow → the pictures on its thumbnail, from left to right (see :func:`parts`)."""


def main(arguments: list[str]) -> int:
    """Draw the thumbnails of the named workflows, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI with this pack (default: start one)")
    asked = parser.parse_args(arguments)
    names = asked.names or list(RECIPES)
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"RECIPES has no {', '.join(unknown)}")
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        client = stack.enter_context(SyncClient(asked.server or stack.enter_context(running()).url))
        made = parts(client, Path(scratch))
        made["photo"] = _silhouette()
        made["views"] = _views([made[name] for name in ("paint", "paint-2", "paint-3", "paint-4")])
        if "crowd" in names:
            made |= _people(client, Path(scratch))
        made |= _tiny(client, Path(scratch), names)
        for name in names:
            compose([made[part] for part in RECIPES[name]]).save(WORKFLOWS / f"{name}.jpg", quality=86, optimize=True)
    return 0


def _people(client: SyncClient, folder: Path) -> dict[str, Any]:
    from PIL import Image

    (crowd,) = client.run("crowd", out_dir=folder, replace=True).files
    picture = Image.open(crowd.path).convert("RGB")
    cells = [picture.crop((x, 0, x + 512, 640)) for x in range(0, picture.width, 512)]
    return {f"person-{number}": cell for number, cell in enumerate(cells)}


def _tiny(client: SyncClient, folder: Path, names: list[str]) -> dict[str, Any]:
    """What the embedded model really draws in its workflows."""
    from PIL import Image

    made = {}
    for name in names:
        if name.startswith("tiny_"):
            prompt = load(find(name))
            if name == "tiny_avatar":
                prompt = without(prompt, *PHOTO_NODES)
            files = client.run(prompt, out_dir=folder, replace=True, timeout=600).files
            (path,) = (file.path for file in files if file.title.partition(" · ")[0] in ("Save", "Save picture"))
            made[name] = Image.open(path).convert("RGB").resize((512, 512), Image.Resampling.LANCZOS)
    return made


def _views(sides: list[Any]) -> Any:
    """Four square views as two rows of two, each without the air at its sides."""
    from PIL import Image

    sheet = Image.new("RGB", (680, 1024), _PAPER)
    for number, side in enumerate(sides):
        sheet.paste(side.crop((86, 0, 426, 512)), (number % 2 * 340, number // 2 * 512))
    return sheet


def _silhouette() -> Any:
    """A photo in general: no person's picture is shipped."""
    from PIL import Image, ImageDraw

    card = Image.new("RGB", (480, 480), (221, 228, 236))
    pen = ImageDraw.Draw(card)
    pen.ellipse((150, 90, 330, 290), fill=(150, 163, 178))
    pen.pieslice((70, 290, 410, 660), 180, 360, fill=(150, 163, 178))
    return card


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
