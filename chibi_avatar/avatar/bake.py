"""Bake pictures of an avatar into its texture atlas: registration, visibility, colour matching, blending, filling, padding, report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .blending import blend, comparison, sample_view
from .camera import Views
from .fill import fill_mirror, fill_surface
from .gbuffer import sample
from .guides import cut_sheet
from .matching import disagreement, match
from .metrics import psnr, seam_delta_e
from .model import Avatar, AvatarError, Texture
from .padding import close_seams, pull_push, seam_points
from .registration import Fit, fit
from .surface import SurfaceGraph
from .texels import TexelBuffer, mesh_digest, texel_gbuffer
from .visibility import RAMP, ViewTexels, exposed, see
from .workers import each, single_threaded

if TYPE_CHECKING:
    import torch

__all__ = ["BakeOptions", "BakeResult", "TexelBuffer", "bake", "texel_gbuffer"]

SIZES = (512, 1024, 2048, 4096)
_MATCH_FROM = 1.5 / 255  # views that differ less than this are left as they are
_THIN = 29  # every so many texels are tested for being visible from anywhere
_INKED = 0.15  # how much darker (0..1) than the ring inside them edge pixels are when they are a drawn outline
_GRAPHS: dict[str, SurfaceGraph] = {}


@dataclass(frozen=True)
class BakeOptions:
    """Choices of a bake. ``fill`` is auto, paint or surface (see :func:`.fill.fill_surface`); ``strength`` mixes with the old texture;
    ``trim_outlines`` leaves drawn silhouette lines out: the avatar makes its own, and a baked one smears over the sides."""

    size: int = 2048
    register: bool = True
    match_colors: bool = True
    mirror: bool = True
    fill: str = "auto"
    strength: float = 1.0
    trim_outlines: bool = True


@dataclass
class BakeResult:
    """``atlas`` (S, S, 3) float32 0..1, ``coverage`` (S, S) float32 1 where a view was used, ``report`` JSON-ready."""

    avatar: Avatar
    atlas: np.ndarray
    coverage: np.ndarray
    report: dict[str, Any] = field(default_factory=dict)


def split_views(images: np.ndarray, views: Views, what: str = "views") -> list[np.ndarray]:
    """Pictures of the views, from a batch (N, H, W[, K]) or one sheet (1, rows·H, columns·W[, K]).

    Raises :class:`AvatarError` when the count or the shape does not fit the cameras.
    """
    count = len(views)
    images = np.asarray(images)
    if images.ndim not in (3, 4) or min(images.shape[1:3], default=0) < 16:
        raise AvatarError(
            f"{what}: expected a batch of pictures of at least 16 pixels, got shape {tuple(images.shape)}"
        )
    if len(images) == 1 and count > 1:
        height, width = images.shape[1:3]
        if height % views.rows or width % views.columns:
            raise AvatarError(
                f"{what}: one picture of {width}x{height} cannot be a sheet of {views.columns}x{views.rows} views; "
                f"connect {count} pictures, or the sheet at its original size"
            )
        images = cut_sheet(images[0], count, views.columns)
    if len(images) != count:
        raise AvatarError(
            f"{what}: {len(images)} pictures for {count} cameras; connect as many pictures as the guides made, in the same order"
        )
    for number, (image, camera) in enumerate(zip(images, views.cameras, strict=True)):
        height, width = image.shape[:2]
        if abs(width * camera.height - height * camera.width) > max(camera.width, camera.height):
            raise AvatarError(
                f"{what}: picture {number + 1} is {width}x{height}, its camera {camera.width}x{camera.height}; the shape must be the same "
                "(any resolution will do): do not crop or stretch between guides and bake"
            )
    return list(images)


@single_threaded
def bake(
    avatar: Avatar,
    images: np.ndarray,
    views: Views,
    options: BakeOptions | None = None,
    masks: np.ndarray | None = None,
    device: Any = "cpu",
) -> BakeResult:
    """Bake ``images`` (N, H, W, 3 or 4) float 0..1, or one sheet, seen through ``views``, into the atlas of ``avatar``.

    ``masks`` (N, H, W): where the pictures may be used; a fourth image channel counts as mask. The avatar itself is not changed.
    Raises :class:`AvatarError` for pictures that do not fit the cameras, masks that are all empty and avatars without usable UVs.
    """
    import torch

    options = options or BakeOptions()
    if options.size not in SIZES:
        raise AvatarError(f"atlas size {options.size} must be one of {', '.join(map(str, SIZES))}")
    notes: list[str] = []
    pictures, alphas = _pictures(images, masks, views, notes)
    keep = atlas_faces(avatar)
    texels = texel_gbuffer(avatar.mesh, options.size, keep=keep, device=device, cache=options.size <= 2048)
    if not len(texels.pixels):
        raise AvatarError(f"avatar {avatar.name!r} has no texture coordinates inside the atlas: unwrap it first")
    graph = _graph(avatar)
    _warn_overlap(avatar, keep, texels, notes)

    paint = _paint(avatar, texels)
    sized = [camera.resized(p.shape[1], p.shape[0]) for camera, p in zip(views.cameras, pictures, strict=True)]

    def prepare(
        item: tuple[ViewTexels, np.ndarray, np.ndarray | None],
    ) -> tuple[Fit, ViewTexels, torch.Tensor, torch.Tensor, int]:
        view, picture, alpha = item
        guess = fit(view.mask, picture, alpha)
        if not options.register:
            guess = replace(guess, scale=1.0, shift=(0.0, 0.0), iou=guess.iou_before)
        tensor = torch.as_tensor(np.ascontiguousarray(picture, np.float32), device=device)
        if alpha is not None:
            view = _masked(view, alpha, guess)
        color = sample_view(tensor, view, guess.scale, guess.shift)
        outline = _outline_width(view, color, paint) if options.trim_outlines else 0
        if outline:
            inner = view.edge >= outline
            view, color = view.only(inner), color[inner]
        return guess, view, tensor, color, outline

    prepared = each(prepare, zip(see(avatar, texels, sized), pictures, alphas, strict=True))
    fits, seen, tensors, colors, outlines = (list(column) for column in zip(*prepared, strict=True))
    for number, (camera, guess, outline) in enumerate(zip(views.cameras, fits, outlines, strict=True)):
        if outline:
            notes.append(
                f"view {number + 1}: a drawn outline of {outline} pixels inside the silhouette was left out of the texture"
            )
        if guess.note:
            notes.append(f"view {number + 1} ({camera.name or round(camera.azimuth)}): {guess.note}")

    gains, offsets = np.ones((len(seen), 3)), np.zeros((len(seen), 3))
    samples, weights = comparison(texels, seen, colors)
    gap = disagreement(samples, weights)
    first_gap = gap
    if options.match_colors and gap > _MATCH_FROM:
        anchor = max(range(len(seen)), key=lambda i: views.cameras[i].axes[2][2])
        gains, offsets = match(samples, weights, anchor)
        for number, color in enumerate(colors):
            color.mul_(color.new_tensor(gains[number])).add_(color.new_tensor(offsets[number])).clamp_(0, 1)
        gap = disagreement([np.clip(s * g + o, 0, 1) for s, g, o in zip(samples, gains, offsets, strict=True)], weights)
    color, covered = blend(texels, graph, seen, colors, gap)
    colors.clear()
    del prepared
    if options.strength < 1:
        color[covered] = torch.lerp(paint[covered], color[covered], float(options.strength))
    mirrored = fill_mirror(texels, avatar.mesh, color, covered) if options.mirror else torch.zeros_like(covered)
    filled, way = fill_surface(texels, graph, color, covered | mirrored, paint, options.fill)

    atlas = texels.image(color)
    inside = texels.raster.face >= 0
    first, second = seam_points(avatar.mesh, options.size, keep)
    close_seams(atlas, inside, first, second)
    atlas = pull_push(atlas, inside)
    coverage = texels.image(covered.float()).cpu().numpy()
    result = (atlas.cpu().numpy() * 255 + 0.5).astype(np.uint8)
    textures = list(avatar.textures)
    old = textures[avatar.atlas]
    textures[avatar.atlas] = Texture(old.name, _with_alpha(result, old))
    baked = avatar.with_textures(textures)
    error = each(lambda item: _rerender(atlas, *item), zip(seen, tensors, fits, gains, offsets, strict=True))
    smooth = result.astype(np.float32) / 255
    report = _report(
        avatar, texels, views, fits, seen, error, covered, mirrored, filled, way, (first_gap, gap), gains, offsets
    )
    delta = seam_delta_e(smooth, first, second)
    report["seam_delta_e"] = {
        "median": round(float(np.median(delta)), 3) if len(delta) else 0.0,
        "p99": round(float(np.percentile(delta, 99)), 3) if len(delta) else 0.0,
    }
    report["notes"] = notes
    return BakeResult(baked, smooth, coverage, report)


def atlas_faces(avatar: Avatar) -> np.ndarray | None:
    """(F,) bool: opaque triangles painted from the atlas; None when that is all of them. Overlays (brows, lashes) keep their texture."""
    painted = np.array([m.texture == avatar.atlas and m.alpha_mode == "OPAQUE" for m in avatar.materials], bool)
    if not painted.any():
        painted = np.array([m.texture == avatar.atlas for m in avatar.materials], bool)
    if not painted.any() or not len(avatar.textures):
        raise AvatarError(f"avatar {avatar.name!r} has no material that uses its atlas texture")
    return None if painted.all() else painted[avatar.mesh.face_material]


def _pictures(
    images: np.ndarray, masks: np.ndarray | None, views: Views, notes: list[str]
) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
    """Colour pictures (H, W, 3) and their masks (H, W) bool or None."""
    if not len(views):
        raise AvatarError("the view set has no cameras: connect the views output of Chibi Avatar Guides")
    split = split_views(images, views)
    given: list[np.ndarray] | None = None
    if masks is not None:
        given = split_views(np.asarray(masks), views, "masks")
    pictures: list[np.ndarray] = []
    alphas: list[np.ndarray | None] = []
    for number, image in enumerate(split):
        if image.ndim != 3 or image.shape[2] not in (3, 4):
            raise AvatarError(f"views: picture {number + 1} has {image.shape[-1]} channels; RGB or RGBA is needed")
        if not np.isfinite(image).all():
            image = np.nan_to_num(image, nan=0.0, posinf=1.0, neginf=0.0)
            notes.append(f"view {number + 1}: broken pixels (NaN) were replaced by black")
        alpha = None
        if image.shape[2] == 4 and image[:, :, 3].min() < 0.5:
            alpha = image[:, :, 3] > 0.5
        if given is not None:
            mask = given[number]
            if mask.shape != image.shape[:2]:
                from scipy.ndimage import zoom

                mask = zoom(mask.astype(np.float32), np.divide(image.shape[:2], mask.shape), order=1)
            alpha = (mask > 0.5) if alpha is None else alpha & (mask > 0.5)
        if alpha is not None and not alpha.any():
            notes.append(f"view {number + 1}: its mask is empty, so this picture was not used")
        pictures.append(np.clip(image[:, :, :3], 0, 1))
        alphas.append(alpha)
    if all(alpha is not None and not alpha.any() for alpha in alphas):
        raise AvatarError("the masks of all views are empty: nothing could be baked; white marks what to use")
    return pictures, alphas


def _graph(avatar: Avatar) -> SurfaceGraph:
    key = mesh_digest(avatar.mesh)
    if key not in _GRAPHS:
        _GRAPHS.clear()
        _GRAPHS[key] = SurfaceGraph(avatar.mesh)
    return _GRAPHS[key]


def _masked(view: ViewTexels, alpha: np.ndarray, guess: Fit) -> ViewTexels:
    """Only the texels whose picture position lies in the picture's own mask."""
    import torch

    height, width = alpha.shape
    x = (width / 2 + guess.scale * (view.x - width / 2) + guess.shift[0]).long().clamp_(0, width - 1)
    y = (height / 2 + guess.scale * (view.y - height / 2) + guess.shift[1]).long().clamp_(0, height - 1)
    good = torch.as_tensor(alpha, device=view.x.device).reshape(-1)[y * width + x]
    return view.only(good)


