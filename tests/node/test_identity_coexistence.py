"""An applied identity among everything else that people put on a model, on ComfyUI's own sampling code: SD1.5's blocks with narrow channels."""

from __future__ import annotations

import pytest
import torch
from chibi_testing.identity_files import maker
from chibi_testing.identity_rig import NARROW, Rig, patches

STEPS = 2


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Layers this narrow are ten times slower when two threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rig(comfyui_path, root):
    return Rig(comfyui_path, root)


@pytest.fixture(scope="module")
def model(rig):
    return rig.model("sd15")


@pytest.fixture(scope="module")
def adapter(rig, tmp_path_factory):
    return rig.adapter(tmp_path_factory.mktemp("adapter") / "faceid.bin", "sd15")


def prompt(seed: int, **values):
    """A CONDITIONING of made-up text."""
    return [[maker(seed, 1.0)(1, 77, 768), values]]


def sample(model, positive=None, negative=None, *, batch: int = 1, guider=None, steps: int = STEPS):
    """A few steps of Euler at CFG 4 from fixed noise; ``guider`` replaces the plain one."""
    import comfy.samplers

    guider = guider or comfy.samplers.CFGGuider(model)
    if positive is not None:
        guider.set_conds(positive, negative or prompt(2))
        guider.set_cfg(4.0)
    noise = maker(7, 1.0)(batch, 4, 8, 8)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", steps)
    return guider.sample(noise, torch.zeros_like(noise), comfy.samplers.sampler_object("euler"), sigmas, seed=1)


def probed(model, conds: dict, layouts: list[list[str | None]]) -> list[list[torch.Tensor]]:
    """What the model predicts for each layout of named conditionings, asked the way samplers and guidance nodes ask, in one step."""
    import comfy.samplers

    class Probe(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options=None, seed=None):
            for layout in layouts:
                asked = [self.conds.get(name) if name else None for name in layout]
                found.append(comfy.samplers.calc_cond_batch(self.inner_model, asked, x, timestep, model_options))
            return found[0][0]

    found: list[list[torch.Tensor]] = []
    probe = Probe(model)
    probe.inner_set_conds(conds)
    sample(model, guider=probe, steps=1)
    return found


def near(one: torch.Tensor, other: torch.Tensor, limit: float = 1e-5) -> bool:
    """Whether two results are the same up to the order of sums."""
    return float((one - other).norm() / other.norm()) <= limit


def test_the_model_upstream_never_changes(rig, model, adapter):
    """Each queue of a workflow would add one more face to the loaded checkpoint, until the picture burns."""
    before = sample(model, prompt(1))
    one = rig.applied(model, adapter)[0]
    alone = sample(one, prompt(1))
    chained = rig.applied(one, adapter, rig.identity(6))[0]
    branch = rig.applied(one, adapter, rig.identity(8))[0]
    both = sample(chained, prompt(1))
    assert not near(alone, before, 1e-3) and not near(both, alone, 1e-3)
    assert not near(sample(branch, prompt(1)), both, 1e-3)
    for _ in range(100):
        again = rig.applied(one, adapter, rig.identity(6))[0]
    sizes = {len(patch.entries) for patch in patches(again).values()}
    assert sizes == {2} and len(again.get_all_wrappers("calc_cond_batch")) == 1
    assert {len(patch.entries) for patch in patches(one).values()} == {1} and not patches(model)
    assert torch.equal(sample(again, prompt(1)), both)
    assert torch.equal(sample(one, prompt(1)), alone) and torch.equal(sample(model, prompt(1)), before)


def test_a_window_that_never_opens_is_the_bare_model(rig, model, adapter):
    """Start and end would be decoration."""
    closed = rig.applied(model, adapter, start=1.0, lora_strength=0.0)[0]
    assert torch.equal(sample(closed, prompt(1)), sample(model, prompt(1)))


