"""The Comfy Registry's own checks."""

from __future__ import annotations

import os
import subprocess

from chibi_avatar.setup import environment, paths


def test_comfy_node_validate(root, tmp_path):
    """The registry would refuse the pack at publishing time."""
    environment.ensure("comfy_cli")
    comfy = paths.environment_script(environment.location("comfy_cli"), "comfy")
    env = {
        **os.environ,
        "HOME": str(tmp_path),
        "USERPROFILE": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "PATH": os.pathsep.join([str(comfy.parent), os.environ.get("PATH", "")]),
        "DO_NOT_TRACK": "1",
    }
    command = [str(comfy), "--skip-prompt", "--no-enable-telemetry", "node", "validate"]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "passed" in done.stdout + done.stderr
