"""Similarity transforms between a face in a photo and the aligned crops that recognisers and CLIP were trained on."""

from __future__ import annotations

import numpy as np

# Five points of the 112 x 112 ArcFace template (left eye, right eye, nose, mouth corners), published with the ArcFace paper's code.
TEMPLATE_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float64,
)


def template(size: int) -> np.ndarray:
    """The five target points [5, 2] for a square crop of ``size`` pixels.

    Multiples of 112 scale the template; multiples of 128 shift it by 8 px per 128, as the reference implementation does.
    """
    if size % 112 == 0:
        return TEMPLATE_112 * (size / 112)
    scaled = TEMPLATE_112 * (size / 128)
    scaled[:, 0] += 8.0 * size / 128
    return scaled


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The 2 x 3 matrix of the least-squares similarity (rotation, uniform scale, shift) from ``source`` [N, 2] to ``target`` [N, 2].

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991), equations 40 to 42.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    mean_s, mean_t = source.mean(0), target.mean(0)
    centred_s, centred_t = source - mean_s, target - mean_t
    u, d, vt = np.linalg.svd(centred_t.T @ centred_s / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    rotation = u @ np.diag(sign) @ vt
    variance = (centred_s**2).sum() / len(source)
    scale = float((d * sign).sum() / variance) if variance > 0 else 1.0
    return np.hstack([scale * rotation, (mean_t - scale * rotation @ mean_s)[:, None]])


def warp(image: np.ndarray, matrix: np.ndarray, size: int, *, edge: bool = False) -> np.ndarray:
    """``image`` [H, W, 3] uint8 through ``matrix`` (2 x 3) into a square of ``size`` pixels; outside is black, or the nearest pixel."""
    import cv2

    border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink < 0.5:  # bilinear alone would skip pixels: reduce by area first
        factor = max(shrink * 1.5, 1 / min(image.shape[:2]))
        width, height = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        scaled = matrix.copy()
        scaled[:, 0] *= image.shape[1] / width
        scaled[:, 1] *= image.shape[0] / height
        image, matrix = small, scaled
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def crop_face(image: np.ndarray, points: np.ndarray, size: int) -> np.ndarray:
    """The aligned crop of ``size`` pixels that recognisers (112) and CLIP-fed adapters (224) expect: plain bilinear, black outside."""
    import cv2

    return cv2.warpAffine(image, similarity(points, template(size)), (size, size), flags=cv2.INTER_LINEAR)


# The head frame: eyes level at y = 112, 48 px apart, head and hair inside 256 x 256.
HEAD_SIZE = 256
HEAD_EYES = np.array([[104.0, 116.0], [152.0, 116.0]])
HEAD_MOUTH_Y = 168.0


def head_matrix(points: np.ndarray) -> np.ndarray:
    """The 2 x 3 matrix into the head frame, in which every head has one size and place and the hair is in the picture."""
    target = np.vstack([HEAD_EYES, [[128.0, 142.0]], [[108.0, HEAD_MOUTH_Y]], [[148.0, HEAD_MOUTH_Y]]])
    return similarity(points, target)


def upright(image: np.ndarray, turns: int) -> np.ndarray:
    """``image`` after ``turns`` quarter turns counter-clockwise, contiguous."""
    return np.ascontiguousarray(np.rot90(image, turns)) if turns % 4 else image
