"""The 3D view on the export node in the real page: what a person sees after Run, under ComfyUI's content policy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHARACTER = '{"chibi_character": 1, "name": "Momo", "hair": {"style": "twintails", "color": {"hex": "#f08ab0"}}}'
PANEL = "window.app.graph.nodes.find(node => node.comfyClass === 'ChibiAvatarExport').chibiAvatarPanel"


def _workflow() -> dict[str, Any]:
    """Load and export, linked, as a canvas workflow."""
    return {
        "version": 0.4,
        "last_node_id": 2,
        "last_link_id": 1,
        "nodes": [
            {
                "id": 1, "type": "ChibiAvatarLoad", "pos": [20, 80], "size": [300, 200], "flags": {},
                "order": 0, "mode": 0,
                "inputs": [], "outputs": [{"name": "avatar", "type": "CHIBI_AVATAR", "links": [1]}],
                "properties": {}, "widgets_values": ["3d/viewer_momo.vrm", True, -1],
            },
            {
                "id": 2, "type": "ChibiAvatarExport", "pos": [380, 40], "size": [420, 900], "flags": {},
                "order": 1, "mode": 0,
                "inputs": [{"name": "avatar", "type": "CHIBI_AVATAR", "link": 1}], "outputs": [],
                "properties": {}, "widgets_values": ["viewer/momo", "any", "1.0"],
            },
        ],
        "links": [[1, 1, 0, 2, 0, "CHIBI_AVATAR"]],
        "groups": [], "config": {}, "extra": {},
    }  # fmt: skip


@pytest.fixture(scope="module")
def momo(server: Any) -> Path:
    """A pink-haired avatar with long tails, in ComfyUI's input/3d."""
    from chibi_avatar.avatar.build import build_avatar
    from chibi_avatar.avatar.export import export_avatar

    path = server.base / "input" / "3d" / "viewer_momo.vrm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(export_avatar(build_avatar(CHARACTER, "mobile", 512)).vrms["1.0"])
    return path


def _picture(frontend: Any) -> np.ndarray:
    """The view's canvas after one more step, (H, W, 4) int16."""
    data = frontend.page.evaluate(
        f"""async () => {{
            const view = {PANEL}.view;
            view.step(1 / 60);
            const blob = await new Promise(done => view.canvas.toBlob(done, 'image/png'));
            return Array.from(new Uint8Array(await blob.arrayBuffer()));
        }}"""
    )
    return np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGBA")).astype(np.int16)


@pytest.fixture
def shown(momo: Path, frontend: Any) -> Any:
    """The page after a run, with the avatar in view."""
    frontend.load(_workflow())
    frontend.queue()
    frontend.page.wait_for_function(f"() => {PANEL}.root.dataset.version", timeout=60_000)
    yield frontend
    frontend.clear()


def test_the_avatar_appears_and_its_face_moves(shown: Any) -> None:
    """After Run the person sees the avatar and can make it blink, smile and wave; workflows carry nothing of it."""
    page = shown.page
    facts = page.evaluate(f"() => ({{...{PANEL}.root.dataset}})")
    assert facts["version"] == "VRM 1.0" and int(facts["springs"]) > 0
    policy = page.evaluate("async () => (await fetch('/')).headers.get('Content-Security-Policy')")
    assert "default-src 'self'" in policy  # what follows works without anything from outside
    page.evaluate(f"() => {{ {PANEL}.view.setPose('t-pose'); }}")
    still = _picture(shown)
    assert 0.03 < (still[..., 3] > 0).mean() < 0.9
    assert len(np.unique(still[still[..., 3] > 200][:, :3] // 16, axis=0)) > 20  # textured, not one grey
    for name in ("blink", "happy"):
        slider = page.locator(f"input[data-expression={name}]").first
        move = (
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }"
        )
        slider.evaluate(move, 1)
        assert (np.abs(_picture(shown) - still).max(axis=2) > 24).mean() > 0.0005, name
        slider.evaluate(move, 0)
    page.evaluate(f"() => {{ const p = {PANEL}.pose; p.value = 'wave'; p.dispatchEvent(new Event('change')); }}")
    assert (np.abs(_picture(shown) - still).max(axis=2) > 24).mean() > 0.005

    export = next(item for item in shown.api_prompt().values() if item["class_type"] == "ChibiAvatarExport")
    assert "viewer" not in export["inputs"]
    saved = next(node for node in shown.serialize()["nodes"] if node["type"] == "ChibiAvatarExport")
    assert saved["widgets_values"][0] == "viewer/momo"
    assert len([value for value in saved["widgets_values"] if value is not None]) == 17
    assert shown.errors == []


def test_springs_swing_then_rest_and_the_view_goes_with_its_node(shown: Any) -> None:
    """Hair that never settles costs battery, hair that explodes is worse, and a lost WebGL view blanks the next one."""
    page = shown.page
    swing, settled = page.evaluate(
        f"""() => {{
            const view = {PANEL}.view;
            const joints = [...view.avatar.vrm.springBoneManager.joints].filter(joint => joint.child);
            const places = () => joints.map(joint => joint.child.matrixWorld.elements.slice(12, 15));
            const apart = (a, b) => Math.max(...a.map((p, i) => Math.hypot(...p.map((v, k) => v - b[i][k]))));
            const run = frames => {{ for (let i = 0; i < frames; i++) view.advance(1 / 60); return places(); }};
            const start = run(1);
            view.idle = true;
            const moving = run(100);
            view.setIdle(false);
            return [apart(start, moving), apart(run(240), run(30))];
        }}"""
    )
    assert swing > 0.005
    assert settled < 0.002
    page.wait_for_function(f"() => !{PANEL}.view.running", timeout=30_000)
    frames = page.evaluate(f"() => {PANEL}.view.frames")
    shown.settle()
    assert page.evaluate(f"() => {PANEL}.view.frames") == frames
    page.evaluate(f"() => {{ window.lastView = {PANEL}.view; }}")
    shown.clear()
    assert page.evaluate("() => window.lastView.disposed && !window.lastView.canvas.isConnected")


def test_upload_from_the_loader_and_a_file_that_is_gone(momo: Path, frontend: Any, tmp_path: Path) -> None:
    """People have their VRM on their own computer; and a picture that never comes needs a message."""
    frontend.load(_workflow())
    frontend.page.evaluate(f"async () => {{ await {PANEL}.show('/view?filename=nothing.vrm&type=output'); }}")
    assert "cannot be shown" in frontend.page.locator(".chibi-viewer-note").first.inner_text()
    frontend.errors.clear()
    own = tmp_path / "mine.vrm"
    own.write_bytes(momo.read_bytes())
    node = "window.app.graph.nodes.find(node => node.comfyClass === 'ChibiAvatarLoad')"
    with frontend.page.expect_file_chooser() as chooser:
        frontend.page.evaluate(f"() => {node}.widgets.find(widget => widget.type === 'button').callback()")
    chooser.value.set_files(str(own))
    frontend.page.wait_for_function(f"() => {node}.widgets[0].value !== '3d/viewer_momo.vrm'")
    value = frontend.page.evaluate(f"() => {node}.widgets[0].value")
    assert value.startswith("3d/mine")
    assert (frontend.server.base / "input" / value).read_bytes() == own.read_bytes()
    sent = frontend.page.evaluate(
        f"async () => (await window.app.graphToPrompt()).output[String({node}.id)].inputs"
    )  # the button is no input of the node
    assert sent["file"] == value and set(sent) <= {"file", "i_am_the_author", "paint_texture"}
    assert frontend.errors == []
