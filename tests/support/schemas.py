"""The contract of every node as plain data: what other people's workflows and scripts hang on."""

from __future__ import annotations

from typing import Any


def contracts(object_info: dict[str, Any]) -> dict[str, Any]:
    """Node id → category, inputs in order (name, type, required, default, options) and outputs in order (name, type)."""
    return {
        name: {
            "category": info["category"],
            "inputs": [_input(key, spec, section == "required") for section, key, spec in _inputs(info)],
            "outputs": [list(pair) for pair in zip(info["output_name"], info["output"], strict=True)],
        }
        for name, info in sorted(object_info.items())
        if name.startswith("Chibi")
    }


def _inputs(info: dict[str, Any]):
    for section in ("required", "optional"):
        for name in info["input_order"].get(section, []):
            yield section, name, info["input"][section][name]


def _input(name: str, spec: list[Any], required: bool) -> dict[str, Any]:
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    choices = kind if isinstance(kind, list) else options.get("options")
    out: dict[str, Any] = {"name": name, "type": "COMBO" if isinstance(kind, list) else kind, "required": required}
    if "default" in options:
        out["default"] = options["default"]
    # Lists of files differ from machine to machine; built-in choices are part of the contract.
    if choices and all(isinstance(choice, str) and "." not in choice for choice in choices):
        out["choices"] = choices
    return out


def breaks(frozen: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """What would break somebody's saved workflow. Additions at the end with a default are fine."""
    problems = []
    for node, old in frozen.items():
        new = current.get(node)
        if new is None:
            problems.append(f"{node} is gone")
            continue
        names = [item["name"] for item in old["inputs"]]
        now = {item["name"]: item for item in new["inputs"]}
        if [item["name"] for item in new["inputs"] if item["name"] in set(names)] != names:
            problems.append(f"{node}: inputs renamed, removed or reordered (were {names})")
            continue
        for item in old["inputs"]:
            if now[item["name"]]["type"] != item["type"]:
                problems.append(f"{node}.{item['name']}: type {item['type']} became {now[item['name']]['type']}")
            if item.get("choices") == ["none"]:
                continue  # a list of the person's own files, which was empty when it was frozen
            if gone := set(item.get("choices", ())) - set(now[item["name"]].get("choices", ())):
                problems.append(f"{node}.{item['name']}: choices gone: {sorted(gone)}")
        for item in new["inputs"]:
            if item["name"] not in names and item["required"] and "default" not in item:
                problems.append(f"{node}.{item['name']}: a new required input without a default")
        if new["outputs"][: len(old["outputs"])] != old["outputs"]:
            problems.append(f"{node}: outputs {old['outputs']} became {new['outputs']}")
    return problems
