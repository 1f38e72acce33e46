"""Old face workflows: the reference pack's FaceID nodes are offered ours in their place, and two small nodes stand in for its loaders."""

from __future__ import annotations

from dataclasses import replace as copy_with
from typing import Any

import folder_paths
from comfy_api.latest import ComfyAPI, io

from ..chibi_avatar.identity.adapter_file import read_adapter
from ..chibi_avatar.identity.errors import IdentityError
from ..chibi_avatar.identity.stack import PROFILES
from .types import ChibiIdentityAdapter

CATEGORY = "Chibi Avatar/Identity"
FaceModels = io.Custom("CHIBI_FACE_MODELS")

# Published file names by preset and family; any of the endings may be there.
PRESETS = {
    "FACEID": {"sd15": "ip-adapter-faceid_sd15", "sdxl": "ip-adapter-faceid_sdxl"},
    "FACEID PLUS - SD1.5 only": {"sd15": "ip-adapter-faceid-plus_sd15"},
    "FACEID PLUS V2": {"sd15": "ip-adapter-faceid-plusv2_sd15", "sdxl": "ip-adapter-faceid-plusv2_sdxl"},
    "FACEID PORTRAIT (style transfer)": {
        "sd15": "ip-adapter-faceid-portrait-v11_sd15",
        "sdxl": "ip-adapter-faceid-portrait_sdxl",
    },
    "FACEID PORTRAIT UNNORM - SDXL only (strong)": {"sdxl": "ip-adapter-faceid-portrait_sdxl_unnorm"},
    "PLUS FACE": {"sd15": "ip-adapter-plus-face_sd15", "sdxl": "ip-adapter-plus-face_sdxl_vit-h"},
}
_VARIANTS = {
    "FACEID": "faceid",
    "FACEID PLUS - SD1.5 only": "faceid_plus",
    "FACEID PLUS V2": "faceid_plus_v2",
    "FACEID PORTRAIT (style transfer)": "portrait",
    "FACEID PORTRAIT UNNORM - SDXL only (strong)": "portrait_unnorm",
    "PLUS FACE": "plus_face",
}


def family_of(model) -> str:
    """``sd15`` or ``sdxl`` by the width of the text a model attends to."""
    width = model.model.model_config.unet_config.get("context_dim")
    if width not in (768, 2048):
        raise IdentityError(
            f"this model attends to text of width {width}: face adapters exist for SD1.5 (768) and SDXL (2048)"
        )
    return "sd15" if width == 768 else "sdxl"


def preset_file(preset: str, family: str) -> str:
    """The adapter file of a preset among the files of models/ipadapter. Raises :class:`IdentityError` naming what to download."""
    name = PRESETS[preset].get(family)
    if name is None:
        raise IdentityError(f"the preset {preset!r} does not exist for {family}: choose another, or another checkpoint")
    for file in folder_paths.get_filename_list("ipadapter"):
        if file.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0] == name:
            return file
    places = ", ".join(folder_paths.get_folder_paths("ipadapter"))
    raise IdentityError(
        f"{name}.bin (or .safetensors) is not in {places}: download it from h94/IP-Adapter-FaceID and put it there"
    )


class ChibiFaceModels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiFaceModels",
            display_name="Chibi Face Models",
            category=CATEGORY,
            description="Choose the face models and the device that Chibi Apply Identity uses when a photo is connected to it directly.",
            search_aliases=["insightface loader", "face models", "provider", "人脸模型"],
            inputs=[
                io.Combo.Input(
                    "profile",
                    options=list(PROFILES),
                    default="auto",
                    tooltip="clean: free for any use. research: insightface, for FaceID. auto: research where its files are.",
                ),
                io.Combo.Input(
                    "device", options=["auto", "cpu"], default="auto", tooltip="Where the research models run."
                ),
            ],
            outputs=[FaceModels.Output(display_name="face_models", tooltip="For face_models of Chibi Apply Identity.")],
        )

    @classmethod
    def execute(cls, profile: str, device: str) -> io.NodeOutput:
        return io.NodeOutput((profile, device))


class ChibiIdentityPreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiIdentityPreset",
            display_name="Chibi Identity Preset",
            category=CATEGORY,
            description="Load the adapter of a preset that fits the model's family, by its published file name in models/ipadapter.",
            search_aliases=["unified loader", "ipadapter unified loader", "faceid preset", "身份预设"],
            inputs=[
                io.Model.Input("model", tooltip="Decides between the SD1.5 and the SDXL file; passes through."),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="PLUS FACE",
                    tooltip="Kind of adapter. PLUS FACE is free for any use.",
                ),
                io.Float.Input(
                    "lora_strength",
                    default=0.8,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Strength of the adapter's LoRA; it is put on the model here and not a second time later.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the adapter's LoRA."),
                ChibiIdentityAdapter.Output(display_name="adapter", tooltip="For Chibi Apply Identity."),
            ],
        )

    @classmethod
    def execute(cls, model, preset: str, lora_strength: float) -> io.NodeOutput:
        from .identity_apply import add_lora, check_model

        path = folder_paths.get_full_path_or_raise("ipadapter", preset_file(preset, family_of(model)))
        adapter = read_adapter(path, _VARIANTS[preset])
        check_model(model, adapter)
        patched = model.clone()
        add_lora(patched, adapter, lora_strength)
        return io.NodeOutput(patched, copy_with(adapter, lora={}))


