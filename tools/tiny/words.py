"""Which words the embedded model is spoken to in: ``python -m tools.tiny.words`` writes ``says`` into its dialect.

It is taught on pictures of the base mesh, which draws many kinds alike: a mohawk is its spiky hair. Words that make the same picture are one word
to this model, the commonest of them; a word that changes nothing is left out. So every word is seen often, and none says what is not there.
Run it after a change of the lexicon or of the wardrobe, and draw the training pictures again: their captions use these words.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from chibi_avatar.avatar.build import FACES
from chibi_avatar.avatar.wardrobe import HAIR, OUTFITS, nearest, plan
from chibi_avatar.character import Character
from chibi_avatar.prompt.dialects import dialect
from chibi_avatar.prompt.lexicon import WORN, lexicon
from chibi_avatar.tiny.data.scenes import EXPRESSIONS

DIALECT = Path(__file__).parents[2] / "chibi_avatar" / "prompt" / "data" / "dialects" / "tiny.json"
_BODIES = (
    {"outfit.kind": "space_suit"},
    {"outfit.kind": "sailor_uniform"},
)  # what changes neither of these is not drawn
_FAR = 0.75  # faces further apart than this, in weights of morphs, are not the same face


def says() -> dict[str, dict[str, str]]:
    """Field path → the kind that is said → the kinds drawn like it, space-separated; under "" what is not drawn."""
    silent = dialect("tiny").silent
    paths = ["hair.style", "hair.bangs", "outfit.kind", *(f"{slot}.kind" for slot in WORN if slot not in silent)]
    out = {path: _alike(path) for path in paths}
    out["expression"] = _faces()
    return {path: groups for path, groups in out.items() if groups}


def _alike(path: str) -> dict[str, str]:
    own: Collection[str] = {"outfit.kind": OUTFITS, "hair.style": HAIR}.get(path, ())
    bodies = _BODIES if path.split(".")[0] in WORN else ({},)
    nothing = tuple(_drawn(body) for body in bodies)
    groups: dict[object, list[str]] = {}
    common = {kind: (kind in own, entry.rarity) for kind, entry in lexicon().entries[path].items() if kind != "none"}
    for kind in dict.fromkeys((*own, *common)):
        groups.setdefault(tuple(_drawn({**body, path: kind}) for body in bodies), []).append(kind)
    out = {}
    for drawn, kinds in groups.items():
        chosen = max(kinds, key=lambda kind: common.get(kind, (True, 0.0)))
        unseen = drawn == nothing and len(bodies) > 1
        if others := [kind for kind in kinds if unseen or kind != chosen]:
            out["" if unseen else chosen] = " ".join(others)
    return out


def _drawn(fields: dict[str, str]) -> object:
    chosen = plan(Character({"presentation": "feminine", **fields}))
    return chosen.pieces, chosen.cloth.get("wings")  # angels' and demons' differ in colour alone


def _faces() -> dict[str, str]:
    out: dict[str, list[str]] = {}
    for kind in lexicon().entries["expression"]:
        if kind not in EXPRESSIONS:
            near = min(EXPRESSIONS, key=lambda name: _apart(kind, name))
            if _apart(kind, near) < _FAR:
                out.setdefault(near, []).append(kind)
    return {kind: " ".join(others) for kind, others in out.items()}


def _apart(a: str, b: str) -> float:
    one, other = nearest(FACES, a) or {}, nearest(FACES, b) or {}
    return sum((one.get(name, 0.0) - other.get(name, 0.0)) ** 2 for name in {*one, *other}) ** 0.5


def tell(key: str, value: object) -> None:
    """Put ``value`` into the model's dialect."""
    data = json.loads(DIALECT.read_text(encoding="utf-8"))
    data[key] = value
    DIALECT.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tell("says", says())