def test_guidance_nodes_that_ask_alone_get_the_right_side(rig, model, adapter):
    """Perp-Neg's empty prompt and SAG's negative would carry the face, and guidance would push it out of the picture again."""
    conds = {"positive": prompt(1), "negative": prompt(2), "empty": prompt(3)}
    patched = rig.applied(model, adapter)[0]
    layouts = [["positive", "negative", "empty"], ["positive", "negative"], ["negative"], ["positive"], ["empty"]]
    triple, pair, negative, positive, empty = probed(patched, conds, layouts)
    assert near(triple[0], pair[0]) and near(triple[1], pair[1])
    assert near(positive[0], triple[0]) and near(negative[0], triple[1]) and near(empty[0], triple[2])
    (stranger,) = probed(patched, {"positive": prompt(1), "negative": prompt(2), "empty": prompt(3)}, [[None, "empty"]])
    assert near(triple[2], stranger[1]), "the empty prompt got the face"


def test_perp_neg_samples(rig, model, adapter):
    """Core's Perp-Neg guider would crash on its third conditioning, as it does with the reference pack."""
    from comfy_extras.nodes_perpneg import Guider_PerpNeg

    def guider(which):
        made = Guider_PerpNeg(which)
        made.set_conds(prompt(1), prompt(2), prompt(3))
        made.set_cfg(4.0, 1.0)
        return made

    patched = rig.applied(model, adapter)[0]
    made = sample(patched, guider=guider(patched))
    assert torch.isfinite(made).all() and not near(made, sample(model, guider=guider(model)), 1e-3)


@pytest.fixture
def faces(rig, monkeypatch):
    """``faces(guider)``: by the guider's names, whether each prompt got the person in a run (True) or nobody (False)."""
    real = rig.room.patch._rows

    def run(guider) -> dict[str, set[bool]]:
        names = {cond["uuid"]: name for name, group in guider.original_conds.items() for cond in group}
        found: dict[str, set[bool]] = {}

        def watched(applied, options, step, batch):
            rows = real(applied, options, step, batch)
            for uuid, row in zip(options["uuids"], rows[0], strict=True):
                found.setdefault(names.get(uuid, "unnamed"), set()).add(row == 0)
            return rows

        monkeypatch.setattr(rig.room.patch, "_rows", watched)
        sample(guider.model_patcher, guider=guider)
        return found

    return run


@pytest.mark.parametrize("nested", [False, True])
def test_dual_cfg_gives_the_face_to_its_first_prompt(rig, model, adapter, faces, nested):
    """It calls the model with the negative prompt first: guidance would push the person out of the picture."""
    from comfy_extras.nodes_custom_sampler import Guider_DualCFG

    made = Guider_DualCFG(rig.applied(model, adapter)[0])
    made.set_conds(prompt(1), prompt(3), prompt(2))
    made.set_cfg(4.0, 3.0, nested)
    assert faces(made) == {"positive": {True}, "middle": {False}, "negative": {False}}


def test_dual_model_gives_the_face_to_the_positive_model(rig, model, adapter, faces):
    """Each prompt goes alone through a model of its own: both would get the face, and guidance would cancel it."""
    from comfy_extras.nodes_custom_sampler import Guider_DualModel

    patched = rig.applied(model, adapter)[0]
    for negative in (rig.model("sd15"), model):  # "use the same model for ordinary CFG"
        made = Guider_DualModel(patched, negative)
        made.set_conds(prompt(1), prompt(2))
        made.set_cfg(4.0)
        assert faces(made) == {"positive": {True}, "negative": {False}}


def test_a_run_knows_nothing_of_the_run_before(rig, model, adapter, faces):
    """After a KSampler, the next sampler's lone prompt would be a stranger: no face in the second picture of a workflow."""
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import Guider_DualModel
    from comfy_extras.nodes_perpneg import PerpNeg

    patched = rig.applied(model, adapter)[0]
    sample(patched, prompt(1))
    alone = Guider_DualModel(patched, model)
    alone.set_conds(prompt(4), prompt(2))
    assert faces(alone) == {"positive": {True}}, "at CFG 1 only the positive prompt is asked for"
    old = comfy.samplers.CFGGuider(PerpNeg.execute(patched, prompt(3), 1.0).result[0])
    old.set_conds(prompt(1), prompt(2))
    old.set_cfg(4.0)
    assert faces(old) == {"positive": {True}, "negative": {False}, "unnamed": {False}}


