"""A small network that reads renders: hair style, top, glasses, expression, where the hair is, where the joints are.

It is trained on what ``train data`` draws and measures what the embedded model draws; nothing of it ships.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chibi_avatar.avatar.build import PARTS
from chibi_avatar.avatar.wardrobe import HAIR
from chibi_avatar.tiny.data.scenes import view_word
from chibi_avatar.tiny.data.store import Store
from chibi_avatar.tiny.training.loop import Order, Run, Settings, autocast, learning_rate

SIZE, MAP = 128, 32
HELD_OUT = 960
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
JOINTS = 14  # the body's points of COCO-18, without eyes and ears


class Judge(nn.Module):
    """Pictures (B, 3, 128, 128) in 0..1 → logits per class, hair (B, 32, 32), joints (B, 14, 32, 32), features (B, 256)."""

    def __init__(self) -> None:
        super().__init__()

        def block(a: int, b: int, stride: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(a, b, 3, stride, 1, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
                nn.Conv2d(b, b, 3, 1, 1, bias=False),
                nn.BatchNorm2d(b),
                nn.ReLU(),
            )

        self.low = nn.Sequential(block(3, 32, 2), block(32, 64, 2))
        self.mid, self.high, self.top = block(64, 128, 2), block(128, 192, 2), block(192, 256, 2)
        self.down = nn.ModuleList(
            [nn.Conv2d(256, 96, 1), nn.Conv2d(192, 96, 1), nn.Conv2d(128, 96, 1), nn.Conv2d(64, 96, 1)]
        )
        self.maps = nn.Sequential(block(96, 96, 1), nn.Conv2d(96, 1 + JOINTS, 1))
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


def asked(labels: Mapping[str, Any]) -> dict[str, int]:
    """The class of every attribute that this picture can show; an attribute that it hides is left out."""
    front = view_word(labels["azimuth"]) in ("front", "three_quarter")
    near = labels["framing"] in ("portrait", "upper_body")
    out = {}
    if labels["hat"] == "none" and (front or labels["framing"] in ("full_body", "guide")):
        out["hair_style"] = HAIR.index(labels["hair_style"])
    if labels["framing"] != "portrait" and labels["top"] in TOPS:
        out["top"] = TOPS.index(labels["top"])
    if front:
        out["glasses"] = int(labels["glasses"] != "none")
    if front and near and labels["expression"] in EXPRESSIONS:
        out["expression"] = EXPRESSIONS.index(labels["expression"])
    return out


@dataclass(frozen=True)
class Answers:
    """What the judge says of N pictures: ``classes`` name → (N,) indices; ``hair`` (N, 32, 32) 0..1; ``joints`` (N, 14, 2) in 0..1 of
    the picture with ``seen`` (N, 14) 0..1; ``features`` (N, 256)."""

    classes: dict[str, np.ndarray]
    hair: np.ndarray
    joints: np.ndarray
    seen: np.ndarray
    features: np.ndarray


@torch.no_grad()
def answers(judge: Judge, pictures: np.ndarray, batch: int = 32) -> Answers:
    """Read pictures (N, H, W, 3) uint8."""
    parts: dict[str, list[np.ndarray]] = {}
    device = next(judge.parameters()).device
    for start in range(0, len(pictures), batch):
        x = torch.from_numpy(pictures[start : start + batch]).to(device).movedim(-1, 1).float() / 255
        out = judge.eval()(F.interpolate(x, (SIZE, SIZE), mode="area"))
        heat = out["joints"].float()
        flat = heat.flatten(2)
        peak = flat.argmax(2)
        y, x0 = peak // MAP, peak % MAP
        found = {
            "hair": torch.sigmoid(out["hair"].float()),
            "joints": torch.stack([_refined(heat, x0, y, 1), _refined(heat, x0, y, 0)], 2) / MAP,
            "seen": torch.sigmoid(flat.amax(2)),
            "features": out["features"].float(),
            **{name: out[name].argmax(1) for name in CLASSES},
        }
        for key, value in found.items():
            parts.setdefault(key, []).append(value.cpu().numpy())
    whole = {key: np.concatenate(values) for key, values in parts.items()}
    return Answers(
        {name: whole[name] for name in CLASSES}, whole["hair"], whole["joints"], whole["seen"], whole["features"]
    )


def _refined(heat: Tensor, x: Tensor, y: Tensor, axis: int) -> Tensor:
    """The peak's place along x (axis 1) or y (axis 0), at a fraction of a cell, from the neighbours' heat."""
    total = torch.zeros_like(x, dtype=torch.float32)
    place = torch.zeros_like(total)
    n, j = torch.meshgrid(torch.arange(heat.shape[0]), torch.arange(heat.shape[1]), indexing="ij")
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            xx, yy = (x + dx).clamp(0, MAP - 1), (y + dy).clamp(0, MAP - 1)
            weight = torch.sigmoid(heat[n, j, yy, xx]) ** 2
            total += weight
            place += weight * ((xx if axis else yy).float() + 0.5)
    return place / total.clamp(min=1e-9)


def train_judge(settings: Settings, store: Store, batch: int = 32, rate: float = 1e-3) -> Judge:
    """Train on all but the last 960 pictures of ``store``."""
    torch.manual_seed(settings.seed)
    judge = Judge().to(settings.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(judge.parameters(), rate, weight_decay=1e-3)
    run = Run(settings, {"network": "judge", "batch": batch, "rate": rate}, {"judge": judge, "optimizer": optimizer})
    order = Order(max(1, len(store) - HELD_OUT), settings.seed)
    grid = (torch.arange(MAP) + 0.5) * 256 / MAP

    def one(step: int) -> Mapping[str, float]:
        judge.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(rate, step, settings.steps)
        r = random.Random(f"judge {settings.seed} {step}")
        numbers = order.take(step * batch, batch)
        pictures = np.stack([jittered(store.picture(int(i), SIZE), r) for i in numbers])
        x = torch.from_numpy(pictures).movedim(-1, 1).to(settings.device).float() / 255
        items = [store.items[i] for i in numbers]
        with autocast(settings):
            out = {key: value.float() for key, value in judge(x.contiguous(memory_format=torch.channels_last)).items()}
        loss = torch.zeros(())
        told = [asked(item.labels) for item in items]
        for name in CLASSES:
            rows = [k for k, one_told in enumerate(told) if name in one_told]
            if rows:
                loss = (
                    loss
                    + F.cross_entropy(out[name][rows], torch.tensor([told[k][name] for k in rows])) * len(rows) / batch
                )
        hair = torch.from_numpy(np.stack([(item.parts == 1 + PARTS.index("hair")) for item in items])).float()
        loss = loss + F.binary_cross_entropy_with_logits(out["hair"], F.avg_pool2d(hair, 64 // MAP))
        points = torch.from_numpy(np.stack([item.keypoints[:JOINTS] for item in items]))
        spread = (points[:, :, 0, None, None] - grid) ** 2 + (points[:, :, 1, None, None] - grid[:, None]) ** 2
        heat = torch.exp(-spread / (2 * 9.0**2)) * (points[:, :, 2] > 0)[:, :, None, None]
        loss = loss + 8 * F.binary_cross_entropy_with_logits(out["joints"], heat)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": float(loss.detach())}

    run.go(one)
    return judge.eval()


def jittered(picture: np.ndarray, r: random.Random) -> np.ndarray:
    """A little blur or noise now and then: a judge of samples must not live on a render's exact pixels."""
    out = picture.astype(np.float32)
    if r.random() < 0.3:
        out = (out + np.roll(out, 1, 0) + np.roll(out, 1, 1) + np.roll(out, (1, 1), (0, 1))) / 4
    if r.random() < 0.5:
        out = out + np.random.default_rng(r.randrange(2**31)).normal(0, r.uniform(0, 9), out.shape)
    return (out * r.uniform(0.95, 1.05)).clip(0, 255).astype(np.uint8)


def accuracy(judge: Judge, store: Store, count: int = HELD_OUT) -> dict[str, float]:
    """Share of right answers on the last ``count`` pictures, by attribute, and the mean joint error as a share of the picture."""
    numbers = range(len(store) - count, len(store))
    said = answers(judge, np.stack([store.picture(i, SIZE) for i in numbers]))
    right: dict[str, list[bool]] = {name: [] for name in CLASSES}
    errors = []
    for k, i in enumerate(numbers):
        for name, value in asked(store.items[i].labels).items():
            right[name].append(int(said.classes[name][k]) == value)
        points = store.items[i].keypoints[:JOINTS]  # type: ignore[index]
        seen = points[:, 2] > 0
        errors += list(np.linalg.norm(points[seen, :2] / 256 - said.joints[k][seen], axis=1))
    return {**{name: float(np.mean(values)) for name, values in right.items()}, "joint error": float(np.mean(errors))}
