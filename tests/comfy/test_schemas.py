"""Every node's contract against a frozen copy, and the conventions that make nodes findable and readable."""

from __future__ import annotations

import json

import pytest
from chibi_testing import api
from chibi_testing.schemas import breaks, contracts

FROZEN = "tests/data/schemas.json"
UPDATE = "run tools/snapshot_schemas.py and review the difference"


@pytest.fixture(scope="module")
def nodes(server) -> dict:
    return {name: info for name, info in api.get(server.url, "/object_info").items() if name.startswith("Chibi")}


def test_no_saved_workflow_breaks(root, nodes):
    """Somebody's workflow from last month would load with values in the wrong widgets, or not at all."""
    frozen = json.loads((root / FROZEN).read_text(encoding="utf-8"))
    assert breaks(frozen, contracts(nodes)) == []


def test_the_frozen_copy_is_complete(root, nodes):
    """A node without a frozen contract may change under people's feet."""
    frozen = json.loads((root / FROZEN).read_text(encoding="utf-8"))
    assert sorted(set(nodes) - set(frozen)) == [], UPDATE


def test_every_node_explains_itself(nodes):
    """People meet a node without a word on what it does or where to find it."""
    problems = []
    for name, info in nodes.items():
        if not info["description"]:
            problems.append(f"{name}: no description")
        if not info["category"].startswith("Chibi Avatar/"):
            problems.append(f"{name}: category {info['category']}")
        if not info.get("search_aliases"):
            problems.append(f"{name}: no search aliases")
        for section in ("required", "optional"):
            for key, spec in info["input"].get(section, {}).items():
                if len(spec) < 2 or not spec[1].get("tooltip"):
                    problems.append(f"{name}.{key}: no tooltip")
        tips = info.get("output_tooltips") or []
        if len([tip for tip in tips if tip]) != len(info["output"]):
            problems.append(f"{name}: an output has no tooltip")
    assert problems == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_node_has_its_help_page(root, nodes, language):
    """The help panel of the node would be empty."""
    missing = [name for name in nodes if not (root / "web" / "docs" / name / f"{language}.md").is_file()]
    assert missing == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_input_and_output_has_a_name_in_both_languages(root, nodes, language):
    """A Chinese reader would find English names in the middle of a Chinese page."""
    texts = json.loads((root / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    problems = []
    for name, info in nodes.items():
        entry = texts.get(name)
        if entry is None:
            problems.append(name)
            continue
        if not entry.get("display_name") or not entry.get("description"):
            problems.append(f"{name}: display_name or description")
        inputs = [key for section in ("required", "optional") for key in info["input"].get(section, {})]
        problems += [f"{name}.{key}" for key in inputs if not entry.get("inputs", {}).get(key, {}).get("name")]
        for index in range(len(info["output"])):
            if not entry.get("outputs", {}).get(str(index), {}).get("name"):
                problems.append(f"{name} output {index}")
    assert problems == []
