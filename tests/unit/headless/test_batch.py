"""Many rows: each ends exactly once, whatever is killed, however the servers behave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from chibi_testing.fake_comfy import OBJECT_INFO, FakeComfy, echo_prompt

from chibi_avatar.headless.batch import Batch, plan, results
from chibi_avatar.headless.engines.local import LocalWorker
from chibi_avatar.headless.errors import InputError, PromptRejected, ServerUnreachable
from chibi_avatar.headless.journal import Journal
from chibi_avatar.headless.outcome import write_results
from chibi_avatar.headless.rows import Row, load_rows
from chibi_avatar.headless.sheet import contact_sheet

MAPPING = {"text": "Say.text"}


def make_rows(count: int, **columns) -> list[Row]:
    return [Row(f"{n:04d}", {"text": f"row {n}", **{k: v(n) for k, v in columns.items()}}) for n in range(count)]


def make_plan(rows, mapping=None, base=Path(".")):
    return plan(echo_prompt(), rows, mapping or MAPPING, OBJECT_INFO, base=base)


def run_batch(rows, urls, out: Path, mapping=None, revive=20.0, patience=5.0):
    async def work():
        workers = [LocalWorker(url, patience=patience) for url in urls]
        batch = Batch(make_plan(rows, mapping, out.parent), workers, out, revive=revive)
        try:
            return await batch.run()
        finally:
            for worker in workers:
                await worker.close()
            batch.journal.close()

    return asyncio.run(work())


def check_every_row_once(rows, out: Path) -> None:
    journal = Journal(out / "batch.sqlite")
    table = results(journal, rows)
    journal.close()
    assert [item["id"] for item in table] == [row.id for row in rows]
    assert Counter(item["state"] for item in table) == {"done": len(rows)}
    for row, item in zip(rows, table, strict=True):
        assert len(item["files"]) == 1
        assert json.loads((out / item["files"][0]).read_bytes())["text"] == row.values["text"]
    made = sorted(p.name for p in out.iterdir() if p.suffix == ".json")
    assert made == sorted(item["files"][0] for item in table)


def test_a_thousand_rows_through_faults(tmp_path):
    """One lost row in a thousand means that the user counts files by hand."""
    rows = make_rows(1000)
    with FakeComfy(faults={"http500": 0.01, "lost_answer": 0.01, "half_json": 0.01, "refuse": 0.005}) as fake:
        report = run_batch(rows, [fake.url], tmp_path / "out")
    assert report.counts["done"] == 1000
    check_every_row_once(rows, tmp_path / "out")


def _child(url: str, count: int, out: str) -> None:
    # The server's listening socket must not live on in the child.
    os.closerange(3, 1024)
    with contextlib.suppress(BaseException):
        run_batch(make_rows(count), [url], Path(out))
    os._exit(0)


def test_fifty_kills_of_client_and_server_lose_nothing(tmp_path):
    """A power cut, an impatient Ctrl-C, a server out of memory: the batch must go on where it was."""
    rows, dice = make_rows(120), random.Random(11)
    context = multiprocessing.get_context("fork")
    with FakeComfy(seconds=0.004) as fake:
        for kill in range(50):
            child = context.Process(target=_child, args=(fake.url, len(rows), str(tmp_path / "out")))
            child.start()
            time.sleep(dice.uniform(0.01, 0.09))
            if kill % 5 == 4:
                fake.crash(down=dice.uniform(0.0, 0.05))
            os.kill(child.pid, signal.SIGKILL)
            child.join(5)
        run_batch(rows, [fake.url], tmp_path / "out")
        twice = sum(count - 1 for count in fake.runs.values())
    check_every_row_once(rows, tmp_path / "out")
    assert twice <= 50


def test_a_dead_server_is_drained(tmp_path):
    """One of two machines switched off at night must not leave half of the rows undone."""
    rows = make_rows(60)
    with FakeComfy(seconds=0.01) as good, FakeComfy(seconds=0.01) as bad:
        bad.die_after = 7
        report = run_batch(rows, [good.url, bad.url], tmp_path / "out", revive=0.3, patience=0.2)
        assert sum(bad.runs.values()) == 7
    assert report.counts["done"] == 60
    check_every_row_once(rows, tmp_path / "out")


def test_with_no_server_left_the_journal_keeps_the_rest(tmp_path):
    """The batch must end in words, not hang, and go on the next morning."""
    rows = make_rows(30)
    with FakeComfy(seconds=0.02) as fake:
        fake.die_after = 5
        with pytest.raises(ServerUnreachable, match="rows are left|30|left"):
            run_batch(rows, [fake.url], tmp_path / "out", revive=0.2, patience=0.1)
    with FakeComfy() as fresh:
        run_batch(rows, [fresh.url], tmp_path / "out")
        assert sum(fresh.runs.values()) < 30
    check_every_row_once(rows, tmp_path / "out")


def test_four_servers_share_the_work_and_keep_their_models(tmp_path):
    """Four machines that each load all checkpoints in turn are slower than one (speed itself:
    tests/bench/bench_headless.py).
    """
    rows = make_rows(48, model=lambda n: "abc"[n % 3] + ".safetensors")
    with contextlib.ExitStack() as stack:
        fakes = [stack.enter_context(FakeComfy(seconds=0.02, load_seconds=0.03)) for _ in range(4)]
        run_batch(rows, [fake.url for fake in fakes], tmp_path / "out", {**MAPPING, "model": "Say.model"})
        assert all(sum(fake.runs.values()) >= 4 for fake in fakes)
        assert sum(fake.switches for fake in fakes) <= 3 + 4
    check_every_row_once(rows, tmp_path / "out")


def test_a_bad_row_is_told_and_the_rest_goes_on(tmp_path):
    """One wrong photo path must not stop the other 999."""
    rows = [
        Row("good", {"text": "fine"}),
        Row("bang", {"text": "explode"}),
        Row("nophoto", {"text": "x", "photo": "missing.jpg"}),
        Row("badseed", {"text": "x", "seed": "many"}),
    ]
    mapping = {"text": "Say.text", "photo": "Say.photo", "seed": "1.seed"}
    with FakeComfy() as fake:
        report = run_batch(rows, [fake.url], tmp_path / "out", mapping)
    assert report.counts == {"pending": 0, "sent": 0, "done": 1, "failed": 3}
    journal = Journal(tmp_path / "out" / "batch.sqlite")
    table = {item["id"]: item for item in results(journal, rows)}
    journal.close()
    assert "it exploded" in table["bang"]["error"]
    assert "missing.jpg" in table["nophoto"]["error"]
    assert "many" in table["badseed"]["error"]
    write_results(list(table.values()), tmp_path / "out")
    assert (tmp_path / "out" / "results.csv").read_bytes().startswith(b"\xef\xbb\xbfid,state")
    sheet = contact_sheet(list(table.values()), tmp_path / "out", tmp_path / "out" / "contact_sheet.png")
    assert sheet is not None and sheet.stat().st_size > 1000


def test_photos_are_uploaded_and_a_changed_row_runs_again(tmp_path):
    """After correcting one row of the table, only that row should cost time."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG a")
    (tmp_path / "b.png").write_bytes(b"\x89PNG b")
    mapping = {"text": "Say.text", "photo": "Say.photo"}
    rows = [Row("1", {"text": "one", "photo": "a.png"}), Row("2", {"text": "two", "photo": "b.png"})]
    with FakeComfy() as fake:
        run_batch(rows, [fake.url], tmp_path / "out", mapping)
        assert len(fake.inputs) == 2
        rows[1] = Row("2", {"text": "zwei", "photo": "b.png"})
        run_batch(rows, [fake.url], tmp_path / "out", mapping)
        assert fake.runs == {"one": 1, "two": 1, "zwei": 1}
    assert json.loads((tmp_path / "out" / "2_avatar.json").read_bytes())["text"] == "zwei"


