"""BlazePose GHUM, MediaPipe Hands and Face Mesh (Google, Apache-2.0) on :mod:`.network`.

The chain: a detector proposes people; each region is looked at again, cut out by what the last look found, until it stays where it is;
then hands and face from regions that the body gives. Without a detection the whole picture (or the user's box) is the region, which is
what drawn characters need. Regions are squares ``(centre x, centre y, side, angle)`` in pixels, the angle being that of "up".

References: Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking" (2020); Zhang et al., "MediaPipe Hands" (2020).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..keypoints import Person
from . import Request
from .network import network

FILES = ("pose_detection.tflite", "pose_landmark_full.tflite", "hand_landmark_lite.tflite", "face_landmark.tflite")
MOST_LOOKS = 5
# between what photos with people have at least (0.85, 0.61) and what cups, rockets and cats have at most
PRESENT, VISIBLE = 0.8, 0.58
_TO_18 = (0, (11, 12), 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
# Face Mesh's vertices at the 68 landmarks
_TO_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, 71, 63, 105, 66, 107, 336,
    296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373,
    380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


class Region(NamedTuple):
    x: float
    y: float
    side: float
    angle: float = 0.0


class Found(NamedTuple):
    person: Person
    score: float
    region: Region


def opened(folder: Path) -> Callable[[np.ndarray, Request], list[Person]]:
    """The detector with :data:`FILES` of ``folder``; hands and face are left out when theirs are missing."""
    return lambda picture, request: [one.person for one in detect(picture, folder, request)]


def detect(picture: np.ndarray, folder: Path, request: Request = Request()) -> list[Found]:  # noqa: B008
    """People in an (H, W, 3) uint8 RGB picture, the surest first.

    Boxes replace the detector; ``whole`` takes the whole picture as one person's. Where a box or the whole picture was asked
    for, an unsure figure is better than none; what the detector proposes has to be clearly a person.
    """
    height, width = picture.shape[:2]
    regions = [Region(x + w / 2, y + h / 2, 1.1 * max(w, h)) for x, y, w, h in request.boxes]
    asked = bool(regions) or request.whole
    if not asked:
        regions = _propose(picture, folder, request.device, quick=request.most == 1)
    if not regions:
        regions = [Region(width / 2, height / 2, float(max(width, height)))]
    found: list[Found] = []
    for region in regions[: 2 * request.most]:
        one = _body(picture, region, folder, request.device, *((0.3, 0.0) if asked else (PRESENT, VISIBLE)))
        if one is None:
            continue
        twin = next((i for i, other in enumerate(found) if _same_person(one, other)), None)
        if twin is not None:
            found[twin] = max(one, found[twin], key=lambda f: f.score)
            continue
        found.append(one)
        if len(found) >= request.most:
            break
    found.sort(key=lambda f: -f.score)
    return [_with_parts(picture, one, folder, request) for one in found]


def _cut(picture: np.ndarray, region: Region, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(1, size, size, 3) float32 0..1 of the turned square, and the (2, 3) map from crop pixels to picture pixels."""
    c, s = np.cos(region.angle), np.sin(region.angle)
    k = region.side / size
    half = size / 2
    back = np.array([[k * c, -k * s, region.x - k * half * (c - s)], [k * s, k * c, region.y - k * half * (s + c)]])
    try:
        import cv2
    except ImportError:
        from PIL import Image

        shape, kind = (size, size), Image.Transform.AFFINE
        crop = np.asarray(Image.fromarray(picture).transform(shape, kind, back.ravel(), Image.Resampling.BILINEAR))
    else:
        crop = cv2.warpAffine(picture, back, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return crop[None].astype(np.float32) / 255.0, back


def _look(picture: np.ndarray, region: Region, size: int) -> tuple[np.ndarray, np.ndarray]:
    """:func:`_cut`, after averaging the neighbourhood down by a whole factor so that bilinear cutting does not
    alias.
    """
    factor = int(region.side / size / 1.5)
    if factor < 2:
        return _cut(picture, region, size)
    reach = 0.72 * region.side
    x0, y0 = max(0, int(region.x - reach)), max(0, int(region.y - reach))
    part = picture[y0 : int(region.y + reach) + 1, x0 : int(region.x + reach) + 1]
    h, w = (v // factor for v in part.shape[:2])
    if h < 1 or w < 1:
        return _cut(picture, region, size)
    part = part[: h * factor, : w * factor].reshape(h, factor, w, factor, 3)
    total = np.zeros((h, w, 3), np.uint32)
    for i in range(factor):
        for j in range(factor):
            total += part[:, i, :, j]
    small = (total // factor**2).astype(np.uint8)
    crop, back = _cut(
        small, Region((region.x - x0) / factor, (region.y - y0) / factor, region.side / factor, region.angle), size
    )
    back = back * factor
    back[:, 2] += (x0, y0)
    return crop, back


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))


def _anchors() -> np.ndarray:
    grids = []
    for cells, each in ((28, 2), (14, 2), (7, 6)):
        centre = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(centre, centre), axis=-1).reshape(-1, 2)
        grids.append(np.repeat(grid, each, axis=0))
    return np.concatenate(grids)


