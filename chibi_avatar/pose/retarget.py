"""A 2D pose given the proportions of a figure of so many heads.

The source's own proportions are estimated as the figure that explains its bone lengths with the least foreshortening (or read from
the pose's tag). Each bone keeps its direction and its foreshortening and takes the target's length; the head, the
hands and the feet follow by similarity transforms; then the figure stands on the source's ground line and inside the
canvas, and hands that touched the hip, the face or each other are brought back by two-bone inverse kinematics in the
picture plane.
"""

from __future__ import annotations

import math
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
# how much each of canonical_lengths tells about the proportions
_WEIGHT = np.array([0.5] * 6 + [1.0] * 2 + [0.6] * 4 + [2.0, 3.0, 1.0])
_GRID = np.round(np.arange(MIN_HEADS, MAX_HEADS + 0.001, 0.1), 4)
ROUNDS = 6  # of pulling a joint into reach
MARGIN = 0.01  # of the canvas side, kept free when a figure has to be fitted in


def canonical_lengths(heads: float) -> np.ndarray:
    """(15,) lengths in head heights, seen from the front: the 13 :data:`BONES`, then the spans of the ears and of
    the eyes.
    """
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
    """The build of the person whose (18, 3) bodies are given, from all frames together; None if nothing can be
    measured.

    Foreshortening only ever shortens, so the longest view of each bone counts; the estimate is the figure that needs
    the least foreshortening to explain them, the head counting double.
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
    longest, weight, table = longest[have], _WEIGHT[have], _table()[:, have]
    best, unit = _explained(longest, weight, table)
    if not 0 < best < len(_GRID) - 1:
        return Build(float(_GRID[best]), unit)
    below, here, above = table[best - 1 : best + 2]  # a finer look around the minimum
    share = np.linspace(0.0, 1.0, 11)[:, None]
    fine = np.concatenate([below + share * (here - below), here + share[1:] * (above - here)])
    row, unit = _explained(longest, weight, fine)
    return Build(float(_GRID[best - 1]) + 0.1 * row / 10, unit)


def _explained(longest: np.ndarray, weight: np.ndarray, table: np.ndarray) -> tuple[int, float]:
    """The row of ``table`` (figures' bone lengths in heads) that explains ``longest`` (pixels) with the least
    foreshortening, and its head height in pixels.
    """
    ratio = longest / table  # pixels per head height, one column a bone
    order = np.argsort(-ratio, axis=1)
    total = np.cumsum(weight[order], axis=1)
    # the unit: the weighted upper fifth, so that one wrong point does not set it
    pick = (total >= 0.2 * total[:, -1:]).argmax(1)
    rows = np.arange(len(table))
    unit = ratio[rows, order[rows, pick]]
    cost = (np.abs(np.log(np.maximum(ratio / unit[:, None], 0.05))) * weight).sum(1)
    best = int(cost.argmin())
    return best, float(unit[best])


def measure_heads(person: Person) -> float | None:
    """How many heads tall a person standing upright and seen from the front is, from the points alone; None without
    ears or feet.

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
    ratio = np.sqrt(dst[6] / src[6])
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
    s, t = proportions(source.heads), proportions(target.heads)
    hand_scale = t.hand * target.unit / (s.hand * source.unit)
    if contacts:
        _touch(old, new, there, src, dst, source.unit, head_scale, hand_scale)
    parts: dict[str, np.ndarray] = {}
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
    unit: float,
    head_scale: float,
    hand_scale: float,
) -> None:
    """Bring wrists that touched something back to it: hip, then face, then the other hand, each by its weight, so that
    the later wins. Contacts fade in with nearness, and sequences do not jump. ``src`` and ``dst`` are the canonical
    lengths in pixels, ``unit`` the source's head height.
    """
    spots: dict[int, np.ndarray] = {}
    trunk_scale = dst[6] / src[6]
    for shoulder, elbow, wrist, hip, _ in _ARMS:
        if not (there[shoulder] and there[elbow] and there[wrist]):
            continue
        spot = new[wrist].copy()
        if there[hip]:
            away = old[wrist] - old[hip]
            bent = _bend(old[shoulder], old[elbow], old[wrist])
            weight = _smooth((0.66 - math.hypot(*away) / src[6]) / 0.22) * _smooth((bent - 0.06) / 0.24)
            spot += weight * (new[hip] + away * trunk_scale - spot)
        if there[NOSE]:
            away = old[wrist] - old[NOSE]
            weight = _smooth(2.0 - math.hypot(*away) / (0.42 * src[13] + 0.38 * unit))
            if weight > 0:
                # on the face places scale with the head; beyond its rim the hand is between, and scales as hands do
                far, rim = math.hypot(*away), 0.5 * src[13]
                length = min(far, rim) * head_scale + max(0.0, far - rim) * hand_scale
                goal = new[NOSE] + away * (length / max(far, 1e-9))
                spot += weight * (_on_face(new[NOSE], goal, new[shoulder], dst) - spot)
        spots[wrist] = spot
    if len(spots) == 2:
        gap = old[L_WRIST] - old[R_WRIST]
        weight = _smooth(2.0 - math.hypot(*gap) / (0.30 * src[6]))
        if weight > 0:
            half = gap * hand_scale / 2
            middle = (spots[R_WRIST] + spots[L_WRIST]) / 2
            for _ in range(ROUNDS):  # to where both arms reach
                middle = _within(middle - half, new[R_SHOULDER], dst[2] + dst[3]) + half
                middle = _within(middle + half, new[L_SHOULDER], dst[4] + dst[5]) - half
            spots[R_WRIST] += weight * (middle - half - spots[R_WRIST])
            spots[L_WRIST] += weight * (middle + half - spots[L_WRIST])
    for shoulder, elbow, wrist, _, _ in _ARMS:
        if wrist in spots and (spots[wrist] != new[wrist]).any():
            side = 2 if wrist == R_WRIST else 4
            _reach(new, shoulder, elbow, wrist, spots[wrist], dst[side], dst[side + 1])


