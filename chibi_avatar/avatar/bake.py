"""Bake pictures of an avatar into its texture atlas: registration, visibility, colour matching, blending, filling, padding, report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .blending import AGREE, blend, certainty, comparison, disagreements
from .camera import Camera, Views
from .fill import Continuation, Mirror, Unseen, continuation, fill_surface
from .guides import cut_sheet
from .matching import disagreement, match
from .metrics import decibels, seam_delta_e
from .model import Avatar, AvatarError, Texture
from .padding import Seams
from .refine import Target, refine
from .registration import Fit, fit
from .sampling import bilinear, sample
from .strips import Strips
from .surface import SurfaceGraph, surface_graph
from .texels import TexelBuffer
from .untouched import bystanders, folded, tints
from .visibility import RAMP, Look, ViewTexels, sight
from .workers import each, single_threaded

if TYPE_CHECKING:
    import torch

SIZES = (512, 1024, 2048, 4096)
_MATCH_FROM = 1.5 / 255  # views that differ less than this are left as they are
_COARSE = 512  # texels: the atlas on which views are compared
_OUTSIDE = -2  # owner of a texel that belongs to no chart; -1 where no view reached
_ROUNDS = 2  # of refinement
_CONFLICT = 4 / 255  # median difference of views from which they are different drawings, not the same one seen twice
_BORDER = 5.0  # ΔE2000 between the sides of a seam from which it is a border in the paint
_PLAIN = 0.1  # spread of colours (0..1) up to which nothing is painted: an avatar that was never painted has no mouth to keep
_MEASURED = 1 << 16  # pixels of a view that tell how well it came back
_INKED = 0.15  # how much darker (0..1) than the ring inside them edge pixels are when they are a drawn outline


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
    if len(images) == 1 and count > 1 and _is_sheet(images, views):
        height, width = images.shape[1:3]
        if height % views.rows or width % views.columns:
            raise AvatarError(
                f"{what}: one picture of {width}x{height} cannot be a sheet of {views.columns}x{views.rows} views; "
                f"connect {count} pictures, or the sheet at its original size"
            )
        images = cut_sheet(images[0], count, views.columns)
    if len(images) != count:
        raise AvatarError(
            f"{what}: {len(images)} picture{'s' * (len(images) != 1)} for {count} cameras; connect as many pictures as the guides made, in the same order"
            + ("" if len(images) > 1 else "; for one picture with all views set the guides' layout to sheet")
        )
    for number, (image, camera) in enumerate(zip(images, views.cameras, strict=True)):
        height, width = image.shape[:2]
        if abs(width * camera.height - height * camera.width) > max(camera.width, camera.height):
            raise AvatarError(
                f"{what}: picture {number + 1} is {width}x{height}, its camera {camera.width}x{camera.height}; the shape must be the same "
                "(any resolution will do): do not crop or stretch between guides and bake"
            )
    return list(images)


def _is_sheet(images: np.ndarray, views: Views) -> bool:
    """Whether one picture holds all views: the guides made a sheet, or it is exactly as large as one."""
    first = views.cameras[0]
    return views.sheet or images.shape[1:3] == (views.rows * first.height, views.columns * first.width)


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
    Everything that is one number for a view or for a vertex is found on a coarse atlas; the texels follow in strips, so that memory
    does not grow with their number. Raises :class:`AvatarError` for pictures that do not fit the cameras, masks that are all empty
    and avatars without usable UVs.
    """
    import torch

    options = options or BakeOptions()
    if options.size not in SIZES:
        raise AvatarError(f"atlas size {options.size} must be one of {', '.join(map(str, SIZES))}")
    notes: list[str] = []
    keep = atlas_faces(avatar)
    start = (partial(folded, avatar.mesh), partial(_pictures, images, masks, views, notes))
    shut, (pictures, alphas) = each(lambda job: job(), start)
    sized = [camera.resized(p.shape[1], p.shape[0]) for camera, p in zip(views.cameras, pictures, strict=True)]
    strips = Strips(avatar, keep, ~shut if keep is None else keep & ~shut, sized, device)
    coarse = strips.whole(_COARSE)
    if not len(coarse.texels.pixels):
        raise AvatarError(f"avatar {avatar.name!r} has no texture coordinates inside the atlas: unwrap it first")
    graph = surface_graph(avatar.mesh)
    old = _Old(avatar, device)

    # what each view is worth, on the coarse atlas
    besides = (
        partial(old.paint, coarse.texels.pixels, coarse.texels.faces, _COARSE),
        partial(Mirror, avatar.mesh, device) if options.mirror else lambda: None,
    )
    fits = (partial(fit, look.silhouette, *given) for look, *given in zip(strips.looks, pictures, alphas, strict=True))
    *fitted, paint, mirror = each(lambda job: job(), [*fits, *besides])
    if not options.register:
        fitted = [replace(guess, scale=1.0, shift=(0.0, 0.0), iou=guess.iou_before) for guess in fitted]

    def prepare(
        item: tuple[Look, ViewTexels, Fit, np.ndarray, np.ndarray | None],
    ) -> tuple[_Source, ViewTexels, torch.Tensor]:
        look, view, guess, picture, alpha = item
        tensor = torch.as_tensor(np.require(picture, np.float32, ["C", "W"]), device=device)
        mask = None if alpha is None else torch.as_tensor(alpha, device=device)
        source = _Source(look, guess, tensor, mask)
        view, color = source.read(view)
        if options.trim_outlines:
            source.outline = _outline_width(view, color, paint)
            inner = view.edge >= source.outline
            view, color = view.only(inner), color[inner]
        return source, view, color

    prepared = each(prepare, zip(strips.looks, coarse.views, fitted, pictures, alphas, strict=True))
    sources, seen, colors = (list(column) for column in zip(*prepared, strict=True))
    for number, (camera, source) in enumerate(zip(views.cameras, sources, strict=True)):
        if source.outline:
            notes.append(
                f"view {number + 1}: a drawn outline of {source.outline} pixels inside the silhouette was left out of the texture"
            )
        if source.fit.note:
            notes.append(f"view {number + 1} ({camera.name or round(camera.azimuth)}): {source.fit.note}")
    samples, weights = comparison(len(coarse.texels.pixels), seen, colors)
    first_gap = gap = disagreement(samples, weights)
    if options.match_colors and gap > _MATCH_FROM:
        anchor = max(range(len(seen)), key=lambda i: views.cameras[i].axes[2][2])
        gains, offsets = match(samples, weights, anchor)
        samples = [np.clip(s * g + o, 0, 1) for s, g, o in zip(samples, gains, offsets, strict=True)]
        gap = disagreement(samples, weights)
        for source, color, gain, offset in zip(sources, colors, gains, offsets, strict=True):
            source.gain, source.offset = gain, offset
            source.correct(color)
    fields = disagreements(coarse.texels, graph, samples, weights) if gap > AGREE else None

    def find_rest() -> Continuation:
        color, best = blend(coarse.texels, seen, colors, fields)
        trust = certainty(best, seen)
        return _coarse_rest(avatar, coarse.texels, graph, color, trust, paint, shut, options, mirror)

    # every texel
    size = options.size
    atlas = torch.zeros((size * size, 3), device=device)
    owner = torch.full((size * size,), _OUTSIDE, dtype=torch.int16, device=device)
    tint = None if old.tint is None else torch.zeros_like(atlas)

    def paint_strip(rows: tuple[int, int]) -> tuple[Unseen, torch.Tensor]:
        strip = strips.at(size, rows)
        texels = strip.texels
        read = [source.trimmed(view) for source, view in zip(sources, strip.views, strict=True)]
        color, best = blend(texels, [view for view, _ in read], [color for _, color in read], fields)
        pixels = texels.pixels + rows[0] * size
        missing = torch.nonzero(best < 0).squeeze(1)
        unseen = Unseen(pixels, texels.faces, texels.bary).at(missing)
        if options.strength < 1:
            color = torch.lerp(old.paint(pixels, texels.faces, size), color, float(options.strength))
        color[missing] = old.paint(unseen.pixels, unseen.faces, size)
        atlas[pixels], owner[pixels] = color, best.to(torch.int16)
        if tint is not None:
            tint[pixels] = old.tint[texels.faces]
        return unseen, torch.bincount(best + 1, minlength=len(sources) + 1)

    rest, *done = each(lambda job: job(), [find_rest, *(partial(paint_strip, rows) for rows in strips.rows(size))])
    unseen, painted = (list(column) for column in zip(*done, strict=True))
    painted = sum(painted).tolist()  # texels without a view, and of each view
    texels = sum(painted)
    inside = owner != _OUTSIDE
    covered = owner >= 0
    _warn_overlap(avatar, keep, size, texels, notes)

    def fill_strip(part: Unseen) -> tuple[int, int]:
        done = 0
        if mirror is not None:
            mirrored = mirror.fill(part, atlas, covered)
            done, part = int(mirrored.sum()), part.at(torch.nonzero(~mirrored).squeeze(1))
        fill_surface(part, coarse.texels.triangles, atlas, rest)
        return done, len(part.pixels)

    counts = each(fill_strip, unseen)
    del unseen
    known = inside.clone()
    for beside in bystanders(avatar, keep, size, device):  # what is not painted stays as it was
        free = ~known[beside.pixels]
        pixels = beside.pixels[free]
        atlas[pixels] = old.paint(pixels, beside.faces[free], size)
        known[pixels] = True
        if tint is not None:
            tint[pixels] = old.tint[beside.faces[free]]
    padding = strips.padding(size, known.view(size, size))
    picture = padding.spread(atlas.view(size, size, 3))
    if tint is not None:
        tint = padding.spread(tint.view(size, size, 3))
    del padding  # that of a large atlas is kept nowhere else
    jobs = [partial(source.target, number, size) for number, source in enumerate(sources)]
    *targets, (seams, plain) = each(lambda job: job(), [*jobs, partial(_plain_seams, strips, avatar, size)])
    if options.strength == 1:
        refine(atlas, owner, targets, _ROUNDS, gap > _CONFLICT)
    seams.close(picture, plain)

    result = torch.empty((size, size, 3), dtype=torch.uint8, device=device)

    def quantize(rows: tuple[int, int]) -> None:
        part = slice(*rows)
        result[part] = picture[part].mul_(255).add_(0.5)
        torch.div(result[part], 255, out=picture[part])

    each(quantize, strips.rows(size))
    shown = picture
    if tint is not None:
        result = _untinted(result, tint, notes)
        shown = torch.div(result, 255)
    pixels = result.cpu().numpy()
    textures = list(avatar.textures)
    before = textures[avatar.atlas]
    textures[avatar.atlas] = Texture(before.name, _with_alpha(pixels, before))
    figures = [
        partial(_coverage, avatar, keep, owner, size),
        partial(seam_delta_e, pixels, seams.first[plain], seams.second[plain]),
        *(partial(_error, atlas, target) for target in targets),
    ]
    share, delta, *error = each(lambda job: job(), figures)
    report = {
        "atlas": size,
        "texels": texels,
        "coverage": share,
        "coverage_of_all_texels": round(1 - painted[0] / max(texels, 1), 5),
        "filled_mirror": sum(done for done, _ in counts),
        "filled_surface": sum(others for _, others in counts),
        "fill": rest.way,
        "view_gap": [round(first_gap, 4), round(gap, 4)],
        "views": [
            source.report(camera, count, value)
            for camera, source, count, value in zip(views.cameras, sources, painted[1:], error, strict=True)
        ],
        "seam_delta_e": {
            "median": round(float(np.median(delta)), 3) if len(delta) else 0.0,
            "p99": round(float(np.percentile(delta, 99)), 3) if len(delta) else 0.0,
        },
        "notes": notes,
    }
    coverage = covered.view(size, size).float()
    return BakeResult(avatar.with_textures(textures), shown.cpu().numpy(), coverage.cpu().numpy(), report)


