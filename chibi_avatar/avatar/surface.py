"""Fields on the surface: smoothing and filling along the mesh, never across UV charts or through the air.

Vertices that the mesh welds are one point here, so a field is continuous over UV seams by construction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .model import Mesh
from .texels import mesh_digest

_HOLD = 50.0  # how much more a point that is fully trusted counts than all its neighbours


_LAST: dict[tuple, SurfaceGraph] = {}


def surface_graph(mesh: Mesh) -> SurfaceGraph:
    """The graph of all of ``mesh``; the last one is kept."""
    key = mesh_digest(mesh), None if mesh.weld is None else np.asarray(mesh.weld).tobytes()
    graph = _LAST.get(key)
    if graph is None:
        graph = SurfaceGraph(mesh)
        _LAST.clear()
        _LAST[key] = graph
    return graph


class SurfaceGraph:
    """The welded vertices of a mesh and their edges."""

    def __init__(self, mesh: Mesh, keep: np.ndarray | None = None) -> None:
        from scipy.sparse import coo_matrix

        weld = np.arange(len(mesh.positions)) if mesh.weld is None else np.asarray(mesh.weld)
        _, self.point = np.unique(weld, return_inverse=True)  # (V,) point of each vertex
        self.count = int(self.point.max()) + 1
        faces = mesh.faces if keep is None else mesh.faces[keep]
        corner = self.point[faces]
        a = np.concatenate([corner[:, 0], corner[:, 1], corner[:, 2]])
        b = np.concatenate([corner[:, 1], corner[:, 2], corner[:, 0]])
        place = np.zeros((self.count, 3))
        place[self.point] = mesh.positions
        weight = 1.0 / np.maximum(np.linalg.norm(place[a] - place[b], axis=1), 1e-5)
        different = a != b
        graph = coo_matrix((weight[different], (a[different], b[different])), (self.count, self.count)).tocsr()
        self.weights = graph + graph.T  # (P, P) symmetric
        self.degree = np.asarray(self.weights.sum(1)).ravel()

    def pieces(self, faces: np.ndarray) -> np.ndarray:
        """(F,) int32: which connected piece of surface each of the mesh's ``faces`` (F, 3) is of: a sleeve, a strand, the body."""
        from scipy.sparse.csgraph import connected_components

        return connected_components(self.weights, directed=False)[1][self.point[faces[:, 0]]]

    def smooth(self, values: np.ndarray, trust: np.ndarray, rounds: int) -> np.ndarray:
        """Blur ``values`` (P, K) over the surface by ``rounds`` of averaging, each point counting with ``trust`` (P,); points that no
        trust reaches get 0."""
        mass = trust.astype(np.float64)
        total = values * mass[:, None]
        share = 0.5 / np.maximum(self.degree, 1e-12)
        for _ in range(rounds):
            total = 0.5 * total + share[:, None] * (self.weights @ total)
            mass = 0.5 * mass + share * (self.weights @ mass)
        return np.where(mass[:, None] > 1e-9, total / np.maximum(mass, 1e-9)[:, None], 0.0)

    def extend(self, values: np.ndarray, trust: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Harmonic continuation inside ``region`` (P,) bool: the nearer to ``values`` (P, K) the more ``trust`` (P,) 0..1 they have, and
        the Laplace equation where that is 0 (a screened Poisson equation).

        Returns the field and (P,) bool of points that are connected to something trusted.
        """
        from scipy.sparse import diags
        from scipy.sparse.csgraph import connected_components
        from scipy.sparse.linalg import splu

        places = np.flatnonzero(region)
        weights = self.weights[places][:, places]
        degree = np.asarray(weights.sum(1)).ravel()
        _, island = connected_components(weights, directed=False)
        lit = np.zeros(int(island.max(initial=0)) + 1, bool)
        lit[island[trust[places] > 0]] = True
        reached = lit[island]
        local = np.zeros((len(places), values.shape[1]))
        inner = np.flatnonzero(reached)
        if len(inner):
            pull = _HOLD * trust[places][inner] ** 2 * np.maximum(degree[inner], 1e-12)
            system = diags(degree[inner] + pull) - weights[inner][:, inner]
            local[inner] = splu(system.tocsc()).solve(pull[:, None] * values[places][inner])
        field, connected = np.zeros((self.count, values.shape[1])), np.zeros(self.count, bool)
        field[places], connected[places] = local, reached
        return field, connected

    def gather(self, vertices: np.ndarray, weights: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average texel ``values`` (N, K) at their triangles' ``vertices`` (N, 3) with ``weights`` (N, 3): the field (P, K) and the
        weight (P,) that each point received."""
        target = self.point[vertices].ravel()
        share = weights.ravel().astype(np.float64)
        mass = np.bincount(target, share, self.count)
        out = np.empty((self.count, values.shape[1]))
        for k in range(values.shape[1]):
            out[:, k] = np.bincount(target, share * np.repeat(values[:, k], 3), self.count)
        return out / np.maximum(mass, 1e-12)[:, None], mass

    def to_vertices(self, field: Any) -> np.ndarray:
        """Point field (P, K) → vertex field (V, K) float32."""
        return np.ascontiguousarray(field[self.point], np.float32)
