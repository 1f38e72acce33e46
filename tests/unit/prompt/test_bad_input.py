"""Whatever is typed or pasted: a clear line or a specific error, never a crash, never a wait."""

from __future__ import annotations

import random
import time

import pytest

from chibi_avatar.character import CharacterError
from chibi_avatar.prompt import build, read_prompt
from chibi_avatar.prompt.dialects import FAMILIES, FamilyError
from chibi_avatar.prompt.form import read_form, write_form


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "\x00\x07\x1b[31m", "\u202eabc\u202c", "(((((", ")))]]", "(a:b:c)", "(red hat:1.x)", "{a|b", "a}b", "{{{{", "{9$$a|b}", "__nothing__",
     "<lora:", "embedding:", "\\(", "a" * 5000, "（）" * 50, "👨‍👩‍👧‍👦🏳️‍🌈", "，。；！" * 30, "-" * 300, "no " * 200, "不" * 200, "{" * 40 + "a" + "}" * 40, "𠮷野家", "\ud800"],
)  # fmt: skip
def test_odd_text_gives_a_prompt(text):
    """A stray key would stop the workflow."""
    for family in ("sd15", "flux", "qwen_zh"):
        result = build(text, family, seed=1)
        assert isinstance(result.positive, str) and result.report


def test_a_hundred_kilobytes_take_no_time():
    """Pasting a book would freeze ComfyUI."""
    start = time.perf_counter()
    for text in (
        "red hat, " * 12_000,
        "红帽子" * 40_000,
        "(" * 100_000,
        "{a|" * 30_000,
        "x" * 120_000,
        "a{b|c}" * 20_000,
    ):
        result = build(text, "sd15")
        assert any("characters" in note or "wildcards" in note or "brackets" in note for note in result.notes), (
            result.notes[:3]
        )
    assert time.perf_counter() - start < 6


@pytest.mark.parametrize(
    "text",
    ["girl and boy ", "穿红裙子的女孩和", "一个", "不要帽子和眼镜", "红蓝", "像雪一样", "我和妈妈", "两个", "左黑右白", "红 ", "帽子 红色 ", "💗", "长 短 ", "frog ",
     "star on it ", "除了眼镜以外", "把帽子换成", "blak hiar "],
)  # fmt: skip
def test_repeated_words_take_no_time(text):
    """One word a thousand times would keep a rule busy for minutes."""
    start = time.process_time()
    build(text * (4000 // len(text)), "sd15")
    assert time.process_time() - start < 2


def test_random_noise_never_raises():
    """One combination in a thousand would crash the node."""
    chance = random.Random(5)
    words = ["no", "不要", "red", "蓝", "hat", "帽子", "(", ")", "{", "|", "}", "的", "和", "and", "左眼", "eye", ":", "1.2", "，", ",", "half", "两个女孩", "one", "dots", "with", "渐变",
             "发", "hair", "very", "长", "polka dot", "skin", "dark", "lips", "theme", "2", "heads", "in", "是", "is", "another", "base", "tips", "无", "w/o", "eyes", " ", "\n", "一个", "另一个", "她", "he", "my", "我和", "左边的", "右边", "on the left", "像", "一样", "as",
             "除了", "以外", "换成", "除", "印着", "星星", "star", "on it", "领口", "in her hair", "bow", "except", "都不要", "保留", "👠", "💗", "👩\u200d🍳", "cat", "hat"]  # fmt: skip
    for _ in range(400):
        build(
            chance.choice(["", " "]).join(chance.choice(words) for _ in range(chance.randint(1, 14))),
            chance.choice(FAMILIES),
            seed=3,
        )


def test_unknown_families_and_newer_versions_are_named():
    """The message would not say what to do."""
    with pytest.raises(FamilyError, match="illustrious"):
        build("girl", "midjourney")
    with pytest.raises(CharacterError, match="update"):
        build("girl", "sd15", character='{"chibi_character": 99}')
    with pytest.raises(CharacterError, match="update"):
        read_form('{"version": 99}')
    for text in ("[]", "{", "3", '"x"'):
        with pytest.raises(CharacterError):
            read_form(text)


def test_a_form_keeps_what_is_right_and_tells_what_is_not():
    """One wrong value would lose the whole form."""
    form = read_form(
        '{"fields": {"hair.color": "#ff0000", "hair.wings": 1, "presentation": "purple"}, "weights": {"hair.color": 9}}'
    )
    assert set(form.fields) == {"hair.color"}
    assert len(form.notes) == 3
    assert read_form(write_form(form)).fields == form.fields


def test_reading_back_nonsense_gives_an_empty_character():
    """Pasting the wrong clipboard would raise an error."""
    character, unknown = read_prompt("SELECT * FROM users; <script>alert(1)</script>", "x" * 30_000)
    assert "hair.color" not in character
    assert unknown
