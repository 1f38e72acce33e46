"""From words to a Character: the test set of how people type, and the rules behind it."""

from __future__ import annotations

import pytest
from chibi_testing.prompt_sentences import FOLDER, score, sentences

from chibi_avatar.character import Color
from chibi_avatar.prompt import build
from chibi_avatar.prompt.parse import parse


def fields(text: str) -> dict:
    return parse(text).people[0].fields


def test_the_sentences_people_type():
    """People would get a figure that is not the one they described."""
    rows = sentences()
    assert len(rows) >= 300
    result = score(rows)
    assert result.recall >= 0.97, result.misses
    assert result.precision >= 0.97, result.misses
    assert result.refused == result.refusals, result.misses


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("more_*.txt")))
def test_sentences_written_without_looking(name):
    """A change for one sentence would break what other people type."""
    result = score(sentences(FOLDER / name))
    assert result.recall >= 0.98, result.misses
    assert result.precision >= 0.98, result.misses
    assert result.refused == result.refusals, result.misses


def test_a_space_is_a_comma_between_chinese_words():
    """Run-on lists would give the hat's colour to the scarf."""
    a = fields("帽子红色 围巾绿色 手套白色")
    assert [a[f"{s}.color"].name for s in ("hat", "neck", "gloves")] == ["red", "green", "white"]
    b = fields("发色 棕色 瞳色 蓝色 白色 衬衫")
    assert [b[p].name for p in ("hair.color", "eyes.color", "top.color")] == ["brown", "blue", "white"]
    assert fields("pink hair\nblue eyes")["eyes.color"].name == "blue"


def test_only_what_is_refused_goes():
    """'no hat' at the end would take the skirt away too."""
    assert fields("穿红裙子帽子不要") | {"bottom.color": None} == {
        "bottom.kind": "skirt", "bottom.color": None, "hat.kind": "none",
    }  # fmt: skip
    a = fields("眼镜、帽子都不要，围巾保留")
    assert (a["glasses.kind"], a["hat.kind"], a["neck.kind"]) == ("none", "none", "scarf")
    assert fields("除了眼镜以外什么配饰都不要")["glasses.kind"] == "glasses"
    assert fields("把领带换成红色蝴蝶结").get("neck.kind") is None
    assert fields("无袖衬衫")["top.kind"] == "shirt"


def test_two_people_keep_their_own_things():
    """The boy would wear the girl's dress."""
    for text in (
        "a boy and a girl, the boy has a red hat, the girl has a blue dress",
        "左边的男孩戴红帽子，右边的女孩穿蓝色连衣裙",
        "情侣头像，男生戴红帽子，女生穿蓝色连衣裙",
        "dad with a red hat and mom in a blue dress",
        "戴红帽子的男孩和穿蓝色连衣裙的女孩",
    ):
        people = parse(text).people
        assert [p.fields.get("presentation") for p in people] == ["masculine", "feminine"], text
        assert people[0].fields["hat.color"].name == "red" and "dress.kind" not in people[0].fields, text
        assert people[1].fields["dress.color"].name == "blue" and "hat.kind" not in people[1].fields, text
    one = parse("我和男朋友，我穿白裙子，他穿黑西装").people
    assert one[0].fields["bottom.color"].name == "white" and one[1].fields["outfit.color"].name == "black"


def test_things_on_things_and_things_only_compared_with():
    """A cherry print would be a background, snow-white hair would snow."""
    assert fields("粉色和服上有樱花图案")["outfit.pattern"] == "floral"
    assert fields("a hoodie with a big star on it")["top.pattern"] == "star_print"
    assert "scene.background" not in fields("hair as white as snow")
    assert fields("领口有白色蝴蝶结")["neck.color"].name == "white"
    assert fields("a flower in her hair")["hair_ornament.kind"] == "flower"
    assert fields("the skirt is blue and pleated")["bottom.kind"] == "pleated_skirt"
    assert fields("eyes: closed") == {"expression": "closed_eyes"}


def test_the_sentence_of_the_front_page():
    """The one sentence everybody tries first would come out wrong."""
    result = build("白衬衫配红领结和蓝色百褶裙，左眼蓝右眼金，不要戴帽子", "illustrious")
    said = {path: getattr(value, "name", value) for path, value in result.character.items()}
    assert said == {
        "top.kind": "shirt", "top.color": "white", "neck.kind": "bowtie", "neck.color": "red", "bottom.kind": "pleated_skirt",
        "bottom.color": "blue", "eyes.color": "blue", "eyes.color_right": "gold", "hat.kind": "none",
    }  # fmt: skip
    assert "hat" in result.negative.split(", ")
    assert "hat" not in result.positive


