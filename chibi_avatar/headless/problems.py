"""From ComfyUI's validation errors to problems that a person can act on."""

from __future__ import annotations

from typing import Any

from .errors import NodeProblem
from .types import Prompt

FILE_INPUT = ("image_upload", "video_upload", "audio_upload", "file_upload", "model_upload", "upload")
"""Settings that mark an input whose value is an uploaded file."""
MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".onnx", ".gguf")


def title_of(prompt: Prompt, node_id: str) -> str:
    """What a person calls the node: its title, else its class."""
    node = prompt.get(node_id, {})
    title = (node.get("_meta") or {}).get("title") if isinstance(node.get("_meta"), dict) else None
    return str(title or node.get("class_type") or node_id)


def input_specs(info: dict[str, Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Input name → (type or list of options, settings), from one node's ``/object_info`` entry, in order."""
    specs: dict[str, tuple[Any, dict[str, Any]]] = {}
    for group in ("required", "optional"):
        for name, spec in ((info.get("input") or {}).get(group) or {}).items():
            if isinstance(spec, (list, tuple)) and spec:
                specs[name] = (spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {})
    return specs


def options_of(spec: tuple[Any, dict[str, Any]] | None) -> list[Any] | None:
    """The values of a combo input, or None when it is not one."""
    if spec is None:
        return None
    kind, settings = spec
    if isinstance(kind, list):
        return kind
    if kind == "COMBO" and isinstance(settings.get("options"), list):
        return settings["options"]
    return None


def nearest(value: Any, options: list[Any], count: int = 3) -> tuple[Any, ...]:
    """The options most like ``value``: by the whole name, then by the file name alone, letters compared without
    case.
    """
    import difflib

    wanted = str(value).lower()
    by_text = {str(option).lower(): option for option in reversed(options)}
    by_name = {text.replace("\\", "/").rsplit("/", 1)[-1]: option for text, option in by_text.items()}
    found: list[Any] = []
    for table, key in ((by_text, wanted), (by_name, wanted.replace("\\", "/").rsplit("/", 1)[-1])):
        for match in difflib.get_close_matches(key, table, n=count, cutoff=0.45):
            if table[match] not in found:
                found.append(table[match])
    if not found and len(options) <= count:
        found = list(options)
    return tuple(found[:count])


def is_model_value(value: Any) -> bool:
    """Whether a widget value names a model file."""
    return isinstance(value, str) and value.lower().endswith(MODEL_SUFFIXES)


def value_problem(prompt: Prompt, node_id: str, name: str, value: Any, options: list[Any]) -> NodeProblem:
    """The problem of a combo value that is not among its options."""
    return NodeProblem(
        node_id=node_id,
        title=title_of(prompt, node_id),
        class_type=str(prompt.get(node_id, {}).get("class_type", "")),
        type="missing_model" if is_model_value(value) else "value_not_in_list",
        input=name,
        received=value,
        nearest=nearest(value, options),
        available=len(options),
    )


def problems_from_reply(reply: Any, prompt: Prompt, object_info: dict[str, Any]) -> list[NodeProblem]:
    """Every problem in a ``/prompt`` reply (``error`` and ``node_errors``), in the workflow's node order."""
    reply = reply if isinstance(reply, dict) else {}
    found: list[NodeProblem] = []
    node_errors = reply.get("node_errors")
    if isinstance(node_errors, dict):
        order = {node_id: index for index, node_id in enumerate(prompt)}
        for node_id in sorted(node_errors, key=lambda key: order.get(key, len(order))):
            entry = node_errors[node_id] if isinstance(node_errors[node_id], dict) else {}
            for error in entry.get("errors") or []:
                if isinstance(error, dict):
                    found.append(_node_problem(str(node_id), error, prompt, object_info))
    error = reply.get("error")
    if not found and isinstance(error, dict):
        extra = error.get("extra_info") if isinstance(error.get("extra_info"), dict) else {}
        node_id = str(extra.get("node_id") or "")
        found.append(
            NodeProblem(
                node_id=node_id,
                title=title_of(prompt, node_id) if node_id else "",
                class_type=str(extra.get("class_type") or ""),
                type=str(error.get("type", "")),
                details=str(error.get("details") or error.get("message") or ""),
                hint_en=pack_hint(str(extra.get("class_type") or ""), "en")
                if error.get("type") == "missing_node_type"
                else "",
                hint_zh=pack_hint(str(extra.get("class_type") or ""), "zh")
                if error.get("type") == "missing_node_type"
                else "",
            )
        )
    elif not found and error:
        found.append(NodeProblem("", "", "", "error", details=str(error)[:500]))
    return found


def _node_problem(node_id: str, error: dict[str, Any], prompt: Prompt, object_info: dict[str, Any]) -> NodeProblem:
    extra = error.get("extra_info") if isinstance(error.get("extra_info"), dict) else {}
    name, kind = str(extra.get("input_name") or ""), str(error.get("type", ""))
    class_type = str(prompt.get(node_id, {}).get("class_type", ""))
    received = extra.get("received_value", prompt.get(node_id, {}).get("inputs", {}).get(name))
    config = extra.get("input_config")
    spec = input_specs(object_info.get(class_type, {})).get(name)
    settings = (
        config[1]
        if isinstance(config, (list, tuple)) and len(config) > 1 and isinstance(config[1], dict)
        else (spec or (None, {}))[1]
    )
    if kind == "value_not_in_list":
        options = options_of(spec)
        if options is None and isinstance(config, (list, tuple)) and config:
            options = options_of((config[0], settings))
        return value_problem(prompt, node_id, name, received, options or [])
    limit = settings.get("min" if kind == "value_smaller_than_min" else "max")
    missing_file = kind == "custom_validation_failed" and any(settings.get(flag) for flag in FILE_INPUT)
    title = title_of(prompt, node_id)
    return NodeProblem(
        node_id=node_id,
        title=title,
        class_type=class_type,
        type=kind,
        input=name,
        received=received,
        nearest=(limit,) if kind in ("value_smaller_than_min", "value_bigger_than_max") and limit is not None else (),
        details=str(error.get("details") or error.get("message") or ""),
        limit=limit,
        hint_en=f'Send a file of yours: --set "{title}.{name}=FILE", or go without: --mute "{title}"'
        if missing_file
        else "",
        hint_zh=f'发送自己的文件：--set "{title}.{name}=文件"；或不用它：--mute "{title}"' if missing_file else "",
    )


# Packs whose nodes appear in shared chibi workflows, by the beginning of their node names. Only for the "install …"
# line; a workflow's own cnr_id is asked first.
_PACKS: tuple[tuple[str, str], ...] = (
    ("Chibi", "chibi-avatar"),
    ("IPAdapter", "comfyui_ipadapter_plus"),
    ("PrepImageForClipVision", "comfyui_ipadapter_plus"),
    ("InstantID", "comfyui_instantid"),
    ("ApplyInstantID", "comfyui_instantid"),
    ("PulidFlux", "comfyui-pulid-flux"),
    ("ApplyPulid", "pulid_comfyui"),
    ("DWPreprocessor", "comfyui_controlnet_aux"),
    ("OpenposePreprocessor", "comfyui_controlnet_aux"),
    ("LineArtPreprocessor", "comfyui_controlnet_aux"),
    ("DepthAnything", "comfyui_controlnet_aux"),
    ("FaceDetailer", "comfyui-impact-pack"),
    ("UltralyticsDetectorProvider", "comfyui-impact-subpack"),
    ("UltimateSDUpscale", "comfyui_ultimatesdupscale"),
    ("VHS_", "comfyui-videohelpersuite"),
    ("easy ", "comfyui-easy-use"),
    ("ACN_", "comfyui-advanced-controlnet"),
    ("ETN_", "comfyui-tooling-nodes"),
    ("UnetLoaderGGUF", "ComfyUI-GGUF"),
)


def pack_of(class_type: str, cnr_id: str = "") -> str:
    """The registry name of the pack that has a node, or an empty string."""
    if cnr_id and cnr_id != "comfy-core":
        return cnr_id
    return next((pack for start, pack in _PACKS if class_type.startswith(start)), "")


def pack_hint(class_type: str, language: str, cnr_id: str = "") -> str:
    """What to install so that a node exists."""
    pack = pack_of(class_type, cnr_id)
    if cnr_id == "comfy-core":
        return "请更新 ComfyUI：这是它自带的节点" if language == "zh" else "Update ComfyUI: this node is part of it"
    if pack:
        return (
            f"安装节点包 {pack}（ComfyUI Manager，或 comfy node install {pack}）"
            if language == "zh"
            else f"Install the pack {pack} (ComfyUI Manager, or: comfy node install {pack})"
        )
    return (
        "在 ComfyUI Manager 里选择“安装缺失节点”"
        if language == "zh"
        else "Use “Install missing nodes” in ComfyUI Manager"
    )
