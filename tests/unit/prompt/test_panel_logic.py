"""The panel's logic under Node's own test runner."""

from __future__ import annotations

import subprocess
from pathlib import Path

from chibi_avatar.setup import node_packages

ROOT = Path(__file__).resolve().parents[3]


def test_the_panels_logic():
    """The form's JSON, search or dice would break in the browser only."""
    done = subprocess.run(
        [node_packages.node(), "--test", "tests/js/prompt_form.test.mjs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
