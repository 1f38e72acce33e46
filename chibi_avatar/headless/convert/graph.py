"""A saved canvas as objects: graphs, subgraph definitions, nodes, links. Checks the shapes that the conversion relies
on.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from ..errors import WorkflowError

MUTED, BYPASSED = 2, 4
INPUT_NODE, OUTPUT_NODE = "-10", "-20"
MAX_NODES = 20_000


@dataclass(frozen=True)
class Link:
    """From output ``origin_slot`` of ``origin`` to input ``target_slot`` of ``target``; ids as text."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass
class Node:
    """A node as saved. ``inputs`` in slot order: (name, type, link id or None)."""

    id: str
    type: str
    mode: int
    title: str
    raw: dict[str, Any]
    inputs: list[tuple[str, str, Any]] = field(default_factory=list)
    output_types: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Neither muted nor bypassed."""
        return self.mode not in (MUTED, BYPASSED)


@dataclass
class Graph:
    """The root graph or one subgraph definition."""

    nodes: dict[str, Node]
    links: dict[Any, Link]
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Canvas:
    """A workflow file: the root graph and the subgraphs it uses, by id."""

    root: Graph
    subgraphs: dict[str, Graph]


def parse(workflow: dict[str, Any], path: str = "workflow") -> Canvas:
    """Read a canvas workflow. Raises :class:`WorkflowError` when it is not one."""
    definitions = workflow.get("definitions") if isinstance(workflow.get("definitions"), dict) else {}
    try:
        workflow = _with_unique_ids(workflow, list(definitions.get("subgraphs") or []))
        subgraphs = {str(raw["id"]): _graph(raw, path) for raw in workflow["definitions"]["subgraphs"]}
        return Canvas(_graph(workflow, path), subgraphs)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise WorkflowError(
            path=path,
            reason=f"not a ComfyUI canvas workflow ({type(error).__name__}: {error})",
            reason_zh=f"不是 ComfyUI 画布工作流（{type(error).__name__}: {error}）",
        ) from error


def _with_unique_ids(workflow: dict[str, Any], subgraphs: list[dict[str, Any]]) -> dict[str, Any]:
    """A copy in which no two nodes of root and subgraph definitions share an id, renumbered as the canvas does."""
    workflow = {
        **workflow,
        "definitions": {"subgraphs": copy.deepcopy(subgraphs)},
        "nodes": copy.deepcopy(workflow["nodes"]),
    }
    used = {str(node["id"]) for node in workflow["nodes"]}
    last = int(workflow.get("last_node_id") or (workflow.get("state") or {}).get("lastNodeId") or 0)
    renamed: dict[str, dict[str, int]] = {}
    for graph in workflow["definitions"]["subgraphs"]:
        names = renamed[str(graph["id"])] = {}
        for node in graph["nodes"]:
            key = str(node["id"])
            if key in used:
                last += 1
                while str(last) in used:
                    last += 1
                names[key] = node["id"] = last
            elif key.isdigit():
                last = max(last, int(key))
            used.add(str(node["id"]))
        for link in graph.get("links") or []:
            for end in ("origin_id", "target_id"):
                link[end] = names.get(str(link[end]), link[end])
    for graph in (workflow, *workflow["definitions"]["subgraphs"]):
        for node in graph["nodes"]:
            names = renamed.get(str(node.get("type")), {})
            proxies = (node.get("properties") or {}).get("proxyWidgets")
            for entry in proxies if names and isinstance(proxies, list) else []:
                if isinstance(entry, list) and entry:
                    entry[0] = str(names.get(str(entry[0]), entry[0]))
    return workflow


def _graph(raw: dict[str, Any], path: str) -> Graph:
    if len(raw["nodes"]) > MAX_NODES:
        raise WorkflowError(path=path, reason=f"more than {MAX_NODES} nodes", reason_zh=f"节点超过 {MAX_NODES} 个")
    links: dict[Any, Link] = {}
    for link in raw.get("links") or []:
        if isinstance(link, dict):
            parts = [link["id"], link["origin_id"], link["origin_slot"], link["target_id"], link["target_slot"]]
        elif link is None:
            continue
        else:
            parts = list(link)
        links[parts[0]] = Link(str(parts[1]), int(parts[2]), str(parts[3]), int(parts[4]))
    nodes = [_node(node) for node in raw["nodes"]]
    nodes.sort(key=lambda node: node.raw.get("order") or 0)
    return Graph(
        {node.id: node for node in nodes}, links, list(raw.get("inputs") or []), list(raw.get("outputs") or [])
    )


def _node(raw: dict[str, Any]) -> Node:
    inputs = [
        (str(slot.get("name")), _type(slot.get("type")), slot.get("link"))
        for slot in raw.get("inputs") or []
        if isinstance(slot, dict)
    ]
    outputs = [_type(slot.get("type")) for slot in raw.get("outputs") or [] if isinstance(slot, dict)]
    return Node(
        str(raw["id"]), str(raw["type"]), int(raw.get("mode") or 0), str(raw.get("title") or ""), raw, inputs, outputs
    )


def _type(value: Any) -> str:
    if isinstance(value, list):
        return "COMBO"
    return "*" if value in (None, 0, "") else str(value)


def fits(a: str, b: str) -> bool:
    """Whether an output of type ``a`` may feed an input of type ``b``; ``*`` fits all, commas list alternatives."""
    if a in ("*", "") or b in ("*", ""):
        return True
    return bool(set(a.lower().split(",")) & set(b.lower().split(",")))