_ANCHORS = _anchors()


def _propose(picture: np.ndarray, folder: Path, device: str, least: float = 0.35, quick: bool = False) -> list[Region]:
    height, width = picture.shape[:2]
    long, short = float(max(width, height)), float(min(width, height))
    views = [(Region(width / 2, height / 2, long), least)]
    if long > 1.25 * short:  # long pictures: also both ends, where people are larger
        views += [(view, least) for view in _tiles(width, height, short)]
    if not quick:  # several people: closer still, believing only what is clear
        views += [(view, 0.75) for share in (0.7, 0.5) for view in _tiles(width, height, share * short)]
    people: list[tuple[float, np.ndarray, np.ndarray]] = []
    for view, enough in views:
        crop, back = _look(picture, view, 224)
        boxes, scores = network(folder / FILES[0], device)(crop * 2 - 1)
        score = _sigmoid(scores[0, :, 0])
        keep = np.flatnonzero(score > enough)
        for i in keep[np.argsort(-score[keep])][:60]:
            raw = boxes[0, i].astype(float)
            points = raw[4:12].reshape(4, 2) / 224 + _ANCHORS[i]
            centre = raw[0:2] / 224 + _ANCHORS[i]
            half = raw[2:4] / 224 / 2
            box = np.stack([centre - half, centre + half])
            to_picture = lambda p, back=back: (p * 224) @ back[:, :2].T + back[:, 2]  # noqa: E731
            people.append((float(score[i]), to_picture(points), to_picture(box)))
        if quick and any(s > 0.6 for s, _, _ in people):
            break
    people.sort(key=lambda p: -p[0])
    kept: list[tuple[float, np.ndarray, np.ndarray]] = []
    for one in people:
        if all(_overlap(one[2], other[2]) < 0.3 for other in kept):
            kept.append(one)
    return [_region_from(points[0], points[1]) for _, points, _ in kept]


def _tiles(width: int, height: int, side: float) -> list[Region]:
    """Squares of ``side`` that cover the picture, each overlapping the next by half or more."""

    def centres(length: int) -> np.ndarray:
        return np.linspace(side / 2, length - side / 2, max(1, int(np.ceil((length - side) / (side / 2))) + 1))

    return [Region(float(x), float(y), side) for y in centres(height) for x in centres(width)]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[0], b[0]), np.minimum(a[1], b[1])
    shared = float(np.prod(np.maximum(high - low, 0)))
    total = float(np.prod(a[1] - a[0]) + np.prod(b[1] - b[0])) - shared
    return shared / total if total > 0 else 0.0


def _region_from(centre: np.ndarray, rim: np.ndarray, scale: float = 1.25) -> Region:
    way = rim - centre
    return Region(
        float(centre[0]),
        float(centre[1]),
        2 * scale * float(np.hypot(*way)),
        float(np.arctan2(way[1], way[0]) + np.pi / 2),
    )


