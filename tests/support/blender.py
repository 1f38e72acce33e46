"""VRM files through Blender and back: what is lost on the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def losses(paths: Sequence[Path], folder: Path, root: Path, run_node: Any) -> dict[str, list[str]]:
    """Import and re-export ``paths`` in Blender (results in ``folder``) and compare what the Khronos validator and three-vrm see before
    and after: file name → complaints, for files with any."""
    from chibi_avatar.setup import environment

    script = root / "tests" / "oracle" / "blender_round_trip.py"
    command = [str(environment.ensure("blender")), str(script), str(folder), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 40 * len(paths), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    assert len(seen) == len(paths)
    before = _facts(run_node, root, paths)
    after = _facts(run_node, root, [Path(report["written"]) for report in seen])
    found = {}
    for report, old, new in zip(seen, before, after, strict=True):
        complaints = []
        if report["result"] != ["FINISHED"]:
            complaints.append(f"export: {report['result']}")
        if len(report["bones"]) != old["bones"]:
            complaints.append(f"Blender saw {len(report['bones'])} bones of {old['bones']}")
        for key in ("bones", "springs", "colliders", "errors", "version"):
            if new[key] != old[key]:
                complaints.append(f"{key}: {old[key]} became {new[key]}")
        if {name.lower() for name in new["expressions"]} != {name.lower() for name in old["expressions"]}:
            complaints.append(f"expressions: {old['expressions']} became {new['expressions']}")
        for name, moved in old["moved"].items():
            if abs(new["moved"].get(name, {"largest": -1})["largest"] - moved["largest"]) >= 1e-4:
                complaints.append(f"morph {name} moves otherwise")
        if complaints:
            found[Path(report["file"]).name] = complaints
    return found


def _facts(run_node: Any, root: Path, paths: Sequence[Path]) -> list[dict[str, Any]]:
    out = run_node(root / "tests" / "js" / "check_avatars.mjs", *map(str, paths))
    return [json.loads(line) for line in out.splitlines()]
