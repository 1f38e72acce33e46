"""The spine: a Character says who the avatar is, and every room reads or writes it.

A Character is an immutable map from field paths (``"hair.color"``) to values, with evidence for each field: where it came from
and how sure that source was. Unset fields are absent; :meth:`Character.resolve` fills them with defaults for drawing.

Values by field type:

=======  ==========================================================================================
type     value
=======  ==========================================================================================
kind     canonical snake_case identifier, open vocabulary, ``"none"`` means "certainly without"
enum     one of the field's options
color    :class:`Color` (sRGB hex plus a name)
flag     bool
number   float inside the field's range
text     str, at most 200 characters
tags     tuple of str (free English tags kept for the prompt)
=======  ==========================================================================================
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 1
MAX_JSON_BYTES = 256 * 1024

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9_]{0,47}\Z")
_HEX = re.compile(r"#[0-9a-f]{6}\Z")
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class CharacterError(ValueError):
    """A Character, or JSON that claims to be one, is not valid. The message names the field and the fix."""


@dataclass(frozen=True)
class Color:
    """A colour: ``hex`` is lower-case sRGB ``#rrggbb``; ``name`` is a canonical English name or empty."""

    hex: str
    name: str = ""

    @property
    def rgb(self) -> tuple[float, float, float]:
        """sRGB components in 0..1."""
        return tuple(int(self.hex[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


@dataclass(frozen=True)
class Field:
    """What a path may hold. ``default`` is used by :meth:`Character.resolve` (None: stays absent)."""

    type: str
    default: Any = None
    options: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0


def _color(hex_value: str, name: str) -> Color:
    return Color(hex_value, name)


def _worn(slot: str, default_kind: str | None = None, color: Color | None = None) -> dict[str, Field]:
    """A garment or accessory slot: what it is, its two colours, its pattern."""
    return {
        f"{slot}.kind": Field("kind", default_kind),
        f"{slot}.color": Field("color", color),
        f"{slot}.color2": Field("color"),
        f"{slot}.pattern": Field("kind"),
    }


# Order is the order of the JSON, of forms and of reports. Add at the end of a group; never rename (contracts, design §3).
FIELDS: dict[str, Field] = {
    "name": Field("text"),
    "presentation": Field("enum", "androgynous", ("feminine", "masculine", "androgynous")),
    "age_look": Field("enum", None, ("youthful", "adult", "elder")),
    "species": Field("kind"),
    "role": Field("kind"),
    "proportions.heads": Field("number", 2.5, low=1.8, high=7.0),
    "proportions.build": Field("enum", "average", ("slim", "average", "chubby")),
    "face.shape": Field("enum", "round", ("round", "oval", "heart", "square")),
    "skin.color": Field("color", _color("#fbdcc8", "light")),
    "hair.style": Field("kind", "bob"),
    "hair.length": Field("enum", None, ("very_short", "short", "medium", "long", "very_long")),
    "hair.bangs": Field("kind", "full"),
    "hair.texture": Field("enum", "straight", ("straight", "wavy", "curly", "spiky", "messy")),
    "hair.ahoge": Field("flag", False),
    "hair.color": Field("color", _color("#5b3a2e", "brown")),
    "hair.color2": Field("color"),
    "hair.coloring": Field("enum", "solid", ("solid", "two_tone", "gradient", "streaked", "inner")),
    "eyes.style": Field("kind", "round"),
    "eyes.color": Field("color", _color("#6b4632", "brown")),
    "eyes.color_right": Field("color"),
    "brows.style": Field("kind", "soft"),
    "face.blush": Field("flag", True),
    "face.freckles": Field("flag", False),
    "face.mole": Field("flag", False),
    "face.fang": Field("flag", False),
    "face.beard": Field("kind", "none"),
    "face.marking": Field("kind"),
    "expression": Field("kind", "smile"),
    "outfit.kind": Field("kind", "tshirt_shorts"),
    "outfit.color": Field("color"),
    "outfit.color2": Field("color"),
    "outfit.pattern": Field("kind"),
    **_worn("top"),
    **_worn("bottom"),
    **_worn("dress"),
    **_worn("outer"),
    **_worn("neck"),
    **_worn("legwear"),
    **_worn("shoes"),
    **_worn("gloves"),
    **_worn("glasses", "none"),
    **_worn("hat", "none"),
    **_worn("hair_ornament"),
    **_worn("animal_ears", "none"),
    **_worn("horns", "none"),
    **_worn("halo", "none"),
    **_worn("wings", "none"),
    **_worn("tail", "none"),
    **_worn("earrings"),
    **_worn("headphones", "none"),
    **_worn("bag", "none"),
    **_worn("mask"),
    **_worn("belt"),
    **_worn("held"),
    "pose.name": Field("kind"),
    "pose.framing": Field("enum", None, ("portrait", "upper_body", "cowboy_shot", "full_body")),
    "pose.view": Field("enum", None, ("front", "three_quarter", "side", "back")),
    "scene.background": Field("kind"),
    "scene.color": Field("color"),
    "scene.time": Field("kind"),
    "style.render": Field("kind"),
    "extra": Field("tags"),
}
# Right and left are the character's own, as in anatomy: eyes.color is the left eye's (and both eyes' when color_right is absent).

SOURCES = ("default", "seed", "photo", "preset", "words", "widget")
_RANK = {name: rank for rank, name in enumerate(SOURCES)}


@dataclass(frozen=True)
class Evidence:
    """Where a value came from (one of :data:`SOURCES`, weakest first) and how sure that source was, 0..1."""

    source: str = "widget"
    confidence: float = 1.0


def parse_color(value: Any, where: str = "color") -> Color:
    """Accept a :class:`Color`, ``"#rrggbb"``/``"#rgb"`` or ``{"hex": …, "name": …}``. Raises :class:`CharacterError`."""
    name = ""
    if isinstance(value, Color):
        value, name = value.hex, value.name
    elif isinstance(value, Mapping):
        name = value.get("name", "")
        value = value.get("hex")
    if isinstance(value, str):
        value = value.strip().lower()
        if re.fullmatch(r"#[0-9a-f]{3}", value):
            value = "#" + "".join(c * 2 for c in value[1:])
        if _HEX.match(value) and isinstance(name, str) and len(name) <= 48:
            return Color(value, _NOT_PRINTABLE.sub("", name))
    raise CharacterError(f"{where}: expected a colour such as '#f4a7c0', got {str(value)[:40]!r}")


def _checked(path: str, value: Any) -> Any:
    field = FIELDS.get(path)
    if field is None:
        group = path.split(".")[0]
        near = [p for p in FIELDS if p.split(".")[0] == group]
        hint = f"; known there: {', '.join(near)}" if near else ""
        raise CharacterError(f"{path[:60]!r} is not a Character field{hint}")
    if field.type == "color":
        return parse_color(value, path)
    if field.type == "flag":
        if not isinstance(value, bool):
            raise CharacterError(f"{path}: expected true or false, got {str(value)[:40]!r}")
        return value
    if field.type == "number":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not field.low <= value <= field.high:
            raise CharacterError(
                f"{path}: expected a number from {field.low:g} to {field.high:g}, got {str(value)[:40]!r}"
            )
        return float(value)
    if field.type == "tags":
        if isinstance(value, str) or not isinstance(value, (list, tuple)) or len(value) > 200:
            raise CharacterError(f"{path}: expected a list of at most 200 short texts")
        return tuple(_text(path, item) for item in value)
    if field.type == "text":
        return _text(path, value)
    if not isinstance(value, str) or not _IDENTIFIER.match(value):
        raise CharacterError(f"{path}: expected a lower_case_identifier, got {str(value)[:40]!r}")
    if field.type == "enum" and value not in field.options:
        raise CharacterError(f"{path}: {value!r} is not one of {', '.join(field.options)}")
    return value


def _text(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise CharacterError(f"{path}: expected text, got {type(value).__name__}")
    return _NOT_PRINTABLE.sub("", value).strip()[:200]


class Character(Mapping[str, Any]):
    """An immutable Character. Reads like a mapping from field path to value; unset fields are absent."""

    __slots__ = ("_evidence", "_values")

    def __init__(self, values: Mapping[str, Any] | None = None, evidence: Mapping[str, Evidence] | None = None) -> None:
        """Validate ``values`` (path → value). Fields without an entry in ``evidence`` count as chosen by hand."""
        given = {path: _checked(path, value) for path, value in (values or {}).items() if value is not None}
        self._values: dict[str, Any] = {path: given[path] for path in FIELDS if path in given}
        known = evidence or {}
        self._evidence: dict[str, Evidence] = {path: known.get(path, Evidence()) for path in self._values}
        for path, item in self._evidence.items():
            if item.source not in _RANK or not 0.0 <= item.confidence <= 1.0:
                raise CharacterError(
                    f"{path}: evidence {item} needs a source of {', '.join(SOURCES)} and a confidence from 0 to 1"
                )

    def __getitem__(self, path: str) -> Any:
        return self._values[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Character) and self._values == other._values and self._evidence == other._evidence

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return f"Character({self._values!r})"

    def __str__(self) -> str:
        """The JSON that API users can post back; ComfyUI's Preview as Text shows it."""
        return self.to_json(indent=2)

    def evidence(self, path: str) -> Evidence | None:
        """Where the value of ``path`` came from, or None when it is unset."""
        return self._evidence.get(path)

    def having(self, changes: Mapping[str, Any], source: str = "widget", confidence: float = 1.0) -> Character:
        """A copy with ``changes`` set, whatever was there before. A value of None unsets the field."""
        values = {**self._values, **changes}
        return Character(values, {**self._evidence, **{path: Evidence(source, confidence) for path in changes}})

    def merge(self, other: Character) -> Character:
        """Field by field, the value with the stronger evidence: first by source, then by confidence, then ``other``'s."""
        values, evidence = dict(self._values), dict(self._evidence)
        for path, value in other._values.items():
            theirs = other._evidence[path]
            mine = evidence.get(path)
            if mine is None or (_RANK[theirs.source], theirs.confidence) >= (_RANK[mine.source], mine.confidence):
                values[path], evidence[path] = value, theirs
        return Character(values, evidence)

    def resolve(self) -> Character:
        """A copy in which every field with a default is set; what was unset is marked as coming from ``default``."""
        filled = {
            path: field.default
            for path, field in FIELDS.items()
            if field.default is not None and path not in self._values
        }
        return Character(
            {**self._values, **filled}, {**self._evidence, **{path: Evidence("default", 0.0) for path in filled}}
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready nested form: groups by the first part of the path, evidence beside."""
        out: dict[str, Any] = {"chibi_character": SCHEMA_VERSION}
        for path, value in self._values.items():
            if isinstance(value, Color):
                value = {"hex": value.hex, "name": value.name}
            elif isinstance(value, tuple):
                value = list(value)
            group, _, leaf = path.partition(".")
            if leaf:
                out.setdefault(group, {})[leaf] = value
            else:
                out[group] = value
        out["evidence"] = {
            path: {"source": item.source, "confidence": round(item.confidence, 4)}
            for path, item in self._evidence.items()
        }
        return out

    def to_json(self, indent: int | None = None) -> str:
        """Canonical JSON: the same Character gives the same bytes on every machine."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent, allow_nan=False)

    def digest(self) -> str:
        """sha256 (hex) of the values alone: two Characters that look the same have the same digest, whatever the evidence."""
        body = self.to_dict()
        del body["evidence"]
        return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @classmethod
    def from_dict(cls, data: Any) -> Character:
        """Read the nested form. Raises :class:`CharacterError` for unknown fields, wrong values or a newer version."""
        if not isinstance(data, Mapping):
            raise CharacterError(f"a Character is a JSON object, got {type(data).__name__}")
        version = data.get("chibi_character")
        if isinstance(version, bool) or not isinstance(version, int):
            raise CharacterError("not a Character: the key 'chibi_character' with its version number is missing")
        if version > SCHEMA_VERSION:
            raise CharacterError(
                f"this Character has version {version}, this pack reads up to {SCHEMA_VERSION}: update Chibi Avatar"
            )
        values: dict[str, Any] = {}
        for group, value in data.items():
            if group in ("chibi_character", "evidence"):
                continue
            if isinstance(value, Mapping) and group not in FIELDS:
                values.update({f"{group}.{leaf}": item for leaf, item in value.items()})
            else:
                values[group] = value
        evidence: dict[str, Evidence] = {}
        raw = data.get("evidence", {})
        if not isinstance(raw, Mapping):
            raise CharacterError("evidence: expected an object from field to {source, confidence}")
        for path, item in raw.items():
            source = item.get("source") if isinstance(item, Mapping) else None
            confidence = item.get("confidence", 1.0) if isinstance(item, Mapping) else None
            if not isinstance(source, str) or isinstance(confidence, bool) or not isinstance(confidence, (int, float)):
                raise CharacterError(f"evidence of {str(path)[:60]}: expected {{source, confidence}}")
            evidence[path] = Evidence(source, float(confidence))
        return cls(values, evidence)

    @classmethod
    def from_json(cls, text: str) -> Character:
        """Read JSON text of at most 256 KB. Raises :class:`CharacterError`."""
        if len(text) > MAX_JSON_BYTES:
            raise CharacterError(f"Character JSON is {len(text)} characters long; the limit is {MAX_JSON_BYTES}")
        try:
            return cls.from_dict(json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            raise CharacterError(f"Character JSON cannot be read: {error}") from error

    @classmethod
    def coerce(cls, value: Any) -> Character:
        """A Character from a Character, its JSON text or its dictionary, as nodes accept on ``CHIBI_CHARACTER`` inputs."""
        if isinstance(value, Character):
            return value
        if isinstance(value, str):
            return cls.from_json(value)
        return cls.from_dict(value)
