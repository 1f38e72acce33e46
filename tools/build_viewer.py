"""Build web/lib/three_vrm_viewer.mjs from tools/viewer: ``python3 -m tools.build_viewer [OUT_FOLDER]``.

npm packages come pinned from tools/viewer/package-lock.json, into the per-user cache.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build(out: Path) -> None:
    """Write three_vrm_viewer.mjs and its licences into ``out``. The same sources give the same bytes."""
    from chibi_avatar.setup import node_packages

    modules = node_packages.ensure(ROOT / "tools" / "viewer")
    command = [node_packages.node(), str(ROOT / "tools" / "viewer" / "build.mjs"), str(out)]
    subprocess.run(command, env=node_packages.node_environment(modules), check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "web" / "lib")
