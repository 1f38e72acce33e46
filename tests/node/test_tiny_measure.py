"""The measuring of the embedded model: the judge reads what it is asked, and the figures are what they are called."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from chibi_avatar.tiny.networks.autoencoder import Autoencoder
from chibi_avatar.tiny.training.loop import Settings
from tools.tiny import judge as judging
from tools.tiny.measure import frechet, hair_color_right, heights, region_mean


def labels(**changes):
    """A portrait of a bob in a T-shirt, smiling."""
    plain = {
        "hair_style": "bob",
        "top": "tshirt",
        "glasses": "none",
        "hat": "none",
        "expression": "smile",
        "framing": "upper_body",
        "azimuth": 0.0,
    }
    return {**plain, **changes}


def test_what_a_picture_hides_is_not_asked():
    """A judge that must guess is wrong, and the model would be blamed for it."""
    assert set(judging.asked(labels())) == {"hair_style", "top", "glasses", "expression"}
    assert "top" not in judging.asked(labels(framing="portrait"))
    assert "hair_style" not in judging.asked(labels(hat="cap"))
    assert set(judging.asked(labels(azimuth=90.0, framing="full_body"))) == {"hair_style"}
    assert set(judging.asked(labels(azimuth=180.0, framing="full_body"))) == {"hair_style"}
    assert "hair_style" not in judging.asked(labels(hair_style="braid"))
    assert "hair_style" in judging.asked(labels(hair_style="braid", azimuth=30.0))
    assert "hair_style" not in judging.asked(labels(hair_style="hime", azimuth=180.0, framing="full_body"))
    assert judging.asked(labels(glasses="round"))["glasses"] == 1


def test_joints_are_found_between_cells():
    """A peak at 10.3, 20.6 of the 32 cells comes back to a tenth of a cell."""
    grid = torch.arange(32) + 0.5
    heat = torch.logit(
        torch.exp(-((grid - 10.3) ** 2 + (grid[:, None] - 20.6) ** 2) / (2 * 1.125**2)).clamp(1e-4, 0.999)
    )[None, None]
    peak = heat.flatten(2).argmax(2)
    x = judging._refined(heat, peak % 32, peak // 32, 1)
    y = judging._refined(heat, peak % 32, peak // 32, 0)
    assert float(x) == pytest.approx(10.3, abs=0.1)
    assert float(y) == pytest.approx(20.6, abs=0.1)


def points(**places):
    """Joints (14, 3): those named are sure."""
    out = np.zeros((judging.JOINTS, 3))
    for name, place in places.items():
        out[{"nose": 0, "neck": 1, "right_hip": 8, "left_hip": 11}[name]] = (*place, 1)
    return out


def test_a_cut_lies_where_nose_and_neck_say():
    """Its middle is where it should be, it is as wide as asked, and it may reach over the border."""
    y, x = np.mgrid[:256, :256]
    picture = np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)
    cut = judging.Cut(2.0, 1.0, ("top",))
    out = judging.cut_out(picture, points(nose=(100, 80), neck=(100, 110)), cut).astype(int)
    side = len(out)
    assert out.shape == (side, side, 3)
    assert abs(out[side // 2, side // 2, :2] - (100, 110)).max() <= 1
    assert out[0, -1, 0] - out[0, 0, 0] == pytest.approx(2.0 * 30 * judging.CUT_MARGIN, abs=2)
    beyond = judging.cut_out(picture, points(nose=(4, 3), neck=(4, 3)), cut)
    assert beyond.shape == out.shape
    assert (beyond[0, 0] == picture[0, 0]).all()
    assert judging.cut_out(picture, points(), cut).shape == out.shape


def test_close_ups_also_see_what_the_autoencoder_makes(tmp_path, monkeypatch):
    """Pictures are redrawn once for one autoencoder, and a close-up trains on them beside the renders."""
    monkeypatch.setattr(judging, "REDRAWN", 3)
    known = points(nose=(100, 80), neck=(100, 110))
    items = [SimpleNamespace(labels=labels(), keypoints=known.astype(np.float32)) for _ in range(4)]
    told: list[str] = []

    class Plain:
        def __init__(self):
            self.items = items

        def __len__(self):
            return len(items)

        def stamp(self, numbers):
            return f"{numbers.start}-{numbers.stop}"

        def picture(self, i):
            return np.full((256, 256, 3), 40 * i, np.uint8)

    store = Plain()
    settings = Settings(tmp_path / "face", 2, samples_every=0, bf16=False, say=told.append)
    autoencoder = Autoencoder()
    first = judging.redraw(autoencoder, store, tmp_path, settings)
    assert first.shape == (3, 256, 256, 3)
    assert abs(first[2].astype(int) - 80).max() < 60
    assert np.array_equal(judging.redraw(autoencoder, store, tmp_path, settings), first)
    assert len(told) == 1
    network = judging.train_close_up(settings, store, autoencoder, "face", batch=8)
    logits = network(torch.rand(2, 3, 96, 96))
    assert {name: tuple(out.shape) for name, out in logits.items()} == {"expression": (2, 12), "glasses": (2, 2)}


def test_a_head_is_found_from_behind():
    """Nobody sees the nose there: neck and hips say where it would be."""
    nose, down = judging.head(points(neck=(100, 110), right_hip=(90, 180), left_hip=(110, 180)))
    assert nose == pytest.approx((100, 70))
    assert down == pytest.approx((0, 40))
    assert np.isnan(judging.head(points(nose=(4, 3)))[0]).all()


def test_the_judges_read_pictures():
    """Every answer has its shape, whatever the picture's size."""
    close = {name: judging.CloseUp(cut.reads) for name, cut in judging.CUTS.items()}
    said = judging.answers(judging.Judges(judging.Judge(), close), np.zeros((3, 256, 256, 3), np.uint8), 2)
    assert set(said.classes) == set(judging.CLASSES)
    assert said.hair.shape == (3, 32, 32)
    assert said.joints.shape == (3, judging.JOINTS, 2)
    assert said.features.shape == (3, 256)


