"""Fit a drawn view to its guide: find the figure in the picture, then a small scale and shift that lays it on the guide's mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sampling import bilinear

LIMIT = 0.02  # largest scale change, and largest shift as a fraction of the picture
_WORK = 256  # pixels of the longer side while fitting: blurred outlines give shifts to a tenth of these
_WORTH = 0.002  # gain in IoU below which a fit is noise
_IN_PLACE = 0.1  # pixels of the work: a fit that moves less after some turns wins nothing by going on
_SHARE = 0.1  # and the share of what was missing that it must win: white hair on white paper lacks an outline that no shift brings back
_SHARE_AT_LIMIT = 0.3  # the same for a fit that ran into the limit


@dataclass(frozen=True)
class Fit:
    """Picture position = centre + scale · (guide position - centre) + shift, in pixels of the picture."""

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    iou_before: float = 1.0
    iou: float = 1.0
    note: str = ""

    @property
    def moved(self) -> bool:
        """Whether the picture lies elsewhere than the guide."""
        return self.scale != 1 or self.shift != (0.0, 0.0)


class Silhouette:
    """A guide's mask (H, W) bool as pictures are laid on it: thinned, how far inside it each pixel lies, and blurred."""

    def __init__(self, mask: np.ndarray) -> None:
        from scipy.ndimage import distance_transform_cdt

        self.inside = _thin(mask)
        self.depth = distance_transform_cdt(self.inside, "taxicab")
        self.blurred = _blurred(self.inside)