def _outline_width(view: ViewTexels, color: torch.Tensor, paint: torch.Tensor) -> int:
    """How many pixels along the silhouette and depth edges are a drawn outline: clearly darker than the ring just inside them, and
    not because the paint (C, 3) is darker there too."""
    import torch

    tone = (color - torch.index_select(paint, 0, view.index)) @ color.new_tensor([0.3, 0.59, 0.11])
    rings = [tone[view.edge == step] for step in range(RAMP)]
    if min(len(ring) for ring in rings) < 50:
        return 0
    middle = [float(torch.median(ring)) for ring in rings]
    width = 0
    while width < RAMP - 1 and middle[width] < middle[-1] - _INKED:
        width += 1
    return width


def _paint(avatar: Avatar, texels: TexelBuffer) -> Any:
    """The old texture at the covered texels (C, 3) float32 0..1."""
    import torch

    pixels = avatar.textures[avatar.atlas].pixels
    device = texels.position.device
    if pixels is None:
        return torch.full((len(texels.pixels), 3), 0.8, device=device)
    image = torch.as_tensor(np.ascontiguousarray(pixels[:, :, :3]), device=device)
    if image.shape[:2] == (texels.size, texels.size):
        return torch.index_select(image.reshape(-1, 3), 0, texels.pixels).float().div_(255)
    row = torch.div(texels.pixels, texels.size, rounding_mode="floor")
    place = torch.stack([texels.pixels % texels.size, row], 1).float().add_(0.5).div_(texels.size)
    return sample(image, place).div_(255)


