"""Write workflows/NAME.json, workflows/api/NAME.json: python -m tools.workflows.build SERVER_URL [NAME…]

The server (with this pack) tells what nodes look like. Thumbnails: python -m tools.workflows.thumbnails.
"""

from __future__ import annotations

import sys
from pathlib import Path

from chibi_avatar.headless import SyncClient
from chibi_avatar.headless.convert import convert
from chibi_avatar.headless.files import write_atomically

from .canvas import canvas, dump
from .flows import FLOWS

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"


def main(arguments: list[str]) -> int:
    """Build the named workflows, or all."""
    with SyncClient(arguments[0]) as client:
        info = client.object_info()
    for name in arguments[1:] or FLOWS:
        graph = canvas(FLOWS[name](info))
        write_atomically(WORKFLOWS / f"{name}.json", dump(graph))
        write_atomically(WORKFLOWS / "api" / f"{name}.json", dump(convert(graph, info, name)))
        sys.stdout.write(f"{name}: {len(graph['nodes'])} nodes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