def test_each_colour_stays_with_its_noun():
    """A red tie would turn the skirt red."""
    a = fields("red tie, blue skirt and a green hat with white shoes")
    assert [a[f"{s}.color"].name for s in ("neck", "bottom", "hat", "shoes")] == ["red", "blue", "green", "white"]
    b = fields("帽子红色裙子蓝色鞋子白色")
    assert [b[f"{s}.color"].name for s in ("hat", "bottom", "shoes")] == ["red", "blue", "white"]


@pytest.mark.parametrize(
    "text",
    [
        "no hat",
        "without a hat",
        "hatless",
        "不要帽子",
        "没戴帽子",
        "帽子不要",
        "把帽子去掉",
        "無帽子",
        "she isn't wearing a hat",
        "remove the hat",
    ],
)
def test_every_way_of_refusing(text):
    """The one thing people asked not to see would be in the picture."""
    assert fields(text)["hat.kind"] == "none"
    assert "hat" in parse(text).negatives


@pytest.mark.parametrize("text", ["don't forget the hat", "别忘了戴帽子", "不能没有帽子", "keep the hat"])
def test_double_refusals_are_wishes(text):
    """'Don't forget the hat' would remove the hat."""
    assert fields(text)["hat.kind"] == "hat"


def test_unknown_words_are_reported_where_they_stand():
    """A word that nobody understood would vanish without a trace."""
    text = "😀 a girl with a wug and 呱唧 hair"
    found = [text[s.start : s.end] for s in parse(text).unknown()]
    assert found == ["wug", "呱唧"]
    result = build(text, "sd15")
    assert "wug" in result.positive
    assert "呱" not in result.positive
    assert "unknown at 16-19: wug" in result.report


def test_typos_are_read_and_told():
    """One slip of the finger would lose the attribute."""
    parsed = parse("gril with bleu eyes")
    assert parsed.people[0].fields["eyes.color"].name == "blue"
    assert any("'bleu' at position 10 is read as 'blue'" in note for note in parsed.notes)


def test_real_words_are_not_corrected_into_clothes():
    """A wooden floor would become a woolen one, a room a broom."""
    for word in ("wooden", "hiking", "room", "lights", "tower", "stars", "board"):
        assert not [n for n in parse(f"near the {word}").notes if "read as" in n], word


def test_weights_loras_and_embeddings_go_through():
    """People's own emphasis and LoRAs would be swallowed."""
    result = build("(blue eyes:1.3), <lora:chibi_v2:0.8>, embedding:goodstuff, (mecha arm:1.2)", "sd15")
    for piece in ("(blue eyes:1.3)", "<lora:chibi_v2:0.8>", "embedding:goodstuff", "(mecha arm:1.2)"):
        assert piece in result.positive
    assert "1.3" not in build("(blue eyes:1.3)", "qwen").positive


def test_two_people_do_not_share_their_hair():
    """Both girls would get the first one's hair."""
    result = build("two girls, one with pink hair and one with blue hair", "illustrious")
    assert result.character["hair.color"].name == "pink"
    assert result.people[0]["hair.color"].name == "blue"
    assert result.positive.startswith("2girls")


def test_words_beat_photo_and_form_beats_words():
    """A photo's guess would overrule what a person said."""
    photo = {
        "chibi_character": 1,
        "hair": {"color": "#222222"},
        "skin": {"color": "#fde3d3"},
        "evidence": {"hair.color": {"source": "photo", "confidence": 0.9}},
    }
    result = build("pink hair", "sd15", identity_character=photo, form='{"fields": {"eyes.color": "#00ff00"}}')
    assert result.character["hair.color"].name == "pink"
    assert result.character["skin.color"].hex == "#fde3d3"
    assert result.character["eyes.color"].hex == "#00ff00"


def test_child_and_sexual_words_do_nothing_and_are_named():
    """An all-ages tool would draw what it must not."""
    for text in ("nude girl", "loli in bikini", "性感内衣", "8 years old girl", "萝莉", "nsfw", "school swimsuit"):
        result = build(text, "sd15")
        assert result.parsed.blocked(), text
        for word in ("nude", "loli", "bikini", "nsfw", "swimsuit", "years", "child"):
            assert word not in result.positive, (text, result.positive)
        assert "nsfw" in result.negative


