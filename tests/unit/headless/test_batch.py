"""Many rows: each ends exactly once, whatever is killed, however the servers behave."""

from __future__ import annotations

import argparse
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
from aiohttp import web
from chibi_testing.fake_comfy import OBJECT_INFO, FakeComfy, echo_prompt

from chibi_avatar.commands import batch as batch_command
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
        ("h.csv", "sep=;\r\nid;text;;\r\nx;a, b;;;\r\n;;\r\n", 1),
        ("i.csv", '"sep=|"\nid|text\nx|a;b\n', 1),
        ("j.jsonl", '{"text": "one\u2028two\u0085three"}\n{"text": "b"}\n', 2),
        ("k.yaml", "rows: [{id: ann, text: a}, {id: bob, text: b}]\ngrid: {seed: [1, 2, 3]}", 6),
        ("l.yaml", "grid: {id: [ann, bob], text: [a, b]}", 4),
    ],
)
def test_rows_from_every_kind_of_file(name, text, count, tmp_path):
    """Tables come from spreadsheets, scripts and hands; each has its own quirks (BOM, semicolons, quotes)."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    rows = load_rows(tmp_path / name)
    assert len(rows) == count and len({row.id for row in rows}) == count
    assert all(row.values["text"] for row in rows)


def test_a_table_from_a_chinese_windows(tmp_path, monkeypatch):
    """Excel there saves GBK; an accent in another encoding is no Chinese character, and is told."""
    (tmp_path / "gbk.csv").write_bytes("id,text\r\n小红,粉色双马尾、穿校服的女孩\r\n".encode("gbk"))
    (row,) = load_rows(tmp_path / "gbk.csv")
    assert row.values["text"] == "粉色双马尾、穿校服的女孩"
    monkeypatch.setenv("CHIBI_LANG", "en")
    (tmp_path / "latin.csv").write_bytes("id,text\nAndrés,a boy\n".encode("cp1252"))
    with pytest.raises(InputError, match="not UTF-8"):
        load_rows(tmp_path / "latin.csv")


def test_ids_are_what_the_table_says(tmp_path):
    """Files under other names than the person gave cannot be found again."""
    (tmp_path / "a.json").write_text('[{"id": 0, "text": "a"}, {"id": 7, "text": "b"}, {"text": "c"}]')
    assert [row.id for row in load_rows(tmp_path / "a.json")] == ["0", "7", "0003"]
    (tmp_path / "b.yaml").write_text("rows: [{id: ann, text: x}]\ngrid: {seed: [1, 2]}")
    assert [row.id for row in load_rows(tmp_path / "b.yaml")] == ["ann-1", "ann-2"]


def test_dates_in_yaml_are_texts(tmp_path):
    """“Object of type date is not JSON serializable” would end the batch at its first row."""
    (tmp_path / "a.yaml").write_text("rows: [{text: 2024-05-01}]\ngrid: {seed: [1], photo: [2024-05-02T10:00:00Z]}")
    (row,) = load_rows(tmp_path / "a.yaml")
    assert row.values == {"text": "2024-05-01", "seed": 1, "photo": "2024-05-02T10:00:00Z"}


def test_photos_whose_names_differ_only_in_the_ending(tmp_path):
    """A number made up for one of them must not be another one's name."""
    for name in ("a-3.png", "a.jpg", "a.png", "A.webp"):
        (tmp_path / name).write_bytes(b"x")
    ids = [row.id.casefold() for row in load_rows(tmp_path)]
    assert len(set(ids)) == 4


def test_long_ids_stay_apart_and_leave_room_for_the_name(tmp_path):
    """A sentence as an id fills the whole file name: all rows would write one file, the last one stays."""
    sentence = "一个穿着红色连帽衫戴着圆框眼镜的短发男孩站在樱花树下微笑着向我们挥手，背景是黄昏时分的海边小镇，"
    rows = [{"id": f"{sentence * 2}第{n}张", "text": f"row {n}"} for n in range(3)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    loaded = load_rows(tmp_path / "a.json")
    assert all(len(row.id.encode()) <= 100 for row in loaded)
    with FakeComfy() as fake:
        run_batch(loaded, [fake.url], tmp_path / "out")
    check_every_row_once(loaded, tmp_path / "out")
    assert all(path.name.endswith("_avatar.json") for path in (tmp_path / "out").glob("*.json"))


def test_rows_whose_names_run_together_keep_their_own_files(tmp_path):
    """Row “a” with chibi_front and row “a_chibi” with front: one file, and one of the two people gets the other's."""
    rows = [
        Row("a", {"text": "row 1", "prefix": "chibi_front"}),
        Row("a_chibi", {"text": "row 2", "prefix": "front"}),
        Row("A", {"text": "row 3", "prefix": "chibi_FRONT"}),
    ]
    with FakeComfy() as fake:
        run_batch(rows, [fake.url], tmp_path / "out", {**MAPPING, "prefix": "Save.filename_prefix"})
        check_every_row_once(rows, tmp_path / "out")
        rows[0] = Row("a", {"text": "again", "prefix": "chibi_front"})
        run_batch(rows, [fake.url], tmp_path / "out", {**MAPPING, "prefix": "Save.filename_prefix"})
    check_every_row_once(rows, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".row-*"))


def test_texts_that_begin_with_an_at_sign(tmp_path):
    """Prompts begin with the tags of artists; only what ends like a file is one that is missing."""
    (tmp_path / "lines").write_bytes(b"from a file")
    rows = [
        Row("tag", {"text": "@wlop, 1girl"}),
        Row("escaped", {"text": "@@lines"}),
        Row("long", {"text": "@wlop " + "very " * 100}),
        Row("zero", {"text": "@a\0b"}),
        Row("typo", {"text": "@mee.png"}),
    ]
    with FakeComfy() as fake:
        report = run_batch(rows, [fake.url], tmp_path / "out")
        assert set(fake.runs) == {"@wlop, 1girl", "@lines", rows[2].values["text"], "@a\0b"}
    assert report.counts["failed"] == 1


