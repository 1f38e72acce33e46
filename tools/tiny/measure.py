"""What the embedded model really does: ``python -m tools.tiny.measure [ROOT] [--count N] [--only PART …]`` prints JSON and stores it in
``docs/tiny.json``.

On captions of pictures that are drawn for this alone, from a seed that no training uses, read by the networks of :mod:`.judge`: those in ROOT,
or else those beside this file. Run it in the train environment; the pictures are drawn into ROOT/measured first when they are not there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chibi_avatar.avatar.metrics import delta_e2000, srgb_to_lab
from chibi_avatar.avatar.workers import workers
from chibi_avatar.setup import comfyui, paths
from chibi_avatar.setup.progress import say
from chibi_avatar.tiny import released
from chibi_avatar.tiny.data.captions import NEGATIVE, Tokenizer, said, window
from chibi_avatar.tiny.data.shards import render_shards
from chibi_avatar.tiny.data.store import Store
from chibi_avatar.tiny.networks.preview import NOISE, enlarged_pictures, pooled
from chibi_avatar.tiny.training.autoencoder import held_out_psnr
from chibi_avatar.tiny.training.controlnet import skeleton
from chibi_avatar.tiny.training.diffusion import decode
from chibi_avatar.tiny.training.loop import Settings
from chibi_avatar.tiny.training.sampling import sample

from . import judge as judging
from .judge import JOINTS, accuracy, answers, asked

HAIR = 2  # the part map's number of hair: 1 + its place in the avatar's parts
MEASURED, SEED = 960, 1_000_003  # pictures to measure on, and the seed they are drawn from


def measured(root: Path) -> Store:
    """The pictures to measure on, in ``root``; drawn when they are not there."""
    folder = root / "measured"
    render_shards(folder, MEASURED, SEED, workers(), lambda done, total: say(f"drawn {done}/{total}"))
    return Store(folder)


class Shipped:
    """The networks as they ship, in torch."""

    def __init__(self) -> None:
        model = released.diffusion()
        self.unet, self.text = model.unet, model.text
        self.control, self.autoencoder, self.preview = (
            released.controlnet(),
            released.autoencoder(),
            released.preview(),
        )

    @torch.no_grad()
    def context(self, ids: np.ndarray) -> torch.Tensor:
        return self.text(self.text.rows_of(torch.from_numpy(ids)))

    def draw(self, ids: np.ndarray, negative: np.ndarray, hints: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
        """Token ids (N, 77) → pictures (N, 256, 256, 3) uint8, 20 steps."""
        out = []
        for start in range(0, len(ids), 8):
            context, empty = self.context(ids[start : start + 8]), self.context(negative[None])
            guide = None if hints is None else torch.from_numpy(hints[start : start + 8]).movedim(-1, 1).float() / 255
            latents = sample(
                self.unet,
                context,
                empty,
                32,
                seed=seed + start,
                control=None if hints is None else self.control,
                hints=guide,
            )
            out.append(decode(self.autoencoder, latents))
        return (np.concatenate(out) * 255 + 0.5).astype(np.uint8)

    @torch.no_grad()
    def instant(self, ids: np.ndarray, seed: int = 0) -> np.ndarray:
        """The same by the preview, one pass."""
        context = self.context(ids)
        noise = torch.randn((len(ids), NOISE), generator=torch.Generator().manual_seed(seed))
        latents = self.preview(noise, context, pooled(context, torch.from_numpy(ids)))
        pictures = enlarged_pictures(torch.from_numpy(decode(self.autoencoder, latents)))
        return (pictures.numpy() * 255 + 0.5).astype(np.uint8)


def region_mean(picture: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Mean sRGB (3,) 0..1 of a picture (H, W, 3) uint8 where a coarse mask (h, w) is on; None when that is almost nowhere."""
    times = picture.shape[0] // mask.shape[0]
    where = np.repeat(np.repeat(mask, times, 0), times, 1)
    return picture[where].mean(0) / 255 if mask.sum() > 4 else None


def named_colors(store: Store) -> dict[str, np.ndarray]:
    """Colour name → mean sRGB of the hair that renders show under that name."""
    seen: dict[str, list[np.ndarray]] = {}
    for index, item in enumerate(store.items):
        if item.labels["hair_plain"] and len(seen.get(item.labels["hair_name"], ())) < 30:
            mean = region_mean(store.picture(index), item.parts == HAIR)
            if mean is not None:
                seen.setdefault(item.labels["hair_name"], []).append(mean)
    return {name: np.mean(values, 0) for name, values in seen.items()}


