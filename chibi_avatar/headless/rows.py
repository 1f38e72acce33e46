"""Rows of a batch: from CSV, JSON Lines, JSON, YAML, a folder of photos, or a grid of values."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..textfile import read_text
from .errors import InputError
from .files import IMAGE_SUFFIXES, safe_name

MAX_ROWS = 1_000_000
MAX_BYTES = 512 << 20
# Of a file name's 180 bytes; the rest is for the output's own name.
MAX_ID_CHARACTERS, MAX_ID_BYTES = 80, 100
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\n', re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One row: ``id`` names its results and is safe as the beginning of a file name; ``values`` by column."""

    id: str
    values: dict[str, Any]


def load_rows(source: str | Path) -> list[Row]:
    """The rows of a file or folder.

    A folder gives one row per picture with columns ``photo`` and ``name``. YAML and JSON may hold a list of mappings,
    or a mapping with ``rows`` and/or ``grid`` (column → list of values; every combination becomes a row, times the
    rows). Column ``id`` names a row (with a number behind it for each combination of a grid); without it, rows are
    numbered. Raises :class:`InputError`.
    """
    path = Path(source)
    if path.is_dir():
        photos = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
        return _named([{"photo": str(photo.resolve()), "name": photo.stem} for photo in photos], path, id_column="name")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(reason=f"{path} is larger than 512 MB", reason_zh=f"{path} 超过 512 MB")
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise InputError(
            reason=f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8",
            reason_zh=f"{path} 不是 UTF-8 编码（第 {error.start} 字节）；请另存为 UTF-8",
        ) from error
    except OSError as error:
        raise InputError(
            reason=f"cannot read {path}: {error.strerror}", reason_zh=f"无法读取 {path}：{error.strerror}"
        ) from error
    reader = {
        ".csv": _csv,
        ".tsv": _csv,
        ".jsonl": _jsonl,
        ".ndjson": _jsonl,
        ".json": _json,
        ".yaml": _yaml,
        ".yml": _yaml,
    }
    if path.suffix.lower() not in reader:
        raise InputError(
            reason=f"{path}: rows come from .csv, .tsv, .jsonl, .json, .yaml or a folder of pictures",
            reason_zh=f"{path}：行数据可来自 .csv、.tsv、.jsonl、.json、.yaml 或图片文件夹",
        )
    return _named(reader[path.suffix.lower()](text, path), path)


def _named(values: Iterable[dict[str, Any]], path: Path, id_column: str = "id") -> list[Row]:
    values = list(values)
    if not values:
        raise InputError(reason=f"{path} has no rows", reason_zh=f"{path} 没有任何行")
    if len(values) > MAX_ROWS:
        raise InputError(reason=f"{path} has more than {MAX_ROWS} rows", reason_zh=f"{path} 超过 {MAX_ROWS} 行")
    digits = max(4, len(str(len(values))))
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(values, 1):
        given = row.get(id_column)
        name = _id("" if given is None else str(given)) or f"{number:0{digits}d}"
        key = name.casefold()
        if key in seen and id_column == "id":
            raise InputError(
                reason=f"{path}: rows {seen[key]} and {number} have the same id {name!r}",
                reason_zh=f"{path}：第 {seen[key]} 行和第 {number} 行的 id 相同：{name!r}",
            )
        stem, suffix = name, number
        while name.casefold() in seen:
            name, suffix = f"{stem}-{suffix}", suffix + 1
        seen[name.casefold()] = number
        rows.append(Row(name, row))
    return rows


def _id(given: str) -> str:
    """The id as the beginning of a file name; a long one is cut and told apart by a hash of the whole."""
    name = safe_name(given.strip().replace("/", "_"), fallback="").strip(". ")
    if len(name) <= MAX_ID_CHARACTERS and len(name.encode()) <= MAX_ID_BYTES:
        return name
    mark = "-" + hashlib.sha256(given.strip().encode("utf-8", "replace")).hexdigest()[:8]
    short = name[: MAX_ID_CHARACTERS - len(mark)].encode()[: MAX_ID_BYTES - len(mark)].decode(errors="ignore")
    return short.rstrip(". ") + mark


def _filled(line: list[str]) -> list[str]:
    """A line without the empty cells at its end, which spreadsheets add."""
    while line and not line[-1].strip():
        line.pop()
    return line


