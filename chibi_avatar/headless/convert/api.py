"""The conversion itself: walk the canvas, resolve every connection, write API format."""

from __future__ import annotations

import re
import time
from typing import Any

from ..errors import NodeProblem, PromptRejected, WorkflowError
from ..problems import pack_hint
from ..types import Prompt
from .graph import BYPASSED, INPUT_NODE, MUTED, OUTPUT_NODE, Canvas, Graph, Node, fits, parse
from .widgets import Shape, Widget, resolve_choices, shape_of

VIRTUAL = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode", "SetNode", "GetNode"})
_SAVERS = frozenset(
    "SaveImage SaveImageAdvanced SaveSVGNode SaveVideo SaveAnimatedWEBP SaveWEBM SaveAudio SaveAudioMP3 SaveAudioOpus"
    " SaveAudioAdvanced SaveGLB Save3DAdvanced SaveGaussianSplat SavePointCloud SaveAnimatedPNG CLIPSave VAESave"
    " ModelSave LoraSave SaveLatent".split()
)
_MAX_DEPTH = 64

Connection = tuple[str, int]


class _Value:
    """A connection that turned out to be a plain value: a promoted widget of a subgraph."""

    def __init__(self, value: Any):
        self.value = value


Resolved = Connection | _Value | None


def is_canvas(workflow: Any) -> bool:
    """Whether a loaded JSON is a canvas workflow (``nodes`` and ``links``) rather than API format."""
    return isinstance(workflow, dict) and isinstance(workflow.get("nodes"), list) and "links" in workflow


def convert(
    workflow: dict[str, Any],
    object_info: dict[str, Any],
    path: str = "workflow",
    now: time.struct_time | None = None,
) -> Prompt:
    """API format of a canvas workflow. ``now`` is the time for ``%date:…%`` in file names.

    Raises :class:`WorkflowError` for a broken file or nodes that feed each other in a circle, :class:`PromptRejected`
    naming every node that the server does not have, with the pack to install.
    """
    canvas = parse(workflow, path)
    root = _Scope(canvas, canvas.root, (), None, None, object_info, path)
    root.now = now
    missing = [problem for scope in root.walk() for problem in scope.missing()]
    if missing:
        raise PromptRejected(missing, url=path)
    prompt: Prompt = {}
    for scope in root.walk():
        scope.write(prompt)
    for node in prompt.values():
        for name, value in list(node["inputs"].items()):
            if isinstance(value, list) and value[0] not in prompt:
                del node["inputs"][name]
    return prompt


