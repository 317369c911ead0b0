"""The nodes that report how customisation changed the rest of a model."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.evaluation.pictures import parse_prompts
from ..purecc.host.data.image_tensors import from_pil
from ..purecc.host.evaluation import preservation
from ..purecc.host.evaluation.measuring import Encoders, as_images
from ..purecc.host.evaluation.report_files import as_json, prefix_fault, save
from ..purecc.host.evaluation.sampling import Customised, Protocol
from ..purecc.host.models.host_models import HostModels
from ..purecc.host.ui.events import shown
from ..purecc.host.ui.node_progress import NodeProgress
from ..purecc.sheets import preservation_sheet
from ..purecc.text.concept import Concept
from .checked import Node
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
    """Return the inputs of both nodes beside their models."""
    return [
        io.Vae.Input("vae", tooltip="VAE of the models."),
        prompts(PROMPTS),
        *concept(),
        *sampling_inputs(seeds=2, least=2),
        io.String.Input(
            "filename_prefix",
            default="purecc/preservation",
            tooltip="Path in ComfyUI's output folder for the table (.md) and all results (.json).",
        ),
        io.Image.Input(
            "references",
            optional=True,
            tooltip="Reference images the concept was learned from, for CLIP-I and DINO: a list or a batch.",
        ),
        *encoders(text="clip_text"),
    ]


def _outputs() -> list[io.Output]:
    return [
        io.Image.Output("sheet", display_name="sheet", tooltip="Verdict, bars, and the images side by side."),
        io.String.Output("table", display_name="table", tooltip="Verdict and table, as markdown."),
        io.String.Output("json", display_name="json", tooltip="All results with all settings, as JSON."),
    ]


def _report(node_id, model, clip, customised: list[Customised], values: dict) -> io.NodeOutput:
    """Generate, compare, save and show."""
    only = {k: v[0] for k, v in values.items() if v and k != "references"}
    concept = Concept(only["class_word"], only["kind"])
    texts = parse_prompts(only["prompts"], concept)
    sampling, seeds = sampling_of(only)
    protocol = Protocol(texts, seeds, sampling)
    using, references = _measured_by(only, values.get("references"))
    count = preservation.parts(model, protocol, len(customised), using, len(references))
    progress = NodeProgress(node_id, "Report", count)
    base = HostModels(model, clip, only["vae"])
    made = preservation.preservation(base, customised, concept, protocol, progress, using, references)
    progress.say("\n".join(made.verdict(o) for o in made.outcomes))
    save(made, only["filename_prefix"])
    sheet = preservation_sheet.paint(made)
    return io.NodeOutput(from_pil(sheet), made.markdown(), as_json(made), ui=shown(sheet))


def _measured_by(only: dict, references) -> tuple[Encoders | None, list]:
    """Return (encoders, references) if any encoder is connected."""
    vision, text, dino = (only.get(name) for name in ("clip_vision", "clip_text", "dino"))
    if vision is None and text is None and dino is None:
        return None, []
    if vision is None and text is not None:
        raise ValueError("clip_text is connected without clip_vision. CLIP-T needs both: connect clip_vision too.")
    using = Encoders(vision, text, dino)
    using.check()
    return using, as_images(references or [])


class PreservationReport(Node):
    """Compares a customised model with its base."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCPreservationReport",
            display_name="Preservation Report",
            category=CATEGORY,
            description="Show how much customisation changed the rest of the model. Both models generate the same "
            "prompts at the same seeds; the difference is compared with that between two seeds of the base model. "
            "Works with any LoRA.",
            search_aliases=["compare models", "before and after", "forgetting", "lora damage", "evaluate lora"],
            is_input_list=True,
            is_output_node=True,
            inputs=[*two_models(), trigger(), *_inputs()],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        """Return True, or what is wrong with the prefix; the host calls it when a prompt is queued."""
        return True if not filename_prefix else prefix_fault(filename_prefix[0]) or True

    @classmethod
    def execute(cls, model, clip, customised_model, customised_clip, trigger, **values) -> io.NodeOutput:
        customised = Customised("customised model", HostModels(customised_model[0], customised_clip[0]), trigger[0])
        return _report(cls.hidden.unique_id, model[0], clip[0], [customised], values)


class CompareAdapters(Node):
    """Compares adapters with their base and with one another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        slots = [
            Adapter.Input(
                name, optional=name != ADAPTERS[0], tooltip="Adapter from Load Adapter or directly from Pure Learning."
            )
            for name in ADAPTERS
        ]
        return io.Schema(
            node_id="PureCCCompareAdapters",
            display_name="Compare Adapters",
            category=CATEGORY,
            description="Compare up to four adapters of one concept side by side, each with its Preservation Report: "
            "two methods, two learning rates, an early and a late checkpoint.",
            search_aliases=["compare loras", "lora grid", "xy plot", "side by side", "choose checkpoint"],
            is_input_list=True,
            is_output_node=True,
            inputs=[*base_model(), *slots, *_inputs()],
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        """Return True, or what is wrong with the prefix; the host calls it when a prompt is queued."""
        return True if not filename_prefix else prefix_fault(filename_prefix[0]) or True

    @classmethod
    def execute(cls, model, clip, **values) -> io.NodeOutput:
        adapters = [a for name in ADAPTERS for a in values.pop(name, None) or () if a is not None]
        customised = preservation.with_adapters(HostModels(model[0], clip[0]), adapters, values["class_word"][0])
        return _report(cls.hidden.unique_id, model[0], clip[0], customised, values)
