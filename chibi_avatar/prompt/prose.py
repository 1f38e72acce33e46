"""A Character as sentences, English or Chinese, for encoders that read language instead of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..character import Color
from .lexicon import entry, lexicon, nearest_color
from .tags import color_words, pattern_words, value_tag

_PRONOUN = {"feminine": ("She", "girl", "女孩", "她"), "masculine": ("He", "boy", "男孩", "他")}
_PLURAL = ("shoes", "gloves", "earrings", "legwear", "animal_ears", "horns", "wings", "headphones")
_CLOTHES = ("outfit", "dress", "top", "bottom", "outer", "neck", "legwear", "shoes", "gloves", "belt")
_ON = ("hat", "glasses", "hair_ornament", "earrings", "headphones", "bag", "mask")
_BODY = ("animal_ears", "horns", "halo", "wings", "tail")


_NUMBERS = ("no", "one", "two", "three", "four")
_ORDINALS = ("first", "second", "third", "next")
_ZH_ORDINALS = ("第一个", "第二个", "第三个", "下一个")
_ZH_VERBS = (
    ("穿着", ("outfit", "dress", "top", "bottom", "outer", "legwear", "shoes")),
    ("戴着", ("neck", "gloves", "belt", *_ON[:5], "mask")),
    ("背着", ("bag",)),
)


def article(phrase: str) -> str:
    """``a`` or ``an`` before a phrase, nothing before plurals."""
    if phrase.split(",")[0].endswith("s") and not phrase.endswith(("ss", "dress")):
        return phrase
    return f"{'an' if phrase[:1] in 'aeiou' else 'a'} {phrase}"


def _list(items: list[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def worn_words(slot: str, values: Mapping[str, Any]) -> str:
    """``white striped shirt`` for a slot, '' when nothing is worn there."""
    kind = values.get(f"{slot}.kind")
    color, second, pattern = (values.get(f"{slot}.{leaf}") for leaf in ("color", "color2", "pattern"))
    if kind == "none" or (kind is None and (slot != "outfit" or color is None)):
        return ""
    noun = "clothes" if kind is None else value_tag(f"{slot}.kind", kind).split(",")[0]
    words = [color_words(color)] if isinstance(color, Color) else []
    if words and isinstance(second, Color):
        words = [f"{words[0]} and {color_words(second)}"]
    if isinstance(pattern, str) and pattern != "none":
        words.append(pattern_words(pattern))
    return " ".join([*words, noun])


def _hair(values: Mapping[str, Any]) -> str:
    style = values.get("hair.style")
    if style == "bald":
        return "a bald head"
    color, second = values.get("hair.color"), values.get("hair.color2")
    words = []
    if values.get("hair.length"):
        words.append(str(values["hair.length"]).replace("_", " "))
    if values.get("hair.texture") and values["hair.texture"] != "straight":
        words.append(str(values["hair.texture"]))
    if isinstance(color, Color):
        words.append(color_words(color))
    phrase = " ".join([*words, "hair"]) if words or style or second else ""
    if isinstance(second, Color):
        how = {"streaked": "with {} streaks", "inner": "with {} inner color", "gradient": "with {} tips"}.get(
            str(values.get("hair.coloring")), "and {} hair split in two tones"
        )
        phrase += " " + how.format(color_words(second))
    if style and style not in ("short",):
        phrase += f" styled as {article(value_tag('hair.style', style))}"
    extra = []
    if values.get("hair.bangs"):
        extra.append(value_tag("hair.bangs", values["hair.bangs"]))
    if values.get("hair.ahoge"):
        extra.append("an ahoge")
    return _list([part for part in (phrase, *extra) if part])


def english(values: Mapping[str, Any], extras: list[str], people: int = 1, number: int = 0) -> str:
    """The Character as a few English sentences; ``number`` counts the people of one picture from 0."""
    she, person, _, _ = _PRONOUN.get(str(values.get("presentation")), ("The character", "character", "", ""))
    role = value_tag("role", values["role"]) if values.get("role") not in (None, "none") else ""
    species = value_tag("species", values["species"]) if values.get("species") not in (None, "none", "human") else ""
    age = {"adult": "mature", "elder": "elderly"}.get(str(values.get("age_look")), "")
    build = (
        value_tag("proportions.build", values["proportions.build"])
        if values.get("proportions.build") not in (None, "average")
        else ""
    )
    style = value_tag("style.render", values["style.render"]) if values.get("style.render") else ""
    what = " ".join(part for part in (age, build, species, role, person) if part)
    heads = values.get("proportions.heads")
    framing = {
        "full_body": "full body",
        "upper_body": "upper body",
        "portrait": "portrait",
        "cowboy_shot": "cowboy shot",
    }.get(str(values.get("pose.framing")), "")
    first = (
        f"A cute chibi illustration of {article(what)}"
        + (f", {heads:g} heads tall" if heads else "")
        + ", with a big head and a small body."
    )
    if people > 1:
        count = _NUMBERS[people] if people < len(_NUMBERS) else str(people)
        first = f"A cute chibi illustration of {count} people, with big heads and small bodies. The first is {article(what)}."
    if number:
        first = f"The {_ORDINALS[min(number, len(_ORDINALS) - 1)]} is {article(what)}."
    sentences = [first]
    looks = [part for part in (_hair(values), _eyes(values)) if part]
    if isinstance(values.get("skin.color"), Color):
        looks.append(f"{color_words(values['skin.color'])} skin")
    for path in (
        "eyes.style",
        "brows.style",
        "face.shape",
        "face.blush",
        "face.freckles",
        "face.mole",
        "face.fang",
        "face.marking",
    ):
        if values.get(path) not in (None, False, "none"):
            looks.append(
                article(value_tag(path, values[path])) if path == "face.shape" else value_tag(path, values[path])
            )
    if values.get("face.beard") not in (None, "none"):
        looks.append(article(value_tag("face.beard", values["face.beard"])))
    looks += [_counted(slot, values) for slot in _BODY if worn_words(slot, values)]
    if looks:
        sentences.append(f"{she} has {_list(looks)}.")
    clothes = [_counted(slot, values) for slot in (*_CLOTHES, *_ON) if worn_words(slot, values)]
    if clothes:
        sentences.append(f"{she} wears {_list(clothes)}.")
    if values.get("shoes.kind") == "none":
        sentences.append(f"{she} is barefoot.")
    if worn_words("held", values):
        sentences.append(f"{she} is holding {_counted('held', values)}.")
    acts = []
    if values.get("expression"):
        acts.append(f"expression: {value_tag('expression', values['expression'])}")
    if values.get("pose.name"):
        acts.append(f"pose: {value_tag('pose.name', values['pose.name'])}")
    if framing:
        acts.append(framing)
    if values.get("pose.view"):
        acts.append(value_tag("pose.view", values["pose.view"]))
    if acts:
        text = ", ".join(acts)
        sentences.append(text[0].upper() + text[1:] + ".")
    scene = []
    if isinstance(values.get("scene.color"), Color):
        scene.append(f"{color_words(values['scene.color'])} background")
    for path in ("scene.background", "scene.time"):
        if values.get(path):
            scene.append(value_tag(path, values[path]))
    if scene:
        sentences.append(f"The scene: {', '.join(scene)}.")
    if style:
        sentences.append(f"The style is {style}.")
    if extras:
        sentences.append("Also: " + ", ".join(extras) + ".")
    return " ".join(sentences)


def _eyes(values: Mapping[str, Any]) -> str:
    left, right = values.get("eyes.color"), values.get("eyes.color_right")
    if not isinstance(left, Color):
        return ""
    if isinstance(right, Color):
        return f"a {color_words(left)} left eye and a {color_words(right)} right eye"
    return f"{color_words(left)} eyes"


def _counted(slot: str, values: Mapping[str, Any]) -> str:
    words = worn_words(slot, values)
    return words if slot in _PLURAL else article(words)


def zh_color(color: Color) -> str:
    """The Chinese name of a colour."""
    lex = lexicon()
    word = lex.color_by_name.get(color.name.lower())
    if word is not None and word.id == "blonde":
        return "金色"
    if word is None and " " in color.name:
        shade, _, base = color.name.partition(" ")
        base_word = lex.color_by_name.get(base)
        prefix = {"light": "浅", "dark": "深", "bright": "亮", "pastel": "粉彩", "neon": "荧光", "muted": "灰调"}.get(
            shade
        )
        if base_word is not None and prefix and base_word.zh:
            return prefix + _with_se(base_word.zh[0])
    if word is None or not word.zh:
        word = nearest_color(color.hex)
    return _with_se(next((name for name in word.zh if name.endswith("色")), word.zh[0] if word.zh else word.name))


def _with_se(name: str) -> str:
    return name if name.endswith("色") else name + "色"


def zh_value(path: str, value: object) -> str:
    """The Chinese label of a value."""
    found = entry(path, "true" if value is True else str(value))
    return found.label("zh") if found else str(value).replace("_", " ")


_TONE_ZH = {
    "pale": "苍白",
    "fair": "白皙",
    "light": "浅色",
    "medium": "中等肤色",
    "olive": "橄榄色",
    "tan": "小麦色",
    "brown": "棕色",
    "dark": "黝黑",
}


def _zh_worn(slot: str, values: Mapping[str, Any]) -> str:
    kind = values.get(f"{slot}.kind")
    color, second, pattern = (values.get(f"{slot}.{leaf}") for leaf in ("color", "color2", "pattern"))
    if kind == "none" or (kind is None and (slot != "outfit" or color is None)):
        return ""
    words = ""
    if isinstance(color, Color):
        words = zh_color(color) + (f"和{zh_color(second)}" if isinstance(second, Color) else "") + "的"
    if isinstance(pattern, str) and pattern != "none":
        found = lexicon().patterns.get(pattern)
        words += (found.zh[0] if found and found.zh else pattern) + ""
    return words + ("衣服" if kind is None else zh_value(f"{slot}.kind", kind))


def chinese(values: Mapping[str, Any], extras: list[str], people: int = 1, number: int = 0) -> str:
    """The Character as Chinese prose; ``number`` counts the people of one picture from 0."""
    _, _, person, she = _PRONOUN.get(str(values.get("presentation")), ("", "", "角色", "角色"))
    what = "".join(
        part
        for part in (
            {"adult": "成熟的", "elder": "年老的"}.get(str(values.get("age_look")), ""),
            zh_value("species", values["species"]) if values.get("species") not in (None, "none", "human") else "",
            zh_value("role", values["role"]) if values.get("role") not in (None, "none") else "",
            person,
        )
        if part
    )
    heads = values.get("proportions.heads")
    tall = f"，{heads:g}头身" if heads else ""
    if number:
        parts = [f"{_ZH_ORDINALS[min(number, len(_ZH_ORDINALS) - 1)]}是{what}{tall}"]
    elif people > 1:
        parts = [f"一张可爱的Q版插画，画面中有{people}个人，头大身小，第一个是{what}{tall}"]
    else:
        parts = [f"一张可爱的Q版插画，主角是一个{what}{tall}，头大身小"]
    looks = []
    if values.get("hair.style") == "bald":
        looks.append("光头")
    else:
        color, second = values.get("hair.color"), values.get("hair.color2")
        if isinstance(color, Color):
            text = f"{zh_color(color)}的头发"
            if isinstance(second, Color):
                how = {"streaked": "挑染{}", "inner": "内层染{}", "gradient": "发尾渐变{}"}.get(
                    str(values.get("hair.coloring")), "与{}双拼"
                )
                text += "，" + how.format(zh_color(second))
            looks.append(text)
        looks += [
            zh_value(path, values[path])
            for path in ("hair.style", "hair.length", "hair.texture", "hair.bangs")
            if values.get(path)
        ]
        if values.get("hair.ahoge"):
            looks.append("呆毛")
    left, right = values.get("eyes.color"), values.get("eyes.color_right")
    if isinstance(left, Color):
        looks.append(
            f"左眼{zh_color(left)}，右眼{zh_color(right)}" if isinstance(right, Color) else f"{zh_color(left)}的眼睛"
        )
    skin = values.get("skin.color")
    if isinstance(skin, Color):
        looks.append((_TONE_ZH.get(skin.name) or zh_color(skin)) + "的皮肤")
    for path in (
        "eyes.style",
        "brows.style",
        "face.shape",
        "face.blush",
        "face.freckles",
        "face.mole",
        "face.fang",
        "face.beard",
        "face.marking",
        "proportions.build",
    ):
        if values.get(path) not in (None, False, "none", "average"):
            looks.append(zh_value(path, values[path]))
    looks += [_zh_worn(slot, values) for slot in _BODY if _zh_worn(slot, values)]
    if looks:
        parts.append("有" + "、".join(looks))
    for verb, slots in _ZH_VERBS:
        worn = [_zh_worn(slot, values) for slot in slots if _zh_worn(slot, values)]
        if worn:
            parts.append(f"{she}{verb}" + "、".join(worn))
            she = ""
    if values.get("shoes.kind") == "none":
        parts.append("光脚")
    if _zh_worn("held", values):
        parts.append("手里拿着" + _zh_worn("held", values))
    parts += [
        zh_value(path, values[path])
        for path in (
            "expression",
            "pose.name",
            "pose.framing",
            "pose.view",
            "scene.background",
            "scene.time",
            "style.render",
        )
        if values.get(path)
    ]
    if isinstance(values.get("scene.color"), Color):
        parts.append(zh_color(values["scene.color"]) + "背景")
    parts += extras
    return "，".join(parts) + "。"
