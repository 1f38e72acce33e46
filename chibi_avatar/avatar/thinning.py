"""Fewer triangles where they matter least: half-edge collapses by quadric error (Garland and Heckbert 1997), left and right alike.

A vertex is only ever moved onto a neighbour, so texture coordinates, skin weights and morphs of what is left stay as they were.
"""

from __future__ import annotations

import heapq

import numpy as np


def thinned(positions: np.ndarray, uvs: np.ndarray, faces: np.ndarray, free: np.ndarray, goal: int) -> np.ndarray:
    """Take triangles away from ``faces`` (F, 3) until ``goal`` are left or none can go: new corners (F, 3), degenerate where it went.

    ``positions`` (V, 3) metres, ``uvs`` (V, 2); only vertices that are ``free`` (V,) bool vanish, and of those only such that lie
    inside a chart. A collapse and its mirror image happen together, or not at all.
    """
    corners = faces.copy()
    around: dict[int, set[int]] = {}
    for number, triangle in enumerate(faces.tolist()):
        for vertex in triangle:
            around.setdefault(vertex, set()).add(number)
    quadric = _quadrics(positions, faces)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {tuple(edge) for edge in edges.tolist()}
    border = {vertex for a, b in directed if (b, a) not in directed for vertex in (a, b)}
    places = np.rint(positions * 50000).astype(np.int64)
    here: dict[tuple[int, ...], list[int]] = {}
    for vertex in around:
        here.setdefault(tuple(places[vertex].tolist()), []).append(vertex)

    def movable(vertex: int) -> bool:
        return bool(free[vertex]) and vertex not in border and len(here[tuple(places[vertex].tolist())]) == 1

    def twin(vertex: int) -> int:
        x, y, z = places[vertex].tolist()
        found = here.get((-x, y, z), [])
        return found[0] if len(found) == 1 else -1

    def cost(vertex: int, target: int) -> float:
        point = np.append(positions[target], 1.0)
        return float(point @ quadric[vertex] @ point)

    def fits(vertex: int, target: int) -> bool:
        """Whether no triangle would turn over, on the figure or in the atlas, and the surface stays a surface."""
        rim = {v for face in around[vertex] for v in corners[face].tolist()} - {vertex}
        if target not in rim:
            return False
        shared = rim & {v for face in around[target] for v in corners[face].tolist()}
        if len(shared - {target}) != 2:
            return False
        for face in around[vertex]:
            old = corners[face]
            if target in old:
                continue
            new = np.where(old == vertex, target, old)
            before, after = (np.cross(p[1] - p[0], p[2] - p[0]) for p in (positions[old], positions[new]))
            if before @ after < 0.5 * np.linalg.norm(before) * np.linalg.norm(after) or not after.any():
                return False
            if _turn(uvs[old]) * _turn(uvs[new]) <= 0:
                return False
        return True

    def collapse(vertex: int, target: int) -> int:
        gone = 0
        for face in around.pop(vertex):
            if target in corners[face]:
                for v in corners[face].tolist():
                    if v != vertex:
                        around[v].discard(face)
                corners[face] = target
                gone += 1
            else:
                corners[face] = np.where(corners[face] == vertex, target, corners[face])
                around[target].add(face)
        quadric[target] += quadric[vertex]
        for other in {v for face in around[target] for v in corners[face].tolist()} - {target}:
            if movable(other):
                heapq.heappush(queue, (cost(other, target), other, target))
            if movable(target):
                heapq.heappush(queue, (cost(target, other), target, other))
        return gone

    queue = [(cost(a, b), a, b) for a, b in sorted(directed | {(b, a) for a, b in directed}) if movable(a)]
    heapq.heapify(queue)
    left = len(faces)
    while left > goal and queue:
        price, vertex, target = heapq.heappop(queue)
        if vertex not in around or target not in around or price < cost(vertex, target) - 1e-15:
            continue
        other, aim = twin(vertex), twin(target)
        pair = [(vertex, target)] if other == vertex and aim == target else [(vertex, target), (other, aim)]
        if other < 0 or aim < 0 or (len(pair) == 2 and (other in (vertex, target) or aim == vertex)):
            continue
        if not all(a in around and b in around and movable(a) and fits(a, b) for a, b in pair):
            continue
        left -= collapse(*pair[0])
        if len(pair) == 2 and fits(*pair[1]):
            left -= collapse(*pair[1])
    return corners


def _turn(uv: np.ndarray) -> float:
    """Twice the signed area of a triangle (3, 2)."""
    (ax, ay), (bx, by) = uv[1] - uv[0], uv[2] - uv[0]
    return float(ax * by - ay * bx)


def _quadrics(positions: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Squared distance from the planes around each vertex, weighted by area: (V, 4, 4)."""
    corner = positions[faces].astype(np.float64)
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area = np.linalg.norm(normal, axis=1, keepdims=True)
    plane = normal / np.maximum(area, 1e-20)
    plane = np.concatenate([plane, -(plane * corner[:, 0]).sum(1, keepdims=True)], 1)
    each = plane[:, :, None] * plane[:, None, :] * area[:, :, None]
    out = np.zeros((len(positions), 4, 4))
    for k in range(3):
        np.add.at(out, faces[:, k], each)
    return out
