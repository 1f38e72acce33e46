"""What became of every row, on disk before anybody is told: the reason why a killed batch can go on where it was."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import InputError

PENDING, SENT, DONE, FAILED = "pending", "sent", "done", "failed"

_SCHEMA = """
create table if not exists facts (name text primary key, value text not null);
create table if not exists rows (
    id text primary key, position integer not null, fingerprint text not null, state text not null,
    attempt integer not null default 0, server text, job_id text, files text, error text, seconds real, updated real,
    crashes integer not null default 0
);
create index if not exists rows_by_state on rows (state, position);
"""


@dataclass(frozen=True)
class Record:
    """A row's entry. ``files`` are names in the output folder with their sha256; ``crashes`` counts the servers that
    fell silent under it.
    """

    id: str
    state: str
    attempt: int = 0
    server: str = ""
    job_id: str = ""
    files: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    error: str = ""
    seconds: float | None = None
    crashes: int = 0


class Journal:
    """A batch's journal, one SQLite file. A change survives the death of this process once the call returns; after a
    power cut the last few may be missing, and those rows are then recognised by their job ids or run again."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30.0)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(_SCHEMA)
        if "crashes" not in {column[1] for column in self._db.execute("pragma table_info(rows)")}:
            self._db.execute("alter table rows add column crashes integer not null default 0")
        self._db.execute("insert or ignore into facts values ('batch', ?)", (uuid.uuid4().hex,))
        self._db.execute(
            "insert or ignore into facts values ('began', coalesce((select min(updated) from rows), ?))", (time.time(),)
        )

    @property
    def batch_id(self) -> str:
        """A name for this batch that no other has; job ids are made from it."""
        return self._fact("batch")

    @property
    def began(self) -> float:
        """When this batch was run for the first time, in seconds since 1970."""
        return float(self._fact("began"))

    def _fact(self, name: str) -> str:
        found = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return found[0] if found else ""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def prepare(self, rows: Iterable[tuple[str, str]], source: str = "") -> None:
        """Take in the batch's rows as (id, fingerprint), in order. ``source`` says where they come from.

        What is known stays, but a row whose fingerprint changed begins again; rows that are no longer asked for are
        dropped. Raises :class:`InputError` when that would undo finished rows of another source.
        """
        wanted = [(row_id, position, fingerprint) for position, (row_id, fingerprint) in enumerate(rows)]
        self._db.execute("begin immediate")
        self._db.execute("create temp table wanted (id text primary key, position integer, fingerprint text)")
        self._db.executemany("insert into wanted values (?, ?, ?)", wanted)
        try:
            self._claim(source)
        except InputError:
            self._db.execute("rollback")
            raise
        self._db.execute("delete from rows where id not in (select id from wanted)")
        self._db.execute(
            "delete from rows where exists"
            " (select 1 from wanted w where w.id = rows.id and w.fingerprint != rows.fingerprint)"
        )
        self._db.execute(
            "insert or ignore into rows (id, position, fingerprint, state)"
            " select id, position, fingerprint, 'pending' from wanted"
        )
        self._db.execute("update rows set position = (select position from wanted w where w.id = rows.id)")
        self._db.execute("drop table wanted")
        self._db.execute("commit")

    def _claim(self, source: str) -> None:
        known = self._fact("source")
        (undone,) = self._db.execute(
            "select count(*) from rows left join wanted w on w.id = rows.id"
            " where rows.state = 'done' and (w.id is null or w.fingerprint != rows.fingerprint)"
        ).fetchone()
        if source and known and source != known and undone:
            folder = self.path.parent
            raise InputError(
                reason=f"{folder} holds {undone} finished rows of another batch ({known}); this one is {source}."
                " Give this one a folder of its own with --out DIR, or replace the other with --fresh",
                reason_zh=f"{folder} 中有另一批任务（{known}）的 {undone} 行结果；这一批是 {source}。"
                "请用 --out 目录 另选文件夹，或用 --fresh 替换原有结果",
            )
        if source:
            self._db.execute("insert or replace into facts values ('source', ?)", (source,))

    def retry_failed(self) -> int:
        """Make failed rows pending again; how many."""
        return self._db.execute(
            "update rows set state='pending', attempt=attempt+1, crashes=0 where state='failed'"
        ).rowcount

    def sent(self, row_id: str, server: str, job_id: str, attempt: int) -> None:
        """A row is about to be queued on a server."""
        self._set(row_id, state=SENT, server=server, job_id=job_id, attempt=attempt)

    def done(self, row_id: str, server: str, files: list[dict[str, Any]], seconds: float | None) -> None:
        """A row's files are in place."""
        self._set(
            row_id, state=DONE, server=server, files=json.dumps(files, ensure_ascii=False), seconds=seconds, error=None
        )

    def failed(self, row_id: str, error: str) -> None:
        """A row cannot be done; why."""
        self._set(row_id, state=FAILED, error=error)

    def crashed(self, row_id: str) -> int:
        """A server fell silent while it had this row; how many have by now."""
        self._db.execute("update rows set crashes = crashes + 1 where id = ?", (row_id,))
        return self._db.execute("select crashes from rows where id = ?", (row_id,)).fetchone()[0]

    def _set(self, row_id: str, **values: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(
            f"update rows set {columns}, updated = ? where id = ?", (*values.values(), time.time(), row_id)
        )

    def open_rows(self) -> list[Record]:
        """Rows without an outcome: in order, those that were sent before behind the others."""
        return list(self._read("where state in ('pending', 'sent') order by state = 'sent', position"))

    def all_rows(self) -> Iterator[Record]:
        """Every row, in order."""
        return self._read("order by position")

    def counts(self) -> dict[str, int]:
        """How many rows are in each state."""
        found = dict(self._db.execute("select state, count(*) from rows group by state"))
        return {state: int(found.get(state, 0)) for state in (PENDING, SENT, DONE, FAILED)}

    def _read(self, rest: str) -> Iterator[Record]:
        query = f"select id, state, attempt, server, job_id, files, error, seconds, crashes from rows {rest}"
        for row_id, state, attempt, server, job_id, files, error, seconds, crashes in self._db.execute(query):
            yield Record(
                row_id,
                state,
                attempt,
                server or "",
                job_id or "",
                tuple(json.loads(files or "[]")),
                error or "",
                seconds,
                crashes,
            )
