"""Adapter files, schedules and patches without a UNet: told apart, refused when wrong, and never leaking."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from chibi_testing import identity_files as files

from chibi_avatar.identity.adapter_file import read_adapter
from chibi_avatar.identity.blocks import layout
from chibi_avatar.identity.errors import IdentityError
from chibi_avatar.identity.fuse import fuse
from chibi_avatar.identity.headbox import box_mask, head_box
from chibi_avatar.identity.model import Embedding, Identity
from chibi_avatar.identity.patch import TAG, Applied, IdentityPatch, begin_step, tensors_of
from chibi_avatar.identity.registry import BY_KEY
from chibi_avatar.identity.schedules import EMBEDS_SCALING, WEIGHT_TYPES, block_weight, window
from chibi_avatar.identity.tokens import LayerKV, face_vector, make_layers, make_tokens, scale_embeds
from chibi_avatar.pose.keypoints import PoseError


def small_adapter(path, family="sd15", variant="faceid", with_lora=False):
    """A random adapter of the right layout with narrow layers (8 wide)."""
    blocks, make = layout(family), files.maker(1)
    layers = files.ip_layers(blocks.blocks, blocks.text_width, make, lambda block: 8)
    if with_lora:
        layers.update(files.lora(blocks.blocks, blocks.text_width, make, 2, lambda block: 8))
    # Only FaceID's projector is run here; the others are only looked at.
    width = blocks.text_width if variant == "faceid" else 64
    return files.save_bin(path, files.image_proj(variant, width, make), layers)


def identity_with(key="w600k_r50", sha256=None, vector=None):
    vector = np.eye(1, 512, 3, dtype=np.float32)[0] if vector is None else vector
    return Identity({key: Embedding(key, sha256 or BY_KEY[key].sha256, vector, vector * 18, np.atleast_2d(vector))})


@pytest.mark.parametrize("variant", ["faceid", "portrait", "plus_face"])
def test_adapters_are_told_apart_by_shape(tmp_path, variant):
    """People would have to know which of a dozen look-alike files they downloaded."""
    adapter = read_adapter(small_adapter(tmp_path / "renamed.bin", variant=variant, with_lora=variant == "faceid"))
    assert adapter.variant.name == variant and adapter.unet.name == "sd15"
    assert len(adapter.lora) == (32 * 8 if variant == "faceid" else 0)


def test_safetensors_and_bin_are_the_same_adapter(tmp_path):
    """Half of the files people have would not load."""
    from safetensors.torch import save_file

    path = small_adapter(tmp_path / "a.bin")
    data = torch.load(path, weights_only=True)
    flat = {f"{part}.{key}": value.contiguous() for part, section in data.items() for key, value in section.items()}
    save_file(flat, str(tmp_path / "a.safetensors"))
    one, two = read_adapter(path), read_adapter(tmp_path / "a.safetensors")
    assert all(torch.equal(one.layers[key], two.layers[key]) for key in one.layers)


def test_plus_v1_and_v2_are_not_guessed(tmp_path):
    """The wrong one gives a likeness that is off, and nobody would know why."""
    path = small_adapter(tmp_path / "plus.bin", variant="faceid_plus")
    with pytest.raises(IdentityError, match="Choose the variant"):
        read_adapter(path)
    assert read_adapter(path, "faceid_plus").variant.name == "faceid_plus"
    with pytest.raises(IdentityError, match="cannot be a portrait"):
        read_adapter(path, "portrait")


def test_truncated_malicious_and_foreign_files_are_refused(tmp_path):
    """A downloaded .bin could run code, or crash ComfyUI with a stack trace."""
    whole = (tmp_path / "whole.bin").as_posix()
    small_adapter(whole)
    (tmp_path / "cut.bin").write_bytes(open(whole, "rb").read()[:5000])

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'owned'}",)

    torch.save({"image_proj": Evil(), "ip_adapter": {}}, str(tmp_path / "evil.bin"))
    torch.save({"state_dict": {"a": torch.ones(1)}}, str(tmp_path / "other.bin"))
    for name in ("cut.bin", "evil.bin", "other.bin", "absent.bin"):
        with pytest.raises(IdentityError) as caught:
            read_adapter(tmp_path / name)
        assert name in str(caught.value) and str(tmp_path) in str(caught.value)
    assert not (tmp_path / "owned").exists()


def test_a_wrong_recogniser_is_refused(tmp_path):
    """512 numbers of another network would silently paint a stranger."""
    adapter = read_adapter(small_adapter(tmp_path / "a.bin"))
    with pytest.raises(
        IdentityError, match="a.bin in .*w600k_r50.onnx.*this identity has glintr100.*models/insightface"
    ):
        face_vector(adapter, identity_with("glintr100"))
    with pytest.raises(IdentityError, match="not the published"):
        face_vector(adapter, identity_with(sha256="0" * 64))


@pytest.mark.parametrize("bad", [np.zeros(512, np.float32), np.full(512, np.nan, np.float32)])
def test_empty_and_nan_embeddings_are_refused(tmp_path, bad):
    """Black pictures, hours later, with no hint at the cause."""
    adapter = read_adapter(small_adapter(tmp_path / "a.bin"))
    with pytest.raises(IdentityError, match="analyse the photo again"):
        make_tokens(adapter, identity_with(vector=bad), None)


def test_plus_without_clip_vision_says_what_to_connect(tmp_path):
    """The error would be about a missing attribute deep in torch."""
    adapter = read_adapter(small_adapter(tmp_path / "a.bin", variant="plus_face"))
    with pytest.raises(
        IdentityError, match="a.bin in .*CLIP-ViT-H-14 in models/clip_vision and connect Load CLIP Vision"
    ):
        make_tokens(adapter, identity_with(), None)


@pytest.mark.parametrize("variant", ["plus_face", "faceid_plus_v2"])
def test_another_clip_vision_is_named_before_torch_trips_over_it(tmp_path, variant):
    """Load CLIP Vision lists every file there is; two shapes of matrices do not say which one is right."""
    adapter = read_adapter(small_adapter(tmp_path / "a.bin", variant=variant), variant)
    person = replace(identity_with(), crops=(np.zeros((224, 224, 3), np.uint8),))
    with pytest.raises(IdentityError, match=r"a\.bin in .*CLIP-ViT-H-14.*1280.*1024.*CLIP-ViT-L-14.*Load CLIP Vision"):
        make_tokens(adapter, person, lambda crops: (torch.zeros(1, 257, 1024), torch.zeros(1, 768)))


def test_faceid_needs_no_clip_and_its_negative_is_the_empty_face(tmp_path):
    """2.5 GB of CLIP would be demanded for nothing."""
    adapter = read_adapter(small_adapter(tmp_path / "a.bin"))
    tokens = make_tokens(adapter, identity_with(), None)
    assert tokens.cond.shape == tokens.uncond.shape == (1, 4, 768)
    empty = make_tokens(adapter, identity_with(vector=np.eye(1, 512, 9, dtype=np.float32)[0]), None)
    assert torch.equal(tokens.uncond, empty.uncond) and not torch.equal(tokens.cond, empty.cond)


def attention(q, k, v, heads, attn_precision=None, transformer_options=None, **kwargs):
    shape = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)  # noqa: E731
    return torch.nn.functional.scaled_dot_product_attention(shape(q), shape(k), shape(v)).transpose(1, 2).flatten(2)


class Rig:
    """Two people, two prompts and a negative, as a sampler would batch them."""

    def __init__(self, scope=(None, None), batch=1, mask=None):
        make = files.maker(4, 1.0)
        self.layers = [LayerKV(make(2, 4, 8), make(2, 4, 8), 0.7) for _ in range(2)]
        self.applied = [Applied(f"p{i}", window(lambda p: 10 * (1 - p), 0, 1), scope[i], mask) for i in range(2)]
        self.batch, self.make = batch, make

    def options(self, sides, uuids, tags, areas=None):
        conds = [[] for _ in range(max(sides) + 1)]
        for side, uuid in zip(sides, uuids, strict=True):
            conds[side].append({"uuid": uuid, TAG: tags.get(uuid, ()), "area": (areas or {}).get(uuid)})
        step = begin_step(conds, torch.zeros(1, 4, 6, 6), torch.tensor([5.0]))
        return {
            "n_heads": 2,
            "cond_or_uncond": sides,
            "uuids": uuids,
            "chibi_identity": step,
            "activations_shape": [1, 8, 6, 6],
        }

    def run(self, which, sides, uuids, tags=None, q=None, areas=None):
        patch = IdentityPatch(attention, ())
        for index in which:
            patch = patch.adding(self.applied[index], self.layers[index])
        rows = len(sides) * self.batch
        generator = torch.Generator().manual_seed(8)
        q = torch.randn(1, 36, 8, generator=generator).repeat(rows, 1, 1) if q is None else q
        k = torch.randn(1, 7, 8, generator=generator).repeat(rows, 1, 1)
        return patch(q, k, k, self.options(sides, uuids, tags or {}, areas))


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("sides", [(0, 1), (1, 0), (0,), (1,), (0, 2), (0, 1, 2), (2, 1, 0)])
def test_every_layout_of_a_batch_gets_the_right_side(sides, batch):
    """Negative prompts, PerpNeg and split batches would show the face where it should not be."""
    rig = Rig(batch=batch)
    alone = Rig()
    together = rig.run([0], list(sides), list(sides))
    for place, side in enumerate(sides):
        expected = alone.run([0], [side], [side])
        part = together[place * batch : (place + 1) * batch]
        assert torch.allclose(part, expected.expand_as(part), atol=1e-6)


def test_two_people_do_not_touch_each_other():
    """In a picture of two, both would get a mixed face."""
    both = Rig(scope=("a", "b")).run([0, 1], [0, 0, 1], ["A", "B", "n"], {"A": ("a",), "B": ("b",)})
    first = Rig(scope=("a", "b")).run([0], [0], ["A"], {"A": ("a",)})
    second = Rig(scope=("a", "b")).run([1], [0], ["B"], {"B": ("b",)})
    assert torch.equal(both[:1], first) and torch.equal(both[1:2], second)
    plain = Rig(scope=("a", "b")).run([], [0], ["C"])
    assert torch.equal(Rig(scope=("a", "b")).run([0, 1], [0], ["C"]), plain), "an untagged prompt got a face"


def test_a_mask_limits_the_identity_and_follows_areas():
    """The face would leak into hands and background; with an area prompt the mask would be the wrong part."""
    mask = torch.zeros(12, 12)
    mask[:6] = 1
    with_mask, without = Rig(mask=mask).run([0], [0], ["A"]), Rig().run([], [0], ["A"])
    changed = (with_mask - without).abs().sum(-1).reshape(6, 6)
    assert (changed[:2] > 0).all() and (changed[5:] == 0).all()
    lower = Rig(mask=mask).run([0], [0], ["A"], areas={"A": (3, 6, 3, 0)})
    assert torch.equal(lower, without), "the lower half has no mask"


def test_chaining_and_rerunning_never_changes_the_upstream_patch():
    """Each queue of the same workflow would add one more face, until the picture burns."""
    rig = Rig()
    first = IdentityPatch(attention, ()).adding(rig.applied[0], rig.layers[0])
    before = first.entries
    for _ in range(100):
        chained = first.adding(rig.applied[1], rig.layers[1])
        assert len(chained.entries) == 2
    assert first.entries is before and len(tensors_of([first])) == 2


def test_a_foreign_patch_keeps_working_and_moving():
    """Other packs' attention patches would be thrown away, or crash."""
    rig, seen = Rig(), []

    class Foreign:
        def __call__(self, q, k, v, options):
            seen.append(options["n_heads"])
            return attention(q, k, v, options["n_heads"]) * 0.5

        def to(self, device):
            seen.append(str(device))
            return self

        def models(self):
            return ["theirs"]

    patch = IdentityPatch(attention, (), Foreign()).adding(rig.applied[0], rig.layers[0])
    q, k = torch.ones(1, 36, 8), torch.ones(1, 7, 8)
    patch(q, k, k, rig.options([0], ["A"], {}))
    assert patch.to("cpu") is patch and patch.models() == ["theirs"] and seen == [2, "cpu"]


