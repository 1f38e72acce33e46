"""Freeze the contract of every node in ``tests/data/schemas.json``. Run it in the test environment after adding a node or an input.

It refuses to freeze a change that breaks saved workflows unless told ``--break``.
"""

from __future__ import annotations

import argparse
import json
import sys

from _bootstrap import ROOT, prepare

TARGET = ROOT / "tests" / "data" / "schemas.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--break", dest="allowed", action="store_true", help="freeze even what breaks saved workflows")
    arguments = parser.parse_args()
    prepare()
    from chibi_testing import api
    from chibi_testing.schemas import breaks, contracts

    from chibi_avatar.setup.server import running

    with running() as server:
        current = contracts(api.get(server.url, "/object_info"))
    frozen = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.is_file() else {}
    problems = breaks(frozen, current)
    if problems and not arguments.allowed:
        sys.stderr.write("Not frozen; this breaks saved workflows:\n" + "\n".join(problems) + "\n")
        return 1
    TARGET.write_text(json.dumps(current, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
