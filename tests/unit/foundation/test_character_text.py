"""A Character shown as text is the JSON that the nodes accept."""

from __future__ import annotations

from chibi_avatar.character import Character


def test_what_a_person_copies_from_the_preview_can_be_posted_back():
    """The preview would show a Python repr that no node accepts."""
    character = Character({"hair.color": "#f4a7c0", "hair.style": "twin_tails"})
    assert Character.coerce(str(character)) == character