def _with_alpha(pixels: np.ndarray, old: Texture) -> np.ndarray:
    """New colours under the old alpha channel, where the texture had one that says anything."""
    if old.pixels is None or old.pixels.shape[2] != 4 or old.pixels[:, :, 3].min() == 255:
        return pixels
    from PIL import Image

    alpha = Image.fromarray(old.pixels[:, :, 3]).resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)
    return np.dstack([pixels, np.asarray(alpha)])


def _warn_overlap(avatar: Avatar, keep: np.ndarray | None, texels: TexelBuffer, notes: list[str]) -> None:
    """Say so when triangles share texels: the bake paints them by the first one."""
    mesh = avatar.mesh
    faces = mesh.faces if keep is None else mesh.faces[keep]
    uv = mesh.uvs[faces].astype(np.float64) * texels.size
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = float(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2)
    shared = 1 - len(texels.pixels) / max(area, 1.0)
    if shared > 0.02:
        notes.append(
            f"{shared:.0%} of the texture is shared by several places of the mesh (mirrored or overlapping UVs)"
        )


def _rerender(atlas: Any, view: ViewTexels, picture: Any, guess: Fit, gain: np.ndarray, offset: np.ndarray) -> float:
    """PSNR in dB of the baked avatar against one registered, colour-matched view, on a third of its pixels, depth edges left out."""
    import torch

    height, width = picture.shape[:2]
    if not len(view.check):
        return 0.0
    x = (view.check % width + 0.5) / width
    y = (torch.div(view.check, width, rounding_mode="floor") + 0.5) / height
    x = 0.5 + guess.scale * (x - 0.5) + guess.shift[0] / width
    y = 0.5 + guess.scale * (y - 0.5) + guess.shift[1] / height
    wanted = sample(picture, torch.stack([x, y], 1))
    wanted = (wanted * wanted.new_tensor(gain) + wanted.new_tensor(offset)).clamp(0, 1)
    return psnr(sample(atlas, view.check_uv).cpu().numpy(), wanted.cpu().numpy())


