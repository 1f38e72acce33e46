"""From what photos show to a Character: several photos vote, sure answers become fields, the rest stays open for words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..character import Character, CharacterError, Color
from .model import Guess

# A guess below this says less than the Character's own default.
ENOUGH = 0.35
_COLORS = ("hair.color", "skin.color", "eyes.color")


def vote(guesses: Sequence[Mapping[str, Guess]], weights: Sequence[float]) -> dict[str, Guess]:
    """One guess for each attribute: votes count confidence times photo quality; agreement raises confidence, contradiction lowers it."""
    paths: dict[str, None] = {path: None for photo in guesses for path in photo}
    fused: dict[str, Guess] = {}
    for path in paths:
        ballots: dict[str, list[tuple[float, Guess]]] = {}
        for photo, weight in zip(guesses, weights, strict=True):
            if path in photo:
                guess = photo[path]
                ballots.setdefault(guess.name or guess.value, []).append((guess.confidence * max(weight, 0.05), guess))
        total = sum(weight for votes in ballots.values() for weight, _ in votes)
        winner = max(ballots.values(), key=lambda votes: (sum(weight for weight, _ in votes), votes[0][1].value))
        best = max((guess for _, guess in winner), key=lambda guess: guess.confidence)
        doubt = 1.0
        for _, guess in winner:
            doubt *= 1 - 0.6 * guess.confidence
        sure = max(best.confidence, 1 - doubt) if len(winner) > 1 else best.confidence
        share = sum(weight for weight, _ in winner) / total if total else 0.0
        fused[path] = Guess(best.value, round(min(0.97, sure * share), 3), best.name)
    return fused


def to_character(attributes: Mapping[str, Guess], least: float = ENOUGH) -> Character:
    """The attributes that are sure enough, as a Character with source ``photo``."""
    character = Character()
    for path, guess in attributes.items():
        if guess.confidence < least:
            continue
        value = Color(guess.value, guess.name) if path in _COLORS or path.endswith(".color") else guess.value
        try:
            character = character.having({path: value}, "photo", guess.confidence)
        except CharacterError:  # an older card may carry a word this version does not know
            continue
    return character


def describe(attributes: Mapping[str, Guess]) -> str:
    """``hair.color brown 72 %, …``, surest first; what is below the limit is marked as not used."""
    if not attributes:
        return "none could be read"
    rows = sorted(attributes.items(), key=lambda item: (-item[1].confidence, item[0]))
    return ", ".join(
        f"{path} {guess.name or guess.value} {guess.confidence:.0%}{'' if guess.confidence >= ENOUGH else ' (too unsure to use)'}"
        for path, guess in rows
    )
