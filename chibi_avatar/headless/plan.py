"""A batch worked out: which column sets which input, what each row sends, and what a server must have for it."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .engines import BatchJob
from .errors import InputError, NodeProblem, PromptRejected
from .problems import input_specs, is_model_value, options_of, value_problem
from .rows import Row
from .types import Prompt
from .workflow import find_input, local_file, must_be_file, preflight, typed, unescaped


@dataclass(frozen=True)
class Plan:
    """A batch worked out: the prompt, what each column sets, the rows."""

    prompt: Prompt
    columns: dict[str, tuple[str, str]]
    rows: tuple[Row, ...]
    ignored: tuple[str, ...]
    object_info: dict[str, Any]
    base: Path
    workflow: dict[str, Any] | None = None
    types: tuple[str, ...] = ("output",)
    timeout: float | None = None
    files: tuple[tuple[str, str, str], ...] = ()
    source: str = ""

    def fingerprint(self, row: Row) -> str:
        """Changes when anything that decides the row's result does: workflow, mapping, values, the files named in
        them.
        """
        values = {}
        for column in self.columns:
            value = row.values.get(column)
            path = self._file(column, value)
            if path is not None:
                stat = path.stat()
                value = [str(value), stat.st_size, stat.st_mtime_ns]
            values[column] = value
        text = json.dumps(
            [self._prompt_hash(), values, list(self.types)], sort_keys=True, ensure_ascii=False, default=str
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def _prompt_hash(self) -> str:
        cached = self.__dict__.get("_hash")
        if cached is None:
            files = [[*file, Path(file[2]).stat().st_size, Path(file[2]).stat().st_mtime_ns] for file in self.files]
            text = json.dumps([self.prompt, {k: list(v) for k, v in self.columns.items()}, files], sort_keys=True)
            cached = hashlib.sha256(text.encode()).hexdigest()
            object.__setattr__(self, "_hash", cached)
        return cached

    def _file(self, column: str, value: Any) -> Path | None:
        return local_file(value, self._spec(*self.columns[column]), self.base)

    def _spec(self, node_id: str, name: str) -> tuple[Any, dict[str, Any]] | None:
        return input_specs(self.object_info.get(self.prompt[node_id]["class_type"], {})).get(name)

    def job(self, row: Row, job_id: str, tag: str = "") -> BatchJob:
        """The row's job. Raises :class:`InputError` for a value that does not fit, or a photo that is not there."""
        prompt = copy.deepcopy(self.prompt)
        own = {self.columns[column] for column in row.values if column in self.columns}
        files = [file for file in self.files if file[:2] not in own]
        for column, (node_id, name) in self.columns.items():
            if column not in row.values:
                continue
            value = row.values[column]
            spec = self._spec(node_id, name)
            path = self._file(column, value)
            if path is not None:
                files.append((node_id, name, str(path)))
            elif must_be_file(value, spec):
                missing = value.removeprefix("@")
                raise InputError(
                    reason=f"{column}: there is no file {missing}", reason_zh=f"{column}：文件 {missing} 不存在"
                )
            value = typed(unescaped(value), spec, column, prompt[node_id]["inputs"].get(name))
            prompt[node_id]["inputs"][name] = {"__value__": value} if isinstance(value, list) else value
        return BatchJob(row.id, prompt, tuple(files), job_id, self.workflow, self.timeout, self.types, tag)

    def group(self, row: Row) -> tuple[str, ...]:
        """What must be loaded for this row: rows of one group are best run on one server, one after the other."""
        inputs = {
            (node_id, name): value for node_id, node in self.prompt.items() for name, value in node["inputs"].items()
        }
        for column, address in self.columns.items():
            if column in row.values:
                inputs[address] = row.values[column]
        return tuple(sorted(str(value) for value in inputs.values() if is_model_value(value)))

    def value(self, row: Row, node_id: str, name: str) -> Any:
        """What an input holds for a row."""
        for column, address in self.columns.items():
            if address == (node_id, name) and column in row.values:
                return row.values[column]
        return self.prompt.get(node_id, {"inputs": {}})["inputs"].get(name)

    def lacking(self, object_info: dict[str, Any]) -> list[NodeProblem]:
        """What every row needs and a server with these nodes does not have: nodes, model files."""
        found = preflight(self.prompt, object_info)
        varied = set(self.columns.values())
        for node_id, node in self.prompt.items():
            specs = input_specs(object_info.get(node["class_type"], {}))
            for name, value in node["inputs"].items():
                options = options_of(specs.get(name))
                if is_model_value(value) and (node_id, name) not in varied and options is not None:
                    if value not in options:
                        found.append(value_problem(self.prompt, node_id, name, value, options))
        return found


def plan(
    prompt: Prompt,
    rows: Sequence[Row],
    mapping: dict[str, str],
    object_info: dict[str, Any],
    *,
    base: Path,
    workflow: dict[str, Any] | None = None,
    types: tuple[str, ...] = ("output",),
    timeout: float | None = None,
    files: Sequence[tuple[str, str, str]] = (),
    source: str = "",
) -> Plan:
    """Work out a batch. ``mapping``: column → ``node.input``; a column whose name is itself an address needs none.
    ``files``: local files that every row sends, as (node id, input, path). ``source``: where rows and workflow come from;
    a folder with finished rows of another source is not touched.

    Raises :class:`InputError` for a mapped column that no row has or an address that the workflow lacks,
    :class:`PromptRejected` when the server lacks nodes.
    """
    problems = preflight(prompt, object_info)
    if problems:
        raise PromptRejected(problems)
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    lost = [name for name in mapping if name not in names]
    if lost:
        raise InputError(
            reason=f"no column {', '.join(map(repr, lost))} in the rows; they have {', '.join(names)}",
            reason_zh=f"行数据里没有列 {'、'.join(map(repr, lost))}；已有的列：{'、'.join(names)}",
        )
    columns: dict[str, tuple[str, str]] = {}
    ignored: list[str] = []
    for name in names:
        if name in mapping:
            columns[name] = find_input(prompt, mapping[name], object_info)
        elif "." in name:
            with contextlib.suppress(InputError):
                columns[name] = find_input(prompt, name, object_info)
        if name not in columns and name != "id":
            ignored.append(name)
    taken: dict[tuple[str, str], str] = {}
    for name, address in columns.items():
        if address in taken:
            raise InputError(
                reason=f"columns {taken[address]!r} and {name!r} both set {'.'.join(address)}",
                reason_zh=f"列 {taken[address]!r} 和 {name!r} 都在设置 {'.'.join(address)}",
            )
        taken[address] = name
    return Plan(
        prompt, columns, tuple(rows), tuple(ignored), object_info, base, workflow, types, timeout, tuple(files), source
    )  # fmt: skip
