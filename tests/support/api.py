"""A few plain calls to a ComfyUI server, apart from our own client so that tests of it stay independent."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any


def get(url: str, route: str) -> Any:
    """The JSON at ``route``."""
    with urllib.request.urlopen(url + route, timeout=30) as reply:
        return json.load(reply)


def post(url: str, route: str, body: Any) -> tuple[int, Any]:
    """POST JSON; returns the status and the decoded answer."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url + route, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            text = reply.read()
            return reply.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def run_prompt(url: str, prompt: dict[str, Any], seconds: float = 120) -> dict[str, Any]:
    """Queue an API-format graph and wait for it; returns its history entry. Fails the test if it is refused or breaks."""
    prompt_id = str(uuid.uuid4())
    status, reply = post(url, "/prompt", {"prompt": prompt, "prompt_id": prompt_id})
    assert status == 200 and not reply.get("node_errors"), json.dumps(reply, indent=1, ensure_ascii=False)[:4000]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        entry = get(url, f"/history/{prompt_id}").get(prompt_id)
        if entry is not None:
            assert entry["status"]["status_str"] == "success", json.dumps(entry["status"], ensure_ascii=False)[:4000]
            return entry
        time.sleep(0.05)
    raise AssertionError(f"the job did not finish in {seconds:.0f} s")


def run_failing(url: str, prompt: dict[str, Any], seconds: float = 120) -> dict[str, Any]:
    """Queue a graph that must break while it runs; returns ComfyUI's account of it: exception_message, exception_type, node_id."""
    prompt_id = str(uuid.uuid4())
    status, reply = post(url, "/prompt", {"prompt": prompt, "prompt_id": prompt_id})
    assert status == 200 and not reply.get("node_errors"), json.dumps(reply, indent=1, ensure_ascii=False)[:4000]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        entry = get(url, f"/history/{prompt_id}").get(prompt_id)
        if entry is not None:
            errors = [data for name, data in entry["status"]["messages"] if name == "execution_error"]
            assert errors, json.dumps(entry["status"], ensure_ascii=False)[:4000]
            return errors[0]
        time.sleep(0.05)
    raise AssertionError(f"the job did not finish in {seconds:.0f} s")


def fetch(url: str, item: dict[str, str]) -> bytes:
    """The bytes of an output file that a history entry lists."""
    from urllib.parse import urlencode

    query = urlencode({key: item[key] for key in ("filename", "subfolder", "type")})
    with urllib.request.urlopen(f"{url}/view?{query}", timeout=60) as reply:
        return reply.read()
