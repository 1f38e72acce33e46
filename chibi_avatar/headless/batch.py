"""Many rows through one workflow on any number of servers, so that every row ends exactly once, whatever is killed.

The journal is written before a job is sent and after its files are in place. Job ids are made from the journal and the
row, so a client that comes back finds its own jobs on the servers instead of sending them again; files of a row always
have the same names and are replaced whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import shutil
import tempfile
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .engines import Done, Worker
from .errors import (
    BadReply,
    HeadlessError,
    InputError,
    JobCancelled,
    JobFailed,
    JobLost,
    JobStuck,
    OutputRefused,
    PromptRejected,
    ServerCrashed,
    ServerUnreachable,
)
from .files import free_path
from .journal import Journal, Record
from .plan import Plan as Plan
from .plan import plan as plan
from .rows import Row
from .waiting import within

logger = logging.getLogger(__name__)

IN_FLIGHT = 2
MAX_ATTEMPTS = 5
MAX_CRASHES = 5
# Rows for each one in flight from which on a group is worth loading on one more server at any time.
_LONG = 8
# Refusals that another server may not share: it can have the model, the photo, the newer node.
_OF_THE_SERVER = frozenset({"missing_model", "value_not_in_list", "custom_validation_failed"})
_STAGING = ".row-"
_NAMESPACE = uuid.UUID("5b0f4a0e-6a0f-4a52-9d1e-6a1c8a1f0c41")


@dataclass
class Report:
    """How a batch stands: rows by state, and the servers that were given up."""

    counts: dict[str, int]
    lost_servers: list[str] = field(default_factory=list)


Listener = Callable[[str, Record | None, dict[str, int]], None]
"""Called after every outcome with the row's id, its record and the counts."""


