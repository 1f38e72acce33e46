"""Training pictures on disk: tar files of PNG, part map and JSON (the WebDataset layout), each written whole or not at all.

A shard is decided by its number and the seed alone, so any number of processes may make them, stop at any time and go on later.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .scenes import PER_CHARACTER

SHARD = 240  # pictures in a shard, a multiple of PER_CHARACTER
FORMAT = 2
MAX_MEMBER = 8 * 1024 * 1024


class DataError(ValueError):
    """Training data is missing, damaged or of another kind. The message names the file and the fix."""


@dataclass(frozen=True)
class Item:
    """One stored picture. ``parts`` and ``keypoints`` are None for a person's own pictures."""

    name: str
    picture: np.ndarray  # (S, S, 3) uint8
    tags: tuple[tuple[str, str], ...]
    labels: dict[str, Any]
    keypoints: np.ndarray | None
    parts: np.ndarray | None


def shard_path(folder: Path, index: int) -> Path:
    """Where shard ``index`` lies."""
    return folder / f"shard-{index:05d}.tar"


def shards(folder: Path) -> list[Path]:
    """The finished shards of ``folder``, in order. Raises :class:`DataError` when there are none."""
    found = sorted(folder.glob("shard-*.tar"))
    if not found:
        raise DataError(f"there are no training pictures in {folder}: run  python3 -m chibi_avatar train data  first")
    return found


def write_shard(folder: Path, index: int, seed: int, count: int = SHARD) -> Path:
    """Draw and store the ``count`` pictures of shard ``index``."""
    from .pictures import dress, photograph
    from .scenes import scene

    target = shard_path(folder, index)
    part = target.with_name(f".{target.name}.part")
    with tarfile.open(part, "w") as tar:
        avatar = None
        for number in range(index * SHARD, index * SHARD + count):
            staged = scene(number, seed)
            if avatar is None or number % PER_CHARACTER == 0:
                avatar = dress(staged)
            sample = photograph(staged, avatar)
            about = {
                "format": FORMAT,
                "tags": [list(tag) for tag in sample.tags],
                "keypoints": np.round(sample.keypoints, 2).tolist(),
                "labels": sample.labels,
                "seed": seed,
            }
            name = f"{number:07d}"
            _add(tar, f"{name}.png", _png(sample.picture))
            _add(tar, f"{name}.parts.png", _png(sample.parts))
            _add(tar, f"{name}.json", json.dumps(about, ensure_ascii=False).encode())
    os.replace(part, target)
    return target


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def read_shard(path: Path, pictures: bool = True) -> Iterator[Item]:
    """The items of a shard in order; without ``pictures`` their pixels are empty. Raises :class:`DataError` for a damaged one."""
    from PIL import Image

    try:
        with tarfile.open(path) as tar:
            pending: dict[str, bytes] = {}
            for member in tar:
                if not member.isfile() or member.size > MAX_MEMBER:
                    raise DataError(f"{path.name}: {member.name[:60]!r} does not belong into a shard of pictures")
                data = tar.extractfile(member).read()  # type: ignore[union-attr]
                stem, _, ending = member.name.partition(".")
                pending[ending] = data
                if ending != "json":
                    continue
                about = json.loads(data)
                empty = np.zeros((0, 0, 3), np.uint8)
                yield Item(
                    stem,
                    np.asarray(Image.open(io.BytesIO(pending["png"])).convert("RGB")) if pictures else empty,
                    tuple((str(text), str(path)) for text, path in about["tags"]),
                    about["labels"],
                    np.array(about["keypoints"], np.float32).reshape(18, 3),
                    np.asarray(Image.open(io.BytesIO(pending["parts.png"]))),
                )
                pending = {}
    except (tarfile.TarError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is damaged ({error}): delete it and run  python3 -m chibi_avatar train data  again"
        ) from error


def render_shards(
    folder: Path, pictures: int, seed: int, workers: int, on_shard: Callable[[int, int], None] | None = None
) -> int:
    """Make every missing shard of ``pictures`` pictures with ``workers`` processes; returns how many were made.

    ``on_shard(done, total)`` is called after each. A folder begun with another seed is refused with :class:`DataError`.
    """
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, seed)
    total = -(-pictures // SHARD)
    missing = [index for index in range(total) if not shard_path(folder, index).is_file()]
    done = total - len(missing)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        jobs = [pool.submit(write_shard, folder, index, seed) for index in missing]
        try:
            for job in as_completed(jobs):
                job.result()
                done += 1
                if on_shard:
                    on_shard(done, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(missing)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _claim(folder: Path, seed: int) -> None:
    about = folder / "about.json"
    wanted = {"format": FORMAT, "seed": seed, "shard": SHARD}
    if about.is_file():
        try:
            found = json.loads(about.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != wanted:
            raise DataError(f"{folder} holds pictures of another kind ({found}): choose another --data folder or seed")
    else:
        about.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
