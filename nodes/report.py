"""What customisation did to the rest of a model, for one model or for several adapters."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host import preserving
from ..purecc.host.drawing import Customised
from ..purecc.host.latents import from_pil
from ..purecc.host.measuring import Encoders, as_pictures
from ..purecc.host.progress import NodeProgress
from ..purecc.host.reports import as_json, save
from ..purecc.host.showing import shown
from ..purecc.protocol import preservation_sheet
from ..purecc.protocol.pictures import parse_prompts
from .protocol_inputs import base_model, concept, encoders, prompts, sampling_inputs, sampling_of, trigger, two_models
from .types import CATEGORY, Adapter

PROMPTS = """a [v] robot on a sandy beach
a [v] robot beside a red bicycle
a robot in deep snow
a robot on a wooden table
a mountain lake at dawn
a bowl of fruit on a wooden table
a portrait of an old fisherman
a crowded street in the rain at night"""

ADAPTERS = ("adapter", "adapter_2", "adapter_3", "adapter_4")


def _inputs() -> list[io.Input]:
    """What both nodes are told beside their models."""
    return [
        io.Vae.Input("vae", tooltip="The VAE of the models."),
        prompts(PROMPTS),
        *concept(),
        *sampling_inputs(seeds=2, least=2),
        io.String.Input(
            "filename_prefix",
            default="purecc/preservation",
            tooltip="Where the table (.md) and everything found (.json) go in ComfyUI's output folder.",
        ),
        io.Image.Input(
            "references",
            optional=True,
            tooltip="The pictures that the concept was learned from, a list or a batch: for CLIP-I and DINO.",
        ),
        *encoders(text="clip_text"),
    ]


def _outputs() -> list[io.Output]:
    return [
        io.Image.Output("sheet", display_name="sheet", tooltip="The verdict, bars, and the pictures side by side."),
        io.String.Output("table", display_name="table", tooltip="The verdict and a table, as markdown."),
        io.String.Output("json", display_name="json", tooltip="Everything found, with how it was made."),
    ]


def _report(node_id, base: tuple, customised: list[Customised], values: dict) -> io.NodeOutput:
    """Draws, compares, saves and shows."""
    only = {k: v[0] for k, v in values.items() if v and k != "references"}
    about = (only["class_word"], only["kind"])
    texts = parse_prompts(only["prompts"], *about)
    how, seeds = sampling_of(only)
    using, references = _measured_by(only, values.get("references"))
    count = preserving.parts(base[0], len(texts), len(seeds), how.steps, len(customised), using, len(references))
    progress = NodeProgress(node_id, "Report", count)
    made = preserving.preservation(base, customised, only["vae"], texts, about, seeds, how, progress, using, references)
    progress.say("\n".join(made.verdict(o) for o in made.outcomes))
    save(made, only["filename_prefix"])
    sheet = preservation_sheet.draw(made)
    return io.NodeOutput(from_pil(sheet), made.markdown(), as_json(made), ui=shown(sheet))


def _measured_by(only: dict, references) -> tuple[Encoders | None, list]:
    """(the encoders, the references), where any encoder is connected."""
    connected = [only.get(name) for name in ("clip_vision", "clip_text", "dino")]
    if not any(entry is not None for entry in connected):
        return None, []
    if connected[0] is None and connected[1] is not None:
        raise ValueError("clip_text is connected without clip_vision: CLIP-T needs both halves of a CLIP.")
    using = Encoders(*connected)
    using.check()
    return using, as_pictures(references or [])


class PreservationReport(io.ComfyNode):
    """Compares a customised model with its base."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCPreservationReport",
            display_name="Preservation Report",
            category=CATEGORY,
            description="What customisation did to the rest of the model, at a glance: the base and the customised "
            "model draw the same prompts at the same seeds, and how much the pictures differ is set against how much "
            "two seeds of the base differ. For any LoRA.",
            search_aliases=["compare models", "before and after", "forgetting", "lora damage", "evaluate lora"],
            is_input_list=True,
            is_output_node=True,
            inputs=[*two_models(), trigger(), *_inputs()],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, customised_model, customised_clip, trigger, **values) -> io.NodeOutput:
        customised = Customised("customised model", customised_model[0], customised_clip[0], trigger[0])
        return _report(cls.hidden.unique_id, (model[0], clip[0]), [customised], values)


class CompareAdapters(io.ComfyNode):
    """Compares adapters with their base and with one another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        slots = [
            Adapter.Input(name, optional=name != ADAPTERS[0], tooltip="An adapter, saved or fresh from Pure Learning.")
            for name in ADAPTERS
        ]
        return io.Schema(
            node_id="PureCCCompareAdapters",
            display_name="Compare Adapters",
            category=CATEGORY,
            description="The Preservation Report of up to four adapters of one concept side by side: two methods, two "
            "rates, an early and a late step. Each is put on the base alone and called by its own name.",
            search_aliases=["compare loras", "lora grid", "xy plot", "side by side", "choose checkpoint"],
            is_input_list=True,
            is_output_node=True,
            inputs=[*base_model(), *slots, *_inputs()],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, **values) -> io.NodeOutput:
        adapters = [a for name in ADAPTERS for a in values.pop(name, None) or () if a is not None]
        customised = preserving.with_adapters(model[0], clip[0], adapters, values["class_word"][0])
        return _report(cls.hidden.unique_id, (model[0], clip[0]), customised, values)
