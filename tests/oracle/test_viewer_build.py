"""The built viewer that is committed is the one that its sources give."""

from __future__ import annotations

from pathlib import Path

from tools.build_viewer import build


def test_the_committed_viewer_is_built_from_its_sources(root: Path, tmp_path: Path) -> None:
    """Otherwise nobody could tell what 800 kB of minified code do in their browser."""
    build(tmp_path)
    for name in ("three_vrm_viewer.mjs", "three_vrm_viewer.LICENSES.txt"):
        assert (tmp_path / name).read_bytes() == (root / "web" / "lib" / name).read_bytes(), name
    licences = (tmp_path / "three_vrm_viewer.LICENSES.txt").read_text(encoding="utf-8")
    assert "three 0.187.0 (MIT)" in licences and "@pixiv/three-vrm 3.5.5 (MIT)" in licences
    code = (tmp_path / "three_vrm_viewer.mjs").read_text(encoding="utf-8")
    assert "eval(" not in code and "new Function(" not in code
