"""From a Character to pieces and colours: which parts of the base mesh make this person, and what paints each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..character import Character, Color
from ..prompt.lexicon import shape_of
from . import base

T = TypeVar("T")

WHITE, NAVY = "#fbfaf7", "#3a4a7c"
RED, GOLD, GREY = "#d9455b", "#f0c35a", "#8d93a3"


@dataclass(frozen=True)
class Cloth:
    """How a slot is painted: main, second and third colour (sRGB hex) and a pattern name or None."""

    main: str
    second: str
    third: str = GOLD
    pattern: str | None = None


@dataclass(frozen=True)
class Plan:
    """Pieces to assemble, a :class:`Cloth` per piece, and what could not be followed literally (for the report)."""

    pieces: tuple[str, ...]
    cloth: Mapping[str, Cloth]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outfit:
    """A whole set: piece and colours per slot; ``lead`` are the slots that take the outfit's own colour, ``trim`` the second colour."""

    top: tuple[str, Cloth]
    bottom: tuple[str, Cloth]
    shoes: tuple[str, Cloth]
    legwear: tuple[str, Cloth] | None = None
    neck: tuple[str, Cloth] | None = None
    lead: tuple[str, ...] = ("top",)
    trim: tuple[str, ...] = ("top",)
    trousers: tuple[str, Cloth] | None = None  # instead of the skirt when the presentation is masculine


_SNEAKERS = ("sneakers", Cloth("#e86a5c", WHITE))
_LOAFERS = ("loafers", Cloth("#6b4034", "#4a2d28"))
_MARY = ("mary_janes", Cloth("#5b3a44", "#3d2a33"))
_KNEE = ("knee_socks", Cloth(WHITE, NAVY))
_SOCKS = ("socks", Cloth(WHITE, "#e9e4ea"))

OUTFITS: dict[str, Outfit] = {
    "sailor_uniform": Outfit(("sailor", Cloth(WHITE, NAVY, RED)), ("pleated_skirt", Cloth(NAVY, WHITE, "#2f3c66")), _LOAFERS, _KNEE,
                             lead=("bottom", "top2"), trim=("top",), trousers=("trousers", Cloth(NAVY, WHITE))),
    "blazer_uniform": Outfit(("blazer", Cloth("#43507f", WHITE, GOLD)), ("pleated_skirt", Cloth("#8a5566", "#6f4253", "#5c3847", "plaid")), _LOAFERS, _KNEE,
                             ("bow", Cloth(RED, RED)), lead=("top",), trim=("bottom",), trousers=("trousers", Cloth("#6d7080", GREY))),
    "hoodie": Outfit(("hoodie", Cloth("#f2b3a5", "#e29a8c", WHITE)), ("trousers", Cloth("#56688f", "#46567a")), _SNEAKERS, _SOCKS),
    "tshirt_shorts": Outfit(("tshirt", Cloth("#fff3da", "#f3a35f", GOLD)), ("shorts", Cloth("#5d86b8", "#4c709f")), _SNEAKERS, _SOCKS),
    "dress": Outfit(("dress", Cloth("#f4b8c8", WHITE, "#e88aa6")), ("flared_skirt", Cloth("#f4b8c8", WHITE, WHITE)), _MARY, _SOCKS, lead=("top", "bottom"), trim=("top", "bottom")),
    "suit": Outfit(("suit", Cloth("#4a4f63", WHITE, "#e9e4da")), ("trousers", Cloth("#4a4f63", "#3d4154")), ("loafers", Cloth("#4a3430", "#33241f")), None,
                   ("tie", Cloth(RED, RED)), lead=("top", "bottom"), trim=("neck",)),
    "hanfu": Outfit(("hanfu", Cloth("#f6efe4", "#7fb0a3", "#e7c873")), ("long_skirt", Cloth("#8fc1b5", "#f2e3b8", "#7aa99d")), ("loafers", Cloth("#b9826a", "#7d5244")), None,
                    lead=("bottom", "top2"), trim=("top",)),
    "qipao": Outfit(("qipao", Cloth("#c9414f", GOLD, GOLD, "blossom")), ("qipao_skirt", Cloth("#c9414f", GOLD, "#a73441", "blossom")), _MARY, None, lead=("top", "bottom"), trim=("top", "bottom")),
    "kimono": Outfit(("kimono", Cloth("#e99fb2", "#fff1ee", "#8a4a63", "blossom")), ("robe_skirt", Cloth("#e99fb2", "#fff1ee", "#d287a0", "blossom")), ("mary_janes", Cloth("#9d5a48", "#6d3d33")),
                     ("socks", Cloth(WHITE, WHITE)), lead=("top", "bottom"), trim=("top3",)),
    "overalls": Outfit(("overalls_shirt", Cloth("#fdf0dc", "#ef8f6b", GOLD, "stripes")), ("overalls", Cloth("#5f87bd", "#4d73a6", GOLD)), _SNEAKERS, _SOCKS, lead=("bottom",), trim=("top",)),
    "sweater": Outfit(("sweater", Cloth("#c9788a", "#b3667a", WHITE, "knit")), ("pleated_skirt", Cloth("#6d6176", "#5a5063", "#50475a", "plaid")), ("boots", Cloth("#7d5243", "#5c3c32")), ("tights", Cloth("#4c4454", "#4c4454")),
                      trousers=("trousers", Cloth("#6d6176", "#5a5063"))),
    "raincoat": Outfit(("raincoat", Cloth("#f7ce4d", "#e3b431", WHITE)), ("shorts", Cloth("#6f7fa3", "#5d6c8e")), ("rain_boots", Cloth("#f0b93a", "#d9a02c")), _SOCKS, lead=("top", "shoes"), trim=("top",)),
    "space_suit": Outfit(("space_suit", Cloth("#f3f1f4", "#8f9bb8", "#5c6c94")), ("space_suit", Cloth("#f3f1f4", "#8f9bb8")), ("boots", Cloth("#e6e4ea", "#8f9bb8")), None, lead=("top", "bottom"), trim=("top", "bottom")),
    "shirt": Outfit(("shirt", Cloth(WHITE, "#f1eef2", "#e8dfc8")), ("pleated_skirt", Cloth("#4d5c8c", "#3f4c77", "#3f4c77")), _LOAFERS, _KNEE, trousers=("trousers", Cloth("#4d5575", "#424a66"))),
}  # fmt: skip