def test_an_override_sees_every_attention_with_the_whole_options():
    """Sage, xformers or context windows would silently stop half way."""
    calls = []

    def watched(q, k, v, heads, **kwargs):
        calls.append(kwargs["transformer_options"])
        return attention(q, k, v, heads)

    rig = Rig()
    options = rig.options([0], ["A"], {})
    IdentityPatch(watched, ()).adding(rig.applied[0], rig.layers[0])(
        torch.ones(1, 36, 8), torch.ones(1, 7, 8), torch.ones(1, 7, 8), options
    )
    assert calls == [options, options]


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("kind", WEIGHT_TYPES)
def test_weight_types_sum_to_their_table(kind, family):
    """Old workflows would come out stronger or weaker than they used to."""
    unet = layout(family)
    by_transformer = {block.transformer: block_weight(kind, block, unet, 1.0).weight for block in unet.blocks}
    total = round(sum(by_transformer.values()), 4)
    expected = {
        "sd15": {"chibi": 11.8, "linear": 16, "ease in": 8.875, "ease out": 7.925, "ease in-out": 8.4, "reverse in-out": 8.4,
                 "weak input": 11.2, "weak output": 8.8, "weak middle": 15.2, "strong middle": 4.0, "style transfer": 11,
                 "composition": 1.25, "strong style transfer": 14, "style and composition": 12.25,
                 "style transfer precise": 12.25, "composition precise": 12.55},
        "sdxl": {"chibi": 8.2, "linear": 11, "ease in": 6.25, "ease out": 5.3, "ease in-out": 5.7318, "reverse in-out": 5.8182,
                 "weak input": 7.8, "weak output": 6.2, "weak middle": 10.2, "strong middle": 3.0, "style transfer": 1,
                 "composition": 1, "strong style transfer": 10, "style and composition": 2,
                 "style transfer precise": 2, "composition precise": 2.9},
    }  # fmt: skip
    assert total == pytest.approx(expected[family][kind], abs=2e-3)


