"""Run a workflow over many rows, on any number of servers. Killed at any moment, run again, it goes on where it was."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import DONE, FAILED, UsageError

ENVIRONMENT = "runtime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rows", type=Path, help="rows: .csv, .tsv, .jsonl, .json, .yaml, or a folder of pictures")
    parser.add_argument(
        "--workflow", required=True, metavar="W", help="a workflow file, or one that comes with the pack"
    )
    parser.add_argument(
        "--map", action="append", default=[], metavar="COLUMN=NODE.INPUT", dest="mapping",
        help="fill an input from a column, such as who=Words.description",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NODE.INPUT=VALUE", dest="values",
        help="change a value for all rows; as in run",
    )  # fmt: skip
    parser.add_argument(
        "--mute", action="append", default=[], metavar="NODE", help="leave a node out, and what cannot do without it"
    )
    parser.add_argument("--servers", metavar="U1,U2", help="running servers (default: start one)")
    parser.add_argument("--spawn", type=int, metavar="N", help="start N servers on this machine (Ray: one per actor)")
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="who runs the jobs (default: local)"
    )
    parser.add_argument("--ray-address", metavar="A", help="a Ray cluster's address (default: Ray on this machine)")
    parser.add_argument(
        "--out", type=Path, default=Path("output/batch"), metavar="DIR",
        help="where files and results go (default: output/batch)",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="only go on with a batch that is already in --out")
    parser.add_argument("--retry-failed", action="store_true", help="try failed rows again")
    parser.add_argument("--fresh", action="store_true", help="forget what is in --out and begin again")
    parser.add_argument("--dry-run", action="store_true", help="show what would run, run nothing")
    parser.add_argument("--timeout", type=float, metavar="S", help="give a row up after so many seconds")
    parser.add_argument("--previews", action="store_true", help="fetch preview images too")
    parser.add_argument("--no-sheet", action="store_true", help="no contact sheet")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def check(arguments: argparse.Namespace) -> None:
    from ..headless.errors import HeadlessError
    from ..headless.workflow import find, load

    if not arguments.rows.exists():
        raise UsageError(f"{arguments.rows} does not exist.")
    for name, items in (("--map", arguments.mapping), ("--set", arguments.values)):
        for item in items:
            if "=" not in item:
                raise UsageError(
                    f"{name} {item!r}: write {'column=node.input' if name == '--map' else 'node.input=value'}."
                )
    if arguments.fresh and arguments.resume:
        raise UsageError("--fresh and --resume contradict each other.")
    if arguments.resume and not (arguments.out / "batch.sqlite").is_file():
        raise UsageError(f"--resume: there is no batch in {arguments.out}.")
    if arguments.spawn is not None and arguments.spawn < 1:
        raise UsageError("--spawn must be at least 1.")
    try:
        load(find(arguments.workflow))
    except HeadlessError as error:
        raise UsageError(str(error)) from error


def run(arguments: argparse.Namespace) -> int:
    from ..headless.errors import HeadlessError
    from ..headless.rows import load_rows
    from ..setup.locking import exclusive
    from ..setup.process import run_async
    from ..setup.progress import say

    try:
        rows = load_rows(arguments.rows)
        arguments.out.mkdir(parents=True, exist_ok=True)
        with exclusive(arguments.out / ".batch.lock"), contextlib.ExitStack() as stack:
            if arguments.fresh:
                for name in ("batch.sqlite", "batch.sqlite-wal", "batch.sqlite-shm"):
                    (arguments.out / name).unlink(missing_ok=True)
            workers = _workers(arguments, stack)
            code, report = run_async(_work(arguments, rows, workers))
    except HeadlessError as error:
        say(str(error))
        if arguments.json:
            failure = {"ok": False, "error": error.text("en"), "kind": error.key, "exit_code": error.exit_code}
            sys.stdout.write(json.dumps(failure, ensure_ascii=False) + "\n")
        return error.exit_code
    if arguments.json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2, default=str) + "\n")
    return code


def _workers(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> list[Any]:
    urls = [url.strip() for url in (arguments.servers or "").split(",") if url.strip()]
    if arguments.engine == "ray":
        from ..headless.engines.ray_engine import ray_workers

        return ray_workers(urls, spawn=arguments.spawn or 1, address=arguments.ray_address)
    from ..headless.engines.local import LocalWorker, OwnWorker
    from ..models.locate import server_arguments
    from ..setup.progress import say
    from ..setup.server import running

    if not urls:
        count = arguments.spawn or 1
        say(f"Starting {count} ComfyUI server{'s' if count > 1 else ''} ...")
        return [OwnWorker(lambda: stack.enter_context(running(arguments=server_arguments()))) for _ in range(count)]
    return [LocalWorker(url) for url in dict.fromkeys(urls)]


async def _work(arguments: argparse.Namespace, rows: list[Any], workers: list[Any]) -> tuple[int, dict[str, Any]]:
    from ..headless.batch import Batch
    from ..headless.journal import Journal

    started = await _start(workers)
    try:
        file = arguments.out / "batch.sqlite"
        journal = Journal(file) if file.is_file() or not arguments.dry_run else None
        # A batch that goes on tomorrow keeps today's date in its file names.
        now = time.localtime(journal.began) if journal else None
        plan, fit = await _planned(arguments, rows, started, now)
        if arguments.dry_run:
            return DONE, _dry_run(plan, fit)
        return await _finish(arguments, Batch(plan, fit, arguments.out, journal=journal))
    finally:
        for worker in workers:
            await worker.close()


async def _start(workers: list[Any]) -> list[Any]:
    from ..headless.errors import BadReply, ServerUnreachable
    from ..setup.progress import say

    started, problem = [], None
    for worker in workers:
        try:
            await worker.start()
            started.append(worker)
        except (ServerUnreachable, BadReply) as error:
            problem = error
            say(f"Left out: {error}")
    if not started:
        assert problem is not None
        raise problem
    return started


async def _planned(
    arguments: argparse.Namespace, rows: list[Any], workers: list[Any], now: time.struct_time | None
) -> tuple[Any, list[Any]]:
    """The plan, and the workers that have what every row needs (all of them if none has)."""
    from ..headless.errors import HeadlessError, PromptRejected
    from ..headless.workflow import with_model_hints
    from ..setup.progress import say

    plan, problem, lacking = None, None, {}
    for worker in workers:
        try:
            plan = plan or await _plan(arguments, rows, worker, now)
            if len(workers) > 1 and (found := plan.lacking(await worker.object_info())):
                raise PromptRejected(found)
        except PromptRejected as error:
            lacking[worker.name] = with_model_hints(PromptRejected(error.problems, url=worker.name))
            problem = problem or lacking[worker.name]
        except HeadlessError:
            if plan is None:
                raise
            # A server that falls silent now is the batch's to wait for.
    fit = [worker for worker in workers if worker.name not in lacking]
    if plan is None:
        assert problem is not None
        raise problem
    if not fit:
        return plan, workers
    for name in lacking:
        say(f"Left out: {lacking[name]}")
    return (await _plan(arguments, rows, fit[0], now) if lacking else plan), fit


async def _plan(arguments: argparse.Namespace, rows: list[Any], worker: Any, now: time.struct_time | None) -> Any:
    from ..headless.convert import convert, is_canvas
    from ..headless.plan import plan
    from ..headless.workflow import find, find_input, load, local_files, mute, set_value, unescape

    info = await worker.object_info()
    path = find(arguments.workflow)
    workflow = load(path)
    canvas = workflow if is_canvas(workflow) else None
    prompt = convert(workflow, info, str(path), now) if canvas is not None else workflow
    for name in arguments.mute:
        mute(prompt, name, info)
    changed = []
    for item in arguments.values:
        address, _, value = item.partition("=")
        changed.append(find_input(prompt, address, info))
        set_value(prompt, address, value, info)
    files = local_files(prompt, info, changed=changed)
    unescape(prompt, changed)
    mapping = dict(item.split("=", 1) for item in arguments.mapping)
    base = arguments.rows if arguments.rows.is_dir() else arguments.rows.parent
    types = ("output", "temp") if arguments.previews else ("output",)
    source = f"{arguments.rows.resolve()} > {path.resolve()}"
    return plan(
        prompt, rows, mapping, info, base=base.resolve(), workflow=canvas, types=types, timeout=arguments.timeout,
        files=files, source=source,
    )  # fmt: skip


def _dry_run(plan: Any, workers: list[Any]) -> dict[str, Any]:
    from ..headless.errors import HeadlessError
    from ..headless.problems import title_of
    from ..setup.progress import say

    faults = {}
    for row in plan.rows:
        try:
            plan.job(row, "dry-run")
        except HeadlessError as error:
            faults[row.id] = str(error)
    say(f"{len(plan.rows)} rows on {len(workers)} server(s); {len(faults)} rows would fail.")
    for column, (node_id, name) in plan.columns.items():
        say(f"  {column} -> {title_of(plan.prompt, node_id)} (#{node_id}).{name}")
    if plan.ignored:
        say(f"  not used: {', '.join(plan.ignored)}")
    for row_id, fault in list(faults.items())[:20]:
        say(f"  {row_id}: {fault}")
    columns = {column: ".".join(address) for column, address in plan.columns.items()}
    return {
        "ok": not faults,
        "rows": len(plan.rows),
        "columns": columns,
        "ignored": list(plan.ignored),
        "faults": faults,
    }


def _written(what: str, write: Callable[[], Any]) -> Any:
    """The outcome of writing, or None after telling why it failed: the rows' own files are in place all the same."""
    from ..setup.progress import say

    try:
        return write()
    except OSError as error:
        say(f"Could not write the {what}: {error}")
        return None


