"""A canvas workflow or a subgraph blueprint from a compact description; the API twin comes by conversion, so that the two
cannot drift apart.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chibi_avatar import __version__
from chibi_avatar.headless.convert.widgets import shape_of
from chibi_avatar.headless.problems import input_specs, is_model_value
from chibi_avatar.models.manifest import by_filename

COLUMN, GAP = 380, 40
# Nodes that grow by a picture, a form or a viewer, in pixels.
_TALL = {
    "LoadImage": 330, "SaveImage": 360, "PreviewImage": 320, "PreviewAny": 180, "ChibiPromptBuilder": 800,
    "ChibiPosePreset": 370, "ChibiPoseEditor": 440, "ChibiAvatarExport": 850,
}  # fmt: skip


_BYPASSED = 4
FROM_OUTSIDE = -10
"""The id that a subgraph's links give for what comes from outside."""


@dataclass(frozen=True)
class Out:
    """Output ``slot`` of the node called ``key``."""

    key: str
    slot: int


@dataclass(frozen=True)
class Asked:
    """What a blueprint asks for under ``name``: a connection, or a widget that shows ``value`` until somebody changes
    it.
    """

    name: str
    value: Any = None


@dataclass
class Item:
    """One node of a description."""

    key: str
    type: str
    title: str
    inputs: dict[str, Any]
    group: str
    id: int
    depth: int = 0
    mode: int = 0


@dataclass
class Flow:
    """A workflow being described. Call it to add a node; index what it returns to take an output.

    ``f.group = "Title"`` puts the nodes that follow into a group. In a blueprint, :meth:`ask` makes what it takes and
    :meth:`give` what it returns.
    """

    name: str
    object_info: dict[str, Any]
    note: str
    items: dict[str, Item] = field(default_factory=dict)
    group: str = ""
    app: dict[str, list[Any]] | None = None
    asked: dict[str, Asked] = field(default_factory=dict)
    given: dict[str, Out] = field(default_factory=dict)

    def __call__(self, type_: str, title: str = "", **inputs: Any) -> Handle:
        """Add a node. Dots in input names are written as two underscores."""
        if type_ not in self.object_info:
            raise KeyError(f"{self.name}: this server has no node {type_}")
        key = f"{type_}{len(self.items)}"
        values = {name.replace("__", "."): value for name, value in inputs.items()}
        specs = input_specs(self.object_info[type_])
        unknown = [name for name in values if name.split(".")[0] not in specs]
        if unknown:
            raise KeyError(f"{self.name}: {type_} has no input {', '.join(unknown)}")
        shown = title or self.object_info[type_].get("display_name") or type_
        item = Item(key, type_, shown, values, self.group, len(self.items) + 1)
        sources = [self.items[value.key] for value in values.values() if isinstance(value, Out)]
        item.depth = max((source.depth + 1 for source in sources), default=0)
        self.items[key] = item
        return Handle(key)

    def bypass(self, *handles: Handle) -> None:
        """Switch nodes off on the canvas (Ctrl+B switches them on). The API twin has them on."""
        for handle in handles:
            self.items[handle.key].mode = _BYPASSED

    def ask(self, name: str, value: Any = None) -> Asked:
        """An input of this blueprint: give it to a node's input. The same name again is the same input."""
        return self.asked.setdefault(name, Asked(name, value))

    def give(self, name: str, value: Out) -> None:
        """An output of this blueprint."""
        self.given[name] = value

    def as_app(self, inputs: Iterable[tuple[Handle, str]], outputs: Iterable[Handle]) -> None:
        """Let the frontend's App mode show these widgets and outputs as a form."""
        self.app = {
            "inputs": [[self.items[handle.key].id, name] for handle, name in inputs],
            "outputs": [self.items[handle.key].id for handle in outputs],
        }


class Handle:
    """A node in a description; ``handle[1]`` is its second output."""

    def __init__(self, key: str):
        self.key = key

    def __getitem__(self, slot: int) -> Out:
        return Out(self.key, slot)


def canvas(flow: Flow) -> dict[str, Any]:
    """The workflow in canvas format: laid out in columns from left to right, with groups and a note."""
    nodes, links = graph_of(flow)
    note_id = len(nodes) + 1
    groups = _groups(flow, nodes)
    nodes.append(_note(flow.note, note_id))
    extra: dict[str, Any] = {"ds": {"scale": 0.7, "offset": [560, 120]}}
    if flow.app is not None:
        extra["linearData"] = flow.app
    return {
        "id": stable_id(flow.name),
        "revision": 0,
        "last_node_id": note_id,
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": groups,
        "definitions": {"subgraphs": []},
        "config": {},
        "extra": extra,
        "version": 0.4,
    }


