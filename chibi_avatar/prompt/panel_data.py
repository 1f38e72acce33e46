"""What the panel shows: attributes by group with labels in both languages, their options, and the colours. JSON-ready, built once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..character import FIELDS
from .datafiles import load
from .lexicon import lexicon


@lru_cache(maxsize=1)
def panel_data() -> dict[str, Any]:
    """``groups`` → fields (path, type, labels, options) and ``colors``; read by ``web/prompt_panel.js``."""
    lex = lexicon()
    labels = load("labels")
    groups = []
    for group in labels["groups"]:
        fields = []
        for path in group["fields"]:
            field = FIELDS[path]
            en, zh = labels["fields"][path]
            item: dict[str, Any] = {"path": path, "type": field.type, "en": en, "zh": zh}
            slot = lex.entries.get(path, {})
            if field.type == "kind":
                if path.endswith(".pattern"):
                    item["options"] = [
                        {"id": p.id, "en": p.tag, "zh": p.zh[0] if p.zh else p.tag} for p in lex.patterns.values()
                    ]
                else:
                    item["options"] = [
                        {"id": e.id, "en": e.label("en"), "zh": e.label("zh")} for e in slot.values() if e.id != "none"
                    ]
                    if path not in (
                        "hair.style",
                        "outfit.kind",
                        "top.kind",
                        "bottom.kind",
                        "expression",
                        "species",
                        "role",
                    ):
                        item["options"].insert(0, {"id": "none", "en": "none", "zh": "无"})
            elif field.type == "enum":
                item["options"] = [
                    {
                        "id": name,
                        "en": name.replace("_", " "),
                        "zh": slot[name].label("zh")
                        if name in slot and slot[name].zh
                        else labels["values"].get(name, name),
                    }
                    for name in field.options
                ]
            elif field.type == "number":
                item.update(low=field.low, high=field.high)
            fields.append(item)
        groups.append({"id": group["id"], "en": group["en"], "zh": group["zh"], "fields": fields})
    colors = [
        {"name": word.name, "hex": word.hex, "zh": word.zh[0] if word.zh else word.name}
        for word in lex.colors.values()
        if word.family != "rainbow"
    ]
    tones = [{"name": color.name, "hex": color.hex, "zh": color.name} for color in lex.tones.values()]
    return {"version": 1, "groups": groups, "colors": colors, "tones": tones}
