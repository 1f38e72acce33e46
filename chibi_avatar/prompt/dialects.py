"""Model families: how each one wants its prompt. One small JSON file a family in ``data/dialects``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from .datafiles import load

FAMILIES = ("sd15", "sdxl", "pony", "illustrious", "noobai", "animagine", "anima", "flux", "qwen", "qwen_zh", "tiny")


class FamilyError(ValueError):
    """The family is not known. The message lists the known ones."""


class Dialect(NamedTuple):
    """How one model family wants its prompt; see ``data/dialects/*.json``."""

    id: str
    form: str
    weights: bool
    tokenizer: str
    prefix: tuple[str, ...]
    subject: tuple[str, ...]
    rating: tuple[str, ...]
    suffix: tuple[str, ...]
    negative: tuple[str, ...]
    language: str = "en"
    rating_after: str = "subject"
    sentence: bool = False
    unsaid: tuple[tuple[str, str], ...] = ()  # (field path, tag) for what the person leaves open
    vocabulary: frozenset[str] = frozenset()  # the only words that the model knows; empty: any
    # field path → kind → the kind it is drawn as; None: it is not drawn
    says: Mapping[str, Mapping[str, str | None]] = MappingProxyType({})
    silent: frozenset[str] = frozenset()  # fields and slots that are never drawn
    hides: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # field path → what is not seen under it

    def strange(self, tags: list[str]) -> list[str]:
        """The tags with a word that the model has never seen."""
        if not self.vocabulary:
            return []
        plain = [tag.strip("()").rsplit(":", 1)[0] if tag.startswith("(") else tag for tag in tags]
        return [tag for tag in plain if not self.vocabulary.issuperset(tag.lower().split())]


@lru_cache(maxsize=1)
def _aliases() -> dict[str, str]:
    table = {}
    for name in FAMILIES:
        table[name] = name
        for alias in load(f"dialects/{name}")["aliases"]:
            table[alias] = name
    return table


def dialect(family: str) -> Dialect:
    """The dialect of a family or one of its aliases. Raises :class:`FamilyError`."""
    name = _aliases().get(str(family).strip().lower())
    if name is None:
        raise FamilyError(f"unknown model family {str(family)[:40]!r}; choose one of {', '.join(FAMILIES)}")
    return _read(name)


@cache
def _read(name: str) -> Dialect:
    data = load(f"dialects/{name}")
    lists = {key: tuple(data[key]) for key in ("prefix", "subject", "rating", "suffix", "negative")}
    return Dialect(
        data["id"],
        data["form"],
        data["weights"],
        data["tokenizer"],
        **lists,
        language=data.get("language", "en"),
        rating_after=data.get("rating_after", "subject"),
        sentence=data.get("sentence", False),
        unsaid=tuple(data.get("unsaid", {}).items()),
        vocabulary=frozenset(data.get("vocabulary", "").split()),
        says={
            path: {kind: drawn or None for drawn, kinds in groups.items() for kind in kinds.split()}
            for path, groups in data.get("says", {}).items()
        },
        silent=frozenset(data.get("silent", ())),
        hides={path: tuple(others) for path, others in data.get("hides", {}).items()},
    )
