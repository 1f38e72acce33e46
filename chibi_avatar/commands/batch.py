"""Run a workflow over many rows, on any number of servers. Killed at any moment, run again, it goes on where it was."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
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
    import asyncio

    from ..headless.errors import HeadlessError
    from ..headless.rows import load_rows
    from ..setup.locking import exclusive
    from ..setup.progress import say

    try:
        rows = load_rows(arguments.rows)
        arguments.out.mkdir(parents=True, exist_ok=True)
        with exclusive(arguments.out / ".batch.lock"), contextlib.ExitStack() as stack:
            if arguments.fresh:
                for name in ("batch.sqlite", "batch.sqlite-wal", "batch.sqlite-shm"):
                    (arguments.out / name).unlink(missing_ok=True)
            workers = _workers(arguments, stack)
            code, report = asyncio.run(_work(arguments, rows, workers))
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
    from ..headless.engines.local import LocalWorker
    from ..models.locate import server_arguments
    from ..setup.progress import say
    from ..setup.server import running

    if not urls:
        count = arguments.spawn or 1
        say(f"Starting {count} ComfyUI server{'s' if count > 1 else ''} ...")
        urls = [stack.enter_context(running(arguments=server_arguments())).url for _ in range(count)]
    return [LocalWorker(url) for url in dict.fromkeys(urls)]


async def _work(arguments: argparse.Namespace, rows: list[Any], workers: list[Any]) -> tuple[int, dict[str, Any]]:
    from ..headless.batch import Batch
    from ..headless.errors import PromptRejected
    from ..headless.workflow import with_model_hints

    started = await _start(workers)
    try:
        try:
            plan = await _plan(arguments, rows, started[0])
        except PromptRejected as error:
            raise with_model_hints(PromptRejected(error.problems, url=started[0].name)) from None
        if arguments.dry_run:
            return DONE, _dry_run(plan, started)
        batch = Batch(plan, started, arguments.out)
        return await _finish(arguments, batch)
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


async def _plan(arguments: argparse.Namespace, rows: list[Any], worker: Any) -> Any:
    from ..headless.batch import plan
    from ..headless.convert import convert, is_canvas
    from ..headless.workflow import find, find_input, load, local_files, mute, set_value

    info = await worker.object_info()
    path = find(arguments.workflow)
    workflow = load(path)
    canvas = workflow if is_canvas(workflow) else None
    prompt = convert(workflow, info, str(path)) if canvas is not None else workflow
    for name in arguments.mute:
        mute(prompt, name, info)
    changed = []
    for item in arguments.values:
        address, _, value = item.partition("=")
        changed.append(find_input(prompt, address, info))
        set_value(prompt, address, value, info)
    files = local_files(prompt, info, changed=changed)
    mapping = dict(item.split("=", 1) for item in arguments.mapping)
    base = arguments.rows if arguments.rows.is_dir() else arguments.rows.parent
    types = ("output", "temp") if arguments.previews else ("output",)
    return plan(
        prompt, rows, mapping, info, base=base.resolve(), workflow=canvas, types=types, timeout=arguments.timeout, files=files
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


async def _finish(arguments: argparse.Namespace, batch: Any) -> tuple[int, dict[str, Any]]:
    from ..headless.batch import results
    from ..headless.outcome import write_results
    from ..headless.sheet import contact_sheet
    from ..setup.progress import Progress, say

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
        jsonl, sheet_csv = write_results(table, arguments.out)
    sheet = None if arguments.no_sheet else contact_sheet(table, arguments.out, arguments.out / "contact_sheet.png")
    say(
        f"{report.counts['done']} done, {report.counts['failed']} failed. Results: {sheet_csv}"
        + (f", {sheet}" if sheet else "")
    )
    summary = {
        "ok": report.counts["failed"] == 0,
        "rows": total,
        **report.counts,
        "out": str(arguments.out),
        "results": str(jsonl),
        "contact_sheet": str(sheet) if sheet else None,
        "lost_servers": report.lost_servers,
    }
    return (FAILED if report.counts["failed"] else DONE), summary
