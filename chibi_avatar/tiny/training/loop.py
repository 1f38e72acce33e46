"""The loop that every network trains on: checkpoints every few minutes, exact resume, progress with ETA, a log and its plot.

Everything random in step ``n`` comes from the run's seed and ``n``, so a run that was killed and resumed ends in the same weights.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...precision import mixed
from .plots import plot_log

CHECKPOINT = "checkpoint.pt"


class TrainingError(RuntimeError):
    """A run cannot start or go on. The message says what to change."""


@dataclass
class Settings:
    """How a run goes, apart from what is trained. ``device`` is ``cpu`` or ``cuda``; ``bf16`` autocasts where that pays."""

    folder: Path
    steps: int
    seed: int = 0
    resume: bool = False
    device: str = "cpu"
    bf16: bool = True
    save_minutes: float = 4.0
    samples_every: int = 500  # steps between sample grids; 0 draws none
    say: Callable[[str], None] = print


@dataclass
class Ema:
    """An exponential moving average of a network's weights: what is sampled and shipped."""

    network: nn.Module
    decay: float = 0.999
    shadow: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shadow = [p.detach().clone() for p in self.network.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after step ``step``; young runs move faster."""
        rate = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in self.network.parameters()], rate)

    @contextlib.contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """The network with the averaged weights, in eval mode, for the duration."""
        own = [p.detach().clone() for p in self.network.parameters()]
        self.put(self.shadow)
        self.network.eval()
        try:
            yield self.network
        finally:
            self.put(own)
            self.network.train()

    @torch.no_grad()
    def put(self, values: list[torch.Tensor]) -> None:
        for p, value in zip(self.network.parameters(), values, strict=True):
            p.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        return {"shadow": self.shadow}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for mine, theirs in zip(self.shadow, state["shadow"], strict=True):
            mine.copy_(theirs)


class Order:
    """Which samples each step takes: every epoch in its own shuffled order, decided by the seed."""

    def __init__(self, count: int, seed: int) -> None:
        if count < 1:
            raise TrainingError("there are no training samples")
        self.count, self.seed = count, seed
        self._epoch, self._permutation = -1, np.zeros(0, np.int64)

    def take(self, start: int, batch: int) -> np.ndarray:
        """The ``batch`` samples from position ``start`` of the endless stream."""
        out = []
        for position in range(start, start + batch):
            epoch, place = divmod(position, self.count)
            if epoch != self._epoch:
                self._epoch = epoch
                self._permutation = np.random.default_rng([self.seed, epoch]).permutation(self.count)
            out.append(self._permutation[place])
        return np.array(out)


def generator(seed: int, step: int, device: str = "cpu") -> torch.Generator:
    """The random numbers of step ``step``, made on ``device``: another device, other numbers."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) * 2_654_435_761 % (2**63))


def learning_rate(peak: float, step: int, steps: int, warmup: int = 300, tail: float = 0.25) -> float:
    """Warm up, stay, and fall to nothing (a cosine) over the last ``tail`` of the run."""
    if step < warmup:
        return peak * (step + 1) / warmup
    begin = steps * (1 - tail)
    if step < begin:
        return peak
    return peak * max(0.01, 0.5 * (1 + math.cos(math.pi * min(1.0, (step - begin) / max(1.0, steps - begin)))))


class Run:
    """One training run in ``settings.folder``. ``config`` decides what is trained and must agree on resume; ``parts`` are what a
    checkpoint holds (anything with ``state_dict``)."""

    def __init__(self, settings: Settings, config: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.settings, self.config, self.parts = settings, json.loads(json.dumps(dict(config))), dict(parts)
        self.folder = settings.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.step = 0
        if (self.folder / CHECKPOINT).is_file():
            if not settings.resume:
                raise TrainingError(
                    f"{self.folder} holds a run already: add --resume to go on with it, or choose another --root"
                )
            self._load()
        self._log = self.folder / "log.jsonl"
        self._trim_log()

    def _load(self) -> None:
        state = checkpoint(self.folder, mapped=False)
        assert state is not None
        config, parts = state["config"], state["parts"]
        changed = [key for key in {*config, *self.config} if config.get(key) != self.config.get(key)]
        if changed:
            told = ", ".join(f"{key} {config.get(key)!r} → {self.config.get(key)!r}" for key in sorted(changed)[:4])
            raise TrainingError(
                f"the checkpoint in {self.folder} was made with other settings ({told}): use those, or choose another --root"
            )
        for name, part in self.parts.items():
            part.load_state_dict(parts[name])
        self.step = int(state["step"])

    def save(self) -> None:
        """Write the checkpoint, whole or not at all. A full disk leaves the last good one and raises :class:`TrainingError`."""
        state = {
            "config": self.config,
            "step": self.step,
            "of": self.settings.steps,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }
        part = self.folder / f".{CHECKPOINT}.part"
        try:
            torch.save(state, part)
            os.replace(part, self.folder / CHECKPOINT)
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno != errno.ENOSPC:
                raise
            raise TrainingError(
                f"the checkpoint of step {self.step} could not be written to {self.folder} ({error}); the last good one is kept: free some room and add --resume"
            ) from error

    def go(self, one: Callable[[int], Mapping[str, float]], samples: Callable[[int], None] | None = None) -> None:
        """Call ``one(step)`` until ``settings.steps``; its numbers are logged. Saves on the way, at the end, and when interrupted: then
        it raises KeyboardInterrupt after the step."""
        settings = self.settings
        saved = began = told = time.monotonic()
        first = self.step
        sums: dict[str, float] = {}
        counted = 0
        with _signals_held() as asked:
            while self.step < settings.steps:
                numbers = one(self.step)
                self.step += 1
                counted += 1
                for key, value in numbers.items():
                    sums[key] = sums.get(key, 0.0) + float(value)
                now = time.monotonic()
                last = self.step == settings.steps
                if self.step % 50 == 0 or last:
                    line = {"step": self.step, **{key: value / counted for key, value in sums.items()}}
                    if not all(math.isfinite(value) for value in line.values()):
                        raise TrainingError(
                            f"the loss is no longer a number at step {self.step}: go on from the last checkpoint with a lower --rate"
                        )
                    with self._log.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                    sums, counted = {}, 0
                    if now - told > 15 or last:
                        told = now
                        rate = (self.step - first) / (now - began)
                        left = (settings.steps - self.step) / max(rate, 1e-9)
                        shown = "  ".join(f"{key} {value:.4f}" for key, value in line.items() if key != "step")
                        settings.say(
                            f"step {self.step}/{settings.steps}  {shown}  {rate:.2f} steps/s  {_clock(left)} left"
                        )
                if settings.samples_every and (self.step % settings.samples_every == 0 or last):
                    if samples:
                        samples(self.step)
                    plot_log(self._log, self.folder / "loss.png")
                if now - saved > 60 * settings.save_minutes or last or asked:
                    self.save()
                    saved = time.monotonic()
                if asked:
                    settings.say(f"stopped at step {self.step}; add --resume to go on")
                    raise KeyboardInterrupt

    def _trim_log(self) -> None:
        if not self._log.is_file():
            return
        kept = []
        for line in self._log.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                if json.loads(line)["step"] <= self.step:
                    kept.append(line + "\n")
        self._log.write_text("".join(kept), encoding="utf-8")


@contextlib.contextmanager
def _signals_held() -> Iterator[list[int]]:
    """Requests to end that came meanwhile: Ctrl-C and SIGTERM wait for the step to end, for half a step cannot be resumed exactly. A
    second one acts at once, and loses what the last checkpoint does not have."""
    asked: list[int] = []
    previous: dict[int, Any] = {}

    def hold(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(number, previous[number])

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not None:
                previous[number] = signal.signal(number, hold)
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def digest(*networks: nn.Module) -> str:
    """Names weights: 12 hex digits."""
    found = hashlib.sha256()
    for network in networks:
        for key, value in sorted(network.state_dict().items()):
            found.update(key.encode() + value.detach().float().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:12]


def trained_on(count: int, held_out: int) -> int:
    """How many of ``count`` pictures are trained on: all but the last ``held_out``, or a tenth of a small collection."""
    return count - min(held_out, count // 10)


def checkpoint(folder: Path, mapped: bool = True) -> dict[str, Any] | None:
    """The state of the run in ``folder``, mapped from the file rather than read; None when there is none. Raises :class:`TrainingError`
    for a damaged one."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        if not {"config", "step", "parts"} <= state.keys():
            raise KeyError("it holds no run")
    except Exception as error:
        raise TrainingError(f"{path} cannot be read ({error}): delete it and start again") from error
    return state


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def autocast(settings: Settings) -> Any:
    """bf16 where it was asked for and pays."""
    return mixed(settings.device, settings.bf16)
