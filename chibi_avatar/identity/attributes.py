"""Attributes without a parsing network (the clean profile): hair, skin, eyes and glasses from one aligned head.

Works in the head frame of :mod:`geometry`: every head has one size and place, so "above the forehead" is a region, not a search. Skin is modelled
from the cheeks; hair is what begins where skin ends on the way up. Nothing here guesses presentation or age: those stay unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .colors import from_lab, hair_color_name, skin_tone, to_hex, to_lab
from .geometry import HEAD_SIZE, head_matrix, warp
from .model import Face, Guess
from .quality import yaw_balance

_CENTRE = np.array([128.0, 122.0])
_RADII = np.array([60.0, 84.0])
# Lightness of skin in a well exposed photo.
_SKIN_LIGHT = 78.0


@dataclass(frozen=True)
class Regions:
    """Where things are in the head frame, all [256, 256] bool, and the skin colour as Lab."""

    hair: np.ndarray
    skin: np.ndarray
    valid: np.ndarray
    skin_lab: np.ndarray
    sureness: float


def _centre(turned: float) -> np.ndarray:
    """The middle of the skull: a turned face moves away from it."""
    return _CENTRE - np.array([18.0 * float(np.clip(turned, -1, 1)), 0.0])


def _grid(turned: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:HEAD_SIZE, 0:HEAD_SIZE].astype(np.float64)
    centre = _centre(turned)
    return x, y, np.hypot((x - centre[0]) / _RADII[0], (y - centre[1]) / _RADII[1])


def _box(x0: int, x1: int, y0: int, y1: int) -> tuple[slice, slice]:
    return slice(y0, y1), slice(x0, x1)


def head_crop(image: np.ndarray, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """The head in the head frame ([256, 256, 3] uint8) and which of its pixels the photo really has ([256, 256] bool)."""
    matrix = head_matrix(face.points)
    inside = warp(np.full(image.shape, 255, np.uint8), matrix, HEAD_SIZE)[:, :, 0] > 200
    return warp(image, matrix, HEAD_SIZE, edge=True), inside


def _skin_model(lab: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and spread of skin from both cheeks and the nose; the darker half of a side-lit face does not decide."""
    samples = [
        lab[part][valid[part]] for part in (_box(96, 114, 134, 158), _box(142, 160, 134, 158), _box(120, 136, 120, 146))
    ]
    pixels = np.vstack(samples)
    if len(pixels) < 100:
        raise ValueError("no skin in the picture")
    middle = np.median(pixels, axis=0)
    near = pixels[np.abs(pixels[:, 0] - middle[0]) < 18]
    middle = np.median(near, axis=0)
    spread = 1.4826 * np.median(np.abs(near - middle), axis=0)
    return middle, np.clip(spread, [4.0, 1.8, 2.2], [9.0, 4.0, 5.0])


