"""Trunk, arms, mitten hands and legs of the canonical figure, and the skin weights that clothes share.

Metres; canonical figure of 2.5 heads, 1.0 m tall, T-pose.
"""

from __future__ import annotations

import numpy as np

from .loft import Piece, keyed, smoothstep, spline, tube

# name: (parent, x, y, z); left side only, the right is mirrored
BONES: dict[str, tuple[str, float, float, float]] = {
    "hips": ("root", 0.0, 0.275, 0.0),
    "spine": ("hips", 0.0, 0.335, 0.0),
    "chest": ("spine", 0.0, 0.420, -0.004),
    "neck": ("chest", 0.0, 0.565, -0.014),
    "head": ("neck", 0.0, 0.602, -0.018),
    "leftEye": ("head", 0.093, 0.770, 0.140),
    "leftShoulder": ("chest", 0.034, 0.536, -0.010),
    "leftUpperArm": ("leftShoulder", 0.090, 0.528, -0.010),
    "leftLowerArm": ("leftUpperArm", 0.182, 0.528, -0.010),
    "leftHand": ("leftLowerArm", 0.262, 0.528, -0.010),
    "leftUpperLeg": ("hips", 0.052, 0.262, 0.0),
    "leftLowerLeg": ("leftUpperLeg", 0.055, 0.152, 0.004),
    "leftFoot": ("leftLowerLeg", 0.058, 0.050, -0.004),
    "leftToes": ("leftFoot", 0.064, 0.012, 0.042),
}

# y, half width, depth to the front, depth to the back
TRUNK = np.array([
    (0.228, 0.030, 0.030, -0.036),
    (0.240, 0.076, 0.064, -0.066),
    (0.268, 0.104, 0.086, -0.086),
    (0.310, 0.111, 0.097, -0.086),
    (0.360, 0.106, 0.092, -0.077),
    (0.420, 0.097, 0.077, -0.070),
    (0.480, 0.091, 0.064, -0.064),
    (0.520, 0.086, 0.055, -0.058),
    (0.545, 0.070, 0.046, -0.052),
    (0.566, 0.046, 0.036, -0.046),
    (0.590, 0.040, 0.032, -0.048),
    (0.640, 0.040, 0.032, -0.050),
])  # fmt: skip


def trunk_weights(p: np.ndarray) -> dict[str, np.ndarray]:
    """Spine bones by height; thighs take over at the bottom sides so that the crotch does not tear."""
    x, y = p[:, 0], p[:, 1]
    spine = smoothstep(0.275, 0.345, y)
    chest = smoothstep(0.350, 0.440, y)
    neck = smoothstep(0.548, 0.585, y)
    head = smoothstep(0.588, 0.615, y)
    thigh = 0.58 * smoothstep(0.345, 0.225, y)
    left = thigh * smoothstep(-0.045, 0.045, x)
    right = thigh * smoothstep(0.045, -0.045, x)
    arm = 0.45 * smoothstep(0.040, 0.100, np.abs(x)) * smoothstep(0.47, 0.53, y) * (1 - neck)
    al, ar = arm * (x > 0), arm * (x < 0)
    rest = 1 - thigh - arm
    return {
        "hips": rest * (1 - spine),
        "spine": rest * spine * (1 - chest),
        "chest": rest * chest * (1 - neck),
        "neck": rest * neck * (1 - head),
        "head": rest * head,
        "leftUpperLeg": left, "rightUpperLeg": right,
        "leftShoulder": al, "rightShoulder": ar,
    }  # fmt: skip


def arm_weights(p: np.ndarray) -> dict[str, np.ndarray]:
    """Left arm by x; the shoulder ramp is as long as the arm is thick, so that lowering the arm stretches little."""
    x = p[:, 0]
    upper = smoothstep(0.028, 0.180, x)
    lower = smoothstep(0.142, 0.222, x)
    hand = smoothstep(0.245, 0.280, x)
    return {
        "leftShoulder": 0.5 * (1 - upper), "chest": 0.5 * (1 - upper),
        "leftUpperArm": upper * (1 - lower),
        "leftLowerArm": lower * (1 - hand),
        "leftHand": hand,
    }  # fmt: skip


def leg_weights(p: np.ndarray) -> dict[str, np.ndarray]:
    """Left leg by height."""
    y = p[:, 1]
    upper = smoothstep(0.345, 0.185, y)
    lower = smoothstep(0.188, 0.118, y)
    foot = smoothstep(0.070, 0.034, y)
    return {
        "hips": 1 - upper,
        "leftUpperLeg": upper * (1 - lower),
        "leftLowerLeg": lower * (1 - foot),
        "leftFoot": foot,
    }


def skirt_weights(p: np.ndarray) -> dict[str, np.ndarray]:
    """Skirts follow the hips at the waist and both thighs, softly shared across the middle, further down."""
    x, y = p[:, 0], p[:, 1]
    leg = 0.80 * smoothstep(0.37, 0.13, y)
    left = smoothstep(-0.10, 0.10, x)
    spine = smoothstep(0.275, 0.345, y)
    chest = smoothstep(0.350, 0.440, y)
    rest = 1 - leg
    return {
        "hips": rest * (1 - spine), "spine": rest * spine * (1 - chest), "chest": rest * chest,
        "leftUpperLeg": leg * left, "rightUpperLeg": leg * (1 - left),
    }  # fmt: skip


