"""The toon render: supersampled, two-step shade, coloured outlines, soft ground; and the turntable sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .camera import MARGIN, NAMED_VIEWS, Camera, framing
from .gbuffer import gbuffer, surface_color
from .model import Avatar, AvatarError
from .outline import draw_lines
from .skin import posed
from .toon import shade

SUPERSAMPLE = 2


def camera_for(
    avatar: Avatar, view: Camera | str | float, width: int, height: int, positions: np.ndarray | None = None
) -> Camera:
    """A camera from a name (``front``, ``three_quarter``, ``left``, ``back``, ``face``, …), an azimuth in degrees, or a Camera.

    Named views frame the whole figure as it stands in ``positions`` (default: at rest) with a little air, in soft perspective.
    """
    if isinstance(view, Camera):
        return view.resized(width, height)
    target, extent = framing(avatar.mesh.positions if positions is None else positions)
    extent = max(extent * MARGIN, extent * MARGIN * height / width)
    azimuth, elevation = 0.0, 4.0
    if isinstance(view, str):
        if view == "face":
            head = np.asarray(avatar.joints[avatar.bone("head")].position)
            eye = head + np.asarray(avatar.look_offset)
            return Camera(0, 0, (0.0, float(eye[1]), 0.0), extent * 0.5, width, height, 20.0, view)
        if view not in NAMED_VIEWS:
            raise AvatarError(f"no view {view!r}: choose one of {', '.join([*NAMED_VIEWS, 'face'])}, or an azimuth in degrees")
        azimuth, elevation = NAMED_VIEWS[view]
        elevation = elevation or 4.0
    else:
        azimuth = float(view)
    return Camera(azimuth, elevation, target, extent, width, height, 20.0, str(view))


def render(
    avatar: Avatar,
    view: Camera | str | float = "front",
    size: int | tuple[int, int] = 1024,
    pose: Mapping[str, Any] | None = None,
    expression: Any = None,
    background: Any = None,
    outline: bool = True,
    *,
    light: tuple[float, float, float] = (-0.5, 0.62, 0.6),
    supersample: int = SUPERSAMPLE,
    device: Any = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``avatar``: (image (H, W, 3) float32 sRGB 0..1, mask (H, W) float32 coverage).

    ``size`` is pixels, or (width, height). ``pose`` maps bones to rotations (see :mod:`.skin`). ``background``: None leaves black
    under the premultiplied figure, a colour (3 floats) fills, ``"soft"`` draws the pastel ground with a contact shadow.
    ``light`` points to the key light in view space: right, up, towards the eye.
    """
    import torch

    width, height = (size, size) if isinstance(size, int) else size
    positions, normals = posed(avatar, pose, expression)
    camera = camera_for(avatar, view, width, height, positions)
    fine = replace(camera, width=width * supersample, height=height * supersample)
    buffer = gbuffer(avatar, positions, normals, fine, device=device)
    base = surface_color(avatar, buffer.raster.faces, buffer.at(avatar.mesh.uvs.astype(np.float32)))
    color = shade(avatar, buffer, base[:, :3], light)
    picture = torch.cat([color.clamp(0, 1), torch.ones_like(color[:, :1])], 1)
    picture = buffer.raster.image(picture)
    if outline:
        picture = draw_lines(avatar, buffer, base[:, :3], picture, supersample)
    small = picture.reshape(height, supersample, width, supersample, 4).mean((1, 3))
    image, mask = small[:, :, :3], small[:, :, 3:]
    if background is not None:
        if isinstance(background, str):
            from .ground import soft_ground

            behind = torch.as_tensor(soft_ground(positions, camera, background), device=device)
        else:
            behind = torch.tensor(background, dtype=torch.float32, device=device).expand(height, width, 3)
        image = image + behind * (1 - mask)
    return image.clamp(0, 1).cpu().numpy(), mask[:, :, 0].cpu().numpy()
