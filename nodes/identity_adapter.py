"""The identity room's adapters: load one, apply an identity to a MODEL, and take over old face workflows."""

from __future__ import annotations

from dataclasses import replace

import folder_paths
from comfy_api.latest import io, ui

from ..chibi_avatar.identity.adapter_file import VARIANTS, Adapter, read_adapter
from ..chibi_avatar.identity.errors import IdentityError, MissingModelError
from ..chibi_avatar.identity.model import Identity
from ..chibi_avatar.identity.schedules import EMBEDS_SCALING, WEIGHT_TYPES
from .folders import register_model_folder
from .identity import face_folders, face_models_mark, to_image, to_photos
from .identity_migration import FaceModels
from .types import ChibiIdentity, ChibiIdentityAdapter, PoseKeypoint

CATEGORY = "Chibi Avatar/Identity"
INSIDE, WITHOUT = "from adapter", "none"


class ChibiIdentityLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiIdentityLoader",
            display_name="Chibi Identity Loader",
            category=CATEGORY,
            description=(
                "Load an IP-Adapter for faces (FaceID, Plus, Plus v2, Portrait, plus-face, InstantID) for SD1.5 or SDXL. "
                "The kind is recognised by the file's hash and shapes; the LoRA inside a FaceID file is used, no second file is needed."
            ),
            search_aliases=["ipadapter", "faceid", "ip-adapter loader", "instantid loader", "身份适配器", "换脸"],
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=folder_paths.get_filename_list("ipadapter"),
                    tooltip="A file in models/ipadapter. plus-face files are free to use; FaceID files are for non-commercial use.",
                ),
                io.Combo.Input(
                    "variant",
                    options=["auto", *VARIANTS],
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="auto recognises published files by hash and others by shape. Choose by hand where shapes are shared.",
                ),
                io.Combo.Input(
                    "lora_name",
                    options=[INSIDE, WITHOUT, *folder_paths.get_filename_list("loras")],
                    default=INSIDE,
                    optional=True,
                    advanced=True,
                    tooltip="FaceID was trained with a LoRA. from adapter: the one inside the file. A file: used instead, never twice.",
                ),
            ],
            outputs=[ChibiIdentityAdapter.Output(display_name="adapter", tooltip="For Chibi Apply Identity.")],
        )

    @classmethod
    def execute(cls, adapter_name: str, variant: str = "auto", lora_name: str = INSIDE) -> io.NodeOutput:
        path = folder_paths.get_full_path("ipadapter", adapter_name)
        if path is None:
            raise IdentityError(
                f"{adapter_name} is not in {', '.join(folder_paths.get_folder_paths('ipadapter'))}: put it there, then press R to refresh"
            )
        lora = "" if lora_name in (INSIDE, WITHOUT) else folder_paths.get_full_path_or_raise("loras", lora_name)
        adapter = read_adapter(path, variant, lora)
        if lora_name == WITHOUT:
            adapter = replace(adapter, lora={})
        elif not adapter.lora and adapter.variant.name.startswith("faceid"):
            raise IdentityError(
                f"{adapter.place} is a {adapter.variant.name} adapter without its LoRA: put the matching *_lora.safetensors in models/loras and "
                "choose it in lora_name, or choose none to go on without (the likeness will be weaker)"
            )
        return io.NodeOutput(adapter)


class ChibiApplyIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        unit = {"min": 0.0, "max": 1.0, "step": 0.01}
        return io.Schema(
            node_id="ChibiApplyIdentity",
            display_name="Chibi Apply Identity",
            category=CATEGORY,
            description=(
                "Give a MODEL a person's likeness through an identity adapter. The chibi preset keeps the drawing style: it starts late, stays out "
                "of the layout, and never speaks louder than the prompt. Without a face in the identity the model passes through unchanged."
            ),
            search_aliases=["ipadapter apply", "faceid apply", "face identity", "likeness", "应用身份", "人脸相似"],
            inputs=[
                io.Model.Input("model", tooltip="An SD1.5 or SDXL model. It is not changed; the output is a patched copy."),
                ChibiIdentityAdapter.Input("adapter", tooltip="From Chibi Identity Loader, for the same family as the model."),
                ChibiIdentity.Input("identity", optional=True, tooltip="From Chibi Face Analyze, or a loaded identity card. Or connect photos to image."),
                io.Float.Input(
                    "weight", default=0.8, min=-1.0, max=3.0, step=0.05,
                    tooltip="How strong the likeness is. Higher is more like the photo and less like the style.",
                ),
                io.Combo.Input(
                    "weight_type", options=list(WEIGHT_TYPES), default=WEIGHT_TYPES[0],
                    tooltip="Which blocks it acts on. chibi keeps the drawing style; linear acts everywhere alike.",
                ),
                io.Float.Input("start_at", default=0.0, tooltip="Where in sampling it begins. Later keeps more style. The chibi preset begins at 0.2 or later.", **unit),
                io.Float.Input("end_at", default=1.0, tooltip="Where in sampling it ends.", **unit),
                io.ClipVision.Input("clip_vision", optional=True, tooltip="CLIP-ViT-H-14, for plus-face and FaceID Plus only. FaceID and Portrait do not need it."),
                io.Mask.Input("mask", optional=True, tooltip="Where the person is in the picture. White: the identity acts there."),
                PoseKeypoint.Input("pose", optional=True, tooltip="Limits the identity to the head of this pose, such as the chibi pose you draw from."),
                io.Conditioning.Input(
                    "conditioning", optional=True,
                    tooltip="For several people: the prompt of this one. The identity then acts only there; use the conditioning output.",
                ),
                io.Float.Input(
                    "lora_strength", default=1.0, min=0.0, max=2.0, step=0.05, optional=True,
                    tooltip="Strength of the adapter's own LoRA. It was trained at 1; 0.6 to 0.8 keeps more of the style.",
                ),
                io.Float.Input(
                    "structure", default=1.0, min=-1.0, max=5.0, step=0.05, optional=True, advanced=True,
                    tooltip="FaceID Plus v2 only: how much of the photo's face shape comes along.",
                ),
                io.Combo.Input(
                    "embeds_scaling", options=list(EMBEDS_SCALING), default=EMBEDS_SCALING[0], optional=True, advanced=True,
                    tooltip="Where the weight goes. V only is the plain one; the penalties soften high weights.",
                ),
                io.Float.Input("ramp", default=0.0, optional=True, advanced=True, tooltip="Fade in over this share of sampling instead of a hard start.", **unit),
                io.Float.Input(
                    "norm_cap", default=0.0, min=0.0, max=4.0, step=0.05, optional=True, advanced=True,
                    tooltip="At no place let the identity be louder than this times the prompt. 0: no limit. The chibi preset uses 0.7.",
                ),
                io.Boolean.Input(
                    "compatible", default=False, optional=True, advanced=True,
                    tooltip="Old seeds: leave the middle block out and use a black picture as the empty one, as older IP-Adapter nodes did.",
                ),
                io.Image.Input("image", optional=True, advanced=True, tooltip="Photos instead of an identity: analysed here with the default settings."),
                FaceModels.Input("face_models", optional=True, advanced=True, tooltip="Face models for image, from Chibi Face Models; automatic without it."),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the identity."),
                io.Conditioning.Output(display_name="conditioning", tooltip="The conditioning that came in, marked as this identity's; empty when none came in."),
                io.String.Output(display_name="report", tooltip="What was applied, or why nothing was."),
                io.Image.Output(display_name="face_image", tooltip="The aligned faces that were used; one black picture when there are none."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, **inputs) -> str:
        # Inputs that are connected are there as None: only photos without an identity are analysed here.
        return face_models_mark() if "image" in inputs and "identity" not in inputs else ""

    @classmethod
    def execute(
        cls,
        model,
        adapter: Adapter,
        weight: float,
        weight_type: str,
        start_at: float,
        end_at: float,
        identity: Identity | None = None,
        clip_vision=None,
        mask=None,
        pose=None,
        conditioning=None,
        lora_strength: float = 1.0,
        structure: float = 1.0,
        embeds_scaling: str = EMBEDS_SCALING[0],
        ramp: float = 0.0,
        norm_cap: float = 0.0,
        compatible: bool = False,
        image=None,
        face_models: tuple[str, str] | None = None,
    ) -> io.NodeOutput:
        from .identity_apply import Request, apply_identity

        if identity is None:
            identity = _from_photos(image, face_models)
        faces = _faces(identity)
        if identity.faceless:
            reason = identity.notes[0] if identity.notes else "no photo had a usable face"
            report = f"nothing applied, the model passes through unchanged: {reason}"
            return io.NodeOutput(model, conditioning or [], report, faces, ui=ui.PreviewText(report))
        request = Request(
            adapter,
            identity,
            weight,
            weight_type,
            start_at,
            end_at,
            ramp,
            norm_cap,
            structure,
            embeds_scaling,
            lora_strength,
            compatible,
        )
        patched, tagged, report = apply_identity(model, request, clip_vision, mask, pose, conditioning)
        return io.NodeOutput(patched, tagged, report, faces, ui=ui.PreviewText(report))


def _from_photos(image, face_models: tuple[str, str] | None) -> Identity:
    """Analyse photos that were connected directly."""
    from ..chibi_avatar.identity.analyze import analyze, empty
    from ..chibi_avatar.identity.stack import load_stack

    if image is None:
        raise IdentityError("connect an identity (Chibi Face Analyze or Chibi Load Identity), or photos to image")
    try:
        stack = load_stack(face_folders(), *(face_models or ("auto", "auto")))
    except (MissingModelError, ImportError) as error:
        return empty(str(error))
    return analyze(to_photos(image), stack)[0]


def _faces(identity: Identity):
    """The aligned crops as an IMAGE batch."""
    import numpy as np

    return to_image(list(identity.crops) or [np.zeros((224, 224, 3), np.uint8)])


async def on_load() -> None:
    """Adapter files live in models/ipadapter."""
    register_model_folder("ipadapter")


NODES: list[type[io.ComfyNode]] = [ChibiIdentityLoader, ChibiApplyIdentity]