def test_a_row_that_kills_its_server_every_time_is_given_up(tmp_path):
    """A poisoned row would otherwise restart the server forever."""
    rows = [Row("ok", {"text": "ok"}), Row("poison", {"text": "poison"})]
    with FakeComfy(seconds=0.02) as fake:
        halt = threading.Event()

        def watch():
            while not halt.wait(0.005):
                running = [j for j in list(fake.jobs.values()) if j["status"] == "in_progress"]
                if any(j["prompt"]["1"]["inputs"]["text"] == "poison" for j in running):
                    fake.crash()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            report = run_batch(rows, [fake.url], tmp_path / "out", patience=0.3)
        finally:
            halt.set()
            watcher.join()
    assert report.counts["done"] == 1 and report.counts["failed"] == 1


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("a.csv", '\ufeffid,text\r\n甲,红发\r\n乙,"蓝, 发"\r\n', 2),
        ("b.csv", "id;text\nx;hello\n", 1),
        ("c.tsv", "id\ttext\nx\thello\n", 1),
        ("d.jsonl", '{"text": "a"}\n\n{"text": "b"}\n', 2),
        ("e.json", '[{"text": "a"}]', 1),
        ("f.yaml", "grid: {text: [a, b, c], seed: [1, 2]}", 6),
        ("g.yaml", "rows: [{text: a}, {text: b}]\ngrid: {seed: [1, 2, 3]}", 6),
    ],
)
def test_rows_from_every_kind_of_file(name, text, count, tmp_path):
    """Tables come from spreadsheets, scripts and hands; each has its own quirks (BOM, semicolons, quotes)."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    rows = load_rows(tmp_path / name)
    assert len(rows) == count and len({row.id for row in rows}) == count
    assert all(row.values["text"] for row in rows)


def test_a_folder_of_photos_and_a_hundred_thousand_rows(tmp_path):
    """Both are how people start: a folder from the phone, and a table from a game's database."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("小明.JPG", "b.png", "notes.txt", ".hidden.png"):
        (folder / name).write_bytes(b"x")
    assert [row.id for row in load_rows(folder)] == ["b", "小明"]
    big = tmp_path / "big.csv"
    big.write_text("text,seed\n" + "".join(f"row {n},{n}\n" for n in range(100_000)))
    started = time.monotonic()
    rows = load_rows(big)
    assert len(rows) == 100_000 and time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "id,text\nx,1\nx,2\n", "same id"),
        ("a.csv", "id,id\n1,2\n", "differ"),
        ("a.csv", "a,b\n1,2,3\n", "line 2"),
        ("a.csv", "", "no rows"),
        ("a.jsonl", '{"a": 1}\n{bad\n', "line 2"),
        ("a.yaml", "a: [1", "not YAML"),
        ("a.yaml", "text: hello", "rows and/or grid"),
        ("a.yaml", "grid: {a: [" + "1," * 1100 + "1], b: [" + "1," * 1100 + "1]}", "combinations"),
        ("a.xlsx", "PK", "rows come from"),
    ],
)
def test_bad_tables_are_told_by_line(name, text, words, tmp_path, monkeypatch):
    """“List index out of range” does not say which of 5,000 lines has a comma too many."""
    monkeypatch.setenv("CHIBI_LANG", "en")
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        load_rows(tmp_path / name)


def test_hostile_row_ids_stay_in_the_folder(tmp_path):
    """A table from a stranger must not be able to name ../../.bashrc."""
    (tmp_path / "a.jsonl").write_text('{"id": "../../evil", "text": "a"}\n{"id": "con", "text": "b"}\n')
    rows = load_rows(tmp_path / "a.jsonl")
    assert all("/" not in row.id and not row.id.startswith(".") for row in rows)
    with FakeComfy() as fake:
        run_batch(rows, [fake.url], tmp_path / "out")
    assert {p.parent for p in tmp_path.rglob("*.json")} == {tmp_path / "out"}


def test_mappings_that_do_not_fit_are_refused_at_once():
    """A misspelt column would make a thousand identical pictures."""
    rows = make_rows(2)
    with pytest.raises(InputError):
        make_plan(rows, {"txt": "Say.text"})
    with pytest.raises(InputError):
        make_plan(rows, {"text": "Say.txet"})
    with pytest.raises(InputError):
        make_plan(rows, {"text": "Nobody.text"})
    prompt = echo_prompt()
    prompt["1"]["class_type"] = "Unheard"
    with pytest.raises(PromptRejected, match="Unheard"):
        plan(prompt, rows, {}, OBJECT_INFO, base=Path("."))
