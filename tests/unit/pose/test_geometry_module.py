"""The editor's geometry, against the Python side's vectors."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from chibi_avatar.setup import node_packages
from tools import pose_vectors

ROOT = Path(__file__).resolve().parents[3]


def test_vectors_are_those_of_this_version():
    """The editor would keep proportions that the nodes no longer use."""
    kept = json.loads((ROOT / "tests" / "data" / "pose_vectors.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(pose_vectors.vectors()))


def test_the_geometry_module_passes_its_tests():
    """Dragging with the lock on would stretch limbs, or a chibi in the editor would differ from the retargeter's."""
    command = [node_packages.node(), "--test", str(ROOT / "tests" / "js" / "pose_geometry.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
