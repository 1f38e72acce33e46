"""The prompt room's nodes: build a Character and prompts from words, draw a crowd, encode without cutting a tag."""

from __future__ import annotations

from comfy_api.latest import io

from ..chibi_avatar.character import Character
from ..chibi_avatar.prompt import build
from ..chibi_avatar.prompt.dialects import FAMILIES
from ..chibi_avatar.prompt.presets import builtin, builtin_names
from ..chibi_avatar.prompt.tokens import pack, split_tags
from ..chibi_avatar.prompt.variety import crowd
from .prompt_routes import clip_counter, user_wildcards
from .types import ChibiCharacter, ChibiIdentity

CATEGORY = "Chibi Avatar/Prompt"
NO_PRESET = "none"
_MAX_SEED = 0xFFFFFFFFFFFFFFFF
_FAMILY_TIP = (
    "Model family the prompt is written for: tag order, quality and rating tags, weights and negative prompt follow it."
)


class ChibiPromptBuilder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPromptBuilder",
            display_name="Chibi Prompt Builder",
            category=CATEGORY,
            description="Describe a chibi in Chinese or English: get its Character, and the prompt as your model family wants it.",
            search_aliases=["prompt", "character", "tags", "attributes", "wildcard", "提示词", "角色", "Q版", "捏人"],
            inputs=[
                io.String.Input(
                    "description",
                    multiline=True,
                    default="a girl with pink twintails, blue eyes, sailor uniform, smile",
                    tooltip="Say who it is, in Chinese or English. 'no hat' refuses; {a|b} and __hair_style__ choose by seed. Unknown words are reported.",
                ),
                io.Combo.Input("family", options=list(FAMILIES), default="illustrious", tooltip=_FAMILY_TIP),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=_MAX_SEED,
                    control_after_generate=True,
                    tooltip="Decides wildcards and drawn fields; the same seed gives the same prompt on every machine.",
                ),
                io.String.Input(
                    "form",
                    default="{}",
                    socketless=True,
                    extra_dict={"widgetType": "CHIBI_PROMPT_PANEL"},
                    tooltip='Choices made by hand, as JSON: {"fields": {"hair.color": "#f4a7c0"}, "locks": ["hair.style"]}. They beat words and photo.',
                ),
                ChibiCharacter.Input(
                    "character", optional=True, tooltip="A Character to start from; description and form change it."
                ),
                ChibiIdentity.Input(
                    "identity",
                    optional=True,
                    tooltip="Photo analysis: fills what words and form leave open (hair, eyes, skin, glasses).",
                ),
                io.Float.Input(
                    "variety",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much of what nobody chose is drawn from the seed: 0 nothing, 1 everything. Locked fields stay open.",
                ),
                io.Combo.Input(
                    "preset",
                    options=[NO_PRESET, *builtin_names()],
                    default=NO_PRESET,
                    optional=True,
                    advanced=True,
                    tooltip="A built-in Character to start from; description, form and photo change it.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "positive",
                    display_name="positive",
                    tooltip="Positive prompt in the family's dialect, identity first.",
                ),
                io.String.Output(
                    "negative",
                    display_name="negative",
                    tooltip="Negative prompt: the family's own, plus what the description refuses.",
                ),
                ChibiCharacter.Output(
                    "character",
                    display_name="character",
                    tooltip="The Character: the 3D base is built and painted from it.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="What was not understood, conflicts and their fixes, tokens used and left per chunk.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, description, family, seed, form="{}", character=None, identity=None, variety=0.0, preset=NO_PRESET
    ) -> io.NodeOutput:
        base = None if preset == NO_PRESET else builtin(preset)
        if character is not None:
            given = Character.coerce(character)
            base = given if base is None else base.merge(given)
        result = build(
            description,
            family,
            character=base,
            identity_character=None if identity is None else identity.character,
            seed=seed,
            form=form,
            variety=variety,
            wildcards=user_wildcards(),
            count=clip_counter(),
        )
        return io.NodeOutput(result.positive, result.negative, result.character, result.report)


class ChibiPromptEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPromptEncode",
            display_name="Chibi Prompt Encode",
            category=CATEGORY,
            description="Encode both prompts with whole tags in every 75-token chunk, so that no tag is cut in half. BREAK starts a new chunk.",
            search_aliases=["clip text encode", "conditioning", "prompt", "chunk", "BREAK", "编码", "提示词编码"],
            inputs=[
                io.Clip.Input(
                    "clip",
                    tooltip="The text encoder, from the checkpoint loader. Encoders without chunks get the prompt as it is.",
                ),
                io.String.Input(
                    "positive", multiline=True, default="", tooltip="Positive prompt, from Chibi Prompt Builder."
                ),
                io.String.Input(
                    "negative", multiline=True, default="", tooltip="Negative prompt, from Chibi Prompt Builder."
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    "positive", display_name="positive", tooltip="For the sampler's positive input."
                ),
                io.Conditioning.Output(
                    "negative", display_name="negative", tooltip="For the sampler's negative input."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="Tokens used and left in every chunk of both prompts."
                ),
            ],
        )

    @classmethod
    def execute(cls, clip, positive, negative) -> io.NodeOutput:
        made, lines = [], []
        for name, text in (("positive", positive), ("negative", negative)):
            tokens, line = packed_tokens(clip, text)
            made.append(clip.encode_from_tokens_scheduled(tokens))
            lines.append(f"{name}: {line}")
        return io.NodeOutput(*made, "\n".join(lines))


def packed_tokens(clip, text: str):
    """Tokens for ``clip.encode_from_tokens_scheduled`` with whole tags per chunk, and a line that tells how full each is."""
    whole = clip.tokenize(text)
    if not _chunked(whole):
        length = max((len(batch) for batches in whole.values() for batch in batches), default=0)
        return whole, f"{length} tokens, one window"
    count = clip_counter()
    chunks, long = pack(split_tags(text), count)
    packed: dict[str, list] = {}
    for chunk in chunks:
        for key, batches in clip.tokenize(chunk.text).items():
            packed.setdefault(key, []).extend(batches)
    line = "; ".join(f"chunk {k}: {chunk.used} used, {75 - chunk.used} left" for k, chunk in enumerate(chunks, 1))
    return packed, line + (f"; {len(long)} tag(s) longer than a chunk" if long else "")


def _chunked(tokens) -> bool:
    """True for CLIP encoders alone: every batch has 77 places."""
    return bool(tokens) and all(len(batch) == 77 for batches in tokens.values() for batch in batches)


class ChibiPromptCrowd(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ChibiPromptCrowd",
            display_name="Chibi Prompt Crowd",
            category=CATEGORY,
            description="Draw a number of Characters that look clearly different from each other, for background figures or a sheet of ideas.",
            search_aliases=["random characters", "npc", "background people", "variety", "路人", "随机角色", "群像"],
            inputs=[
                io.Int.Input("count", default=4, min=1, max=64, tooltip="How many Characters."),
                io.Combo.Input("family", options=list(FAMILIES), default="illustrious", tooltip=_FAMILY_TIP),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=_MAX_SEED,
                    control_after_generate=True,
                    tooltip="The same seed gives the same crowd.",
                ),
                io.String.Input(
                    "description",
                    multiline=True,
                    default="",
                    tooltip="What all of them share, in Chinese or English, for example 'school uniform, winter'.",
                ),
                io.Float.Input(
                    "difference",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    advanced=True,
                    tooltip="Least difference between any two, 0 to 1. More makes a more colourful crowd.",
                ),
                ChibiCharacter.Input("character", optional=True, tooltip="A Character whose fields all of them share."),
            ],
            outputs=[
                ChibiCharacter.Output(
                    "characters",
                    display_name="characters",
                    is_output_list=True,
                    tooltip="The Characters, one after the other.",
                ),
                io.String.Output(
                    "positives",
                    display_name="positives",
                    is_output_list=True,
                    tooltip="A positive prompt for each Character.",
                ),
                io.String.Output("negative", display_name="negative", tooltip="One negative prompt for all of them."),
            ],
        )

    @classmethod
    def execute(cls, count, family, seed, description="", difference=0.3, character=None) -> io.NodeOutput:
        shared = build(description, family, character=character, seed=seed, wildcards=user_wildcards())
        members = crowd(count, seed, shared.character, difference)
        results = [build("", family, character=member, seed=seed) for member in members]
        return io.NodeOutput([r.character for r in results], [r.positive for r in results], shared.negative)


NODES: list[type[io.ComfyNode]] = [ChibiPromptBuilder, ChibiPromptEncode, ChibiPromptCrowd]