def test_a_negative_beside_area_prompts_gets_nobodys_face(rig, model, adapter):
    """ComfyUI copies each area of a prompt into the negative one: the two would trade their sides, and the person is gone from the area."""
    half = {"area": (8, 4, 0, 0), "strength": 1.0}
    everywhere = rig.applied(model, adapter)[0]
    conds = {"positive": prompt(1, **half) + prompt(4), "negative": prompt(2)}
    beside, alone = probed(everywhere, conds, [["positive", "negative"], ["positive", None]])
    assert near(beside[0], alone[0]), "the area lost the person"
    negatives = []
    for seed in (5, 6):
        patched, tagged, _ = rig.applied(model, adapter, rig.identity(seed), conditioning=prompt(1, **half))
        conds = {"positive": tagged + prompt(4), "negative": prompt(2)}
        negatives.append(probed(patched, conds, [["positive", "negative"]])[0][1])
    assert near(*negatives), "the negative prompt shows the person"


def test_two_people_in_two_areas_do_not_mix(rig, model, adapter):
    """In a picture of two, both would get a mixed face."""
    left, right = {"area": (8, 4, 0, 0), "strength": 1.0}, {"area": (8, 4, 0, 4), "strength": 1.0}
    one, a, _ = rig.applied(model, adapter, conditioning=prompt(1, **left))
    both, b, _ = rig.applied(one, adapter, rig.identity(6), conditioning=prompt(4, **right))
    other, only, _ = rig.applied(model, adapter, rig.identity(6), conditioning=prompt(4, **right))
    together = probed(both, {"positive": a + b}, [["positive", None]])[0][0]
    first = probed(one, {"positive": a + prompt(4, **right)}, [["positive", None]])[0][0]
    second = probed(other, {"positive": prompt(1, **left) + only}, [["positive", None]])[0][0]
    assert near(together[..., :4], first[..., :4]) and near(together[..., 4:], second[..., 4:])
    assert not near(together[..., 4:], first[..., 4:], 1e-3)


@pytest.mark.parametrize("batch", [2, 3])
def test_a_batch_is_as_one_by_one(rig, model, adapter, batch):
    """The second picture of a batch would get the negative's face."""
    patched = rig.applied(model, adapter, kind="chibi")[0]
    made = sample(patched, prompt(1), batch=batch)
    alone = sample(patched, prompt(1), batch=1)
    assert made.shape[0] == batch and near(made[:1], alone, 1e-4)


def random_lora(model, seed: int) -> dict:
    """A LoRA on every cross-attention query, as files name them."""
    import comfy.lora

    names = {
        key: target for key, target in comfy.lora.model_lora_keys_unet(model.model, {}).items()
        if key.startswith("lora_unet_") and key.endswith("attn2_to_q")
    }  # fmt: skip
    weights, make, found = model.model.state_dict(), maker(seed, 0.1), {}
    for key, target in names.items():
        outside, inside = weights[target].shape
        found[f"{key}.lora_up.weight"], found[f"{key}.lora_down.weight"] = make(outside, 4), make(4, inside)
    return found


def test_a_style_lora_works_before_and_after(rig, model, adapter):
    """People's style LoRA would be lost, or count twice."""
    import comfy.sd

    weights = random_lora(model, 31)
    assert weights
    styled = comfy.sd.load_lora_for_models(model, None, weights, 0.8, 0)[0]
    before = sample(rig.applied(styled, adapter)[0], prompt(1))
    after = sample(comfy.sd.load_lora_for_models(rig.applied(model, adapter)[0], None, weights, 0.8, 0)[0], prompt(1))
    assert near(before, after) and not near(before, sample(rig.applied(model, adapter)[0], prompt(1)), 1e-3)


