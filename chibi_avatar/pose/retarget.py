"""A 2D pose given the proportions of a figure of so many heads.

The source's own proportions are estimated as the figure that explains its bone lengths with the least foreshortening (or read from
the pose's tag). Each bone keeps its direction and its foreshortening and takes the target's length; the head, the hands and the feet
follow by similarity transforms; then the figure stands on the source's ground line and inside the canvas, and hands that touched the
hip, the face or each other are brought back by two-bone inverse kinematics in the picture plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .keypoints import (
    L_ANKLE,
    L_EAR,
    L_ELBOW,
    L_EYE,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE,
    R_ANKLE,
    R_EAR,
    R_ELBOW,
    R_EYE,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
    Frame,
    Person,
    PoseError,
)
from .skeleton import MAX_HEADS, MIN_HEADS, proportions

# parents first; the limbs that are drawn, and so the directions that are kept
BONES = (
    (NECK, R_SHOULDER), (NECK, L_SHOULDER), (R_SHOULDER, R_ELBOW), (R_ELBOW, R_WRIST), (L_SHOULDER, L_ELBOW), (L_ELBOW, L_WRIST),
    (NECK, R_HIP), (NECK, L_HIP), (R_HIP, R_KNEE), (R_KNEE, R_ANKLE), (L_HIP, L_KNEE), (L_KNEE, L_ANKLE), (NECK, NOSE),
)  # fmt: skip
_FROM = np.array([a for a, _ in BONES])
_TO = np.array([b for _, b in BONES])
_HEAD = (R_EYE, L_EYE, R_EAR, L_EAR)
_ARMS = ((R_SHOULDER, R_ELBOW, R_WRIST, R_HIP, "right_hand"), (L_SHOULDER, L_ELBOW, L_WRIST, L_HIP, "left_hand"))
_GRID = np.round(np.arange(MIN_HEADS, MAX_HEADS + 0.001, 0.1), 4)
MARGIN = 0.01  # of the canvas side, kept free when a figure has to be fitted in


def canonical_lengths(heads: float) -> np.ndarray:
    """(15,) lengths in head heights, seen from the front: the 13 :data:`BONES`, then the spans of the ears and of the eyes."""
    return _canonical(round(float(heads), 6))


@lru_cache(maxsize=512)
def _canonical(heads: float) -> np.ndarray:
    p = proportions(heads)
    hip = float(np.hypot(p.hip_x, p.trunk))
    nose = p.heads - p.nose_down - p.shoulder_y
    arm = [p.upper_arm, p.fore_arm]
    leg = [p.thigh, p.shin]
    return np.array([p.shoulder_x, p.shoulder_x, *arm, *arm, hip, hip, *leg, *leg, nose, 2 * p.ear_x, 2 * p.eye_x])


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    return np.stack([canonical_lengths(h) for h in _GRID])


@dataclass(frozen=True)
class Build:
    """A figure's proportions: ``heads``, and ``unit``, its head height in pixels."""

    heads: float
    unit: float


def measured_lengths(body: np.ndarray) -> np.ndarray:
    """(15,) pixel lengths matching :func:`canonical_lengths`; NaN where an end is missing."""
    a = np.concatenate([_FROM, (R_EAR, R_EYE)])
    b = np.concatenate([_TO, (L_EAR, L_EYE)])
    step = body[b, :2] - body[a, :2]
    there = (body[a, 2] > 0) & (body[b, 2] > 0)
    return np.where(there, np.sqrt((step * step).sum(1)), np.nan)