def _report(
    avatar: Avatar,
    texels: TexelBuffer,
    views: Views,
    fits: list[Fit],
    seen: list[ViewTexels],
    error: list[float],
    covered: Any,
    mirrored: Any,
    filled: Any,
    way: str,
    gaps: tuple[float, float],
    gains: np.ndarray,
    offsets: np.ndarray,
) -> dict[str, Any]:
    total = len(texels.pixels)
    outside = exposed(avatar, texels, _THIN)
    seen_count = int(covered.sum())
    rows = []
    for camera, guess, view, value, gain, offset in zip(views.cameras, fits, seen, error, gains, offsets, strict=True):
        rows.append(
            {
                "name": camera.name or f"{camera.azimuth:g}",
                "iou_before": round(guess.iou_before, 4),
                "iou": round(guess.iou, 4),
                "scale": round(guess.scale, 5),
                "shift_px": [round(v, 3) for v in guess.shift],
                "texels": int(len(view.index)),
                "psnr_db": round(value, 2),
                "gain": [round(float(v), 4) for v in gain],
                "offset": [round(float(v), 4) for v in offset],
            }
        )
    return {
        "atlas": texels.size,
        "texels": total,
        "coverage": round(float((covered[::_THIN] & outside).sum() / max(int(outside.sum()), 1)), 5),
        "coverage_of_all_texels": round(seen_count / total, 5),
        "filled_mirror": int(mirrored.sum()),
        "filled_surface": int(filled.sum()),
        "fill": way,
        "view_gap": [round(gaps[0], 4), round(gaps[1], 4)],
        "views": rows,
    }
