"""From a Character to prompts: dialects, conflicts, tokens, presets and reading back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chibi_avatar.avatar.wardrobe import plan
from chibi_avatar.character import FIELDS, Character, CharacterError, Color
from chibi_avatar.prompt import build, read_prompt
from chibi_avatar.prompt.conflicts import resolve_conflicts, unresolved
from chibi_avatar.prompt.datafiles import load
from chibi_avatar.prompt.dialects import FAMILIES, dialect
from chibi_avatar.prompt.lexicon import ENTRY_FILES, lexicon, shape_of
from chibi_avatar.prompt.panel_data import panel_data
from chibi_avatar.prompt.presets import (
    PresetError,
    builtin,
    builtin_names,
    delete_user,
    read_user,
    save_user,
    user_list,
)
from chibi_avatar.prompt.tokens import estimate, pack, split_tags
from chibi_avatar.prompt.variety import crowd, distance, draw
from tools.tiny.words import says

ROOT = Path(__file__).resolve().parents[3]
TEXT = "girl, (long pink hair:1.2), cat ears, white shirt, blue pleated skirt, no hat, happy"
SHAPES = {"bob", "long_straight", "hime", "twin_tails", "low_twin_tails", "ponytail", "braid", "twin_braids", "short", "spiky", "wolf_cut", "curly",
          "bun", "double_bun", "bald"}  # fmt: skip
OUTFITS = {"sailor_uniform", "blazer_uniform", "hoodie", "tshirt_shorts", "dress", "suit", "hanfu", "qipao", "kimono", "overalls", "sweater",
           "raincoat", "space_suit"}  # fmt: skip


def test_the_lexicon_is_large_enough_and_well_formed():
    """Words would be missing, or a person's own entry would break the rest."""
    lex = lexicon()
    assert len(lex.entries) >= 25
    assert sum(len(slot) for slot in lex.entries.values()) + len(lex.colors) + len(lex.patterns) >= 900
    known = {"id", "tag", "en", "zh", "shape", "also", "rarity", "emoji", "prose"}
    for name in ENTRY_FILES:
        for path, items in load(name)["attributes"].items():
            ids = [item["id"] for item in items]
            assert len(ids) == len(set(ids)), path
            for item in items:
                assert set(item) <= known, (path, item)
                value = {"true": True, "false": False}.get(item["id"], item["id"])
                Character({path: value})
                for other, implied in item.get("also", {}).items():
                    assert other in FIELDS, (path, item, implied)
    for word in lex.colors.values():
        Color(word.hex, word.name)


def test_no_entry_says_what_the_all_ages_list_refuses():
    """A tag of the lexicon itself could be indecent."""
    refused = set(load("banned")["words"])
    for slot in lexicon().entries.values():
        for item in slot.values():
            assert not {item.tag, *item.en, *item.zh} & refused, item


def test_every_style_and_outfit_has_a_shape():
    """The 3D avatar would fall back to its default hair or clothes."""
    lex = lexicon()
    assert {shape_of("hair.style", kind) for kind in lex.entries["hair.style"]} == SHAPES
    assert {shape_of("outfit.kind", kind) for kind in lex.entries["outfit.kind"]} == OUTFITS
    assert shape_of("hair.style", "no such thing") is None


def test_the_3d_base_gets_hair_and_outfit_from_what_was_said():
    """Long hair and a hoodie would be a bob and a T-shirt in 3D."""
    made = plan(build("long hair, red hoodie, blue jeans", "sd15").character)
    assert {"hair_long_straight", "top_hoodie", "bottom_trousers"} <= set(made.pieces)
    assert (made.cloth["top_hoodie"].main, made.cloth["bottom_trousers"].main) == ("#d8333a", "#4a78d6")


def test_the_tiny_model_is_told_what_goes_without_saying():
    """It was trained on views from all around, and would show the back of the head to whoever says nothing of it."""
    assert build("pink hair", "tiny").positive.endswith("front view, simple background")
    behind = build("a girl from behind, gradient background", "tiny").positive
    assert "from behind" in behind
    assert "front view" not in behind and "simple background" not in behind
    assert "front view" not in build("pink hair", "sd15").positive


