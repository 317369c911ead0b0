"""Prompts of a concept."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.text.concept import Concept
from ..purecc.text.concept_prompt import concept_prompts
from .checked import Node
from .types import CATEGORY, Adapter


class ConceptPrompt(Node):
    """Writes the prompts of a concept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCConceptPrompt",
            display_name="Concept Prompt",
            category=CATEGORY,
            description="Write a prompt with the concept of an adapter, and the same prompt without it: 'a [v] on "
            "grass' becomes 'a embedding:my_cat cat on grass' and 'a cat on grass'. Connect them to CLIP Text Encode.",
            search_aliases=["trigger word", "prompt with concept", "embedding prompt", "use lora", "before and after"],
            inputs=[
                Adapter.Input("adapter", tooltip="Adapter from Load Adapter or directly from Pure Learning."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="a [v] on a beach",
                    tooltip="Prompt in which [v] stands for the concept. The class word after it may be left out. A "
                    "style is written as 'a house by a lake, in [v] style'.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "prompt",
                    display_name="prompt",
                    tooltip="Prompt with the concept. Encode it with Apply Adapter's CLIP.",
                ),
                io.String.Output(
                    "base_prompt", display_name="base prompt", tooltip="The same prompt without the concept."
                ),
            ],
        )

    @classmethod
    def execute(cls, adapter, text) -> io.NodeOutput:
        word, kind = (adapter.metadata.get(f"purecc.{key}") for key in ("class_word", "concept"))
        concept = Concept(word, kind) if word and kind else None
        return io.NodeOutput(*concept_prompts(text, adapter.name, concept, bool(adapter.tokens)))