@dataclass
class _Source:
    """One picture as a source of colour: how it lies on its guide and how its colours are corrected."""

    look: Look
    fit: Fit
    picture: torch.Tensor  # (H, W, 3) float32; may be the caller's own memory, so never changed in place
    mask: torch.Tensor | None  # (H, W) bool, where the picture may be used
    outline: int = 0
    gain: np.ndarray = field(default_factory=lambda: np.ones(3))
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def correct(self, color: torch.Tensor) -> torch.Tensor:
        """Colour matching, in place."""
        if (self.gain == 1).all() and (self.offset == 0).all():
            return color
        return color.mul_(color.new_tensor(self.gain)).add_(color.new_tensor(self.offset)).clamp_(0, 1)

    def placed(self, place: torch.Tensor) -> torch.Tensor:
        """Where guide coordinates (N, 2) lie in the picture."""
        middle = place.new_tensor(self.picture.shape[1::-1]) / 2
        return (place - middle).mul_(self.fit.scale).add_(middle + place.new_tensor(self.fit.shift))

    def usable(self, place: torch.Tensor) -> torch.Tensor:
        """(N,) bool: whether picture positions (N, 2) lie in the picture's own mask, which there must be."""
        height, width = self.picture.shape[:2]
        column, row = place.long().unbind(1)
        return self.mask.reshape(-1)[row.clamp_(0, height - 1) * width + column.clamp_(0, width - 1)]  # type: ignore[union-attr]

    def read(self, view: ViewTexels) -> tuple[ViewTexels, torch.Tensor]:
        """The texels whose picture position may be used, and their colours (K, 3)."""
        place = self.placed(view.place)
        if self.mask is not None:
            good = self.usable(place)
            view, place = view.only(good), place[good]
        return view, bilinear(self.picture, place)

    def trimmed(self, view: ViewTexels) -> tuple[ViewTexels, torch.Tensor]:
        """The same without the drawn outline, colours matched."""
        if self.outline:
            view = view.only(view.edge >= self.outline)
        view, color = self.read(view)
        return view, self.correct(color)

    def target(self, number: int, size: int) -> Target:
        """What the baked avatar should look like from here, away from depth edges."""
        import torch

        height, width = self.picture.shape[:2]
        pixels, uv = self.look.pixels, self.look.uv
        if self.outline > 1:
            inner = torch.index_select(self.look.edge, 0, pixels) >= self.outline
            pixels, uv = pixels[inner], uv[inner]
        if self.fit.moved or self.mask is not None:
            row = torch.div(pixels, width, rounding_mode="floor")
            place = self.placed(torch.stack([pixels - row * width, row], 1).float().add_(0.5))
            if self.mask is not None:
                usable = self.usable(place)
                pixels, uv, place = pixels[usable], uv[usable], place[usable]
        if self.fit.moved:
            wanted = bilinear(self.picture, place)
        else:  # pixels are read at their centres
            wanted = torch.index_select(self.picture.view(-1, 3), 0, pixels)
        wanted = self.correct(wanted)
        return Target(number, pixels, wanted, (height, width), size, uv * size)

    def report(self, camera: Camera, texels: int, error: float) -> dict[str, Any]:
        """What a person wants to know about this view."""
        return {
            "name": camera.name or f"{camera.azimuth:g}",
            "iou_before": round(self.fit.iou_before, 4),
            "iou": round(self.fit.iou, 4),
            "scale": round(self.fit.scale, 5),
            "shift_px": [round(v, 3) for v in self.fit.shift],
            "texels": texels,
            "psnr_db": round(error, 2),
            "gain": [round(float(v), 4) for v in self.gain],
            "offset": [round(float(v), 4) for v in self.offset],
        }


