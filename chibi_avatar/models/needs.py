"""Which model files a workflow asks for, read from the workflow itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..headless.problems import is_model_value
from ..headless.workflow import find, load
from ..tiny import weights
from .manifest import Entry, by_filename, by_id

LOADERS: dict[tuple[str, str], str] = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("LoraLoader", "lora_name"): "loras",
    ("LoraLoaderModelOnly", "lora_name"): "loras",
    ("ControlNetLoader", "control_net_name"): "controlnet",
    ("DiffControlNetLoader", "control_net_name"): "controlnet",
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("VAELoader", "vae_name"): "vae",
    ("CLIPLoader", "clip_name"): "text_encoders",
    ("DualCLIPLoader", "clip_name1"): "text_encoders",
    ("DualCLIPLoader", "clip_name2"): "text_encoders",
    ("UNETLoader", "unet_name"): "diffusion_models",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
}


_FACES, _FACES_RESEARCH = ("yunet", "sface"), ("scrfd-10g", "arcface-w600k-r50")
_POSES = ("blazepose-detector", "blazepose-landmarks", "mediapipe-hands", "mediapipe-face-mesh")
# Files that a node looks for by itself, without a widget that names them: ids in models.yaml.
IMPLIED: dict[str, tuple[str, ...]] = {
    "ChibiFaceAnalyze": _FACES,
    "ChibiFaceModels": _FACES,
    "ChibiPoseFromImage": _POSES,
}


_OURS = frozenset(Path(name).name for name in weights.FILES.values())  # in this repository: nothing to find


@dataclass(frozen=True)
class Need:
    """A file that a node of a workflow asks for: which folder it belongs in (empty if unknown) and its entry, if there
    is one.
    """

    filename: str
    folder: str
    node: str
    entry: Entry | None


def needed(workflow: str | Path | dict[str, Any]) -> tuple[list[Need], list[str]]:
    """The model files of a workflow (canvas or API format, given as value, path or built-in name) and those without an
    entry: what loaders name, and what nodes look for by themselves (face and pose detectors).
    """
    if not isinstance(workflow, dict):
        workflow = load(find(workflow))
    found = list({need.filename: need for need in (*from_nodes(workflow), *implied(workflow))}.values())
    return found, [need.filename for need in found if need.entry is None]


def from_nodes(workflow: dict[str, Any]) -> list[Need]:
    """The files that active nodes of a loaded workflow name in their widgets."""
    needs: list[Need] = []
    if "nodes" in workflow:
        graphs = [workflow, *((workflow.get("definitions") or {}).get("subgraphs") or [])]
        for graph in graphs:
            for node in graph["nodes"]:
                if node.get("mode") in (2, 4):
                    continue
                values = node.get("widgets_values")
                declared = {
                    m.get("name"): m.get("directory", "") for m in (node.get("properties") or {}).get("models") or []
                }
                for value in values.values() if isinstance(values, dict) else values or []:
                    if _asked_for(value):
                        needs.append(_need(value, str(declared.get(value, "")), str(node.get("type"))))
        return needs
    for node in workflow.values():
        for key, value in node["inputs"].items():
            if _asked_for(value):
                needs.append(_need(value, LOADERS.get((node["class_type"], key), ""), node["class_type"]))
    return needs


def implied(workflow: dict[str, Any]) -> list[Need]:
    """The files that active nodes of a loaded workflow look for by themselves."""
    if "nodes" in workflow:
        graphs = [workflow, *((workflow.get("definitions") or {}).get("subgraphs") or [])]
        active = [node for graph in graphs for node in graph["nodes"] if node.get("mode") not in (2, 4)]
        nodes = [(str(node.get("type")), node.get("widgets_values")) for node in active]
    else:
        nodes = [(node["class_type"], node["inputs"]) for node in workflow.values()]
    needs = []
    for kind, values in nodes:
        ids = IMPLIED.get(kind, ())
        chosen = values.values() if isinstance(values, dict) else values or []
        if ids is _FACES and "research" in [value for value in chosen if isinstance(value, str)]:
            ids = _FACES_RESEARCH
        entries = [entry for entry in map(by_id, ids) if entry is not None]
        needs += [Need(entry.filename, entry.folder, kind, entry) for entry in entries]
    return needs


def _asked_for(value: Any) -> bool:
    return is_model_value(value) and value not in _OURS


def _need(value: str, folder: str, node: str) -> Need:
    entry = by_filename(value)
    return Need(value, entry.folder if entry else folder, node, entry)


def workflow_names(folder: Path) -> list[str]:
    """The names of the workflows in a folder: its API twins and canvas files."""
    return sorted({path.stem for path in (*folder.glob("*.json"), *folder.glob("api/*.json")) if _is_workflow(path)})


def _is_workflow(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False