def test_embeds_scalings_follow_their_formulas():
    """High weights would burn where the penalties used to soften them."""
    make = files.maker(2, 1.0)
    k, v = make(2, 4, 640), make(2, 4, 640)
    assert scale_embeds(k, v, 0.6, "V only")[2] == 0.6
    keys, values, outside = scale_embeds(k, v, 0.6, "K+V")
    assert torch.equal(keys, k * 0.6) and torch.equal(values, v * 0.6) and outside == 1
    assert torch.allclose(scale_embeds(k, v, 0.6, "K+V w/ C penalty")[1], v * 0.3)
    mean = v.mean(1, keepdim=True)
    assert torch.allclose(scale_embeds(k, v, 0.6, EMBEDS_SCALING[3])[1], v - mean + mean * 0.3)


def test_the_window_opens_closes_and_ramps():
    """A late start, which keeps the style, would not be one."""
    sigma = lambda percent: 14.6 * (1 - percent) + 1e-4  # noqa: E731
    plain = window(sigma, 0.2, 0.8)
    assert plain.factor(sigma(0.1)) == 0 == plain.factor(sigma(0.9)) and plain.factor(sigma(0.2)) == 1 == plain.factor(
        sigma(0.8)
    )
    ramp = window(sigma, 0.2, 1.0, 0.4)
    assert ramp.factor(sigma(0.4)) == pytest.approx(0.5, abs=0.02) and ramp.factor(sigma(0.7)) == 1