def test_the_tiny_model_is_asked_for_what_it_draws():
    """It knows one word for each shape of the base; a rare one would be half known, and one for what is not there would paint blots."""
    made = build("1boy, mohawk, superhero costume, square glasses, pearl earrings, smug", "tiny")
    said = split_tags(made.positive)
    assert {"spiky hair", "spacesuit", "rectangular eyewear", "smile"} <= set(said)
    assert not {"mohawk", "superhero costume", "pearl earrings", "smug"} & set(said)
    assert made.character["hair.style"] == "mohawk", "the avatar keeps its person's words"
    assert "draws mohawk as spiky hair" in made.report and "does not draw pearl earrings" in made.report
    assert "mohawk" in build("1boy, mohawk", "sd15").positive


def test_the_tiny_model_is_not_told_what_is_out_of_sight():
    """Cat ears under a hat and a uniform under a coat are not drawn: their words would be learned to mean nothing."""
    made = build("girl in a red trench coat over a blazer uniform, beanie, cat ears", "tiny")
    assert {"red coat", "beanie"} <= set(split_tags(made.positive))
    assert "ears" not in made.positive and "blazer" not in made.positive
    assert "cat ears (under beanie)" in made.report


def test_the_tiny_models_words_are_those_of_the_wardrobe():
    """After a change of lexicon or wardrobe its captions would say what is no longer drawn: run  python -m tools.tiny.words."""
    assert load("dialects/tiny")["says"] == says()