def _blurred(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(mask.astype(np.float32), 2.0)


def _thin(image: np.ndarray) -> np.ndarray:
    """Every n-th pixel of every n-th row, about ``_WORK`` on the longer side. Not averaged: mixed edge pixels would fatten the figure."""
    step = max(1, max(image.shape[:2]) // _WORK)
    return image[step // 2 :: step, step // 2 :: step]


def foreground(image: np.ndarray, guide: Silhouette, tolerance: float = 0.06) -> np.ndarray:
    """Where the figure is in a thinned picture (H, W, 3) on a plain or softly shaded background: (H, W) bool.

    The background is a plane of colour fitted to the border and followed inwards as far as it connects, plus enclosed patches of that
    colour that the ``guide`` has outside the figure. Deep inside the guide nothing is background: clothes may be white.
    """
    from scipy.ndimage import label, maximum_filter

    height, width = image.shape[:2]
    x, y = np.arange(width, dtype=np.float32) / width - 0.5, np.arange(height, dtype=np.float32) / height - 0.5
    rim = np.zeros((height, width), bool)
    edge = max(1, min(height, width) // 64)
    rim[:edge] = rim[-edge:] = rim[:, :edge] = rim[:, -edge:] = True
    colors = image[rim]
    row, column = np.nonzero(rim)
    places = np.stack([np.ones(len(row), np.float32), x[column], y[row]], 1)
    keep = np.ones(len(colors), bool)
    model = np.zeros((3, image.shape[2]), np.float32)
    for _ in range(3):  # the figure may touch the border: drop what does not fit and fit again
        if keep.sum() < 16:
            break
        model = np.linalg.lstsq(places[keep], colors[keep], rcond=None)[0]
        error = _largest(np.abs(colors - places @ model))
        keep = error < max(tolerance, 1.5 * float(np.median(error)))
    plane = model[0] + x[:, None] * model[1] + y[:, None, None] * model[2]
    difference = _largest(np.abs(image - plane))
    # a pixel that is half figure, half background belongs to the nearer of the two
    near = difference < np.maximum(tolerance, 0.5 * maximum_filter(difference, 3))
    near &= guide.depth <= 1.5 * LIMIT * max(height, width)
    labels, count = label(near)
    size = np.bincount(labels.ravel(), minlength=count + 1)
    outside = np.bincount(labels.ravel(), ~guide.inside.ravel(), count + 1) > 0.5 * size
    outside[np.unique(labels[rim])] = True
    outside[0] = False
    return ~outside[labels]


def _largest(values: np.ndarray) -> np.ndarray:
    """The largest of the channels (…, 3): (…). ``max`` takes ten times as long."""
    return np.maximum(np.maximum(values[..., 0], values[..., 1]), values[..., 2])


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks; 1 for two empty ones."""
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 1.0


def fit(guide: Silhouette, image: np.ndarray, alpha: np.ndarray | None = None) -> Fit:
    """Register a picture (H, W, 3) to the ``guide``, which is as large, by Gauss-Newton on blurred silhouettes, at most 2 %.

    ``alpha`` (H, W) is the picture's own mask when it has one. When the figure cannot be told from its background the fit stays at
    identity and ``note`` says so. A fit is kept only if it raises the IoU.
    """
    import torch
    from scipy.ndimage import maximum_filter

    inside = guide.inside
    mask = foreground(_thin(image), guide) if alpha is None else _thin(alpha)
    before = iou(mask, inside)
    if before < 0.5:
        return Fit(1.0, (0.0, 0.0), before, before, "the figure was not found against its background; not registered")
    if before > 0.9995:
        return Fit(1.0, (0.0, 0.0), before, before)
    moving, fixed = _blurred(mask), guide.blurred
    height, width = fixed.shape
    cx, cy = (width - 1) / 2, (height - 1) / 2
    gy, gx = np.gradient(moving)
    # only what an outline can reach within the limit says anything
    soft = ((moving > 0.01) & (moving < 0.99)) | ((fixed > 0.01) & (fixed < 0.99))
    near = maximum_filter(soft, 2 * int(LIMIT * max(height, width)) + 1)
    near[::2] = near[:, ::2] = False  # blurred: one point of four says it all
    y, x = np.nonzero(near)
    still = fixed[y, x]
    side = float(max(height, width))
    steepness = torch.as_tensor(np.stack([moving, gx, gy], 2))
    around = torch.as_tensor(np.stack([x - cx, y - cy], 1).astype(np.float32))  # from the middle

    def placed() -> torch.Tensor:
        return around * scale + torch.tensor([cx + 0.5 + tx, cy + 0.5 + ty])

    scale, tx, ty = 1.0, 0.0, 0.0
    for turn in range(14):
        warped, jx, jy = bilinear(steepness, placed()).numpy().T.astype(np.float64)
        jacobian = np.stack([jx * (x - cx) / side + jy * (y - cy) / side, jx, jy], 1)
        residual = still - warped
        # from coarse to robust: where clothes have the colour of the background the outline is not where it seems
        trust = 1.0 if turn < 4 else 1 / (1 + (residual / 0.2) ** 2)
        weighted = jacobian * np.reshape(trust, (-1, 1))
        step = np.linalg.solve(weighted.T @ jacobian + 1e-6 * np.eye(3), weighted.T @ residual)
        scale = float(np.clip(scale + step[0] / side, 1 - LIMIT, 1 + LIMIT))
        tx = float(np.clip(tx + step[1], -LIMIT * side, LIMIT * side))
        ty = float(np.clip(ty + step[2], -LIMIT * side, LIMIT * side))
        off = abs(scale - 1) * side / 2 + abs(tx) + abs(ty)
        if turn > 4 and (np.abs(step).max() < 3e-3 or off < _IN_PLACE):
            break
    everywhere = np.mgrid[0:height, 0:width].astype(np.float32)
    around = torch.as_tensor(np.stack([everywhere[1] - cx, everywhere[0] - cy], 2).reshape(-1, 2))
    laid = bilinear(torch.as_tensor(mask.astype(np.float32))[:, :, None], placed()).numpy()
    after = iou(laid.reshape(height, width) > 0.5, inside)
    limited = abs(scale - 1) > 0.98 * LIMIT or max(abs(tx), abs(ty)) > 0.98 * LIMIT * side
    if after <= before + max(_WORTH, (_SHARE_AT_LIMIT if limited else _SHARE) * (1 - before)):
        return Fit(1.0, (0.0, 0.0), before, before)
    pixels = max(image.shape[:2]) / side
    return Fit(scale, (tx * pixels, ty * pixels), before, after)
