"""The register of descriptions, and what several of them share.

A new workflow is a function in one of the modules that ``build`` imports (or in a new one, imported there too)::

    @flow(\"\"\"
    # What it makes · 做什么

    1. What to do first. 2. Then press **Run**.

    先做什么，然后点击**运行**。
    \"\"\")
    def my_workflow(f: Flow) -> None:
        f.group = "Models · 模型"
        checkpoint = f("CheckpointLoaderSimple", "Checkpoint · 模型", ckpt_name="file.safetensors")
        f.group = "Picture · 出图"
        _, encoded = describe(f, checkpoint[1], "sd15")
        latent = f("EmptyLatentImage", "Size · 尺寸", width=512, height=768, batch_size=1)
        image = sample(f, checkpoint[0], encoded[0], encoded[1], latent[0], checkpoint[2])
        f("SaveImage", "Save · 保存", images=image[0], filename_prefix="chibi/mine")

The function's name is the file's name, the text its note. Inputs that are left out get the node's defaults; an input that the
node does not have is an error. Then, from the checkout:

1. ``python -m tools.workflows.build my_workflow`` writes ``workflows/my_workflow.json`` and its twin in ``workflows/api``;
2. a line in ``RECIPES`` of ``thumbnails.py`` and ``python -m tools.workflows.thumbnails my_workflow`` make the picture;
3. model files: an entry in ``models.yaml``, then ``python -m tools.models_sync``;
4. ``tests/comfy/test_workflows.py`` runs every workflow: add it to ``PICTURES`` there (or write a test of its own), with a
   stand-in for each model file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .canvas import Flow, Handle, Out

GIRL = "粉色双马尾、穿校服、微笑的女孩，全身"
FLOWS: dict[str, Callable[[dict[str, Any]], Flow]] = {}
BLUEPRINTS: dict[str, tuple[Callable[[dict[str, Any]], Flow], tuple[str, ...]]] = {}

Describe = Callable[[Flow], None]


def _maker(name: str, note: str, describe: Describe) -> Callable[[dict[str, Any]], Flow]:
    def make(info: dict[str, Any]) -> Flow:
        made = Flow(name, info, note.strip())
        describe(made)
        return made

    return make


def flow(note: str) -> Callable[[Describe], Describe]:
    """Register a workflow under its function's name."""

    def register(describe: Describe) -> Describe:
        FLOWS[describe.__name__] = _maker(describe.__name__, note, describe)
        return describe

    return register


def blueprint(name: str, note: str, aliases: Iterable[str]) -> Callable[[Describe], Describe]:
    """Register a subgraph blueprint: ``name`` is what the node library shows, ``aliases`` is what else finds it."""

    def register(describe: Describe) -> Describe:
        BLUEPRINTS[name] = (_maker(name, note, describe), tuple(aliases))
        return describe

    return register


def sample(
    f: Flow,
    model: Out,
    positive: Out,
    negative: Out,
    latent: Out,
    vae: Out,
    *,
    steps: int = 28,
    cfg: float = 6.0,
    denoise: float = 1.0,
    title: str = "",
    seed: int = 20261123,
    method: tuple[str, str] = ("euler_ancestral", "normal"),
) -> Handle:
    """A sampler and its decoder; ``method`` is the sampler's name and its scheduler's."""
    sampler = f(
        "KSampler", title, model=model, positive=positive, negative=negative, latent_image=latent, seed=seed, steps=steps, cfg=cfg,
        sampler_name=method[0], scheduler=method[1], denoise=denoise,
    )  # fmt: skip
    return f("VAEDecode", samples=sampler[0], vae=vae)


def train_lora(f: Flow, model: Out, vae: Out, pictures: Out, caption: Out, prefix: str, steps: int, rate: float) -> Out:
    """Core's LoRA training on pictures that share one caption, and the file; returns the LoRA."""
    latents = f("VAEEncode", pixels=pictures, vae=vae)
    trained = f(
        "TrainLoraNode", "Train · 训练", model=model, latents=latents[0], positive=caption, batch_size=1,
        grad_accumulation_steps=1, steps=steps, learning_rate=rate, rank=8, seed=1,
    )  # fmt: skip
    f("SaveLoRA", "Save LoRA · 保存", lora=trained[0], prefix=prefix, steps=trained[2])
    return trained[0]


def describe(f: Flow, clip: Out, family: str, description: str = GIRL, **more: Any) -> tuple[Handle, Handle]:
    """The words and their encoding."""
    words = f("ChibiPromptBuilder", "Words · 文字", description=description, family=family, seed=0, **more)
    encoded = f("ChibiPromptEncode", "Encode · 编码", clip=clip, positive=words[0], negative=words[1])
    return words, encoded
