"""Write workflows/NAME.json, workflows/api/NAME.json and subgraphs/NAME.json: python -m tools.workflows.build [NAME…]

Without names, all of them. What nodes look like is asked of a ComfyUI with this pack: ``--server URL``, else one is started.
How to add a workflow is told in ``flows.py``. Pictures: python -m tools.workflows.thumbnails.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chibi_avatar.headless import SyncClient
from chibi_avatar.headless.convert import convert
from chibi_avatar.headless.files import write_atomically
from chibi_avatar.setup.server import running

from . import avatars, blueprints, pictures, selfies, tiny
from .blueprint import as_blueprint
from .canvas import canvas, dump
from .flows import BLUEPRINTS, FLOWS

MODULES = (pictures, selfies, avatars, tiny, blueprints)
"""Importing them registers what they describe."""
ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"


def switched_on(graph: dict[str, Any]) -> dict[str, Any]:
    """The canvas with nothing bypassed, as the API twin has it."""
    graph = copy.deepcopy(graph)
    for node in graph["nodes"]:
        node["mode"] = 0
    return graph


def made(info: dict[str, Any], names: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """The files of the named workflows and blueprints, or of all, as (path in the checkout, content). ``info``: the
    server's ``/object_info``.
    """
    for name in names or (*FLOWS, *BLUEPRINTS):
        if name in FLOWS:
            graph = canvas(FLOWS[name](info))
            yield f"workflows/{name}.json", dump(graph)
            yield f"workflows/api/{name}.json", dump(convert(switched_on(graph), info, name))
        else:
            make, aliases = BLUEPRINTS[name]
            yield f"subgraphs/{name}.json", dump(as_blueprint(make(info), aliases))


def main(arguments: list[str]) -> int:
    """Build the named workflows and blueprints, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join([*FLOWS, *BLUEPRINTS])}")
    parser.add_argument("--server", metavar="URL", help="a running ComfyUI with this pack (default: start one)")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in FLOWS and name not in BLUEPRINTS]
    if unknown:
        parser.error(f"nothing is called {', '.join(unknown)}; there are {', '.join([*FLOWS, *BLUEPRINTS])}")
    with contextlib.ExitStack() as stack:
        url = asked.server or stack.enter_context(running()).url
        info = stack.enter_context(SyncClient(url)).object_info()
    for name, content in made(info, asked.names):
        write_atomically(ROOT / name, content)
        sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
