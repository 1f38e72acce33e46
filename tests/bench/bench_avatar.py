"""How fast a Character becomes an avatar, and how 200 random ones hold up: ``python3 -m chibi_avatar test tests/bench/bench_avatar.py -s``."""

from __future__ import annotations

import statistics
import time

import numpy as np
from chibi_testing.rig import inside, stretch, turn

from chibi_avatar.avatar import base
from chibi_avatar.avatar.build import build_avatar
from tools.gallery import GIRL, random_character


def test_speed_of_building(report) -> None:
    """Median seconds from a Character to a painted, rigged avatar with a 2048 atlas."""
    build_avatar(GIRL)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        build_avatar(GIRL)
        times.append(time.perf_counter() - start)
    report(f"avatar from Character, 2048 atlas: {statistics.median(times):.2f} s (goal 1.0 s)")


def test_two_hundred_characters(report) -> None:
    """Triangles, stretch and bones of 200 random Characters."""
    arms = {"leftUpperArm": turn(2, -60), "rightUpperArm": turn(2, 60)}
    legs = {"leftUpperLeg": turn(0, -60), "rightUpperLeg": turn(0, -60)}
    triangles, stretches, outside = [], [], 0
    for seed in range(200):
        avatar = build_avatar(random_character(seed), texture_size=256)
        triangles.append(len(avatar.mesh.faces))
        stretches.append((stretch(avatar, arms), stretch(avatar, {"head": turn(0, 30)}), stretch(avatar, legs)))
        outside += not all(inside(avatar).values())
    worst = np.max(stretches, 0)
    report(
        f"200 Characters: triangles median {int(np.median(triangles))}, most {max(triangles)} (limit {base.BUDGET['standard']})"
    )
    report(
        f"200 Characters: worst stretch p99.9 arms {worst[0]:.2f} (1.5), head {worst[1]:.2f} (1.5), legs {worst[2]:.2f} (2.0); bones outside: {outside}"
    )