def _body(
    picture: np.ndarray, region: Region, folder: Path, device: str, present: float, visible: float
) -> Found | None:
    """The person in ``region``; None when a look says that nobody is there (less than ``present``), or when less than
    the share ``visible`` of the body is.
    """
    found: Found | None = None
    for look in range(MOST_LOOKS):
        crop, back = _look(picture, region, 256)
        raw, presence, _, heat, _ = network(folder / FILES[1], device)(crop)
        sure = float(presence.ravel()[0])
        if sure < min(present, 0.5):
            return None
        points = raw[0].reshape(39, 5).astype(float)
        points[:, :2] = _refined(points[:, :2], heat[0])
        xy = points[:, :2] @ back[:, :2].T + back[:, 2]
        seen = _sigmoid(points[:, 3])
        body = _body_18(xy, seen, picture.shape)
        share = float(body[:, 2].mean())
        person = Person(body, tag={"blaze": np.column_stack([xy[:33], seen[:33]])})
        found = Found(person, sure * share, region) if sure >= present and share >= visible else None
        last, region = region, _region_from(xy[33], xy[34])
        moved = float(np.hypot(region.x - last.x, region.y - last.y)) + abs(region.side - last.side)
        if moved < (0.1 if look else 0.05) * last.side or not 16 < region.side < 8 * max(picture.shape):
            break
    return found


def _refined(points: np.ndarray, heat: np.ndarray, window: int = 3) -> np.ndarray:
    """Move each point to the centre of mass of its heat map nearby, where that is confident (256 px crop, 64 px
    maps).
    """
    out = points.copy()
    size = heat.shape[0]
    for i, (x, y) in enumerate(points / 4.0):
        cx, cy = int(x), int(y)
        if not (0 <= cx < size and 0 <= cy < size):
            continue
        x0, x1, y0, y1 = (
            max(0, cx - window),
            min(size, cx + window + 1),
            max(0, cy - window),
            min(size, cy + window + 1),
        )
        patch = _sigmoid(heat[y0:y1, x0:x1, i])
        if float(patch.max()) < 0.5:
            continue
        mass = float(patch.sum())
        gy, gx = np.mgrid[y0:y1, x0:x1]
        out[i] = (float((gx * patch).sum()) / mass * 4.0, float((gy * patch).sum()) / mass * 4.0)
    return out