def test_resident_memory_of_four_sdxl_tokens():
    """Gigabytes of GPU memory would be held for a face of four tokens."""
    blocks = layout("sdxl")

    class Whole:
        unet = blocks
        layers = files.ip_layers(blocks.blocks, 2048, lambda *shape: torch.zeros(1).expand(*shape))

    class Tokens:
        cond = uncond = torch.zeros(1, 4, 2048)

    layers = make_layers(Whole, Tokens, kind="linear", weight=1.0, dtype=torch.float16)
    kept = sum(
        layer.keys.untyped_storage().nbytes() + layer.values.untyped_storage().nbytes() for layer in layers.values()
    )
    assert len(layers) == 70 and kept <= 4e6


@pytest.mark.parametrize(("people", "strangers"), [(2, 1), (4, 2)])
def test_strangers_among_the_photos_are_left_out(people, strangers):
    """One wrong photo in the batch would bend the face. Strangers at .07 ± .08, photos of one person at about .6, as measured."""
    generator, dim, right, close = np.random.default_rng(0), 512, 0, []
    for _ in range(200):
        face = generator.normal(size=dim)
        face /= np.linalg.norm(face)
        rows = [face + generator.normal(size=dim) * 0.8 / np.sqrt(dim) for _ in range(people)]
        rows += [generator.normal(size=dim) / np.sqrt(dim) + 0.25 * face for _ in range(strangers)]
        order = generator.permutation(len(rows))
        rows = np.array(rows)[order] * generator.uniform(10, 25, size=(len(rows), 1))
        fused = fuse(rows, None, 0.40, 0.25)
        right += set(np.flatnonzero(~fused.kept)) == set(np.flatnonzero(order >= people))
        clean = rows[order < people] / np.linalg.norm(rows[order < people], axis=1, keepdims=True)
        close.append(float(fused.vector @ clean.mean(0) / np.linalg.norm(clean.mean(0))))
        assert abs(np.linalg.norm(fused.vector) - 1) < 1e-6
    assert right >= 190 and np.percentile(close, 5) >= 0.99


