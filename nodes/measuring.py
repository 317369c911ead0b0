"""The nodes that measure a customised model against its base: by images, and by drift."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.evaluation.pictures import parse_nouns
from ..purecc.host.data.image_tensors import from_pil
from ..purecc.host.evaluation.drift import drift, parts
from ..purecc.host.evaluation.measuring import Encoders, as_images, measure
from ..purecc.host.evaluation.report_files import as_json, prefix_fault, save
from ..purecc.host.models.host_models import HostModels
from ..purecc.host.ui.node_progress import NodeProgress
from ..purecc.sheets import protocol_sheet
from ..purecc.text.texts import prompt
from ..purecc.training.drift import UNRELATED_PROMPTS
from .checked import Node
from .protocol_inputs import encoders, size, two_models
from .types import CATEGORY, Pictures


class MeasurePictures(Node):
    """Measures the images of Protocol Pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCMeasurePictures",
            display_name="Measure Pictures",
            category=CATEGORY,
            description="Measure CLIP-T, CLIP-I, DINO and Seg-Cons of a customised model against its base, per prompt "
            "and on average. Every encoder is optional; without it its columns are left out.",
            search_aliases=["clip score", "clip-t", "clip-i", "dino score", "evaluate concept", "benchmark"],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                Pictures.Input("pictures", tooltip="Images from Protocol Pictures."),
                io.Image.Input(
                    "references", tooltip="Reference images the concept was learned from: a list or a batch."
                ),
                *encoders(),
                io.Model.Input(
                    "segmenter", optional=True, tooltip="MODEL of a SAM3 checkpoint, for Seg-Cons together with nouns."
                ),
                io.Clip.Input("segmenter_clip", optional=True, tooltip="CLIP of the same SAM3 checkpoint."),
                io.String.Input(
                    "nouns",
                    multiline=True,
                    default="",
                    tooltip="Nouns to segment for Seg-Cons, separated by commas: robot, beach. One line per prompt, or "
                    "one line for all.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Minimum confidence at which a SAM3 detection counts.",
                ),
                io.Float.Input(
                    "drift",
                    optional=True,
                    force_input=True,
                    tooltip="Drift from Model Drift, to include in the table and the files.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="purecc/protocol",
                    tooltip="Path in ComfyUI's output folder for the table (.md) and all results (.json).",
                ),
            ],
            outputs=[
                io.String.Output(
                    "table", display_name="table", tooltip="Table as markdown: one row per prompt, and the means."
                ),
                io.String.Output("json", display_name="json", tooltip="All results with all settings, as JSON."),
                io.Image.Output("sheet", display_name="sheet", tooltip="The table and the images in pairs."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None) -> bool | str:
        """Return True, or what is wrong with the prefix; the host calls it when a prompt is queued."""
        return True if not filename_prefix else prefix_fault(filename_prefix[0]) or True

    @classmethod
    def execute(cls, pictures, references, nouns, **values) -> io.NodeOutput:
        drawn, known = pictures[0], as_images(references)
        only = {name: entries[0] for name, entries in values.items() if entries}
        rows = parse_nouns("\n".join(nouns), len(drawn.prompts)) if only.get("segmenter") is not None else ()
        using = Encoders(
            clip_vision=only.get("clip_vision"),
            clip=only.get("clip"),
            dino=only.get("dino"),
            segmenter=only.get("segmenter"),
            segmenter_clip=only.get("segmenter_clip"),
            nouns=rows,
            threshold=only["threshold"],
        )
        using.check()
        parts = using.parts(2 * len(drawn.prompts) * len(drawn.seeds), len(known))
        progress = NodeProgress(cls.hidden.unique_id, "Measures", parts)
        report = measure(drawn, known, using, progress, only.get("drift"))
        files = save(report, only["filename_prefix"])
        return io.NodeOutput(
            report.markdown(),
            as_json(report),
            from_pil(protocol_sheet.paint(report)),
            ui={"text": [str(f) for f in files]},
        )


class ModelDrift(Node):
    """Measures drift."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCModelDrift",
            display_name="Model Drift",
            category=CATEGORY,
            description="Measure how far a customised model has moved from its base on prompts unrelated to the "
            "concept: the squared difference of their velocities, relative to the base's. 0 is no change.",
            search_aliases=["velocity drift", "forgetting", "preservation", "compare models"],
            inputs=[
                *two_models(),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    default="\n".join(UNRELATED_PROMPTS),
                    tooltip="Prompts without the concept, one per line. Compare only results with the same prompts.",
                ),
                *size(),
                io.Int.Input(
                    "batch_size",
                    default=4,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="Samples per pass of the model. Lower it to save memory; the result stays the same.",
                ),
            ],
            outputs=[
                io.Float.Output(
                    "drift",
                    display_name="drift",
                    tooltip="Drift: 0 is no change, 1 a change as large as the velocities.",
                ),
                io.String.Output("text", display_name="text", tooltip="Drift with the number of prompts and the size."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, customised_model, customised_clip, prompts, **values) -> io.NodeOutput:
        lines = [line for line in prompts.splitlines() if line.strip()]
        for line in lines:
            try:
                prompt(line, "x")
            except ValueError as error:
                raise ValueError(f"prompts: {error}") from error
        width, height = values["width"], values["height"]
        progress = NodeProgress(cls.hidden.unique_id, "Drift", parts(len(lines)))
        base, customised = HostModels(model, clip), HostModels(customised_model, customised_clip)
        (value,) = drift(base, [customised], lines, (width, height), progress, limit=values["batch_size"])
        text = f"Velocity drift {value:.4f} on {len(lines)} prompts at {width} x {height}"
        progress.say(text)
        return io.NodeOutput(value, text)
