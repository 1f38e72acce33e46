"""The toon render: supersampled, two-step shade, coloured outlines, soft ground; and the turntable sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .camera import MARGIN, NAMED_VIEWS, Camera, framing
from .gbuffer import flat_color, gbuffer
from .model import Avatar, AvatarError
from .outline import draw_lines
from .skin import posed
from .toon import shade
from .workers import each, single_threaded

if TYPE_CHECKING:
    import torch

SUPERSAMPLE = 2
FOV = 20.0  # degrees: a portrait lens, so that a big head stays in proportion
AIR_ABOVE, AIR_BELOW, AIR_BESIDE = 0.06, 0.085, 0.05  # fractions of the picture


def camera_for(
    avatar: Avatar, view: Camera | str | float, width: int, height: int, positions: np.ndarray | None = None
) -> Camera:
    """A camera from a name (``front``, ``three_quarter``, ``left``, ``back``, ``face``, …), an azimuth in degrees, or a Camera.

    Names and azimuths fit the figure as it stands in ``positions`` (default: at rest) into the picture, in soft perspective.
    """
    if isinstance(view, Camera):
        return view.resized(width, height)
    positions = avatar.mesh.positions if positions is None else positions
    target, extent = framing(positions)
    azimuth, elevation = 0.0, 4.0
    if isinstance(view, str):
        if view == "face":
            if not avatar.has_bone("head"):
                raise AvatarError(f"avatar {avatar.name!r} has no head bone to look at: choose front or an azimuth")
            head = np.asarray(avatar.joints[avatar.bone("head")].position)
            eye = head + np.asarray(avatar.look_offset)
            return Camera(0, 0, (0.0, float(eye[1]), 0.0), extent * 0.5, width, height, FOV, view)
        if view not in NAMED_VIEWS:
            raise AvatarError(
                f"no view {view!r}: choose one of {', '.join([*NAMED_VIEWS, 'face'])}, or an azimuth in degrees"
            )
        azimuth, elevation = NAMED_VIEWS[view]
        elevation = elevation or 4.0
    else:
        azimuth = float(view)
    return fitted(Camera(azimuth, elevation, target, extent, width, height, FOV, str(view)), positions)


def fitted(camera: Camera, positions: np.ndarray) -> Camera:
    """``camera`` moved and zoomed so that ``positions`` fill the picture, with air all round and a little more below for the shadow."""
    for _ in range(3):
        x, y = camera.project(positions)[0][:, :2].T
        grow = max(
            np.ptp(y) / (camera.height * (1 - AIR_ABOVE - AIR_BELOW)), np.ptp(x) / (camera.width * (1 - 2 * AIR_BESIDE))
        )
        right, up, _ = camera.axes
        middle_x = (x.max() + x.min() - camera.width) / 2
        middle_y = (y.max() + y.min() - camera.height) / 2 + (AIR_BELOW - AIR_ABOVE) / 2 * camera.height * grow
        target = np.asarray(camera.target) + (right * middle_x - up * middle_y) * camera.pixel
        camera = replace(camera, target=tuple(float(v) for v in target), extent=camera.extent * float(grow))
    return camera


def turntable(
    avatar: Avatar, frames: int, width: int, height: int, positions: np.ndarray | None = None
) -> list[Camera]:
    """``frames`` cameras around the figure, all at one scale."""
    positions = avatar.mesh.positions if positions is None else positions
    target, extent = framing(positions)
    wide = 2 * float(np.hypot(positions[:, 0] - target[0], positions[:, 2] - target[2]).max()) * height / width
    extent = max(extent, MARGIN * wide)
    return [Camera(360.0 * i / frames, 4.0, target, extent, width, height, FOV, f"turn{i}") for i in range(frames)]


@single_threaded
def render(
    avatar: Avatar,
    view: Camera | str | float = "front",
    size: int | tuple[int, int] = 1024,
    pose: Mapping[str, Any] | None = None,
    expression: Any = None,
    background: Any = None,
    outline: bool = True,
    *,
    offset: Any = None,
    light: tuple[float, float, float] = (-0.46, 0.62, 0.66),
    supersample: int = SUPERSAMPLE,
    device: Any = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``avatar``: (image (H, W, 3) float32 sRGB 0..1, mask (H, W) float32 coverage).

    ``size`` is pixels, or (width, height). ``pose`` maps bones to rotations (see :mod:`.skin`), ``offset`` (3,) moves the hips in metres. ``background``: None leaves black
    under the premultiplied figure, a colour (3 floats) fills, ``"soft"`` draws the pastel ground with a contact shadow.
    ``light`` points to the key light in view space: right, up, towards the eye.
    """
    import torch

    width, height = (size, size) if isinstance(size, int) else size
    positions, normals = posed(avatar, pose, expression, offset)
    camera = camera_for(avatar, view, width, height, positions)
    fine = replace(camera, width=width * supersample, height=height * supersample)
    left, top, right, bottom = _window(fine, positions, supersample)
    buffer = gbuffer(avatar, positions, normals, fine, window=(left, top, right - left, bottom - top), device=device)
    base = flat_color(avatar, buffer)
    color = shade(avatar, buffer, base, light)
    picture = torch.cat([color.clamp(0, 1), torch.ones_like(color[:, :1])], 1)
    small = _reduce(buffer.raster.image(picture), supersample)
    if outline:
        lines = _reduce(draw_lines(avatar, buffer, base, supersample), supersample, soft=True)
        small = small * (1 - lines[:, :, 3:]) + lines
    full = torch.zeros((height, width, 4), device=device)
    full[top // supersample : bottom // supersample, left // supersample : right // supersample] = small
    image, mask = full[:, :, :3], full[:, :, 3:]
    if background is not None:
        if isinstance(background, str):
            from .ground import soft_ground

            behind = torch.as_tensor(
                soft_ground(positions, camera, background, np.asarray(light) @ camera.axes), device=device
            )
        else:
            behind = torch.tensor(background, dtype=torch.float32, device=device).expand(height, width, 3)
        image = image + behind * (1 - mask)
    return image.clamp(0, 1).cpu().numpy(), mask[:, :, 0].cpu().numpy()


@single_threaded
def render_all(
    avatar: Avatar, views: Sequence[Camera | str | float], *args: Any, **kwargs: Any
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`render` of several views side by side: (N, H, W, 3) and (N, H, W)."""
    drawn = each(lambda view: render(avatar, view, *args, **kwargs), views)
    return np.stack([image for image, _ in drawn]), np.stack([mask for _, mask in drawn])


def _window(camera: Camera, positions: np.ndarray, step: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of the picture that the figure and its lines touch, in whole multiples of ``step``."""
    screen = camera.project(positions)[0][:, :2]
    low, high = np.nanmin(screen, 0), np.nanmax(screen, 0)
    size = np.array([camera.width, camera.height])
    margin = 0.006 * camera.height + 4 * step
    low = np.clip(np.floor((np.nan_to_num(low) - margin) / step) * step, 0, size - step)
    high = np.clip(np.ceil((np.nan_to_num(high) + margin) / step) * step, low + step, size)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _reduce(image: torch.Tensor, factor: int, soft: bool = False) -> torch.Tensor:
    """(H, W, K) → (H / factor, W / factor, K) by averaging; ``soft`` also reads one row and column around, which hides the steps of
    thin lines."""
    for axis in (0, 1):
        size = image.shape[axis]
        count = size // factor
        parts = [image.narrow(axis, i, size - i)[_every(axis, factor)] for i in range(factor)]
        total = parts[0].clone()
        for part in parts[1:]:
            total += part
        if soft and factor > 1:
            total *= 3
            total.narrow(axis, 1, count - 1).add_(parts[-1].narrow(axis, 0, count - 1))
            total.narrow(axis, 0, count - 1).add_(parts[0].narrow(axis, 1, count - 1))
            total /= 3 * factor + 2
        else:
            total /= factor
        image = total
    return image


def _every(axis: int, step: int) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(None, None, step),)