def _same(*names: str) -> list[dict[str, Any]]:
    return [{"new_id": name, "old_id": name} for name in names]


_APPLY = [
    *_same("model", "weight", "weight_type", "start_at", "end_at", "embeds_scaling"),
    {"new_id": "adapter", "old_id": "ipadapter"},
]
_OPTIONAL = {"mask": "attn_mask", "clip_vision": "clip_vision"}


def replacements() -> list[io.NodeReplace]:
    """Old node → our node, for canvas and API graphs alike."""
    optional = [{"new_id": new, "old_id": old} for new, old in _OPTIONAL.items()]
    face = [
        *_APPLY,
        {"new_id": "image", "old_id": "image"},
        {"new_id": "structure", "old_id": "weight_faceidv2"},
        *optional,
        {"new_id": "face_models", "old_id": "insightface"},
    ]
    face_widgets = [
        "weight",
        "weight_faceidv2",
        "weight_type",
        "combine_embeds",
        "start_at",
        "end_at",
        "embeds_scaling",
    ]
    face_outputs = [{"old_idx": 0, "new_idx": 0}, {"old_idx": 1, "new_idx": 3}]
    return [
        *(
            io.NodeReplace("ChibiApplyIdentity", old, face_widgets, face, face_outputs)
            for old in ("IPAdapterFaceID", "IPAAdapterFaceIDBatch")
        ),
        io.NodeReplace(
            "ChibiIdentityPreset",
            "IPAdapterUnifiedLoaderFaceID",
            ["preset", "lora_strength", "provider"],
            _same("model", "preset", "lora_strength"),
            [{"old_idx": 0, "new_idx": 0}, {"old_idx": 1, "new_idx": 1}],
        ),
        io.NodeReplace(
            "ChibiFaceModels",
            "IPAdapterInsightFaceLoader",
            ["provider", "model_name"],
            [{"new_id": "profile", "set_value": "auto"}, {"new_id": "device", "set_value": "auto"}],
            [{"old_idx": 0, "new_idx": 0}],
        ),
        io.NodeReplace(
            "ChibiIdentityLoader",
            "IPAdapterModelLoader",
            ["ipadapter_file"],
            [{"new_id": "adapter_name", "old_id": "ipadapter_file"}],
            [{"old_idx": 0, "new_idx": 0}],
        ),
        io.NodeReplace(
            "ChibiFaceAnalyze",
            "IPAdapterEncoder",
            ["weight"],
            [
                {"new_id": "image", "old_id": "image"},
                {"new_id": "choose", "set_value": "largest_centered"},
                {"new_id": "index", "set_value": 0},
            ],
            [{"old_idx": 0, "new_idx": 0}],
        ),
        io.NodeReplace(
            "ChibiApplyIdentity",
            "IPAdapterEmbeds",
            ["weight", "weight_type", "start_at", "end_at", "embeds_scaling"],
            [*_APPLY, {"new_id": "identity", "old_id": "pos_embed"}, *optional],
            [{"old_idx": 0, "new_idx": 0}],
        ),
    ]


def take_over(body: dict[str, Any]) -> dict[str, Any]:
    """Replace the reference pack's nodes in a posted graph, where that pack is not installed.

    ComfyUI's own replacement step needs every mapped input to be there and loses links between two replaced nodes, so ours comes first.
    """
    import nodes

    prompt = body.get("prompt")
    if not isinstance(prompt, dict):
        return body
    offered = {item.old_node_id: item for item in replacements() if item.old_node_id not in nodes.NODE_CLASS_MAPPINGS}
    moved: dict[str, dict[int, int]] = {}
    for number, node in prompt.items():
        item = offered.get(node.get("class_type")) if isinstance(node, dict) else None
        if item is None or not isinstance(node.get("inputs"), dict):
            continue
        old, node["inputs"] = node["inputs"], {}
        for entry in item.input_mapping or ():
            if "set_value" in entry:
                node["inputs"][entry["new_id"]] = entry["set_value"]
            elif entry["old_id"] in old:
                node["inputs"][entry["new_id"]] = old[entry["old_id"]]
        node["class_type"] = item.new_node_id
        moved[number] = {entry["old_idx"]: entry["new_idx"] for entry in item.output_mapping or ()}
    for node in prompt.values() if moved else ():
        for value in (node.get("inputs") or {}).values() if isinstance(node, dict) else ():
            if isinstance(value, list) and len(value) == 2 and value[0] in moved:
                value[1] = moved[value[0]].get(value[1], value[1])
    return body


async def on_load() -> None:
    """Offer the replacements, and take over graphs posted over the API."""
    api = ComfyAPI()
    for item in replacements():
        await api.node_replacement.register(item)
    from server import PromptServer

    if getattr(PromptServer, "instance", None) is not None:
        PromptServer.instance.add_on_prompt_handler(take_over)


NODES: list[type[io.ComfyNode]] = [ChibiFaceModels, ChibiIdentityPreset]
