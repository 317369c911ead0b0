"""Adapters on files and on models."""

from __future__ import annotations

import math

from comfy_api.latest import io

from ..purecc.host.models.adapter_folders import adapter_id, adapter_names, folder_fault, load_adapter, save_adapter
from ..purecc.host.models.apply import apply
from ..purecc.host.models.imports import Imported
from ..purecc.host.models.layer_names import COMFYUI, FORMATS
from ..purecc.host.ui.events import blocked, say
from .checked import Node
from .types import CATEGORY, Adapter, Extractor

SLOTS = 4
MOST = 10.0
"""Largest strength of an adapter."""


class SaveAdapter(Node):
    """Saves an adapter or extractor."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCSaveAdapter",
            display_name="Save Adapter",
            category=CATEGORY,
            description="Save NAME.safetensors in the loras folder and its embedding in the embeddings folder. The "
            "stock LoRA loader, with embedding:NAME in the prompt, then gives the same images as Apply Adapter, unless "
            "the adapter needs that node: see its help page.",
            search_aliases=["save lora", "save embedding", "export"],
            is_output_node=True,
            inputs=[
                io.MultiType.Input(
                    "adapter",
                    [Adapter, Extractor],
                    tooltip="Adapter or extractor, from Pure Learning or Train Extractor.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip="Replace files of the same name. If off, an existing file stays, and this adapter is saved "
                    "as NAME_2.",
                ),
                io.Combo.Input(
                    "format",
                    options=[COMFYUI, *FORMATS],
                    default=COMFYUI,
                    optional=True,
                    tooltip="Names of the layers in the LoRA file. ComfyUI loads all of them. diffusers: for the "
                    "diffusers library. peft: with the prefix base_model.model. kohya: as sd-scripts, for A1111 and "
                    "Forge. All but ComfyUI need the input model.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Base model of the adapter. Only formats other than ComfyUI need it.",
                ),
            ],
            outputs=[io.String.Output("name", display_name="name", tooltip="Name of the adapter, as loaders list it.")],
        )

    @classmethod
    def validate_inputs(cls, overwrite=None) -> bool | str:
        """Return True, or why nothing can be saved; the host calls it when a prompt is queued."""
        return f"adapter cannot be saved. {fault}" if (fault := folder_fault()) else True

    @classmethod
    def execute(cls, adapter, overwrite, format=COMFYUI, model=None) -> io.NodeOutput:
        paths = save_adapter(adapter, overwrite, format, model)
        return io.NodeOutput(paths[0].stem, ui={"text": [str(path) for path in paths]})


class LoadAdapter(Node):
    """Loads an adapter or extractor."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCLoadAdapter",
            display_name="Load Adapter",
            category=CATEGORY,
            description="Load an adapter or extractor that Save Adapter saved, or import a LoRA of another program.",
            search_aliases=["load lora", "load extractor", "import lora"],
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=adapter_names(),
                    tooltip="File to load from the loras folder: an adapter of this pack, or a LoRA of another program "
                    "such as kohya, diffusers, ai-toolkit or OneTrainer.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Base model of a LoRA that another program made. Files of this pack do not need it.",
                ),
            ],
            outputs=[
                Adapter.Output("adapter", display_name="adapter", tooltip="The adapter, if the file holds one."),
                Extractor.Output(
                    "extractor",
                    display_name="extractor",
                    tooltip="The extractor, if the file holds one. A LoRA of another program is both.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, adapter_name, model=None):
        return adapter_id(adapter_name)

    @classmethod
    def execute(cls, adapter_name, model=None) -> io.NodeOutput:
        loaded = load_adapter(adapter_name, model)
        if isinstance(loaded, Imported):
            say(loaded.note, cls.hidden.unique_id)
            return io.NodeOutput(loaded.adapter, loaded.extractor or blocked(loaded.note))
        other = blocked(f"{adapter_name} is an {loaded.kind}. Connect the output {loaded.kind} of Load Adapter.")
        return io.NodeOutput(loaded, other) if loaded.kind == "adapter" else io.NodeOutput(other, loaded)


def _slots() -> list[tuple[str, str]]:
    """Return the ids of the inputs, (adapter, strength), of every slot."""
    ends = ["", *(f"_{number}" for number in range(2, SLOTS + 1))]
    return [(f"adapter{end}", f"strength{end}") for end in ends]


def _strength_fault(name: str, value: float) -> str:
    """Return what is wrong with a strength; empty if nothing is."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return f"{name} is {value!r}, which is not a finite number. Set it to a number, such as 1.0."
    return "" if abs(value) <= MOST else f"{name} is {value:g}. Set it to a number from -{MOST:g} to {MOST:g}."


class ApplyAdapter(Node):
    """Applies adapters to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        slots: list[io.Input] = []
        for number, (adapter, strength) in enumerate(_slots(), start=1):
            slots += [
                Adapter.Input(
                    adapter, optional=number > 1, tooltip="Adapter from Load Adapter or directly from Pure Learning."
                ),
                io.Float.Input(
                    strength,
                    default=1.0,
                    min=-MOST,
                    max=MOST,
                    step=0.05,
                    optional=number > 1,
                    advanced=number > 2,
                    tooltip="Strength of this adapter's LoRA and layer-wise vectors. 0 disables them; embedding:NAME "
                    "still works in prompts.",
                ),
            ]
        return io.Schema(
            node_id="PureCCApplyAdapter",
            display_name="Apply Adapter",
            category=CATEGORY,
            description="Apply up to four adapters to a model; chain nodes for more. Encode prompts with this node's "
            "CLIP and call each concept by embedding:NAME, whether or not the adapter is saved. A concept that was "
            "trained with a trigger word is called by NAME alone.",
            search_aliases=["apply lora", "use concept", "lora stack"],
            inputs=[
                io.Model.Input("model", tooltip="Base model that the adapters were trained on."),
                io.Clip.Input("clip", tooltip="Text encoders of the base model."),
                *slots,
            ],
            outputs=[
                io.Model.Output(tooltip="Model with the adapters applied."),
                io.Clip.Output(tooltip="Text encoders that know the concepts. Encode prompts with these."),
            ],
        )

    @classmethod
    def validate_inputs(cls, strength=1.0, strength_2=1.0, strength_3=1.0, strength_4=1.0) -> bool | str:
        """Return True, or which strength is no number; the host calls it when a prompt is queued."""
        given = zip(_slots(), (strength, strength_2, strength_3, strength_4), strict=True)
        return next((fault for (_, name), value in given if (fault := _strength_fault(name, value))), True)

    @classmethod
    def execute(cls, model, clip, **slots) -> io.NodeOutput:
        for _, name in _slots():
            if fault := _strength_fault(name, slots.get(name, 1.0)):
                raise ValueError(fault)
        for adapter, strength in _slots():
            if slots.get(adapter) is not None:
                model, clip = apply(model, clip, slots[adapter], slots.get(strength, 1.0))
        return io.NodeOutput(model, clip)