def _csv(text: str, path: Path) -> list[dict[str, Any]]:
    # Excel's own line in front of the table: sep=;
    said = _SEPARATOR_LINE.match(text)
    text, above = (text[said.end() :], 1) if said else (text, 0)
    head = text.partition("\n")[0]
    delimiter = said[1] if said else "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=head.count)
    csv.field_size_limit(1 << 24)
    table = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        lines = [(table.line_num + above, filled) for line in table if (filled := _filled(line))]
    except csv.Error as error:
        number = table.line_num + above
        raise InputError(
            reason=f"{path}, line {number}: {error}", reason_zh=f"{path} 第 {number} 行：{error}"
        ) from error
    if not lines:
        return []
    columns = [name.strip() for name in lines[0][1]]
    if len(set(columns)) != len(columns) or not all(columns):
        raise InputError(
            reason=f"{path}: column names must be there and differ: {', '.join(columns)}",
            reason_zh=f"{path}：列名必须存在且互不相同：{'、'.join(columns)}",
        )
    for number, line in lines[1:]:
        if len(line) > len(columns):
            raise InputError(
                reason=f"{path}, line {number}: {len(line)} cells for {len(columns)} columns; quote texts",
                reason_zh=f"{path} 第 {number} 行：{len(line)} 个单元格，只有 {len(columns)} 列；含逗号的文字请加引号",
            )
    # An empty cell means: leave the workflow's own value.
    return [{name: cell for name, cell in zip(columns, line, strict=False) if cell.strip()} for _, line in lines[1:]]


def _jsonl(text: str, path: Path) -> list[dict[str, Any]]:
    rows = []
    # Not splitlines: JSON strings may hold U+2028 and U+0085 as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(
                reason=f"{path}, line {number}: not JSON ({error})",
                reason_zh=f"{path} 第 {number} 行：不是 JSON（{error}）",
            ) from error
        rows.append(_mapping(value, path, number))
    return rows


def _json(text: str, path: Path) -> list[dict[str, Any]]:
    try:
        return _structured(json.loads(text), path)
    except ValueError as error:
        raise InputError(reason=f"{path}: not JSON ({error})", reason_zh=f"{path}：不是 JSON（{error}）") from error


def _yaml(text: str, path: Path) -> list[dict[str, Any]]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Leaves dates as the text that stands there."""

        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    try:
        return _structured(yaml.load(text, Loader), path)
    except yaml.YAMLError as error:
        raise InputError(reason=f"{path}: not YAML ({error})", reason_zh=f"{path}：不是 YAML（{error}）") from error


def _structured(value: Any, path: Path) -> list[dict[str, Any]]:
    grid: dict[str, Any] = {}
    rows: Any = value
    if isinstance(value, dict):
        unknown = set(value) - {"rows", "grid"}
        if unknown or not value:
            raise InputError(
                reason=f"{path}: expected rows and/or grid, found {', '.join(map(str, value)) or 'nothing'}",
                reason_zh=f"{path}：应有 rows 和/或 grid，得到 {'、'.join(map(str, value)) or '空'}",
            )
        grid, rows = value.get("grid") or {}, value.get("rows", [{}])
    if not isinstance(rows, list) or not isinstance(grid, dict):
        raise InputError(reason=f"{path}: rows must be a list of mappings", reason_zh=f"{path}：rows 必须是映射的列表")
    rows = [_mapping(row, path, number) for number, row in enumerate(rows, 1)]
    axes = [
        [(str(name), _plain(item)) for item in (items if isinstance(items, list) else [items])]
        for name, items in grid.items()
    ]
    total = len(rows)
    for axis in axes:
        total *= len(axis)
    if total > MAX_ROWS:
        raise InputError(
            reason=f"{path}: the grid has {total} combinations", reason_zh=f"{path}：网格有 {total} 种组合"
        )
    combinations = [dict(combination) for combination in itertools.product(*axes)]
    return [combined for row in rows for combined in _multiplied(row, combinations)]


def _multiplied(row: dict[str, Any], combinations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row times the combinations of a grid; an id that comes out several times gets numbers."""
    found = [{**row, **combination} for combination in combinations]
    times = Counter(str(item["id"]) for item in found if "id" in item)
    digits, numbers = len(str(len(found))), Counter[str]()
    for item in found:
        name = str(item.get("id"))
        if times[name] > 1:
            numbers[name] += 1
            item["id"] = f"{name}-{numbers[name]:0{digits}d}"
    return found


def _mapping(value: Any, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(
            reason=f"{path}, row {number}: expected column → value, got {str(value)[:40]!r}",
            reason_zh=f"{path} 第 {number} 行：应为 列 → 值，得到 {str(value)[:40]!r}",
        )
    return {str(key): _plain(item) for key, item in value.items() if item is not None}


def _plain(value: Any) -> Any:
    """The value in JSON's own types; what YAML knows beyond them (a tagged date, bytes) as text."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)