def atlas_faces(avatar: Avatar) -> np.ndarray | None:
    """(F,) bool: solid triangles painted from the atlas; None when that is all of them. Thin layers (blush, shadow) keep their texture."""
    painted = np.array([m.texture == avatar.atlas and m.alpha_mode != "BLEND" for m in avatar.materials], bool)
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
        masks = np.asarray(masks)
        if masks.ndim == 3 and len(masks) == 1 and not _is_sheet(masks, views):
            masks = np.repeat(masks, len(views), 0)  # as everywhere in ComfyUI, one mask is for all
        given = split_views(masks, views, "masks")
    for number, image in enumerate(split):
        if image.ndim != 3 or image.shape[2] not in (3, 4):
            raise AvatarError(f"views: picture {number + 1} has {image.shape[-1]} channels; RGB or RGBA is needed")
    cleaned = each(_cleaned, split)
    alphas: list[np.ndarray | None] = []
    for number, (image, (picture, broken)) in enumerate(zip(split, cleaned, strict=True)):
        if broken:
            notes.append(f"view {number + 1}: broken pixels (NaN) were replaced by black")
        alpha = None
        if image.shape[2] == 4 and not image[:, :, 3].min() >= 0.5:
            alpha = image[:, :, 3] > 0.5  # not where it is NaN
        if given is not None:
            mask = given[number]
            if mask.shape != picture.shape[:2]:
                from scipy.ndimage import zoom

                mask = zoom(mask.astype(np.float32), np.divide(picture.shape[:2], mask.shape), order=1)
            alpha = (mask > 0.5) if alpha is None else alpha & (mask > 0.5)
        if alpha is not None and not alpha.any():
            notes.append(f"view {number + 1}: its mask is empty, so this picture was not used")
        alphas.append(alpha)
    if all(alpha is not None and not alpha.any() for alpha in alphas):
        raise AvatarError("the masks of all views are empty: nothing could be baked; white marks what to use")
    return [picture for picture, _ in cleaned], alphas