def estimate(bodies: Sequence[np.ndarray]) -> Build | None:
    """The build of the person whose (18, 3) bodies are given, from all frames together; None if nothing can be measured.

    Foreshortening only ever shortens, so the longest view of each bone counts; the estimate is the figure that needs the least
    foreshortening to explain them, the head counting double.
    """
    with np.errstate(all="ignore"):
        seen = np.stack([measured_lengths(body) for body in bodies])
        longest = np.where(np.isnan(seen), -1.0, seen).max(0)
    # left and right are the same length
    for i, j in ((0, 1), (2, 4), (3, 5), (6, 7), (8, 10), (9, 11)):
        longest[i] = longest[j] = max(longest[i], longest[j])
    have = longest > 1e-6
    if not have.any():
        return None
    ratio = longest[have] / _table()[:, have]  # pixels per head height, one column a bone
    weight = np.array([0.5] * 6 + [1.0, 1.0] + [0.6] * 4 + [2.0, 3.0, 1.0])[have]
    order = np.argsort(-ratio, axis=1)
    ranked = np.take_along_axis(ratio, order, 1)
    total = np.cumsum(weight[order], axis=1)
    # the unit: the weighted upper fifth, so that one wrong point does not set it
    pick = (total >= 0.2 * total[:, -1:]).argmax(1)
    unit = ranked[np.arange(len(ranked)), pick]
    misfit = np.abs(np.log(np.maximum(ratio / unit[:, None], 0.05)))
    cost = (misfit * weight).sum(1) / weight.sum()
    best = int(cost.argmin())
    heads = float(_GRID[best])
    if 0 < best < len(_GRID) - 1:  # a finer look around the minimum
        fine = np.linspace(_GRID[best - 1], _GRID[best + 1], 21)
        rows = np.stack([np.interp(fine, _GRID, column) for column in _table()[:, have].T], axis=1)
        near = longest[have] / rows
        units = np.sort(near, axis=1)[:, ::-1]
        order = np.argsort(-near, axis=1)
        total = np.cumsum(weight[order], axis=1)
        units = np.take_along_axis(near, order, 1)[np.arange(len(near)), (total >= 0.2 * total[:, -1:]).argmax(1)]
        cost = (np.abs(np.log(np.maximum(near / units[:, None], 0.05))) * weight).sum(1)
        heads, unit_here = float(fine[cost.argmin()]), float(units[cost.argmin()])
        return Build(heads, unit_here)
    return Build(heads, float(unit[best]))


def measure_heads(person: Person) -> float | None:
    """How many heads tall a person standing upright and seen from the front is, from the points alone; None without ears or feet.

    The height of the nose over the ankles against the span of the ears, which grows steadily with the number of heads.
    """
    body = person.body
    need = (NOSE, R_EAR, L_EAR, R_ANKLE, L_ANKLE)
    if (body[list(need), 2] <= 0).any():
        return None
    up = (body[R_ANKLE, 1] + body[L_ANKLE, 1]) / 2 - body[NOSE, 1]
    span = float(np.hypot(*(body[R_EAR, :2] - body[L_EAR, :2])))
    if span <= 0:
        return None
    fine = np.linspace(MIN_HEADS, MAX_HEADS, 521)
    known = []
    for h in fine:
        p = proportions(float(h))
        known.append((p.heads - p.nose_down - p.ankle_y) / (2 * p.ear_x))
    return float(np.interp(up / span, known, fine))


def _build_of(tracks: Sequence[Person]) -> Build | None:
    """The build in the tags when every frame has the same one, else the estimate."""
    tags = [person.tag for person in tracks]
    if all(isinstance(t.get("heads"), int | float) and isinstance(t.get("unit"), int | float) for t in tags):
        heads, unit = float(tags[0]["heads"]), float(tags[0]["unit"])
        if (
            MIN_HEADS <= heads <= MAX_HEADS
            and unit > 0
            and all(t["heads"] == heads and t["unit"] == unit for t in tags)
        ):
            return Build(heads, unit)
    return estimate([person.body for person in tracks])


