"""Makes ``chibi_avatar`` and ``chibi_testing`` importable for a tool without putting the checkout on ``sys.path``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def prepare() -> None:
    """Load both packages under their names."""
    for name, folder in (("chibi_avatar", "chibi_avatar"), ("chibi_testing", "tests/support")):
        place = ROOT / folder
        spec = importlib.util.spec_from_file_location(
            name, place / "__init__.py", submodule_search_locations=[str(place)]
        )
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
