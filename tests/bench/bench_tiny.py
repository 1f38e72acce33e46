"""How long the embedded model takes inside ComfyUI on this machine: ``python3 -m chibi_avatar test tests/bench/bench_tiny.py -s``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch
from chibi_testing import pack

from chibi_avatar.tiny import weights

WORDS = "1girl, solo, chibi, pink hair, twintails, smile, upper body"


def _median(work: Callable[[], object], times: int = 5) -> float:
    return statistics.median(_times(work, times))


def _times(work: Callable[[], object], times: int) -> list[float]:
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return taken


@pytest.fixture(scope="module")
def nodes(comfyui_path, root):
    """The pack's ``nodes.tiny`` beside a real ComfyUI."""
    return pack.load(comfyui_path, root, "nodes.tiny")


def test_tiny(report, nodes) -> None:
    """Loader, twenty steps with guidance and decode at 192² to 384², with the ControlNet, and the instant preview if it ships."""
    import comfy.controlnet
    import comfy.sample
    import comfy.utils

    seconds = _median(nodes.ChibiTinyLoader.execute, 3)
    report(f"loader: {seconds:.2f} s (goal 1.0 s)")
    model, clip, vae = nodes.ChibiTinyLoader.execute().result
    positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(words)) for words in (WORDS, "nsfw"))
    loaded = comfy.controlnet.load_controlnet(str(weights.path_of("controlnet")))

    def draw(size: int, positive: list, negative: list) -> None:
        latent = torch.zeros(1, 4, size // 8, size // 8)
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
        vae.decode(
            comfy.sample.sample(model, noise, 20, 5.0, "euler_ancestral", "normal", positive, negative, latent, seed=0)
        )

    for size in (192, 256, 384):
        goal = " (goal 5 s)" if size == 256 else ""
        report(
            f"{size}², 20 steps with guidance: {_median(lambda size=size: draw(size, positive, negative)):.2f} s{goal}"
        )
    hint = torch.rand(1, 3, 256, 256)
    held = [
        [[words, {**extras, "control": loaded.copy().set_cond_hint(hint), "control_apply_to_uncond": False}]]
        for ((words, extras),) in (positive, negative)
    ]
    report(f"256² with the ControlNet: {_median(lambda: draw(256, *held)):.2f} s")
    # short enough that five calls would measure what else the machine did in that moment
    taken = [1000 * t for t in _times(lambda: nodes.ChibiInstantPreview.execute(positive, vae, 0, 1), 201)]
    report(
        f"instant preview: {statistics.median(taken):.0f} ms, median of 201, the quickest {min(taken):.0f} (goal 100 ms)"
    )
    total = sum(weights.path_of(part).stat().st_size for part in weights.FILES) / 1e6
    report(f"files: {total:.1f} MB together (limit 45 MB)")
