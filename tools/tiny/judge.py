"""Small networks that read renders: hair style, top, glasses, expression, where the hair is, where the joints are.

One looks at the whole picture and finds hair and joints; nose and neck tell where the close-ups are cut, and one network each reads the
face, the hair and the clothes there. They are trained on what ``train data`` draws, close-ups also on what the autoencoder makes of it,
and measure what the embedded model draws. Those that measured it last lie beside this file. ``python -m tools.tiny.judge [ROOT]`` in the train
environment trains others on ROOT/data, hours on a CPU, and stores them in ROOT/judges.safetensors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chibi_avatar.avatar.build import PARTS
from chibi_avatar.avatar.wardrobe import HAIR
from chibi_avatar.setup import paths
from chibi_avatar.setup.progress import say
from chibi_avatar.tiny import released
from chibi_avatar.tiny.data.scenes import view_word
from chibi_avatar.tiny.data.store import Store
from chibi_avatar.tiny.networks.autoencoder import Autoencoder
from chibi_avatar.tiny.training.autoencoder import reconstruct
from chibi_avatar.tiny.training.latents import kept
from chibi_avatar.tiny.training.loop import Order, Run, Settings, autocast, digest, generator, learning_rate
from chibi_avatar.tiny.weights import squeeze, unsqueeze

SIZE, MAP = 128, 32
TOPS = ("tshirt", "shirt", "hoodie", "sweater", "sailor", "blazer", "suit", "dress", "overalls_shirt", "hanfu", "kimono", "qipao", "raincoat", "space_suit")  # fmt: skip
EXPRESSIONS = (
    "neutral",
    "smile",
    "happy",
    "grin",
    "angry",
    "sad",
    "surprised",
    "blink",
    "blinkLeft",
    "pout",
    "worried",
    "relaxed",
)
CLASSES: dict[str, tuple[str, ...]] = {
    "hair_style": HAIR,
    "top": TOPS,
    "glasses": ("no", "yes"),
    "expression": EXPRESSIONS,
}
FILE = "judges.safetensors"
KEPT = Path(__file__).with_name(FILE)
STEPS = {"whole": 5_000, "face": 8_000, "hair": 8_000, "body": 12_000}
JOINTS = 14  # the body's points of COCO-18, without eyes and ears
_MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10]  # the joint that each becomes in a mirror
NOSE, NECK, HIPS = 0, 1, (8, 11)


@dataclass(frozen=True)
class Cut:
    """A square of a picture, measured in distances from nose to neck: ``side`` long, its middle ``below`` the nose towards the neck.
    ``reads`` names the classes that can be told from it, from ``size`` pixels a side."""

    side: float
    below: float
    reads: tuple[str, ...]
    size: int = 96


CUTS = {
    "face": Cut(2.8, 0.0, ("expression", "glasses"), 128),  # a brow is two pixels of 96
    "hair": Cut(6.0, 0.5, ("hair_style",)),
    "body": Cut(4.6, 2.0, ("top",)),
}
CUT_MARGIN = 1.25  # how much wider a cut is kept, so that training can shift and scale it
_LEAST = 8.0  # pixels from nose to neck; nearer than that, a wrong joint would ask for a cut of nothing
_TORSO = 1.75  # distances from nose to neck between neck and hips, for heads that turn their back
_SEEN = 0.25  # how sure a joint must be
REDRAWN = 2_000  # pictures that close-ups also see as the autoencoder gives them back, for that is how samples look,
REDRAWN_SHARE = 0.25  # and how much of a batch these are
# Hair that one view hides: a braid hangs behind the head, and only beside the face does a hime cut differ from long hair
_HIDDEN = {"front": ("braid",), "back": ("hime", "long_straight")}


def _block(a: int, b: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(a, b, 3, stride, 1, bias=False),
        nn.BatchNorm2d(b),
        nn.ReLU(),
        nn.Conv2d(b, b, 3, 1, 1, bias=False),
        nn.BatchNorm2d(b),
        nn.ReLU(),
    )


class Judge(nn.Module):
    """Pictures (B, 3, 128, 128) in 0..1 → hair (B, 32, 32), joints (B, 14, 32, 32), features (B, 256), and logits per class, which
    only shape the features: close-ups answer."""

    def __init__(self) -> None:
        super().__init__()

        self.low = nn.Sequential(_block(3, 32, 2), _block(32, 64, 2))
        self.mid, self.high, self.top = _block(64, 128, 2), _block(128, 192, 2), _block(192, 256, 2)
        self.down = nn.ModuleList(
            [nn.Conv2d(256, 96, 1), nn.Conv2d(192, 96, 1), nn.Conv2d(128, 96, 1), nn.Conv2d(64, 96, 1)]
        )
        self.maps = nn.Sequential(_block(96, 96, 1), nn.Conv2d(96, 1 + JOINTS, 1))
        self.heads = nn.ModuleDict({name: nn.Linear(256, len(values)) for name, values in CLASSES.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low = self.low(x * 2 - 1)
        mid = self.mid(low)
        high = self.high(mid)
        top = self.top(high)
        features = top.mean((2, 3))
        y = self.down[0](top)
        for layer, finer in zip(self.down[1:], (high, mid, low), strict=False):  # type: ignore[arg-type]
            y = F.interpolate(y, scale_factor=2, mode="nearest") + layer(finer)
        maps = self.maps(y)
        dropped = F.dropout(features, 0.2, self.training)
        return {
            **{name: head(dropped) for name, head in self.heads.items()},
            "hair": maps[:, 0],
            "joints": maps[:, 1:],
            "features": features,
        }


class CloseUp(nn.Module):
    """Cuts (B, 3, size, size) in 0..1 → logits of each class that they tell."""

    def __init__(self, reads: tuple[str, ...]) -> None:
        super().__init__()
        self.trunk = nn.Sequential(_block(3, 32, 2), _block(32, 64, 2), _block(64, 128, 2), _block(128, 192, 2))
        self.heads = nn.ModuleDict({name: nn.Linear(192 * 9, len(CLASSES[name])) for name in reads})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = F.dropout(F.adaptive_avg_pool2d(self.trunk(x * 2 - 1), 3).flatten(1), 0.3, self.training)
        return {name: head(features) for name, head in self.heads.items()}


@dataclass(frozen=True)
class Judges:
    """``whole`` sees whole pictures, ``close`` has a :class:`CloseUp` for :data:`CUTS`, or for those of them that are trained."""

    whole: Judge
    close: Mapping[str, CloseUp]


def asked(labels: Mapping[str, Any]) -> dict[str, int]:
    """The class of every attribute that this picture can show; an attribute that it hides is left out."""
    view = view_word(labels["azimuth"])
    front = view in ("front", "three_quarter")
    near = labels["framing"] in ("portrait", "upper_body")
    out = {}
    if (
        labels["hat"] == "none"
        and (front or labels["framing"] in ("full_body", "guide"))
        and labels["hair_style"] not in _HIDDEN.get(view, ())
    ):
        out["hair_style"] = HAIR.index(labels["hair_style"])
    if labels["framing"] != "portrait" and front and labels["top"] in TOPS:  # collars and buttons are in front
        out["top"] = TOPS.index(labels["top"])
    if front:
        out["glasses"] = int(labels["glasses"] != "none")
    if front and near and labels["expression"] in EXPRESSIONS:
        out["expression"] = EXPRESSIONS.index(labels["expression"])
    return out


@dataclass(frozen=True)
class Answers:
    """What the judges say of N pictures: ``classes`` name → (N,) indices; ``hair`` (N, 32, 32) 0..1; ``joints`` (N, 14, 2) in 0..1 of
    the picture; ``features`` (N, 256)."""

    classes: dict[str, np.ndarray]
    hair: np.ndarray
    joints: np.ndarray
    features: np.ndarray


def head(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nose (2,) and the way from there to the neck (2,), of points (14, 3) with how sure each is; from behind the hips tell them. Without
    any of these a point and a way of NaN."""
    sure = points[:, 2] > _SEEN
    places = points[:, :2]
    if sure[NECK] and sure[NOSE]:
        return places[NOSE], places[NECK] - places[NOSE]
    if sure[NECK] and sure[list(HIPS)].all():
        down = (places[list(HIPS)].mean(0) - places[NECK]) / _TORSO
        return places[NECK] - down, down
    return np.full(2, np.nan), np.full(2, np.nan)


