"""Training pictures: the same for a seed anywhere, written whole or not at all, and a person's own folder in their place."""

import io
import json
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chibi_avatar.tiny.data import captions, shards
from chibi_avatar.tiny.data.pictures import dress, photograph
from chibi_avatar.tiny.data.scenes import PER_CHARACTER, expression_class, scene, view_word
from chibi_avatar.tiny.data.shards import DataError
from chibi_avatar.tiny.data.store import Store
from chibi_avatar.tiny.networks.text import END, LENGTH, START

SCENE = "from chibi_avatar.tiny.data.scenes import scene; print([scene(n).tags for n in range(0, 60, 7)])"


def test_a_scene_is_the_same_in_every_process(root):
    """A run resumed tomorrow would go on with other pictures under the same numbers."""
    said = {
        subprocess.run(
            [sys.executable, "-c", SCENE],
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(said) == 1


def test_captions_say_what_is_drawn():
    """Hair colour and style, outfit and framing are what a person types; a caption without them teaches nothing."""
    scenes = [scene(number) for number in range(0, 600, 3)]
    for path, least in (("hair.color", 0.9), ("pose.framing", 1.0), ("scene.background", 1.0), ("presentation", 1.0)):
        share = np.mean([any(tag[1] == path for tag in one.tags) for one in scenes])
        assert share >= least, (path, share)
    styles = {one.character.get("hair.style") for one in scenes}
    assert len(styles) > 14
    assert {one.framing for one in scenes} == {"portrait", "upper_body", "cowboy_shot", "full_body", "guide"}


def test_pictures_of_one_character_share_the_avatar():
    """The second picture of a Character is drawn with the first one's avatar; another person there would be mislabelled."""
    for number in range(0, 60, PER_CHARACTER):
        assert scene(number).character == scene(number + PER_CHARACTER - 1).character
    assert scene(0).character != scene(PER_CHARACTER).character


def test_a_picture_has_its_labels():
    """Part map, joints and attributes belong to the very picture."""
    staged = next(
        one for one in map(scene, range(200)) if one.framing == "full_body" and view_word(one.azimuth) == "front"
    )
    sample = photograph(staged, dress(staged), 128)
    assert sample.picture.shape == (128, 128, 3)
    assert sample.picture.std() > 20
    assert sample.parts.shape == (64, 64)
    head = sample.parts[:32]
    assert (head == 1).sum() > 30, "a face"
    seen = sample.keypoints[sample.keypoints[:, 2] > 0]
    assert len(seen) >= 12
    inside = sample.parts[(seen[:, 1] / 2).astype(int), (seen[:, 0] / 2).astype(int)] > 0
    assert inside.mean() > 0.8, "joints lie on the figure"
    assert sample.labels["expression"] == expression_class(staged.character.resolve()["expression"])


def test_shards_go_on_where_they_stopped(tmp_path, monkeypatch):
    """A killed renderer leaves no half shard, and a second run only makes what is missing."""
    monkeypatch.setattr(shards, "SHARD", 3)
    first = shards.write_shard(tmp_path, 0, 0, 3)
    before = first.read_bytes()
    (tmp_path / f".{first.name}.part").write_bytes(b"half")
    assert shards.write_shard(tmp_path, 0, 0, 3).read_bytes() == before, "the same bytes again"
    (tmp_path / "about.json").write_text("{}")
    store = Store(tmp_path)
    assert len(store) == 3
    assert store.drawn
    assert store.picture(1).shape == (256, 256, 3)
    items = list(shards.read_shard(first))
    assert np.array_equal(items[1].picture, store.picture(1))
    assert items[1].tags == scene(1).tags


def test_a_folder_of_another_seed_is_refused(tmp_path):
    """Two kinds of pictures in one folder would be trained on as one."""
    shards._claim(tmp_path, 1)
    with pytest.raises(DataError, match="another kind"):
        shards._claim(tmp_path, 2)


@pytest.mark.parametrize("damage", ["cut", "json", "member", "empty"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    """What broke on disk is said with the file and what to do."""
    path = shards.shard_path(tmp_path, 0)
    if damage == "empty":
        path.write_bytes(b"")
    else:
        with tarfile.open(path, "w") as tar:
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8)).save(buffer, "PNG")
            shards._add(tar, "0.png", buffer.getvalue())
            shards._add(tar, "0.parts.png", buffer.getvalue())
            shards._add(tar, "0.json", b"{" if damage == "json" else json.dumps({"tags": []}).encode())
            if damage == "member":
                info = tarfile.TarInfo("link")
                info.type = tarfile.SYMTYPE
                info.linkname = "/etc/passwd"
                tar.addfile(info)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"shard-00000\.tar"):
        list(shards.read_shard(path))


def _own(folder: Path, name: str, caption: str | None) -> None:
    Image.new("RGB", (40, 30), "red").save(folder / f"{name}.jpg")
    if caption is not None:
        (folder / f"{name}.txt").write_text(caption, encoding="utf-8")


def test_a_folder_of_ones_own(tmp_path):
    """Pictures with captions beside them are training data too."""
    _own(tmp_path, "a", "1girl, red hair\nsmile")
    _own(tmp_path, "b", "蓝色, 1boy")
    store = Store(tmp_path)
    assert [tuple(text for text, _ in item.tags) for item in store.items] == [
        ("1girl", "red hair", "smile"),
        ("蓝色", "1boy"),
    ]
    assert not store.drawn
    assert store.picture(0, 64).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("captions_", "word"),
    [
        ({}, "no pictures"),
        ({"a": None}, "1 of 1 pictures have no caption"),
        ({"a": " , \n"}, "is empty"),
        (None, "no folder"),
    ],
)
def test_what_is_missing_in_a_folder_is_said(tmp_path, captions_, word):
    """No pictures, no captions, no folder: each has its own line."""
    for name, caption in (captions_ or {}).items():
        _own(tmp_path, name, caption)
    with pytest.raises(DataError, match=word):
        Store(tmp_path if captions_ is not None else tmp_path / "none")


class Words:
    """A stand-in tokenizer: a token a letter."""

    comma = 267

    def ids(self, text: str) -> tuple[int, ...]:
        return tuple(ord(letter) for letter in text) if text != "," else (267,)


def test_captions_are_cut_between_tags():
    """A tag in halves is another word; what does not fit is left out whole."""
    row = captions.window(Words(), ["a" * 40, "b" * 40, "c" * 20])
    assert row.shape == (LENGTH,)
    assert row[0] == START
    assert row[-1] == END
    assert (row == ord("b")).sum() == 0
    assert (row == ord("c")).sum() == 20


def test_varied_captions_drop_and_shuffle():
    """The model must cope with few words, in any order, with unknown ones, and with none."""
    tags = tuple((letter * 3, "x") for letter in "defghij")
    rows = [captions.varied(Words(), tags, random.Random(seed)) for seed in range(300)]
    empty = [row for row in rows if row[1] == END]
    assert 5 <= len(empty) <= 40
    assert any((row == -1).any() for row in rows)
    firsts = {int(row[1]) for row in rows}
    assert len(firsts) > 5
    again = captions.varied(Words(), tags, random.Random(7))
    assert np.array_equal(again, rows[7])


def test_the_vocabulary_holds_every_word_and_the_signs():
    """A word of the captions without a row of its own would be 'unknown' for ever."""
    found = captions.vocabulary(Words(), [(("ab", ""), ("c", ""))])
    assert {START, END, 267, ord("a"), ord("b"), ord("c")} <= set(found.tolist())
    assert (np.diff(found) > 0).all()
