"""Every network of the embedded model trains, stops, resumes and is read back, on eight flat pictures and two steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chibi_avatar.tiny.data.captions import Tokenizer
from chibi_avatar.tiny.data.shards import Item
from chibi_avatar.tiny.training import controlnet, diffusion, finished, gan
from chibi_avatar.tiny.training.autoencoder import Options, held_out_psnr, train_autoencoder
from chibi_avatar.tiny.training.latents import encode_all
from chibi_avatar.tiny.training.loop import Settings, TrainingError
from chibi_avatar.tiny.training.sampling import sample

COLORS = ("red", "green", "blue", "pink", "white", "black", "brown", "orange")


class Flat:
    """Eight pictures of one colour each, captioned with its name, with a skeleton of two points."""

    drawn = True

    def __init__(self) -> None:
        points = np.zeros((18, 3), np.float32)
        points[:2] = (128, 90, 1), (128, 140, 1)
        self.items = [
            Item(name, np.zeros((0, 0, 3)), ((f"{name} hair", "hair.color"),), {}, points, None) for name in COLORS
        ]

    def __len__(self) -> int:
        return len(COLORS)

    def picture(self, index: int, size: int = 256) -> np.ndarray:
        return np.full((size, size, 3), 30 * index + 20, np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory, comfyui_path):
    """The runs of all networks, two steps each, in their order; returns the folder and what they train on."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("training")
    store = Flat()

    def settings(name: str, steps: int = 2, resume: bool = False, samples_every: int = 0) -> Settings:
        return Settings(root / name, steps, resume=resume, samples_every=samples_every, say=lambda _: None)

    autoencoder = train_autoencoder(settings("autoencoder", samples_every=2), store, Options(batch=2))
    corpus = diffusion.Corpus(
        store, Tokenizer(comfyui_path / "comfy" / "sd1_tokenizer"), autoencoder, root, settings("none")
    )
    return root, store, autoencoder, corpus, settings


def test_the_autoencoder(made):
    """What training returns is what the checkpoint holds, and it keeps colours from the start."""
    root, store, autoencoder, _, settings = made
    again = finished.autoencoder(root / "autoencoder")
    for a, b in zip(autoencoder.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert held_out_psnr(autoencoder, store, settings("none"), 2) > 15
    assert finished.step_of(root / "autoencoder") == 2
    assert (root / "autoencoder" / "samples-000002.png").is_file()


def test_latents_are_encoded_once(made):
    """The second run reads them back; another encoder gets a folder of its own."""
    root, store, autoencoder, corpus, _ = made
    first = corpus.latents(128)
    assert corpus.latents(256).shape == (8, 4, 32, 32)
    told: list[str] = []
    again = encode_all(autoencoder, store, root, 128, "cpu", told.append, len(store))
    assert told == []
    assert np.array_equal(again, first)
    assert len(list(root.glob("latents-*"))) == 1


def test_diffusion_resumes_and_samples(made):
    """One step, then one more from the checkpoint, is the same as two; and the result draws."""
    root, _, autoencoder, corpus, settings = made
    options = diffusion.Options(batch=2, small_share=0.5)
    model = diffusion.train_diffusion(settings("diffusion"), corpus, autoencoder, options)
    again = finished.diffusion(root / "diffusion")
    for a, b in zip(model.unet.parameters(), again.unet.parameters(), strict=True):
        assert torch.equal(a, b)
    rows = again.text.rows_of(corpus.held_out(2))
    context = again.text(rows)
    latents = sample(again.unet, context[:1], context[-1:], 16, steps=1)
    assert latents.shape == (1, 4, 16, 16)
    assert torch.isfinite(latents).all()
    with pytest.raises(TrainingError, match="other settings"):
        diffusion.train_diffusion(settings("diffusion", 3, True), corpus, autoencoder, diffusion.Options(batch=4))


def test_controlnet_and_gan(made):
    """Both stand on the diffusion run."""
    root, _, autoencoder, corpus, settings = made
    if not (root / "diffusion" / "checkpoint.pt").is_file():
        diffusion.train_diffusion(settings("diffusion"), corpus, autoencoder, diffusion.Options(batch=2))
    model = finished.diffusion(root / "diffusion")
    network = controlnet.train_controlnet(
        settings("controlnet"), corpus, model, autoencoder, controlnet.Options(batch=2)
    )
    for a, b in zip(network.parameters(), finished.controlnet(root / "controlnet").parameters(), strict=True):
        assert torch.equal(a, b)
    for loss in ("cross_entropy", "least_squares"):
        gan.train_gan(settings(f"gan-{loss}"), corpus, model, autoencoder, gan.Options(batch=2, adversarial=loss))
        finished.preview(root / f"gan-{loss}")


def test_the_controlnet_wants_skeletons(made, monkeypatch):
    """A person's own pictures have none, and that is said before an hour is lost."""
    root, store, autoencoder, corpus, settings = made
    monkeypatch.setattr(store, "drawn", False, raising=False)
    with pytest.raises(TrainingError, match="pictures with keypoints"):
        controlnet.train_controlnet(settings("other"), corpus, None, autoencoder)


def test_a_missing_run_names_its_command(tmp_path):
    """The order of the commands is in the message."""
    with pytest.raises(TrainingError, match="chibi_avatar train diffusion"):
        finished.diffusion(tmp_path / "diffusion")