def retarget(
    frames: Sequence[Frame], heads: float, contacts: bool = True, source_heads: float = 0.0, fit: bool = True
) -> list[Frame]:
    """The same pose on a figure of ``heads`` heads (1.8 to 7) that stands as tall as the source.

    ``source_heads`` overrides the estimate of the source's proportions (0: estimate). A person is followed through the frames by
    its place in the list. Missing points stay missing. Raises :class:`PoseError`.
    """
    if not MIN_HEADS <= heads <= MAX_HEADS:
        raise PoseError(f"heads: expected {MIN_HEADS} to {MAX_HEADS:g}, got {heads}")
    most = max((len(frame.people) for frame in frames), default=0)
    out: list[list[Person]] = [list(frame.people) for frame in frames]
    for index in range(most):
        at = [i for i, frame in enumerate(frames) if index < len(frame.people)]
        people = [frames[i].people[index] for i in at]
        build = _build_of(people)
        if build is None:
            continue
        if source_heads:
            build = Build(
                min(max(source_heads, MIN_HEADS), MAX_HEADS), build.unit * proportions(build.heads).heads / source_heads
            )
        if abs(build.heads - heads) < 0.004 * heads and not _too_long(people, build):
            continue
        target = Build(heads, build.unit * build.heads / heads)
        made = [_person(person, build, target, contacts) for person in people]
        if fit:
            made = _fit_canvas(made, [frames[i] for i in at], people)
        for i, person in zip(at, made, strict=True):
            out[i][index] = person
    return [Frame(frame.width, frame.height, tuple(people)) for frame, people in zip(frames, out, strict=True)]


def _too_long(people: Sequence[Person], build: Build) -> bool:
    limit = canonical_lengths(build.heads)[:12] * build.unit * 1.02
    return any(bool((np.nan_to_num(measured_lengths(person.body)[:12]) > limit).any()) for person in people)


def _person(person: Person, source: Build, target: Build, contacts: bool) -> Person:
    body = person.body
    there = body[:, 2] > 0
    src, dst = canonical_lengths(source.heads) * source.unit, canonical_lengths(target.heads) * target.unit
    lengths = measured_lengths(body)[:13]
    seen = np.clip(np.nan_to_num(lengths / src[:13]), 0.0, 1.0)  # what foreshortening leaves
    seen[12] = min(float(np.nan_to_num(lengths[12] / src[12])), 1.15)  # the nose also moves with the nod of the head
    wanted = dst[:13] * seen
    out = body.copy()
    new = out[:, :2]
    old = body[:, :2]
    placed = np.zeros(18, bool)
    ratio = np.sqrt(dst[6] / src[6] * 1.0)
    anchor = _root(there)
    if anchor is None:
        return person
    placed[anchor] = True
    for (a, b), length, was in zip(BONES, wanted, lengths, strict=True):
        if not (there[a] and there[b]):
            continue
        if not placed[a]:
            if placed[b]:  # the chain starts below: walk it upwards
                new[a] = new[b] - (old[b] - old[a]) * (length / was if was > 0 else 0.0)
                placed[a] = True
                continue
            near = _nearest(placed, old, a)
            new[a] = new[near] + (old[a] - old[near]) * (target.unit * target.heads / (source.unit * source.heads))
            placed[a] = True
        if placed[b]:
            continue
        new[b] = new[a] + (old[b] - old[a]) * (length / was if was > 0 else 0.0)
        placed[b] = True
    head_scale = dst[13] / src[13]
    hinge = NOSE if there[NOSE] else NECK
    for point in _HEAD:
        if not there[point]:
            continue
        if there[NOSE]:
            new[point] = new[NOSE] + (old[point] - old[NOSE]) * head_scale
        elif there[NECK]:  # seen from behind: ears stand over the neck
            lift = dst[12] / src[12]
            new[point] = new[NECK] + (old[point] - old[NECK]) * np.array([head_scale, lift])
        placed[point] = placed[point] or there[hinge]
    for point in np.flatnonzero(there & ~placed):
        near = _nearest(placed, old, int(point))
        new[point] = new[near] + (old[point] - old[near]) * float(ratio)
        placed[point] = True
    if contacts:
        _touch(old, new, there, src, dst, source, target, head_scale)
    parts: dict[str, np.ndarray] = {}
    s, t = proportions(source.heads), proportions(target.heads)
    hand_scale = t.hand * target.unit / (s.hand * source.unit)
    foot_scale = t.foot * target.unit / (s.foot * source.unit)
    for name, wrist in (("left_hand", L_WRIST), ("right_hand", R_WRIST)):
        hand = getattr(person, name)
        if hand is not None:
            parts[name] = _similar(
                hand, *_pins(hand[0], old[wrist], new[wrist], there[wrist], old, new, placed), hand_scale
            )
    if person.feet is not None:
        feet = person.feet.copy()
        for rows, ankle in ((slice(0, 3), L_ANKLE), (slice(3, 6), R_ANKLE)):
            if there[ankle]:
                feet[rows] = _similar(feet[rows], old[ankle], new[ankle], foot_scale)
            else:
                feet[rows] = 0
        parts["feet"] = feet
    if person.face is not None:
        pin = NOSE if there[NOSE] else NECK if there[NECK] else int(np.flatnonzero(there)[0])
        parts["face"] = _similar(person.face, old[pin], new[pin], head_scale)
    tag = {k: v for k, v in person.tag.items() if k in ("preset", "azimuth", "mirrored")}
    moved = replace(
        person, body=out, **parts, tag={**tag, "heads": round(target.heads, 4), "unit": round(target.unit, 6)}
    )
    return _grounded(person, moved)


