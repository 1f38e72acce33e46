"""The spine: what a Character accepts, keeps, merges and refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from chibi_avatar.character import FIELDS, SCHEMA_VERSION, Character, CharacterError, Color, Evidence

FULL = {
    "name": "桃子",
    "hair.style": "twin_tails",
    "hair.color": "#F4A7C0",
    "eyes.color": {"hex": "#59f", "name": "sky blue"},
    "hair.ahoge": True,
    "proportions.heads": 2.5,
    "presentation": "feminine",
    "hat.kind": "none",
    "extra": ["holding a cat"],
}


def test_json_round_trip_keeps_everything() -> None:
    """A shared Character would come back as somebody else."""
    who = Character(FULL, {"hair.color": Evidence("photo", 0.62)})
    again = Character.from_json(who.to_json())
    assert again == who and again.evidence("hair.color") == Evidence("photo", 0.62)
    assert who["hair.color"] == Color("#f4a7c0") and who["eyes.color"].hex == "#5599ff"
    assert Character.coerce(who.to_dict()) == Character.coerce(who.to_json()) == who


def test_the_order_of_fields_does_not_matter() -> None:
    """Two tools that write the same person would make two caches and two files."""
    assert Character(FULL).to_json() == Character(dict(reversed(FULL.items()))).to_json()


def test_words_beat_photo_and_confidence_decides_among_equals() -> None:
    """A person who says pink would get the brown of the photo."""
    photo = Character(
        {"hair.color": "#5b3a2e", "skin.color": "#fbdcc8"},
        {p: Evidence("photo", 0.95) for p in ("hair.color", "skin.color")},
    )
    words = Character({"hair.color": "#f4a7c0"}, {"hair.color": Evidence("words", 0.5)})
    for merged in (photo.merge(words), words.merge(photo)):
        assert merged["hair.color"].hex == "#f4a7c0" and merged["skin.color"].hex == "#fbdcc8"
    sure = Character({"hair.color": "#111111"}, {"hair.color": Evidence("photo", 0.99)})
    assert photo.merge(sure)["hair.color"].hex == sure.merge(photo)["hair.color"].hex == "#111111"
    assert (
        Character({"glasses.kind": "round"}, {"glasses.kind": Evidence("photo", 0.9)}).merge(
            Character({"glasses.kind": "none"}, {"glasses.kind": Evidence("words", 1.0)})
        )["glasses.kind"]
        == "none"
    )


def test_digest_is_of_the_looks_alone_and_the_same_in_every_process() -> None:
    """Caches would miss, or two different people would share one."""
    who = Character(FULL)
    assert who.digest() == Character(FULL, {"name": Evidence("photo", 0.1)}).digest()
    assert who.digest() != who.having({"hair.style": "bob"}).digest()
    code = (
        "import sys, json, importlib.util as u; s = u.spec_from_file_location('c', sys.argv[1]); m = u.module_from_spec(s);"
        "sys.modules['c'] = m; s.loader.exec_module(m); print(m.Character(json.loads(sys.argv[2])).digest())"
    )
    path = sys.modules[Character.__module__].__file__
    for seed in ("0", "12345"):
        out = subprocess.run(
            [sys.executable, "-c", code, path, json.dumps(FULL)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert out.stdout.strip() == who.digest()


def test_resolve_fills_defaults_and_says_so() -> None:
    """Drawing rooms would each invent their own default person."""
    full = Character({"hair.style": "bob"}).resolve()
    assert full["proportions.heads"] == 2.5 and full.evidence("proportions.heads").source == "default"
    assert full.evidence("hair.style").source == "widget"
    assert Character({"eyes.style": "cat"}).merge(full)["eyes.style"] == "cat"


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"hair.colour": "#ffffff"}, "hair.colour"),
        ({"hair.color": "pinkish"}, "hair.color"),
        ({"hair.color": "#ggg"}, "hair.color"),
        ({"presentation": "robot"}, "feminine"),
        ({"proportions.heads": 40}, "1.8"),
        ({"proportions.heads": float("nan")}, "proportions.heads"),
        ({"proportions.heads": True}, "proportions.heads"),
        ({"hair.style": "Twin Tails!"}, "lower_case"),
        ({"hair.ahoge": "yes"}, "true or false"),
        ({"extra": "one"}, "list"),
        ({"name": 7}, "text"),
    ],
)
def test_bad_values_name_their_field(values: dict, word: str) -> None:
    """A typo in a posted Character would end in a stack trace far away."""
    with pytest.raises(CharacterError, match=word.replace("(", "\\(")):
        Character(values)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "cannot be read"),
        ("[]", "JSON object"),
        ("{}", "chibi_character"),
        ('{"chibi_character": true}', "chibi_character"),
        (json.dumps({"chibi_character": SCHEMA_VERSION + 1}), "update"),
        ('{"chibi_character": 1, "evidence": []}', "evidence"),
        (
            '{"chibi_character": 1, "hair": {"style": "bob"}, "evidence": {"hair.style": {"source": "magic"}}}',
            "evidence",
        ),
        ("[" * 100_000, "cannot be read"),
        (" " * 300_000, "limit"),
    ],
)
def test_bad_json_is_refused_in_one_line(text: str, word: str) -> None:
    """A damaged or newer file would crash the graph without a hint."""
    with pytest.raises(CharacterError, match=word):
        Character.from_json(text)


def test_control_and_direction_marks_do_not_reach_files() -> None:
    """A name could break a terminal, a file name or a report."""
    assert Character({"name": "a\u202eb\x00c\n"})["name"] == "abc"


def test_every_field_can_be_set_and_unset() -> None:
    """A field in the list that nothing accepts would be a lie to node authors."""
    sample = {"kind": "round", "color": "#123456", "flag": True, "text": "x", "tags": ["x"]}
    for path, field in FIELDS.items():
        value = sample.get(field.type, field.options[0] if field.options else field.low)
        who = Character().having({path: value})
        assert path in who and len(who.having({path: None})) == 0
