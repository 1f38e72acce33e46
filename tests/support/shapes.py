"""A small procedural figure for the raster, render and bake tests: a sphere head on a capsule body, checker-painted, two bones."""

from __future__ import annotations

import numpy as np

from chibi_avatar.avatar.model import Avatar, Joint, Material, Mesh, Texture


def _lathe(profile: np.ndarray, segments: int, box: tuple[float, float, float, float]):
    """Turn (R, 2) radius-height ``profile`` (top to bottom) around Y; UV fills ``box`` (u0, v0, u1, v1); the seam is at the back."""
    rows = len(profile)
    angle = np.linspace(-np.pi, np.pi, segments + 1)
    radius, height = profile[:, :1], profile[:, 1:]
    positions = np.stack(
        [radius * np.sin(angle), np.broadcast_to(height, (rows, segments + 1)), radius * np.cos(angle)], -1
    )
    slope = np.gradient(profile, axis=0)
    normals = np.stack([-slope[:, 1:] * np.sin(angle), np.repeat(slope[:, :1], segments + 1, 1), -slope[:, 1:] * np.cos(angle)], -1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    u = box[0] + (box[2] - box[0]) * np.linspace(0, 1, segments + 1)
    v = box[1] + (box[3] - box[1]) * np.linspace(0, 1, rows)
    uvs = np.stack(np.broadcast_arrays(u[None], v[:, None]), -1)
    index = np.arange(rows * (segments + 1)).reshape(rows, segments + 1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    # the diagonals of the right half are the mirror image of those of the left, so every triangle has a partner
    left = np.broadcast_to((np.arange(segments) >= segments // 2)[None, :, None], (*a.shape, 1))
    first = np.where(left, np.stack([a, b, c], -1), np.stack([a, b, d], -1))
    second = np.where(left, np.stack([a, c, d], -1), np.stack([b, c, d], -1))
    faces = np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])
    weld = index.copy()
    weld[:, -1] = weld[:, 0]
    weld[0], weld[-1] = index[0, 0], index[-1, 0]
    mirror = index[:, ::-1]
    flat = lambda array: array.reshape(-1, array.shape[-1])  # noqa: E731
    return flat(positions), flat(normals), flat(uvs), faces, weld.ravel(), mirror.ravel()


def checker(size: int = 256, cells: int = 16) -> np.ndarray:
    """A smooth coloured test pattern (size, size, 3) uint8, different everywhere."""
    y, x = np.mgrid[0:size, 0:size] / size
    wave = 0.5 + 0.25 * np.sin(x * cells * np.pi) * np.sin(y * cells * np.pi)
    image = np.stack([wave, 0.25 + 0.5 * x, 0.25 + 0.5 * y], -1)
    return np.round(image * 255).astype(np.uint8)


def figure(detail: int = 24, texture: np.ndarray | None = None) -> Avatar:
    """A 1 m figure: head (0.5 m sphere) and body, about ``detail``² × 4 triangles, joints hips and head."""
    t = np.linspace(0, np.pi, detail + 1)
    head = np.stack([np.sin(t) * 0.25, 0.74 + np.cos(t) * 0.25], 1)
    body = np.stack([np.sin(t) ** 0.7 * 0.15, 0.26 + np.cos(t) * 0.26], 1)
    parts = [_lathe(head, detail * 2, (0.02, 0.02, 0.98, 0.58)), _lathe(body, detail * 2, (0.02, 0.62, 0.98, 0.98))]
    shift = len(parts[0][0])
    count = shift + len(parts[1][0])
    faces = np.concatenate([parts[0][3], parts[1][3] + shift])
    is_body = np.repeat([0, 1], [len(parts[0][3]), len(parts[1][3])])
    positions, normals, uvs = (np.concatenate([p[i] for p in parts]) for i in range(3))
    corners = positions[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    faces, is_body = faces[area > 1e-9], is_body[area > 1e-9]
    joints = np.zeros((count, 4), np.uint16)
    joints[:shift, 0] = 1
    weights = np.zeros((count, 4), np.float32)
    weights[:, 0] = 1
    smile = np.zeros((count, 3), np.float32)
    smile[:shift, 2] = np.where(positions[:shift, 2] > 0.2, 0.02, 0)
    mesh = Mesh(
        positions.astype(np.float32), normals.astype(np.float32), uvs.astype(np.float32), faces.astype(np.int32),
        np.zeros(len(faces), np.int32), is_body.astype(np.int32), joints, weights, {"smile": smile},
        np.concatenate([parts[0][4], parts[1][4] + shift]).astype(np.int32),
        np.concatenate([parts[0][5], parts[1][5] + shift]).astype(np.int32),
    )  # fmt: skip
    pixels = checker() if texture is None else texture
    return Avatar(
        "figure", mesh,
        [Joint("hips", -1, np.array([0.0, 0.26, 0.0]), "hips"), Joint("head", 0, np.array([0.0, 0.5, 0.0]), "head")],
        [Material("atlas", 0)], [Texture("atlas", pixels)], ["face", "body"],
    )  # fmt: skip
