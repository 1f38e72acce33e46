"""The architectures are what their loaders expect, and the formulas are the papers'."""

import math

import numpy as np
import pytest
import torch

from chibi_avatar.tiny import weights
from chibi_avatar.tiny.networks import adversarial, text, unet
from chibi_avatar.tiny.networks.autoencoder import SCALE, Autoencoder, PatchDiscriminator, quicken
from chibi_avatar.tiny.networks.preview import NOISE, Discriminator, Generator, pooled
from chibi_avatar.tiny.training.schedule import STEPS, add_noise, alphas_bar, bound_weights, loss_weight
from chibi_avatar.tiny.weights import WeightsError


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return unet.unet().eval()


def test_names_go_to_the_original_code_and_back(network):
    """ComfyUI reads the original names, diffusers its own; none may be lost between."""
    state = network.state_dict()
    original = unet.to_original(state)
    assert len(original) == len(state)
    assert "input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight" in original
    back = unet.from_original(original, state)
    assert all(torch.equal(back[key], value) for key, value in state.items())
    control = unet.controlnet(network).state_dict()
    named = unet.to_original(control)
    assert len(named) == len(control)
    assert {"zero_convs.5.0.weight", "middle_block_out.0.bias", "input_hint_block.14.weight"} <= set(named)
    with pytest.raises(KeyError, match="stray"):
        unet.to_original({"stray.weight": torch.zeros(1)})


def test_everything_together_stays_small(network):
    """45 MB is what a clone may cost."""
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    small = count(network) + count(Generator()) + count(text.TextEncoder(torch.arange(2500)))
    half = count(unet.controlnet(network)) + count(Autoencoder())
    assert small * 1.02 + 2 * half < 45e6


def test_the_autoencoder_has_taesds_shape():
    """Core tells a TAESD by these names and divides by the scale."""
    state = Autoencoder().vae_state()
    assert state["taesd_decoder.1.weight"].shape == (64, 4, 3, 3)
    assert float(state["vae_scale"]) == pytest.approx(SCALE)
    picture = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    with torch.no_grad():
        back, latent = Autoencoder()(picture)
    assert latent.shape == (1, 4, 8, 8)
    assert (back - picture)[:, :, 16:48, 16:48].abs().mean() < 0.06, "it begins as a thumbnail that is enlarged again"
    assert back.shape == picture.shape
    assert PatchDiscriminator()(picture).shape == (1, 1, 8, 8)


def test_quickened_it_computes_the_same():
    """The faster form for CPUs: same pictures to the edge, same names and shapes of the weights, so that it saves as before."""
    torch.manual_seed(0)
    plain, quick = Autoencoder().eval(), Autoencoder().eval()
    for weight in plain.parameters():
        weight.data = torch.randn_like(weight) * (0.5 / max(weight[0].numel(), 1) ** 0.5)
    quick.load_state_dict(plain.state_dict())
    quicken(quick)
    picture, latent = torch.rand(2, 3, 64, 96), torch.randn(2, 4, 5, 9)
    with torch.no_grad():
        assert torch.allclose(quick.encode(picture), plain.encode(picture), atol=1e-5)
        assert torch.allclose(quick.taesd_decoder(latent), plain.taesd_decoder(latent), atol=1e-5)
    again = quick.state_dict()
    assert {k: v.shape for k, v in again.items()} == {k: v.shape for k, v in plain.state_dict().items()}
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in again.items())


def test_adversarial_losses_are_the_papers():
    """Written out: the discriminator's cross-entropy is −log D(x) − log(1 − D(G(z))), the generator's −log D(G(z))."""
    real, fake = torch.tensor([0.3, -1.2]), torch.tensor([0.8, -0.1])
    d = lambda logits: 1 / (1 + torch.exp(-logits))  # noqa: E731
    expected = (-torch.log(d(real)) - torch.log(1 - d(fake))).mean()
    assert adversarial.discriminator_loss("cross_entropy", real, fake) == pytest.approx(float(expected), rel=1e-6)
    assert adversarial.generator_loss("cross_entropy", fake) == pytest.approx(
        float((-torch.log(d(fake))).mean()), rel=1e-6
    )
    expected = 0.5 * ((real - 1) ** 2 + fake**2).mean()
    assert adversarial.discriminator_loss("least_squares", real, fake) == pytest.approx(float(expected), rel=1e-6)
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]], requires_grad=True)
    penalty = adversarial.gradient_penalty(x, (x**2).sum(1)).detach()
    assert float(penalty) == pytest.approx(float((4 * x.detach() ** 2).sum(1).mean()))