GOLDEN = {
    "sd15": "masterpiece, best quality, 1girl, solo, chibi, ",
    "sdxl": "a girl, chibi style illustration, ",
    "pony": "score_9, score_8_up, score_7_up, 1girl, solo, chibi, source_anime, rating_safe, ",
    "illustrious": "1girl, solo, chibi, general, ",
    "noobai": "masterpiece, best quality, newest, absurdres, highres, safe, 1girl, ",
    "animagine": "1girl, solo, chibi, ",
    "anima": "masterpiece, best quality, newest, safe, 1girl, ",
    "flux": "A cute chibi illustration of a girl, ",
    "qwen": "A cute chibi illustration of a girl, ",
    "qwen_zh": "一张可爱的Q版插画，主角是一个女孩，",
    "tiny": "1girl, solo, chibi, ",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_gets_its_own_dialect(family):
    """The model would see tags it was never trained on, or literal '(hair:1.2)'."""
    result = build(TEXT, family)
    assert result.positive.startswith(GOLDEN[family])
    weighted = "(pink hair:1.2)" in result.positive
    assert weighted == dialect(family).weights
    if not dialect(family).weights:
        assert ":1." not in result.positive
    if dialect(family).negative:
        assert "nsfw" in result.negative
    assert "hat" in result.negative
    assert load(f"dialects/{family}")["source"]


def test_animagine_puts_rating_after_identity_and_quality_last():
    """Animagine XL 4 is trained on that order."""
    tags = build(TEXT, "animagine").positive.split(", ")
    assert tags[-4:] == ["masterpiece", "high score", "great score", "absurdres"]
    assert tags.index("cat ears") < tags.index("safe") < tags.index("white collared shirt")


def test_chinese_prose_is_chinese():
    """Qwen-Image users who write Chinese would get English words in between."""
    text = build("粉色双马尾女孩，蓝色眼睛，白衬衫，拿着扇子，森林", "qwen_zh").positive
    assert not [c for c in text.replace("Q版", "") if c.isascii() and c.isalpha()]
    for words in ("粉色的头发", "双马尾", "蓝色的眼睛", "白色的衬衫", "扇子", "森林"):
        assert words in text


def test_several_people_are_counted_in_prose():
    """'Another one: A cute chibi illustration of…' would draw a picture in the picture."""
    english = build("two girls, one with pink hair and one with blue hair", "flux").positive
    assert (
        english.count("illustration") == 1
        and "two people" in english
        and "The second is a girl. She has blue hair." in english
    )
    chinese = build("两个女孩，一个金发，一个黑发戴眼镜", "qwen_zh").positive
    assert (
        chinese.count("插画") == 1 and "金色的头发" in chinese and "第二个是女孩，有黑色的头发，她戴着眼镜" in chinese
    )


def test_sixty_rules_each_explained_and_each_fires():
    """Contradictions would go to the model, or be changed without a word."""
    rules = load("conflicts")["rules"]
    assert len(rules) >= 60
    for rule in rules:
        assert rule["en"] and rule["zh"] and ("unset" in rule) + ("set" in rule) + ("hide" in rule) == 1
        values = {}
        for path, wanted in rule["when"].items():
            if "!" in wanted:
                continue
            choice = next(
                (
                    w
                    for w in wanted
                    if isinstance(w, bool) or (isinstance(w, str) and not w.startswith(("*", "!", "-")))
                ),
                None,
            )
            values[path] = choice if choice is not None else sample(path)
        found = resolve_conflicts(Character(values))
        assert rule["id"] in [told["rule"] for told in found.told], (rule["id"], values)
        assert unresolved(found.character, found.hidden) == []


def sample(path: str):
    field = FIELDS[path]
    if field.type == "color":
        return "#123456"
    if field.type == "flag":
        return True
    if field.type == "enum":
        return field.options[-1]
    return next(
        kind
        for kind in lexicon().entries[path]
        if kind not in ("none", "small_wings", "cape", "cloak", "elf_ears", "fin_ears", "robot_ears")
    )


def test_a_headshot_keeps_the_shoes_for_the_3d_avatar():
    """The avatar would be barefoot because one picture was a portrait."""
    result = build("portrait, red boots", "sd15")
    assert result.character["shoes.kind"] == "boots"
    assert "boots" not in result.positive
    assert "conflict: A headshot does not show shoes" in result.report


def test_whole_tags_are_packed_and_none_is_lost():
    """A tag cut in half is two wrong tags."""
    tags = [f"tag number {n} with words" for n in range(60)]
    chunks, long = pack(tags, estimate, 75)
    assert not long
    assert ", ".join(chunk.text for chunk in chunks).split(", ") == tags
    assert all(chunk.used <= 75 for chunk in chunks)
    chunks, long = pack(["a", "word " * 200, "b"], estimate, 75)
    assert len(long) == 1 and all(chunk.used <= 75 for chunk in chunks)
    assert " ".join(c.text for c in chunks).replace(",", "").split() == ["a", *["word"] * 200, "b"]


def test_tags_split_at_commas_outside_brackets():
    """'(red hat, blue hat:1.2)' would lose its weight."""
    assert split_tags("a, (b, c:1.2), d BREAK e\nf") == ["a", "(b, c:1.2)", "d", "BREAK", "e", "f"]


def test_one_lock_never_shifts_another_field():
    """Locking the hair would change the clothes."""
    for seed in range(60):
        free = draw(Character(), seed)
        kept = {path: value for path, value in free.items() if path in ("hair.style", "hair.color", "expression")}
        again = draw(Character(kept), seed)
        assert dict(again) == dict(free), seed


def test_draws_have_no_open_conflicts_and_no_banned_words():
    """A random character would contradict itself or be indecent."""
    banned = {word for word in load("banned")["words"] if word.isascii() and len(word) > 3}
    for seed in range(600):
        result = build("", "illustrious", seed=seed, variety=1.0)
        found = resolve_conflicts(result.character)
        assert unresolved(result.character, found.hidden) == []
        assert not set(split_tags(result.positive)) & banned


def test_the_same_seed_is_the_same_everywhere():
    """Colleagues with the same workflow would get another character."""
    code = ("import sys,hashlib;sys.path.insert(0,sys.argv[1]);from chibi_avatar.prompt import build;h=hashlib.sha256();"
            "[h.update((build('{a|b} girl, __hair_style__','pony',seed=s,variety=1.0).positive+build('','flux',seed=s,variety=.5).character.to_json()).encode()) for s in range(12)];"
            "sys.stdout.write(h.hexdigest())")  # fmt: skip
    seen = {
        subprocess.run(
            [sys.executable, "-c", code, str(ROOT)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4242")
    }
    assert len(seen) == 1 and len(seen.pop()) == 64


def test_a_crowd_is_not_one_doll_in_many_wigs():
    """Background figures would look like copies."""
    people = crowd(16, 7, minimum=0.3)
    assert len(people) == 16
    assert min(distance(a, b) for i, a in enumerate(people) for b in people[:i]) >= 0.3
    assert [dict(p) for p in crowd(4, 7, minimum=0.3)] == [dict(p) for p in people[:4]]
    shared = crowd(5, 1, Character({"outfit.kind": "hanfu"}))
    assert {p["outfit.kind"] for p in shared} == {"hanfu"}
    with pytest.raises(ValueError, match="1 to 64"):
        crowd(65, 1)


def test_prompts_read_back_as_the_character_they_came_from():
    """A pasted prompt would fill the form with something else."""
    total = good = 0
    for seed in range(300):
        result = build("", FAMILIES[seed % 6], seed=seed, variety=1.0)
        back, _ = read_prompt(result.positive, result.negative)
        hidden = resolve_conflicts(result.character).hidden
        for path, value in result.character.items():
            if path not in hidden and value not in (False, "none"):
                total += 1
                other = back.get(path)
                good += (
                    other.name == value.name
                    if isinstance(value, Color) and isinstance(other, Color)
                    else other == value
                )
    assert good / total >= 0.98, good / total


def test_forty_presets_that_say_themselves():
    """A preset would be empty, or contradict itself."""
    assert len(builtin_names()) >= 40
    seen = set()
    for name in builtin_names():
        character = builtin(name)
        assert resolve_conflicts(character).told == [], name
        assert {character.evidence(path).source for path in character} == {"preset"}
        seen.add(character.digest())
    assert len(seen) == len(builtin_names())
    with pytest.raises(PresetError, match="there are"):
        builtin("nobody")


def test_own_presets_are_files_with_safe_names(tmp_path):
    """A preset's name could write outside the folder; a broken file would hide the others."""
    character = build("pink hair, cat ears", "sd15").character
    save_user(tmp_path / "presets", "我的猫 1", character)
    assert dict(read_user(tmp_path / "presets", "我的猫 1")) == dict(character)
    for name in ("../evil", "a/b", "", ".hidden", "x" * 80, "con", "a\x00b", "c:\\x"):
        with pytest.raises(PresetError):
            save_user(tmp_path / "presets", name, character)
    (tmp_path / "presets" / "broken.json").write_text("{", encoding="utf-8")
    listed = {item["id"]: item for item in user_list(tmp_path / "presets")}
    assert "error" in listed["broken"] and "character" in listed["我的猫 1"]
    assert delete_user(tmp_path / "presets", "broken") and not delete_user(tmp_path / "presets", "broken")
    assert user_list(tmp_path / "nowhere") == []


def test_the_panel_can_show_every_field():
    """A field would be missing from the form, or have no name in one language."""
    data = panel_data()
    paths = [field["path"] for group in data["groups"] for field in group["fields"]]
    assert len(paths) == len(set(paths)) >= 25
    for group in data["groups"]:
        for field in group["fields"]:
            assert field["en"] and field["zh"]
            for option in field.get("options", ()):
                Character({field["path"]: option["id"]})
    json.dumps(data)


def test_the_command_needs_no_environment():
    """`prompt` would install gigabytes to print one line."""
    from chibi_avatar.commands import prompt

    assert prompt.ENVIRONMENT is None
    run = [sys.executable, "-S", "-m", "chibi_avatar", "prompt"]
    done = subprocess.run(
        [*run, "粉色头发的女孩", "--family", "qwen-image", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    reply = json.loads(done.stdout)
    assert reply["family"] == "qwen" and reply["character"]["hair"]["color"]["name"] == "pink"
    bad = subprocess.run([*run, "x", "--family", "nope"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert bad.returncode == 2 and "illustrious" in bad.stderr


def test_a_newer_character_is_refused():
    """Fields this version does not know would be dropped silently."""
    with pytest.raises(CharacterError):
        build("", "sd15", character={"chibi_character": 2})
