"""The command line: one module per command, an explicit table. Standard library only.

A command module has ``ENVIRONMENT`` (None: bare Python is enough; else one of ``environment.LEVELS``),
``add_arguments(parser)``, ``run(arguments) -> exit code`` and, optionally, ``check(arguments)``: what can be refused
before anything is set up. :class:`UsageError` anywhere in it means exit code 2.

Exit codes: 0 done, 2 bad arguments or input, 3 a job failed, 4 a model or dependency is missing, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence

from ..setup import environment, paths
from ..setup.errors import ServerError, SetupError
from ..setup.process import signals_as_interrupts
from ..setup.progress import say

DONE, USAGE, FAILED, MISSING, INTERRUPTED = 0, 2, 3, 4, 130

# name: what it does. The module of the same name beside this file does it.
COMMANDS = {
    "demo": "a photo and a sentence in, a picture and a 3D avatar out",
    "test": "run every test",
    "serve": "start ComfyUI with this pack, for the canvas",
    "prompt": "turn a sentence into a prompt",
    "run": "run one workflow",
    "batch": "run a workflow over many rows",
    "models": "list, check and download model files",
    "train": "train the embedded model",
}


class UsageError(ValueError):
    """An argument or an input is wrong. The message is for the person who typed it."""


def available() -> dict[str, str]:
    """The commands whose module is in this checkout."""
    return {name: text for name, text in COMMANDS.items() if importlib.util.find_spec(f"{__name__}.{name}")}


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    commands = available()
    width = max(map(len, commands))
    listing = "\n".join(f"  {name:<{width}}  {text}" for name, text in commands.items())
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(
            f"usage: python3 -m chibi_avatar COMMAND [options]\n\n{listing}\n\nCOMMAND --help tells more.\n"
        )
        return DONE if argv else USAGE
    name = argv[0]
    if name not in commands:
        say(f"chibi_avatar: there is no command {name!r}. The commands are:\n{listing}")
        return USAGE
    module = importlib.import_module(f"{__name__}.{name}")
    parser = argparse.ArgumentParser(prog=f"python3 -m chibi_avatar {name}", description=module.__doc__)
    module.add_arguments(parser)
    if getattr(module, "PASS_THROUGH", False):
        arguments, arguments_left = parser.parse_known_args(argv[1:])
        arguments.rest = arguments_left
    else:
        arguments = parser.parse_args(argv[1:])
    return guarded(module, arguments, argv)


def guarded(module, arguments: argparse.Namespace, argv: Sequence[str]) -> int:  # type: ignore[no-untyped-def]
    """Run a parsed command, with every expected failure turned into a clear line and its exit code."""
    try:
        with signals_as_interrupts():
            if hasattr(module, "check"):
                module.check(arguments)
            if module.ENVIRONMENT is not None and not environment.is_active(module.ENVIRONMENT):
                return _again_inside(environment.ensure(module.ENVIRONMENT), argv)
            return module.run(arguments)
    except UsageError as error:
        say(f"chibi_avatar: {error}")
        return USAGE
    except SetupError as error:
        say(f"chibi_avatar: {error}")
        return MISSING
    except ServerError as error:
        say(f"chibi_avatar: {error}" + (f"\nComfyUI's last lines:\n{error.log_tail}" if error.log_tail else ""))
        return FAILED
    except Exception as error:
        # The headless client's errors carry their own exit code; anything without one is a defect and keeps its traceback.
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        say(f"chibi_avatar: {error}")
        return code
    except KeyboardInterrupt:
        say("chibi_avatar: stopped.")
        return INTERRUPTED


def _again_inside(python: os.PathLike[str], argv: Sequence[str]) -> int:
    """The same command in the environment's interpreter, with this checkout's package and no other path change."""
    boot = (
        "import importlib.util,sys;"
        "p=sys.argv.pop(1);"
        "s=importlib.util.spec_from_file_location('chibi_avatar',p+'/__init__.py',submodule_search_locations=[p]);"
        "m=importlib.util.module_from_spec(s);sys.modules['chibi_avatar']=m;s.loader.exec_module(m);"
        "from chibi_avatar.commands import main;sys.exit(main(sys.argv[1:]))"
    )
    command = [str(python), "-c", boot, str(paths.CHECKOUT / "chibi_avatar"), *argv]
    env = {**os.environ, "PYTHONNOUSERSITE": "1"}
    env.pop("PYTHONPATH", None)
    env.pop("PYTHONHOME", None)
    if sys.platform != "win32":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(str(python), command, env)
    return subprocess.call(command, env=env)
