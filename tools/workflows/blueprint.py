"""A subgraph blueprint in the file format of ComfyUI's node library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chibi_avatar import __version__

from .canvas import FROM_OUTSIDE, Flow, graph_of, stable_id, type_of

TO_OUTSIDE = -20


def as_blueprint(flow: Flow, aliases: Iterable[str]) -> dict[str, Any]:
    """A blueprint as ComfyUI keeps it: a canvas with one subgraph node and its definition. The note is its
    description.
    """
    nodes, links = graph_of(flow)
    inside = [
        dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), link, strict=True))
        for link in links
    ]
    inputs = []
    for slot, name in enumerate(flow.asked):
        own = [link for link in inside if (link["origin_id"], link["origin_slot"]) == (FROM_OUTSIDE, slot)]
        inputs.append(
            {
                "id": stable_id(f"{flow.name}/{name}"),
                "name": name,
                "type": own[0]["type"],
                "linkIds": [x["id"] for x in own],
            }
        )
    outputs = []
    for slot, (name, value) in enumerate(flow.given.items()):
        kind = type_of(flow, value)
        source, number = flow.items[value.key].id, len(inside) + 1
        ends = {"origin_id": source, "origin_slot": value.slot, "target_id": TO_OUTSIDE, "target_slot": slot}
        inside.append({"id": number, **ends, "type": kind})
        socket = nodes[source - 1]["outputs"][value.slot]
        socket["links"] = [*(socket["links"] or []), number]
        outputs.append({"id": stable_id(f"{flow.name}/out/{name}"), "name": name, "type": kind, "linkIds": [number]})
    right = max(node["pos"][0] + node["size"][0] for node in nodes)
    definition = {
        "id": stable_id(f"{flow.name}/definition"),
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": len(nodes), "lastLinkId": len(inside), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": flow.name,
        "inputNode": {"id": FROM_OUTSIDE, "bounding": [-260, 0, 160, 40 + 20 * len(inputs)]},
        "outputNode": {"id": TO_OUTSIDE, "bounding": [right + 100, 0, 160, 40 + 20 * len(outputs)]},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": nodes,
        "groups": [],
        "links": inside,
        "extra": {},
        "category": "Chibi Avatar",
        "description": flow.note,
    }
    outer = {
        "id": len(nodes) + 1,
        "type": definition["id"],
        "title": flow.name,
        "pos": [0, 0],
        "size": [340, 60 + 24 * max(len(inputs), len(outputs))],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [_outer_input(entry, nodes, inside) for entry in inputs],
        "outputs": [{"name": entry["name"], "type": entry["type"], "links": []} for entry in outputs],
        "properties": {"proxyWidgets": [], "cnr_id": "chibi-avatar", "ver": __version__},
        "widgets_values": [],
    }
    return {
        "id": stable_id(flow.name),
        "revision": 0,
        "last_node_id": outer["id"],
        "last_link_id": 0,
        "nodes": [outer],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [definition]},
        "extra": {"BlueprintDescription": flow.note, "BlueprintSearchAliases": list(aliases)},
    }


def _outer_input(entry: dict[str, Any], nodes: list[dict[str, Any]], links: list[dict[str, Any]]) -> dict[str, Any]:
    link = next(link for link in links if link["id"] == entry["linkIds"][0])
    inner = nodes[link["target_id"] - 1]["inputs"][link["target_slot"]]
    outer = {"name": entry["name"], "type": entry["type"], "link": None}
    return {**outer, "widget": {"name": entry["name"]}} if "widget" in inner else outer
