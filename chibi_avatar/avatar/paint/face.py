"""The face: skin, cheeks, eyes, brows, nose, mouth, beard and marks, drawn in face coordinates (head units, chin 0, skull 1)."""

from __future__ import annotations

import numpy as np

from ...character import Character
from .color import light, mix, shaded, srgb, step
from .hair import Look

# These agree with the moving regions of the morphs (tools/base_mesh/head.py).
EYE_X, EYE_Y, EYE_W, EYE_H = 0.224, 0.412, 0.124, 0.152
BROW_Y = 0.655
MOUTH_Y, MOUTH_W, MOUTH_H = 0.195, 0.082, 0.062
INK = np.float32([0.24, 0.13, 0.16])
_LASH = 0.4  # of the skin's lightness: the most that lashes have


class _Canvas:
    """Colours in grid orientation with boxes in face coordinates, so that small features touch few texels."""

    def __init__(self, rgb: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        self.rgb, self.x, self.y = rgb, x, y
        self.pixel = float(np.abs(np.diff(y[:, y.shape[1] // 2])).mean())  # head units per texel

    def box(self, x0: float, x1: float, y0: float, y1: float) -> tuple[slice, slice]:
        """Rows and columns that may hold points of the rectangle."""
        middle = self.y.shape[1] // 2
        rows = np.nonzero((self.y[:, middle] > y0 - 0.02) & (self.y[:, middle] < y1 + 0.02))[0]
        across = self.x[rows[len(rows) // 2]]
        cols = np.nonzero((across > x0 - 0.05) & (across < x1 + 0.05))[0]
        return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)

    def blend(self, area: tuple[slice, slice], color: np.ndarray, amount: np.ndarray) -> None:
        self.rgb[area] = mix(self.rgb[area], color, np.clip(amount, 0, 1))


def paint(character: Character, w, has_hair: bool, look: Look) -> np.ndarray:
    """(h, w, 3) colours of the face window."""
    x, y = w.attr[..., 0], w.attr[..., 1]
    skin = srgb(character["skin.color"].hex)
    rose = mix(shaded(skin, 1.0, 1.7, 0.03), np.float32([1.0, 0.50, 0.50]), 0.35)
    shade = shaded(skin, 0.90, 1.28, 0.03)
    rgb = np.broadcast_to(skin, (*x.shape, 3)).astype(np.float32).copy()
    c = _Canvas(rgb, x, y)
    everywhere = (slice(None), slice(None))
    if has_hair:
        c.blend(everywhere, shade, 0.55 * step(0.60, 0.72, y))  # the shadow of the fringe
        c.blend(everywhere, look.dark, step(0.795, 0.825, y + 0.16 * np.maximum(np.abs(x) - 0.30, 0)))
    c.blend(everywhere, shade, 0.55 * step(0.030, -0.005, y))  # under the chin
    if character["face.blush"]:
        for side in (-1, 1):
            area = c.box(side * 0.335 - 0.14, side * 0.335 + 0.14, 0.14, 0.34)
            d = np.hypot((x[area] - side * 0.335) / 0.105, (y[area] - 0.238) / 0.060)
            c.blend(area, rose, 0.62 * np.exp(-(d**2) * 1.5))
    area = c.box(-0.05, 0.05, 0.26, 0.36)
    c.blend(
        area,
        shaded(skin, 0.80, 1.55, 0.03),
        0.70 * step(0.017, 0.007, np.hypot(x[area] * 0.9, (y[area] - 0.306) * 1.4)),
    )
    c.blend(area, np.float32([1, 1, 1]), 0.35 * step(0.012, 0.004, np.hypot(x[area], y[area] - 0.330)))
    _marks(character, c, skin)
    _beard(character, c, look, skin)
    _mouth(character, c, skin)
    style = character["eyes.style"]
    left = srgb(character["eyes.color"].hex)
    right = srgb(character["eyes.color_right"].hex) if character.get("eyes.color_right") else left
    lash = mix(INK, look.dark if has_hair else INK, 0.35)
    # pale hair's lashes would vanish on dark skin, and a closed eye with them
    lash = lash * min(1.0, _LASH * light(skin) / light(lash))
    for side, iris in ((1, left), (-1, right)):
        _eye(c, side, iris, style, lash, skin, character["presentation"])
        _brow(
            c, side, character["brows.style"], look.dark if has_hair else shaded(srgb(character["hair.color"].hex), 0.6)
        )
    return c.rgb


# ------------------------------------------------------------------ eyes

_STYLES = {  # width, tilt (outer corner up), roundness exponent; the height is geometry (:data:`EYE_HEIGHT`)
    "round": (1.0, 0.00, 2.3),
    "big": (1.06, 0.00, 2.4),
    "almond": (1.06, 0.05, 2.1),
    "cat": (1.06, 0.10, 2.1),
    "sharp": (1.06, 0.11, 2.0),
    "upturned": (1.04, 0.10, 2.2),
    "tsurime": (1.04, 0.10, 2.2),
    "droopy": (1.02, -0.09, 2.3),
    "tareme": (1.02, -0.09, 2.3),
    "downturned": (1.02, -0.09, 2.3),
    "narrow": (1.05, 0.05, 2.1),
    "sleepy": (1.02, -0.04, 2.3),
    "half_lidded": (1.02, 0.00, 2.3),
}
EYE_HEIGHT = {
    "big": 1.06,
    "almond": 0.86,
    "cat": 0.92,
    "sharp": 0.80,
    "upturned": 0.92,
    "tsurime": 0.92,
    "droopy": 0.95,
    "tareme": 0.95,
    "downturned": 0.95,
    "narrow": 0.66,
    "sleepy": 0.68,
    "half_lidded": 0.62,
    "dot": 0.77,  # painted taller: its upper edge lies on the lid, and is the line of the closed eye
}
_HALF_LIDDED = ("sleepy", "half_lidded")  # the lid hangs over the iris, which stays as tall as in an open eye


def _eye(
    c: _Canvas, side: int, iris: np.ndarray, style: str, lash: np.ndarray, skin: np.ndarray, presentation: str
) -> None:
    area = c.box(side * EYE_X - 0.20, side * EYE_X + 0.20, EYE_Y - 0.20, EYE_Y + 0.23)
    if style.startswith("dot"):
        return _dot_eye(c, area, side, iris, lash)
    wide, tilt, power = _STYLES.get(next((k for k in _STYLES if style.startswith(k)), "round"))
    aa = 1.2 * c.pixel / EYE_W
    dx = c.x[area] - side * EYE_X
    u = dx * side / (EYE_W * wide)  # outwards positive
    v = (c.y[area] - EYE_Y + 0.006 - tilt * u * EYE_W) / EYE_H
    r = (np.abs(u) ** power + np.abs(v * np.where(v < 0, 0.99, 1.0)) ** power) ** (1 / power)
    inside = step(1 + aa, 1 - aa, r)

    white = mix(np.float32([1.0, 0.995, 0.99]), np.float32([0.80, 0.76, 0.86]), step(0.30, 0.85, v))
    eye = np.broadcast_to(white, (*u.shape, 3)).astype(np.float32)
    # iris: fills the height, dark at the top, light at the bottom
    tall = next((EYE_HEIGHT[k] for k in _HALF_LIDDED if style.startswith(k)), 1.0)
    lower = 1 - tall
    iu, iv = (u + 0.02) / 0.80, (v * tall - lower + 0.02) / 1.01
    ir = np.hypot(iu, iv)
    top = shaded(iris, 0.40, 1.15, 0.02)
    low = mix(shaded(iris, 1.28, 0.80), np.float32([1, 1, 1]), 0.12)
    body = mix(np.broadcast_to(top, eye.shape), iris, step(0.75, 0.05, iv))
    body = mix(body, low, step(-0.05, -0.85, iv))
    body = mix(body, shaded(iris, 0.34, 1.2, 0.02), step(0.84, 0.95, ir) * step(-0.95, -0.35, iv) * 0.9)
    pupil = step(0.40 + 2 * aa, 0.40 - 2 * aa, np.hypot(iu / 0.92, (iv - 0.02) / 1.05))
    body = mix(body, shaded(iris, 0.20, 1.2, 0.02), pupil * 0.92)
    # a crescent of light inside the lower iris
    glow = step(0.16, 0.06, np.abs(np.hypot(iu, iv + 0.06) - 0.66)) * step(-0.10, -0.45, iv)
    body = mix(body, mix(low, np.float32([1, 1, 1]), 0.45), 0.55 * glow)
    eye = mix(eye, body, step(1 + aa, 1 - aa, ir))
    eye = mix(eye, shaded(iris, 0.22, 0.9), 0.40 * step(0.58, 0.90, v))  # the lid's shadow
    # highlights sit towards the key light, on the same side in both eyes
    hx, hy = dx / EYE_W, (c.y[area] - EYE_Y) / EYE_H * tall - lower / 2
    if style.startswith("star"):
        bright = _star(hx + 0.05, hy - 0.08, 0.46, aa)
    elif style.startswith("heart"):
        bright = _heart(hx + 0.02, hy - 0.05, 0.42, aa)
    else:
        bright = step(1 + 3 * aa, 1 - 3 * aa, np.hypot((hx + 0.27) / 0.265, (hy - 0.40) / 0.245))
    bright = np.maximum(bright, step(1 + 6 * aa, 1 - 6 * aa, np.hypot((hx - 0.30) / 0.125, (hy + 0.46) / 0.115)))
    bright = np.maximum(bright, 0.75 * step(1 + 8 * aa, 1 - 8 * aa, np.hypot((hx + 0.44) / 0.075, (hy + 0.02) / 0.070)))
    if tall < 1:
        bright = bright * step(0.84, 0.78, v)  # the lid's shadow; a light at its edge would show when it shuts
    eye = mix(eye, np.float32([1, 1, 1]), bright)
    c.rgb[area] = c.rgb[area] + (eye - c.rgb[area]) * inside[..., None]

    # upper lashes: a crescent, thin inside, thick and winged outside
    grow = np.clip(0.55 + 0.45 * u, 0.15, 1.2)
    turn = np.arctan2(v, u)  # 0 at the outer corner, pi at the inner one
    taper = step(-0.10, 0.75, turn) * step(np.pi - 0.25, np.pi - 1.10, turn) * (turn > -0.2)
    thick = (0.070 + (0.135 if presentation != "masculine" else 0.085) * grow) * taper
    band = step(-aa, aa, r - (1 - 0.40 * thick)) * step(1 + thick + aa, 1 + thick - aa, r) * (thick > 0.004)
    wing_reach = 0.12 if presentation != "masculine" else 0.06
    wing_v = (v - (0.22 + 0.55 * np.clip(u - 0.86, 0, 1))) / np.maximum(
        0.13 * (1 - (u - 0.86) / (wing_reach + 0.10)), 0.01
    )
    wing = (
        step(1.15, 0.75, np.abs(wing_v))
        * step(0.80, 0.90, u)
        * step(0.96 + wing_reach + aa, 0.96 + wing_reach - 2 * aa, u)
    )
    c.blend(area, lash, np.maximum(band, wing))
    if presentation == "feminine":
        for at, lean in ((0.58, 0.30), (0.82, 0.55)):
            along = np.clip((v - 0.86 * np.sqrt(max(0.0, 1 - at * at))) / 0.36, -0.2, 1.4)
            flick = (
                step(0.060, 0.030, np.abs(u - at - lean * 0.30 * along) / np.maximum(1.05 - along, 0.05))
                * (along > 0)
                * (along < 1)
            )
            c.blend(area, lash, flick)
    # lower line and the fold of the lid
    under = step(0.050, 0.020, np.abs(r - 1.015)) * step(-0.62, -0.80, v) * step(-0.45, 0.25, u)
    c.blend(area, mix(lash, skin, 0.30), 0.9 * under)
    fold = (
        step(0.030, 0.010, np.abs(r - 1 - thick - 0.085))
        * step(0.70, 0.85, v)
        * step(-0.75, -0.45, u)
        * step(0.85, 0.5, u)
    )
    c.blend(area, shaded(skin, 0.70, 1.6, 0.03), 0.26 * fold)
    return None


def _dot_eye(c: _Canvas, area, side: int, iris: np.ndarray, lash: np.ndarray) -> None:
    u = (c.x[area] - side * EYE_X) / 0.078
    v = (c.y[area] - EYE_Y - 0.020) / 0.150
    aa = c.pixel / 0.078
    ink = mix(lash, iris, 0.20)
    c.blend(area, ink, step(1 + aa, 1 - aa, np.hypot(u, v)))
    c.blend(area, np.float32([1, 1, 1]), step(1 + 2 * aa, 1 - 2 * aa, np.hypot((u + 0.30) / 0.34, (v - 0.40) / 0.26)))


def _star(x, y, size, aa):
    r, t = np.hypot(x, y), np.arctan2(x, y)
    k = np.abs(((t * 5 / (2 * np.pi)) % 1) - 0.5) * 2  # 1 at the points, 0 between
    return step(aa, -aa, r - size * (0.42 + 0.58 * k**1.6))


def _heart(x, y, size, aa):
    x, y = x / size, y / size
    return step(0.10, -0.10, (x * x + y * y - 0.62) ** 3 - 1.1 * x * x * y**3)


# ------------------------------------------------------------------ brows, mouth, beard, marks


def _brow(c: _Canvas, side: int, style: str, color: np.ndarray) -> None:
    area = c.box(side * 0.235 - 0.16, side * 0.235 + 0.16, BROW_Y - 0.08, BROW_Y + 0.09)
    t = (c.x[area] * side - 0.135) / 0.195  # 0 inner end, 1 outer end
    tilt, bow, thick = {"straight": (0.0, 0.004, 0.0125), "thick": (0.012, 0.022, 0.0185), "thin": (0.010, 0.026, 0.0075), "worried": (-0.030, 0.018, 0.0115),
                        "angry": (0.036, 0.012, 0.0135), "arched": (0.010, 0.036, 0.0115), "round": (0.0, 0.028, 0.0140), "short": (0.0, 0.012, 0.0155)}.get(style, (0.006, 0.026, 0.0120))  # fmt: skip
    line = BROW_Y + tilt * (t - 0.5) + bow * (1 - (2 * t - 0.9) ** 2) - bow * 0.5
    reach = 0.62 if style == "short" else 1.0
    taper = np.clip(np.minimum(t / 0.12, (reach - t) / 0.45), 0, 1) ** 0.6
    px = c.pixel
    c.blend(area, color, 0.92 * step(px, -px, np.abs(c.y[area] - line) - thick * taper) * (t > 0) * (t < reach))


def _mouth(character: Character, c: _Canvas, skin: np.ndarray) -> None:
    """An open mouth; the neutral face holds it closed, so only its outline shows until a vowel or a smile opens it."""
    area = c.box(-0.13, 0.13, MOUTH_Y - 0.11, MOUTH_Y + 0.10)
    x, d = c.x[area], c.y[area] - MOUTH_Y
    h = MOUTH_H * np.sqrt(np.clip(1 - (x / MOUTH_W) ** 2, 0, 1)) ** 0.9
    px = c.pixel
    ink = mix(np.float32([0.47, 0.18, 0.19]), shaded(skin, 0.5, 1.6, 0.03), 0.25)
    out = np.maximum(np.abs(d) - h, 0)
    beyond = np.hypot(out, np.maximum(np.abs(x) - MOUTH_W, 0))
    c.blend(area, ink, step(0.0064 + px, 0.0064 - px, beyond) * step(MOUTH_W + 0.010, MOUTH_W + 0.002, np.abs(x)))
    inner = step(px, -px, np.abs(d) - np.maximum(h - 0.006, 0)) * (h > 0.004)
    c.blend(area, np.float32([0.55, 0.17, 0.22]), inner)
    tongue = step(1.06, 0.94, np.hypot(x / 0.052, (d + MOUTH_H * 0.72) / 0.036)) * inner
    c.blend(area, np.float32([0.93, 0.50, 0.52]), tongue)
    teeth = (
        step(MOUTH_H * 0.50 - px, MOUTH_H * 0.50 + px, d)
        * step(px, -px, d - np.maximum(h - 0.017, 0))
        * (np.abs(x) < 0.050)
    )
    c.blend(area, np.float32([1.0, 0.99, 0.97]), teeth)
    if character["face.fang"]:
        t = np.clip((-(d + h * 1.0)) / 0.020, 0, 1)
        fang = step(px, -px, np.abs(x - 0.034) - 0.0105 * (1 - t)) * (-d > h * 0.98) * (-d < h + 0.022)
        c.blend(area, np.float32([1, 1, 1]), fang)
    lip = np.exp(-((x / 0.028) ** 2) - ((d + MOUTH_H + 0.030) / 0.008) ** 2)
    c.blend(area, shaded(skin, 0.90, 1.3, 0.03), 0.30 * lip)


def _beard(character: Character, c: _Canvas, look: Look, skin: np.ndarray) -> None:
    kind = character["face.beard"]
    if kind == "none":
        return
    area = c.box(-0.5, 0.5, -0.02, 0.36)
    x, y = c.x[area], c.y[area]
    color, amount = look.shade, np.zeros_like(x)
    mouth = np.hypot(x / 0.115, (y - MOUTH_Y) / 0.050)
    if any(k in kind for k in ("stubble", "shadow")):
        color = mix(skin, look.dark, 0.28)
        amount = 0.8 * step(0.26, 0.16, y - 0.30 * np.abs(x) * (np.abs(x) > 0.12)) * step(0.9, 1.1, mouth)
    if any(k in kind for k in ("full", "beard", "long")) and "goatee" not in kind and "stubble" not in kind:
        edge = 0.10 + 0.75 * np.maximum(np.abs(x) - 0.10, 0) + 0.010 * np.cos(x * 60)
        amount = np.maximum(amount, step(edge + 0.006, edge - 0.006, y))
    if "goatee" in kind:
        amount = np.maximum(amount, step(1.05, 0.95, np.hypot(x / 0.090, (y - 0.042) / 0.036)))
    if any(k in kind for k in ("moustache", "mustache", "full", "beard")) and "stubble" not in kind:
        line = 0.262 - 0.55 * np.maximum(np.abs(x) - 0.01, 0) ** 1.1
        amount = np.maximum(amount, step(0.020, 0.014, np.abs(y - line)) * (np.abs(x) < 0.105))
    c.blend(area, color, amount)


def _marks(character: Character, c: _Canvas, skin: np.ndarray) -> None:
    spot = shaded(skin, 0.74, 1.7, 0.02)
    if character["face.freckles"]:
        for sx, sy, r in (
            (0.10, 0.265, 0.0085),
            (0.150, 0.250, 0.0070),
            (0.195, 0.270, 0.0080),
            (0.245, 0.252, 0.0070),
            (0.130, 0.290, 0.0060),
            (0.215, 0.292, 0.0060),
        ):
            for side in (-1, 1):
                area = c.box(side * sx - 0.03, side * sx + 0.03, sy - 0.03, sy + 0.03)
                c.blend(area, spot, 0.75 * step(r * 1.2, r * 0.7, np.hypot(c.x[area] - side * sx, c.y[area] - sy)))
    if character["face.mole"]:
        area = c.box(0.24, 0.34, 0.20, 0.30)
        c.blend(area, shaded(skin, 0.40, 1.2), step(0.0105, 0.0065, np.hypot(c.x[area] - 0.290, c.y[area] - 0.252)))
    marking = character.get("face.marking")
    if marking and marking != "none":
        if "whisker" in marking:
            for side in (-1, 1):
                area = c.box(side * 0.36 - 0.14, side * 0.36 + 0.14, 0.14, 0.36)
                for k in (-1, 0, 1):
                    line = 0.235 + 0.040 * k + 0.25 * k * (np.abs(c.x[area]) - 0.33)
                    c.blend(
                        area,
                        INK,
                        0.8
                        * step(0.0065, 0.0035, np.abs(c.y[area] - line))
                        * (np.abs(c.x[area]) > 0.27)
                        * (np.abs(c.x[area]) < 0.41),
                    )
        elif "scar" in marking:
            area = c.box(0.22, 0.42, 0.12, 0.30)
            line = 0.26 - 0.5 * (c.x[area] - 0.26)
            c.blend(
                area,
                shaded(skin, 0.72, 1.7, 0.03),
                step(0.008, 0.004, np.abs(c.y[area] - line)) * (c.x[area] > 0.25) * (c.x[area] < 0.38),
            )
        else:
            shape = _star if "star" in marking else _heart
            area = c.box(0.24, 0.42, 0.15, 0.33)
            c.blend(area, srgb("#ef6f86"), shape(c.x[area] - 0.33, c.y[area] - 0.235, 0.045, c.pixel / 0.05))
