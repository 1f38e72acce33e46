"""Identity cards: what is kept, what is not, and what is refused when it comes back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chibi_avatar.character import Character
from chibi_avatar.identity.card import delete_card, load_card, save_card
from chibi_avatar.identity.errors import IdentityError
from chibi_avatar.identity.model import Embedding, Guess, Identity
from chibi_avatar.identity.registry import BY_KEY


def person() -> Identity:
    """A made-up identity with a photo's crop, which must not be kept."""
    vector = np.eye(1, 128, 3, dtype=np.float32)[0]
    attributes = {"hair.color": Guess("#7a4a2e", 0.8, "brown")}
    return Identity(
        {"sface": Embedding("sface", BY_KEY["sface"].sha256, vector, vector * 7, vector[None])},
        attributes,
        Character().having({"glasses.kind": "glasses"}, "photo", 0.7),
        crops=(np.full((224, 224, 3), 77, np.uint8),),
    )


def test_a_card_brings_the_identity_back_without_a_pixel(tmp_path):
    """Tomorrow's picture would need the photos again, or the card would hold a face that nobody agreed to keep."""
    numbers, words = save_card(person(), tmp_path / "me.json", "me")
    back = load_card(words)
    assert np.array_equal(back.embeddings["sface"].vector, person().embeddings["sface"].vector)
    assert back.attributes == person().attributes and back.character["glasses.kind"] == "glasses"
    assert back.crops == () and numbers.stat().st_size < 4000 and b"MMMM" not in numbers.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["me.json", "me.safetensors"]
    assert delete_card(words) == 2 and not list(tmp_path.iterdir())


def test_a_dot_in_a_name_belongs_to_the_name(tmp_path):
    """Dr. Strange would overwrite Dr. Who, and both would be called Dr."""
    from dataclasses import replace

    doctors = {"Dr. Who": "#7a4a2e", "Dr. Strange": "#101010", "v1.json": "#c0a060"}
    for name, color in doctors.items():
        save_card(replace(person(), attributes={"hair.color": Guess(color, 0.8)}), tmp_path / f"{name}.json", name)
    assert len(list(tmp_path.iterdir())) == 2 * len(doctors)
    for name, color in doctors.items():
        for ending in (".json", ".safetensors"):
            assert load_card(tmp_path / (name + ending)).attributes["hair.color"].value == color
    assert load_card(tmp_path / "Dr. Who").notes == ("loaded from card Dr. Who",)
    assert delete_card(tmp_path / "Dr. Who.json") == 2
    assert load_card(tmp_path / "Dr. Strange.json").attributes["hair.color"].value == "#101010"


def refused(path, **given) -> str:
    with pytest.raises(IdentityError) as caught:
        load_card(path, **given)
    return str(caught.value)


def test_a_card_of_another_recogniser_is_refused(tmp_path):
    """Its numbers would mean a different face here."""
    _, words = save_card(person(), tmp_path / "me")
    body = json.loads(words.read_text())
    body["recognisers"]["sface"]["sha256"] = "0" * 64
    words.write_text(json.dumps(body))
    message = refused(words)
    assert all(part in message for part in ("me", str(tmp_path), "another sface file", "analyse the photos again"))


def test_a_card_fits_the_recogniser_that_made_it(tmp_path):
    """Somebody with a recogniser of their own could save cards and never load one."""
    from dataclasses import replace

    own = person()
    own = replace(own, embeddings={"sface": replace(own.embeddings["sface"], sha256="a" * 64)})
    _, words = save_card(own, tmp_path / "me")
    assert "another sface file" in refused(words)
    assert load_card(words, {"sface": "a" * 64}).embeddings["sface"].sha256 == "a" * 64


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda numbers, words: words.write_text("{"), "damaged"),
        (lambda numbers, words: numbers.write_bytes(numbers.read_bytes()[:40]), "damaged"),
        (lambda numbers, words: numbers.unlink(), "me.safetensors is not in"),
        (lambda numbers, words: words.write_text(words.read_text().replace('"chibi_identity": 1', '"chibi_identity": 9')), "version 9"),
        (lambda numbers, words: words.write_text(words.read_text().replace('"sface": {', '"w600k_mbf": {').replace(
            BY_KEY["sface"].sha256, BY_KEY["w600k_mbf"].sha256)), "is missing"),
        (lambda numbers, words: words.write_text("[]"), "damaged"),
        (lambda numbers, words: words.write_text(words.read_text().replace('"confidence": 0.8', '"confidence": "x"')), "damaged"),
    ],
    ids=["words cut", "numbers cut", "numbers gone", "newer", "other names", "a list", "no number"],
)  # fmt: skip
def test_a_damaged_card_says_what_to_do(tmp_path, damage, said):
    """A traceback about keys would leave people with no idea which file it was."""
    numbers, words = save_card(person(), tmp_path / "me")
    damage(numbers, words)
    message = refused(words)
    assert said in message and str(tmp_path) in message and "me" in message


@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_empty_and_nan_numbers_in_a_card_are_refused(tmp_path, bad):
    """Black pictures, hours later, with no hint at the cause."""
    from safetensors.numpy import load, save

    numbers, words = save_card(person(), tmp_path / "me")
    numbers.write_bytes(save({key: value * np.float32(bad) for key, value in load(numbers.read_bytes()).items()}))
    message = refused(words)
    assert "me" in message and str(tmp_path) in message and "sface" in message


def test_an_empty_identity_is_not_saved(tmp_path):
    """A card of nobody would be loaded next week in the place of somebody."""
    with pytest.raises(IdentityError, match="no face was found"):
        save_card(Identity(), tmp_path / "nobody")
    assert not list(tmp_path.iterdir())
