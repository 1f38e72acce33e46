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
    """A target. ``tiers`` go from the best rank to the worst accepted one; an avatar passes if it reaches any of them.

    ``texture`` and ``one_material`` say how the preset exports: largest texture side, and whether materials are joined.
    """

    name: str
    tiers: tuple[tuple[str, tuple[Limit, ...]], ...]
    texture: int | None = None
    one_material: bool = False
    versions: tuple[str, ...] = ("1.0", "0.x")  # accepted, preferred first
    note: str = ""


_MIPS = 4 / 3
# Bytes per texel in the compressed formats that Unity picks: BC7 on PC, ASTC 6×6 on phones and Quest.
_TEXEL_BYTES = {"texture_mb_pc": 1.0, "texture_mb_mobile": 16 / 36}


def _vrchat(
    texture: str, *rows: tuple[str, float, float, int, int, int, int]
) -> tuple[tuple[str, tuple[Limit, ...]], ...]:
    """Tiers of VRChat's performance ranks: name, triangles, texture MB, meshes, materials, bones, spring chains."""
    return tuple(
        (
            name,
            (
                Limit("triangles", triangles),
                Limit(texture, megabytes, "MB"),
                Limit("meshes", meshes),
                Limit("materials", materials),
                Limit("bones", bones),
                Limit("springs", springs),
            ),
        )
        for name, triangles, megabytes, meshes, materials, bones, springs in rows
    )


PLATFORMS: dict[str, Platform] = {
    "vrchat_pc": Platform(
        "VRChat PC",
        _vrchat("texture_mb_pc", ("Excellent", 32_000, 40, 1, 4, 75, 4), ("Good", 70_000, 75, 2, 8, 150, 8)),
        versions=("0.x", "1.0"),
        note="upload through Unity with VRM Converter for VRChat",
    ),
    "vrchat_quest": Platform(
        "VRChat Quest and mobile",
        _vrchat(
            "texture_mb_mobile",
            ("Excellent", 7_500, 10, 1, 1, 75, 0),
            ("Good", 10_000, 18, 1, 1, 90, 4),
            ("Medium", 15_000, 25, 2, 2, 150, 6),
        ),
        texture=1024,
        one_material=True,
        versions=("0.x", "1.0"),
        note="worse ranks are hidden from others by default; upload through Unity",
    ),
    "cluster": Platform(
        "cluster",
        (
            (
                "",
                (
                    Limit("triangles", 32_000),
                    Limit("materials", 8),
                    Limit("bones", 128),
                    Limit("morphs", 64),
                    Limit("largest_texture", 2048, "px"),
                    Limit("texture_pixels", 12_582_912),
                    Limit("file_mb", 25, "MB"),
                ),
            ),
        ),
        texture=2048,
    ),
    "vseeface": Platform("VSeeFace", (("", ()),), versions=("0.x",), note="reads VRM 0.x only"),
    "monaverse": Platform(
        "Monaverse",
        (
            (
                "Excellent",
                (
                    Limit("triangles", 15_000),
                    Limit("file_mb", 8, "MB"),
                    Limit("meshes", 1),
                    Limit("materials", 1),
                    Limit("largest_texture", 1024, "px"),
                ),
            ),
            (
                "accepted",
                (Limit("triangles", 25_000), Limit("file_mb", 12, "MB"), Limit("largest_texture", 2048, "px")),
            ),
        ),
        texture=1024,
        one_material=True,
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


def problems(figures: Figures, platform: Platform, tier: int = -1) -> list[str]:
    """Why the avatar misses a tier of ``platform`` (default: the last one, so why it is refused); [] when it does not."""
    out = []
    if not set(figures.versions) & set(platform.versions):
        out.append(f"needs VRM {' or '.join(platform.versions)}, this is {', '.join(figures.versions) or 'not a VRM'}")
    for limit in platform.tiers[tier][1]:
        value = measure(figures, limit.figure)
        if value > limit.most:
            label = limit.figure.replace("texture_mb_pc", "texture memory").replace(
                "texture_mb_mobile", "texture memory"
            )
            unit = f" {limit.unit}" if limit.unit else ""
            label = label.replace("_", " ").replace(" mb", "")
            out.append(f"{label} {_shown(value)}{unit} > {_shown(limit.most)}{unit}")
    return out


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def verdict(figures: Figures, platform: Platform) -> str:
    """``pass`` with the rank reached and what the next better one would need, or ``FAIL`` with the reasons."""
    for tier, (name, _) in enumerate(platform.tiers):
        if not problems(figures, platform, tier):
            better = (
                f"; for {platform.tiers[tier - 1][0]}: {', '.join(problems(figures, platform, tier - 1))}"
                if tier
                else ""
            )
            return "pass" + (f", {name}" if name else "") + better
    return "FAIL: " + "; ".join(problems(figures, platform))


def table(figures: Figures) -> list[str]:
    """One line per platform."""
    return [
        f"  {platform.name}: {verdict(figures, platform)}" + (f" ({platform.note})" if platform.note else "")
        for platform in PLATFORMS.values()
    ]
