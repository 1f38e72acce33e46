"""Servers that hang, lack what others have, are sick or die: what a batch makes of each of them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import copy
import json
import sqlite3
from pathlib import Path

import pytest
from aiohttp import web
from chibi_testing.fake_comfy import OBJECT_INFO, FakeComfy, echo_prompt

from chibi_avatar.commands import batch as batch_command
from chibi_avatar.headless.batch import MAX_CRASHES, Batch, Report, plan
from chibi_avatar.headless.engines import local
from chibi_avatar.headless.engines.local import LocalWorker, OwnWorker
from chibi_avatar.headless.errors import ServerUnreachable
from chibi_avatar.headless.journal import Journal, Record
from chibi_avatar.headless.rows import Row

MAPPING = {"text": "Say.text", "model": "Say.model"}


class Timed(FakeComfy):
    """Takes as long as its texts say (``0.2 s``) and ends a cancelled job at once, unless ``deaf``; dies of the text
    ``poison``.
    """

    def __init__(self, *, deaf: bool = False, sick: bool = False, **more):
        super().__init__(**more)
        self.deaf, self.sick, self.cancelled, self.dead = deaf, sick, 0, False

    async def _work(self) -> None:
        while True:
            job_id = await self._next()
            job = self.jobs[job_id]
            if job["status"] != "pending":
                continue
            job["status"] = "in_progress"
            echo = next(n["inputs"] for n in job["prompt"].values() if n["class_type"] == "Echo")
            if echo["text"] == "poison":
                self.dead = True
                await self._runner.cleanup()
                return
            left = float(echo["text"].split(" s")[0]) if " s" in echo["text"] else 0.0
            while left > 0 and job["status"] == "in_progress":
                await asyncio.sleep(0.01)
                left -= 0.01
            if job["status"] == "in_progress":
                self._complete(job_id, job, {**echo, "text": "explode"} if self.sick else echo)

    async def _cancel(self, request: web.Request) -> web.Response:
        self.cancelled += 1
        return web.json_response({"cancelled": True}) if self.deaf else await super()._cancel(request)


def refusing(kind: str, name: str = "", value: str = ""):
    """A ``reject`` for jobs whose input ``name`` is ``value`` (any job without a name)."""

    def reject(body):
        if name and body["prompt"]["1"]["inputs"][name] != value:
            return None
        extra = {"input_name": name, "received_value": value, "class_type": "Echo", "node_id": "1"}
        if not name:
            return web.json_response({"error": {"type": kind, "extra_info": extra}, "node_errors": {}}, status=400)
        error = {"type": kind, "details": value, "extra_info": extra}
        return web.json_response({"error": {}, "node_errors": {"1": {"errors": [error]}}}, status=400)

    return reject


def run(rows, workers, out: Path, timeout=None, revive=0.2, batch_plan=None) -> Report:
    names = {name for row in rows for name in row.values}
    mapping = {name: address for name, address in MAPPING.items() if name in names}
    made = batch_plan or plan(echo_prompt(), rows, mapping, OBJECT_INFO, base=out.parent, timeout=timeout)

    async def work() -> Report:
        batch = Batch(made, workers, out, revive=revive)
        try:
            return await batch.run()
        finally:
            for worker in workers:
                await worker.close()
            batch.journal.close()

    return asyncio.run(work())


def workers_of(*fakes: FakeComfy) -> list[LocalWorker]:
    return [LocalWorker(fake.url, patience=0.2) for fake in fakes]


def rows_of(count: int, text=lambda n: f"row {n}", **columns) -> list[Row]:
    return [Row(f"{n:04d}", {"text": text(n), **{k: v(n) for k, v in columns.items()}}) for n in range(count)]


def records(out: Path) -> dict[str, Record]:
    journal = Journal(out / "batch.sqlite")
    try:
        return {record.id: record for record in journal.all_rows()}
    finally:
        journal.close()


def states(out: Path) -> dict[str, str]:
    return {name: record.state for name, record in records(out).items()}


# --- time limits -----------------------------------------------------------------------------------------------------


def test_the_time_limit_does_not_count_the_wait_in_the_queue(tmp_path):
    """Every second row would fail for having waited for its neighbour."""
    with Timed() as fake:
        report = run(rows_of(5, lambda n: f"0.4 s {n}"), workers_of(fake), tmp_path / "out", timeout=1.2)
    assert report.counts["done"] == 5


def test_a_row_over_the_limit_is_taken_off_its_server(tmp_path):
    """One hung row would keep the server, and the rest of the night would fail with it."""
    with Timed() as fake:
        rows = rows_of(6, lambda n: "60 s" if n == 1 else f"row {n}")
        report = run(rows, workers_of(fake), tmp_path / "out", timeout=0.8)
    assert (report.counts["done"], report.counts["failed"], fake.cancelled) == (5, 1, 1)
    error = records(tmp_path / "out")["0001"].error
    assert "0.8 s" in error and ("was stopped" in error or "已停止" in error)


def test_a_server_that_does_not_let_go_of_a_job_is_left(tmp_path, monkeypatch):
    """The rows behind the hung one would wait for ever."""
    monkeypatch.setattr(local, "STOP_SECONDS", 0.1)
    with Timed(deaf=True) as one, Timed(deaf=True) as other:
        # the others take long enough that some are left when the hung one is given up
        rows = rows_of(8, lambda n: "60 s" if n == 1 else "0.5 s")
        report = run(rows, workers_of(one, other), tmp_path / "out", timeout=1.5)
    assert (report.counts["done"], report.counts["failed"]) == (7, 1)
    assert report.lost_servers in ([one.url], [other.url])


# --- servers that differ ---------------------------------------------------------------------------------------------


def test_rows_go_where_their_model_is(tmp_path):
    """A machine without one of the checkpoints would fail half of the table in a second."""
    rows = rows_of(40, model=lambda n: "ab"[n % 2] + ".safetensors")
    with Timed() as full, Timed() as poor:
        poor.reject = refusing("value_not_in_list", "model", "b.safetensors")
        report = run(rows, workers_of(full, poor), tmp_path / "out")
        assert report.counts["done"] == 40 and sum(poor.runs.values()) > 0


def test_a_server_without_the_nodes_is_left(tmp_path):
    """Each row would be offered to it, and fail."""
    with Timed() as good, Timed() as bare:
        bare.reject = refusing("missing_node_type")
        report = run(rows_of(20), workers_of(good, bare), tmp_path / "out")
    assert report.counts["done"] == 20 and report.lost_servers == [bare.url]


def test_a_value_that_no_server_has_fails_its_row_alone(tmp_path):
    """A misspelt model in one row must neither go in circles nor cost a server."""
    rows = rows_of(10, model=lambda n: "x.safetensors" if n == 3 else "a.safetensors")
    with Timed() as one, Timed() as other:
        one.reject = other.reject = refusing("value_not_in_list", "model", "x.safetensors")
        report = run(rows, workers_of(one, other), tmp_path / "out")
    assert (report.counts["done"], report.counts["failed"], report.lost_servers) == (9, 1, [])
    assert "x.safetensors" in records(tmp_path / "out")["0003"].error


def test_rows_wait_for_the_only_server_that_can_run_them(tmp_path):
    """Its machine was off for an hour: the rows must be there for the next run, not failed."""
    rows = rows_of(12, model=lambda n: "ab"[n % 2] + ".safetensors")
    with Timed() as poor, Timed() as full:
        poor.reject = refusing("value_not_in_list", "model", "b.safetensors")
        full.faults = {"refuse": 1.0}
        with pytest.raises(ServerUnreachable, match="6 rows are left"):
            run(rows, workers_of(poor, full), tmp_path / "out")
        assert set(states(tmp_path / "out").values()) <= {"done", "pending", "sent"}
        full.faults = {}
        assert run(rows, workers_of(poor, full), tmp_path / "out").counts["done"] == 12


def test_a_sick_server_does_not_fail_the_batch(tmp_path):
    """A GPU that raises in five milliseconds would eat the whole table before the healthy one has done ten rows."""
    rows = rows_of(20, lambda n: "explode" if n == 5 else f"0.01 s {n}")
    with Timed() as good, Timed(sick=True) as sick:
        report = run(rows, workers_of(good, sick), tmp_path / "out")
    assert (report.counts["done"], report.counts["failed"]) == (19, 1)
    assert "it exploded" in records(tmp_path / "out")["0005"].error


def test_servers_that_lack_a_model_are_left_out_before_the_start(tmp_path, capsys):
    """The person would learn of the forgotten download from the last log line, or never."""
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n', encoding="utf-8")
    (tmp_path / "w.json").write_text(json.dumps(echo_prompt()), encoding="utf-8")
    info = copy.deepcopy(OBJECT_INFO)
    info["Echo"]["input"]["required"]["model"][0] = ["z.safetensors"]

    class Poor(FakeComfy):
        async def _info(self, _):
            return web.json_response(info)

    with Poor() as poor, FakeComfy() as full:
        words = [str(tmp_path / "rows.jsonl"), "--workflow", str(tmp_path / "w.json"), "--map", "text=Say.text"]
        words += ["--servers", f"{poor.url},{full.url}", "--out", str(tmp_path / "out"), "--json"]
        parser = argparse.ArgumentParser()
        batch_command.add_arguments(parser)
        assert batch_command.run(parser.parse_args(words)) == 0
        assert poor.posted == 0 and full.posted == 2
    told = capsys.readouterr().err
    assert "Left out" in told and poor.url in told and "a.safetensors" in told


# --- servers that die ------------------------------------------------------------------------------------------------


def test_a_row_that_kills_every_server_comes_last_and_is_given_up(tmp_path):
    """With a server for each run, the rows behind a poisoned one would never be done."""
    rows = rows_of(12, lambda n: "poison" if n == 2 else f"row {n}")
    done = []
    for _ in range(MAX_CRASHES):
        with Timed() as fake, contextlib.suppress(ServerUnreachable):
            run(rows, workers_of(fake), tmp_path / "out")
        done.append(list(states(tmp_path / "out").values()).count("done"))
    assert done[2] == 11 and done[1] >= 10
    record = records(tmp_path / "out")["0002"]
    assert record.state == "failed" and f"{MAX_CRASHES}" in record.error


class Process:
    """What :class:`OwnWorker` needs of a started server, around a fake."""

    def __init__(self, stack: contextlib.ExitStack, **options):
        self.fake = stack.enter_context(Timed(**options))
        self.url = self.fake.url

    def alive(self) -> bool:
        return not self.fake.dead

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.fake._runner.cleanup(), self.fake._loop).result(10)
        self.fake.dead = True


def test_a_server_of_ours_that_dies_is_started_again(tmp_path):
    """Out of memory at row 3 would end the night."""
    rows = rows_of(12, lambda n: "poison" if n == 2 else f"row {n}")
    with contextlib.ExitStack() as stack:
        report = run(rows, [OwnWorker(lambda: Process(stack), patience=0.1)], tmp_path / "out", revive=5.0)
    assert (report.counts["done"], report.counts["failed"], report.lost_servers) == (11, 1, [])


def test_a_server_of_ours_that_hangs_is_started_again(tmp_path, monkeypatch):
    """A node that never returns would end the night."""
    monkeypatch.setattr(local, "STOP_SECONDS", 0.1)
    rows = rows_of(5, lambda n: "60 s" if n == 1 else f"row {n}")
    with contextlib.ExitStack() as stack:
        worker = OwnWorker(lambda: Process(stack, deaf=True), patience=0.1)
        report = run(rows, [worker], tmp_path / "out", timeout=0.6, revive=5.0)
    assert (report.counts["done"], report.counts["failed"]) == (4, 1)


# --- coming back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ended", "state", "posted"), [("failed", "failed", 1), ("cancelled", "done", 2)])
def test_a_job_that_ended_while_the_client_was_away(ended, state, posted, tmp_path):
    """It would be sent once more under an id whose old end is told, while the copy runs unseen."""
    rows = [Row("one", {"text": "2 s"})]

    async def leave(fake: FakeComfy) -> None:
        (worker,) = workers_of(fake)
        batch = Batch(plan(echo_prompt(), rows, {"text": "Say.text"}, OBJECT_INFO, base=tmp_path), [worker], tmp_path)
        task = asyncio.create_task(batch.run())
        while not any(job["status"] == "in_progress" for job in fake.jobs.values()):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (job,) = fake.jobs.values()
        job |= {"status": ended, "execution_error": {"node_id": "1", "exception_message": "while away"}}
        await worker.close()
        batch.journal.close()

    with Timed() as fake:
        asyncio.run(leave(fake))
        run(rows, workers_of(fake), tmp_path)
        assert fake.posted == posted
    record = records(tmp_path)["one"]
    assert record.state == state and ("while away" in record.error) == (state == "failed")


def test_a_journal_of_an_older_version_goes_on(tmp_path):
    """After an update, the half-done batch would end in “no such column”."""
    path = tmp_path / "batch.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(
            "create table facts (name text primary key, value text not null);"
            "insert into facts values ('batch', 'b');"
            "create table rows (id text primary key, position integer not null, fingerprint text not null,"
            " state text not null, attempt integer not null default 0, server text, job_id text, files text, error text,"
            " seconds real, updated real);"
            "insert into rows (id, position, fingerprint, state, updated) values ('a', 0, 'f', 'done', 1700000000.5),"
            " ('b', 1, 'g', 'pending', null);"
        )
    journal = Journal(path)
    journal.prepare([("a", "f"), ("b", "g")], "table > workflow")
    assert journal.counts()["done"] == 1 and journal.crashed("b") == 1
    assert [record.crashes for record in journal.open_rows()] == [1] and journal.began == 1700000000.5
    journal.close()


def test_passwords_in_addresses_stay_out_of_results_and_messages(tmp_path):
    """results.csv is mailed to a client, with the key to the studio's GPU in it."""
    seen = []

    async def stats(request):
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({"system": {}})

    with FakeComfy() as fake:
        fake.stats_hook = stats
        address = fake.url.replace("//", "//studio:s3cret@")
        worker = LocalWorker(address, patience=0.1)

        async def start() -> None:
            await worker.start()
            await worker.close()

        asyncio.run(start())
        run(rows_of(2), [worker], tmp_path / "out")
    assert seen and all(header.startswith("Basic ") for header in seen)
    assert worker.name == fake.url and {record.server for record in records(tmp_path / "out").values()} == {fake.url}

    async def nobody() -> None:
        worker = LocalWorker("http://studio:s3cret@127.0.0.1:9", patience=0.0)
        try:
            await worker.start()
        finally:
            await worker.close()

    with pytest.raises(ServerUnreachable) as caught:
        asyncio.run(nobody())
    assert "s3cret" not in caught.value.text("en") and "127.0.0.1:9" in caught.value.text("en")