def _skin_distance(lab: np.ndarray, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """How unlike skin, in standard deviations; lightness counts less than hue, because faces are lit from one side."""
    return np.sqrt((((lab - middle) / spread / np.array([2.2, 1.4, 1.4])) ** 2).sum(-1))


def find_regions(crop: np.ndarray, valid: np.ndarray, turned: float = 0.0) -> Regions | None:
    """Hair and skin of a head in the head frame, or None when there is no skin to start from.

    ``turned`` is where the nose is between the eyes (:func:`quality.yaw_balance`, -1..1): the skull lies on the other side.
    """
    import cv2

    smooth = cv2.medianBlur(crop, 5)
    lab = to_lab(smooth)
    try:
        middle, spread = _skin_model(lab, valid)
    except ValueError:
        return None
    unlike = _skin_distance(lab, middle, spread)
    x, y, radius = _grid(turned)
    around = lab[(valid & (radius > 1.55) & (y < 200))]
    seeds, lengths = _probe(lab, valid, unlike, turned)
    if len(seeds) < 12:
        return Regions(np.zeros_like(valid), unlike < 2.2, valid, middle, 0.0)
    mode, agreement = _common_color(seeds, around, middle)
    hair = _grow(smooth, lab, valid, seeds[mode, 1:], unlike, from_lab(middle), (x, y, radius))
    # Skin that goes on past the top of a head means a bald one, or hair of the skin's own colour.
    border = float(np.median(lengths))
    sureness = float(np.clip((1.02 - border) / 0.25, 0, 1)) * min(1.0, len(lengths) / 24) * agreement
    return Regions(hair, (unlike < 2.2) & (radius < 1.0), valid, middle, sureness)


def _probe(lab: np.ndarray, valid: np.ndarray, unlike: np.ndarray, turned: float) -> tuple[np.ndarray, list[float]]:
    """Rays from the brow upwards: what comes after the first strong edge, as rows of angle and Lab [N, 4], and where each ray met the edge.

    Foreheads shine, but they shine gradually. Every ray gives up to three pieces, because behind thin hair there may be a wall.
    """
    found, lengths = [], []
    centre = _centre(turned)
    for degrees in range(-60, 61, 4):
        angle = math.radians(degrees)
        steps = np.arange(0.42 + 0.33 * abs(degrees) / 56, 1.5, 0.012)
        px = np.rint(centre[0] + np.sin(angle) * steps * _RADII[0]).astype(int)
        py = np.rint(centre[1] - np.cos(angle) * steps * _RADII[1]).astype(int)
        inside = (px >= 0) & (px < HEAD_SIZE) & (py >= 0) & (py < HEAD_SIZE)
        inside &= np.cumprod(valid[np.clip(py, 0, 255), np.clip(px, 0, 255)]) > 0
        px, py, steps = px[inside], py[inside], steps[inside]
        start = _edge(lab[py, px] * np.array([1.0, 1.5, 1.5]))
        if start is None or steps[start] > 1.0:
            fringe = steps < 0.85
            if fringe.sum() >= 12 and float(np.median(unlike[py, px][fringe])) >= 1.7:
                start = 0  # a fringe covers the forehead: the ray began in it
            elif start is None:
                continue
        lengths.append(float(steps[start]))
        for first in (5, 13, 21):  # the first pixels behind an edge are a blend of both sides
            piece = slice(start + first, start + first + 8)
            if len(px[piece]) == 8 and steps[start + first] < 1.3:
                found.append([degrees, *np.median(lab[py[piece], px[piece]], axis=0)])
    return np.array(found).reshape(-1, 4), lengths


def _common_color(seeds: np.ndarray, around: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, float]:
    """Which of the pieces ``seeds`` [N, 4] have the colour of the hair ([N] bool), and how alone that colour is (0..1).

    The colour that most pieces share wins. Pieces above the brow count more than those at the side, where a turned head shows the wall; the
    colour of the wall itself, found far ``around`` the head, and the colour of the skin count less.
    """
    colors = seeds[:, 1:]
    weight = 0.35 + 0.65 * np.cos(np.radians(seeds[:, 0] * 1.3)) ** 2
    scale = np.array([1.0, 1.5, 1.5])
    if len(around) > 200:
        sample = around[:: max(1, len(around) // 400)]
        near = np.linalg.norm((colors[:, None] - sample[None]) * scale, axis=-1) < 11
        weight = weight * (1 - 0.75 * np.clip(near.mean(1) / 0.25, 0, 1))
    weight = weight * np.clip((np.linalg.norm((colors - skin) * scale, axis=-1) - 6) / 16, 0.1, 1)
    together = np.linalg.norm((colors[:, None] - colors[None]) * scale, axis=-1)
    company = (together < 14) @ weight
    best = int(np.argmax(company * np.maximum(weight, 0.05)))
    centre = np.average(colors, axis=0, weights=weight * (together[best] < 14) + 1e-9)
    mode = np.linalg.norm((colors - centre) * scale, axis=-1) < 17
    return mode, float(np.clip(weight[mode].sum() / max(weight.sum(), 1e-9) * 1.6, 0, 1))


def _edge(profile: np.ndarray) -> int | None:
    """Index of the first strong step along a Lab profile [N, 3], or None: windows of six before and after, peak of their difference."""
    width = 6
    if len(profile) < 3 * width:
        return None
    total = np.vstack([np.zeros(3), np.cumsum(profile, axis=0)])
    mean = (total[width:] - total[:-width]) / width
    jump = np.linalg.norm(mean[width:] - mean[:-width], axis=1)
    limit = max(13.0, 0.42 * float(jump.max()))
    strong = np.flatnonzero(jump >= limit)
    if len(strong) == 0:
        return None
    first = int(strong[0])
    return first + int(np.argmax(jump[first : first + width])) + width


def _grow(
    crop: np.ndarray,
    lab: np.ndarray,
    valid: np.ndarray,
    pixels: np.ndarray,
    unlike: np.ndarray,
    skin: np.ndarray,
    grid: tuple[np.ndarray, ...],
) -> np.ndarray:
    """The hair [256, 256] bool that hangs together with the colours ``pixels`` [N, 3] behind the hairline.

    Colour alone would take the wall with it or leave the highlights out, so hair and the rest are separated by a graph cut over both colour
    models (Rother et al., "GrabCut", 2004) at half the size.
    """
    import cv2

    x, y, radius = grid
    centre = np.median(pixels, axis=0)
    spread = np.clip(1.4826 * np.median(np.abs(pixels - centre), axis=0), [7.0, 3.5, 4.5], [13.0, 7.0, 9.0])
    distance = np.sqrt((((lab - centre) / spread / np.array([1.4, 1.2, 1.2])) ** 2).sum(-1))
    outside = radius > np.where(y < 116, 0.45, 0.78)
    # Long hair may hang before the cheeks: there it must be of the colour, and no skin.
    outside |= (radius > 0.56) & (np.abs(x - 128) > 30) & (distance < 1.6) & (unlike > 2.0)
    outside &= (y < 150) | (np.abs(x - _CENTRE[0]) > 36)  # chin and neck in shade look like hair
    close = (distance < 3.0) & valid & outside & (unlike > distance * 0.4)
    sure = _connected(close & (distance < 2.2) & (radius < 1.45) & (y < 215), radius, y)
    label = np.full(lab.shape[:2], cv2.GC_PR_BGD, np.uint8)
    label[close & (radius < 1.75)] = cv2.GC_PR_FGD
    label[sure] = cv2.GC_FGD
    label[~valid | (radius > 2.0) | ~outside | ((unlike < 1.2) & (radius < 0.8))] = cv2.GC_BGD
    # Brows, lips and locks that fall into the face would teach the background the colour of hair.
    picture = np.where((outside | ~valid)[..., None], crop, skin.astype(np.uint8))
    picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = np.ascontiguousarray(label[::2, ::2])
    if not (small == cv2.GC_FGD).any():
        return np.zeros_like(valid)
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, small, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    cut = np.isin(small, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    cut = cv2.resize(cut, (HEAD_SIZE, HEAD_SIZE), interpolation=cv2.INTER_LINEAR) > 0
    return _connected(cut & valid, radius, y)


def _connected(mask: np.ndarray, radius: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The parts of ``mask`` that reach the crown or the hairline."""
    import cv2

    _, labels = cv2.connectedComponents(
        cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    )
    inside = np.bincount(labels[(radius > 0.6) & (radius < 1.1) & (y < 110)], minlength=labels.max() + 1)
    inside[0] = 0
    return (inside[labels] > 40) & mask


def hair_color(crop: np.ndarray, hair: np.ndarray, sureness: float, skin_light: float = _SKIN_LIGHT) -> Guess | None:
    """Colour of the hair under ``hair`` [256, 256]: the middle of its lightness, without highlights and shadows.

    The name judges lightness by that of the skin beside it (``skin_light``, 0..100), as far as a difference may come from the exposure.
    """
    pixels = to_lab(crop[hair]) if hair.any() else np.zeros((0, 3))
    if len(pixels) < 150:
        return None
    low, high = np.percentile(pixels[:, 0], [30, 80])
    body = pixels[(pixels[:, 0] >= low) & (pixels[:, 0] <= high)]
    middle = np.median(body, axis=0)
    exposure = np.clip(0.8 * (skin_light - _SKIN_LIGHT), -6, 6)
    name, margin = hair_color_name(middle - np.array([exposure, 0, 0]))
    agreement = float(np.clip(1.3 - float(np.std(body[:, 1:], axis=0).mean()) / 12, 0.3, 1.0))
    confidence = sureness * (0.55 + 0.4 * margin) * agreement
    return Guess(to_hex(from_lab(middle)), round(min(confidence, 0.95), 3), name)


def _hair_shape(regions: Regions) -> dict[str, Guess]:
    """Length class and bangs from where the hair is in the head frame."""
    hair, valid = regions.hair, regions.valid
    found: dict[str, Guess] = {}
    sides = np.concatenate([hair[:, 28:92], hair[:, 164:228]], axis=1)
    seen = np.concatenate([valid[:, 28:92], valid[:, 164:228]], axis=1)
    rows = (sides.sum(1) >= 9) & (seen.sum(1) > 40)
    last = int(np.flatnonzero(rows).max()) if rows.any() else 0
    visible = int(np.flatnonzero(seen.sum(1) > 40).max()) if (seen.sum(1) > 40).any() else 0
    if last and visible > 190:
        steps = ((120, "very_short"), (178, "short"), (222, "medium"), (257, "long"))
        name = next(name for limit, name in steps if last < limit)
        edge = min(abs(last - bound) for bound in (120, 178, 222))
        found["hair.length"] = Guess(name, round(regions.sureness * (0.45 + min(edge, 24) / 60), 3))
    forehead = np.s_[76:100, 104:152]
    if regions.valid[forehead].mean() > 0.9:
        cover = float(hair[forehead].mean())
        left, right = hair[76:100, 100:128].mean(), hair[76:100, 128:156].mean()
        if cover > 0.55:
            name, sure = "full", min(1.0, cover)
        elif abs(left - right) > 0.25 and cover > 0.18:
            name, sure = "side_swept", 0.6
        elif cover < 0.1:
            name, sure = "none", 0.7
        else:
            name, sure = "wispy", 0.4
        found["hair.bangs"] = Guess(name, round(regions.sureness * sure * 0.85, 3))
    return found


def _glasses(image: np.ndarray, face: Face) -> Guess | None:
    """Glasses by what skin never has: a bar across the bridge of the nose, and rims below the eyes.

    Needs 60 px between the ears; below that the rims are under a pixel.
    """
    import cv2

    between = float(np.linalg.norm(face.points[1] - face.points[0]))
    if between < 20:
        return None
    scale = 100.0 / between
    matrix = head_matrix(face.points)
    matrix = np.vstack([matrix, [0, 0, 1]])
    zoom = np.array([[scale * between / 48, 0, 0], [0, scale * between / 48, 0], [0, 0, 1.0]])
    matrix = (zoom @ matrix)[:2]
    # 100 px between the eyes: they are at x 217 and 317, y 242.
    strip = warp(image, matrix, 534)[170:360, 150:384]
    grey = cv2.GaussianBlur(cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY), (0, 0), 1.6).astype(np.float32)
    across = np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / 4
    # A bridge is one level line over the whole gap between the eyes: the weakest column of the best row counts.
    gap = across[34:110, 104:131]
    bridge = float(max(np.percentile(gap[row : row + 6].max(0), 20) for row in range(0, gap.shape[0] - 6, 2)))
    rims = []
    for start in (40, 140):
        below = across[92:142, start : start + 56]
        rims.append(
            max(float(np.percentile(below[row : row + 9].max(0), 30)) for row in range(0, below.shape[0] - 9, 2))
        )
    noise = float(np.median(across[100:150, 95:140])) + 1.5
    evidence = 0.6 * bridge / noise + 0.4 * min(rims) / noise
    probability = 1 / (1 + math.exp(-(evidence - 5.0) / 0.9))
    if probability > 0.62:
        return Guess("glasses", round(min(0.9, probability * 0.85), 3))
    if probability < 0.3:
        return Guess("none", round((1 - probability) * 0.75, 3))
    return None


def _eye_color(crop_at: np.ndarray, between: float) -> Guess | None:
    """Iris colour from a ring between pupil and eyelids; only where the eyes are large enough to have one."""
    if between < 70:
        return None
    found = []
    for cx in (104, 152):
        patch = to_lab(crop_at[111:121, cx - 5 : cx + 6].reshape(-1, 3))
        light = patch[:, 0]
        ring = patch[(light > np.percentile(light, 25)) & (light < np.percentile(light, 60))]
        if len(ring) > 8:
            found.append(np.median(ring, axis=0))
    if len(found) < 2 or float(np.linalg.norm(found[0] - found[1])) > 16:
        return None
    light, a, b = np.mean(found, axis=0)
    chroma, hue = math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360
    name = "dark_brown" if light < 24 else "brown"
    if chroma < 5 and light > 40:
        name = "gray"
    elif 190 < hue < 300 and chroma > 5:
        name = "blue"
    elif 95 < hue <= 190 and chroma > 6:
        name = "green"
    drawn = {"dark_brown": "#4a2e20", "brown": "#7a4a2e", "gray": "#9a9a9f", "blue": "#4a78d6", "green": "#4fa35a"}[
        name
    ]
    return Guess(drawn, 0.5 if name in ("blue", "green") else 0.45, name)


def _beard(crop: np.ndarray, regions: Regions) -> Guess | None:
    """Hair on chin and upper lip: darker than the cheeks on both, and nearer to the hair than to the skin."""
    lab = to_lab(crop)
    chin = lab[184:194, 114:142].reshape(-1, 3)
    lip = lab[157:162, 118:138].reshape(-1, 3)
    if not regions.valid[184:194, 114:142].all():
        return None
    drop = float(regions.skin_lab[0] - np.median(chin[:, 0])), float(regions.skin_lab[0] - np.median(lip[:, 0]))
    pale = float(np.hypot(*np.median(chin[:, 1:], axis=0))) < 0.85 * float(np.hypot(*regions.skin_lab[1:]))
    if min(drop) > 18 and pale:
        return Guess("beard", round(min(0.7, 0.3 + min(drop) / 60), 3))
    if max(drop) < 9:
        return Guess("none", 0.55)
    return None


def read_attributes(image: np.ndarray, face: Face) -> dict[str, Guess]:
    """Attributes of one face in an upright photo [H, W, 3] uint8 RGB; what cannot be told is absent. Keys are Character fields."""
    crop, valid = head_crop(image, face)
    regions = find_regions(crop, valid, yaw_balance(face.points))
    if regions is None:
        return {}
    return describe(image, face, crop, regions)


def describe(image: np.ndarray, face: Face, crop: np.ndarray, regions: Regions) -> dict[str, Guess]:
    """Attributes from known regions (found here, or by a parsing network)."""
    found: dict[str, Guess] = {}
    between = float(np.linalg.norm(face.points[1] - face.points[0]))
    resolution = float(np.clip(between / 30, 0.3, 1.0))
    tone, drawn, margin = skin_tone(regions.skin_lab)
    found["skin.color"] = Guess(drawn, round((0.5 + 0.35 * margin) * resolution, 3), tone)
    color = hair_color(crop, regions.hair & regions.valid, regions.sureness, float(regions.skin_lab[0]))
    if color is not None and color.confidence >= 0.2:
        found["hair.color"] = color
        found.update(_hair_shape(regions))
    for path, guess in (
        ("glasses.kind", _glasses(image, face)),
        ("eyes.color", _eye_color(crop, between)),
        ("face.beard", _beard(crop, regions)),
    ):
        if guess is not None:
            found[path] = guess
    return {
        path: Guess(g.value, round(g.confidence * resolution, 3), g.name)
        for path, g in found.items()
        if g.confidence * resolution >= 0.15
    }
