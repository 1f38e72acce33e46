"""Every network of the embedded model trains, stops, resumes and is read back, on eight flat pictures and two steps."""

from __future__ import annotations

import argparse
import copy
import functools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from chibi_avatar.commands import UsageError, train
from chibi_avatar.precision import mixed
from chibi_avatar.tiny import released
from chibi_avatar.tiny.data.captions import Tokenizer
from chibi_avatar.tiny.data.shards import Item
from chibi_avatar.tiny.networks.text import TextEncoder
from chibi_avatar.tiny.networks.unet import unet
from chibi_avatar.tiny.training import attention, controlnet, diffusion, finished, gan
from chibi_avatar.tiny.training import text as reading
from chibi_avatar.tiny.training.autoencoder import Options, held_out_psnr, train_autoencoder
from chibi_avatar.tiny.training.latents import autoencoder_digest, encode_all
from chibi_avatar.tiny.training.loop import Settings, TrainingError, digest, generator
from chibi_avatar.tiny.training.sampling import sample

COLORS = ("red", "green", "blue", "pink", "white", "black", "brown", "orange")


class Flat:
    """Eight pictures of one colour each, captioned and labelled with its name, with a skeleton of two points and hair all over."""

    drawn = True

    def __init__(self) -> None:
        points = np.zeros((18, 3), np.float32)
        points[:2] = (128, 90, 1), (128, 140, 1)
        self.items = [
            Item(
                name,
                np.zeros((0, 0, 3)),
                ((f"{name} hair", "hair.color"),),
                {"hair_name": name, "heads": 2.5},
                points,
                np.full((64, 64), 2, np.uint8),
            )
            for name in COLORS
        ]

    def __len__(self) -> int:
        return len(COLORS)

    def stamp(self, numbers: range) -> str:
        return f"flat{numbers.start}-{numbers.stop}"

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


def test_a_face_counts_more_than_the_ground():
    """Five times as much, in the loss and in where windows lie; where parts are not known everything counts alike."""
    store = Flat()
    parts = np.zeros((64, 64), np.uint8)
    parts[:, 32:] = 1
    store.items = [replace(store.items[0], parts=parts)]
    counts = attention.attention(store, np.array([0]), 16)
    assert counts.shape == (1, 1, 16, 16)
    assert float(counts[0, 0, 0, -1] / counts[0, 0, 0, 0]) == pytest.approx(attention.FACE / attention.GROUND)
    many = attention.corners(counts.repeat(400, 1, 1, 1), 2, torch.Generator().manual_seed(0))
    assert many.min() == 0
    assert many.max() == 14
    assert np.mean(many[:, 1] >= 7) == pytest.approx(5 / 6, abs=0.06)
    store.drawn = False
    assert (attention.attention(store, np.array([0, 0]), 32) == torch.ones(2, 1, 32, 32)).all()


def test_a_step_sees_a_whole_picture_or_windows(made):
    """Small pictures first; then one step on whole pictures and four on windows of them, which all see at low noise. The hint of a
    window is cut where its latents are."""
    *_, corpus, _ = made
    options = diffusion.Options(batch=4, noises=2, small_share=0.5)
    orders = {size: corpus.order(size, 0) for size in corpus.counts}

    def see(step: int) -> diffusion.Seen:
        return corpus.see(orders, step, 20, options, "cpu", generator(0, step))

    assert [(see(step).size, see(step).x.shape[-1]) for step in (0, 10, 11, 14, 15)] == [
        (128, 16), (256, 32), (256, 16), (256, 16), (256, 32),
    ]  # fmt: skip
    seen = see(11)
    assert (seen.x.shape[0], len(seen.numbers), seen.most) == (4, 2, diffusion.WINDOW_STEPS)
    assert float(seen.attention.mean()) == pytest.approx(1)
    y, x = seen.corners[1]
    assert torch.equal(seen.x[1], corpus.batch(256, seen.numbers)[1, :, y : y + 16, x : x + 16])
    place = torch.arange(256.0)
    pictures = torch.stack([place[:, None].expand(256, 256), place.expand(256, 256)])[None].repeat(2, 1, 1, 1)
    assert seen.window(pictures)[1, :, 0, 0].tolist() == [8 * y, 8 * x]


