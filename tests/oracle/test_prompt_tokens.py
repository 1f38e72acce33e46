"""Token counts and chunks against ComfyUI's own tokenizer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chibi_avatar.prompt import build
from chibi_avatar.prompt.dialects import FAMILIES
from chibi_avatar.prompt.tokens import ClipTokens, pack, split_tags

ROOT = Path(__file__).resolve().parents[2]
ORACLE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from comfy.cli_args import args
args.cpu = True
from comfy.sd1_clip import SDTokenizer
tokenizer = SDTokenizer()
def used(text):
    return [sum(1 for _, _, word in batch if word) for batch in tokenizer.tokenize_with_weights(text, return_word_ids=True)]
json.dump([used(text) for text in json.load(sys.stdin)], sys.stdout)
"""


@pytest.fixture(scope="module")
def comfy_counts(comfyui_path):
    def count(texts: list[str]) -> list[list[int]]:
        command = [sys.executable, "-c", ORACLE, str(comfyui_path)]
        done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True, timeout=300)
        return json.loads(done.stdout[done.stdout.index("[[") :])

    return count


def prompts(count: int) -> list[str]:
    texts = []
    for seed in range(count):
        made = build(
            "(blue eyes:1.2), ((smile)), it's a café, 粉色头发, naïve_style 1234, b-52 (held\\)"
            if seed % 9 == 0
            else "",
            FAMILIES[seed % 8],
            seed=seed,
            variety=1.0,
        )
        texts.append(made.positive if seed % 3 else made.negative or made.positive)
    return texts


def test_counts_are_comfyuis_on_two_thousand_prompts(comfyui_path, comfy_counts):
    """The meter would say there is room when there is none."""
    texts = prompts(2000)
    count = ClipTokens(comfyui_path / "comfy" / "sd1_tokenizer")
    theirs = comfy_counts(texts)
    wrong = [
        (text, count(text), sum(used)) for text, used in zip(texts, theirs, strict=True) if count(text) != sum(used)
    ]
    assert wrong[:3] == []


def test_no_tag_is_cut_by_packing(comfyui_path, comfy_counts):
    """Half a tag at the end of a chunk is another word to the model."""
    count = ClipTokens(comfyui_path / "comfy" / "sd1_tokenizer")
    texts, all_chunks = [], []
    for seed in range(200):
        made = build("", "pony", seed=seed, variety=1.0)
        tags = split_tags(made.positive + ", " + build("", "sd15", seed=seed + 999, variety=1.0).positive)
        chunks, long = pack(tags, count)
        assert not long
        assert [tag for chunk in chunks for tag in split_tags(chunk.text)] == tags
        texts += [chunk.text for chunk in chunks]
        all_chunks += chunks
    for chunk, used in zip(all_chunks, comfy_counts(texts), strict=True):
        assert used == [chunk.used] and chunk.used <= 75