@pytest.mark.parametrize("text", ["no shirt", "no pants", "without clothes", "不穿衣服", "没穿裤子"])
def test_refusing_clothes_undresses_nobody(text):
    """'No shirt' would make a figure without one."""
    result = build(text, "sd15")
    assert not any(
        value == "none" for path, value in result.character.items() if path.startswith(("top", "bottom", "outfit"))
    )
    assert "shirt" not in result.positive and "pants" not in result.positive


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a girl with dark red hair in a bright red dress", {"hair.color": "dark red", "dress.color": "bright red"}),
        ("a pale orange sweater", {"top.color": "light orange", "skin.color": None}),
        ("头发眼睛都是蓝色的女孩", {"hair.color": "blue", "eyes.color": "blue"}),
        ("hair and eyes are both green", {"hair.color": "green", "eyes.color": "green"}),
        ("帽子、围巾和手套都是红色的", {"hat.color": "red", "neck.color": "red", "gloves.color": "red"}),
        ("白衬衫外面套一件米色毛衣背心", {"top.kind": "sweater_vest", "top.color": "beige", "extra": ("white collared shirt",)}),
        ("ice cream cone and a red balloon", {"held.kind": "ice_cream", "held.color": None, "extra": ("red balloon",)}),
        ("black dress with white lace", {"dress.color": "black", "dress.color2": "white", "outfit.color": None}),
        ("黑色披风里面是红色", {"outer.color": "black", "outer.color2": "red", "outfit.color": None}),
        ("狐狸女孩", {"animal_ears.kind": "fox_ears", "presentation": "feminine", "extra": None}),
        ("兔子男孩", {"animal_ears.kind": "rabbit_ears", "presentation": "masculine", "held.kind": None}),
        ("一个看起来像男孩子的女孩", {"presentation": "feminine"}),
        ("黑色帽子上有红色蝴蝶结", {"hat.color": "black", "hair_ornament.kind": "bow", "hair_ornament.color": "red"}),
        ("黑头发里有一撮白毛", {"hair.color": "black", "hair.color2": "white", "outfit.color": None}),
        ("anything but pink hair", {"hair.color": None}),
        ("blue-green eyes", {"eyes.color": "teal", "eyes.color_right": None}),
        ("发尾渐变粉色的银色长发", {"hair.color": "silver", "hair.color2": "pink", "hair.coloring": "gradient"}),
        ("blue dress with white polka dots and a yellow belt", {"dress.pattern": "polka_dot", "belt.color": "yellow", "belt.pattern": None}),
        ("dress with red and white stripes", {"dress.color": "red", "dress.color2": "white", "dress.pattern": "striped"}),
        ("穿熊猫图案的卫衣", {"top.kind": "hoodie", "held.kind": None}),
        ("baseball cap backwards", {"hat.kind": "cap", "extra": None}),
        ("a girl with blond hair, wearing white", {"hair.color": "blonde", "outfit.color": "white"}),
        ("全身粉色的女孩", {"outfit.color": "pink", "pose.framing": None}),
        ("fox girl with orange ears", {"animal_ears.color": "orange", "extra": None}),
        ("black hair with a pink fringe", {"hair.color": "black", "extra": ("pink blunt bangs",)}),
        ("black hair with a streak of red", {"hair.color2": "red", "hair.coloring": "streaked", "outfit.color": None}),
        ("blue dress with stripes and a yellow belt", {"dress.pattern": "striped", "belt.pattern": None}),
        ("蓝色裙子带白色条纹和黄色腰带", {"bottom.color2": "white", "bottom.pattern": "striped", "belt.color": "yellow"}),
        ("kimono with cherry blossom pattern", {"outfit.pattern": "floral", "scene.background": None, "extra": None}),
        ("cool guy with slicked back hair", {"hair.style": "slicked_back", "hair.bangs": "none"}),
        ("an old wizard with a long beard", {"presentation": "masculine", "outfit.kind": "wizard_robe"}),
        ("手里拿着一顶草帽的女孩", {"hat.kind": None, "extra": ("holding straw hat",)}),
        ("pink hair fading to blue", {"hair.color": "pink", "hair.color2": "blue", "hair.coloring": "gradient", "extra": None}),
        ("粉色渐变到蓝色的长发", {"hair.color": "pink", "hair.color2": "blue", "hair.coloring": "gradient", "extra": None}),
        ("粉色刘海，黑色长发", {"hair.color": "black", "hair.bangs": "full", "extra": ("pink blunt bangs",)}),
        ("a white-tipped fox tail", {"tail.kind": "fox_tail", "hair.color2": None, "extra": ("white tipped tail",)}),
        ("a girl in glasses with thin red frames", {"glasses.color": "red", "proportions.build": None, "extra": None}),
        ("a 25 year old guy with a buzz cut", {"age_look": None, "hair.style": "crew_cut"}),
        ("a knight with a blue plume", {"outfit.color2": None, "extra": ("blue plume",)}),
        ("hair: black, parted in the middle; expression: happy", {"hair.bangs": "parted", "expression": "happy", "extra": None}),
        ("a girl with a pink hijab", {"hat.kind": "hijab", "hat.color": "pink", "extra": None}),
        ("two heads tall girl with green eyes", {"proportions.heads": 2.0, "eyes.color": "green"}),
        ("眼角有泪痣，黑色齐耳短发", {"face.mole": True, "expression": None}),
        ("穿短袖白衬衫，蓝色裤子", {"top.kind": "shirt", "top.color": "white"}),
        ("hair: light brown, past the shoulders", {"hair.length": "long", "hair.color": "light brown"}),
        ("a clown with a red nose", {"outfit.color": None, "extra": ("red nose",)}),
        ("a girl with a red face", {"outfit.color": None, "face.blush": True}),
        ("蓝裙子，黑指甲", {"bottom.color": "blue", "gloves.kind": "nail_polish", "gloves.color": "black"}),
        ("glasses with thick black rims", {"glasses.color": "black", "extra": None}),
    ],
)  # fmt: skip
def test_whose_colour_and_whose_thing(text, wanted):
    """The colour would go to another thing, or the thing would be lost."""
    person = parse(text).people[0]
    got = {**person.fields, "extra": tuple(person.extras) or None}
    for path, value in wanted.items():
        have = got.get(path)
        assert (have.name if isinstance(have, Color) else have) == value, (path, have, got)


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("两个女孩，一个红发一个蓝发，都穿校服", "outfit.kind", ["school_uniform", "school_uniform"]),
        ("两个女孩，一个红发一个蓝发，都穿校服", "hair.color", ["red", "blue"]),
        ("a boy and a girl, both wearing glasses", "glasses.kind", ["glasses", "glasses"]),
        ("一男一女，都是黑发", "hair.color", ["black", "black"]),
        ("three boys with caps", "hat.kind", ["cap", "cap", "cap"]),
        ("两个穿汉服的女孩", "outfit.kind", ["hanfu", "hanfu"]),
        ("三位穿西装的男士", "presentation", ["masculine", "masculine", "masculine"]),
        ("戴两个蝴蝶结的女孩", "hair_ornament.kind", ["bow"]),
        ("two girls with black hair, the second has blonde hair", "hair.color", ["black", "blonde"]),
        ("me and my friend, both with black hair", "hair.color", ["black", "black"]),
        ("我和同学，我短发，同学长发戴眼镜", "glasses.kind", [None, "glasses"]),
        ("a girl with red hair and another girl with blue hair", "hair.color", ["red", "blue"]),
        ("one girl with a hat, another with glasses", "glasses.kind", [None, "glasses"]),
        ("two girls with red hair and blue hair", "hair.color", ["red", "blue"]),
        ("两个女孩，红发，蓝眼睛", "hair.color", ["red", "red"]),
        ("情侣，男生黑发女生金发，都穿白色T恤", "hair.color", ["black", "blonde"]),
        ("a girl with a bow and another bow", "hair_ornament.kind", ["bow"]),
    ],
)
def test_what_is_said_of_several_people(text, path, wanted):
    """One of two friends would stand there without the clothes that both should wear."""
    got = [person.fields.get(path) for person in parse(text).people]
    assert [value.name if isinstance(value, Color) else value for value in got] == wanted