# words of a kind → the nearest piece; longest match wins, so that "pleated_skirt" is not only a skirt
TOPS = {"sailor": "sailor", "blazer": "blazer", "suit": "suit", "jacket": "blazer", "coat": "raincoat", "raincoat": "raincoat", "cloak": "raincoat", "cape": "raincoat", "hoodie": "hoodie", "hood": "hoodie",
        "sweatshirt": "hoodie", "sweater": "sweater", "turtleneck": "sweater", "cardigan": "sweater", "vest": "sweater", "knit": "sweater", "shirt": "shirt", "blouse": "shirt", "t_shirt": "tshirt",
        "tshirt": "tshirt", "tee": "tshirt", "polo": "tshirt", "tank": "tshirt", "camisole": "tshirt", "jersey": "tshirt", "hanfu": "hanfu", "kimono": "kimono", "yukata": "kimono", "haori": "kimono", "qipao": "qipao",
        "cheongsam": "qipao", "tang": "qipao", "space": "space_suit", "dress": "dress", "armor": "space_suit", "uniform": "blazer", "tracksuit": "hoodie", "windbreaker": "hoodie", "parka": "raincoat", "crop": "tshirt", "long_sleeve": "tshirt", "flannel": "shirt", "henley": "tshirt", "tunic": "hanfu", "chinese": "qipao", "poncho": "raincoat", "shawl": "sweater", "happi": "kimono", "bolero": "sweater", "raglan": "hoodie", "gown": "dress", "lolita": "dress"}  # fmt: skip
BOTTOMS = {"pleated_skirt": "pleated_skirt", "skirt": "flared_skirt", "miniskirt": "pleated_skirt", "long_skirt": "long_skirt", "maxi": "long_skirt", "hakama": "long_skirt", "shorts": "shorts", "bloomers": "shorts",
           "trousers": "trousers", "pants": "trousers", "jeans": "trousers", "leggings": "trousers", "slacks": "trousers", "wide": "wide_trousers", "sweatpants": "wide_trousers", "overalls": "overalls",
           "dungarees": "overalls", "kilt": "pleated_skirt", "tutu": "flared_skirt", "culottes": "shorts", "mamianqun": "long_skirt"}  # fmt: skip
