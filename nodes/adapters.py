"""Adapters on files and on models."""

from __future__ import annotations

import folder_paths
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..purecc import files
from ..purecc.host.apply import apply
from ..purecc.host.catalogue import adapter_names, load_adapter
from .types import CATEGORY, Adapter, Extractor


class SaveAdapter(io.ComfyNode):
    """Writes an adapter or extractor."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCSaveAdapter",
            display_name="Save Adapter",
            category=CATEGORY,
            description="Writes NAME.safetensors into the loras folder and, for the learned vectors, into the "
            "embeddings folder. The stock LoRA loader with embedding:NAME in a prompt then gives what Apply Adapter "
            "gives.",
            search_aliases=["save lora", "save embedding", "export"],
            is_output_node=True,
            inputs=[
                io.MultiType.Input("adapter", [Adapter, Extractor], tooltip="From Pure Learning or Train Extractor."),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip="Replace files of the same name. Off: another file of that name is an error, and stays.",
                ),
            ],
            outputs=[io.String.Output("name", display_name="name", tooltip="The adapter's name, as loaders list it.")],
        )

    @classmethod
    def execute(cls, adapter, overwrite) -> io.NodeOutput:
        loras, embeddings = (folder_paths.get_folder_paths(kind)[0] for kind in ("loras", "embeddings"))
        paths = [p for p in files.save(adapter, loras, embeddings, overwrite) if p is not None]
        return io.NodeOutput(adapter.name, ui={"text": [str(p) for p in paths]})


class LoadAdapter(io.ComfyNode):
    """Reads an adapter or extractor."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCLoadAdapter",
            display_name="Load Adapter",
            category=CATEGORY,
            description="Reads what Save Adapter wrote, adapters and extractors alike.",
            search_aliases=["load lora", "load extractor"],
            inputs=[
                io.Combo.Input(
                    "adapter_name", options=adapter_names(), tooltip="Files of the loras folder that this pack wrote."
                )
            ],
            outputs=[
                Adapter.Output("adapter", display_name="adapter", tooltip="The file as an adapter, if it is one."),
                Extractor.Output(
                    "extractor", display_name="extractor", tooltip="The file as an extractor, if it is one."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, adapter_name):
        return files.read_metadata(folder_paths.get_full_path_or_raise("loras", adapter_name)).get("purecc.id")

    @classmethod
    def execute(cls, adapter_name) -> io.NodeOutput:
        loaded = load_adapter(adapter_name)
        refusal = ExecutionBlocker(f"{adapter_name} is an {loaded.kind}: use the output of that name on Load Adapter.")
        if loaded.kind == "adapter":
            return io.NodeOutput(loaded, refusal)
        return io.NodeOutput(refusal, loaded)


SLOTS = 4


class ApplyAdapter(io.ComfyNode):
    """Puts adapters on a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        slots: list[io.Input] = []
        for k in range(1, SLOTS + 1):
            end = "" if k == 1 else f"_{k}"
            slots += [
                Adapter.Input(
                    f"adapter{end}", optional=k > 1, tooltip="An adapter, saved or fresh from Pure Learning."
                ),
                io.Float.Input(
                    f"strength{end}",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    advanced=k > 2,
                    tooltip="Of this adapter's LoRA and layer-wise vectors. 0: off; the prompt's embedding:NAME is "
                    "still known.",
                ),
            ]
        return io.Schema(
            node_id="PureCCApplyAdapter",
            display_name="Apply Adapter",
            category=CATEGORY,
            description="Puts up to four adapters on a model (chain nodes for more). Prompts encoded with the CLIP "
            "that comes out call each concept by embedding:NAME, whether or not it was saved.",
            search_aliases=["apply lora", "use concept", "lora stack"],
            inputs=[
                io.Model.Input("model", tooltip="The base model the adapters were trained on."),
                io.Clip.Input("clip", tooltip="Its text encoders."),
                *slots,
            ],
            outputs=[
                io.Model.Output(tooltip="The model with the adapters on."),
                io.Clip.Output(tooltip="Text encoders that know the concepts: encode prompts with these."),
            ],
        )

    @classmethod
    def execute(cls, model, clip, **slots) -> io.NodeOutput:
        for k in range(1, SLOTS + 1):
            end = "" if k == 1 else f"_{k}"
            adapter = slots.get(f"adapter{end}")
            if adapter is not None:
                model, clip = apply(model, clip, adapter, slots.get(f"strength{end}", 1.0))
        return io.NodeOutput(model, clip)
