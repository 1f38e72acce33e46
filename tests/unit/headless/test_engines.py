"""What every engine promises a batch, on the servers of this process and, with ``CHIBI_TEST_ENGINE=ray``, on Ray
actors (tests/oracle/test_ray.py runs it so).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest
from chibi_testing.fake_comfy import OBJECT_INFO, FakeComfy, echo_prompt

from chibi_avatar.commands import batch as batch_command
from chibi_avatar.headless.batch import Batch, Report, plan
from chibi_avatar.headless.engines import Worker
from chibi_avatar.headless.engines.local import LocalWorker
from chibi_avatar.headless.errors import PromptRejected, ServerUnreachable
from chibi_avatar.headless.journal import Journal, Record
from chibi_avatar.headless.rows import Row

ON_RAY = os.environ.get("CHIBI_TEST_ENGINE") == "ray"
MAPPING = {"text": "Say.text", "photo": "Say.photo"}


def workers_for(urls: list[str]) -> list[Worker]:
    if ON_RAY:
        from chibi_avatar.headless.engines.ray_engine import ray_workers

        return list(ray_workers(urls, patience=0.5))
    return [LocalWorker(url, patience=0.5) for url in urls]


def kill(worker: Worker, fake: FakeComfy) -> None:
    """What this engine fears most: the actor's process dies, or the server forgets everything."""
    if ON_RAY:
        worker._ray.kill(worker.actor, no_restart=False)
    else:
        fake.crash()


def run(rows: list[Row], fakes: list[FakeComfy], out: Path, on_row=None, revive: float = 20.0) -> Report:
    async def work() -> Report:
        workers = workers_for([fake.url for fake in fakes])
        for worker in workers:
            await worker.start()
        names = {column for row in rows for column in row.values}
        mapping = {column: address for column, address in MAPPING.items() if column in names}
        batch = Batch(plan(echo_prompt(), rows, mapping, OBJECT_INFO, base=out.parent), workers, out, revive=revive)
        try:
            return await batch.run(None if on_row is None else lambda *event: on_row(workers, *event))
        finally:
            for worker in workers:
                await worker.close()
            batch.journal.close()

    return asyncio.run(work())


def rows_of(count: int) -> list[Row]:
    return [Row(f"{n:04d}", {"text": f"row {n}"}) for n in range(count)]


@pytest.fixture
def fakes():
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(FakeComfy(seconds=0.02)) for _ in range(3)]


def outcome(out: Path) -> list[Record]:
    journal = Journal(out / "batch.sqlite")
    try:
        return list(journal.all_rows())
    finally:
        journal.close()


def test_sixty_rows_on_three_servers_one_killed(fakes, tmp_path):
    """A machine that dies at night would take its rows with it."""
    killed = []

    def watch(workers, row_id, record, counts):
        if counts.get("done", 0) >= 10 and not killed:
            killed.append(workers[1].name)
            kill(workers[1], fakes[1])

    report = run(rows_of(60), fakes, tmp_path / "out", watch)
    assert killed and report.counts == {"pending": 0, "sent": 0, "done": 60, "failed": 0}
    for number, record in enumerate(outcome(tmp_path / "out")):
        (file,) = record.files
        assert json.loads((tmp_path / "out" / file["file"]).read_bytes())["text"] == f"row {number}"
    assert len(list((tmp_path / "out").glob("*.json"))) == 60


def test_a_server_that_is_gone_for_good_is_drained(fakes, tmp_path):
    """Its rows would wait for a machine that nobody switches on again."""
    fakes[1].die_after = 3
    report = run(rows_of(30), fakes[:2], tmp_path / "out", revive=0.3)
    assert report.counts["done"] == 30 and sum(fakes[1].runs.values()) == 3


def test_photos_go_out_and_bad_rows_come_back_with_their_reason(fakes, tmp_path):
    """Every row would be told as “the worker failed”."""
    (tmp_path / "me.png").write_bytes(b"\x89PNG photo")
    rows = [
        Row("good", {"text": "fine", "photo": "me.png"}),
        Row("bang", {"text": "explode"}),
        Row("nophoto", {"text": "x", "photo": "missing.jpg"}),
    ]
    report = run(rows, fakes[:1], tmp_path / "out")
    assert report.counts == {"pending": 0, "sent": 0, "done": 1, "failed": 2}
    assert list(fakes[0].inputs.values()) == [b"\x89PNG photo"]
    records = {record.id: record for record in outcome(tmp_path / "out")}
    assert "it exploded" in records["bang"].error and "missing.jpg" in records["nophoto"].error


def test_a_second_run_does_only_what_is_left(fakes, tmp_path):
    """After a stop everything would be paid for again."""
    run(rows_of(12), fakes[:1], tmp_path / "out")
    run(rows_of(20), fakes[:1], tmp_path / "out")
    assert sum(fakes[0].runs.values()) == 20
    assert [record.state for record in outcome(tmp_path / "out")] == ["done"] * 20


def test_errors_keep_their_kind_and_their_words(fakes, tmp_path):
    """Over a process border an exception could arrive as a stranger, and the batch would take it for a dead server."""

    async def ask(worker: Worker) -> None:
        job = plan(echo_prompt(), rows_of(1), {}, OBJECT_INFO, base=tmp_path).job(
            rows_of(1)[0], "0" * 8 + "-0000" * 3 + "-" + "0" * 12
        )
        try:
            assert await worker.alive() and "Echo" in await worker.object_info()
            fakes[0].reject = _refuse
            with pytest.raises(PromptRejected) as caught:
                await worker.run(job, tmp_path)
            assert caught.value.problems[0].title == "Save" and "「Save」" in caught.value.text("zh")
        finally:
            await worker.close()

    (worker,) = workers_for([fakes[0].url])
    asyncio.run(ask(worker))


def _refuse(body):
    from aiohttp import web

    error = {"type": "required_input_missing", "details": "value", "extra_info": {"input_name": "value"}}
    errors = {"2": {"errors": [error], "dependent_outputs": ["2"], "class_type": "Save"}}
    return web.json_response({"error": {"type": "x"}, "node_errors": errors}, status=400)


def test_the_command_runs_on_this_engine(fakes, tmp_path, capsys):
    """`batch --engine ray` would fail where the library works."""
    (tmp_path / "rows.jsonl").write_text('{"id": "ann", "text": "hello"}\n', encoding="utf-8")
    (tmp_path / "w.json").write_text(json.dumps(echo_prompt()), encoding="utf-8")
    parser = argparse.ArgumentParser()
    batch_command.add_arguments(parser)
    words = [str(tmp_path / "rows.jsonl"), "--workflow", str(tmp_path / "w.json"), "--map", "text=Say.text", "--json"]
    words += ["--servers", fakes[0].url, "--engine", "ray" if ON_RAY else "local", "--out", str(tmp_path / "out")]
    assert batch_command.run(parser.parse_args(words)) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 1
    assert json.loads((tmp_path / "out" / "ann_avatar.json").read_bytes())["text"] == "hello"


def test_nobody_home_is_told_as_such(tmp_path):
    """“Connection refused” inside a pickled traceback helps nobody."""

    async def ask() -> None:
        (worker,) = workers_for(["http://127.0.0.1:9"])
        try:
            with pytest.raises(ServerUnreachable):
                await worker.start()
            assert not await worker.alive()
        finally:
            await worker.close()

    asyncio.run(ask())
