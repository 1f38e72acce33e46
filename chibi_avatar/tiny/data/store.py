"""Training pictures by number, from shards that this repository drew or from a person's own folder of pictures with captions."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from .shards import DataError, Item, read_shard, shards

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MAX_PICTURES = 500_000
_CAPTION_BYTES = 64 * 1024


class Store:
    """Pictures with captions, in a fixed order. ``tags[i]`` is the caption of picture ``i`` as ``(text, field path)``; ``items[i]`` its labels."""

    def __init__(self, folder: Path) -> None:
        """Open ``folder``. Raises :class:`DataError` when it holds no pictures, or pictures without captions."""
        if not folder.is_dir():
            raise DataError(
                f"there is no folder {folder}: run  python3 -m chibi_avatar train data, or name your own with --data"
            )
        self.folder = folder
        self.items: list[Item] = []
        self._places: list[tuple[Path, int, int]] = []
        if (folder / "about.json").is_file():
            self._index_shards()
        else:
            self._index_files()

    def __len__(self) -> int:
        return len(self._places)

    def stamp(self, numbers: range) -> str:
        """Names the content of pictures ``numbers``: 8 hex digits of where they lie and how long they are, and when a person's own were
        written. Other pictures, or changed ones, get another."""
        told = hashlib.sha256()
        for path, offset, length in (self._places[i] for i in numbers):
            size = length or ((about := path.stat()).st_size, about.st_mtime_ns)
            told.update(f"{path.name} {offset} {size}\n".encode())
        return told.hexdigest()[:8]

    @property
    def drawn(self) -> bool:
        """Whether this repository drew the pictures, so that keypoints and attributes are known."""
        return bool(self.items) and self.items[0].keypoints is not None

    def picture(self, index: int, size: int = 256) -> np.ndarray:
        """Picture ``index`` as (size, size, 3) uint8; another shape is cropped to its middle square."""
        from PIL import Image

        path, offset, length = self._places[index]
        try:
            if length:
                with path.open("rb") as file:
                    file.seek(offset)
                    image = Image.open(io.BytesIO(file.read(length))).convert("RGB")
            else:
                with Image.open(path) as opened:
                    image = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{path} cannot be read as a picture ({error}): delete it or save it again") from error
        side = min(image.size)
        if image.size != (size, size):
            left, top = (image.width - side) // 2, (image.height - side) // 2
            box = (left, top, left + side, top + side)
            image = image.resize(
                (size, size), Image.Resampling.BOX if side % size == 0 else Image.Resampling.LANCZOS, box
            )
        return np.asarray(image)

    def _index_shards(self) -> None:
        for path in shards(self.folder):
            with tarfile.open(path) as tar:
                places = [
                    (path, member.offset_data, member.size)
                    for member in tar
                    if member.name.endswith(".png") and not member.name.endswith(".parts.png")
                ]
            items = list(read_shard(path, pictures=False))
            if len(items) != len(places):
                raise DataError(f"{path} is damaged: delete it and run  python3 -m chibi_avatar train data  again")
            self.items += items
            self._places += places

    def _index_files(self) -> None:
        found = sorted(path for path in self.folder.rglob("*") if path.suffix.lower() in ENDINGS)
        if not found:
            raise DataError(f"{self.folder} holds no pictures ({', '.join(ENDINGS)})")
        if len(found) > MAX_PICTURES:
            raise DataError(f"{self.folder} holds {len(found)} pictures; at most {MAX_PICTURES} are taken")
        bare = [path for path in found if not path.with_suffix(".txt").is_file()]
        if bare:
            raise DataError(
                f"{len(bare)} of {len(found)} pictures have no caption (first: {bare[0].name}): write one into {bare[0].with_suffix('.txt').name} beside it"
            )
        for path in found:
            with path.with_suffix(".txt").open("rb") as file:
                text = file.read(_CAPTION_BYTES).decode("utf-8", "replace")
            tags: tuple[tuple[str, str], ...] = tuple(
                (part.strip(), "") for part in text.replace("\n", ",").split(",") if part.strip()
            )
            if not tags:
                raise DataError(f"the caption {path.with_suffix('.txt').name} is empty: describe {path.name} in it")
            labels: dict[str, Any] = {}
            self.items.append(Item(path.stem, np.zeros((0, 0, 3), np.uint8), tags, labels, None, None))
            self._places.append((path, 0, 0))
