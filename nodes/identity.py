"""The identity room's faces: analyse photos, keep an identity, score a likeness."""

from __future__ import annotations

import os

import folder_paths
from comfy_api.latest import io, ui

from ..chibi_avatar.identity.detect import CHOICES
from ..chibi_avatar.identity.errors import IdentityError, MissingModelError
from ..chibi_avatar.identity.model import Identity
from ..chibi_avatar.identity.stack import PROFILES
from .folders import register_model_folder
from .types import ChibiIdentity

CATEGORY = "Chibi Avatar/Identity"
FACE_FOLDERS = ("insightface", "chibi_avatar", "facerestore_models", "facedetection", "facexlib")


def face_folders() -> list[str]:
    """Folders that may hold face models: ComfyUI's (extra_model_paths.yaml included), insightface's own, and the pack's cache."""
    from ..chibi_avatar.setup.paths import cache_root

    folders: list[str] = []
    for key in FACE_FOLDERS:
        if key in folder_paths.folder_names_and_paths:
            folders += folder_paths.get_folder_paths(key)
    folders += [os.path.expanduser("~/.insightface"), str(cache_root() / "models")]
    return list(dict.fromkeys(folders))


def to_photos(image) -> list:
    """An IMAGE batch [B, H, W, C] as RGB bytes, one array for each photo; grey and RGBA are converted."""
    import numpy as np

    photos = []
    for item in image:
        array = (item.detach().cpu().float().nan_to_num(0).clamp(0, 1).numpy() * 255 + 0.5).astype(np.uint8)
        if array.shape[-1] == 1:
            array = array.repeat(3, axis=-1)
        photos.append(np.ascontiguousarray(array[..., :3]))
    return photos


def to_image(pictures):
    """RGB byte pictures of one size as an IMAGE batch."""
    import numpy as np
    import torch

    return torch.from_numpy(np.stack(pictures).astype(np.float32) / 255)


class ChibiFaceAnalyze(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiFaceAnalyze",
            display_name="Chibi Face Analyze",
            category=CATEGORY,
            description=(
                "Read one or several photos of a person: find the face, judge each photo, leave out strangers, and note hair colour, skin tone, "
                "glasses and more. The result guides the prompt, the 3D avatar and a face adapter."
            ),
            search_aliases=[
                "face id",
                "insightface",
                "selfie",
                "face analysis",
                "likeness",
                "photo to avatar",
                "人脸分析",
                "自拍",
            ],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="One photo or a batch of photos of the same person. Three to six clear ones work best.",
                ),
                io.Combo.Input(
                    "choose",
                    options=list(CHOICES),
                    default="largest_centered",
                    tooltip=(
                        "Which face of a photo counts. largest_centered: big and near the middle. index: its number in the preview. "
                        "left_to_right: its place from the left. match_reference: the one most like the reference identity."
                    ),
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=63,
                    tooltip="Number of the face for index and left_to_right, from 0. Beyond the last face, the last is taken.",
                ),
                ChibiIdentity.Input(
                    "reference",
                    optional=True,
                    tooltip="For match_reference: an identity analysed before, or loaded from a card.",
                ),
                io.Combo.Input(
                    "profile",
                    options=list(PROFILES),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip=(
                        "Face models to use. clean: YuNet and SFace, free for any use. research: insightface, needed for FaceID adapters, "
                        "non-commercial only. auto: research where its files are present."
                    ),
                ),
                io.Boolean.Input(
                    "reject_outliers",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="Leave out photos that look like someone else. Turn off for one person in very different looks.",
                ),
                io.Combo.Input(
                    "device",
                    options=["auto", "cpu"],
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="Where the research models run. auto: the best that onnxruntime really has. The clean models always run on the CPU.",
                ),
            ],
            outputs=[
                ChibiIdentity.Output(
                    display_name="identity",
                    tooltip="Who it is: for Prompt Builder, Apply Identity, Save Identity and Identity Score.",
                ),
                io.Image.Output(
                    display_name="preview",
                    tooltip="Each photo with numbered faces, the crop that is used, and what was read.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="Every photo: used or left out, and why; the attributes with their confidence.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        choose: str = "largest_centered",
        index: int = 0,
        reference: Identity | None = None,
        profile: str = "auto",
        reject_outliers: bool = True,
        device: str = "auto",
    ) -> io.NodeOutput:
        from ..chibi_avatar.identity.analyze import analyze, empty, report
        from ..chibi_avatar.identity.preview import draw
        from ..chibi_avatar.identity.stack import load_stack

        photos = to_photos(image)
        try:
            stack = load_stack(face_folders(), profile, device)
        except (MissingModelError, ImportError) as error:
            if profile == "research" or (isinstance(error, ImportError) and profile != "auto"):
                raise IdentityError(str(error)) from error
            identity = empty(str(error))
            text = report(identity)
            return io.NodeOutput(identity, to_image(draw(identity, photos)), text, ui=ui.PreviewText(text))
        identity, upright = analyze(
            photos, stack, choose=choose, number=index, reference=reference, reject_outliers=reject_outliers
        )
        text = report(identity, stack)
        return io.NodeOutput(identity, to_image(draw(identity, upright)), text, ui=ui.PreviewText(text))


async def on_load() -> None:
    """Face models are ONNX files in models/insightface and models/chibi_avatar, adapters weight files in models/ipadapter."""
    register_model_folder("insightface", {".onnx", ".pth"})
    register_model_folder("chibi_avatar", {".onnx", ".pth", ".safetensors", ".json"})


NODES: list[type[io.ComfyNode]] = [ChibiFaceAnalyze]
