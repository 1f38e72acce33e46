"""The pose editor in ComfyUI's real page, in the classic renderer and in Nodes 2.0."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from chibi_testing import api
from PIL import Image

from chibi_avatar.pose import draw, keypoints

LEFT_ELBOW, LEFT_SHOULDER, LEFT_WRIST = 6, 5, 7


def editor_graph(frontend) -> tuple[int, int]:
    """An editor wired to Draw and Preview; returns the editor's and the preview's id."""
    frontend.clear()
    editor = frontend.add_node("ChibiPoseEditor", (40, 80))
    drawn = frontend.add_node("ChibiPoseDraw", (620, 80))
    shown = frontend.add_node("PreviewImage", (1050, 80))
    frontend.page.evaluate(
        """([a, b, c]) => {
            const g = window.app.graph, n = id => g.getNodeById(id);
            n(a).connect(0, n(b), n(b).findInputSlot('pose'));
            n(b).connect(0, n(c), 0);
            n(a).setSize([520, 640]);
            window.app.canvas.ds.scale = 1; window.app.canvas.ds.offset = [0, 0]; window.app.canvas.setDirty(true, true);
        }""",
        [editor, drawn, shown],
    )
    frontend.settle()
    frontend.page.wait_for_selector(".chibi-pose-view circle[data-part=body]")
    return editor, shown


def value_of(frontend, editor: int) -> str:
    return frontend.page.evaluate(
        "id => window.app.graph.getNodeById(id).widgets.find(w => w.name === 'pose_json').value", editor
    )


def body(text: str) -> np.ndarray:
    return keypoints.parse(text)[0].people[0].body


def drag(frontend, joint: int, dx: float, dy: float) -> None:
    """Drag a body joint of the first person by page pixels with the real mouse."""
    box = frontend.page.locator(f'.chibi-pose-view [data-joint="0.body.{joint}"]').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = frontend.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + dx / 2, y + dy / 2)
    mouse.move(x + dx, y + dy)
    mouse.up()
    frontend.settle()


def press(frontend, action: str) -> None:
    frontend.page.locator(f'.chibi-pose [data-action="{action}"]').click()
    frontend.settle()


def length(points: np.ndarray, a: int, b: int) -> float:
    return float(np.hypot(*(points[a, :2] - points[b, :2])))


def test_pose_is_edited_saved_reloaded_and_drawn(frontend):
    """The editor is how people pose a figure: a preset, a drag that keeps the arm's length, undo, redo, save,
    reload, run.
    """
    requests: list[str] = []
    frontend.page.on("request", lambda r: requests.append(r.url))
    editor, _ = editor_graph(frontend)
    first = value_of(frontend, editor)

    frontend.page.locator(".chibi-pose select").focus()
    frontend.page.wait_for_selector(".chibi-pose select option[value=waving]", state="attached")
    frontend.page.locator(".chibi-pose select").select_option("waving")
    frontend.page.wait_for_function(
        "([id, old]) => window.app.graph.getNodeById(id).widgets.find(w => w.name === 'pose_json').value !== old",
        arg=[editor, first],
    )
    preset = value_of(frontend, editor)
    assert keypoints.parse(preset)[0].people[0].tag["preset"] == "waving"

    drag(frontend, LEFT_ELBOW, 6, 34)
    edited = value_of(frontend, editor)
    before, after = body(preset), body(edited)
    moved = length(np.stack([before[LEFT_ELBOW], after[LEFT_ELBOW]]), 0, 1)
    assert moved > 5, "the elbow did not follow the mouse"
    for a, b in ((LEFT_SHOULDER, LEFT_ELBOW), (LEFT_ELBOW, LEFT_WRIST)):
        assert length(after, a, b) == pytest.approx(length(before, a, b), abs=0.1), (
            "the lock did not keep the arm's length"
        )

    press(frontend, "undo")
    assert value_of(frontend, editor) == preset
    press(frontend, "redo")
    assert value_of(frontend, editor) == edited

    saved = frontend.serialize()
    frontend.open()
    frontend.load(saved)
    frontend.page.wait_for_selector(".chibi-pose-view circle[data-part=body]")
    assert value_of(frontend, editor) == edited

    sent, job = frontend.queue()
    assert sent[str(editor)]["inputs"]["pose_json"] == edited
    item = next(output["images"][0] for output in job["outputs"].values() if output.get("images"))
    picture = np.asarray(Image.open(io.BytesIO(api.fetch(frontend.server.url, item))).convert("RGB"))
    expected = draw.draw(keypoints.parse(edited)[0])
    assert np.array_equal(picture, expected), "the drawn map is not the pose in the editor"
    outside = [url for url in requests if not url.startswith((frontend.server.url, "data:", "blob:"))]
    assert outside == []
    assert frontend.errors == []


def test_fifty_undos_bring_back_the_start(frontend):
    """Undo that drifts or forgets would lose work; keys alone must be enough to pose."""
    editor, _ = editor_graph(frontend)
    start = value_of(frontend, editor)
    joint = frontend.page.locator(f'.chibi-pose-view [data-joint="0.body.{LEFT_WRIST}"]')
    joint.focus()
    states = []
    for i in range(50):
        states.append(value_of(frontend, editor))
        frontend.page.keyboard.press("ArrowUp" if i % 2 else "ArrowLeft")
    last = value_of(frontend, editor)
    assert len({*states, last}) == 51
    for state in reversed(states):
        frontend.page.keyboard.press("Control+z")
        assert value_of(frontend, editor) == state
    assert value_of(frontend, editor) == start
    for _ in range(50):
        frontend.page.keyboard.press("Control+y")
    assert value_of(frontend, editor) == last
    assert frontend.errors == []


def test_people_points_and_files(frontend):
    """A second person, a hidden point, a mirrored figure, other proportions, an import, and a copy of the node keep
    their pose.
    """
    editor, _ = editor_graph(frontend)
    press(frontend, "add")
    assert len(keypoints.parse(value_of(frontend, editor))[0].people) == 2
    press(frontend, "remove")
    assert len(keypoints.parse(value_of(frontend, editor))[0].people) == 1
    frontend.page.locator('.chibi-pose-view [data-joint="0.body.4"]').focus()
    frontend.page.keyboard.press("h")
    assert body(value_of(frontend, editor))[4, 2] == 0
    press(frontend, "mirror")
    assert body(value_of(frontend, editor))[7, 2] == 0
    press(frontend, "restore")
    assert (body(value_of(frontend, editor))[:, 2] > 0).all(), "a hidden hand could not be brought back"
    width = frontend.page.locator(".chibi-pose [data-field=width]")
    width.fill("640")
    width.press("Tab")
    assert keypoints.parse(value_of(frontend, editor))[0].width == 640
    heads = frontend.page.locator(".chibi-pose [data-field=heads]")
    heads.fill("4")
    heads.press("Tab")
    assert keypoints.parse(value_of(frontend, editor))[0].people[0].tag["heads"] == 4

    from chibi_avatar.pose import library

    text = keypoints.to_json([library.frame("jumping", 512, 640, 3.0)])
    frontend.page.locator(".chibi-pose input[type=file]").set_input_files(
        {"name": "jump.json", "mimeType": "application/json", "buffer": text.encode()}
    )
    frontend.page.wait_for_function(
        "id => JSON.parse(window.app.graph.getNodeById(id).widgets.find(w => w.name === 'pose_json').value)[0].canvas_height === 640",
        arg=editor,
    )
    got = body(value_of(frontend, editor))
    assert np.abs(got[:, :2] - body(text)[:, :2]).max() <= 0.5
    assert frontend.page.locator('.chibi-pose [data-action="after"]').is_hidden()
    film = keypoints.to_json([library.frame(name, 512, 640, 3.0) for name in ("jumping", "waving")])
    frontend.page.locator(".chibi-pose input[type=file]").set_input_files(
        {"name": "film.json", "mimeType": "application/json", "buffer": film.encode()}
    )
    press(frontend, "after")
    drag(frontend, LEFT_WRIST, 10, 20)
    first, second = keypoints.parse(value_of(frontend, editor))
    assert np.abs(first.people[0].body[:, :2] - body(text)[:, :2]).max() <= 0.5, "the wrong frame was edited"
    assert "preset" not in second.people[0].tag
    kept = value_of(frontend, editor)
    frontend.page.locator(".chibi-pose input[type=file]").set_input_files(
        {"name": "broken.json", "mimeType": "application/json", "buffer": b'{"people": 3'}
    )
    frontend.page.wait_for_function(
        "() => document.querySelector('.chibi-pose-status').textContent.includes('broken.json')"
    )
    assert value_of(frontend, editor) == kept, "a broken file took the pose away"

    copied = frontend.page.evaluate(
        """id => {
            const copy = window.app.graph.getNodeById(id).clone();
            window.app.graph.add(copy);
            return copy.widgets.find(w => w.name === 'pose_json').value;
        }""",
        editor,
    )
    assert json.loads(copied) == json.loads(kept)
    assert frontend.errors == []


def test_presets_have_thumbnails_that_choose(frontend):
    """A list of a hundred names is no way to find a pose."""
    frontend.clear()
    node = frontend.add_node("ChibiPosePreset", (40, 80))
    frontend.page.wait_for_selector('.chibi-pose-gallery button[data-pose="heart_hands"]', state="attached")
    button = frontend.page.locator('.chibi-pose-gallery button[data-pose="heart_hands"]')
    button.scroll_into_view_if_needed()
    button.click()
    choice = frontend.page.evaluate(
        "id => window.app.graph.getNodeById(id).widgets.find(w => w.name === 'pose').value", node
    )
    assert choice == "heart_hands"
    assert button.locator("img").evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 128
    prompt = frontend.api_prompt()
    assert prompt[str(node)]["inputs"]["pose"] == "heart_hands"
    assert "gallery" not in prompt[str(node)]["inputs"]
    assert frontend.errors == []
