"""The loop: killed and resumed it ends where it would have, and nothing it can meet loses a good checkpoint."""

import errno
import json
import signal

import numpy as np
import pytest
import torch
from torch import nn

from chibi_avatar.tiny.training import loop
from chibi_avatar.tiny.training.loop import Ema, Order, Run, Settings, TrainingError, generator, learning_rate
from chibi_avatar.tiny.training.plots import grid, plot_log


def small_run(folder, steps, resume=False, stop_at=None, **config):
    """A run of a linear layer towards a fixed target; Ctrl-C comes in the middle of step ``stop_at``."""
    torch.manual_seed(5)
    network = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(network.parameters(), 0.05)
    ema = Ema(network, 0.9)
    settings = Settings(folder, steps, 3, resume, save_minutes=0, say=lambda _: None)
    run = Run(settings, {"size": 4, **config}, {"network": network, "optimizer": optimizer, "ema": ema})

    def one(step):
        x = torch.randn(8, 4, generator=generator(3, step))
        loss = (network(x) - x.flip(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == stop_at:
            signal.raise_signal(signal.SIGINT)
        ema.update(step)
        return {"loss": float(loss.detach())}

    run.go(one)
    return network, ema


def test_a_stopped_run_ends_where_an_unbroken_one_does(tmp_path):
    """Weights, averages and log, to the bit."""
    whole, averaged = small_run(tmp_path / "whole", 120)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "broken", 120, stop_at=70)
    assert signal.getsignal(signal.SIGINT) is handler
    resumed, resumed_averaged = small_run(tmp_path / "broken", 120, resume=True)
    for a, b in zip(
        [*whole.parameters(), *averaged.shadow], [*resumed.parameters(), *resumed_averaged.shadow], strict=True
    ):
        assert torch.equal(a, b)
    steps = [json.loads(line)["step"] for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert steps == [50, 100, 120]


def test_a_run_is_not_overwritten_by_accident(tmp_path):
    """Hours of training go with one forgotten word otherwise."""
    small_run(tmp_path, 5)
    with pytest.raises(TrainingError, match="--resume"):
        small_run(tmp_path, 10)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    """It would go on as a mixture of two runs; what differs is said."""
    small_run(tmp_path, 5)
    with pytest.raises(TrainingError, match="extra None → 2"):
        small_run(tmp_path, 10, resume=True, extra=2)


def test_a_damaged_checkpoint_is_named(tmp_path):
    """Not a pickle error of ten lines."""
    (tmp_path / loop.CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt cannot be read"):
        small_run(tmp_path, 5, resume=True)


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    """The new one is written beside it first."""
    small_run(tmp_path, 5)
    good = (tmp_path / loop.CHECKPOINT).read_bytes()

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match="the last good one is kept"):
        small_run(tmp_path, 10, resume=True)
    assert (tmp_path / loop.CHECKPOINT).read_bytes() == good
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    """Better than a night of NaN."""
    run = Run(Settings(tmp_path, 60, say=lambda _: None), {}, {})
    with pytest.raises(TrainingError, match="no longer a number"):
        run.go(lambda step: {"loss": float("nan")})


def test_every_epoch_takes_every_sample_once():
    """Whatever the batch, and the same again after a resume."""
    order = Order(10, 1)
    seen = np.concatenate([order.take(start, 3) for start in range(0, 30, 3)])
    for epoch in range(3):
        assert sorted(seen[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert np.array_equal(Order(10, 1).take(12, 3), seen[12:15])
    with pytest.raises(TrainingError, match="no training samples"):
        Order(0, 0)


def test_the_rate_warms_up_and_falls():
    """Peak in the middle, almost nothing at the end."""
    rates = [learning_rate(1.0, step, 1000) for step in range(1000)]
    assert rates[0] < 0.01
    assert max(rates) == 1.0
    assert rates[600] == 1.0
    assert rates[-1] < 0.02


def test_curves_and_grids_are_pictures(tmp_path):
    """What a person watches while it trains."""
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": k, "loss": 1 / k, "PSNR dB": k}) + "\n" for k in range(1, 40)))
    plot_log(log, tmp_path / "loss.png")
    grid(np.random.default_rng(0).random((5, 8, 8, 3), np.float32), tmp_path / "grid.png")
    from PIL import Image

    assert Image.open(tmp_path / "loss.png").size == (900, 520)
    assert Image.open(tmp_path / "grid.png").size == (24, 16)