def _pins(
    root: np.ndarray,
    old_wrist: np.ndarray,
    new_wrist: np.ndarray,
    has_wrist: bool,
    old: np.ndarray,
    new: np.ndarray,
    placed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The point about which a hand is scaled, before and after: its wrist, or the body's nearest point."""
    if has_wrist:
        return old_wrist, new_wrist
    near = int(np.where(placed, ((old - root[:2]) ** 2).sum(1), np.inf).argmin())
    return old[near], new[near]


def _root(there: np.ndarray) -> int | None:
    for point in (NECK, NOSE, R_HIP, L_HIP, R_SHOULDER, L_SHOULDER):
        if there[point]:
            return point
    return int(np.flatnonzero(there)[0]) if there.any() else None


def _nearest(placed: np.ndarray, old: np.ndarray, point: int) -> int:
    return int(np.where(placed, ((old - old[point]) ** 2).sum(1), np.inf).argmin())


def _similar(points: np.ndarray, old: np.ndarray, new: np.ndarray, scale: float) -> np.ndarray:
    out = points.copy()
    there = out[:, 2] > 0
    out[there, :2] = new + (out[there, :2] - old) * scale
    return out


# ------------------------------------------------------------------------------------------------ contacts


def _smooth(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def _touch(
    old: np.ndarray,
    new: np.ndarray,
    there: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    source: Build,
    target: Build,
    head_scale: float,
) -> None:
    """Bring wrists that touched something back to it. Contacts fade in with nearness, so that sequences do not jump."""
    goals: dict[int, tuple[float, np.ndarray]] = {}
    trunk_scale = dst[6] / src[6]
    if there[R_WRIST] and there[L_WRIST]:
        gap = old[L_WRIST] - old[R_WRIST]
        apart = float(np.hypot(*gap))
        weight = _smooth(2.0 - apart / (0.30 * src[6]))
        if weight > 0:
            s, t = proportions(source.heads), proportions(target.heads)
            size = t.hand * target.unit / (s.hand * source.unit)
            middle = (new[L_WRIST] + new[R_WRIST]) / 2
            goals[R_WRIST] = (weight, middle - gap * size / 2)
            goals[L_WRIST] = (weight, middle + gap * size / 2)
    for shoulder, elbow, wrist, hip, _ in _ARMS:
        if not (there[shoulder] and there[elbow] and there[wrist]):
            continue
        if there[hip]:
            away = old[wrist] - old[hip]
            bent = _bend(old[shoulder], old[elbow], old[wrist])
            weight = _smooth((0.66 - float(np.hypot(*away)) / src[6]) / 0.22) * _smooth((bent - 0.06) / 0.24)
            if weight > goals.get(wrist, (0.0,))[0]:
                goals[wrist] = (weight, new[hip] + away * trunk_scale)
        if there[NOSE]:
            away = old[wrist] - old[NOSE]
            weight = _smooth(2.0 - float(np.hypot(*away)) / (0.42 * src[13] + 0.38 * source.unit))
            if weight > goals.get(wrist, (0.0,))[0]:
                goals[wrist] = (weight, _on_face(new[NOSE], new[NOSE] + away * head_scale, new[shoulder], dst))
    for shoulder, elbow, wrist, _, _ in _ARMS:
        if wrist in goals and there[shoulder] and there[elbow]:
            weight, spot = goals[wrist]
            side = 2 if wrist == R_WRIST else 4
            spot = new[wrist] + weight * (spot - new[wrist])
            _reach(new, shoulder, elbow, wrist, spot, dst[side], dst[side + 1])


def _on_face(nose: np.ndarray, spot: np.ndarray, shoulder: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """``spot``, or where it is out of the arm's reach, the nearest place of the face (a disc as wide as the ears) to it within reach."""
    reach = 0.999 * (dst[2] + dst[3])
    if float(np.hypot(*(spot - shoulder))) <= reach:
        return spot
    radius = 0.46 * dst[13]
    way = shoulder - nose
    far = float(np.hypot(*way))
    if far < 1e-9:
        return spot
    rim = nose + way / far * min(radius, far)
    low, high = 0.0, 1.0  # as far from the rim towards the spot as the arm goes
    if float(np.hypot(*(rim - shoulder))) > reach:
        return rim
    for _ in range(12):
        middle = (low + high) / 2
        if float(np.hypot(*(rim + middle * (spot - rim) - shoulder))) <= reach:
            low = middle
        else:
            high = middle
    return rim + low * (spot - rim)


def _bend(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """0 for a straight arm, 1 for a folded one."""
    u, v = b - a, c - b
    n = float(np.hypot(*u) * np.hypot(*v))
    return (1 - float(u @ v) / n) / 2 if n > 1e-9 else 0.0


def _reach(
    new: np.ndarray, shoulder: int, elbow: int, wrist: int, spot: np.ndarray, most_upper: float, most_fore: float
) -> None:
    """Two-bone inverse kinematics in the plane; the bend keeps its side, foreshortened bones may lengthen up to their full length."""
    root = new[shoulder].copy()
    a, b = float(np.hypot(*(new[elbow] - root))), float(np.hypot(*(new[wrist] - new[elbow])))
    way = spot - root
    d = float(np.hypot(*way))
    cross = float((new[elbow] - root)[0] * (new[wrist] - root)[1] - (new[elbow] - root)[1] * (new[wrist] - root)[0])
    if d < 1e-6:
        return
    if d > a + b:
        grow = min(d / max(a + b, 1e-9), (most_upper + most_fore) / max(a + b, 1e-9))
        a, b = min(a * grow, most_upper), min(b * grow, most_fore)
        rest = d - a - b
        if rest > 0:
            extra = min(rest, most_upper - a)
            a, rest = a + extra, rest - extra
            b += min(rest, most_fore - b)
    if d < abs(a - b):
        a, b = (d + b, b) if a > b else (a, d + a)
    d = min(d, a + b)
    way = way / max(float(np.hypot(*way)), 1e-9)
    along = (a * a - b * b + d * d) / (2 * d)
    out = np.sqrt(max(a * a - along * along, 0.0))
    normal = np.array([-way[1], way[0]]) * (-1.0 if cross > 0 else 1.0)
    new[elbow] = root + way * along + normal * out
    new[wrist] = root + way * d


# ------------------------------------------------------------------------------------------------ ground and canvas


def _grounded(before: Person, after: Person) -> Person:
    """Shift ``after`` so that its lowest ankle (or knee, or hip) stands where ``before``'s did and its middle stays."""
    there = before.body[:, 2] > 0
    shift = np.zeros(2)
    feet = [i for i in (R_ANKLE, L_ANKLE) if there[i]]
    rest = [i for i in (R_KNEE, L_KNEE) if there[i]] or [i for i in (R_HIP, L_HIP) if there[i]]
    middle = [i for i in (R_HIP, L_HIP) if there[i]] or ([NECK] if there[NECK] else list(np.flatnonzero(there)))
    shift[0] = before.body[middle, 0].mean() - after.body[middle, 0].mean()
    if feet:
        if lying(before):
            shift[1] = lowest_of(before) - lowest_of(after)
        else:
            shift[1] = _soles(before, feet) - _soles(after, feet)
    elif rest:
        shift[1] = before.body[rest, 1].max() - after.body[rest, 1].max()
    return after.moved(lambda xy: xy + shift)


def lying(person: Person) -> bool:
    """Whether the trunk is more level than upright, or something is lower than the feet: then the lowest point is the ground."""
    body = person.body
    there = body[:, 2] > 0
    hips = [i for i in (R_HIP, L_HIP) if there[i]]
    if hips and there[NECK]:
        trunk = np.abs(body[hips, :2].mean(0) - body[NECK, :2])
        if trunk[0] > trunk[1]:
            return True
    feet = [i for i in (R_ANKLE, L_ANKLE) if there[i]]
    return bool(feet) and float(body[there, 1].max()) > _soles(person, feet) + 0.03 * float(np.ptp(body[there, 1]))


def lowest_of(person: Person) -> float:
    """The y of the lowest point there is, in pixels."""
    return max(float(part[part[:, 2] > 0, 1].max(initial=-np.inf)) for part in person.parts().values())


def _soles(person: Person, feet: list[int]) -> float:
    lowest = float(person.body[feet, 1].max())
    if person.feet is not None and (person.feet[:, 2] > 0).any():
        lowest = max(lowest, float(person.feet[person.feet[:, 2] > 0, 1].max()))
    return lowest


def _fit_canvas(made: list[Person], frames: Sequence[Frame], sources: Sequence[Person]) -> list[Person]:
    """Scale and shift one person's whole sequence into the canvas, if anything that fitted before sticks out now."""
    boxes, limits = [], []
    for person, frame in zip(made, frames, strict=True):
        points = np.concatenate([part[part[:, 2] > 0, :2] for part in person.parts().values()])
        if len(points):
            boxes.append([points.min(0), points.max(0)])
            limits.append([frame.width, frame.height])
    if not boxes:
        return made
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    size = np.min(np.array(limits, float), axis=0)
    pad = MARGIN * size
    if (low >= 0).all() and (high <= size - 1).all():
        return made
    scale = min(1.0, float(((size - 2 * pad) / np.maximum(high - low, 1e-9)).min()))
    ground = min(high[1], size[1] - 1 - pad[1])
    middle = (low[0] + high[0]) / 2
    pivot = np.array([middle, high[1]])
    place = np.array([middle, ground])
    half = (high[0] - low[0]) / 2 * scale
    place[0] = min(max(place[0], pad[0] + half), size[0] - 1 - pad[0] - half)
    place[1] = max(place[1], pad[1] + (high[1] - low[1]) * scale)
    out = []
    for person in made:
        moved = person.moved(lambda xy: place + (xy - pivot) * scale)
        unit = person.tag.get("unit")
        out.append(replace(moved, tag={**person.tag, "unit": round(unit * scale, 6)} if unit else person.tag))
    return out