class _Next(enum.Enum):
    """What a server is to do after a row."""

    GO_ON = enum.auto()
    WAIT = enum.auto()
    LEAVE = enum.auto()


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
        self._live = list(self.workers)
        self._queue: OrderedDict[tuple[str, ...], deque[Record]] = OrderedDict()
        self._owned: dict[str, deque[Record]] = {}
        # Rows under which a server fell silent: last, and each alone on its server, so that no other is blamed.
        self._suspects: deque[Record] = deque()
        self._running: dict[tuple[str, ...], int] = {}
        self._tried: dict[str, dict[str, HeadlessError]] = {}
        # What a server was found to lack: model files by name, other values by node and input.
        self._no_model: dict[str, set[str]] = {}
        self._no_value: dict[str, set[tuple[str, str, str]]] = {}
        self._file_owner: dict[str, str] = {}
        self._helped = 0
        self._open = 0
        self._stranded = 0
        self._on_row: Listener | None = None
        self._changed = asyncio.Event()
        self._counts: dict[str, int] = {}

    def prepare(self) -> None:
        """Bring the journal up to the plan. Raises :class:`InputError` for a folder with another batch's results, which
        stay as they are.
        """
        self.journal.prepare(((row.id, self.plan.fingerprint(row)) for row in self.plan.rows), self.plan.source)

    async def run(self, on_row: Listener | None = None) -> Report:
        """Until every row has an outcome; see also :meth:`prepare`. Raises :class:`ServerUnreachable` when rows are left
        that no server can run; the journal keeps them.
        """
        self._on_row = on_row
        self.prepare()
        for left in self.out_dir.glob(f"{_STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)
        self._counts = self.journal.counts()
        self._file_owner = {
            item["file"].casefold(): record.id for record in self.journal.all_rows() for item in record.files
        }
        names = {worker.name for worker in self.workers}
        for record in self.journal.open_rows():
            self._open += 1
            if record.state == "sent" and record.server in names:
                self._owned.setdefault(record.server, deque()).append(record)
            else:
                self._put(record)
        tasks = [asyncio.create_task(self._serve(worker), name=worker.name) for worker in self.workers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        left = self._open + self._stranded
        if left:
            raise ServerUnreachable(
                url=", ".join(self.lost), reason=f"{left} rows are left; run the batch again to go on"
            )
        return Report(self.journal.counts(), self.lost)

    # --- which job next ----------------------------------------------------------------------------------------------

    def _put(self, record: Record) -> None:
        if record.crashes:
            self._suspects.append(record)
        else:
            self._queue.setdefault(self._group(record), deque()).append(record)

    def _group(self, record: Record) -> tuple[str, ...]:
        return self.plan.group(self._rows[record.id])

    def _fits(self, worker: Worker, record: Record) -> bool:
        """Whether a worker may be sent a row: it has not refused or failed it, and lacks nothing that it names."""
        no_model = self._no_model.get(worker.name)
        return not (no_model and no_model.intersection(self._group(record))) and self._fits_values(worker, record)

    def _fits_values(self, worker: Worker, record: Record) -> bool:
        if worker.name in self._tried.get(record.id, ()):
            return False
        row, no_value = self._rows[record.id], self._no_value.get(worker.name, ())
        return not any(str(self.plan.value(row, node_id, name)) == value for node_id, name, value in no_value)

    def _first_fitting(self, worker: Worker, group: tuple[str, ...]) -> int | None:
        if self._no_model.get(worker.name, set()).intersection(group):
            return None
        return next((i for i, record in enumerate(self._queue[group]) if self._fits_values(worker, record)), None)

    def _take(self, worker: Worker, last: tuple[str, ...] | None, busy: bool) -> tuple[tuple[str, ...], Record] | None:
        """The next row for a worker: one it was already sent, then one of the group it has loaded, then of the longest
        group that fewest others work on, then, when it has nothing else to do, a suspect.

        Helping with a group that others have loaded costs loading its models once more: for a short rest only as often as
        there are workers, so that models are loaded about (groups + workers) times in all.
        """
        owned = self._owned.get(worker.name)
        if owned:
            record = owned.popleft()
            return self._begun(self._group(record)), record
        places = {group: self._first_fitting(worker, group) for group, records in self._queue.items() if records}
        groups = [group for group, place in places.items() if place is not None]
        if not groups:
            return None if busy else self._take_suspect(worker)
        if last not in groups or last is None:
            free = [group for group in groups if not self._running.get(group)]
            long = [group for group in groups if len(self._queue[group]) > _LONG * self._running.get(group, 0)]
            if not free and not long and self._helped >= len(self.workers):
                return None
            groups = free or long or groups
            last = min(groups, key=lambda group: (self._running.get(group, 0), -len(self._queue[group])))
            self._helped += not free
        record = self._queue[last][places[last] or 0]
        del self._queue[last][places[last] or 0]
        return self._begun(last), record

    def _take_suspect(self, worker: Worker) -> tuple[tuple[str, ...], Record] | None:
        fitting = [record for record in self._suspects if self._fits(worker, record)]
        if not fitting:
            return None
        record = min(fitting, key=lambda record: record.crashes)
        self._suspects.remove(record)
        return self._begun(self._group(record)), record

    def _begun(self, group: tuple[str, ...]) -> tuple[str, ...]:
        self._running[group] = self._running.get(group, 0) + 1
        return group

    # --- one server --------------------------------------------------------------------------------------------------

    async def _serve(self, worker: Worker) -> None:
        slots: dict[asyncio.Task[_Next], Record] = {}
        last: tuple[str, ...] | None = None
        following = _Next.GO_ON
        try:
            while self._open:
                if following is _Next.LEAVE:
                    break
                if following is _Next.WAIT and not slots:
                    self._drain(worker)
                    if not await self._wait_for(worker):
                        break
                    following = _Next.GO_ON
                room = len(slots) < IN_FLIGHT and not any(record.crashes for record in slots.values())
                taken = self._take(worker, last, bool(slots)) if following is _Next.GO_ON and room else None
                if taken is not None:
                    last = taken[0]
                    slots[asyncio.create_task(self._one(worker, *taken))] = taken[1]
                    continue
                if slots:
                    finished, _ = await asyncio.wait(slots, return_when=asyncio.FIRST_COMPLETED)
                    for task in finished:
                        del slots[task]
                        following = max(following, task.result(), key=lambda item: item.value)
                else:
                    self._changed.clear()
                    with contextlib.suppress(asyncio.TimeoutError):
                        await within(self._changed.wait(), 0.5)
        finally:
            for task in slots:
                task.cancel()
            await asyncio.gather(*slots, return_exceptions=True)
        if self._open:
            self._lose(worker, [record for task, record in slots.items() if task.cancelled()])

    def _lose(self, worker: Worker, unfinished: list[Record]) -> None:
        """Go on without a server; its rows go to the others."""
        self._live.remove(worker)
        self.lost.append(worker.name)
        for record in unfinished:
            self._back(record, record.attempt)
        self._drain(worker)
        if not self._live:
            return
        for records in (*self._queue.values(), self._suspects):
            waiting = list(records)
            records.clear()
            for record in waiting:
                if self._anybody(record):
                    records.append(record)
                else:
                    self._strand(record)

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

    async def _one(self, worker: Worker, group: tuple[str, ...], record: Record) -> _Next:
        """Run one row on a server; it ends, or is queued again."""
        try:
            return await self._attempt(worker, record)
        finally:
            self._running[group] -= 1

    async def _attempt(self, worker: Worker, record: Record) -> _Next:
        row, attempt = self._rows[record.id], record.attempt
        # A row that this server was sent before keeps its job id, so that the server can recognise it.
        again = record.state == "sent" and record.server == worker.name and record.job_id
        job_id = record.job_id if again else self._job_id(record.id, attempt, worker.name)
        try:
            job = self.plan.job(row, job_id, tag="" if attempt == 0 else str(attempt))
            self.journal.sent(record.id, worker.name, job_id, attempt)
            with tempfile.TemporaryDirectory(prefix=_STAGING, dir=self.out_dir, ignore_cleanup_errors=True) as staging:
                done = await worker.run(job, Path(staging))
                done = self._placed(record.id, done, Path(staging))
        except (ServerUnreachable, BadReply) as problem:
            logger.warning("%s: %s", worker.name, problem)
            crashes = self.journal.crashed(record.id)
            if crashes >= MAX_CRASHES:
                # A row that takes its server down every time must not take the whole batch down.
                self._fail(record, ServerCrashed(count=crashes, reason=problem.values.get("reason", "")))
            else:
                self._back(replace(record, crashes=crashes), attempt)
            return _Next.WAIT
        except (JobLost, OutputRefused, JobCancelled) as problem:
            if attempt + 1 >= MAX_ATTEMPTS:
                self._fail(record, problem)
            else:
                self._back(record, attempt + 1)
        except JobStuck as problem:
            logger.warning("%s: %s", worker.name, problem)
            self._fail(record, problem)
            return _Next.LEAVE
        except PromptRejected as problem:
            return self._refused(record, worker, problem)
        except JobFailed as problem:
            # Maybe it is not the row but this server: a sick GPU, an older node.
            if not self._elsewhere(record, worker, problem):
                self._fail(record, self._verdict(record))
        except HeadlessError as problem:
            self._fail(record, problem)
        except OSError as problem:
            self._fail(record, InputError(reason=str(problem), reason_zh=str(problem)))
        else:
            self._finish(record, done, worker)
        return _Next.GO_ON

    def _refused(self, record: Record, worker: Worker, problem: PromptRejected) -> _Next:
        kinds = {found.type for found in problem.problems}
        nodes_missing = "missing_node_type" in kinds
        if (nodes_missing or kinds & _OF_THE_SERVER) and self._elsewhere(record, worker, problem):
            logger.warning("%s: %s", worker.name, problem)
            for found in problem.problems:
                if found.type == "missing_model":
                    self._no_model.setdefault(worker.name, set()).add(str(found.received))
                elif found.type in _OF_THE_SERVER and found.input and found.received is not None:
                    lack = (found.node_id, found.input, str(found.received))
                    self._no_value.setdefault(worker.name, set()).add(lack)
            return _Next.LEAVE if nodes_missing else _Next.GO_ON
        self._fail(record, self._verdict(record) if record.id in self._tried else problem)
        return _Next.GO_ON

    def _elsewhere(self, record: Record, worker: Worker, error: HeadlessError) -> bool:
        """Queue a row again for the servers that have not tried it. False when there is none."""
        self._tried.setdefault(record.id, {})[worker.name] = error
        if not self._anybody(record):
            return False
        self._back(record, record.attempt)
        return True

    def _anybody(self, record: Record) -> bool:
        return any(self._fits(worker, record) for worker in self._live)

    def _verdict(self, record: Record) -> HeadlessError:
        """The error to tell of all that the servers gave: one from running the row says more than a refusal."""
        errors = list(self._tried[record.id].values())
        return next((error for error in errors if isinstance(error, JobFailed)), errors[-1])

    def _job_id(self, row_id: str, attempt: int, server: str) -> str:
        fingerprint = self.plan.fingerprint(self._rows[row_id])
        return str(uuid.uuid5(_NAMESPACE, f"{self.journal.batch_id}/{row_id}/{fingerprint}/{attempt}/{server}"))

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def _placed(self, row_id: str, done: Done, staging: Path) -> Done:
        """Move a row's files into the output folder, past the files that belong to other rows."""
        files, own = [], set()

        def taken(path: Path) -> bool:
            key = path.name.casefold()
            return key in own or self._file_owner.get(key, row_id) != row_id

        for facts in done.files:
            path = free_path(self.out_dir, facts["file"], taken)
            (staging / facts["file"]).replace(path)
            own.add(path.name.casefold())
            self._file_owner[path.name.casefold()] = row_id
            files.append({**facts, "file": path.name})
        return Done(tuple(files), done.seconds)

    def _back(self, record: Record, attempt: int) -> None:
        record = replace(record, state="pending", attempt=attempt, server="", job_id="")
        if self._live and not self._anybody(record):
            self._strand(record)
        else:
            self._put(record)
        self._changed.set()

    def _strand(self, record: Record) -> None:
        """End with a row that none of the servers left can do: failed if it failed, else kept for the next run."""
        if any(isinstance(error, JobFailed) for error in self._tried.get(record.id, {}).values()):
            self._fail(record, self._verdict(record))
        else:
            self._open -= 1
            self._stranded += 1
            self._changed.set()

    def _finish(self, record: Record, done: Done, worker: Worker) -> None:
        self.journal.done(record.id, worker.name, list(done.files), done.seconds)
        self._closed(record, "done", Record(record.id, "done", server=worker.name, files=tuple(done.files)))

    def _fail(self, record: Record, error: HeadlessError) -> None:
        self.journal.failed(record.id, str(error))
        self._closed(record, "failed", Record(record.id, "failed", error=str(error)))

    def _closed(self, record: Record, state: str, outcome: Record) -> None:
        self._open -= 1
        self._counts[state] = self._counts.get(state, 0) + 1
        self._changed.set()
        if self._on_row is not None:
            self._on_row(record.id, outcome, self._counts)


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