class _Scope:
    """One graph in one place: the root, or a subgraph definition as used by one node."""

    def __init__(
        self,
        canvas: Canvas,
        graph: Graph,
        node_path: tuple[str, ...],
        parent: _Scope | None,
        host: Node | None,
        object_info: dict[str, Any],
        file: str,
    ):
        if len(node_path) > _MAX_DEPTH:
            raise WorkflowError(path=file, reason="a subgraph contains itself", reason_zh="子图包含了自身")
        self.canvas, self.graph, self.path, self.parent, self.host = canvas, graph, node_path, parent, host
        self.info, self.file = object_info, file
        self.now: time.struct_time | None = None
        self.overrides: dict[tuple[str, str], Any] = {}
        self.shapes: dict[str, Shape] = {}
        self.children: dict[str, _Scope] = {}
        for node in graph.nodes.values():
            if node.type in canvas.subgraphs:
                inner = canvas.subgraphs[node.type]
                self.children[node.id] = _Scope(canvas, inner, (*node_path, node.id), self, node, object_info, file)
            elif node.type in object_info:
                shape = self.shapes[node.id] = shape_of(object_info[node.type], node.raw)
                links = {name: link for name, _, link in node.inputs}
                node.inputs = [(name, kind, links.get(name)) for name, kind in shape.inputs]
        self.promoted: dict[str, Any] = {}
        if host is not None:
            self._promote(host)

    def walk(self, all_nodes: bool = False):
        """This scope and those inside its active subgraph nodes."""
        yield self
        for node_id, child in self.children.items():
            if all_nodes or self.graph.nodes[node_id].active:
                yield from child.walk(all_nodes)

    def missing(self) -> list[NodeProblem]:
        """The active nodes that the server does not have."""
        found = []
        for node in self.graph.nodes.values():
            if not node.active or node.type in VIRTUAL or node.id in self.children or node.id in self.shapes:
                continue
            properties = node.raw.get("properties") if isinstance(node.raw.get("properties"), dict) else {}
            pack = str(properties.get("cnr_id") or properties.get("aux_id") or "")
            found.append(
                NodeProblem(
                    node_id=":".join((*self.path, node.id)),
                    title=node.title or node.type,
                    class_type=node.type,
                    type="missing_node_type",
                    hint_en=pack_hint(node.type, "en", pack),
                    hint_zh=pack_hint(node.type, "zh", pack),
                )
            )
        return found

    # --- widgets -----------------------------------------------------------------------------------------------------

    def widget(self, node_id: str, name: str) -> Widget | None:
        """A node's widget by name."""
        shape = self.shapes.get(node_id)
        return next((w for w in shape.widgets if w.name == name), None) if shape else None

    def value(self, node: Node, widget: Widget) -> Any:
        """A widget's value, a primitive or a promoted value counting more than its own."""
        if (node.id, widget.name) in self.overrides:
            return self.overrides[node.id, widget.name]
        link = next((link for name, _, link in node.inputs if name == widget.name and link is not None), None)
        origin = self.graph.nodes.get(self.graph.links[link].origin) if link in self.graph.links else None
        if origin is not None and origin.type == "PrimitiveNode" and origin.mode not in (MUTED, BYPASSED):
            return self._primitive(origin, widget.value)
        return widget.value

    def _primitive(self, node: Node, default: Any) -> Any:
        if (node.id, "value") in self.overrides:
            return self.overrides[node.id, "value"]
        values = node.raw.get("widgets_values")
        return values[0] if isinstance(values, list) and values else default

    def _promote(self, host: Node) -> None:
        """Find which inputs of this subgraph are promoted widgets and what the host node sets them to."""
        sources: dict[str, tuple[str, str]] = {}
        for index, slot in enumerate(self.graph.inputs):
            found = self._source(index)
            if found is not None:
                name = str(slot.get("name"))
                sources[name], self.promoted[name] = found[0], found[1]
        properties = host.raw.get("properties") if isinstance(host.raw.get("properties"), dict) else {}
        values = host.raw.get("widgets_values")
        values = values if isinstance(values, list) else []
        for name, value in zip(sources, values, strict=False):
            if value is not None:
                self.promoted[name] = value
        proxies = properties.get("proxyWidgets")
        for index, entry in enumerate(proxies if isinstance(proxies, list) else []):
            if isinstance(entry, list) and len(entry) >= 2 and index < len(values) and values[index] is not None:
                self._apply_proxy(str(entry[0]), str(entry[1]), values[index], sources)

    def _source(self, index: int) -> tuple[tuple[str, str], Any] | None:
        """The inner widget that subgraph input ``index`` stands for, and its value."""
        for link in self.graph.links.values():
            if link.origin != INPUT_NODE or link.origin_slot != index:
                continue
            node = self.graph.nodes.get(link.target)
            if node is None:
                continue
            name = self._target_name(node, link.target_slot, index)
            if name is None:
                continue
            child = self.children.get(node.id)
            if child is not None:
                if name in child.promoted:
                    return (node.id, name), child.promoted[name]
                continue
            widget = self.widget(node.id, name)
            if widget is not None and widget.sent:
                return (node.id, name), widget.value
        return None

    def _target_name(self, node: Node, slot: int, index: int) -> str | None:
        for name, _, link in node.inputs:
            if link in self.graph.links:
                found = self.graph.links[link]
                if (found.origin, found.origin_slot, found.target_slot) == (INPUT_NODE, index, slot):
                    return name
        return None

    def _apply_proxy(self, node_id: str, name: str, value: Any, sources: dict[str, tuple[str, str]]) -> None:
        """An entry of the older ``proxyWidgets`` list: the host shows a widget from inside, with a value of its own."""
        linked = next((key for key, source in sources.items() if source == (node_id, name)), None)
        if linked is None:
            bare = re.sub(r"^(\s*\d+\s*:\s*)+", "", name)
            linked = next((key for key, source in sources.items() if source == (node_id, bare)), None)
            name = bare if linked is None and self.widget(node_id, name) is None else name
        if linked is not None:
            self.promoted[linked] = value
        elif node_id in self.children:
            child = self.children[node_id]
            if name in child.promoted:
                child.promoted[name] = value
        elif node_id in self.graph.nodes and not name.startswith("$$"):
            self.overrides[node_id, name] = value

    # --- connections -------------------------------------------------------------------------------------------------

    def resolve_input(self, node: Node, slot: int, kind: str, seen: frozenset) -> Resolved:
        """What feeds input ``slot`` of ``node``: an output of a node that runs, a promoted value, or nothing."""
        key = (self.path, node.id, slot)
        if key in seen:
            raise WorkflowError(
                path=self.file,
                reason=f"nodes feed each other in a circle (node #{':'.join((*self.path, node.id))})",
                reason_zh=f"节点首尾相连成环（节点 #{':'.join((*self.path, node.id))}）",
            )
        seen = seen | {key}
        link = self.graph.links.get(node.inputs[slot][2]) if slot < len(node.inputs) else None
        if link is None:
            return None
        if link.origin == INPUT_NODE:
            return self._from_outside(link.origin_slot, kind, seen)
        origin = self.graph.nodes.get(link.origin)
        return self.resolve_output(origin, link.origin_slot, kind, seen) if origin else None

    def _from_outside(self, index: int, kind: str, seen: frozenset) -> Resolved:
        if self.parent is None or self.host is None or index >= len(self.graph.inputs):
            return None
        name = str(self.graph.inputs[index].get("name"))
        slot = next((i for i, (n, _, _) in enumerate(self.host.inputs) if n == name), None)
        if slot is None or self.parent.graph.links.get(self.host.inputs[slot][2]) is None:
            return _Value(self.promoted[name]) if name in self.promoted else None
        return self.parent.resolve_input(self.host, slot, kind, seen)

    def resolve_output(self, node: Node, slot: int, kind: str, seen: frozenset) -> Resolved:
        """The node that really makes output ``slot`` of ``node``, or nothing."""
        if node.mode == MUTED:
            return None
        if node.mode == BYPASSED:
            index = _bypass(node, slot, kind)
            return self.resolve_input(node, index, node.inputs[index][1], seen) if index is not None else None
        child = self.children.get(node.id)
        if child is not None:
            for link in child.graph.links.values():
                if link.target == OUTPUT_NODE and link.target_slot == slot:
                    if link.origin == INPUT_NODE:
                        return child._from_outside(link.origin_slot, kind, seen)
                    inner = child.graph.nodes.get(link.origin)
                    return child.resolve_output(inner, link.origin_slot, kind, seen) if inner else None
            return None
        if node.type == "GetNode":
            setter = self._setter(node)
            return self.resolve_input(setter, 0, kind, seen) if setter else None
        if node.type in VIRTUAL:
            return self.resolve_input(node, slot, kind, seen) if node.type in ("Reroute", "SetNode") else None
        return ":".join((*self.path, node.id)), slot

    def _setter(self, getter: Node) -> Node | None:
        name = (getter.raw.get("widgets_values") or [None])[0]
        return next(
            (
                n
                for n in self.graph.nodes.values()
                if n.type == "SetNode" and (n.raw.get("widgets_values") or [None])[0] == name
            ),
            None,
        )

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, prompt: Prompt) -> None:
        """Add this scope's own active nodes to the prompt."""
        for node in self.graph.nodes.values():
            if not node.active or node.id not in self.shapes:
                continue
            inputs: dict[str, Any] = {}
            for widget in self.shapes[node.id].widgets:
                if widget.sent:
                    value = self.value(node, widget)
                    if widget.choices and isinstance(value, str) and (node.id, widget.name) not in self.overrides:
                        value = resolve_choices(value)
                    if widget.name == "filename_prefix" and node.type in _SAVERS and isinstance(value, str):
                        value = self._fill_in(value)
                    inputs[widget.name] = _wrapped(value, widget.curve)
            for slot, (name, kind, link) in enumerate(node.inputs):
                if link is None:
                    continue
                found = self.resolve_input(node, slot, kind, frozenset())
                if isinstance(found, _Value):
                    inputs[name] = _wrapped(found.value)
                elif found is not None:
                    inputs[name] = list(found)
            info = self.info[node.type]
            title = node.title or info.get("display_name") or node.type
            prompt[":".join((*self.path, node.id))] = {
                "class_type": node.type,
                "inputs": inputs,
                "_meta": {"title": title},
            }

    def _fill_in(self, text: str) -> str:
        """``%date:yyyy-MM-dd%`` and ``%Node.widget%`` in a file name, as the canvas does."""
        root = self
        while root.parent is not None:
            root = root.parent
        nodes = [(scope, node) for scope in root.walk(all_nodes=True) for node in scope.graph.nodes.values()]

        def fill(match: re.Match[str]) -> str:
            name, dot, widget_name = match[1].partition(".")
            if match[1].startswith("date:"):
                return _date(match[1][5:], root.now or time.localtime())
            if not dot or "." in widget_name:
                return match[0]
            named = [(s, n) for s, n in nodes if (n.raw.get("properties") or {}).get("Node name for S&R") == name]
            named = named or [(s, n) for s, n in nodes if n.title == name]
            if not named:
                return match[0]
            scope, node = named[0]
            widget = scope.widget(node.id, widget_name)
            if widget is None:
                return match[0]
            value = scope.value(node, widget)
            shown = str(value).lower() if isinstance(value, bool) else "" if value is None else f"{value}"
            return re.sub(r'[/?<>\\:*|"\x00-\x1f\x7f]', "_", shown)

        return re.sub(r"%([^%]+)%", fill, text)