def test_head_boxes_follow_the_pose_and_refuse_to_leave_the_picture():
    """The likeness would land on a hand, or on nothing, without a word."""
    points = np.zeros((18, 3))
    points[[0, 14, 15, 16, 17, 1]] = [
        (256, 200, 1),
        (236, 180, 1),
        (276, 180, 1),
        (210, 190, 1),
        (302, 190, 1),
        (256, 300, 1),
    ]
    frame = {"people": [{"pose_keypoints_2d": points.ravel().tolist()}], "canvas_width": 512, "canvas_height": 512}
    x0, y0, x1, y1 = head_box(frame)
    assert x0 < 210 / 512 and x1 > 302 / 512 and y0 < 160 / 512 and 0.4 < y1 < 0.62
    assert 0.9 < box_mask((0.2, 0.2, 0.6, 0.6)).max() <= 1
    with pytest.raises(IdentityError, match="outside the picture"):
        box_mask((1.2, 0.1, 1.5, 0.4))
    with pytest.raises(IdentityError, match="1 people, number 3"):
        head_box(frame, 3)


def test_a_head_is_found_in_every_pose_that_the_pose_nodes_read():
    """A photo's pose where the detector lost one person, or left a point out, would stop with a Python error in place of a sentence."""
    points = np.zeros((18, 3))
    points[[0, 14, 15, 1]] = [(256, 200, 1), (236, 180, 1), (276, 180, 1), (256, 300, 1)]
    somebody = {"pose_keypoints_2d": points.ravel().tolist()}
    canvas = {"canvas_width": 512, "canvas_height": 512}
    box = head_box({"people": [somebody], **canvas})
    assert head_box([{"people": [None, {"pose_keypoints_2d": None}, somebody], **canvas}]) == box
    normalised = points / [512, 512, 1]
    assert head_box([{"people": [{"pose_keypoints_2d": normalised.ravel().tolist()}], **canvas}]) == pytest.approx(box)
    with pytest.raises(PoseError, match=r"people\[0\]\.pose_keypoints_2d: 55 numbers"):
        head_box({"people": [{"pose_keypoints_2d": [1.0] * 55}], **canvas})
