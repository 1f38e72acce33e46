"""The prompt panel, driven in a real Chromium with both of ComfyUI's renderers."""

from __future__ import annotations

import json

import pytest

WORDS = "a girl with pink twintails, a wug on her shoulder, no hat"


@pytest.fixture
def panel(frontend):
    """A Chibi Prompt Builder on an empty canvas, its panel filled."""
    frontend.clear()
    frontend.node = frontend.add_node("ChibiPromptBuilder", (60, 60))
    frontend.page.evaluate(
        "([id, text]) => { const n = window.app.graph.getNodeById(id); const w = n.widgets.find(w => w.name === 'description');"
        " w.value = text; w.callback?.(text); window.app.canvas.ds.scale = 1; window.app.canvas.ds.offset = [20, 20]; window.app.canvas.setDirty(true, true); }",
        [frontend.node, WORDS],
    )
    box = frontend.page.locator(".chibi-prompt")
    box.wait_for(timeout=20_000)
    box.locator(".positive").wait_for(timeout=20_000)
    return frontend


def form(frontend) -> dict:
    value = frontend.page.evaluate(
        "id => window.app.graph.getNodeById(id).widgets.find(w => w.name === 'form').value", frontend.node
    )
    return json.loads(value)


def test_words_show_as_a_live_prompt(panel):
    """People would have to run the graph to see what their sentence became."""
    page = panel.page
    page.locator(".chibi-prompt .positive", has_text="twintails").wait_for()
    assert "pink hair" in page.locator(".chibi-prompt .positive").inner_text()
    assert page.locator('.chibi-prompt-read u[data-kind="unknown"]').first.inner_text() == "wug"
    assert "hat" in page.locator(".chibi-prompt .negative").inner_text()
    assert page.locator(".chibi-prompt-meter").count() >= 1
    assert page.locator('.chibi-prompt-chip[data-path="hair.color"]').inner_text().endswith("pink")
    assert page.locator('.chibi-prompt [data-key="hair.style"] option').first.inner_text().startswith("twin tails")
    assert panel.errors == []


def test_looking_changes_nothing(panel):
    """Opening a workflow would mark it as changed, and run its nodes again."""
    value = "id => window.app.graph.getNodeById(id).widgets.find(w => w.name === 'form').value"
    assert panel.page.evaluate(value, panel.node) == "{}"
    assert panel.api_prompt()[str(panel.node)]["inputs"]["form"] == "{}"
    saved = panel.serialize()
    written = '{"fields": {"hair.color": "#f4a7c0"}}'
    node = next(item for item in saved["nodes"] if str(item["id"]) == str(panel.node))
    node["widgets_values"] = [written if item == "{}" else item for item in node["widgets_values"]]
    panel.load(saved)
    panel.page.locator('.chibi-prompt-chip[data-source="widget"]').first.wait_for()
    assert panel.page.evaluate(value, panel.node) == written
    panel.page.locator('.chibi-prompt [role="tab"]').nth(2).click()
    assert panel.page.evaluate(value, panel.node) == written


def test_choosing_locking_and_rolling_change_the_node_and_survive_a_reload(panel):
    """A click in the form would be lost when the workflow is saved, or never reach the server."""
    page = panel.page
    page.locator('.chibi-prompt [data-key="hair.style"]').select_option("bob")
    page.locator('.chibi-prompt [data-key="lock hair.style"]').click()
    page.locator('.chibi-prompt [data-key="hair.color"]').click()
    page.locator('.chibi-prompt-palette [data-color="teal"]').click()
    page.locator(".chibi-prompt .positive", has_text="teal hair").wait_for()
    before = form(panel)
    assert before["fields"]["hair.style"] == "bob"
    assert before["fields"]["hair.color"]["name"] == "teal"
    assert before["locks"] == ["hair.style"]
    page.locator('.chibi-prompt [data-key="roll hair.style"]').click()
    page.locator('.chibi-prompt [data-key="roll hair.bangs"]').click()
    after = form(panel)
    assert after["fields"]["hair.style"] == "bob"
    assert "hair.bangs" in after["fields"]
    saved = panel.serialize()
    panel.load(saved)
    panel.page.locator(".chibi-prompt .positive", has_text="teal hair").wait_for()
    assert form(panel) == after
    sent = panel.api_prompt()[str(panel.node)]["inputs"]
    assert json.loads(sent["form"]) == after
    assert panel.errors == []


def test_the_keyboard_is_enough(panel):
    """People who do not use a mouse could not fill the form."""
    page = panel.page
    page.locator('.chibi-prompt [role="tab"][aria-selected="true"]').focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.getAttribute('role')") == "tab"
    page.locator('.chibi-prompt [data-key="eyes.color"]').focus()
    page.keyboard.press("Enter")
    page.locator('.chibi-prompt-palette button[data-color="gold"]').focus()
    page.keyboard.press("Enter")
    assert form(panel)["fields"]["eyes.color"]["name"] == "gold"
    page.locator('.chibi-prompt input[type="search"]').fill("witch")
    option = page.locator('.chibi-prompt [data-key="hat.kind"]')
    option.wait_for()
    option.select_option("witch_hat")
    assert form(panel)["fields"]["hat.kind"] == "witch_hat"


def test_conflicts_and_presets(panel):
    """A contradiction would be fixed behind people's back, and presets would be out of reach."""
    page = panel.page
    page.locator('.chibi-prompt [data-key="hair.style"]').select_option("bald")
    page.locator('.chibi-prompt [data-key="hair.length"]').select_option("long")
    page.locator(".chibi-prompt-conflict").first.wait_for()
    page.locator(".chibi-prompt-bar select").select_option(label="Silver knight")
    page.locator(".chibi-prompt .positive", has_text="armor").wait_for()
    assert form(panel)["fields"]["outfit.kind"] == "armor"
    assert panel.errors == []
