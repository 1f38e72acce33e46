"""Guide maps: what a sampler needs to draw the avatar, from exactly the cameras that the bake will look through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .camera import Camera, Views, framing
from .gbuffer import GBuffer, flat_color, gbuffer
from .keypoints import pose_frame
from .model import Avatar, AvatarError
from .outline import line_art
from .workers import each, single_threaded

if TYPE_CHECKING:
    import torch

MAPS = ("depth", "normal", "pose", "line", "mask", "paint", "parts")
PAPER = 1.0  # what lies behind the paint: white
_NEAR, _FAR = 1.0, 0.12  # inverse depth of the nearest and the farthest point of the figure; the background is 0
_EYE = 1.9  # the eye that inverse depth is measured from stands this many figure radii away


@single_threaded
def guide_maps(avatar: Avatar, views: Views, maps: Iterable[str] = MAPS, device: Any = "cpu") -> dict[str, np.ndarray]:
    """The chosen ``maps`` of every camera, in the rest pose that the bake uses: name → (N, H, W, 3) float32 sRGB 0..1, or (N, H, W) for ``mask``.

    ``depth`` inverse depth, normalised once for the character so all views agree; ``normal`` view space in ControlNet's convention
    (blue is front, red is left, green is top); ``pose`` OpenPose drawn from the rig's own joints; ``line`` white on black; ``mask``
    1 inside; ``paint`` unlit texture on white; ``parts`` one flat colour per part.
    """
    wanted = tuple(maps)
    unknown = [name for name in wanted if name not in MAPS]
    if unknown:
        raise AvatarError(f"no guide map {unknown[0]!r}: choose from {', '.join(MAPS)}")
    positions, normals = avatar.mesh.positions, avatar.mesh.normals
    reach = _reach(positions, views)

    def draw(camera: Camera) -> list[np.ndarray]:
        buffer = gbuffer(avatar, positions, normals, camera, device=device)
        images = []
        for name in wanted:
            if name == "pose":
                image = _draw_pose(avatar, camera)
            elif name == "depth":
                image = _depth(avatar, buffer, reach).cpu().numpy()
            else:
                image = _POINTWISE[name](avatar, buffer).cpu().numpy()
            images.append(np.clip(image, 0, 1).astype(np.float32, copy=False))
        return images

    drawn = each(draw, views.cameras)
    return {name: np.stack([images[i] for images in drawn]) for i, name in enumerate(wanted)}


def _depth(avatar: Avatar, buffer: GBuffer, radius: float) -> torch.Tensor:
    target, _ = framing(avatar.mesh.positions)
    camera = buffer.camera
    # measured from the plane through the middle of the figure, so orthographic and perspective views share one scale
    offset = float((camera.position - np.asarray(target)) @ camera.axes[2])
    along = (buffer.at(buffer.away[:, None])[:, 0] - offset).clamp(-radius, radius)
    inverse = 1 / (along + _EYE * radius)
    low, high = 1 / (radius * (_EYE + 1)), 1 / (radius * (_EYE - 1))
    value = _FAR + (_NEAR - _FAR) * (inverse - low) / (high - low)
    return buffer.raster.image(value)[:, :, None].expand(-1, -1, 3)


def _reach(positions: np.ndarray, views: Views) -> float:
    """Half the depth of the figure, over all cameras: what the depth maps are normalised by."""
    target, _ = framing(positions)
    along = [np.abs((positions - np.asarray(target)) @ camera.axes[2]).max() for camera in views.cameras]
    return max(float(max(along)), 1e-6)


def _normal(avatar: Avatar, buffer: GBuffer) -> torch.Tensor:
    import torch

    normal = buffer.at(buffer.normals)
    axes = torch.tensor(buffer.camera.axes, dtype=torch.float32, device=normal.device)
    view = normal @ axes.T
    view = view / view.norm(dim=1, keepdim=True).clamp(min=1e-9)
    view[:, 2] = view[:, 2].clamp(min=0)
    colors = view * view.new_tensor([-0.5, 0.5, 0.5]) + 0.5
    image = torch.tensor([0.5, 0.5, 1.0], device=normal.device).repeat(buffer.raster.height * buffer.raster.width, 1)
    image[buffer.raster.pixels] = colors
    return image.reshape(buffer.raster.height, buffer.raster.width, 3)


def _mask(avatar: Avatar, buffer: GBuffer) -> torch.Tensor:
    return (buffer.raster.face >= 0).float()


def _paint(avatar: Avatar, buffer: GBuffer) -> torch.Tensor:
    return buffer.raster.image(flat_color(avatar, buffer), PAPER)


def part_colors(count: int) -> np.ndarray:
    """``count`` well-separated colours (count, 3) float32, the same every time: hues by the golden angle, three brightness steps."""
    import colorsys

    return np.array(
        [
            colorsys.hsv_to_rgb((0.03 + i * 0.381966) % 1, 0.85 - 0.25 * (i % 2), (1.0, 0.8, 0.6)[i % 3])
            for i in range(count)
        ],
        np.float32,
    )


def _parts(avatar: Avatar, buffer: GBuffer) -> torch.Tensor:
    import torch

    colors = torch.as_tensor(part_colors(len(avatar.parts))[avatar.mesh.face_part], device=buffer.triangles.device)
    return buffer.raster.image(colors[buffer.raster.faces])


def _line(avatar: Avatar, buffer: GBuffer) -> torch.Tensor:
    return line_art(avatar, buffer, flat_color(avatar, buffer))[:, :, None].expand(-1, -1, 3)


def _draw_pose(avatar: Avatar, camera: Camera) -> np.ndarray:
    """The skeleton; black for a figure without a humanoid rig, which has none."""
    from ..pose.draw import draw
    from ..pose.keypoints import parse

    if not avatar.has_bone("head"):
        return np.zeros((camera.height, camera.width, 3), np.float32)
    return draw(parse([pose_frame(avatar, camera)])[0]).astype(np.float32) / 255


_POINTWISE = {"normal": _normal, "line": _line, "mask": _mask, "paint": _paint, "parts": _parts}


def make_sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """(N, H, W[, K]) pictures → one (1, rows·H, columns·W[, K]) sheet, row by row; empty places are 0."""
    count, height, width = images.shape[:3]
    rows = -(-count // columns)
    padded = np.zeros((rows * columns, *images.shape[1:]), images.dtype)
    padded[:count] = images
    grid = padded.reshape(rows, columns, *images.shape[1:])
    return np.ascontiguousarray(np.moveaxis(grid, 2, 1)).reshape(1, rows * height, columns * width, *images.shape[3:])


def cut_sheet(sheet: np.ndarray, count: int, columns: int) -> np.ndarray:
    """Undo :func:`make_sheet`: (rows·H, columns·W[, K]) → (count, H, W[, K]). Sizes must divide, see the caller's check."""
    rows = -(-count // columns)
    height, width = sheet.shape[0] // rows, sheet.shape[1] // columns
    grid = sheet.reshape(rows, height, columns, width, *sheet.shape[2:])
    return np.moveaxis(grid, 2, 1).reshape(rows * columns, height, width, *sheet.shape[2:])[:count]
