"""InstantID's second half: the face tokens and the five points that its ControlNet wants, for core's ControlNet nodes."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io

from ..chibi_avatar.identity.adapter_file import Adapter
from ..chibi_avatar.identity.errors import IdentityError
from ..chibi_avatar.identity.model import Identity
from .identity import to_image
from .types import ChibiIdentity, ChibiIdentityAdapter, PoseKeypoint

CATEGORY = "Chibi Avatar/Identity"
# Where a face is in a portrait when no pose says it: x0, y0, x1, y1 in 0..1.
_PORTRAIT = (0.3, 0.14, 0.7, 0.54)


class ChibiIdentityControl(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        size = {"default": 1024, "min": 64, "max": 8192, "step": 8}
        return io.Schema(
            node_id="ChibiIdentityControl",
            display_name="Chibi Identity Control",
            category=CATEGORY,
            description=(
                "For InstantID: marks the conditioning with the person's face tokens and draws the five face points, for Apply ControlNet with "
                "InstantID's ControlNet. Use it beside Chibi Apply Identity with the same adapter."
            ),
            search_aliases=["instantid", "instantid controlnet", "face keypoints", "identitynet", "人脸关键点"],
            inputs=[
                ChibiIdentityAdapter.Input("adapter", tooltip="An InstantID adapter from Chibi Identity Loader (variant instantid)."),
                ChibiIdentity.Input("identity", tooltip="Who it is. InstantID needs antelopev2's recogniser."),
                io.Conditioning.Input("positive", tooltip="The prompt. Its words still guide the picture; the ControlNet listens to the face."),
                io.Conditioning.Input("negative", tooltip="The negative prompt."),
                io.Int.Input("width", tooltip="Width of the picture in pixels.", **size),
                io.Int.Input("height", tooltip="Height of the picture in pixels.", **size),
                PoseKeypoint.Input("pose", optional=True, tooltip="Puts the face where this pose has its head. Without it: upper middle."),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="For Apply ControlNet."),
                io.Conditioning.Output(display_name="negative", tooltip="For Apply ControlNet."),
                io.Image.Output(display_name="keypoints", tooltip="The five points, for image of Apply ControlNet."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, adapter: Adapter, identity: Identity, positive, negative, width: int, height: int, pose=None
    ) -> io.NodeOutput:
        from ..chibi_avatar.identity.geometry import TEMPLATE_112
        from ..chibi_avatar.identity.headbox import head_box
        from ..chibi_avatar.identity.instantid import draw_points, fit_points
        from ..chibi_avatar.identity.tokens import make_tokens

        if adapter.variant.name != "instantid":
            raise IdentityError(
                f"{adapter.place} is a {adapter.variant.name} adapter: this node is for InstantID. Load its ip-adapter.bin with variant "
                "instantid, or leave this node out"
            )
        if identity.faceless:
            return io.NodeOutput(positive, negative, to_image([np.zeros((height, width, 3), np.uint8)]))
        tokens = make_tokens(adapter, identity, None)
        marked = [
            [[text, {**values, "cross_attn_controlnet": part.clone()}] for text, values in conditioning]
            for conditioning, part in ((positive, tokens.cond), (negative, tokens.uncond))
        ]
        place = _inner(head_box(pose)) if pose else _PORTRAIT
        box = tuple(part * side for part, side in zip(place, (width, height, width, height), strict=True))
        seen = next((photo.face.points for photo in identity.photos if photo.used and photo.face), TEMPLATE_112)
        points = fit_points(seen, box)
        return io.NodeOutput(*marked, to_image([draw_points(points, width, height)]))


def _inner(head: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The face inside a head with hair, the lower two thirds."""
    x0, y0, x1, y1 = head
    return x0 + 0.15 * (x1 - x0), y0 + 0.3 * (y1 - y0), x1 - 0.15 * (x1 - x0), y1


NODES: list[type[io.ComfyNode]] = [ChibiIdentityControl]
