"""Old face workflows on the canvas: the frontend offers our nodes for the reference pack's, and keeps every value and link."""

from __future__ import annotations

import pytest

# Node id, type, widget values, inputs (name, type, link), outputs (name, type, links) as the reference pack's users have saved them.
_NODES = (
    (1, "LoadImage", ["example.png", "image"], [], [("IMAGE", "IMAGE", [1]), ("MASK", "MASK", [])]),
    (2, "CheckpointLoaderSimple", ["absent.safetensors"], [], [("MODEL", "MODEL", [2]), ("CLIP", "CLIP", []), ("VAE", "VAE", [])]),
    (3, "IPAdapterUnifiedLoaderFaceID", ["FACEID PLUS V2", 0.6, "CPU"], [("model", "MODEL", 2), ("ipadapter", "IPADAPTER", None)],
     [("MODEL", "MODEL", [3]), ("ipadapter", "IPADAPTER", [4])]),
    (4, "IPAdapterInsightFaceLoader", ["CPU", "buffalo_l"], [], [("INSIGHTFACE", "INSIGHTFACE", [5])]),
    (5, "IPAdapterFaceID", [0.9, 1.2, "ease in", "concat", 0.1, 0.9, "K+V"],
     [("model", "MODEL", 3), ("ipadapter", "IPADAPTER", 4), ("image", "IMAGE", 1), ("image_negative", "IMAGE", None),
      ("attn_mask", "MASK", None), ("clip_vision", "CLIP_VISION", None), ("insightface", "INSIGHTFACE", 5)],
     [("MODEL", "MODEL", []), ("face_image", "IMAGE", [6])]),
    (6, "PreviewImage", [], [("images", "IMAGE", 6)], []),
)  # fmt: skip
_LINKS = [
    [1, 1, 0, 5, 2, "IMAGE"], [2, 2, 0, 3, 0, "MODEL"], [3, 3, 0, 5, 0, "MODEL"], [4, 3, 1, 5, 1, "IPADAPTER"],
    [5, 4, 0, 5, 6, "INSIGHTFACE"], [6, 5, 1, 6, 0, "IMAGE"],
]  # fmt: skip


def old_canvas() -> dict:
    """The reference pack's FaceID graph as a canvas file."""
    nodes = [
        {
            "id": number, "type": kind, "pos": [60 + 330 * place, 120], "size": [300, 260], "flags": {}, "order": place, "mode": 0,
            "inputs": [{"name": name, "type": wire, "link": link} for name, wire, link in inputs],
            "outputs": [{"name": name, "type": wire, "links": links, "slot_index": slot} for slot, (name, wire, links) in enumerate(outputs)],
            "properties": {"Node name for S&R": kind}, "widgets_values": values,
        }
        for place, (number, kind, values, inputs, outputs) in enumerate(_NODES)
    ]  # fmt: skip
    return {
        "last_node_id": 6,
        "last_link_id": 6,
        "nodes": nodes,
        "links": _LINKS,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


@pytest.mark.parametrize("frontend", ["classic"], indirect=True)
def test_an_old_face_workflow_is_replaced_on_the_canvas(frontend):
    """People with hundreds of saved face workflows would have to rebuild each one by hand."""
    frontend.load(old_canvas())
    page = frontend.page
    page.get_by_test_id("error-overlay-see-errors").click()
    page.get_by_role("button", name="Replace All").first.click()
    page.wait_for_function("() => window.app.graph.nodes.every(node => !node.type.startsWith('IPAdapter'))")
    frontend.settle()
    made = frontend.api_prompt()
    kinds = {node["class_type"]: (number, node["inputs"]) for number, node in made.items()}
    applied = kinds["ChibiApplyIdentity"][1]
    kept = {
        "weight": 0.9,
        "structure": 1.2,
        "weight_type": "ease in",
        "start_at": 0.1,
        "end_at": 0.9,
        "embeds_scaling": "K+V",
    }
    assert {key: applied[key] for key in kept} == kept
    preset, photo, models = (kinds[kind][0] for kind in ("ChibiIdentityPreset", "LoadImage", "ChibiFaceModels"))
    assert applied["model"] == [preset, 0] and applied["adapter"] == [preset, 1]
    assert applied["image"] == [photo, 0] and applied["face_models"] == [models, 0]
    assert (
        kinds["ChibiIdentityPreset"][1]["preset"] == "FACEID PLUS V2"
        and kinds["ChibiIdentityPreset"][1]["lora_strength"] == 0.6
    )
    assert kinds["PreviewImage"][1]["images"] == [kinds["ChibiApplyIdentity"][0], 3]
    assert frontend.errors == []
