"""Run every test, fastest layer first. Everything else on the line goes to pytest (paths, -k, -x, ...)."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from ..avatar.workers import workers
from ..setup import paths

ENVIRONMENT = "test"
PASS_THROUGH = True
# Unit tests are many and short: they share the cores, and one more process works while others wait for a server or a clock. The others
# measure times or start servers: one after the other.
UNIT = ["tests/unit", f"--numprocesses={min(workers() + 1, 4)}", "--dist=worksteal"]
REAL = ["tests/node", "tests/comfy", "tests/browser", "tests/oracle"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pytest_arguments", nargs="*", metavar="PYTEST_ARGUMENT", help="passed to pytest as they are")


def run(arguments: argparse.Namespace) -> int:
    given = arguments.pytest_arguments + arguments.rest
    runs = [given] if given else [UNIT, REAL]
    codes = [subprocess.call(pytest_command(one), cwd=paths.CHECKOUT) for one in runs]
    return next((code for code in codes if code), 0)  # not the greatest: a run that was killed has a negative one


def pytest_command(arguments: list[str]) -> list[str]:
    """pytest's own script rather than ``-m pytest``: the checkout must not be on ``sys.path`` (its ``nodes`` is not core's)."""
    return [str(paths.environment_script(Path(sys.prefix), "pytest")), *arguments]