def test_the_decoder_goes_on_alone(made):
    """From finished weights, with the encoder and so all latents as they are."""
    _, store, autoencoder, _, settings = made
    before, decoder = autoencoder_digest(autoencoder), digest(autoencoder.taesd_decoder)
    start = copy.deepcopy(autoencoder)
    after = train_autoencoder(settings("decoder"), store, Options(batch=2, settled=1.0), start)
    assert autoencoder_digest(after) == before
    assert digest(after.taesd_decoder) != decoder


def test_the_text_encoder_learns_the_labels(made):
    """It is asked for what is a choice among words, trains, and is read back; pictures without labels teach by their colours alone."""
    root, store, _, corpus, settings = made
    assert reading.choices(corpus) == {"hair_name": tuple(sorted(COLORS))}
    text = reading.train_text(settings("text"), corpus, reading.Options(batch=4))
    for a, b in zip(text.parameters(), finished.text(root / "text").parameters(), strict=True):
        assert torch.equal(a, b)
    line = json.loads((root / "text" / "log.jsonl").read_text().splitlines()[-1])
    assert {"places", "shares", "part colors", "hair_name"} <= set(line)
    assert finished.stopped(root / "text") is None
    bare = copy.copy(corpus)
    bare.store = Flat()
    bare.store.drawn = False
    bare.store.items = [replace(item, labels={}, parts=None) for item in store.items]
    reading.train_text(settings("text-bare"), bare, reading.Options(batch=4))


def test_the_text_encoder_goes_on_when_more_was_drawn(made):
    """Its words and labels are those it began with; a value that it never saw teaches nothing."""
    root, store, _, corpus, settings = made
    fewer = copy.copy(corpus)
    fewer.store = Flat()
    fewer.store.items = store.items[:6]
    fewer.counts = {128: 6, 256: 6}
    fewer.tokens = corpus.tokens[:-1]
    options = reading.Options(batch=4)
    first = reading.train_text(settings("text-grows", 1), fewer, options)
    again = reading.train_text(settings("text-grows", 2, True), corpus, options)
    assert torch.equal(first.tokens, again.tokens)


def test_new_words_get_rows_of_their_own(made):
    """The old ones stay what they were."""
    *_, corpus, _ = made
    torch.manual_seed(2)
    tokens = torch.from_numpy(corpus.tokens)
    old = TextEncoder(tokens[2:])
    new = old.grown(tokens)
    ids = tokens[2:][None, :5].repeat(1, 16)[:, :77]
    assert torch.equal(new(new.rows_of(ids)), old(old.rows_of(ids)))
    rows = new.rows_of(tokens[None, :2])
    assert new.unknown not in rows.tolist()[0]
    assert old.rows_of(tokens[None, :2]).tolist()[0] == [old.unknown] * 2


def test_diffusion_resumes_and_samples(made):
    """The text encoder stays as it was, the result is what the checkpoint holds, and it draws; other settings or words are refused."""
    root, _, autoencoder, corpus, settings = made
    options = diffusion.Options(batch=2, small_share=0.5)
    text = TextEncoder(torch.from_numpy(corpus.tokens))
    before = digest(text)
    model = diffusion.train_diffusion(settings("diffusion"), corpus, autoencoder, text, options)
    again = finished.diffusion(root / "diffusion")
    assert digest(again.text) == before
    for a, b in zip(model.unet.parameters(), again.unet.parameters(), strict=True):
        assert torch.equal(a, b)
    rows = again.text.rows_of(corpus.held_out(2))
    context = again.text(rows)
    latents = sample(again.unet, context[:1], context[-1:], 16, steps=1)
    assert latents.shape == (1, 4, 16, 16)
    assert torch.isfinite(latents).all()
    with pytest.raises(TrainingError, match="other settings"):
        diffusion.train_diffusion(settings("diffusion", 3, True), corpus, autoencoder, text, diffusion.Options(batch=4))
    with pytest.raises(TrainingError, match="text"):
        other = TextEncoder(torch.from_numpy(corpus.tokens))
        diffusion.train_diffusion(settings("diffusion", 3, True), corpus, autoencoder, other, options)


