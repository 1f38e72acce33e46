"""Run one workflow (canvas or API format) on a ComfyUI server and fetch what it makes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import DONE, UsageError

ENVIRONMENT = "runtime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", help="a workflow file, or the name of one that comes with the pack")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NODE.INPUT=VALUE", dest="values",
        help="change a value; NODE is an id, a title or a class; @FILE sends a local file",
    )  # fmt: skip
    parser.add_argument(
        "--mute", action="append", default=[], metavar="NODE", help="leave a node out, and what cannot do without it"
    )
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI (default: start one)")
    parser.add_argument(
        "--out", type=Path, default=Path("output"), metavar="DIR", help="where files go (default: output)"
    )
    parser.add_argument("--previews", action="store_true", help="fetch preview images too")
    parser.add_argument("--timeout", type=float, metavar="S", help="give up after so many seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--print-api", action="store_true", help="print the API format instead of running it")


def check(arguments: argparse.Namespace) -> None:
    from ..headless.errors import HeadlessError
    from ..headless.workflow import find, load

    try:
        load(find(arguments.workflow))
    except HeadlessError as error:
        raise UsageError(str(error)) from error
    for item in arguments.values:
        if "=" not in item or "." not in item.partition("=")[0]:
            raise UsageError(f"--set {item!r}: write node.input=value.")


def run(arguments: argparse.Namespace) -> int:
    from ..headless.errors import HeadlessError
    from ..setup.progress import say

    try:
        if arguments.server:
            report = _on(arguments.server, arguments)
        else:
            from ..models.locate import server_arguments
            from ..setup.server import running

            say("Starting ComfyUI ...")
            with running(arguments=server_arguments()) as server:
                report = _on(server.url, arguments)
    except HeadlessError as error:
        say(str(error))
        if arguments.json:
            failure = {"ok": False, "error": error.text("en"), "kind": error.key, "exit_code": error.exit_code}
            sys.stdout.write(json.dumps(failure, ensure_ascii=False) + "\n")
        return error.exit_code
    if report is not None and (arguments.json or arguments.print_api):
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    return DONE


def _on(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from ..setup.process import run_async

    return run_async(_work(url, arguments))


async def _work(url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from ..headless.client import Client
    from ..headless.errors import PromptRejected
    from ..headless.workflow import find, find_input, mute, preflight, set_value, upload_files, with_model_hints
    from ..setup.progress import Progress, say

    async with Client(url, patience=30.0) as client:
        try:
            path = find(arguments.workflow)
            info = await client.object_info()
            prompt, canvas = await client.prepare(path)
            for name in arguments.mute:
                mute(prompt, name, info)
            changed = []
            for item in arguments.values:
                address, _, value = item.partition("=")
                changed.append(find_input(prompt, address, info))
                set_value(prompt, address, value, info)
            problems = preflight(prompt, info)
            if problems:
                raise PromptRejected(problems, url=client.url)
            if arguments.print_api:
                return prompt
            await upload_files(prompt, info, client.upload, changed=changed)
            title = f"Running {path.stem}"
            with Progress(title) as shown:
                result = await client.run(
                    prompt,
                    out_dir=arguments.out,
                    on_progress=_teller(shown),
                    timeout=arguments.timeout,
                    types=("output", "temp") if arguments.previews else ("output",),
                    canvas=canvas,
                )
        except PromptRejected as error:
            raise with_model_hints(error) from None
    for file in result.files:
        say(f"{file.path}  ({file.size / 1e3:.0f} kB, {file.title})")
    return {
        "ok": True,
        "job_id": result.job_id,
        "server": client.url,
        "seconds": round(result.seconds, 3),
        "server_seconds": result.server_seconds,
        "files": [
            {"path": str(f.path), "node": f.node_id, "title": f.title, "size": f.size, "sha256": f.sha256}
            for f in result.files
        ],
        "texts": result.texts,
    }


def _teller(shown: Any) -> Any:
    def tell(event: Any) -> None:
        steps = f" {event.value:.0f}/{event.maximum:.0f}" if event.maximum > 1 else ""
        previews = f", {event.previews} previews" if event.previews else ""
        if event.title:
            shown.update(f"{event.done_nodes}/{event.all_nodes} {event.title}{steps}{previews}")

    return tell
