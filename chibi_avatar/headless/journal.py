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

PENDING, SENT, DONE, FAILED = "pending", "sent", "done", "failed"

_SCHEMA = """
create table if not exists facts (name text primary key, value text not null);
create table if not exists rows (
    id text primary key, position integer not null, fingerprint text not null, state text not null,
    attempt integer not null default 0, server text, job_id text, files text, error text, seconds real, updated real
);
create index if not exists rows_by_state on rows (state, position);
"""


@dataclass(frozen=True)
class Record:
    """A row's entry. ``files`` are names in the output folder with their sha256."""

    id: str
    state: str
    attempt: int = 0
    server: str = ""
    job_id: str = ""
    files: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    error: str = ""
    seconds: float | None = None


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
        self._db.execute("insert or ignore into facts values ('batch', ?)", (uuid.uuid4().hex,))

    @property
    def batch_id(self) -> str:
        """A name for this batch that no other has; job ids are made from it."""
        return self._db.execute("select value from facts where name = 'batch'").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def prepare(self, rows: Iterable[tuple[str, str]]) -> None:
        """Take in the batch's rows as (id, fingerprint), in order.

        What is known stays, but a row whose fingerprint changed begins again; rows that are no longer asked for are
        dropped.
        """
        wanted = [(row_id, position, fingerprint) for position, (row_id, fingerprint) in enumerate(rows)]
        self._db.execute("begin immediate")
        self._db.execute("create temp table wanted (id text primary key, position integer, fingerprint text)")
        self._db.executemany("insert into wanted values (?, ?, ?)", wanted)
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

    def retry_failed(self) -> int:
        """Make failed rows pending again; how many."""
        return self._db.execute("update rows set state='pending', attempt=attempt+1 where state='failed'").rowcount

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

    def _set(self, row_id: str, **values: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(
            f"update rows set {columns}, updated = ? where id = ?", (*values.values(), time.time(), row_id)
        )

    def open_rows(self) -> list[Record]:
        """Rows without an outcome, in order."""
        return list(self._read("where state in ('pending', 'sent') order by position"))

    def all_rows(self) -> Iterator[Record]:
        """Every row, in order."""
        return self._read("order by position")

    def counts(self) -> dict[str, int]:
        """How many rows are in each state."""
        found = dict(self._db.execute("select state, count(*) from rows group by state"))
        return {state: int(found.get(state, 0)) for state in (PENDING, SENT, DONE, FAILED)}

    def _read(self, rest: str) -> Iterator[Record]:
        query = f"select id, state, attempt, server, job_id, files, error, seconds from rows {rest}"
        for row_id, state, attempt, server, job_id, files, error, seconds in self._db.execute(query):
            yield Record(
                row_id,
                state,
                attempt,
                server or "",
                job_id or "",
                tuple(json.loads(files or "[]")),
                error or "",
                seconds,
            )
