"""Fifty random Characters in both VRM versions before independent readers: Khronos' validator, three-vrm, Blender."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from chibi_testing.blender import losses

from chibi_avatar.avatar.build import build_avatar
from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.model import Avatar
from chibi_avatar.avatar.vrm_check import check_vrm
from tools.gallery import random_character

COUNT = 50
PRESETS = {
    "happy", "angry", "sad", "relaxed", "surprised", "aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight",
    "lookUp", "lookDown", "lookLeft", "lookRight",
}  # fmt: skip


def _write(folder: Path, name: str, avatar: Avatar, **options: Any) -> list[Path]:
    """The avatar in both versions; the version's first digit ends the file's name."""
    paths = []
    for version, data in export_avatar(avatar, version="both", **options).vrms.items():
        paths.append(folder / f"{name}_{version[0]}.vrm")
        paths[-1].write_bytes(data)
    return paths


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both files of every random Character, sorted by seed."""
    folder = tmp_path_factory.mktemp("random")
    paths = []
    for seed in range(COUNT):
        avatar = build_avatar(random_character(seed), "standard" if seed % 5 == 0 else "mobile", 512)
        paths += _write(folder, f"{seed:02}", avatar)
    return paths


@pytest.fixture(scope="module")
def flip_books(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A Character whose face is a flip-book, in both versions."""
    avatar = build_avatar(random_character(3), "mobile", 512)
    return _write(tmp_path_factory.mktemp("flip_books"), "flip", avatar, face="flip_book")


@pytest.fixture(scope="module")
def reports(written: list[Path], root: Path, run_node: Any) -> list[dict[str, Any]]:
    """What the validator and three-vrm say about each file."""
    out = run_node(root / "tests" / "js" / "check_avatars.mjs", *map(str, written))
    return [json.loads(line) for line in out.splitlines()]


def test_our_checker_finds_nothing(written: list[Path]) -> None:
    """Every combination of hair, clothes and proportions must keep the VRM specification."""
    assert {path.name: found for path in written if (found := check_vrm(read_glb(path.read_bytes())))} == {}


def test_the_khronos_validator_finds_no_error(reports: list[dict[str, Any]]) -> None:
    """A file with glTF errors is refused by strict apps."""
    assert len(reports) == 2 * COUNT
    assert {Path(r["file"]).name: r["messages"] for r in reports if r["errors"]} == {}


def test_three_vrm_loads_bones_faces_and_springs(reports: list[dict[str, Any]]) -> None:
    """Web apps stand on three-vrm: it must see the whole rig, and blink and smile must move the face."""
    for report in reports:
        assert "failed" not in report, report
        old = report["version"] == "0"
        assert report["bones"] >= 17 and report["author"] == "Anonymous"
        assert PRESETS - {"surprised"} <= set(report["expressions"]), report["file"]
        assert ("Surprised" if old else "surprised") in report["expressions"]
        assert all(moved["largest"] > 0.002 for moved in report["moved"].values()), report["moved"]
        assert report["handsBelowShoulders"] and report["leftIsPlusX"]
    names = {Path(r["file"]).stem: r["springs"] for r in reports}
    assert sum(count > 0 for count in names.values()) > COUNT / 2


def test_springs_stay_out_of_the_head(reports: list[dict[str, Any]]) -> None:
    """Ten seconds with hard shaking: no NaN, no lock 1 cm inside the head, no hem 2 cm inside a leg."""
    for report in reports:
        simulation = report["simulation"]
        assert simulation["finite"], report["file"]
        assert simulation["inHead"] <= 0.01, (report["file"], simulation)
        assert simulation["inBody"] <= 0.02, (report["file"], simulation)


def test_three_vrm_turns_the_pages_of_a_flip_book(flip_books: list[Path], root: Path, run_node: Any) -> None:
    """Every mood and vowel shows another cell of the sheet, and no two moods the same one."""
    out = run_node(root / "tests" / "js" / "check_avatars.mjs", *map(str, flip_books))
    for report in map(json.loads, out.splitlines()):
        assert "failed" not in report, report
        assert not report["errors"], report["messages"]
        pages = {name: tuple(places) for name, places in report["shifted"].items() if not name.startswith("look")}
        assert all(pages.values()), pages
        moods = [pages[name] for name in ("happy", "angry", "sad", "relaxed", "blink")]
        assert len(set(moods)) == len(moods), pages


if sys.version_info[:2] == (3, 11):  # the only Python that both this Blender and its VRM add-on have wheels for

    def test_blender_keeps_bones_morphs_and_springs(
        written: list[Path], flip_books: list[Path], tmp_path: Path, root: Path, run_node: Any
    ) -> None:
        """People edit avatars in Blender: import and re-export must keep rig, face and springs, in both versions."""
        chosen = [path for path in written if path.name[:2] in ("01", "03", "05")]
        assert losses([*chosen, *flip_books], tmp_path, root, run_node) == {}
