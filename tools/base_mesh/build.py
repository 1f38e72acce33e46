"""Build ``chibi_avatar/avatar/data/base.npz``: ``python -m tools.base_mesh.build`` from the repository's root."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from pathlib import Path

import numpy as np

from . import body, hair_styles, head, outfits, pack, wearables
from .loft import Grid, Piece

LEVELS = ("mobile", "standard", "desktop")
GRID = 1 / 20000  # metres per step of the stored positions (an int16 reaches 1.6 m)
log = logging.getLogger("base_mesh")


def pieces(level: int) -> list[Piece]:
    """Every piece of the figure at a triangle preset."""
    return [
        head.build_head(level),
        body.build_body(level),
        *hair_styles.build_hair(level),
        *outfits.build_outfits(level),
        *wearables.build_wearables(level),
    ]


def _uv(grid: Grid, rect: tuple[float, float, float, float], turn: bool) -> np.ndarray:
    """(R, C, 2) texture coordinates inside ``rect``: the grid's own, or arc length along both directions."""
    rows, cols = grid.points.shape[:2]
    if grid.uv is not None:
        a, b = grid.uv[..., 0], grid.uv[..., 1]
    else:
        across = np.linalg.norm(np.diff(grid.points, axis=1), axis=2).max(0) + 1e-6
        along = np.linalg.norm(np.diff(grid.points, axis=0), axis=2).max(1) + 1e-6
        a = np.broadcast_to(np.r_[0, np.cumsum(across) / across.sum()], (rows, cols))
        b = np.broadcast_to(np.r_[0, np.cumsum(along) / along.sum()][:, None], (rows, cols))
    if turn:
        a, b = b, a
    u0, v0, u1, v1 = rect
    return np.stack([u0 + a * (u1 - u0), v0 + b * (v1 - v0)], -1)


def _quads(grid: Grid, start: int) -> np.ndarray:
    """Two triangles per quad, split along the shorter diagonal; degenerate ones at poles are left out."""
    rows, cols = grid.points.shape[:2]
    i = start + np.arange(rows * cols).reshape(rows, cols)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]
    p = grid.points
    ac = np.linalg.norm(p[:-1, :-1] - p[1:, 1:], axis=2)
    bd = np.linalg.norm(p[:-1, 1:] - p[1:, :-1], axis=2)
    # equal diagonals (flat, symmetric places) are split towards the middle column, so that mirror images stay mirror images
    centre = np.arange(cols - 1)[None] < (cols - 1) / 2
    first = np.where(np.abs(ac - bd) < 1e-6, centre, ac < bd)
    one = np.where(first[..., None], np.stack([a, d, c], -1), np.stack([a, d, b], -1))
    two = np.where(first[..., None], np.stack([a, c, b], -1), np.stack([b, d, c], -1))
    keep = np.ones(first.shape, bool) if grid.keep is None else grid.keep
    f = np.concatenate([one[keep], two[keep]])
    if grid.flip:
        f = f[:, ::-1]
    spread = p + grid.morphs.get("aa", 0.0)  # the neutral mouth is folded, not gone
    q = np.rint(spread.reshape(-1, 3) / GRID)[f - start]
    alive = (q[:, 0] != q[:, 1]).any(1) & (q[:, 1] != q[:, 2]).any(1) & (q[:, 0] != q[:, 2]).any(1)
    return f[alive]


