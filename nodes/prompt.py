"""The prompt room's nodes: build a Character and prompts from words, encode without cutting a tag."""

from __future__ import annotations

from comfy_api.latest import io

from ..chibi_avatar.prompt import build
from ..chibi_avatar.prompt.dialects import FAMILIES
from .types import ChibiCharacter, ChibiIdentity

CATEGORY = "Chibi Avatar/Prompt"


class ChibiPromptBuilder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPromptBuilder",
            display_name="Chibi Prompt Builder",
            category=CATEGORY,
            description="Describe a chibi in Chinese or English: get its Character, and the prompt as your model family wants it.",
            search_aliases=["prompt", "character", "tags", "提示词", "角色", "Q版", "attributes"],
            inputs=[
                io.String.Input(
                    "description",
                    multiline=True,
                    default="a girl with pink twintails, blue eyes, sailor uniform, smile",
                    tooltip="Say who it is, in Chinese or English. Words it does not know are listed in the report.",
                ),
                io.Combo.Input("family", options=list(FAMILIES), default="illustrious", tooltip="Model family the prompt is written for."),
                io.Int.Input(
                    "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                    tooltip="Decides wildcards and every random choice; the same seed gives the same prompt everywhere.",
                ),
                io.String.Input(
                    "form",
                    default="{}",
                    socketless=True,
                    extra_dict={"widgetType": "CHIBI_PROMPT_PANEL"},
                    tooltip='Choices made by hand, as JSON: {"fields": {"hair.color": "#f4a7c0"}, "locks": []}. They beat words and photo.',
                ),
                ChibiCharacter.Input("character", optional=True, tooltip="A Character to start from; the description changes it."),
                ChibiIdentity.Input("identity", optional=True, tooltip="Photo analysis: fills what the words leave open (hair, eyes, skin, glasses)."),
            ],
            outputs=[
                io.String.Output("positive", display_name="positive", tooltip="Positive prompt in the family's dialect."),
                io.String.Output("negative", display_name="negative", tooltip="Negative prompt, with everything refused in the description."),
                ChibiCharacter.Output("character", display_name="character", tooltip="The Character: the 3D base is built from it."),
                io.String.Output("report", display_name="report", tooltip="What was understood, what was not, conflicts and tokens."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, description, family, seed, form="{}", character=None, identity=None) -> io.NodeOutput:
        result = build(description, family, character=character, identity_character=_identity_character(identity), seed=seed, form=form)
        return io.NodeOutput(result.positive, result.negative, result.character, result.report)


class ChibiPromptEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPromptEncode",
            display_name="Chibi Prompt Encode",
            category=CATEGORY,
            description="Encode both prompts with whole tags in every 75-token chunk, so that no tag is cut in half.",
            search_aliases=["clip text encode", "conditioning", "prompt", "编码", "提示词"],
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder, from the checkpoint loader."),
                io.String.Input("positive", multiline=True, default="", tooltip="Positive prompt."),
                io.String.Input("negative", multiline=True, default="", tooltip="Negative prompt."),
            ],
            outputs=[
                io.Conditioning.Output("positive", display_name="positive", tooltip="For the sampler's positive input."),
                io.Conditioning.Output("negative", display_name="negative", tooltip="For the sampler's negative input."),
            ],
        )

    @classmethod
    def execute(cls, clip, positive, negative) -> io.NodeOutput:
        return io.NodeOutput(*(clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (positive, negative)))


def _identity_character(identity):
    if identity is None:
        return None
    for name in ("character", "to_character"):
        found = getattr(identity, name, None)
        if found is not None:
            return found() if callable(found) else found
    return None


NODES: list[type[io.ComfyNode]] = [ChibiPromptBuilder, ChibiPromptEncode]
