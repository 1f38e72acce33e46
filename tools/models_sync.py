"""Keep models.yaml's ``used_by``, the templates' model addresses and the READMEs' table in step: python -m
tools.models_sync
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


HEADS = {
    "README.md": "| id | file | size | licence (base) | commercial use | used by |",
    "README.zh.md": "| id | 文件 | 大小 | 许可（基础模型） | 商用 | 用于 |",
}
_BEGIN, _END = "<!-- models: python -m tools.models_sync -->\n", "<!-- end of models -->"


def table(page: str) -> str:
    """The table of models for a README."""
    lines = [HEADS[page], "| --- | --- | --- | --- | --- | --- |"]
    for entry in manifest.load():
        size = entry.size or entry.size_about
        shown = "?" if size is None else f"{'' if entry.size else '~'}{size / 1e6:,.0f} MB"
        licence = entry.license if entry.license == entry.base_license else f"{entry.license} ({entry.base_license})"
        proof = "" if entry.verified else ", *unverified*"
        lines.append(
            f"| {entry.id} | `{entry.folder}/{entry.filename}` | {shown}{proof} | {licence} | {entry.commercial} |"
            f" {', '.join(entry.used_by) or '–'} |"
        )
    return "\n".join(lines) + "\n"


def with_table(page: str, text: str) -> str:
    """A README's text with the table as it should be."""
    before, rest = text.split(_BEGIN)
    return f"{before}{_BEGIN}{table(page)}{_END}{rest.split(_END, 1)[1]}"


def main() -> int:
    """Update models.yaml, the canvases and the READMEs."""
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
    for page in HEADS:
        text = (ROOT / page).read_text(encoding="utf-8")
        write_atomically(ROOT / page, with_table(page, text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
