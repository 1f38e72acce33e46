"""Wildcards and variants in the dynamicprompts syntax."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chibi_avatar.prompt import build
from chibi_avatar.prompt.wildcards import Expander, TemplateError, compile_template


@pytest.mark.parametrize(
    ("template", "outcomes"),
    [
        ("{a|b}", {"a", "b"}),
        ("{a|}", {"a", ""}),
        ("{2$$a|b|c}", {"a,b", "a,c", "b,a", "b,c", "c,a", "c,b"}),
        ("{1-2$$ and $$a|b}", {"a", "b", "a and b", "b and a"}),
        ("{-2$$a|b}", {"a", "b", "a,b", "b,a"}),
        ("{0.5::a|3::{b|c}}", {"a", "b", "c"}),
        ("x __w__", {"x red", "x blue"}),
        ("{2$$__w__}", {"red,blue", "blue,red"}),
        ("__c*__", {"cat", "cow"}),
    ],
)
def test_what_can_come_out(template, outcomes):
    """Templates people bring from elsewhere would mean something else here."""
    expander = Expander({"w": ["red", "blue"], "c/one": ["cat"], "c/two": ["cow"]})
    expander.lists = {"w": ["red", "blue"], "c1": ["cat"], "c2": ["cow"]}
    assert set(expander.outcomes(template)) == outcomes
    assert {expander.expand(template, seed) for seed in range(80)} == outcomes


def test_weights_are_kept():
    """A rare option would be as frequent as the others."""
    drawn = [Expander().expand("{9::a|1::b}", seed) for seed in range(2000)]
    assert 0.86 < drawn.count("a") / 2000 < 0.94


def test_one_choice_does_not_shift_the_next():
    """Editing the first braces would change all the others."""
    for seed in range(30):
        one = Expander().expand("{a|b} {1|2|3|4}", seed)[2:]
        two = Expander().expand("{x|y|z} {1|2|3|4}", seed)[2:]
        assert one == two


@pytest.mark.parametrize("text", ["{a", "a}", "{{a}", "{" * 30 + "}" * 30])
def test_braces_that_do_not_match_have_a_position(text):
    """The error would not say where."""
    with pytest.raises(TemplateError, match=r"position|deeper"):
        compile_template(text)
    expander = Expander()
    assert expander.expand(text, 1) == text and expander.notes


def test_a_wildcard_that_names_itself_ends():
    """ComfyUI would hang."""
    expander = Expander({"a": ["__a__ __a__", "{__a__|__a__}"]})
    expander.expand("__a__", 3)
    assert any("deep" in note for note in expander.notes)


def test_wildcards_of_the_lexicon_work_in_descriptions():
    """`__hair_style__` would go to the model as it is."""
    seen = {build("__hair_style__", "sd15", seed=seed).character.get("hair.style") for seed in range(40)}
    assert len(seen) > 10


def test_three_hundred_templates_mean_what_they_mean_elsewhere():
    """Wildcard files from other tools would give other prompts (recorded from dynamicprompts 0.31.0)."""
    data = json.loads(
        (Path(__file__).resolve().parents[2] / "data" / "prompt" / "templates.json").read_text(encoding="utf-8")
    )
    assert len(data["templates"]) == 300
    for item in data["templates"]:
        found = {" ".join(text.split()) for text in Expander().outcomes(item["template"])}
        assert found == set(item["outcomes"]), item["template"]
        assert " ".join(Expander().expand(item["template"], 5).split()) in found