def _bypass(node: Node, slot: int, kind: str) -> int | None:
    """Which input a bypassed node passes on to output ``slot``."""
    if kind in ("*", ""):
        return slot if len(node.inputs) > slot else 0 if node.inputs else None
    out = node.output_types[slot] if slot < len(node.output_types) else "*"
    if slot < len(node.inputs) and fits(node.inputs[slot][1], out) and fits(node.inputs[slot][1], kind):
        return slot
    exact = next((i for i, (_, t, _) in enumerate(node.inputs) if t == kind), None)
    if exact is not None:
        return exact
    return next((i for i, (_, t, _) in enumerate(node.inputs) if fits(t, out) and fits(t, kind)), None)


def _wrapped(value: Any, curve: bool = False) -> Any:
    if not isinstance(value, list):
        return value
    return {"__type__": "CURVE", "__value__": value} if curve else {"__value__": value}


def _date(pattern: str, now: time.struct_time) -> str:
    parts = {"d": now.tm_mday, "M": now.tm_mon, "h": now.tm_hour, "m": now.tm_min, "s": now.tm_sec}

    def one(match: re.Match[str]) -> str:
        text = match[0]
        if text == "yyyy":
            return f"{now.tm_year}"
        if text == "yy":
            return f"{now.tm_year % 100:02d}"
        return f"{parts[text[0]]:0{len(text)}d}"

    return re.sub(r"yyyy|yy|MM?|dd?|hh?|mm?|ss?", one, pattern)
