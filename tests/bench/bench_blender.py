"""Fifty random Characters in both VRM versions through Blender: import and re-export, what is lost. Twenty minutes on two cores, so it is
not part of the suite, which does three Characters: ``python3 -m chibi_avatar test tests/bench/bench_blender.py -s`` on Python 3.11."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chibi_testing.blender import losses

from chibi_avatar.avatar.build import build_avatar
from chibi_avatar.avatar.export import export_avatar
from tools.gallery import random_character

COUNT, AT_ONCE = 50, 10


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_blender_loses_nothing(first: int, tmp_path: Path, root: Path, run_node: Any, report: Any) -> None:
    """Bones, morphs, springs, colliders, expressions and validator errors before and after."""
    paths = []
    for seed in range(first, first + AT_ONCE):
        avatar = build_avatar(random_character(seed), "standard" if seed % 5 == 0 else "mobile", 512)
        for version, data in export_avatar(avatar, version="both").vrms.items():
            paths.append(tmp_path / f"{seed:02}_{version[0]}.vrm")
            paths[-1].write_bytes(data)
    found = losses(paths, tmp_path, root, run_node)
    report(
        f"Blender, Characters {first} to {first + AT_ONCE - 1}: {len(paths) - len(found)} of {len(paths)} files lost nothing {found or ''}"
    )