SHOES = {"sneaker": "sneakers", "trainers": "sneakers", "canvas": "sneakers", "loafer": "loafers", "leather": "loafers", "oxford": "loafers", "dress_shoes": "loafers", "mary_jane": "mary_janes", "heels": "mary_janes",
         "flats": "mary_janes", "ballet": "mary_janes", "sandals": "mary_janes", "slippers": "mary_janes", "geta": "mary_janes", "boots": "boots", "rain_boots": "rain_boots", "shoes": "loafers", "high_tops": "sneakers", "zori": "mary_janes", "clogs": "mary_janes", "skates": "boots", "cleats": "sneakers", "slip_ons": "loafers"}  # fmt: skip
LEGWEAR = {
    "knee": "knee_socks",
    "thighhigh": "tights",
    "thigh": "tights",
    "stockings": "tights",
    "pantyhose": "tights",
    "tights": "tights",
    "leggings": "tights",
    "socks": "socks",
    "leg_warmers": "knee_socks",
    "tabi": "socks",
    "bandage": "socks",
}
NECK = {
    "necktie": "tie",
    "tie": "tie",
    "bow": "bow",
    "bowtie": "bow",
    "ribbon": "bow",
    "scarf": "scarf",
    "muffler": "scarf",
    "bandana": "scarf",
    "neckerchief": "bow",
    "jabot": "bow",
    "boa": "scarf",
    "fur_collar": "scarf",
}
HAIR = ("bob", "long_straight", "hime", "twin_tails", "low_twin_tails", "ponytail", "braid", "twin_braids", "short", "spiky", "wolf_cut", "curly", "bun", "double_bun", "bald")  # fmt: skip
FRINGE = {"full": "full", "blunt": "blunt", "straight": "blunt", "hime": "blunt", "side": "side_swept", "swept": "side_swept", "part": "parted", "middle": "parted", "curtain": "curtain", "messy": "messy", "choppy": "messy",
          "asymmetrical": "side_swept", "none": "swept_back", "no": "swept_back", "slicked": "swept_back", "back": "swept_back", "wispy": "messy", "air": "messy", "french": "messy", "crossed": "side_swept", "over_one_eye": "side_swept", "over_eyes": "full", "braided": "parted"}  # fmt: skip
# of glasses, ears and tails that are none of these the base has the first
GLASSES = {
    "round": "round",
    "square": "square",
    "rectang": "square",
    "half": "square",
    "sunglasses": "square",
    "goggles": "round",
    "monocle": "round",
    "heart": "round",
    "cat": "square",
    "visor": "square",
}
HATS = {"cap": "cap", "baseball": "cap", "beret": "beanie", "beanie": "beanie", "knit": "beanie", "pompom": "beanie", "witch": "witch", "wizard": "witch", "straw": "straw", "sun": "straw", "bucket": "straw", "top_hat": "witch", "fedora": "straw",
        "hat": "straw", "helmet": "cap", "santa": "beanie", "cowboy": "straw", "sailor": "cap", "hood": "beanie", "ushanka": "beanie", "bonnet": "beanie", "deerstalker": "cap", "tricorne": "cap", "weimao": "straw", "turban": "beanie"}  # fmt: skip
EARS = {
    "cat": "cat",
    "rabbit": "rabbit",
    "bunny": "rabbit",
    "fox": "fox",
    "wolf": "fox",
    "dog": "fox",
    "bear": "cat",
    "mouse": "cat",
    "tiger": "cat",
    "panda": "cat",
    "lion": "cat",
    "leopard": "cat",
    "raccoon": "cat",
    "koala": "cat",
    "squirrel": "fox",
}
TAILS = {
    "cat": "cat",
    "fox": "fox",
    "wolf": "fox",
    "dog": "fox",
    "rabbit": "rabbit",
    "bunny": "rabbit",
    "squirrel": "fox",
    "devil": "cat",
    "demon": "cat",
    "dragon": "cat",
    "dinosaur": "cat",
    "tiger": "cat",
    "lion": "cat",
    "mouse": "cat",
    "cow": "cat",
    "horse": "cat",
    "raccoon": "fox",
    "bear": "rabbit",
}
_ANY_ANIMAL = ("animal_ears", "ears", "tail", "fluffy_tail", "multiple_tails")