def ring(y: np.ndarray, w: np.ndarray, zf: np.ndarray, zb: np.ndarray, around: int, e: float = 0.92) -> np.ndarray:
    """Rings of a trunk-like loft: (R, around + 1, 3), seam at the back, exactly symmetric. ``around`` must be even."""
    a = np.linspace(-np.pi, np.pi, around + 1)
    a = (a - a[::-1]) / 2
    s, c = np.sin(a), np.cos(a)
    s[[0, -1]] = 0.0
    s[around // 2] = 0.0
    x = np.sign(s) * np.abs(s) ** e
    z = np.sign(c) * np.abs(c) ** e
    depth = np.where(z[None] > 0, zf[:, None], -zb[:, None])
    return np.stack([w[:, None] * x[None], np.broadcast_to(y[:, None], (len(y), around + 1)), depth * z[None]], -1)


def trunk_at(y: np.ndarray, ease: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half width, front and back depth of the trunk at ``y``, grown by ``ease`` metres."""
    e = np.broadcast_to(np.asarray(ease, float), np.shape(y))
    return (
        keyed(TRUNK[:, [0, 1]], y) + e,
        keyed(TRUNK[:, [0, 2]], y) + e,
        keyed(TRUNK[:, [0, 3]], y) - e,
    )


ARM = [(0.0, 0.034), (0.25, 0.037), (0.55, 0.033), (0.85, 0.027), (1.0, 0.0255)]
LEG = [(0.0, 0.056), (0.3, 0.055), (0.6, 0.046), (0.85, 0.037), (1.0, 0.034)]


def arm_radius(x: np.ndarray) -> np.ndarray:
    """Arm radius at ``x`` metres from the middle."""
    return keyed(ARM, (np.asarray(x) - 0.055) / (0.268 - 0.055))


def leg_radius(y: np.ndarray) -> np.ndarray:
    """Leg radius at height ``y``."""
    return keyed(LEG, (0.300 - np.asarray(y)) / (0.300 - 0.030))


def leg_x(y: np.ndarray) -> np.ndarray:
    """Sideways position of the leg's axis at height ``y``."""
    return np.interp(y, [0.03, 0.30], [0.060, 0.050])


def arm_path(x: np.ndarray) -> np.ndarray:
    """Axis of the left arm."""
    x = np.asarray(x, float)
    return np.stack([x, np.full_like(x, 0.528), np.full_like(x, -0.010)], -1)


def leg_path(y: np.ndarray) -> np.ndarray:
    """Axis of the left leg, from the top down."""
    y = np.asarray(y, float)
    return np.stack([leg_x(y), y, np.interp(y, [0.03, 0.16, 0.30], [-0.006, 0.004, 0.0])], -1)


def build_body(level: int) -> Piece:
    """The bare figure below the head. Attribute 1 is y for the trunk and legs, x for the arms: what clothes hide."""
    k = (0.55, 0.85, 1.3)[level]

    def n(x: float) -> int:
        return max(3, round(x * k))

    piece = Piece("body", "body")
    y = np.linspace(0.228, 0.640, n(22))
    around = 2 * n(11)
    g = ring(y, *trunk_at(y), around)
    attr = np.stack([np.broadcast_to(np.linspace(0, 1, around + 1), g.shape[:2]), g[..., 1]], -1)
    piece.add(g, "trunk", trunk_weights, attributes=attr, wrap=True, cover="trunk")

    x = np.linspace(0.050, 0.272, n(15))
    arm = tube(arm_path(x), arm_radius(x), arm_radius(x) * 0.96, up=(0, -1, 0), around=n(10))
    side = [piece.add(arm, "arm", arm_weights, attributes=_along(arm, 0), wrap=True, cover="arm")]

    side.append(piece.add(_palm(n), "hand", "leftHand", attributes=_along(_palm(n), 0), wrap=True, cover="hand"))
    thumb = spline([(0.270, 0.524, 0.006), (0.284, 0.523, 0.030), (0.303, 0.522, 0.043), (0.314, 0.522, 0.047)], n(6))
    r = keyed([(0, 0.017), (0.5, 0.017), (0.8, 0.0145), (0.94, 0.008), (1, 0.0005)], np.linspace(0, 1, n(6)))
    tb = tube(thumb, r, r * 0.95, up=(0, -1, 0), around=n(7))
    side.append(piece.add(tb, "hand", "leftHand", attributes=_along(tb, 0), wrap=True, cover="hand"))

    y = np.linspace(0.300, 0.030, n(17))
    leg = tube(leg_path(y), leg_radius(y), leg_radius(y), up=(0, 0, -1), around=n(12))
    side.append(piece.add(leg, "leg", leg_weights, attributes=_along(leg, 1), wrap=True, cover="leg"))
    piece.mirrored(side)
    return piece


def _palm(n) -> np.ndarray:
    """A mitten: flattened, broad over the knuckles, rounded fingertips, slightly cupped."""
    s = np.linspace(0, 1, n(11))
    s = 1 - (1 - s) ** 1.25
    path = spline(
        [(0.258, 0.528, -0.010), (0.290, 0.528, -0.009), (0.320, 0.525, -0.006), (0.346, 0.519, -0.004)], len(s)
    )
    path = path[np.round(s * (len(s) - 1)).astype(int)] * 0 + np.stack(
        [np.interp(s, np.linspace(0, 1, len(s)), path[:, i]) for i in range(3)], -1
    )
    wide = keyed([(0, 0.024), (0.22, 0.034), (0.5, 0.042), (0.75, 0.037), (0.92, 0.021), (1, 0.0005)], s)
    thick = keyed([(0, 0.023), (0.25, 0.026), (0.55, 0.028), (0.8, 0.024), (0.93, 0.014), (1, 0.0004)], s)
    return tube(path, wide, thick, up=(0, 1, 0), around=n(10))


def _along(points: np.ndarray, axis: int) -> np.ndarray:
    """Attributes (around 0..1, coordinate along ``axis``)."""
    return np.stack([np.broadcast_to(np.linspace(0, 1, points.shape[1]), points.shape[:2]), points[..., axis]], -1)
