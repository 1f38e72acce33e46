"""Many rows through one workflow on any number of servers, so that every row ends exactly once, whatever is killed.

The journal is written before a job is sent and after its files are in place. Job ids are made from the journal and the
row, so a client that comes back finds its own jobs on the servers instead of sending them again; files of a row always
have the same names and are replaced whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import json
import logging
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engines import BatchJob, Done, Worker
from .errors import (
    BadReply,
    HeadlessError,
    InputError,
    JobCancelled,
    JobLost,
    OutputRefused,
    PromptRejected,
    ServerUnreachable,
)
from .journal import Journal, Record
from .problems import FILE_INPUT, input_specs, is_model_value
from .rows import Row
from .types import Prompt
from .workflow import find_input, preflight, typed

logger = logging.getLogger(__name__)

IN_FLIGHT = 2
MAX_ATTEMPTS = 5
MAX_CRASHES = 10
# Rows for each one in flight from which on a group is worth loading on one more server at any time.
_LONG = 8
_NAMESPACE = uuid.UUID("5b0f4a0e-6a0f-4a52-9d1e-6a1c8a1f0c41")


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
        if not isinstance(value, str) or not value or len(value) > 4096:
            return None
        node_id, name = self.columns[column]
        spec = input_specs(self.object_info.get(self.prompt[node_id]["class_type"], {})).get(name, ("", {}))
        forced = value.startswith("@") and not value.startswith("@@")
        if not forced and not any(spec[1].get(flag) for flag in FILE_INPUT):
            return None
        path = Path(value[1:] if forced else value).expanduser()
        path = path if path.is_absolute() else self.base / path
        return path if path.is_file() else None

    def job(self, row: Row, job_id: str, tag: str = "") -> BatchJob:
        """The row's job. Raises :class:`InputError` for a value that does not fit, or a photo that is not there."""
        prompt = copy.deepcopy(self.prompt)
        own = {self.columns[column] for column in row.values if column in self.columns}
        files = [file for file in self.files if file[:2] not in own]
        for column, (node_id, name) in self.columns.items():
            if column not in row.values:
                continue
            value = row.values[column]
            spec = input_specs(self.object_info.get(prompt[node_id]["class_type"], {})).get(name)
            path = self._file(column, value)
            takes_files = spec is not None and any(spec[1].get(flag) for flag in FILE_INPUT)
            if path is not None:
                files.append((node_id, name, str(path)))
            elif isinstance(value, str) and (takes_files or value.startswith("@")) and not value.startswith("@@"):
                missing = value.removeprefix("@")
                raise InputError(
                    reason=f"{column}: there is no file {missing}", reason_zh=f"{column}：文件 {missing} 不存在"
                )
            value = typed(value, spec, column, prompt[node_id]["inputs"].get(name))
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
) -> Plan:
    """Work out a batch. ``mapping``: column → ``node.input``; a column whose name is itself an address needs none.
    ``files``: local files that every row sends, as (node id, input, path).

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
    return Plan(prompt, columns, tuple(rows), tuple(ignored), object_info, base, workflow, types, timeout, tuple(files))


@dataclass
class Report:
    """How a batch stands: rows by state, and the servers that were given up."""

    counts: dict[str, int]
    lost_servers: list[str] = field(default_factory=list)


Listener = Callable[[str, Record | None, dict[str, int]], None]
"""Called after every outcome with the row's id, its record and the counts."""


