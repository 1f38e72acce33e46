"""What metaverse apps accept: their limits, and a pass/fail table for one exported avatar.

Limits as published by each platform in 2025 and 2026 (VRChat creator documentation, cluster's avatar page,
Monaverse's avatar guide).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """What one exported avatar costs."""

    triangles: int
    materials: int
    meshes: int
    bones: int
    springs: int
    morphs: int
    texture_sizes: tuple[tuple[int, int], ...]  # (width, height) of every texture that is drawn
    file_bytes: int
    versions: tuple[str, ...]  # VRM versions written, of "1.0" and "0.x"

    @property
    def texture_pixels(self) -> int:
        return sum(width * height for width, height in self.texture_sizes)

    @property
    def largest_texture(self) -> int:
        return max((max(size) for size in self.texture_sizes), default=0)


@dataclass(frozen=True)
class Limit:
    """The most that a platform allows of one figure, and the unit to print."""

    figure: str
    most: float
    unit: str = ""


@dataclass(frozen=True)
class Platform:
    """A target. ``limits`` decide pass or fail; ``note`` is printed beside; ``texture`` is the atlas edge the preset
    exports at."""

    name: str
    limits: tuple[Limit, ...]
    texture: int | None = None
    versions: tuple[str, ...] = ("1.0", "0.x")  # accepted, preferred first
    note: str = ""


_MIPS = 4 / 3
# Bytes per texel in the compressed formats that Unity picks: BC7 on PC, ASTC 6×6 on phones and Quest.
_TEXEL_BYTES = {"texture_mb_pc": 1.0, "texture_mb_mobile": 16 / 36}

PLATFORMS: dict[str, Platform] = {
    "vrchat_pc": Platform(
        "VRChat PC (rank Excellent)",
        (
            Limit("triangles", 32_000),
            Limit("texture_mb_pc", 40, "MB"),
            Limit("meshes", 1),
            Limit("materials", 4),
            Limit("bones", 75),
            Limit("springs", 4),
        ),
        note="upload through Unity (VRM Converter for VRChat)",
    ),
    "vrchat_quest": Platform(
        "VRChat Quest and mobile (rank Medium or better)",
        (
            Limit("triangles", 15_000),
            Limit("texture_mb_mobile", 25, "MB"),
            Limit("meshes", 2),
            Limit("materials", 2),
            Limit("bones", 150),
            Limit("springs", 6),
        ),
        texture=1024,
        note="worse ranks are hidden from others by default; upload through Unity",
    ),
    "cluster": Platform(
        "cluster",
        (
            Limit("triangles", 32_000),
            Limit("materials", 8),
            Limit("bones", 128),
            Limit("morphs", 64),
            Limit("largest_texture", 2048, "px"),
            Limit("texture_pixels", 12_582_912),
            Limit("file_mb", 25, "MB"),
        ),
        texture=2048,
    ),
    "vseeface": Platform("VSeeFace", (), versions=("0.x",), note="reads VRM 0.x only"),
    "monaverse": Platform(
        "Monaverse (rank Excellent)",
        (
            Limit("triangles", 15_000),
            Limit("file_mb", 8, "MB"),
            Limit("meshes", 1),
            Limit("materials", 1),
            Limit("largest_texture", 1024, "px"),
        ),
        texture=1024,
        versions=("0.x", "1.0"),
    ),
}


def measure(figures: Figures, name: str) -> float:
    """One figure by the name that :class:`Limit` uses."""
    if name in _TEXEL_BYTES:
        return figures.texture_pixels * _TEXEL_BYTES[name] * _MIPS / 2**20
    if name == "file_mb":
        return figures.file_bytes / 1e6
    return float(getattr(figures, name))


def problems(figures: Figures, platform: Platform) -> list[str]:
    """Why ``platform`` would not take the avatar, [] when it would."""
    out = []
    if not set(figures.versions) & set(platform.versions):
        out.append(f"needs VRM {' or '.join(platform.versions)}, this is {', '.join(figures.versions) or 'not a VRM'}")
    for limit in platform.limits:
        value = measure(figures, limit.figure)
        if value > limit.most:
            label = limit.figure.replace("texture_mb_pc", "texture memory").replace(
                "texture_mb_mobile", "texture memory"
            )
            unit = f" {limit.unit}" if limit.unit else ""
            out.append(
                f"{label.replace('_', ' ').replace(' mb', '')} {_shown(value)}{unit} > {_shown(limit.most)}{unit}"
            )
    return out


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def table(figures: Figures) -> list[str]:
    """One line per platform: pass or FAIL with the reasons."""
    lines = []
    for platform in PLATFORMS.values():
        reasons = problems(figures, platform)
        verdict = "pass" if not reasons else "FAIL: " + "; ".join(reasons)
        lines.append(f"  {platform.name}: {verdict}" + (f" ({platform.note})" if platform.note else ""))
    return lines
