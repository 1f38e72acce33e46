"""ComfyUI's real page in a real browser, as a test needs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import api

RENDERERS = ("classic", "nodes2")
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.Workflow.WarnBlueprintOverwrite": False,
    "Comfy.NodeBadge.ShowApiPricing": False,
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.InstalledVersion": "1.47.12",
    "Comfy.Release.Status": "skipped",
}


class Frontend:
    """A page with ComfyUI open. ``page`` is Playwright's; ``errors`` collects the page's own errors as they happen."""

    def __init__(self, page: Any, server: Any, renderer: str = "classic", language: str = "en") -> None:
        self.page = page
        self.server = server
        self.renderer = renderer
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)
        api.post(
            server.url,
            "/settings",
            {**_SETTINGS, "Comfy.VueNodes.Enabled": renderer == "nodes2", "Comfy.Locale": language},
        )
        self.open()

    def _console(self, message: Any) -> None:
        if message.type == "error" and "chibi" in (message.text + str(message.location)).lower():
            self.errors.append(message.text)

    def open(self) -> None:
        """Load (or reload) the page and wait until graphs can be loaded."""
        self.page.goto(self.server.url, wait_until="domcontentloaded")
        self.page.wait_for_function(
            "() => window.app?.extensionManager && window.app.graph && window.LiteGraph?.registered_node_types?.SaveImage"
            " && document.querySelector('canvas') && !document.querySelector('#splash-loader')",
            timeout=60_000,
        )
        vue = self.page.evaluate("() => window.app.extensionManager.setting.get('Comfy.VueNodes.Enabled')")
        assert vue == (self.renderer == "nodes2"), f"the page runs with Nodes 2.0 = {vue}"

    def load(self, workflow: Path | dict[str, Any]) -> None:
        """Open a canvas workflow (a file or its content)."""
        graph = json.loads(workflow.read_text(encoding="utf-8")) if isinstance(workflow, Path) else workflow
        self.page.evaluate("async graph => { await window.app.loadGraphData(graph); }", graph)
        self.page.wait_for_function("count => window.app.graph.nodes.length === count", arg=len(graph["nodes"]))
        self.settle()

    def settle(self) -> None:
        """Wait for two drawn frames."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def add_node(self, node_id: str, position: tuple[float, float] = (100, 100)) -> int:
        """Put a node on the canvas; returns its id in the graph."""
        script = """([type, position]) => {
            const node = window.LiteGraph.createNode(type);
            node.pos = position;
            window.app.graph.add(node);
            return node.id;
        }"""
        made = self.page.evaluate(script, [node_id, list(position)])
        self.settle()
        return made

    def clear(self) -> None:
        """An empty canvas."""
        self.page.evaluate("() => window.app.graph.clear()")
        self.settle()

    def serialize(self) -> dict[str, Any]:
        """The canvas as a workflow file would hold it."""
        return self.page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")

    def api_prompt(self) -> dict[str, Any]:
        """The graph in API format, as the page makes it."""
        return self.page.evaluate("async () => JSON.parse(JSON.stringify((await window.app.graphToPrompt()).output))")

    def queue(self, seconds: float = 120) -> tuple[dict[str, Any], dict[str, Any]]:
        """Press Run; returns what the page sent to the server and the finished job's history entry."""
        with self.page.expect_response(
            lambda reply: reply.url.endswith("/prompt") and reply.request.method == "POST"
        ) as caught:
            self.page.evaluate("() => { window.app.queuePrompt(0, 1); }")
        reply = caught.value
        sent = json.loads(reply.request.post_data)
        body = reply.json()
        assert reply.status == 200 and not body.get("node_errors"), json.dumps(body, ensure_ascii=False)[:4000]
        return sent["prompt"], self.finished(body["prompt_id"], seconds)

    def finished(self, job_id: str, seconds: float = 120) -> dict[str, Any]:
        """Wait until a job has succeeded; its history entry."""
        entry: dict[str, Any] = {}
        for _ in range(int(seconds * 10)):
            entry = api.get(self.server.url, f"/history/{job_id}")
            if entry:
                break
            self.page.wait_for_timeout(100)
        assert entry, f"the job did not finish in {seconds:.0f} s"
        job = entry[job_id]
        assert job["status"]["status_str"] == "success", json.dumps(job["status"], ensure_ascii=False)[:4000]
        return job