def test_the_adapters_own_lora_is_applied_once(rig, model, adapter, tmp_path):
    """Twice the LoRA is a face that melts; the person must be told which of the two counts."""
    import comfy.lora

    one, _, first = rig.applied(model, adapter)
    two, _, second = rig.applied(one, adapter, rig.identity(6))
    assert "LoRA on 128 layers" in first and "not applied twice" in second
    assert {key: len(value) for key, value in two.patches.items()} == {key: 1 for key in one.patches}
    loaded = model.clone()
    names = comfy.lora.model_lora_keys_unet(model.model, {})
    loaded.add_patches(comfy.lora.load_lora(dict(adapter.lora), names, log_missing=False), 1.0)
    third, _, report = rig.applied(loaded, adapter)
    assert "from a LoRA loader, not applied twice: remove that node" in report
    assert {len(value) for value in third.patches.values()} == {1}


def test_a_control_net_works_beside_it(rig, model, adapter):
    """Pose and likeness together are the whole point of a chibi from a selfie."""
    import comfy.cldm.cldm
    import comfy.controlnet

    config = {
        "image_size": 32, "in_channels": 4, "model_channels": 320 // NARROW, "hint_channels": 3, "num_res_blocks": [2] * 4,
        "channel_mult": (1, 2, 4, 4), "num_heads": 8, "use_spatial_transformer": True, "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_middle": 1, "context_dim": 768, "legacy": False, "device": "cpu",
    }  # fmt: skip
    network, make = comfy.cldm.cldm.ControlNet(**config).eval(), maker(41, 0.03)
    network.load_state_dict({key: make(*value.shape) for key, value in network.state_dict().items()})
    control = comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"), manual_cast_dtype=None)

    def guided():
        # Core's apply node does the same: a copy of the ControlNet with its picture, in the conditioning.
        return prompt(
            1, control=control.copy().set_cond_hint(maker(43, 1.0)(1, 3, 64, 64), 1.0), control_apply_to_uncond=True
        )

    patched = rig.applied(model, adapter)[0]
    with_both, with_face, with_pose = sample(patched, guided()), sample(patched, prompt(1)), sample(model, guided())
    assert not near(with_both, with_face, 1e-3) and not near(with_both, with_pose, 1e-3)


def test_hooks_switch_their_lora_and_leave_the_identity(rig, model, adapter):
    """Prompt-scheduled LoRAs run parts of a step on their own: those parts would lose the face."""
    import comfy.hooks

    weights = random_lora(model, 31)
    patched = rig.applied(model, adapter)[0]

    def hooked(strength: float, which):
        hooks = comfy.hooks.create_hook_lora(weights, strength, 0.0)
        return sample(which, comfy.hooks.set_hooks_for_conditioning(prompt(1), hooks))

    plain = sample(patched, prompt(1))
    assert near(hooked(0.0, patched), plain, 1e-4), "the hooked part lost the identity"
    assert not near(hooked(0.8, patched), plain, 1e-3) and not near(hooked(0.8, patched), hooked(0.8, model), 1e-3)
    assert torch.equal(sample(patched, prompt(1)), plain)


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float16, 0.01), (torch.bfloat16, 0.05), (torch.float8_e4m3fn, 0.3)], ids=["fp16", "bf16", "fp8"]
)  # fmt: skip
def test_models_of_lower_precision(rig, model, adapter, dtype, limit):
    """Black pictures, or a crash on the first step, for everyone who saves memory."""
    low = rig.model("sd15", dtype=dtype)
    patched = rig.applied(low, adapter)[0]
    made, bare = sample(patched, prompt(1)), sample(low, prompt(1))
    assert torch.isfinite(made).all() and near(made, sample(rig.applied(model, adapter)[0], prompt(1)), limit)
    assert not near(made, bare, 1e-3)
    assert {value.weight.dtype for value in low.model.modules() if isinstance(value, torch.nn.Linear)} == {dtype}


def test_an_attention_override_sees_every_attention(rig, model, adapter):
    """Sage and other fast attentions would stop half way, and a quantised identity would break its few tokens."""
    calls: list[dict] = []

    def override(function, *arguments, **options):
        calls.append(options)
        return function(*arguments, **options)

    patched = rig.applied(model, adapter)[0]
    plain = sample(patched, prompt(1), steps=1)
    watched = patched.clone()
    watched.model_options["transformer_options"]["optimized_attention_override"] = override
    assert torch.equal(sample(watched, prompt(1), steps=1), plain)
    assert len(calls) == 16 * 3 and all(call["transformer_options"]["uuids"] for call in calls)
    assert sum(call.get("low_precision_attention") is False for call in calls) == 16


