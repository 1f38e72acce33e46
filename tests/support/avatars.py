"""The small capsule figure of the avatar tests, for the other layers."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def small_figure():
    """17 bones, two morphs, one spring chain, two materials (tests/unit/avatar/conftest.py)."""
    path = Path(__file__).resolve().parents[1] / "unit" / "avatar" / "conftest.py"
    spec = importlib.util.spec_from_file_location("chibi_testing.avatar_figure", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_figure()