def test_a_photo_that_the_server_has_can_be_named(tmp_path):
    """What works in run would be “no such file” in a table."""
    rows = [Row("there", {"text": "a", "photo": "x.png"}), Row("sent", {"text": "b", "photo": "@x.png"})]
    with FakeComfy() as fake:
        report = run_batch(rows, [fake.url], tmp_path / "out", {**MAPPING, "photo": "Say.photo"})
    assert (report.counts["done"], report.counts["failed"]) == (1, 1)
    assert json.loads((tmp_path / "out" / "there_avatar.json").read_bytes())["photo"] == "x.png"


def command(*words: object) -> int:
    parser = argparse.ArgumentParser()
    batch_command.add_arguments(parser)
    return batch_command.run(parser.parse_args([str(word) for word in words]))


def test_a_second_table_does_not_replace_the_pictures_of_the_first(tmp_path, capsys, monkeypatch):
    """--out was forgotten: last night's four hundred avatars would be gone without a word."""
    monkeypatch.setenv("CHIBI_LANG", "en")
    one, two, workflow, out = (tmp_path / name for name in ("one.jsonl", "two.jsonl", "w.json", "out"))
    one.write_text('{"text": "a"}\n{"text": "b"}\n')
    two.write_text('{"text": "c"}\n')
    workflow.write_text(json.dumps(echo_prompt()))
    with FakeComfy() as fake:
        words = ("--workflow", workflow, "--map", "text=Say.text", "--servers", fake.url, "--out", out)
        assert command(one, *words) == 0
        results_of_one = (out / "results.jsonl").read_bytes()
        assert command(two, *words, "--retry-failed") == 2
        assert (out / "results.jsonl").read_bytes() == results_of_one
        told = capsys.readouterr().err
        assert "--out DIR" in told and "--fresh" in told and "one.jsonl" in told
        assert sorted(path.name for path in out.glob("0*")) == ["0001_avatar.json", "0002_avatar.json"]
        # The same table, longer and with a change, and a copy of it, are no other batch.
        one.write_text('{"text": "a"}\n{"text": "B"}\n{"text": "d"}\n')
        assert command(one, *words) == 0
        one.rename(two)
        assert command(two, *words) == 0
        assert fake.runs == {"a": 1, "b": 1, "B": 1, "d": 1}
        one.write_text('{"text": "c"}\n')
        assert command(one, *words, "--fresh") == 0


def test_a_batch_goes_on_under_the_date_of_its_first_run(tmp_path, monkeypatch):
    """A workflow that saves under today's date would begin the whole batch again after midnight."""
    info = {**OBJECT_INFO, "SaveImage": OBJECT_INFO["Save"]}

    class Server(FakeComfy):
        async def _info(self, _):
            return web.json_response(info)

    def saver(number: int, kind: str, link: int, prefix: str) -> dict:
        value = {"name": "value", "type": "TEXT", "link": link}
        return {"id": number, "type": kind, "inputs": [value], "widgets_values": [prefix]}

    echo = {"id": 1, "type": "Echo", "title": "Say", "outputs": [{"name": "TEXT", "type": "TEXT", "links": [1, 2]}]}
    echo["widgets_values"] = ["", 1, "fixed", 1.0, "a.safetensors"]
    nodes = [echo, saver(2, "Save", 1, "avatar"), saver(3, "SaveImage", 2, "%date:yyyy-MM-dd%/avatar")]
    canvas = {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "TEXT"], [2, 1, 0, 3, 0, "TEXT"]]}
    (tmp_path / "w.json").write_text(json.dumps(canvas))
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    with Server() as fake:
        words = (tmp_path / "rows.jsonl", "--workflow", tmp_path / "w.json", "--map", "text=Say.text")
        words += ("--servers", fake.url, "--out", tmp_path / "out", "--no-sheet")
        assert command(*words) == 0
        today = time.localtime
        monkeypatch.setattr(time, "localtime", lambda *when: today(*(when or (time.time() + 86400.0,))))
        assert command(*words) == 0
        assert fake.runs == {"a": 1, "b": 1}


def test_results_are_told_although_a_spreadsheet_holds_the_old_ones(tmp_path, capsys):
    """A traceback after eight hours, because the table is open in Excel."""
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "w.json").write_text(json.dumps(echo_prompt()))
    # Nothing can be renamed over a folder, as over an open file on Windows.
    for name in ("results.csv", "contact_sheet.png"):
        (tmp_path / "out" / name / "open").mkdir(parents=True)
    with FakeComfy() as fake:
        words = (tmp_path / "rows.jsonl", "--workflow", tmp_path / "w.json", "--map", "text=Say.text", "--json")
        assert command(*words, "--servers", fake.url, "--out", tmp_path / "out") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["done"] == 1 and "results-2.csv" in told.err
    assert b"0001,done" in (tmp_path / "out" / "results-2.csv").read_bytes()


def test_a_folder_of_photos_and_a_hundred_thousand_rows(tmp_path):
    """Both are how people start: a folder from the phone, and a table from a game's database."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("小明.JPG", "b.png", "notes.txt", ".hidden.png"):
        (folder / name).write_bytes(b"x")
    assert [row.id for row in load_rows(folder)] == ["b", "小明"]
    big = tmp_path / "big.csv"
    big.write_text("text,seed\n" + "".join(f"row {n},{n}\n" for n in range(100_000)))
    started = time.process_time()
    rows = load_rows(big)
    assert len(rows) == 100_000 and time.process_time() - started < 5


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
