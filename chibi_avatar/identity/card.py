"""The identity card: an Identity on disk without a pixel of any photo. ``name.safetensors`` holds numbers, ``name.json`` says what they are.

Deleting the two files deletes the identity; nothing else keeps it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..character import Character, CharacterError
from .errors import IdentityError
from .fuse import checked
from .model import Embedding, Guess, Identity
from .registry import BY_KEY

VERSION = 1
_PARTS = ("vector", "raw", "each")
_ENDINGS = (".safetensors", ".json")


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)


def _card(path: str | os.PathLike[str]) -> tuple[str, Path, Path]:
    """The card's name, its numbers and its words, from either file or neither ending. Other dots belong to the name (``Dr. Who``)."""
    given = Path(path)
    name = given.stem if given.suffix in _ENDINGS else given.name
    numbers, words = (given.with_name(name + ending) for ending in _ENDINGS)
    return name, numbers, words


def save_card(identity: Identity, path: str | os.PathLike[str], name: str = "") -> tuple[Path, Path]:
    """Write the card at ``path`` (with the ending of either file, or none). Returns the two files. Raises :class:`IdentityError` for an empty identity."""
    from safetensors.numpy import save

    if not identity.embeddings and not identity.attributes:
        raise IdentityError("this identity is empty: no face was found in the photos, so there is nothing to save")
    stem, numbers, words = _card(path)
    words.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{key}.{part}": np.ascontiguousarray(getattr(embedding, part), np.float32)
        for key, embedding in identity.embeddings.items()
        for part in _PARTS
    }
    body = {
        "chibi_identity": VERSION,
        "name": name or stem,
        "profile": identity.profile,
        "recognisers": {
            key: {"sha256": item.sha256, "dim": len(item.vector)} for key, item in identity.embeddings.items()
        },
        "attributes": {
            path: {"value": guess.value, "confidence": guess.confidence, **({"name": guess.name} if guess.name else {})}
            for path, guess in identity.attributes.items()
        },
        "character": identity.character.to_dict(),
        "photos": {
            "used": sum(photo.used for photo in identity.photos),
            "quality": [photo.quality.total for photo in identity.photos if photo.used and photo.quality],
        },
    }
    _write(numbers, save(tensors, {"format": "chibi_identity", "version": str(VERSION)}))
    _write(words, (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode())
    return numbers, words


def load_card(path: str | os.PathLike[str], installed: Mapping[str, str] | None = None) -> Identity:
    """Read a card by either of its files. ``installed`` gives the sha256 of recognisers on this machine, to compare.

    Raises :class:`IdentityError` when a file is missing or damaged, of a newer version, or made with another recogniser file.
    """
    from safetensors.numpy import load

    name, numbers, words = _card(path)
    for file in (numbers, words):
        if not file.is_file():
            raise IdentityError(
                f"{file.name} is not in {file.parent}: an identity card is a .json and a .safetensors of the same name; copy both"
            )
    named = f"the identity card {name} in {words.parent}"
    try:
        body = json.loads(words.read_text(encoding="utf-8"))
        tensors = load(numbers.read_bytes())
        version = int(body["chibi_identity"])
        recognisers = {str(key): str(facts["sha256"]) for key, facts in body.get("recognisers", {}).items()}
        attributes = {
            path: Guess(str(item["value"]), float(item["confidence"]), str(item.get("name", "")))
            for path, item in body.get("attributes", {}).items()
        }
    except Exception as error:
        raise IdentityError(f"{named} is damaged ({error}): save it again from photos") from error
    if version > VERSION:
        raise IdentityError(f"{named} has version {version}, this pack reads up to {VERSION}: update Chibi Avatar")
    embeddings: dict[str, Embedding] = {}
    for key, digest in recognisers.items():
        expected = (installed or {}).get(key) or (BY_KEY[key].sha256 if key in BY_KEY else digest)
        if digest != expected:
            raise IdentityError(
                f"{named} was made with another {key} file (sha256 {digest[:12]}…, here {expected[:12]}…). "
                "Its numbers mean a different face here: analyse the photos again."
            )
        try:
            vector, raw, each = (tensors[f"{key}.{part}"] for part in _PARTS)
        except KeyError as error:
            raise IdentityError(f"{named} is damaged: {error} is missing. Save it again from photos.") from error
        checked(np.atleast_2d(vector), f"{key} embedding of {named}")
        embeddings[key] = Embedding(key, digest, vector, raw, np.atleast_2d(each))
    try:
        character = Character.from_dict(body.get("character", {"chibi_character": 1}))
    except CharacterError as error:
        raise IdentityError(f"{named}: {error}. Save it again from photos.") from error
    return Identity(
        embeddings, attributes, character, (), (), str(body.get("profile", "clean")), (f"loaded from card {name}",)
    )


def delete_card(path: str | os.PathLike[str]) -> int:
    """Remove both files of a card; returns how many were there."""
    files = [file for file in _card(path)[1:] if file.is_file()]
    for file in files:
        file.unlink()
    return len(files)
