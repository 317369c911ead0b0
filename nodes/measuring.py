"""A customised model measured against its base: by pictures of both, and by drift."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.drift import drift, parts
from ..purecc.host.latents import from_pil
from ..purecc.host.measuring import Encoders, as_pictures, measure
from ..purecc.host.progress import NodeProgress
from ..purecc.host.reports import as_json, save
from ..purecc.measure import UNRELATED_PROMPTS
from ..purecc.protocol import sheet
from ..purecc.protocol.pictures import parse_nouns
from .protocol_inputs import encoders, size, two_models
from .types import CATEGORY, Pictures


class MeasurePictures(io.ComfyNode):
    """Measures what Protocol Pictures drew."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCMeasurePictures",
            display_name="Measure Pictures",
            category=CATEGORY,
            description="CLIP-T, CLIP-I, DINO and Seg-Cons of a customised model against its base, by prompt and on "
            "average. Every encoder is optional: what is not connected leaves its columns out.",
            search_aliases=["clip score", "clip-t", "clip-i", "dino score", "evaluate concept", "benchmark"],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                Pictures.Input("pictures", tooltip="From Protocol Pictures."),
                io.Image.Input(
                    "references", tooltip="The pictures that the concept was learned from: a list, or a batch."
                ),
                *encoders(),
                io.Model.Input(
                    "segmenter", optional=True, tooltip="The MODEL of a SAM3 checkpoint: for Seg-Cons, with nouns."
                ),
                io.Clip.Input("segmenter_clip", optional=True, tooltip="The CLIP of the same SAM3 checkpoint."),
                io.String.Input(
                    "nouns",
                    multiline=True,
                    default="",
                    tooltip="What to segment, for Seg-Cons: a line for each prompt, or one line for all, commas "
                    "between nouns: robot, beach.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Least probability at which SAM3's detection of a noun counts.",
                ),
                io.Float.Input(
                    "drift",
                    optional=True,
                    force_input=True,
                    tooltip="From Model Drift, to stand in the table and the files.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="purecc/protocol",
                    tooltip="Where the table (.md) and all that was measured (.json) go in ComfyUI's output folder.",
                ),
            ],
            outputs=[
                io.String.Output("table", display_name="table", tooltip="A row a prompt and the means, as markdown."),
                io.String.Output("json", display_name="json", tooltip="Everything measured, with how it was made."),
                io.Image.Output("sheet", display_name="sheet", tooltip="The table, and the pictures in pairs."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, pictures, references, nouns, threshold, filename_prefix, clip_vision=None, clip=None, dino=None,
        segmenter=None, segmenter_clip=None, drift=None,
    ) -> io.NodeOutput:  # fmt: skip
        drawn, known = pictures[0], as_pictures(references)
        rows = parse_nouns("\n".join(nouns), len(drawn.prompts)) if _only(segmenter) is not None else ()
        connected = (_only(entry) for entry in (clip_vision, clip, dino, segmenter, segmenter_clip))
        using = Encoders(*connected, rows, threshold[0])
        using.check()
        parts = using.parts(2 * len(drawn.prompts) * len(drawn.seeds), len(known))
        progress = NodeProgress(cls.hidden.unique_id, "Measures", parts)
        report = measure(drawn, known, using, progress, _only(drift))
        files = save(report, filename_prefix[0])
        return io.NodeOutput(
            report.markdown(), as_json(report), from_pil(sheet.draw(report)), ui={"text": [str(f) for f in files]}
        )


class ModelDrift(io.ComfyNode):
    """Measures drift."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCModelDrift",
            display_name="Model Drift",
            category=CATEGORY,
            description="How far a customised flow model has moved from its base on prompts that have nothing to do "
            "with the concept: the squared difference of their velocities, relative to the base's. 0 is no change.",
            search_aliases=["velocity drift", "forgetting", "preservation", "compare models"],
            inputs=[
                *two_models(),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    default="\n".join(UNRELATED_PROMPTS),
                    tooltip="Prompts without the concept, one a line. Figures of other prompts cannot be compared.",
                ),
                *size(),
                io.Int.Input(
                    "batch_size",
                    default=4,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="Points in one pass of the model. Fewer need less memory; the figure is the same.",
                ),
            ],
            outputs=[
                io.Float.Output(
                    "drift", display_name="drift", tooltip="0 is no change; 1 is as far as velocities are long."
                ),
                io.String.Output("text", display_name="text", tooltip="The figure with what it was measured on."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, model, clip, customised_model, customised_clip, prompts, width, height, batch_size
    ) -> io.NodeOutput:
        lines = [line for line in prompts.splitlines() if line.strip()]
        progress = NodeProgress(cls.hidden.unique_id, "Drift", parts(len(lines)))
        pair = (customised_model, customised_clip)
        (value,) = drift((model, clip), [pair], lines, width, height, progress, limit=batch_size)
        text = f"Velocity drift {value:.4f} on {len(lines)} prompts at {width} x {height}"
        progress.say(text)
        return io.NodeOutput(value, text)


def _only(values):
    """The one value of an input that is not a list by nature; None where nothing is connected."""
    return values[0] if values else None
