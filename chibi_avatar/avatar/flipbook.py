"""The face as a flip-book: a sheet of painted faces, one cell for each expression, shown by moving the texture instead of the vertices.

Apps that know no morph targets, or a person who wants hard cuts between drawn faces, use it (VRM 1.0 ``textureTransformBinds``, VRM 0.x
``_MainTex_ST``). The cells are painted from the avatar's own morphs: what the moved face shows from the front at a place is what the
still face gets painted there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .camera import Camera
from .model import Avatar, AvatarError, Expression, Texture
from .raster import rasterize
from .sampling import sample
from .skin import expression_weights
from .texels import texel_gbuffer
from .workers import each, single_threaded

if TYPE_CHECKING:
    import torch

COLUMNS, ROWS = 5, 4
LARGEST = 4096  # texels of the sheet's longer side
_MARGIN = 0.06  # of the face's rectangle, painted around it in every cell for filtering and mip levels
_LOOKS = ("lookUp", "lookDown", "lookLeft", "lookRight")
_STILL = 1.5  # texels of the atlas by which a place may move and still be copied from the atlas itself
_FINER = 2  # the moved face is drawn with so many pixels to a texel of a cell


@single_threaded
def flip_book(avatar: Avatar) -> Avatar:
    """A copy of ``avatar`` whose expressions are cells of a second texture, without the morphs they used.

    Directions to look at are left out: they would multiply with every face. Raises :class:`AvatarError` for avatars without a face part
    or without expressions that move it, and for a user's own file.
    """
    mesh = avatar.mesh
    shown = [e for e in avatar.expressions if e.morphs and (e.preset or e.name) not in _LOOKS][: COLUMNS * ROWS - 1]
    if avatar.source is not None or "face" not in avatar.parts or not shown:
        raise AvatarError(
            f"avatar {avatar.name!r} has no face that could become a flip-book: it needs a part 'face' and expressions made of morphs"
        )
    deltas = [_delta(avatar, expression) for expression in shown]
    moving = np.any([np.abs(delta).max(1) > 1e-5 for delta in deltas], axis=0)
    face = mesh.face_part == avatar.parts.index("face")
    near = np.zeros(len(mesh.positions), bool)
    near[mesh.faces[face & moving[mesh.faces].any(1)]] = True
    chosen = face & near[mesh.faces].any(1)
    if not chosen.any():
        raise AvatarError(f"avatar {avatar.name!r}: its expressions do not move the face, so it has no flip-book")
    used = np.unique(mesh.faces[chosen])
    low, high = mesh.uvs[used].min(0).astype(np.float64), mesh.uvs[used].max(0).astype(np.float64)
    margin = (high - low) * _MARGIN
    low, high = low - margin, high + margin
    old = avatar.textures[avatar.atlas].pixels
    if old is None:
        raise AvatarError(f"avatar {avatar.name!r} has no atlas picture to paint a flip-book from")
    # as fine as the atlas where the sheet may be so large; whole texels, so that every cell is read alike
    wanted = np.ceil((high - low) * old.shape[1::-1] / 4) * 4
    cell = np.minimum(wanted, LARGEST // np.array([COLUMNS, ROWS]) // 4 * 4).astype(int)
    sheet = _sheet(avatar, face, deltas, low, high, (int(cell[0]), int(cell[1])))

    number = np.full(len(mesh.positions), -1)
    number[used] = len(mesh.positions) + np.arange(len(used))
    faces = mesh.faces.copy()
    faces[chosen] = number[mesh.faces[chosen]]
    material = len(avatar.materials)
    face_material = mesh.face_material.copy()
    face_material[chosen] = material
    uvs = (mesh.uvs[used] - low) / (high - low) / (COLUMNS, ROWS)
    gone = {name for expression in avatar.expressions for name in expression.morphs}

    def more(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, values[used]])

    book = replace(
        mesh,
        positions=more(mesh.positions),
        normals=more(mesh.normals),
        uvs=np.concatenate([mesh.uvs, uvs.astype(np.float32)]),
        faces=faces,
        face_material=face_material,
        joints=more(mesh.joints),
        weights=more(mesh.weights),
        morphs={name: more(delta) for name, delta in mesh.morphs.items() if name not in gone},
        weld=None if mesh.weld is None else more(mesh.weld),
        mirror=None,
    )
    skin = avatar.materials[int(mesh.face_material[chosen][0])]
    expressions = [e for e in avatar.expressions if not e.morphs]
    expressions += [_cell(expression, material, i + 1) for i, expression in enumerate(shown)]
    return replace(
        avatar,
        mesh=book,
        materials=[*avatar.materials, replace(skin, name="face_flip_book", texture=len(avatar.textures))],
        textures=[*avatar.textures, Texture("faces", sheet)],
        expressions=expressions,
    )


def _cell(expression: Expression, material: int, cell: int) -> Expression:
    """The same expression by texture offset. Two cells cannot be added, so it holds blinking and talking back unless it is one of them."""
    part = (expression.preset or "").startswith("blink")
    return replace(
        expression,
        morphs={},
        uv_offset={material: (cell % COLUMNS / COLUMNS, cell // COLUMNS / ROWS)},
        is_binary=True,
        override_blink="none" if part else "block",
        override_mouth="block" if part or expression.preset not in ("aa", "ih", "ou", "ee", "oh") else "none",
    )


def _delta(avatar: Avatar, expression: Expression) -> np.ndarray:
    """How far (V, 3) an expression moves each vertex."""
    moves = expression_weights(avatar, {expression.name: 1.0})
    return sum((np.float32(w) * avatar.mesh.morphs[name] for name, w in moves.items()), np.zeros((1, 3), np.float32))


def _sheet(
    avatar: Avatar,
    face: np.ndarray,
    deltas: list[np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    cell: tuple[int, int],
) -> np.ndarray:
    """The cells of ``cell`` (width, height) texels in one picture (uint8), row by row: the still face first, then one for each of
    ``deltas``; cells without a face repeat the still one."""
    import torch

    width, height = cell
    u = (np.arange(width) + 0.5) / width * (high[0] - low[0]) + low[0]
    v = (np.arange(height) + 0.5) / height * (high[1] - low[1]) + low[1]
    place = torch.as_tensor(np.stack(np.meshgrid(u, v), -1).reshape(-1, 2).astype(np.float32))
    front = _Front(avatar, face, place, _FINER * max(cell))

    def drawn(color: torch.Tensor) -> np.ndarray:
        return (color + 0.5).clamp_(0, 255).to(torch.uint8).numpy().reshape(height, width, 3)

    sheet = np.tile(drawn(front.color), (ROWS, COLUMNS, 1))
    for number, color in enumerate(each(front.moved, deltas), 1):
        top, left = number // COLUMNS * height, number % COLUMNS * width
        sheet[top : top + height, left : left + width] = drawn(color)
    return sheet


class _Front:
    """The face as seen from the front, still and moved. ``place`` (N, 2) are the places of the atlas that a cell shows; ``color`` (N, 3) its
    colours 0..255 there."""

    def __init__(self, avatar: Avatar, face: np.ndarray, place: torch.Tensor, size: int) -> None:
        import torch

        self.mesh, self.face = avatar.mesh, face
        points = self.mesh.positions[np.unique(self.mesh.faces[face])]
        low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
        extent = 1.05 * float(max(high[0] - low[0], high[1] - low[1]))
        self.camera = Camera(0, 0, tuple(float(v) for v in (low + high) / 2), extent, size, size)
        self.atlas = torch.as_tensor(np.ascontiguousarray(avatar.textures[avatar.atlas].pixels[:, :, :3]))
        self.color = sample(self.atlas, place)
        self.still = self._shown(self.mesh.positions, (0, 0, size, size))[0]
        texels = texel_gbuffer(self.mesh, self.atlas.shape[0], face)
        seen = self.camera.project(texels.surface()[0].numpy())[0][:, :2]
        # where each texel of the still face is in the picture
        self.where = sample(texels.image(torch.as_tensor(seen.astype(np.float32)), float("nan")), place)

    def _shown(self, positions: np.ndarray, window: tuple[int, int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Which place of the atlas each pixel of the window shows, (height, width, 2), -1 for none; and its colour (height, width, 3)."""
        import torch

        screen, _, _ = self.camera.project(positions)
        screen[:, :2] -= window[:2]
        raster = rasterize(screen, self.mesh.faces, window[2], window[3], keep=self.face, cull=True)
        shown = raster.interpolate(torch.as_tensor(self.mesh.uvs), torch.as_tensor(self.mesh.faces).long())
        return raster.image(shown, -1.0), raster.image(sample(self.atlas, shown))

    def moved(self, delta: np.ndarray) -> torch.Tensor:
        """The colours (N, 3) of a cell whose face, moved by ``delta`` (V, 3), shows something else in front of some places."""
        import torch

        size = self.camera.width
        moves = np.abs(delta).max(1) > 1e-5
        touched = np.concatenate([self.mesh.positions[moves], (self.mesh.positions + delta)[moves]])
        reach = self.camera.project(touched)[0][:, :2]
        left, top = (int(v) for v in np.clip(np.floor(reach.min(0)) - 3, 0, size - 8))
        right, bottom = (int(v) for v in np.clip(np.ceil(reach.max(0)) + 3, 8, size))
        window = (left, top, right - left, bottom - top)
        shown, picture = self._shown(self.mesh.positions + delta, window)
        changed = (shown - self.still[top:bottom, left:right]).abs().amax(2) * self.atlas.shape[0] > _STILL
        changed &= (shown[:, :, 0] >= 0) & (self.still[top:bottom, left:right, 0] >= 0)
        x, y = (self.where - torch.tensor(window[:2])).unbind(1)
        index = torch.nonzero((x > 0) & (y > 0) & (x < window[2]) & (y < window[3])).squeeze(1)
        index = index[changed[y[index].long(), x[index].long()]]
        spot = torch.stack([x[index] / window[2], y[index] / window[3]], 1)
        color = self.color.clone()
        color[index] = sample(picture, spot)
        return color