def test_a_role_wears_its_clothes():
    """An astronaut would stand there in a T-shirt; one in a hoodie would lose it."""
    assert fields("宇航员女孩")["outfit.kind"] == "space_suit"
    assert fields("小公主")["dress.kind"] == "princess_dress"
    assert "outfit.kind" not in fields("an astronaut in a red hoodie")
    assert "outfit.kind" not in fields("a knight without armor")
    assert "outfit.kind" not in fields("a male nurse")  # the base would put him into a dress that nobody asked for
    assert fields("a nurse in a red coat")["outer.color"].name == "red"


def test_more_figures_than_two_are_told():
    """Five girls would become one, without a word."""
    assert any("5 figures" in note for note in build("五个女孩", "sd15").notes)


@pytest.mark.parametrize(
    "text", ["slutty nurse", "covered in blood", "smoking a cigarette", "穿透视装的女孩", "满身是血"]
)
def test_words_for_grown_ups_are_refused(text):
    """They would reach the positive prompt as free text, or be repaired into something to wear."""
    result = build(text, "sd15")
    assert result.parsed.blocked() and not result.parsed.people[0].extras, (text, result.positive)
    assert not any("read as" in note for note in result.notes)
    for harmless in ("吸血鬼女孩", "blood red hair", "草地上的女孩", "混血儿"):
        assert not build(harmless, "sd15").parsed.blocked(), harmless
