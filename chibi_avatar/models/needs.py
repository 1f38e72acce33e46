"""Which model files a workflow asks for, read from the workflow itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..headless.problems import is_model_value
from ..headless.workflow import find, load
from .manifest import Entry, by_filename
from .manifest import load as manifest

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
    entry.

    Entries that list the workflow in ``used_by`` count too: files that no loader names, such as face detectors.
    """
    name = ""
    if not isinstance(workflow, dict):
        path = find(workflow)
        name, workflow = path.stem, load(path)
    needs = {need.filename: need for need in from_nodes(workflow)}
    known = {need.entry.id for need in needs.values() if need.entry is not None}
    for entry in manifest():
        if name and name in entry.used_by and entry.id not in known:
            needs[entry.filename] = Need(entry.filename, entry.folder, "", entry)
    found = list(needs.values())
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
                    if is_model_value(value):
                        needs.append(_need(value, str(declared.get(value, "")), str(node.get("type"))))
        return needs
    for node in workflow.values():
        for key, value in node["inputs"].items():
            if is_model_value(value):
                needs.append(_need(value, LOADERS.get((node["class_type"], key), ""), node["class_type"]))
    return needs


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