def hair_color_right(
    pictures: np.ndarray, masks: np.ndarray, names: list[str | None], known: dict[str, np.ndarray]
) -> float:
    """Share of pictures whose hair is within ΔE2000 20 of what its name looks like; names that are None do not count."""
    right = []
    for picture, mask, name in zip(pictures, masks, names, strict=True):
        if name in known:
            mean = region_mean(picture, mask > 0.5)
            right.append(mean is not None and float(delta_e2000(srgb_to_lab(mean), srgb_to_lab(known[name]))) < 20)
    return float(np.mean(right))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of two sets of features (N, D), as in FID (Heusel et al. 2017), with shrunk covariances for small N."""
    from scipy.linalg import sqrtm

    means, covariances = [], []
    for x in (a, b):
        means.append(x.mean(0))
        covariance = np.cov(x, rowvar=False)
        covariances.append(0.95 * covariance + 0.05 * np.diag(np.diag(covariance)))
    root = sqrtm(covariances[0] @ covariances[1]).real
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


def heights(parts: np.ndarray) -> float:
    """Height of the figure in a part map (64, 64), as a share of the picture."""
    rows = np.flatnonzero((parts > 0).any(1))
    return (rows[-1] - rows[0] + 1) / 64 if len(rows) else 1.0


class Measuring:
    """The figures of the model card, over ``count`` captions, at most half of :data:`MEASURED`, in :data:`PARTS`."""

    def __init__(self, root: Path, count: int) -> None:
        own = root / judging.FILE
        self.made, self.store = Shipped(), measured(root)
        self.judges = judging.read(own) if own.is_file() else judging.read()
        self.settings = Settings(root / "measured", 0, say=say)
        self.tokenizer = Tokenizer(comfyui.ensure() / "comfy" / "sd1_tokenizer")
        self.negative = window(self.tokenizer, (NEGATIVE,))
        self.items = self.store.items[: min(count, MEASURED // 2)]
        self.ids = np.stack([said(self.tokenizer, item.tags) for item in self.items])
        self.names = [item.labels["hair_name"] if item.labels["hair_plain"] else None for item in self.items]

    def judge(self) -> dict[str, Any]:
        return {"judge on held-out renders": accuracy(self.judges, self.store)}

    def words(self) -> dict[str, Any]:
        """What the pictures show of what was said, and how like renders they are."""
        began = time.monotonic()
        drawn = self.made.draw(self.ids, self.negative)
        out: dict[str, Any] = {"seconds a picture, 20 steps, in eights": (time.monotonic() - began) / len(drawn)}
        told = answers(self.judges, drawn)
        out["hair color"] = hair_color_right(drawn, told.hair, self.names, named_colors(self.store))
        for name, found in told.classes.items():
            wanted = [(k, asked(item.labels)[name]) for k, item in enumerate(self.items) if name in asked(item.labels)]
            out[name] = float(np.mean([found[k] == value for k, value in wanted]))
        count = len(drawn)  # the same on every side: the distance depends on how many pictures are compared
        real = answers(self.judges, np.stack([self.store.picture(i) for i in range(2 * count)])).features
        out["FID"] = frechet(told.features, real[:count])
        out["FID of disjoint halves of the data"] = frechet(real[:count], real[count:])
        out["diversity, samples over data"] = float(told.features.std(0).mean() / real.std(0).mean())
        return out

    def preview(self) -> dict[str, Any]:
        quick = self.made.instant(self.ids)
        hair = answers(self.judges, quick).hair
        return {"preview hair color": hair_color_right(quick, hair, self.names, named_colors(self.store))}

    def pose(self) -> dict[str, Any]:
        """Joint errors of whole figures, with the skeleton and without, whose captions say nothing of the pose."""
        whole = [item for item in self.items if item.labels["framing"] in ("full_body", "guide", "cowboy_shot")]
        hints = np.stack([skeleton(item.keypoints, 256, 256) for item in whole])  # type: ignore[arg-type]
        plain = [[tag for tag in item.tags if not tag[1].startswith("pose.")] for item in whole]
        ids = np.stack([said(self.tokenizer, tags) for tags in plain])
        out = {}
        for name, guide in (("with", hints), ("without", None)):
            places = answers(self.judges, self.made.draw(ids, self.negative, guide)).joints
            errors = []
            for place, item in zip(places, whole, strict=True):
                points = item.keypoints[:JOINTS]  # type: ignore[index]
                seen = points[:, 2] > 0
                error = np.linalg.norm(points[seen, :2] / 256 - place[seen], axis=1).mean()
                errors.append(error / heights(item.parts))  # type: ignore[arg-type]
            out[f"joint error {name} ControlNet"] = float(np.mean(errors))
        return out

    def autoencoder(self) -> dict[str, Any]:
        return {"autoencoder PSNR dB": held_out_psnr(self.made.autoencoder, self.store, self.settings)}


PARTS = ("judge", "words", "preview", "pose", "autoencoder")


def updated(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``old`` figures with the ``new`` ones; of the judges only those that were there are new."""
    judge = "judge on held-out renders"
    return {**old, **new, **({judge: {**old.get(judge, {}), **new[judge]}} if judge in new else {})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", default=paths.cache_root() / "training")
    parser.add_argument("--count", type=int, default=MEASURED // 2, help="captions (default: %(default)s, all)")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="measure these; other figures stay")
    arguments = parser.parse_args()
    path = Path(__file__).parents[2] / "docs" / "tiny.json"
    measuring = Measuring(arguments.root, arguments.count)
    for part in arguments.only:
        found = getattr(measuring, part)() | {f"captions, {part}": len(measuring.items)}
        say(json.dumps(found, indent=2))
        figures = updated(json.loads(path.read_text(encoding="utf-8")), found)
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
