"""Make ``workflows/<name>.json`` (canvas) from ``workflows/api/<name>.json`` and ``tools/workflows/<name>.json`` (layout).

ComfyUI's own page builds and serialises the graph, so the file has the shape that the page expects. Run it inside the test
environment::

    python3 -m chibi_avatar test --version   # makes that environment
    <its python> tools/author_workflow.py quickstart [--picture canvas.png]

The layout file holds ``nodes`` (id → ``pos``, ``size``, ``bypassed``, ``collapsed``), ``notes`` and ``groups``.
"""

from __future__ import annotations

import argparse
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from _bootstrap import ROOT, prepare

if TYPE_CHECKING:
    from chibi_testing.frontend import Frontend

BUILD = """async ({api, layout}) => {
    const app = window.app, graph = app.graph, made = {};
    graph.clear();
    for (const [id, entry] of Object.entries(api)) {
        const node = window.LiteGraph.createNode(entry.class_type);
        if (!node) throw new Error(`no node ${entry.class_type}`);
        const place = layout.nodes[id] ?? {};
        node.id = Number(id);
        graph.add(node);
        if (entry._meta?.title) node.title = entry._meta.title;
        node.pos = place.pos ?? [0, 0];
        made[id] = node;
    }
    for (const [id, entry] of Object.entries(api)) {
        for (const [name, value] of Object.entries(entry.inputs)) {
            if (Array.isArray(value)) continue;
            const widget = made[id].widgets?.find(item => item.name === name);
            if (!widget) throw new Error(`${entry.class_type} has no widget ${name}`);
            widget.value = value;
            widget.callback?.(value);
        }
        for (const widget of made[id].widgets ?? [])
            if (widget.name === 'control_after_generate') widget.value = 'fixed';
    }
    for (const [id, entry] of Object.entries(api)) {
        for (const [name, value] of Object.entries(entry.inputs)) {
            if (!Array.isArray(value)) continue;
            const slot = made[id].inputs.findIndex(item => item.name === name);
            if (slot < 0) throw new Error(`${entry.class_type} has no input ${name}`);
            made[value[0]].connect(value[1], made[id], slot);
        }
        const place = layout.nodes[id] ?? {};
        if (place.size) made[id].setSize(place.size); else made[id].setSize(made[id].computeSize());
        if (place.bypassed) made[id].mode = 4;
        if (place.collapsed) made[id].flags.collapsed = true;
        if (place.color) { made[id].color = place.color; made[id].bgcolor = place.bgcolor ?? place.color; }
    }
    for (const note of layout.notes ?? []) {
        const node = window.LiteGraph.createNode('MarkdownNote');
        graph.add(node);
        node.title = note.title;
        node.pos = note.pos;
        node.widgets[0].value = Array.isArray(note.text) ? note.text.join('\\n') : note.text;
        node.setSize(note.size);
        node.color = '#432'; node.bgcolor = '#653';
    }
    for (const group of layout.groups ?? []) {
        const made = new window.LiteGraph.LGraphGroup(group.title);
        made.pos = group.bounding.slice(0, 2);
        made.size = group.bounding.slice(2);
        made.color = group.color ?? '#3f789e';
        graph.add(made);
    }
    return JSON.parse(JSON.stringify(graph.serialize({sortNodes: true})));
}"""


def tidy(graph: dict, name: str) -> dict:
    """The same file whoever makes it: a fixed id, no view position of the author's, packages named for 'missing nodes'."""
    graph["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"chibi-avatar/workflows/{name}"))
    graph["revision"] = 0
    graph["extra"] = {"ds": {"scale": 0.6, "offset": [60, 80]}}
    for node in graph["nodes"]:
        properties = node.setdefault("properties", {})
        for key in list(properties):
            if key not in ("Node name for S&R", "models", "Camera Info", "Scene Config"):
                del properties[key]
        if node["type"].startswith("Chibi"):
            properties["cnr_id"] = "chibi-avatar"
        elif node["type"] not in ("MarkdownNote", "Note"):
            properties["cnr_id"] = "comfy-core"
            properties["ver"] = "0.30.0"
    return graph


def complete(api: dict, frontend: Frontend) -> None:
    """Write the defaults of inputs that the API file leaves out into it, so that both files say the same."""
    frontend.page.evaluate("() => window.app.graph.nodes.forEach(node => { if (node.mode === 4) node.mode = 0; })")
    for key, node in frontend.api_prompt().items():
        for name, value in node["inputs"].items():
            api[key]["inputs"].setdefault(name, value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="the workflow's file name without .json")
    parser.add_argument("--picture", type=Path, help="also save a screenshot of the canvas")
    arguments = parser.parse_args()
    prepare()
    from chibi_testing.frontend import Frontend
    from playwright.sync_api import sync_playwright

    from chibi_avatar.setup import browser
    from chibi_avatar.setup.server import running

    api = json.loads((ROOT / "workflows" / "api" / f"{arguments.name}.json").read_text(encoding="utf-8"))
    layout = json.loads((ROOT / "tools" / "workflows" / f"{arguments.name}.json").read_text(encoding="utf-8"))
    executable = browser.ensure()
    with running() as server, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(executable), args=list(browser.ARGUMENTS), env=browser.launch_environment(executable)
        )
        frontend = Frontend(chromium.new_page(viewport={"width": 1900, "height": 1100}), server)
        graph = tidy(frontend.page.evaluate(BUILD, {"api": api, "layout": layout}), arguments.name)
        complete(api, frontend)
        twin = ROOT / "workflows" / "api" / f"{arguments.name}.json"
        twin.write_text(json.dumps(api, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        target = ROOT / "workflows" / f"{arguments.name}.json"
        target.write_text(json.dumps(graph, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if arguments.picture:
            frontend.load(target)
            frontend.page.wait_for_timeout(1500)
            frontend.page.screenshot(path=str(arguments.picture))
        chromium.close()


if __name__ == "__main__":
    main()