def _on_face(nose: np.ndarray, spot: np.ndarray, shoulder: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """``spot``, or where it is out of the arm's reach, the nearest place of the face (a disc as wide as the ears)
    to it within reach.
    """
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


def _reach(new: np.ndarray, shoulder: int, elbow: int, wrist: int, spot: np.ndarray, upper: float, fore: float) -> None:
    """Two-bone inverse kinematics seen from the front: the wrist goes to ``spot`` or as near as the arm reaches.

    Bones of full length ``upper`` and ``fore`` may lean out of the picture, so each joint may be anywhere in a disc about
    the other. The elbow takes half the wrist's way and is then pulled into both discs in turn, as in FABRIK (Aristidou and
    Lasenby, 2011). Pulling into a disc brings points nearer together, never apart: unlike the closed formula, it does not
    swing a nearly straight arm about.
    """
    root = new[shoulder]
    spot = _within(spot, root, upper + fore)
    middle = new[elbow] + (spot - new[wrist]) / 2
    for _ in range(ROUNDS):
        middle = _within(_within(middle, spot, fore), root, upper)
    new[elbow] = middle
    new[wrist] = _within(spot, middle, fore)


def _within(point: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """``point``, or the nearest one of the disc."""
    away = point - centre
    far = math.hypot(*away)
    return point if far <= radius else centre + away * (radius / far)


# ------------------------------------------------------------------------------------------------ ground and canvas


def _grounded(before: Person, after: Person) -> Person:
    """Shift ``after`` so that what stands, sits or lies on the ground in ``before`` does so again, and its middle stays.

    The ground is as high as the lowest point of body and feet. The feet may not sink below it; any other point may, by
    as much as it was above it, so that a hand or a big head near the ground does not lift the feet off it.
    """
    there = before.body[:, 2] > 0
    hips = [i for i in (R_HIP, L_HIP) if there[i]]
    middle = hips or ([NECK] if there[NECK] else np.flatnonzero(there))
    x = before.body[middle, 0].mean() - after.body[middle, 0].mean()
    ankles = [i for i in (R_ANKLE, L_ANKLE) if there[i]]
    if ankles:
        was, now, free = before.body[:, 1].copy(), after.body[:, 1], there.astype(float)
        free[ankles] = 0.0
        if before.feet is not None and after.feet is not None:
            was, now = np.append(was, before.feet[:, 1]), np.append(now, after.feet[:, 1])
            there, free = np.append(there, before.feet[:, 2] > 0), np.append(free, np.zeros(6))
        was, now, free = was[there], now[there], free[there]
    else:  # cut off by the frame: the lowest joint of the legs stays where it is
        rest = [i for i in (R_KNEE, L_KNEE) if there[i]] or hips
        was, now, free = before.body[rest, 1], after.body[rest, 1], np.zeros(len(rest))
    y = 0.0
    if len(was):
        ground = was.max()
        y = ground - (now - free * (ground - was)).max()
    return after.moved(lambda xy: xy + (x, y))


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