def graph_of(flow: Flow) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Nodes with positions, and the links between them."""
    links: list[list[Any]] = []
    nodes = [_node(flow, item, links) for item in flow.items.values()]
    for link in links:
        if link[1] != FROM_OUTSIDE:
            source = nodes[link[1] - 1]["outputs"][link[2]]
            source["links"] = [*(source["links"] or []), link[0]]
    _lay_out(flow, nodes)
    return nodes, links


def stable_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"chibi-avatar/{name}"))


def type_of(flow: Flow, value: Out) -> str:
    kind = flow.object_info[flow.items[value.key].type]["output"][value.slot]
    return "COMBO" if isinstance(kind, list) else kind


def _node(flow: Flow, item: Item, links: list[list[Any]]) -> dict[str, Any]:
    info = flow.object_info[item.type]
    linked = {name: value for name, value in item.inputs.items() if isinstance(value, (Out, Asked))}
    values = {name: value for name, value in item.inputs.items() if not isinstance(value, (Out, Asked))}
    values |= {name: ask.value for name, ask in linked.items() if isinstance(ask, Asked) and ask.value is not None}
    grown = [{"name": name, "type": "*"} for name in linked if name not in input_specs(info)]
    shape = shape_of(info, {"type": item.type, "inputs": grown, "widgets_values": values})
    widgets = {widget.name for widget in shape.widgets if widget.sent}
    inputs = []
    for slot, (name, kind) in enumerate(shape.inputs):
        entry: dict[str, Any] = {"name": name, "type": kind, "link": None}
        if name in widgets:
            entry["widget"] = {"name": name}
        if name in linked:
            source = linked[name]
            if isinstance(source, Out):
                kind = type_of(flow, source)
                origin = (flow.items[source.key].id, source.slot)
            else:
                origin = (FROM_OUTSIDE, list(flow.asked).index(source.name))
            if entry["type"] == "*":
                entry["type"] = kind
            entry["link"] = len(links) + 1
            links.append([len(links) + 1, *origin, item.id, slot, kind])
        inputs.append(entry)
    widget_values = [widget.value for widget in shape.widgets]
    if item.type == "LoadImage":
        widget_values.append("image")
    outputs = [
        {"name": name, "type": "COMBO" if isinstance(kind, list) else kind, "links": None}
        for name, kind in zip(info["output_name"], info["output"], strict=True)
    ]
    own = item.type.startswith("Chibi")
    properties: dict[str, Any] = {
        "Node name for S&R": item.type,
        "cnr_id": "chibi-avatar" if own else "comfy-core",
        "ver": __version__ if own else "0.30.0",
    }
    models = [entry for entry in (model_facts(value) for value in widget_values) if entry]
    if models:
        properties["models"] = models
    return {
        "id": item.id,
        "type": item.type,
        "title": item.title,
        "pos": [0, 0],
        "size": [330, _height(item, shape, outputs, info)],
        "flags": {},
        "order": item.id - 1,
        "mode": item.mode,
        "inputs": inputs,
        "outputs": outputs,
        "properties": properties,
        "widgets_values": widget_values,
    }


def model_facts(value: Any) -> dict[str, Any] | None:
    """What a template says about a model file (``name``, ``url``, ``directory``, hash), or None for any other value."""
    entry = by_filename(value) if is_model_value(value) else None
    if entry is None:
        return None
    from chibi_avatar.models.download import addresses

    urls = [url for source in entry.sources for url in addresses(source)]
    found: dict[str, Any] = {"name": value, "url": urls[0] if urls else entry.homepage, "directory": entry.folder}
    if entry.sha256:
        found |= {"hash": entry.sha256, "hash_type": "SHA256"}
    return found


def _height(item: Item, shape: Any, outputs: list[Any], info: dict[str, Any]) -> int:
    specs = input_specs(info)
    sockets = len(shape.inputs) - sum(1 for w in shape.widgets if w.sent)
    tall = sum(1 for w in shape.widgets if specs.get(w.name, ("", {}))[1].get("multiline"))
    height = 46 + 22 * max(sockets, len(outputs)) + 30 * len(shape.widgets) + 70 * tall
    return max(height, _TALL.get(item.type, 0))


def _lay_out(flow: Flow, nodes: list[dict[str, Any]]) -> None:
    """Groups from left to right; inside a group, columns by depth."""
    left = 0
    for group in dict.fromkeys(item.group for item in flow.items.values()):
        members = [item for item in flow.items.values() if item.group == group]
        columns: dict[int, int] = {}
        for index, depth in enumerate(sorted({item.depth for item in members})):
            columns[depth] = index
        bottoms: dict[int, int] = {}
        for item in members:
            column = columns[item.depth]
            top = bottoms.get(column, 0)
            nodes[item.id - 1]["pos"] = [left + column * COLUMN, top]
            bottoms[column] = top + nodes[item.id - 1]["size"][1] + GAP + 30
        left += len(columns) * COLUMN + 2 * GAP


def _groups(flow: Flow, nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    colors = ("#b06634", "#3f789e", "#8a5a8f", "#4f7d4f", "#8a8a3f")
    found = []
    for index, group in enumerate(dict.fromkeys(item.group for item in flow.items.values() if item.group)):
        own = [nodes[item.id - 1] for item in flow.items.values() if item.group == group]
        x = min(node["pos"][0] for node in own) - 20
        y = min(node["pos"][1] for node in own) - 80
        right = max(node["pos"][0] + node["size"][0] for node in own) + 20
        bottom = max(node["pos"][1] + node["size"][1] for node in own) + 20
        box = {"title": group, "bounding": [x, y, right - x, bottom - y], "color": colors[index % len(colors)]}
        found.append({"id": index + 1, **box, "font_size": 24, "flags": {}})
    return found


def _note(text: str, node_id: int) -> dict[str, Any]:
    return {
        "id": node_id,
        "type": "MarkdownNote",
        "title": "Read me · 说明",
        "pos": [-500, -50],
        "size": [440, 520],
        "flags": {},
        "order": node_id - 1,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [text],
        "color": "#432",
        "bgcolor": "#653",
    }


def dump(value: Any) -> str:
    """JSON as the workflow files are kept."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
