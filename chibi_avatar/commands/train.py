"""Train the embedded model: draw the pictures, then the autoencoder, the text encoder, the diffusion model, the pose ControlNet and
the instant preview.

Every step keeps its checkpoints in --root and can be stopped at any time; --resume goes on. Order: data, autoencoder, text, diffusion,
controlnet, gan; diffusion makes the text encoder itself if there is none, and without an autoencoder takes the pack's. With --data your own folder of pictures with captions (a .txt of the same name beside each) takes the place of the drawn ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import DONE, UsageError

if TYPE_CHECKING:
    from ..tiny.training.loop import Settings

ENVIRONMENT = "train"
STEPS = {"autoencoder": 12_000, "text": 6_000, "diffusion": 16_000, "controlnet": 4_000, "gan": 8_000}
SHIPPED = ("autoencoder", "diffusion", "controlnet")  # what can go on from the weights that come with the pack
PICTURES = 40_800


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["data", *STEPS], help="what to make")
    parser.add_argument("--root", type=Path, help="folder of the runs (default: training, in the cache)")
    parser.add_argument("--data", type=Path, help="folder of the pictures (default: data, in --root)")
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"data: how many to draw (default: {PICTURES})")
    parser.add_argument("--workers", type=int, default=0, help="data: processes that draw (default: one a core)")
    parser.add_argument(
        "--steps", type=int, help="how long to train (default: " + ", ".join(f"{k} {v}" for k, v in STEPS.items()) + ")"
    )
    parser.add_argument("--batch", type=int, help="samples a step")
    parser.add_argument(
        "--full-pictures",
        type=int,
        default=0,
        metavar="N",
        help="encode only the first N pictures at 256² (0.2 s each on a core); all are seen at 128² (default: all)",
    )
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument(
        "--loss", choices=["cross_entropy", "least_squares"], help="autoencoder and gan: the adversarial loss"
    )
    parser.add_argument(
        "--shipped",
        action="store_true",
        help=", ".join(SHIPPED)
        + ": begin with the weights that come with the pack, not with nothing; of the autoencoder only the decoder goes on, so that latents keep their meaning",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run that is there")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="where to train (default: auto)"
    )
    parser.add_argument(
        "--precision",
        choices=["bf16", "fp32"],
        default="bf16",
        help="arithmetic (default: bf16; on a CPU that does not compute it fp32)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another run (default: 0)")
    parser.add_argument("--save-minutes", type=float, default=4.0, help="minutes between checkpoints (default: 4)")


def check(arguments: argparse.Namespace) -> None:
    for name in ("pictures", "steps", "batch"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value} must be 1 or more.")
    if arguments.workers < 0:
        raise UsageError(f"--workers {arguments.workers} must be 0 (one a core) or more.")
    if arguments.full_pictures < 0:
        raise UsageError(f"--full-pictures {arguments.full_pictures} must be 0 (all) or more.")
    if arguments.rate is not None and not 0 < arguments.rate < 1:
        raise UsageError(f"--rate {arguments.rate} must be between 0 and 1.")
    if arguments.data is not None and not arguments.data.is_dir() and arguments.what != "data":
        raise UsageError(f"there is no folder {arguments.data}.")
    if arguments.shipped and arguments.what not in SHIPPED:
        raise UsageError(f"--shipped is for {', '.join(SHIPPED)}; {arguments.what} has no use for it.")
    if arguments.loss and arguments.what not in ("autoencoder", "gan"):
        raise UsageError(f"--loss is for autoencoder and gan; {arguments.what} has one loss only.")


def run(arguments: argparse.Namespace) -> int:
    from ..setup import paths
    from ..setup.progress import say
    from ..tiny.data.shards import DataError
    from ..tiny.training.loop import TrainingError
    from ..tiny.weights import WeightsError

    root = (arguments.root or paths.cache_root() / "training").expanduser().resolve()
    data = (arguments.data or root / "data").expanduser().resolve()
    try:
        if arguments.what == "data":
            return _draw(arguments, data, say)
        _train(arguments, root, data, say)
    except (DataError, TrainingError, WeightsError) as error:
        raise UsageError(str(error)) from error
    return DONE


def _draw(arguments: argparse.Namespace, data: Path, say: Any) -> int:
    import time

    from ..avatar.workers import workers
    from ..tiny.data.shards import SHARD, render_shards

    began = time.monotonic()
    first: list[int] = []

    def told(done: int, total: int) -> None:
        first.append(done)
        rate = (done - first[0] + 1) / (time.monotonic() - began)
        say(
            f"{min(done * SHARD, arguments.pictures)}/{arguments.pictures} pictures, {(total - done) / rate / 60:.0f} min left"
        )

    made = render_shards(data, arguments.pictures, arguments.seed, arguments.workers or workers(), told)
    say(f"{arguments.pictures} pictures are in {data}" + ("" if made else " already") + ".")
    return DONE


def _train(arguments: argparse.Namespace, root: Path, data: Path, say: Any) -> None:
    import torch

    from ..tiny import released
    from ..tiny.data.store import Store
    from ..tiny.training.autoencoder import Options, train_autoencoder
    from ..tiny.training.loop import Settings, TrainingError

    device = arguments.device if arguments.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device here: use --device cpu")

    def settings(what: str, steps: int | None = None, resume: bool = True) -> Settings:
        return Settings(
            root / what,
            steps or STEPS[what],
            arguments.seed,
            resume,
            device,
            arguments.precision == "bf16",
            arguments.save_minutes,
            say=say,
        )

    what = arguments.what
    store = Store(data)
    say(f"{len(store)} pictures in {data}; training on {device}")
    mine = settings(what, arguments.steps, arguments.resume)
    changes = {name: getattr(arguments, name) for name in ("batch", "rate") if getattr(arguments, name) is not None}
    if arguments.loss:
        changes["adversarial"] = arguments.loss
    if what == "autoencoder":
        start = None
        if arguments.shipped:
            start, changes["settled"] = released.autoencoder(), 1.0
        train_autoencoder(mine, store, Options(**changes), start)
        return
    from ..setup import comfyui
    from ..tiny.data.captions import Tokenizer
    from ..tiny.training import controlnet, diffusion, finished, gan, text
    from ..tiny.training.loop import checkpoint

    begun = what != "text" and checkpoint(root / "diffusion") is not None
    autoencoder = _autoencoder(root, arguments.shipped, begun, say)
    tokenizer = Tokenizer(comfyui.ensure() / "comfy" / "sd1_tokenizer")
    corpus = diffusion.Corpus(store, tokenizer, autoencoder, root, mine, arguments.full_pictures)
    if what == "text":
        text.train_text(mine, corpus, text.Options(**changes))
    elif what == "diffusion":
        start = None
        if begun:  # goes on with what it began with
            encoder = finished.diffusion(root / what).text
        elif arguments.shipped:
            start, encoder = _shipped(corpus, say)
        else:
            if checkpoint(root / "text") is None:
                say("the text encoder comes first")
                text.train_text(settings("text"), corpus)
            elif stopped := finished.stopped(root / "text"):
                raise TrainingError(
                    f"the text encoder in {root / 'text'} stopped at step {stopped[0]} of {stopped[1]}: finish it with  python3 -m chibi_avatar train text --resume  and the options it began with"
                )
            encoder = finished.text(root / "text").grown(torch.from_numpy(corpus.tokens))
        diffusion.train_diffusion(mine, corpus, autoencoder, encoder, diffusion.Options(**changes), start)
    else:
        if stopped := finished.stopped(root / "diffusion"):
            say(f"the diffusion run stopped at step {stopped[0]} of {stopped[1]}; it is used as it is")
        model = finished.diffusion(root / "diffusion")
        if what == "controlnet":
            start = released.controlnet() if arguments.shipped else None
            controlnet.train_controlnet(mine, corpus, model, autoencoder, controlnet.Options(**changes), start)
        else:
            gan.train_gan(mine, corpus, model, autoencoder, gan.Options(**changes))


def _autoencoder(root: Path, shipped: bool, begun: bool, say: Any) -> Any:
    """The autoencoder of the run in ``root``, or the one that ships: the one whose latents a diffusion run there learned, if there is one."""
    from ..tiny import released
    from ..tiny.training import finished
    from ..tiny.training.latents import autoencoder_digest
    from ..tiny.training.loop import TrainingError, checkpoint

    own = checkpoint(root / "autoencoder") is not None
    found = [finished.autoencoder(root / "autoencoder")] if own else []
    if begun:
        wanted = finished.autoencoder_of(root / "diffusion")
        for network in (*found, released.autoencoder()):
            if autoencoder_digest(network) == wanted:
                return network
        raise TrainingError(
            f"the diffusion run in {root / 'diffusion'} learned another autoencoder than the one in {root / 'autoencoder'}: train it again, or choose another --root"
        )
    if own and not shipped:
        if stopped := finished.stopped(root / "autoencoder"):
            say(f"the autoencoder stopped at step {stopped[0]} of {stopped[1]}; it is used as it is")
        return found[0]
    say("the autoencoder that comes with the pack is used")
    return released.autoencoder()


def _shipped(corpus: Any, say: Any) -> tuple[Any, Any]:
    """UNet and text encoder that come with the pack; words that they never saw get rows of their own, and are told."""
    import torch

    from ..tiny import released

    model = released.diffusion()
    new = sorted(set(corpus.tokens.tolist()) - set(model.text.tokens.tolist()))
    if new:
        say(f"new to the weights that come with the pack, and learned here: {corpus.tokenizer.words(new)}")
    return model.unet, model.text.grown(torch.from_numpy(corpus.tokens))
