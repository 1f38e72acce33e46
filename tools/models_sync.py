"""Keep models.yaml's ``used_by`` and the models table for the README in step with the workflows: python -m
tools.models_sync

``--table`` prints the table instead.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from chibi_avatar.headless.files import write_atomically
from chibi_avatar.models import manifest
from chibi_avatar.models.needs import needed, workflow_names

from .workflows.canvas import dump, model_facts

ROOT = Path(__file__).resolve().parents[1]


def used_by() -> dict[str, list[str]]:
    """Entry id → workflows that need its file."""
    found: dict[str, list[str]] = {entry.id: [] for entry in manifest.load()}
    for name in workflow_names(ROOT / "workflows"):
        for need in needed(name)[0]:
            if need.entry is not None:
                found[need.entry.id].append(name)
    return found


def stamp() -> None:
    """Give every loader on every canvas the address, folder and hash that ComfyUI's missing-model window wants."""
    for path in sorted((*ROOT.glob("workflows/*.json"), *ROOT.glob("subgraphs/*.json"))):
        text = path.read_text(encoding="utf-8")
        workflow = json.loads(text)
        for graph in (workflow, *((workflow.get("definitions") or {}).get("subgraphs") or [])):
            for node in graph["nodes"]:
                values = node.get("widgets_values")
                values = values.values() if isinstance(values, dict) else values or []
                models = [entry for entry in map(model_facts, values) if entry]
                if models:
                    node.setdefault("properties", {})["models"] = models
        if json.loads(text) != workflow:
            write_atomically(path, dump(workflow))


def table() -> str:
    """The README's table of models."""
    lines = ["| id | file | size | licence (base) | commercial | used by |", "| --- | --- | --- | --- | --- | --- |"]
    for entry in manifest.load():
        size = entry.size or entry.size_about
        shown = "?" if size is None else f"{'' if entry.size else '~'}{size / 1e6:,.0f} MB"
        licence = entry.license if entry.license == entry.base_license else f"{entry.license} ({entry.base_license})"
        lines.append(
            f"| {entry.id} | `{entry.folder}/{entry.filename}` | {shown} | {licence} | {entry.commercial} |"
            f" {', '.join(entry.used_by) or '–'} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Update models.yaml, or print the table."""
    if "--table" in arguments:
        sys.stdout.write(table())
        return 0
    stamp()
    now = used_by()
    blocks = re.split(r"(?m)^(?=- id: )", manifest.PATH.read_text(encoding="utf-8"))
    for index, block in enumerate(blocks):
        match = re.match(r"- id: (\S+)", block)
        if match:
            names = ", ".join(sorted(now[match[1]]))
            blocks[index] = re.sub(r"(?m)^  used_by: .*$", f"  used_by: [{names}]", block)
    write_atomically(manifest.PATH, "".join(blocks))
    manifest.load.cache_clear()
    manifest.load()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
