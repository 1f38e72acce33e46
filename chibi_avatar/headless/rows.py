"""Rows of a batch: from CSV, JSON Lines, JSON, YAML, a folder of photos, or a grid of values."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import safe_name

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
MAX_ROWS = 1_000_000
MAX_BYTES = 512 << 20


@dataclass(frozen=True)
class Row:
    """One row: ``id`` names its results and is safe as the beginning of a file name; ``values`` by column."""

    id: str
    values: dict[str, Any]


def load_rows(source: str | Path) -> list[Row]:
    """The rows of a file or folder.

    A folder gives one row per picture with columns ``photo`` and ``name``. YAML and JSON may hold a list of mappings,
    or a mapping with ``rows`` and/or ``grid`` (column → list of values; every combination becomes a row, times the
    rows). Column ``id`` names a row; without it, rows are numbered. Raises :class:`InputError`.
    """
    path = Path(source)
    if path.is_dir():
        photos = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
        return _named([{"photo": str(photo.resolve()), "name": photo.stem} for photo in photos], path, id_column="name")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(reason=f"{path} is larger than 512 MB", reason_zh=f"{path} 超过 512 MB")
        text = path.read_text(encoding="utf-8-sig")
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
        given = str(row.get(id_column) or "").strip()
        name = safe_name(given.replace("/", "_"), fallback="")[:80].strip(". ") if given else f"{number:0{digits}d}"
        name = name or f"{number:0{digits}d}"
        key = name.casefold()
        if key in seen and id_column == "id":
            raise InputError(
                reason=f"{path}: rows {seen[key]} and {number} have the same id {name!r}",
                reason_zh=f"{path}：第 {seen[key]} 行和第 {number} 行的 id 相同：{name!r}",
            )
        if key in seen:
            name = f"{name}-{number}"
        seen[name.casefold()] = number
        rows.append(Row(name, row))
    return rows


def _csv(text: str, path: Path) -> list[dict[str, Any]]:
    head = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=head.count)
    csv.field_size_limit(1 << 24)
    table = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        lines = [(table.line_num, line) for line in table if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise InputError(
            reason=f"{path}, line {table.line_num}: {error}", reason_zh=f"{path} 第 {table.line_num} 行：{error}"
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
    for number, line in enumerate(text.splitlines(), 1):
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

    try:
        return _structured(yaml.safe_load(text), path)
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
    axes = [[(name, item) for item in (items if isinstance(items, list) else [items])] for name, items in grid.items()]
    total = len(rows)
    for axis in axes:
        total *= len(axis)
    if total > MAX_ROWS:
        raise InputError(
            reason=f"{path}: the grid has {total} combinations", reason_zh=f"{path}：网格有 {total} 种组合"
        )
    return [{**row, **dict(combination)} for row in rows for combination in itertools.product(*axes)]


def _mapping(value: Any, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(
            reason=f"{path}, row {number}: expected column → value, got {str(value)[:40]!r}",
            reason_zh=f"{path} 第 {number} 行：应为 列 → 值，得到 {str(value)[:40]!r}",
        )
    return {str(key): item for key, item in value.items() if item is not None}