def _skin(grid: Grid, bones: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The four strongest weights per vertex as (V, 4) bone numbers and uint8 weights that sum to 255."""
    p = grid.points.reshape(-1, 3)
    table = {grid.weights: np.ones(len(p))} if isinstance(grid.weights, str) else grid.weights(p)
    for name in table:
        if name not in bones:
            bones.append(name)
    dense = np.zeros((len(p), len(bones)))
    for name, w in table.items():
        dense[:, bones.index(name)] = w
    order = np.argsort(-dense, axis=1, kind="stable")[:, :4]
    if order.shape[1] < 4:
        order = np.pad(order, ((0, 0), (0, 4 - order.shape[1])))
    w = np.take_along_axis(dense, order, 1)
    w[:, 1:][order[:, 1:] == order[:, :1]] = 0
    w[w < 0.01 * w.sum(1, keepdims=True)] = 0
    w = w / w.sum(1, keepdims=True)
    q = np.floor(w * 255 + 0.5).astype(int)
    q[:, 0] += 255 - q.sum(1)
    return order.astype(np.uint8), q.astype(np.uint8)


def store(piece: Piece, layout: list, bones: list[str]) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and description of a piece."""
    columns: dict[str, list[np.ndarray]] = {k: [] for k in ("pos", "uv", "attr", "bone", "weight", "grid", "hidden")}
    faces, zones, start = [], [], 0
    morphs: dict[str, list[np.ndarray]] = {name: [] for g in piece.grids for name in g.morphs}
    for index, (g, (rect, turn)) in enumerate(zip(piece.grids, layout, strict=True)):
        count = g.points.shape[0] * g.points.shape[1]
        bone, weight = _skin(g, bones)
        columns["pos"].append(np.rint(g.points.reshape(-1, 3) / GRID).astype(np.int16))
        columns["uv"].append(np.rint(_uv(g, rect, turn).reshape(-1, 2) * 65535).astype(np.uint16))
        columns["attr"].append(g.attributes.reshape(-1, 2).astype(np.float16))
        columns["bone"].append(bone)
        columns["weight"].append(weight)
        columns["grid"].append(np.full(count, index, np.uint8))
        hidden = np.zeros(count) if g.hidden is None else g.hidden.ravel()
        columns["hidden"].append((hidden > 0.5).astype(np.uint8))
        faces.append(_quads(g, start))
        zones.append(np.full(len(faces[-1]), index, np.uint8))
        for name, parts in morphs.items():
            d = g.morphs.get(name)
            parts.append(
                np.zeros((count, 3), np.int16) if d is None else np.rint(d.reshape(-1, 3) / GRID).astype(np.int16)
            )
        start += count
    arrays = {k: np.concatenate(v) for k, v in columns.items()}
    arrays["face"] = np.concatenate(faces).astype(np.uint16)
    arrays["face_grid"] = np.concatenate(zones)
    arrays["shape"] = np.array([g.points.shape[:2] for g in piece.grids], np.uint16)
    for name, parts in morphs.items():
        arrays[f"morph/{name}"] = np.concatenate(parts)
    about = {
        "part": piece.part,
        "grids": [
            {"zone": g.zone, "cover": g.cover, "smooth": g.smooth or f"{i}", "rect": [round(v, 6) for v in rect], "turn": turn}
            for i, (g, (rect, turn)) in enumerate(zip(piece.grids, layout, strict=True))
        ],
        "hides": [list(h) for h in piece.hides],
        "chains": [
            {"name": c.name, "parent": c.parent, "points": np.round(c.points, 5).tolist(), "stiffness": c.stiffness, "gravity": c.gravity,
             "drag": c.drag, "radius": round(c.radius, 5)}
            for c in piece.chains
        ],
    }  # fmt: skip
    return arrays, about


def build() -> dict[str, np.ndarray]:
    """All arrays of the base, with the description as JSON bytes under ``about``."""
    out: dict[str, np.ndarray] = {}
    about: dict = {"levels": LEVELS, "grid": GRID, "bones": body.BONES, "pieces": {}}
    plans = {p.name: pack.rects(p) for p in pieces(1)}
    for level, label in enumerate(LEVELS):
        for piece in pieces(level):
            bones: list[str] = []
            arrays, description = store(piece, plans[piece.name], bones)
            description["bones"] = bones
            out.update({f"{label}/{piece.name}/{k}": v for k, v in arrays.items()})
            about["pieces"].setdefault(piece.name, description)
            if about["pieces"][piece.name] != description:
                raise ValueError(f"{piece.name}: the presets disagree about zones, bones or chains")
            log.debug("%s %s: %d triangles", label, piece.name, len(arrays["face"]))
    out["about"] = np.frombuffer(json.dumps(about, separators=(",", ":")).encode(), np.uint8)
    return out


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An .npz with fixed timestamps, so that the same base has the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in sorted(arrays.items()):
            buffer = io.BytesIO()
            np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(name + ".npy", (2020, 1, 1, 0, 0, 0)), buffer.getvalue(), zipfile.ZIP_DEFLATED
            )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    target = Path(__file__).parents[2] / "chibi_avatar" / "avatar" / "data" / "base.npz"
    target.parent.mkdir(exist_ok=True)
    write(target, build())
    log.info("%s: %.2f MB", target.name, target.stat().st_size / 1e6)