class Batch:
    """A plan, a journal, an output folder and the servers to run it on."""

    def __init__(
        self,
        plan: Plan,
        workers: Sequence[Worker],
        out_dir: Path,
        *,
        journal: Journal | None = None,
        revive: float = 60.0,
    ):
        self.plan, self.workers, self.out_dir = plan, list(workers), out_dir
        out_dir.mkdir(parents=True, exist_ok=True)
        self.journal = journal or Journal(out_dir / "batch.sqlite")
        self.revive = revive
        self.lost: list[str] = []
        self._rows = {row.id: row for row in plan.rows}
        self._queue: OrderedDict[tuple[str, ...], deque[Record]] = OrderedDict()
        self._owned: dict[str, deque[Record]] = {}
        self._running: dict[tuple[str, ...], int] = {}
        self._crashes: dict[str, int] = {}
        self._helped = 0
        self._open = 0
        self._changed = asyncio.Event()
        self._counts: dict[str, int] = {}

    async def run(self, on_row: Listener | None = None) -> Report:
        """Until every row has an outcome. Raises :class:`ServerUnreachable` when no server is left; the journal keeps
        the rest.
        """
        self.journal.prepare((row.id, self.plan.fingerprint(row)) for row in self.plan.rows)
        self._counts = self.journal.counts()
        names = {worker.name for worker in self.workers}
        for record in self.journal.open_rows():
            self._open += 1
            if record.state == "sent" and record.server in names:
                self._owned.setdefault(record.server, deque()).append(record)
            else:
                self._put(record)
        tasks = [asyncio.create_task(self._serve(worker, on_row), name=worker.name) for worker in self.workers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._open:
            raise ServerUnreachable(
                url=", ".join(self.lost), reason=f"{self._open} rows are left; run the batch again to go on"
            )
        return Report(self.journal.counts(), self.lost)

    # --- which job next ----------------------------------------------------------------------------------------------

    def _put(self, record: Record) -> None:
        group = self.plan.group(self._rows[record.id])
        self._queue.setdefault(group, deque()).append(record)

    def _take(self, worker: Worker, last: tuple[str, ...] | None) -> tuple[tuple[str, ...], Record] | None:
        """The next row for a worker: one it was already sent, then one of the group it has loaded, then of the longest
        group that fewest others work on.

        Helping with a group that others have loaded costs loading its models once more: for a short rest only as often as
        there are workers, so that models are loaded about (groups + workers) times in all.
        """
        owned = self._owned.get(worker.name)
        if owned:
            record = owned.popleft()
            return self._begun(self.plan.group(self._rows[record.id])), record
        groups = [group for group, records in self._queue.items() if records]
        if not groups:
            return None
        if last not in groups or last is None:
            free = [group for group in groups if not self._running.get(group)]
            long = [group for group in groups if len(self._queue[group]) > _LONG * self._running.get(group, 0)]
            if not free and not long and self._helped >= len(self.workers):
                return None
            groups = free or long or groups
            last = min(groups, key=lambda group: (self._running.get(group, 0), -len(self._queue[group])))
            self._helped += not free
        return self._begun(last), self._queue[last].popleft()

    def _begun(self, group: tuple[str, ...]) -> tuple[str, ...]:
        self._running[group] = self._running.get(group, 0) + 1
        return group

    # --- one server --------------------------------------------------------------------------------------------------

    async def _serve(self, worker: Worker, on_row: Listener | None) -> None:
        slots: set[asyncio.Task[bool]] = set()
        last: tuple[str, ...] | None = None
        healthy = True
        try:
            while self._open:
                if not healthy and not slots:
                    self._drain(worker)
                    healthy = await self._wait_for(worker)
                    if not healthy:
                        self.lost.append(worker.name)
                        return
                taken = self._take(worker, last) if healthy and len(slots) < IN_FLIGHT else None
                if taken is not None:
                    last = taken[0]
                    slots.add(asyncio.create_task(self._one(worker, *taken, on_row)))
                    continue
                if slots:
                    finished, slots = await asyncio.wait(slots, return_when=asyncio.FIRST_COMPLETED)
                    healthy = all([task.result() for task in finished]) and healthy
                else:
                    self._changed.clear()
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), 0.5)
        finally:
            for task in slots:
                task.cancel()
            await asyncio.gather(*slots, return_exceptions=True)
            self._drain(worker)

    def _drain(self, worker: Worker) -> None:
        for record in self._owned.pop(worker.name, ()):
            self._put(record)
        self._changed.set()

    async def _wait_for(self, worker: Worker) -> bool:
        """Whether a server that fell silent came back while there was still something to do."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.revive
        while self._open and loop.time() < deadline:
            if await worker.alive():
                return True
            await asyncio.sleep(0.3)
        return not self._open

    async def _one(self, worker: Worker, group: tuple[str, ...], record: Record, on_row: Listener | None) -> bool:
        """Run one row on a server. False when the server is to be left alone for now; the row is queued again then."""
        try:
            return await self._attempt(worker, record, on_row)
        finally:
            self._running[group] -= 1

    async def _attempt(self, worker: Worker, record: Record, on_row: Listener | None) -> bool:
        row, attempt = self._rows[record.id], record.attempt
        # A row that this server was sent before keeps its job id, so that the server can recognise it.
        again = record.state == "sent" and record.server == worker.name and record.job_id
        job_id = record.job_id if again else self._job_id(record.id, attempt, worker.name)
        error: HeadlessError
        try:
            job = self.plan.job(row, job_id, tag="" if attempt == 0 else str(attempt))
            self.journal.sent(record.id, worker.name, job_id, attempt)
            done = await worker.run(job, self.out_dir)
        except (ServerUnreachable, BadReply) as problem:
            logger.warning("%s: %s", worker.name, problem)
            self._crashes[record.id] = self._crashes.get(record.id, 0) + 1
            if self._crashes[record.id] >= MAX_CRASHES:
                # A row that takes its server down every time must not take the whole batch down.
                self._fail(record, problem, on_row)
            else:
                self._back(record, attempt)
            return False
        except (JobLost, OutputRefused, JobCancelled) as problem:
            if attempt + 1 >= MAX_ATTEMPTS:
                self._fail(record, problem, on_row)
            else:
                self._back(record, attempt + 1)
            return True
        except HeadlessError as problem:
            error = problem
        except OSError as problem:
            error = InputError(reason=str(problem), reason_zh=str(problem))
        else:
            self._finish(record, done, worker, on_row)
            return True
        self._fail(record, error, on_row)
        return True

    def _job_id(self, row_id: str, attempt: int, server: str) -> str:
        fingerprint = self.plan.fingerprint(self._rows[row_id])
        return str(uuid.uuid5(_NAMESPACE, f"{self.journal.batch_id}/{row_id}/{fingerprint}/{attempt}/{server}"))

    def _back(self, record: Record, attempt: int) -> None:
        self._put(Record(record.id, "pending", attempt))
        self._changed.set()

    def _finish(self, record: Record, done: Done, worker: Worker, on_row: Listener | None) -> None:
        self.journal.done(record.id, worker.name, list(done.files), done.seconds)
        self._closed(record, "done", on_row, Record(record.id, "done", server=worker.name, files=tuple(done.files)))

    def _fail(self, record: Record, error: HeadlessError, on_row: Listener | None) -> None:
        self.journal.failed(record.id, str(error))
        self._closed(record, "failed", on_row, Record(record.id, "failed", error=str(error)))

    def _closed(self, record: Record, state: str, on_row: Listener | None, outcome: Record) -> None:
        self._open -= 1
        self._counts[state] = self._counts.get(state, 0) + 1
        self._changed.set()
        if on_row is not None:
            on_row(record.id, outcome, self._counts)


def results(journal: Journal, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Every row with its values and what became of it, in order."""
    values = {row.id: row.values for row in rows}
    return [
        {
            "id": record.id,
            "state": record.state,
            "files": [item["file"] for item in record.files],
            "error": record.error,
            "server": record.server,
            "seconds": record.seconds,
            "values": values.get(record.id, {}),
        }
        for record in journal.all_rows()
    ]
