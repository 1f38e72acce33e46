"""The engines' contract on real Ray actors, with the released Ray in an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess

from chibi_avatar.setup import environment, paths


def test_the_contract_holds_on_ray(root, tmp_path, report):
    """`--engine ray` would lose rows, or tell another story than the local engine."""
    python = environment.ensure("ray")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHON", "RAY_"))}
    env |= {"CHIBI_TEST_ENGINE": "ray", "RAY_USAGE_STATS_ENABLED": "0", "HOME": str(tmp_path), "TMPDIR": "/tmp"}
    env |= {"CHIBI_AVATAR_CACHE": str(paths.cache_root())}
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/headless/test_engines.py"]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=280, check=False)
    told = done.stdout[-4000:] + done.stderr[-2000:]
    assert done.returncode == 0, told
    report(f"Ray engine: {re.search(r'[0-9]+ passed.*', done.stdout)[0]}, one of three actors killed, 60 of 60 rows")
