"""The command line before any environment exists."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(root, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-m", "chibi_avatar", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_on_a_bare_python_lists_the_commands(root):
    """A newcomer's first command would end in a traceback about a missing package."""
    result = run(root, "--help")
    assert result.returncode == 0, result.stderr
    for name in ("demo", "test", "serve"):
        assert name in result.stdout


@pytest.mark.parametrize("arguments", [["dmeo"], []])
def test_a_wrong_command_is_exit_two_with_the_list(root, arguments):
    """A typo would give no hint of what can be typed."""
    result = run(root, *arguments)
    assert result.returncode == 2
    assert "demo" in result.stdout + result.stderr
