"""The identity room's faces: analyse photos, keep an identity, score a likeness."""

from __future__ import annotations

import os

import folder_paths
from comfy_api.latest import io, ui

from ..chibi_avatar.identity.detect import CHOICES
from ..chibi_avatar.identity.errors import IdentityError, MissingModelError
from ..chibi_avatar.identity.model import Identity
from ..chibi_avatar.identity.registry import face_files_mark
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


def face_models_mark() -> str:
    """Changes with the face models on disk, so that a node which could not find them runs again once they are there."""
    return face_files_mark(face_folders())


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
    def fingerprint_inputs(cls, **_) -> str:
        return face_models_mark()

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


CARDS = "identities"


def _card_folders() -> list[str]:
    return [
        os.path.join(root, CARDS) for root in (folder_paths.get_output_directory(), folder_paths.get_input_directory())
    ]


def _cards() -> list[str]:
    """Names of the identity cards in output/identities and input/identities."""
    found: dict[str, None] = {}
    for folder in _card_folders():
        for root, _, names in os.walk(folder):
            for name in sorted(names):
                if name.endswith(".json") and name[:-5] + ".safetensors" in names:
                    found[os.path.relpath(os.path.join(root, name[:-5]), folder).replace(os.sep, "/")] = None
    return sorted(found)


class ChibiSaveIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiSaveIdentity",
            display_name="Chibi Save Identity",
            category=CATEGORY,
            description=(
                "Keep an identity as a card in output/identities: face embedding and attributes, no pixel of any photo. "
                "Delete the two files to forget the person."
            ),
            search_aliases=["save face", "identity card", "save embeds", "faceid save", "保存身份"],
            inputs=[
                ChibiIdentity.Input("identity", tooltip="The identity to keep."),
                io.String.Input("name", default="me", tooltip="Name of the card. A card of that name is replaced."),
            ],
            outputs=[io.String.Output(display_name="path", tooltip="The card's .json file.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, identity: Identity, name: str) -> io.NodeOutput:
        from ..chibi_avatar.identity.card import save_card

        clean = "".join(c for c in name.strip() if c.isalnum() or c in " -_.").strip(" .")[:80]
        if not clean:
            raise IdentityError(f"the card's name {name[:40]!r} has no letter or digit: give it one, such as me")
        _, words = save_card(identity, os.path.join(_card_folders()[0], clean + ".json"), name.strip()[:80])
        return io.NodeOutput(str(words), ui=ui.PreviewText(f"saved {words}"))


class ChibiLoadIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiLoadIdentity",
            display_name="Chibi Load Identity",
            category=CATEGORY,
            description="Load an identity card from output/identities or input/identities. Refuses a card made with another face recogniser.",
            search_aliases=["load face", "identity card", "load embeds", "载入身份"],
            inputs=[
                io.Combo.Input(
                    "name",
                    options=_cards(),
                    tooltip="A card saved with Chibi Save Identity. Press R to refresh the list.",
                )
            ],
            outputs=[
                ChibiIdentity.Output(
                    display_name="identity", tooltip="The identity, without photos: plus-face adapters need photos."
                )
            ],
        )

    @classmethod
    def execute(cls, name: str) -> io.NodeOutput:
        from ..chibi_avatar.identity.card import load_card
        from ..chibi_avatar.identity.stack import installed_recognisers

        return io.NodeOutput(load_card(cls._path(name), installed_recognisers(face_folders())))

    @classmethod
    def _path(cls, name: str) -> str:
        for folder in _card_folders():
            path = os.path.join(folder, name + ".json")
            if folder_paths.is_within_directory(folder, path) and os.path.isfile(path):
                return path
        raise IdentityError(
            f"no identity card {name[:60]!r} in {' or '.join(_card_folders())}: save one with Chibi Save Identity"
        )

    @classmethod
    def fingerprint_inputs(cls, name: str | None = None) -> str:
        # None: connected, not known yet, so any card counts.
        paths = [cls._path(card) for card in (_cards() if name is None else [name])]
        return " ".join(f"{os.path.getmtime(path)}-{os.path.getsize(path)}" for path in paths)

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        if name is None:
            return True
        try:
            cls._path(name)
        except IdentityError as error:
            return str(error)
        return True


class ChibiIdentityScore(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiIdentityScore",
            display_name="Chibi Identity Score",
            category=CATEGORY,
            description=(
                "How much a picture is like the person: do hair and skin agree, what does a face recogniser say, and an honest "
                "not measurable where it cannot say anything."
            ),
            search_aliases=["face similarity", "likeness score", "face distance", "相似度"],
            inputs=[
                io.Image.Input("image", tooltip="The pictures to judge."),
                ChibiIdentity.Input("identity", tooltip="Whom they should look like."),
            ],
            outputs=[
                io.Float.Output(
                    display_name="score",
                    tooltip="0 to 1, the mean over the pictures; for sorting variants of one person.",
                ),
                io.String.Output(
                    display_name="report", tooltip="What agrees, picture by picture, and what cannot be measured."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return face_models_mark()

    @classmethod
    def execute(cls, image, identity: Identity) -> io.NodeOutput:
        from ..chibi_avatar.identity.score import score_picture
        from ..chibi_avatar.identity.stack import load_stack

        try:
            stack = load_stack(face_folders(), "auto" if not identity.embeddings else identity.profile)
        except (MissingModelError, ImportError):
            stack = None
        scores = [score_picture(identity, photo, stack) for photo in to_photos(image)]
        value = sum(score.value for score in scores) / len(scores)
        text = "\n".join(f"picture {number + 1}:\n{score.report}" for number, score in enumerate(scores))
        return io.NodeOutput(value, text, ui=ui.PreviewText(text))


async def on_load() -> None:
    """Face models live in models/insightface and models/chibi_avatar."""
    register_model_folder("insightface", {".onnx", ".pth"})
    register_model_folder("chibi_avatar", {".onnx", ".pth", ".safetensors", ".json"})


NODES: list[type[io.ComfyNode]] = [ChibiFaceAnalyze, ChibiSaveIdentity, ChibiLoadIdentity, ChibiIdentityScore]