def _body_18(xy: np.ndarray, seen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    body = np.zeros((18, 3))
    margin = 0.05 * max(shape[:2])
    for i, j in enumerate(_TO_18):
        rows = list(j) if isinstance(j, tuple) else [j]
        x, y = xy[rows].mean(0)
        score = float(seen[rows].min())
        inside = -margin <= x <= shape[1] + margin and -margin <= y <= shape[0] + margin
        if score >= 0.3 and inside:
            body[i] = (x, y, min(score, 1.0))
    return body


def _same_person(a: Found, b: Found) -> bool:
    """Whether two finds show one person: the same place, even if one sees it turned the wrong way, or the same points."""
    apart = float(np.hypot(a.region.x - b.region.x, a.region.y - b.region.y))
    if apart < 0.12 * min(a.region.side, b.region.side) and 0.6 < a.region.side / b.region.side < 1.6:
        return True
    one, other = a.person.body, b.person.body
    both = (one[:, 2] > 0) & (other[:, 2] > 0)
    if both.sum() < 4:
        return False
    size = float(np.ptp(other[other[:, 2] > 0, :2], axis=0).max())
    return float(np.hypot(*(one[both, :2] - other[both, :2]).T).mean()) < 0.12 * size


def _with_parts(picture: np.ndarray, found: Found, folder: Path, request: Request) -> Found:
    device = request.device
    blaze = found.person.tag["blaze"]
    parts: dict[str, np.ndarray] = {}
    if request.hands and (folder / FILES[2]).is_file():
        for name, wrist, little, index in (("left_hand", 15, 17, 19), ("right_hand", 16, 18, 20)):
            if blaze[wrist, 2] > 0.5:
                hand = _hand(picture, blaze[wrist, :2], blaze[little, :2], blaze[index, :2], folder, device)
                if hand is not None:
                    parts[name] = hand
    if request.face and (folder / FILES[3]).is_file() and blaze[[0, 2, 5], 2].min() > 0.5:
        points = _face(picture, blaze[:, :2], folder, device)
        if points is not None:
            found = found._replace(person=_with_face(found.person, points))
            parts["face"] = np.concatenate([points, found.person.body[[14, 15]]])
    feet = np.zeros((6, 3))
    for row, i in ((0, 31), (2, 29), (3, 32), (5, 30)):
        if blaze[i, 2] > 0.5:
            feet[row] = (*blaze[i, :2], 1.0)
    if (feet[:, 2] > 0).any():
        parts["feet"] = feet
    return Found(Person(found.person.body, **parts), found.score, found.region)


def _with_face(person: Person, face: np.ndarray) -> Person:
    """The body with nose and eyes from the face network, which sees the face five times larger, and the ears moved
    along.
    """
    body = person.body.copy()
    closer = {0: face[30, :2], 14: face[36:42, :2].mean(0), 15: face[42:48, :2].mean(0)}
    shift = np.mean([place - body[i, :2] for i, place in closer.items()], axis=0)
    for i, place in closer.items():
        body[i] = (*place, 1.0)
    for i in (16, 17):
        if body[i, 2] > 0:
            body[i, :2] += shift
    return Person(body, tag=person.tag)


def _hand(
    picture: np.ndarray, wrist: np.ndarray, little: np.ndarray, index: np.ndarray, folder: Path, device: str
) -> np.ndarray | None:
    middle = (2 * index + little) / 3
    way = middle - wrist
    long = float(np.hypot(*way))
    if long < 3:
        return None
    region = Region(*(middle + 0.1 * way), 2 * 2.4 * long, float(np.arctan2(way[1], way[0]) + np.pi / 2))
    for look in range(2):
        crop, back = _look(picture, region, 224)
        raw, presence, _, _ = network(folder / FILES[2], device)(crop)
        if float(presence.ravel()[0]) < 0.5:
            return None
        xy = raw[0].reshape(21, 3)[:, :2].astype(float) @ back[:, :2].T + back[:, 2]
        if look == 0:  # a closer square around what was found, turned so that the fingers point up
            way = xy[[5, 9, 13]].mean(0) - xy[0]
            angle = float(np.arctan2(way[1], way[0]) + np.pi / 2)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            local = xy @ turn.T
            low, high = local.min(0), local.max(0)
            centre = turn.T @ ((low + high) / 2)
            region = Region(float(centre[0]), float(centre[1]), 1.7 * float((high - low).max()), angle)
    if float(np.hypot(*(xy[0] - wrist))) > 1.5 * long:
        return None
    return np.column_stack([xy, np.ones(21)])


def _face(picture: np.ndarray, blaze: np.ndarray, folder: Path, device: str) -> np.ndarray | None:
    eyes, mouth = (blaze[2] + blaze[5]) / 2, (blaze[9] + blaze[10]) / 2
    across = blaze[2] - blaze[5]
    size = max(3.4 * float(np.hypot(*across)), 3.2 * float(np.hypot(*(mouth - eyes))))
    angle = float(np.arctan2(across[1], across[0]))
    region = Region(*((eyes + mouth) / 2), size, angle)
    for look in range(2):
        crop, back = _look(picture, region, 192)
        raw, score = network(folder / FILES[3], device)(crop)
        if float(_sigmoid(score).ravel()[0]) < 0.5:
            return None
        xy = raw.reshape(468, 3)[:, :2].astype(float) @ back[:, :2].T + back[:, 2]
        if look == 0:
            low, high = xy.min(0), xy.max(0)
            way = xy[263] - xy[33]
            region = Region(*((low + high) / 2), 1.5 * float((high - low).max()), float(np.arctan2(way[1], way[0])))
    return np.column_stack([xy[list(_TO_68)], np.ones(68)])