def test_patches_of_other_nodes_keep_working(rig, model, adapter):
    """Another pack's patch on the same blocks would be thrown away, or crash."""
    from comfy.ldm.modules.attention import optimized_attention

    seen = {"replace": 0, "before": 0, "after": 0}

    def replace(q, k, v, options):
        seen["replace"] += 1
        return optimized_attention(q, k, v, options["n_heads"], transformer_options=options) * 0.9

    def before(n, context, value, options):
        seen["before"] += 1
        return n, context, value

    def after(n, options):
        seen["after"] += 1
        return n * 0.9

    foreign = model.clone()
    for key in (("input", 1, 0), ("middle", 0), ("output", 3)):  # by block, and for all transformers of a block
        foreign.set_model_attn2_replace(replace, *key)
    foreign.set_model_attn2_patch(before)
    foreign.set_model_attn2_output_patch(after)
    patched = rig.applied(foreign, adapter)[0]
    theirs, both = sample(foreign, prompt(1), steps=1), sample(patched, prompt(1), steps=1)
    assert seen == {"replace": 6, "before": 32, "after": 32}
    assert not near(both, theirs, 1e-3) and not near(
        both, sample(rig.applied(model, adapter)[0], prompt(1), steps=1), 1e-3
    )


def test_a_mask_is_resized_once_for_every_size_of_a_step(rig, model, adapter, monkeypatch):
    """Masks would be resized in every layer, as they are in the reference pack."""
    made = []
    real = rig.room.patch._mask_rows
    monkeypatch.setattr(rig.room.patch, "_mask_rows", lambda *given: made.append(given[3:5]) or real(*given))
    mask = torch.zeros(1, 64, 64)
    mask[:, :32] = 1
    sample(rig.applied(model, adapter, mask=mask)[0], prompt(1), steps=1)
    assert sorted(made) == [(1, 1), (2, 2), (4, 4), (8, 8)]


def test_a_face_less_identity_passes_the_model_through(rig, model, adapter):
    """A photo of a cat would stop the workflow, or change the picture without a word."""
    pack = rig.apply.__package__
    import importlib

    node = importlib.import_module(f"{pack}.identity_adapter").ChibiApplyIdentity
    empty = rig.room.model.Identity(notes=("photo 1: no face found",))
    out = node.execute(model, adapter, 0.8, "chibi", 0.0, 1.0, identity=empty).result
    assert out[0] is model and "passes through unchanged: photo 1: no face found" in out[2]


@pytest.mark.parametrize(("made_for", "used_on"), [("sd15", "sdxl"), ("sdxl", "sd15")])
def test_an_adapter_for_the_other_family_is_refused(rig, model, tmp_path, made_for, used_on):
    """The error would come from a matrix multiplication deep in the first step."""
    wrong = rig.adapter(tmp_path / "wrong.bin", made_for, with_lora=False)
    target = model if used_on == "sd15" else rig.model("sdxl")
    with pytest.raises(rig.room.errors.IdentityError) as caught:
        rig.applied(target, wrong)
    message = str(caught.value)
    family = {"sd15": "SD1.5", "sdxl": "SDXL"}[made_for]
    assert "wrong.bin" in message and str(tmp_path) in message and f"Load a {family} checkpoint" in message


def test_a_lora_of_the_other_family_is_refused(rig, model, tmp_path):
    """It would be skipped layer by layer with lines in a log that nobody reads."""
    other = rig.adapter(tmp_path / "sdxl.bin", "sdxl")
    from safetensors.torch import save_file

    save_file({key: value.contiguous() for key, value in other.lora.items()}, str(tmp_path / "sdxl_lora.safetensors"))
    doubled = rig.adapter(tmp_path / "faceid.bin", "sd15", lora=str(tmp_path / "sdxl_lora.safetensors"))
    with pytest.raises(rig.room.errors.IdentityError) as caught:
        rig.applied(model, doubled)
    message = str(caught.value)
    assert "sdxl_lora.safetensors" in message and str(tmp_path) in message and "lora_name" in message
