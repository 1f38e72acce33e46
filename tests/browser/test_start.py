"""ComfyUI's real page opens with the pack in it, in both renderers."""

from __future__ import annotations


def test_the_page_knows_the_nodes_and_reports_no_error(frontend):
    """The nodes would be missing from the search box, or the pack's scripts would break the page."""
    known = frontend.page.evaluate(
        "() => Object.keys(window.LiteGraph.registered_node_types).filter(n => n.startsWith('Chibi'))"
    )
    assert "ChibiAvatarBase" in known
    assert frontend.errors == []


def test_a_node_can_be_placed_and_becomes_an_api_prompt(frontend):
    """A node that the page cannot create or serialise is of no use on the canvas."""
    frontend.clear()
    node = frontend.add_node("ChibiAvatarBase")
    prompt = frontend.api_prompt()
    assert prompt[str(node)]["class_type"] == "ChibiAvatarBase"
    assert frontend.errors == []