def test_judges_come_back_from_their_file(tmp_path):
    """What is stored reads a picture as what was trained does, to the rounding of eight bits."""
    close = {name: judging.CloseUp(cut.reads).eval() for name, cut in judging.CUTS.items()}
    trained = judging.Judges(judging.Judge().eval(), close)
    judging.write(trained, tmp_path / "judges.safetensors")
    again = judging.read(tmp_path / "judges.safetensors")
    x = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        assert torch.allclose(again.whole(x)["features"], trained.whole(x)["features"], atol=0.02)
        for name in judging.CUTS:
            for key, said in trained.close[name](x[:, :, :96, :96]).items():
                assert torch.allclose(again.close[name](x[:, :, :96, :96])[key], said, atol=0.02)


def test_the_distance_of_a_set_to_itself_is_nothing():
    """And a shift adds its square."""
    a = np.random.default_rng(0).normal(size=(400, 8))
    assert frechet(a, a) == pytest.approx(0, abs=1e-3)
    assert frechet(a, a + 0.5) == pytest.approx(8 * 0.25, rel=1e-3)


def test_hair_is_measured_where_it_is():
    """The mean of the region, against what the colour's name looks like; a picture without hair is wrong, a name unknown does not count."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = (230, 120, 150)
    mask = np.zeros((32, 32))
    mask[:16] = 1
    known = {"pink": np.array([0.9, 0.5, 0.6])}
    assert np.allclose(region_mean(picture, mask > 0.5), np.array([230, 120, 150]) / 255)
    assert region_mean(picture, mask > 2) is None
    three = np.stack([picture, np.zeros_like(picture), picture])
    assert hair_color_right(three, np.stack([mask] * 3), ["pink", "pink", None], known) == 0.5
    assert heights(np.r_[np.zeros((16, 64)), np.ones((32, 64)), np.zeros((16, 64))]) == 0.5