def test_the_preview_reads_text_and_noise():
    """Another word or another seed is another picture, and a gradient reaches both."""
    torch.manual_seed(2)
    maker, judge = Generator(), Discriminator()
    context, noise = torch.randn(2, text.LENGTH, 768), torch.randn(2, NOISE)
    ids = torch.full((2, text.LENGTH), text.END)
    ids[:, 0], ids[0, 1:4] = text.START, 320
    pool = pooled(context, ids)
    assert torch.equal(pool[0], context[0, 4])
    assert torch.equal(pool[1], context[1, 1])
    latent = maker(noise, context, pool)
    assert latent.shape == (2, 4, 16, 16)
    assert judge(latent, pool).shape == (2,)
    assert not torch.allclose(latent[0], maker(noise[:1], context[:1], pool[1:])[0])


def test_the_forward_process_keeps_the_variance():
    """√ᾱ x₀ + √(1 − ᾱ) ε of unit-variance data has unit variance at every step."""
    bar = alphas_bar()
    assert bar.shape == (STEPS,)
    assert (bar.diff() < 0).all()
    assert float(bar[-1]) < 0.005
    generator = torch.Generator().manual_seed(0)
    x, e = torch.randn(4, 4, 32, 32, generator=generator), torch.randn(4, 4, 32, 32, generator=generator)
    for t in (0, 300, 999):
        assert float(add_noise(x, e, bar[t].expand(4)).var()) == pytest.approx(1, abs=0.03)


def test_the_bound_is_the_gaussians_divergence():
    """Ho et al., eq. 12: the weighted ε-error equals KL(q(x_{t−1}|x_t, x₀) ‖ p_θ) for any wrong ε."""
    bar = alphas_bar().double()
    rng = np.random.default_rng(0)
    for t in (1, 50, 400, 999):
        x0, noise, guess = rng.normal(size=3)
        a, before = float(bar[t]), float(bar[t - 1])
        alpha = a / before
        beta = 1 - alpha
        xt = math.sqrt(a) * x0 + math.sqrt(1 - a) * noise
        mean = lambda e: (xt - beta / math.sqrt(1 - a) * e) / math.sqrt(alpha)  # noqa: B023, E731
        true_mean = (math.sqrt(before) * beta * x0 + math.sqrt(alpha) * (1 - before) * xt) / (1 - a)
        variance = beta * (1 - before) / (1 - a)
        assert mean(noise) == pytest.approx(true_mean, rel=1e-9)
        divergence = (true_mean - mean(guess)) ** 2 / (2 * variance)
        assert float(bound_weights()[t]) * (noise - guess) ** 2 == pytest.approx(divergence, rel=2e-4)


def test_the_loss_weighs_all_noise_alike():
    """Where noise is little min(SNR, 5) / SNR, so that easy steps count less; where it rules 1 / √SNR, so that words count; 1 between."""
    bar = alphas_bar()
    snr = bar / (1 - bar)
    weight = loss_weight(bar)
    assert float(weight[0]) == pytest.approx(float(5 / snr[0]))
    assert float(weight[-1]) == pytest.approx(float(snr[-1]) ** -0.5)
    between = weight[(snr > 1.01) & (snr < 4.99)]
    assert torch.equal(between, torch.ones_like(between))


def test_eight_bits_are_enough(tmp_path):
    """A stored matrix is back within half a step of its row's range; vectors within float16; integers exactly."""
    torch.manual_seed(3)
    state = {
        "w": torch.randn(64, 32, 3, 3) * torch.logspace(-3, 1, 64)[:, None, None, None],
        "b": torch.randn(64),
        "tokens": torch.arange(5),
    }
    weights.write("unet", state, {"steps": 7}, tmp_path)
    back = weights.read("unet", tmp_path)
    rows = state["w"].flatten(1)
    step = rows.abs().amax(1, keepdim=True) / 127
    assert ((back["w"].flatten(1) - rows).abs() <= 0.51 * step + rows.abs() * 2**-10 + 1e-7).all()
    assert torch.allclose(back["b"], state["b"], rtol=1e-3)
    assert torch.equal(back["tokens"], state["tokens"])
    assert weights.about("unet", tmp_path) == {"steps": 7}
    assert weights.about("text", tmp_path) == {}


@pytest.mark.parametrize("damage", ["missing", "cut", "other", "part"])
def test_broken_weights_are_named(tmp_path, damage):
    """A person sees which file it is and what to do."""
    path = weights.path_of("text", tmp_path)
    if damage in ("cut", "part"):
        weights.write("text", {"w": torch.zeros(300, 300)}, {}, tmp_path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "part":
        weights.path_of("unet", tmp_path).write_bytes(path.read_bytes())
        path = weights.path_of("unet", tmp_path)
    elif damage == "other":
        path.write_bytes(b"PK" + bytes(100))
    with pytest.raises(WeightsError, match=path.name) as told:
        weights.read("unet" if damage == "part" else "text", tmp_path)
    assert "install Chibi Avatar again" in str(told.value)