def test_a_run_can_go_on_from_finished_weights(made):
    """Somebody's own pictures start from what ships."""
    _, _, autoencoder, corpus, settings = made
    options = diffusion.Options(batch=2, rate=1e-9)
    torch.manual_seed(1)
    start, text = unet(), TextEncoder(torch.from_numpy(corpus.tokens[:50]))
    before = [p.detach().clone() for p in start.parameters()]
    model = diffusion.train_diffusion(settings("from-weights", 1), corpus, autoencoder, text, options, start)
    assert max(float((a - b.detach()).abs().max()) for a, b in zip(before, model.unet.parameters(), strict=True)) < 1e-6


def test_controlnet_and_gan(made):
    """Both stand on the diffusion run."""
    root, _, autoencoder, corpus, settings = made
    if not (root / "diffusion" / "checkpoint.pt").is_file():
        text = TextEncoder(torch.from_numpy(corpus.tokens))
        diffusion.train_diffusion(settings("diffusion"), corpus, autoencoder, text, diffusion.Options(batch=2))
    model = finished.diffusion(root / "diffusion")
    network = controlnet.train_controlnet(
        settings("controlnet"), corpus, model, autoencoder, controlnet.Options(batch=2)
    )
    for a, b in zip(network.parameters(), finished.controlnet(root / "controlnet").parameters(), strict=True):
        assert torch.equal(a, b)
    for loss in ("cross_entropy", "least_squares"):
        gan.train_gan(
            settings(f"gan-{loss}"), corpus, model, autoencoder, gan.Options(batch=2, adversarial=loss, alone=0.0)
        )
        finished.preview(root / f"gan-{loss}")


def test_the_command_runs_them_in_order(made, tmp_path, monkeypatch, comfyui_path):
    """``train diffusion`` makes the text encoder itself, says what is missing, and never trains over a run that is there."""
    root, store, *_ = made
    monkeypatch.setattr("chibi_avatar.tiny.data.store.Store", lambda folder: store)
    monkeypatch.setattr("chibi_avatar.setup.comfyui.ensure", lambda: comfyui_path)
    monkeypatch.setitem(train.STEPS, "text", 1)
    for module in (controlnet, diffusion):  # pictures of a network that has learnt nothing need no twenty steps
        monkeypatch.setattr(module, "sample", functools.partial(sample, steps=2))
    shutil.copytree(root / "autoencoder", tmp_path / "autoencoder")

    def go(*words: str) -> int:
        parser = argparse.ArgumentParser()
        train.add_arguments(parser)
        arguments = parser.parse_args([*words, "--root", str(tmp_path), "--steps", "1", "--device", "cpu"])
        train.check(arguments)
        return train.run(arguments)

    with pytest.raises(UsageError, match="train diffusion"):
        go("controlnet")
    assert go("diffusion", "--batch", "2") == 0
    assert (tmp_path / "text" / "checkpoint.pt").is_file()
    with pytest.raises(UsageError, match="--resume"):
        go("diffusion", "--batch", "2")
    assert go("diffusion", "--batch", "2", "--resume") == 0
    assert go("controlnet", "--batch", "2", "--shipped") == 0
    shutil.rmtree(tmp_path / "autoencoder")
    assert go("autoencoder", "--batch", "2", "--shipped") == 0
    assert autoencoder_digest(finished.autoencoder(tmp_path / "autoencoder")) == autoencoder_digest(
        released.autoencoder()
    )
    with pytest.raises(UsageError, match="gan has no use for it"):
        go("gan", "--shipped")


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


@pytest.mark.parametrize("has", [True, False])
def test_bf16_is_for_processors_that_have_it(monkeypatch, has):
    """Imitated, a step takes six times as long as in fp32."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    a = torch.ones(2, 2)
    with mixed("cpu"):
        assert (a @ a).dtype == (torch.bfloat16 if has else torch.float32)
    with mixed("cpu", False):
        assert (a @ a).dtype == torch.float32
