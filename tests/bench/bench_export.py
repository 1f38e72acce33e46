"""How long exporting and loading take and how large the files are: ``python3 -m chibi_avatar test tests/bench/bench_export.py -s``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np

from chibi_avatar.avatar.build import build_avatar
from chibi_avatar.avatar.export import export_avatar, portrait
from chibi_avatar.avatar.load import load_avatar
from chibi_avatar.avatar.png import encode_png
from tools.gallery import GIRL


def _median(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _drawn(pixels: np.ndarray) -> np.ndarray:
    """The paint with soft variation everywhere, as a sampler's pictures leave it after the bake."""
    from PIL import Image

    height, width = pixels.shape[:2]
    noise = np.random.default_rng(0).integers(-6, 7, (height // 4, width // 4, 3))
    coarse = np.clip(pixels[::4, ::4].astype(int) + noise, 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def test_export(report) -> None:
    """Median seconds and sizes for the standard preset with a 2048 atlas, painted and as a sampler would draw it."""
    avatar = build_avatar(GIRL)
    drawn = avatar.with_textures([replace(avatar.textures[0], pixels=_drawn(avatar.textures[0].pixels))])
    face = portrait(avatar)
    for name, figure in (("painted", avatar), ("drawn by a sampler", drawn)):
        once = export_avatar(figure, thumbnail=face)
        seconds = _median(lambda figure=figure: export_avatar(figure, thumbnail=face))
        both = _median(lambda figure=figure: export_avatar(figure, version="both", thumbnail=face))
        report(
            f"export, {name}: VRM 1.0 and GLB {seconds:.2f} s, both versions {both:.2f} s (goal 1.0 s); "
            f"VRM {len(once.main) / 1e6:.2f} MB (limit 8)"
        )
        report(f"load, {name}: {_median(lambda once=once: load_avatar(once.main, 'x', True)):.2f} s")
    report(f"thumbnail rendered: {_median(lambda: portrait(avatar)):.2f} s")
    report(f"triangles {len(avatar.mesh.faces)} (limit 15000), materials {len(avatar.materials)} (limit 2)")


def test_png_against_pillow(report) -> None:
    """Our PNG writer beside Pillow's, same pictures, 2048 atlas."""
    from PIL import Image

    paint = build_avatar(GIRL).textures[0].pixels
    for name, pixels in (("painted", paint), ("drawn by a sampler", _drawn(paint))):
        buffer = BytesIO()
        theirs = _median(
            lambda pixels=pixels, buffer=buffer: (buffer.seek(0), Image.fromarray(pixels).save(buffer, "PNG"))
        )
        ours = _median(lambda pixels=pixels: encode_png(pixels))
        size = len(encode_png(pixels)) / buffer.getbuffer().nbytes
        report(
            f"PNG, {name}: {ours:.2f} s, Pillow {theirs:.2f} s ({theirs / ours:.1f} times as long); size ratio {size:.2f}"
        )