async def _finish(arguments: argparse.Namespace, batch: Any) -> tuple[int, dict[str, Any]]:
    from ..headless.batch import results
    from ..headless.outcome import write_results
    from ..headless.sheet import contact_sheet
    from ..setup.progress import Progress, say

    batch.prepare()
    if arguments.retry_failed:
        batch.journal.retry_failed()
    total = len(batch.plan.rows)
    try:
        with Progress(f"Batch of {total} rows") as shown:

            def tell(row_id: str, record: Any, counts: dict[str, int]) -> None:
                if record.state == "failed":
                    say(f"{row_id}: {record.error}")
                shown.update(f"{counts.get('done', 0)} done, {counts.get('failed', 0)} failed, of {total}")

            report = await batch.run(tell)
    finally:
        table = results(batch.journal, batch.plan.rows)
        written = _written("results", lambda: write_results(table, arguments.out)) or (None, None)
    jsonl, sheet_csv = written
    if sheet_csv is not None and sheet_csv.name != "results.csv":
        say(f"results.csv cannot be replaced (is it open in another program?); the table is in {sheet_csv}.")
    sheet = None
    if not arguments.no_sheet:
        target = arguments.out / "contact_sheet.png"
        sheet = _written("contact sheet", lambda: contact_sheet(table, arguments.out, target))
    told = ", ".join(str(path) for path in (sheet_csv, sheet) if path)
    say(f"{report.counts['done']} done, {report.counts['failed']} failed." + (f" Results: {told}" if told else ""))
    summary = {
        "ok": report.counts["failed"] == 0,
        "rows": total,
        **report.counts,
        "out": str(arguments.out),
        "results": str(jsonl) if jsonl else None,
        "contact_sheet": str(sheet) if sheet else None,
        "lost_servers": report.lost_servers,
    }
    return (FAILED if report.counts["failed"] else DONE), summary
