"""The README's commands are real: each is run, or its line is accepted by the command it calls."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys

import pytest

from chibi_avatar import commands

PAGES = ("README.md", "README.zh.md", "docs/tiny.md", "docs/tiny.zh.md")
# These take minutes, stay, or fetch; tests/comfy runs the lines of demo, run and batch for real.
LONG = {"demo", "test", "serve", "run", "batch", "train", "models download"}
MISSING = 4


def lines_of(root, page: str) -> list[list[str]]:
    text = (root / page).read_text(encoding="utf-8")
    fenced = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.S))
    return [shlex.split(line)[3:] for line in fenced.splitlines() if line.startswith("python3 -m chibi_avatar")]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_works(root, page):
    """The first thing that a newcomer copies would be an error."""
    lines = lines_of(root, page)
    assert {words[0] for words in lines} >= ({"demo", "test"} if page.startswith("README") else {"train"})
    for words in lines:
        if words[0] in LONG or " ".join(words[:2]) in LONG:
            module = importlib.import_module(f"chibi_avatar.commands.{words[0]}")
            parser = argparse.ArgumentParser()
            module.add_arguments(parser)
            parser.parse_args(words[1:])
            continue
        done = subprocess.run(
            [sys.executable, "-m", "chibi_avatar", *words],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        expected = (0, MISSING) if words[:2] == ["models", "check"] else (0,)
        assert done.returncode in expected, f"{words}: {done.stderr}"


def test_both_languages_show_the_same_commands(root):
    """A Chinese reader would miss a command."""
    shapes = [
        [[word for word in words if word[0] == "-" or word in commands.COMMANDS] for words in lines_of(root, page)]
        for page in PAGES
    ]
    assert shapes[0::2] == shapes[1::2]


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(root, page):
    """A picture or a page would be missing."""
    for target in re.findall(r"\]\(([^)#]+)\)", (root / page).read_text(encoding="utf-8")):
        if "://" not in target:
            assert ((root / page).parent / target).is_file(), f"{page} links to {target}"