# garments that bring a whole set along when no outfit is named
SETS = {"hoodie": "hoodie", "sweatshirt": "hoodie", "dress": "dress", "gown": "dress", "lolita": "dress", "sweater": "sweater", "turtleneck": "sweater", "cardigan": "sweater", "coat": "raincoat", "raincoat": "raincoat",
        "kimono": "kimono", "yukata": "kimono", "haori": "kimono", "happi": "kimono", "qipao": "qipao", "cheongsam": "qipao", "chinese": "qipao", "hanfu": "hanfu", "overalls": "overalls", "dungarees": "overalls", "suit": "suit",
        "shirt": "shirt", "blouse": "shirt", "sailor": "sailor_uniform", "blazer": "blazer_uniform", "lab_coat": "suit", "tshirt": "tshirt_shorts", "t_shirt": "tshirt_shorts"}  # fmt: skip


def nearest(table: Mapping[str, T], kind: str | None) -> T | None:
    """The entry whose key is the longest one found in ``kind``; None if none is."""
    if not kind or kind == "none":
        return None
    if kind in table:
        return table[kind]
    found = [key for key in table if key in kind]
    return table[max(found, key=len)] if found else None


def _shift(hex_value: str, factor: float) -> str:
    """A darker (factor < 1) neighbour of a colour, for second colours nobody chose."""
    channels = [int(hex_value[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(min(255, max(0, c * factor))):02x}" for c in channels)


def _colored(cloth: Cloth, color: Color | None, color2: Color | None, pattern: str | None) -> Cloth:
    main = color.hex if color else cloth.main
    second = color2.hex if color2 else cloth.second
    if color and not color2 and min(int(second[i : i + 2], 16) for i in (1, 3, 5)) < 0xC8 and second != GOLD:
        second = _shift(main, 0.84)  # a tone of the chosen colour rather than of the default one
    kept = cloth.pattern if pattern is None else (None if pattern in ("none", "plain", "solid") else pattern)
    return Cloth(main, second, _shift(main, 0.82) if color else cloth.third, kept)


def plan(character: Character) -> Plan:
    """Choose pieces and colours. Kinds the base does not have are replaced by the nearest it has, and that is noted."""
    c = character.resolve()
    notes: list[str] = []
    pieces = ["head", "body"]
    cloth: dict[str, Cloth] = {}
    masculine = c["presentation"] == "masculine"

    def note(path: str, kind: str, used: str) -> None:
        notes.append(f"{path}: the 3D base has no {kind.replace('_', ' ')}; it wears {used.replace('_', ' ')} instead")

    style = _hair(c, masculine, note)
    if style != "bald":
        pieces.append(f"hair_{style}")
        fringe = "swept_back" if c["hair.bangs"] == "none" else nearest(FRINGE, c["hair.bangs"]) or "full"
        if c.evidence("hair.bangs") and c.evidence("hair.bangs").source == "default":
            fringe = {
                "hime": "blunt",
                "short": "side_swept",
                "spiky": "messy",
                "wolf_cut": "curtain",
                "curly": "curtain",
                "bun": "curtain",
                "long_straight": "full",
            }.get(style, "full")
        pieces.append(f"fringe_{fringe}")
        if c["hair.ahoge"]:
            pieces.append("ahoge")

    for slot, (name, how) in _garments(c, masculine, note).items():
        pieces.append(f"{slot}_{name}")
        cloth[pieces[-1]] = how
    if c.get("shoes.kind") == "none":
        notes.append("shoes.kind: the 3D base has no bare feet; it keeps its shoes")

    hair = c["hair.color"].hex
    worn: list[tuple[str, Mapping[str, str] | None, Cloth]] = [
        ("glasses", GLASSES, Cloth("#4a4250", GOLD)),
        ("hat", HATS, Cloth("#d9806a", "#a85b4f", "#fff1de")),
        ("animal_ears", EARS, Cloth(hair, "#f6b9c0")),
        ("horns", None, Cloth("#8d6f84", "#5f4a5c")),
        ("halo", None, Cloth("#ffdf7e", "#f0c35a")),
        ("wings", None, Cloth("#fdfbff", "#dfe6f5")),
        ("tail", TAILS, Cloth(hair, "#fff3e4")),
        ("hair_ornament", None, Cloth("#e0526c", "#b93d55")),
        ("headphones", None, Cloth("#f6f3f7", "#8fa6d8", "#5c6c94")),
        ("bag", None, Cloth("#c98258", "#8f573b", GOLD)),
    ]
    for slot, table, default in worn:
        kind = c.get(f"{slot}.kind")
        if not kind or kind == "none":
            continue
        shape = nearest(table, kind) if table else None
        if kind in _ANY_ANIMAL and table:  # the tail of whose ears they are
            shape = nearest(table, c.get("animal_ears.kind")) or nearest(table, c.get("species")) or shape
        named = slot in ("animal_ears", "tail") and kind not in _ANY_ANIMAL
        if (slot == "hair_ornament" and "bow" not in kind and "ribbon" not in kind) or (
            shape is None and (slot == "hat" or named)  # a tiara is not some kind of cap, nor are an elf's ears a cat's
        ):
            notes.append(f"{slot}: {kind.replace('_', ' ')} is in the picture's prompt but not on the 3D avatar")
            continue
        if slot == "hat":
            default = {
                "straw": Cloth("#ecd08a", "#d9576b"),
                "witch": Cloth("#5a4a86", "#d98a4a"),
                "cap": Cloth("#d9576b", "#b9445a"),
            }.get(str(shape), default)
        if slot == "wings" and nearest({"devil": "x", "demon": "x", "bat": "x", "dragon": "x"}, kind):
            default = Cloth("#6d4f75", "#4e3856")
        name = slot if table is None else f"{slot}_{shape or next(iter(table.values()))}"
        name = {"bag": "bag_backpack", "hair_ornament": "hair_ornament_bow"}.get(name, name)
        pieces.append(name)
        cloth[name] = _colored(default, c.get(f"{slot}.color"), c.get(f"{slot}.color2"), c.get(f"{slot}.pattern"))
    if any(p.startswith("hat_") for p in pieces):
        ears = [p for p in pieces if p.startswith("animal_ears")]
        if ears:
            notes.append("animal_ears: they do not fit under a hat and are left off")
        pieces = [p for p in pieces if p not in ("ahoge", "halo", "headphones", "hair_ornament_bow", *ears)]
        for high, low in (
            ("hair_spiky", "hair_short"),
            ("hair_bun", "hair_long_straight"),
            ("hair_double_bun", "hair_low_twin_tails"),
            ("hair_ponytail", "hair_low_twin_tails"),
            ("hair_curly", "hair_bob"),
        ):
            if high in pieces:
                pieces[pieces.index(high)] = low
                notes.append(
                    f"hair: {high[5:].replace('_', ' ')} does not fit under a hat; it is worn as {low[5:].replace('_', ' ')}"
                )
    missing = [p for p in pieces if p not in base.piece_names()]
    if missing:
        raise base.AvatarError(f"the base mesh lacks {', '.join(missing)}")
    return Plan(tuple(pieces), cloth, tuple(notes))


def _hair(c: Character, masculine: bool, note) -> str:
    kind = c["hair.style"]
    style = kind if kind in HAIR else shape_of("hair.style", kind)
    if style is None:  # written otherwise, such as "twintails" or "long_hime_cut"
        style = nearest({name.replace("_", ""): name for name in HAIR}, kind.replace("_", ""))
    if c.evidence("hair.style").source == "default":
        length = c.get("hair.length")
        style = {
            "very_short": "short",
            "short": "short",
            "medium": "bob",
            "long": "long_straight",
            "very_long": "long_straight",
        }.get(length, "short" if masculine else "bob")
        if c["hair.texture"] == "curly":
            style = "curly"
        elif c["hair.texture"] == "spiky":
            style = "spiky"
    if style not in HAIR:
        style = "short" if masculine else "bob"
    if kind != style and c.evidence("hair.style").source != "default":
        note("hair.style", kind, style)
    return style


def _garments(c: Character, masculine: bool, note) -> dict[str, tuple[str, Cloth]]:
    """Slot → (piece, cloth). A whole outfit first, then single garments over it."""
    kind = c["outfit.kind"]
    chosen = {
        "top": c.get("top.kind"),
        "bottom": c.get("bottom.kind"),
        "dress": c.get("dress.kind"),
        "outer": c.get("outer.kind"),
    }
    if c.evidence("outfit.kind").source == "default":  # nobody named a set: the garments decide
        bare = "overalls" if nearest(BOTTOMS, chosen["bottom"]) == "overalls" else "tshirt_shorts"
        key = next((found for slot in ("dress", "outer", "top") if (found := nearest(SETS, chosen[slot]))), bare)
    else:
        key = _outfit_key(kind)
        if key != kind and kind not in ("school_uniform",):
            note("outfit.kind", kind, key or "a T-shirt and shorts")
        key = key or "tshirt_shorts"
    outfit = OUTFITS[key]
    slots: dict[str, tuple[str, Cloth]] = {}
    for slot in ("top", "bottom", "neck", "legwear", "shoes"):
        item = getattr(outfit, slot)
        if item:
            slots[slot] = item
    if masculine and outfit.trousers:
        slots["bottom"] = outfit.trousers
        if slots.get("legwear", ("",))[0] in ("knee_socks", "tights"):
            slots["legwear"] = _SOCKS
        if slots.get("neck", ("",))[0] == "bow":
            slots["neck"] = ("tie", slots["neck"][1])

    color, color2, pattern = c.get("outfit.color"), c.get("outfit.color2"), c.get("outfit.pattern")
    for slot in list(slots):
        name, cloth = slots[slot]
        if color and slot in outfit.lead:
            cloth = _colored(cloth, color, None, pattern)
        if color and f"{slot}2" in outfit.lead:
            cloth = Cloth(cloth.main, color.hex, cloth.third, cloth.pattern)
        if color2 and slot in outfit.trim:
            cloth = (
                Cloth(cloth.main, color2.hex, cloth.third, cloth.pattern)
                if slot in outfit.lead
                else Cloth(color2.hex, cloth.second, cloth.third, cloth.pattern)
            )
        if color2 and f"{slot}3" in outfit.trim:
            cloth = Cloth(cloth.main, cloth.second, color2.hex, cloth.pattern)
        slots[slot] = (name, cloth)

    tables = {"top": TOPS, "bottom": BOTTOMS, "neck": NECK, "legwear": LEGWEAR, "shoes": SHOES}
    for slot, source in (
        ("top", "top"),
        ("bottom", "bottom"),
        ("top", "dress"),
        ("bottom", "dress"),
        ("top", "outer"),
        ("neck", "neck"),
        ("legwear", "legwear"),
        ("shoes", "shoes"),
    ):
        kind = c.get(f"{source}.kind")
        own = c.get(f"{source}.color"), c.get(f"{source}.color2"), c.get(f"{source}.pattern")
        if kind == "none" and slot in ("neck", "legwear"):
            slots.pop(slot, None)
            continue
        if kind and kind != "none":
            table = {"dress": "flared_skirt"} if source == "dress" and slot == "bottom" else tables[slot]
            name = nearest(table, kind)
            if source == "dress" and name is None:
                name = "dress" if slot == "top" else "flared_skirt"
            if source == "dress" and _outfit_key(kind) not in (None, "dress"):
                name = getattr(OUTFITS[_outfit_key(kind)], slot)[0]
            if name is None:
                note(f"{source}.kind", kind, slots[slot][0] if slot in slots else "nothing")
            elif slot not in slots or slots[slot][0] != name:
                slots[slot] = (name, _default_cloth(slot, name))
        if slot in slots and any(v is not None for v in own):
            slots[slot] = (slots[slot][0], _colored(slots[slot][1], *own))
    if (
        slots["top"][0]
        in ("tshirt", "hoodie", "sweater", "sailor", "raincoat", "space_suit", "hanfu", "kimono", "qipao")
        and c.get("neck.kind") is None
    ):
        slots.pop("neck", None)
    return slots


def _default_cloth(slot: str, name: str) -> Cloth:
    for outfit in OUTFITS.values():
        for item in (getattr(outfit, slot), outfit.trousers if slot == "bottom" else None):
            if item and item[0] == name:
                return item[1]
    return Cloth("#8793b5", "#6d7899", "#5f6a8a")


def _outfit_key(kind: str) -> str | None:
    """The set that comes nearest to an outfit's, a dress's or a garment's kind; None if none does."""
    if kind in OUTFITS:
        return kind
    shape = shape_of("outfit.kind", kind)
    return shape if shape in OUTFITS else nearest(SETS, kind)