def _cleaned(image: np.ndarray) -> tuple[np.ndarray, bool]:
    """The colours (H, W, 3) float32 0..1 of a picture, NaN black, and whether there was any number that is none."""
    picture = np.asarray(image[:, :, :3], np.float32)
    if picture.min() >= 0 and picture.max() <= 1:
        return picture, False
    return np.clip(np.nan_to_num(picture), 0, 1), not np.isfinite(picture).all()


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


class _Old:
    """The texture as it was, as it is seen: times the colour factor of each triangle's material, ``tint`` (F, 3) or None."""

    def __init__(self, avatar: Avatar, device: Any) -> None:
        import torch

        pixels = avatar.textures[avatar.atlas].pixels
        self._pixels = (
            None if pixels is None else torch.as_tensor(np.ascontiguousarray(pixels[:, :, :3]), device=device)
        )
        self.tint = tints(avatar, device)

    def paint(self, pixels: torch.Tensor, faces: torch.Tensor, size: int) -> torch.Tensor:
        """Colours (N, 3) float32 0..1 of texels ``pixels`` (N,) of a ``size``² atlas, on triangles ``faces`` (N,)."""
        color = self._texture(pixels, size)
        return color if self.tint is None else color.mul_(self.tint[faces])

    def _texture(self, pixels: torch.Tensor, size: int) -> torch.Tensor:
        import torch

        old = self._pixels
        if old is None:
            return torch.full((len(pixels), 3), 0.8, device=pixels.device)
        flat = old.view(-1, 3)
        if old.shape[:2] == (size, size):
            return torch.index_select(flat, 0, pixels).float().div_(255)
        row = torch.div(pixels, size, rounding_mode="floor")
        column = pixels - row * size
        step = old.shape[0] // size
        if old.shape[:2] == (step * size, step * size) and step % 2 == 0:
            # a texel's centre lies between the four middle ones under it
            width = step * size
            first = (row * step + (step // 2 - 1)) * width + column * step + (step // 2 - 1)
            total = torch.index_select(flat, 0, first).float()
            for beside in (1, width, width + 1):
                total += torch.index_select(flat, 0, first + beside)
            return total.div_(4 * 255)
        return sample(old, torch.stack([column, row], 1).float().add_(0.5).div_(size)).div_(255)


def _untinted(shown: torch.Tensor, tint: torch.Tensor, notes: list[str]) -> torch.Tensor:
    """The texture (S, S, 3) uint8 that looks like ``shown`` under the materials' colours ``tint``."""
    import torch

    texture = shown.float() / tint.clamp(min=1 / 255)
    bright = float((texture > 258).any(2).float().mean())
    if bright > 0.001:
        notes.append(
            f"{bright:.0%} of the texture cannot be as bright as it was drawn: the material's own colour darkens it; set that to white first"
        )
    return texture.add_(0.5).clamp_(0, 255).to(torch.uint8)


def _with_alpha(pixels: np.ndarray, old: Texture) -> np.ndarray:
    """New colours under the old alpha channel, where the texture had one that says anything."""
    if old.pixels is None or old.pixels.shape[2] != 4 or old.pixels[:, :, 3].min() == 255:
        return pixels
    from PIL import Image

    alpha = Image.fromarray(old.pixels[:, :, 3]).resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)
    return np.dstack([pixels, np.asarray(alpha)])


def _warn_overlap(avatar: Avatar, keep: np.ndarray | None, size: int, texels: int, notes: list[str]) -> None:
    """Say so when triangles share texels: the bake paints them by the first one."""
    mesh = avatar.mesh
    faces = mesh.faces if keep is None else mesh.faces[keep]
    uv = mesh.uvs[faces].astype(np.float64) * size
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = float(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2)
    shared = 1 - texels / max(area, 1.0)
    if shared > 0.02:
        notes.append(
            f"{shared:.0%} of the texture is shared by several places of the mesh (mirrored or overlapping UVs)"
        )


def _plain_seams(strips: Strips, avatar: Avatar, size: int) -> tuple[Seams, np.ndarray]:
    """The seams, and (N,) bool: their points where the old texture goes on from one side to the other. Where a sole meets its shoe it does
    not, and closing the seam would smear both."""
    seams = strips.seams(size)
    pixels = avatar.textures[avatar.atlas].pixels
    if pixels is None:
        return seams, np.ones(len(seams.first), bool)
    scale = np.array(pixels.shape[1::-1]) / size
    return seams, seam_delta_e(pixels[:, :, :3], seams.first * scale, seams.second * scale) < _BORDER


def _coarse_rest(
    avatar: Avatar,
    texels: TexelBuffer,
    graph: SurfaceGraph,
    color: torch.Tensor,
    trust: torch.Tensor,
    paint: torch.Tensor,
    shut: np.ndarray,
    options: BakeOptions,
    mirror: Mirror | None,
) -> Continuation:
    """What fills the unseen places, from the coarse atlas: its mirrored texels count as seen. What is ``shut`` (F,) bool at rest
    keeps its paint, for the colours around a mouth say nothing of its inside."""
    import torch

    if options.strength < 1:
        color = torch.lerp(paint, color, float(options.strength))
    if mirror is not None:
        atlas = texels.image(torch.cat([color, trust[:, None]], 1)).reshape(-1, 4)
        places = Unseen(texels.pixels, texels.faces, texels.bary).at(torch.nonzero(trust == 0).squeeze(1))
        mirror.fill(places, atlas, atlas[:, 3] > 0)
        color, trust = atlas[texels.pixels].split([3, 1], 1)
        trust = trust[:, 0]
    rest = continuation(texels, graph, color, trust, paint, _parts(avatar), options.fill)
    inside = torch.as_tensor(shut, device=paint.device)
    painted = paint[inside[texels.faces]]
    if len(painted) and float((painted.amax(0) - painted.amin(0)).max()) > _PLAIN:
        rest.reached &= ~inside
    return rest


def _parts(avatar: Avatar) -> np.ndarray:
    """(F,) int: what is one piece of colouring: the zones of our own base, else the parts."""
    zones = avatar.meta.get("face_zone")
    return avatar.mesh.face_part if zones is None or len(zones) != len(avatar.mesh.faces) else zones


def _coverage(avatar: Avatar, keep: np.ndarray | None, owner: torch.Tensor, size: int) -> float:
    """How much of what is to be seen from all around the views painted."""
    place = np.clip((sight(avatar, keep, owner.device) * size).astype(np.int64), 0, size - 1)
    there = owner.cpu().numpy()[place[:, 1] * size + place[:, 0]]
    return round(float(np.count_nonzero(there >= 0) / max(np.count_nonzero(there != _OUTSIDE), 1)), 5)


def _error(atlas: torch.Tensor, target: Target) -> float:
    """PSNR in dB of the baked atlas (S·S, 3), in 8 bits, against one registered, colour-matched view: of every n-th pixel of a large one."""
    import torch

    if not len(target.wanted):
        return 0.0
    some = slice(None, None, max(len(target.wanted) // _MEASURED, 1))
    return decibels(float(target.read(atlas, some).sub_(target.wanted[some]).square_().mean(dtype=torch.float64)))
