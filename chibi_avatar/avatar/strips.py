"""The atlas cut into strips of rows: each with its texels and what every view sees of them; its seams, and what is outside its charts.
Those of small atlases are kept for the next bake."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .camera import Camera
from .model import Avatar
from .padding import Padding, Seams
from .texels import TexelBuffer, texel_gbuffer
from .visibility import ViewTexels, identity, look_all, project
from .workers import each

if TYPE_CHECKING:
    import torch

T = TypeVar("T", bound="Strip | Seams | Padding")

_STRIP = 1 << 19  # texels of the atlas in one strip
_LEAST = 4  # strips, so that all cores have some
_KEPT = 2048  # atlases of up to this size are kept
_CACHE_BYTES = 700_000_000
_CACHE: OrderedDict[tuple, Strip | Seams | Padding] = OrderedDict()
_LOCK = Lock()  # strips are made side by side


@dataclass
class Strip:
    """Some rows of the atlas, and of each view the texels that it sees there."""

    texels: TexelBuffer
    views: list[ViewTexels]

    @property
    def nbytes(self) -> int:
        raster = self.texels.raster
        lists = (raster.face, raster.pixels, raster.faces, raster.bary)
        return sum(t.numel() * t.element_size() for t in lists) + sum(view.nbytes for view in self.views)


class Strips:
    """The strips of an avatar's atlas as ``cameras`` see them. ``keep`` (F,) bool: triangles painted from the atlas, None for all;
    ``seen`` (F,) bool: those of them that the views may paint."""

    def __init__(
        self, avatar: Avatar, keep: np.ndarray | None, seen: np.ndarray, cameras: Sequence[Camera], device: Any
    ) -> None:
        self.looks = look_all(avatar, cameras, seen, device)
        self._avatar, self._keep, self._device = avatar, keep, device
        self._atlas = (*identity(avatar), None if keep is None else keep.tobytes(), str(device))
        self._views = (*self._atlas, seen.tobytes(), tuple(cameras))

    @staticmethod
    def rows(size: int) -> list[tuple[int, int]]:
        """(first, end) row of each strip of a ``size``² atlas."""
        step = max(min(_STRIP // size, size // _LEAST), 1)
        return [(first, min(first + step, size)) for first in range(0, size, step)]

    def whole(self, size: int) -> Strip:
        """A small atlas in one strip, the views side by side."""
        return self._strip(size, (0, size), each)

    def at(self, size: int, rows: tuple[int, int]) -> Strip:
        """One strip, from the last bake if it is the same."""
        return self._strip(size, rows, map)

    def seams(self, size: int) -> Seams:
        """Where the charts meet."""
        return self._kept(self._atlas, size, "seams", lambda: Seams(self._avatar.mesh, size, self._keep))

    def padding(self, size: int, known: torch.Tensor) -> Padding:
        """What to fill outside ``known`` (S, S) bool: all texels of the charts and of what is beside them, which for one avatar and one
        size are always the same."""
        return self._kept(self._atlas, size, "padding", lambda: Padding(known))

    def _strip(self, size: int, rows: tuple[int, int], through: Callable[..., Iterable[ViewTexels]]) -> Strip:
        def make() -> Strip:
            texels = texel_gbuffer(self._avatar.mesh, size, self._keep, self._device, rows)
            surface = texels.surface()
            return Strip(texels, list(through(lambda look: project(look, texels, surface), self.looks)))

        return self._kept(self._views, size, rows, make)

    def _kept(self, of: tuple, size: int, what: Any, make: Callable[[], T]) -> T:
        """What ``make`` makes, or made in the last bake of this ``size``."""
        key = (*of, size, what)
        with _LOCK:
            if key in _CACHE:
                _CACHE.move_to_end(key)
                return _CACHE[key]  # type: ignore[return-value]
        made = make()
        if size <= _KEPT and str(self._device) == "cpu":  # a GPU's memory is for the sampler, and it is fast enough
            with _LOCK:
                _CACHE[key] = made
                while sum(item.nbytes for item in _CACHE.values()) > _CACHE_BYTES and len(_CACHE) > 1:
                    _CACHE.popitem(last=False)
        return made


def forget() -> None:
    """Empty the cache (benchmarks of a cold bake)."""
    with _LOCK:
        _CACHE.clear()