def cut_out(picture: np.ndarray, points: np.ndarray, cut: Cut) -> np.ndarray:
    """The square ``cut`` with its margin, of a picture (H, W, 3) uint8 with ``points`` (14, 3) in pixels, (side, side, 3) uint8 with side
    CUT_MARGIN times its size. Beyond the border the picture's edge goes on; where :func:`head` finds none it is the whole picture."""
    from PIL import Image

    nose, down = head(points)
    if np.isnan(nose).any():
        nose, down = np.array(picture.shape[1::-1]) / 2, np.array([0.0, max(picture.shape) / cut.side])
    length = max(float(np.linalg.norm(down)), _LEAST)
    half = cut.side * length * CUT_MARGIN / 2
    x, y = nose + cut.below * down
    pad = int(max(0, half - x, half - y, x + half - picture.shape[1], y + half - picture.shape[0])) + 1
    wide = Image.fromarray(np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    side = round(cut.size * CUT_MARGIN)
    box = (x + pad - half, y + pad - half, x + pad + half, y + pad + half)
    return np.asarray(wide.resize((side, side), Image.Resampling.BILINEAR, box))


@torch.no_grad()
def answers(judges: Judges, pictures: np.ndarray, batch: int = 32) -> Answers:
    """Read pictures (N, H, W, 3) uint8."""
    parts: dict[str, list[np.ndarray]] = {}
    judge = judges.whole.eval()
    device = next(judge.parameters()).device
    for start in range(0, len(pictures), batch):
        some = pictures[start : start + batch]
        x = torch.from_numpy(some).to(device).movedim(-1, 1).float() / 255
        small = F.interpolate(x, (SIZE, SIZE), mode="area")
        out, mirrored = judge(small), judge(small.flip(3))
        heat = (out["joints"] + mirrored["joints"].flip(3)[:, _MIRRORED]) / 2
        peak = heat.flatten(2).argmax(2)
        y, x0 = peak // MAP, peak % MAP
        joints = (torch.stack([_refined(heat, x0, y, 1), _refined(heat, x0, y, 0)], 2) / MAP).cpu().numpy()
        sure = torch.sigmoid(heat.flatten(2).amax(2)).cpu().numpy()
        found = {
            "hair": torch.sigmoid((out["hair"] + mirrored["hair"].flip(2)) / 2).cpu().numpy(),
            "joints": joints,
            "features": out["features"].cpu().numpy(),
        }
        points = np.concatenate([joints * (some.shape[2], some.shape[1]), sure[:, :, None]], 2)
        for name, network in judges.close.items():
            cut = CUTS[name]
            cuts = [cut_out(picture, known, cut) for picture, known in zip(some, points, strict=True)]
            network.eval()
            said = [network(look) for look in _looks(torch.from_numpy(np.stack(cuts)).to(device).movedim(-1, 1) / 255)]
            for told in cut.reads:
                found[told] = sum(F.log_softmax(one[told], 1) for one in said).argmax(1).cpu().numpy()  # type: ignore[union-attr]
        for key, value in found.items():
            parts.setdefault(key, []).append(value)
    whole = {key: np.concatenate(values) for key, values in parts.items()}
    classes = {name: whole[name] for name in CLASSES if name in whole}
    return Answers(classes, whole["hair"], whole["joints"], whole["features"])


def _refined(heat: Tensor, x: Tensor, y: Tensor, axis: int) -> Tensor:
    """The peak's place along x (axis 1) or y (axis 0), at a fraction of a cell, from the neighbours' heat."""
    total = torch.zeros_like(x, dtype=torch.float32)
    place = torch.zeros_like(total)
    n, j = torch.meshgrid(
        torch.arange(heat.shape[0], device=heat.device), torch.arange(heat.shape[1], device=heat.device), indexing="ij"
    )
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            xx, yy = (x + dx).clamp(0, MAP - 1), (y + dy).clamp(0, MAP - 1)
            weight = torch.sigmoid(heat[n, j, yy, xx]) ** 2
            total += weight
            place += weight * ((xx if axis else yy).float() + 0.5)
    return place / total.clamp(min=1e-9)


def train_judge(settings: Settings, store: Store, batch: int = 32, rate: float = 1e-3) -> Judge:
    """Train on the pictures of ``store``."""
    torch.manual_seed(settings.seed)
    judge = Judge().to(settings.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(judge.parameters(), rate, weight_decay=1e-3)
    run = Run(settings, {"network": "judge", "batch": batch, "rate": rate}, {"judge": judge, "optimizer": optimizer})
    order = Order(len(store), settings.seed)
    grid = (torch.arange(MAP) + 0.5) * 256 / MAP

    def one(step: int) -> Mapping[str, float]:
        judge.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(rate, step, settings.steps)
        numbers = order.take(step * batch, batch)
        pictures = torch.from_numpy(np.stack([store.picture(int(i), SIZE) for i in numbers])).movedim(-1, 1)
        random_numbers = generator(settings.seed, step, settings.device)
        mirrored = (torch.rand(len(numbers), generator=random_numbers, device=settings.device) < 0.5).cpu()
        pictures[mirrored] = pictures[mirrored].flip(3)
        x = _worn(pictures.to(settings.device).float() / 255, random_numbers)
        items = [store.items[i] for i in numbers]
        with autocast(settings):
            out = {key: value.float() for key, value in judge(x).items()}
        loss = torch.zeros((), device=settings.device)
        told = [asked(item.labels) for item in items]
        for name in CLASSES:
            rows = [k for k, one_told in enumerate(told) if name in one_told]
            if rows:
                wanted = torch.tensor([told[k][name] for k in rows], device=settings.device)
                loss = loss + F.cross_entropy(out[name][rows], wanted) * len(rows) / batch
        hair = torch.from_numpy(np.stack([(item.parts == 1 + PARTS.index("hair")) for item in items])).float()
        hair[mirrored] = hair[mirrored].flip(2)
        loss = loss + F.binary_cross_entropy_with_logits(out["hair"], F.avg_pool2d(hair, 64 // MAP).to(settings.device))
        points = torch.from_numpy(np.stack([item.keypoints[:JOINTS] for item in items]))
        points[mirrored] = points[mirrored][:, _MIRRORED]
        points[mirrored, :, 0] = 256 - points[mirrored, :, 0]
        spread = (points[:, :, 0, None, None] - grid) ** 2 + (points[:, :, 1, None, None] - grid[:, None]) ** 2
        heat = torch.exp(-spread / (2 * 9.0**2)) * (points[:, :, 2] > 0)[:, :, None, None]
        loss = loss + 8 * F.binary_cross_entropy_with_logits(out["joints"], heat.to(settings.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": float(loss.detach())}

    run.go(one)
    return judge.eval()


def train_close_up(
    settings: Settings, store: Store, autoencoder: Autoencoder, name: str, batch: int = 64, rate: float = 1.5e-3
) -> CloseUp:
    """Train the network of ``CUTS[name]`` on the pictures of ``store``, cut at the true joints, and on some as ``autoencoder`` gives them
    back."""
    torch.manual_seed(settings.seed)
    cut = CUTS[name]
    network = CloseUp(cut.reads).to(settings.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-2)
    run = Run(
        settings,
        {"network": f"judge {name}", "batch": batch, "rate": rate, "redrawn": REDRAWN_SHARE, "size": cut.size},
        {"network": network, "optimizer": optimizer},
    )
    if run.step >= settings.steps:
        return network.eval()
    redrawn = redraw(autoencoder, store, settings.folder.parent, settings)
    told, cuts = _cuts(store, store.picture, len(store), cut)
    told_again, cuts_again = _cuts(store, redrawn.__getitem__, len(redrawn), cut)
    rendered = len(told)
    told, known = told + told_again, torch.from_numpy(np.stack(cuts + cuts_again)).movedim(-1, 1)
    after = round(batch * REDRAWN_SHARE) if told_again else 0
    order, order_again = Order(rendered, settings.seed), Order(max(1, len(told_again)), settings.seed)

    def one(step: int) -> Mapping[str, float]:
        network.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(rate, step, settings.steps, warmup=100, tail=0.6)
        numbers = np.concatenate(
            [order.take(step * (batch - after), batch - after), rendered + order_again.take(step * after, after)]
        ).astype(int)
        x = _moved(known[numbers].to(settings.device).float() / 255, generator(settings.seed, step, settings.device))
        with autocast(settings):
            out = {key: value.float() for key, value in network(x).items()}
        losses = {}
        for key in cut.reads:
            wanted = torch.tensor([told[i].get(key, -100) for i in numbers], device=x.device)
            losses[key] = F.cross_entropy(out[key], wanted, ignore_index=-100, label_smoothing=0.05)
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        return {key: float(value.detach()) for key, value in losses.items()}

    run.go(one)
    return network.eval()


def _cuts(
    store: Store, picture: Callable[[int], np.ndarray], count: int, cut: Cut
) -> tuple[list[dict[str, int]], list[np.ndarray]]:
    """What can be told from ``cut`` of each of the first ``count`` pictures that tell something, and the cuts."""
    told, cuts = [], []
    for i in range(count):
        can = {key: value for key, value in asked(store.items[i].labels).items() if key in cut.reads}
        if can:
            told.append(can)
            cuts.append(cut_out(picture(i), store.items[i].keypoints[:JOINTS], cut))  # type: ignore[index]
    return told, cuts


def redraw(autoencoder: Autoencoder, store: Store, folder: Path, settings: Settings) -> np.ndarray:
    """The first :data:`REDRAWN` pictures of ``store`` as ``autoencoder`` gives them back (n, H, W, 3) uint8; kept in ``folder``."""
    numbers = range(min(REDRAWN, len(store)))

    def made() -> np.ndarray:
        settings.say(f"{len(numbers)} pictures go through the autoencoder")
        pictures = (store.picture(i).astype(np.float32)[None] / 255 for i in numbers)
        return np.stack([(reconstruct(autoencoder, x, settings)[0] * 255 + 0.5).astype(np.uint8) for x in pictures])

    return kept(folder / f"redrawn-{digest(autoencoder)}-{store.stamp(numbers)}.npy", made)


def _looks(x: Tensor) -> list[Tensor]:
    """Cuts with margin (B, 3, side, side) as they are read: three sizes and their mirror images, each (B, 3, size, size). Where one look
    errs, the others outvote it."""
    out = []
    size = round(x.shape[-1] / CUT_MARGIN)
    margin = (x.shape[-1] - size) // 2
    for edge in (margin // 2, margin, margin * 3 // 2):
        part = F.interpolate(x[:, :, edge:-edge, edge:-edge], (size, size), mode="bilinear", antialias=True)
        out += [part, part.flip(3)]
    return [part.contiguous(memory_format=torch.channels_last) for part in out]


def _moved(x: Tensor, random_numbers: torch.Generator) -> Tensor:
    """Cuts with margin (B, 3, side, side) → (B, 3, size, size): shifted, scaled and turned as wrong joints would, mirrored, and worn."""
    angle = _between(-0.2, 0.2, x, random_numbers)
    scale = _between(0.88, 1.12, x, random_numbers) / CUT_MARGIN
    side = torch.sign(_between(-1, 1, x, random_numbers))  # no class tells left from right
    theta = torch.zeros((len(x), 2, 3), device=x.device)
    theta[:, 0, 0], theta[:, 0, 1] = side * scale * angle.cos(), -scale * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = side * scale * angle.sin(), scale * angle.cos()
    theta[:, :, 2] = _between(-0.1, 0.1, x, random_numbers, 2)
    size = round(x.shape[-1] / CUT_MARGIN)
    place = F.affine_grid(theta, [len(x), 3, size, size], align_corners=False)
    return _worn(F.grid_sample(x, place, padding_mode="border", align_corners=False), random_numbers)


def _worn(x: Tensor, random_numbers: torch.Generator) -> Tensor:
    """Pictures (B, 3, H, W) in 0..1, brighter or darker, some with noise, some blurred: a judge of samples must not live on a render's exact
    pixels."""
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.lerp(x, soft, _between(-1, 1, x, random_numbers, 1, 1, 1).clamp(min=0))
    strength = _between(-0.035, 0.035, x, random_numbers, 1, 1, 1).clamp(min=0)
    x = x + torch.randn(x.shape, generator=random_numbers, device=x.device) * strength
    x = (x * _between(0.94, 1.06, x, random_numbers, 1, 1, 1)).clamp(0, 1)
    return x.contiguous(memory_format=torch.channels_last)


def _between(low: float, high: float, x: Tensor, random_numbers: torch.Generator, *shape: int) -> Tensor:
    """Random numbers (B, *shape) for the batch ``x``."""
    return torch.rand((len(x), *shape), generator=random_numbers, device=x.device) * (high - low) + low


def accuracy(judges: Judges, store: Store) -> dict[str, float]:
    """Share of right answers on the pictures of ``store``, by attribute, and the mean joint error as a share of the picture."""
    said = answers(judges, np.stack([store.picture(i) for i in range(len(store))]))
    right: dict[str, list[bool]] = {name: [] for name in CLASSES}
    errors = []
    for k, item in enumerate(store.items):
        for name, value in asked(item.labels).items():
            if name in said.classes:
                right[name].append(int(said.classes[name][k]) == value)
        points = item.keypoints[:JOINTS]  # type: ignore[index]
        seen = points[:, 2] > 0
        errors += list(np.linalg.norm(points[seen, :2] / 256 - said.joints[k][seen], axis=1))
    return {
        **{name: float(np.mean(values)) for name, values in right.items() if values},
        "joint error": float(np.mean(errors)),
    }


def write(judges: Judges, path: Path) -> None:
    """Store them, matrices as 8-bit integers like the weights that ship."""
    from safetensors.torch import save_file

    state = {f"whole.{key}": value for key, value in judges.whole.state_dict().items()}
    for name, network in judges.close.items():
        state |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    save_file(squeeze(state), str(path))


def read(path: Path = KEPT) -> Judges:
    """The judges that :func:`write` stored."""
    from safetensors.torch import load_file

    state = unsqueeze(load_file(str(path)))

    def filled(network: Any, name: str) -> Any:
        own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        network.load_state_dict(own)
        return network.eval()

    there = {key.split(".")[0] for key in state}
    close = {name: filled(CloseUp(cut.reads), name) for name, cut in CUTS.items() if name in there}
    return Judges(filled(Judge(), "whole"), close)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Train the judges on ROOT/data and store them; runs that stopped go on."
    )
    parser.add_argument("root", type=Path, nargs="?", default=paths.cache_root() / "training")
    for name, steps in STEPS.items():
        parser.add_argument(f"--{name}", type=int, default=steps, help=f"steps of training (default: {steps})")
    parser.add_argument(
        "--only",
        choices=STEPS,
        nargs="+",
        default=list(STEPS),
        help='train these alone; they are stored with "whole" among them',
    )
    arguments = parser.parse_args()
    store = Store(arguments.root / "data")
    autoencoder = released.autoencoder()
    made: dict[str, Any] = {}
    for name in arguments.only:
        settings = Settings(arguments.root / "judge" / name, getattr(arguments, name), resume=True, say=say)
        made[name] = (
            train_judge(settings, store) if name == "whole" else train_close_up(settings, store, autoencoder, name)
        )
    if "whole" in made:
        write(Judges(made["whole"], {name: made[name] for name in CUTS if name in made}), arguments.root / FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
