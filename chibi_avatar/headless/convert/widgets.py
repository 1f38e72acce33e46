"""Which widgets a node has, in the order in which a saved workflow lists their values."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from ..problems import input_specs

WIDGET_TYPES = frozenset(
    "INT FLOAT BOOLEAN STRING COMBO MARKDOWN COLOR BOUNDING_BOX CHART GALLERIA PAINTER TEXTAREA CURVE RANGE"
    " BOUNDING_BOXES COLORS IMAGECOMPARE LOAD_3D LOAD_3D_ANIMATION PREVIEW_3D WEBCAM AUDIO_RECORD AUDIO_UI".split()
)
DYNAMIC_COMBO, AUTOGROW, MATCH_TYPE = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3", "COMFY_MATCHTYPE_V3"
_NUMBERED_SEEDS = ("seed", "noise_seed")
# Inputs that the canvas itself adds to core nodes for its 3D viewers; they are saved and sent like any other.
_CANVAS_INPUTS: dict[str, dict[str, tuple[Any, dict[str, Any]]]] = {
    "SaveGLB": {"image": ("PREVIEW_3D", {})},
    "Preview3D": {"image": ("PREVIEW_3D", {})},
    "Load3DAdvanced": {"viewport_state": ("LOAD_3D", {})},
}


@dataclass
class Widget:
    """A widget's name and value.

    ``sent`` is False for those that only steer the canvas (what to do with a seed after a run); ``choices`` marks texts
    in which ``{a|b}`` means one of them.
    """

    name: str
    value: Any
    sent: bool = True
    curve: bool = False
    choices: bool = False


@dataclass(frozen=True)
class Shape:
    """A node as the canvas builds it: its inputs in slot order as (name, type) and its widgets in order."""

    inputs: tuple[tuple[str, str], ...]
    widgets: tuple[Widget, ...]


def shape_of(info: dict[str, Any], saved: dict[str, Any]) -> Shape:
    """The sockets and widgets of a saved node, its saved values filled in.

    ``info`` is the node's ``/object_info`` entry, ``saved`` the node in the workflow file. Values that the file lacks
    get the defaults; values of sockets that used to be widgets are skipped.
    """
    specs = _ordered(info)
    saved_inputs = {str(slot.get("name")): slot for slot in saved.get("inputs") or [] if isinstance(slot, dict)}
    values = saved.get("widgets_values")
    named = values if isinstance(values, dict) else None
    queue = _Values(_without_forced(specs, saved_inputs, values) if isinstance(values, list) else [], named)
    sockets: list[tuple[str, str]] = []
    widget_inputs: list[tuple[str, str]] = []
    widgets: list[Widget] = []
    for name, spec in specs.items():
        if spec[0] == "IMAGECOMPARE":
            widgets.append(Widget(name, ["", ""]))
        elif _is_widget(spec, saved_inputs.get(name)):
            _add_widget(name, spec, queue, widgets, widget_inputs, saved_inputs)
        else:
            _add_socket(name, spec, queue, widgets, sockets, saved_inputs)
    if saved.get("type") == "CustomCombo":
        _add_options(queue, widgets)
    known = {name for name, _ in (*sockets, *widget_inputs)}
    extra = [(name, _type_name(slot.get("type"))) for name, slot in saved_inputs.items() if name not in known]
    return Shape((*sockets, *widget_inputs, *extra), tuple(widgets))


class _Values:
    """The saved values, taken one by one; by name where the file has names."""

    def __init__(self, values: list[Any], named: dict[str, Any] | None):
        self._values, self._named, self._next = values, named, 0

    def take(self, name: str, default: Any) -> Any:
        if self._named is not None:
            return self._named.get(name, default)
        if self._next >= len(self._values):
            return default
        self._next += 1
        return self._values[self._next - 1]


def _ordered(info: dict[str, Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    specs = input_specs(info)
    order = [name for group in ("required", "optional") for name in (info.get("input_order") or {}).get(group) or []]
    specs |= _CANVAS_INPUTS.get(str(info.get("name")), {})
    return {name: specs[name] for name in [*[n for n in order if n in specs], *[n for n in specs if n not in order]]}


def _add_options(queue: _Values, widgets: list[Widget]) -> None:
    """The options that a person typed into core's Custom Combo, and the number of the chosen one."""
    index = Widget("index", queue.take("index", -1))
    widgets.append(index)
    options: list[Any] = []
    while not options or options[-1]:
        options.append(queue.take(f"option{len(options) + 1}", ""))
        widgets.append(Widget(f"option{len(options)}", options[-1]))
    index.value = options.index(widgets[0].value) if widgets[0].value in options else -1


def _kind(spec: tuple[Any, dict[str, Any]]) -> str:
    kind, settings = spec
    if isinstance(kind, list):
        return "COMBO"
    return str(settings.get("widgetType") or kind)


def _type_name(value: Any) -> str:
    return "COMBO" if isinstance(value, list) else str(value if value is not None else "*")


def _is_widget(spec: tuple[Any, dict[str, Any]], saved: dict[str, Any] | None) -> bool:
    kind, settings = _kind(spec), spec[1]
    if settings.get("forceInput"):
        return False
    if kind in WIDGET_TYPES or kind == DYNAMIC_COMBO or settings.get("widgetType"):
        return True
    return bool(
        saved and isinstance(saved.get("widget"), dict) and kind not in (AUTOGROW, MATCH_TYPE) and "," not in kind
    )


def default_of(spec: tuple[Any, dict[str, Any]]) -> Any:
    """The value that a fresh widget shows."""
    kind, settings = spec
    if "default" in settings:
        return settings["default"]
    options = kind if isinstance(kind, list) else settings.get("options")
    if _kind(spec) == DYNAMIC_COMBO:
        return next((option.get("key") for option in options or [] if isinstance(option, dict)), None)
    if _kind(spec) == "COMBO":
        if settings.get("multiselect") or settings.get("multi_select"):
            return []
        if settings.get("remote"):
            return "Loading..."
        return options[0] if options else None
    return {"INT": 0, "FLOAT": 0, "BOOLEAN": False, "STRING": "", "COLOR": "#000000", "PREVIEW_3D": ""}.get(_kind(spec))


def _add_widget(
    name: str,
    spec: tuple[Any, dict[str, Any]],
    queue: _Values,
    widgets: list[Widget],
    inputs: list[tuple[str, str]],
    saved_inputs: dict[str, Any],
) -> None:
    kind, settings = _kind(spec), spec[1]
    value = queue.take(name, default_of(spec))
    widgets.append(Widget(name, value, curve=kind == "CURVE", choices=bool(settings.get("dynamicPrompts"))))
    if not settings.get("socketless"):
        inputs.append((name, _type_name(spec[0])))
    control = settings.get("control_after_generate", name in _NUMBERED_SEEDS if kind == "INT" else False)
    if control and kind in ("INT", "COMBO"):
        # Its default only matters to the canvas; the value is never sent.
        label = control if isinstance(control, str) else "control_after_generate"
        widgets.append(Widget(label, queue.take(label, "fixed"), sent=False))
    if kind == DYNAMIC_COMBO:
        for key, sub in _chosen(settings, value).items():
            if _is_widget(sub, saved_inputs.get(f"{name}.{key}")):
                _add_widget(f"{name}.{key}", sub, queue, widgets, inputs, saved_inputs)
            else:
                _add_socket(f"{name}.{key}", sub, queue, widgets, inputs, saved_inputs)


def _chosen(settings: dict[str, Any], key: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    for option in settings.get("options") or []:
        if isinstance(option, dict) and option.get("key") == key:
            return input_specs({"input": option.get("inputs") or {}})
    return {}


def _add_socket(
    name: str,
    spec: tuple[Any, dict[str, Any]],
    queue: _Values,
    widgets: list[Widget],
    sockets: list[tuple[str, str]],
    saved_inputs: dict[str, Any],
) -> None:
    if spec[0] != AUTOGROW:
        kind = _type_name((saved_inputs.get(name) or {}).get("type") if spec[0] == MATCH_TYPE else spec[0])
        sockets.append((name, kind))
        return
    template = input_specs(spec[1].get("template") or {})
    for slot_name, slot in saved_inputs.items():
        if not slot_name.startswith(f"{name}."):
            continue
        sockets.append((slot_name, _type_name(slot.get("type"))))
        if isinstance(slot.get("widget"), dict) and template:
            inner = next(iter(template.values()))
            if _is_widget(inner, None):
                widgets.append(Widget(slot_name, queue.take(slot_name, default_of(inner))))


def _without_forced(
    specs: dict[str, tuple[Any, dict[str, Any]]], saved_inputs: dict[str, Any], values: list[Any]
) -> list[Any]:
    """Leave out the dummy values that old canvases saved for inputs which are sockets today."""
    flags: list[bool] = []
    for name, spec in specs.items():
        forced = bool(spec[1].get("forceInput"))
        if forced or _is_widget(spec, saved_inputs.get(name)):
            flags.append(forced)
            if spec[1].get("control_after_generate"):
                flags.append(False)
    if any(flags) and len(flags) == len(values):
        return [value for value, forced in zip(values, flags, strict=True) if not forced]
    return values


def resolve_choices(text: str) -> str:
    """``{a|b}`` → one of them, C-style comments out, ``\\{`` → ``{``. The canvas draws anew each time; here the text
    decides.
    """
    text = re.sub(r"/\*[\s\S]*?\*/|//.*", "", text)
    if not re.search(r"[{}\\]", text):
        return text
    draw = random.Random(text)

    def choose(body: str) -> str:
        options, depth, start, i = [], 0, 0, 0
        while i < len(body):
            if body[i] == "\\":
                i += 1
            elif body[i] == "{":
                depth += 1
            elif body[i] == "}":
                depth -= 1
            elif body[i] == "|" and not depth:
                options.append(body[start:i])
                start = i + 1
            i += 1
        options.append(body[start:])
        return expand(draw.choice(options))

    def expand(part: str) -> str:
        out, i = "", 0
        while i < len(part):
            if part[i] == "\\":
                out += part[i : i + 2]
                i += 2
                continue
            if part[i] != "{":
                out += part[i]
                i += 1
                continue
            depth, end = 1, i + 1
            while end < len(part) and depth:
                if part[end] == "\\":
                    end += 1
                elif part[end] in "{}":
                    depth += 1 if part[end] == "{" else -1
                end += 1
            closed = depth == 0
            out += choose(part[i + 1 : end - 1 if closed else end])
            i = end
        return out

    return re.sub(r"\\([{}|])", r"\1", expand(text))
