"""The subgraphs that workflows are made of: one that learns a concept, one that draws before and after."""

from collections.abc import Mapping
from typing import Any

from .describe import Node, Part

LEARN = "Learn a concept"
COMPARE = "Before and after"


SUITED = {"preset": "balanced"}
"""Settings that suit the model's family."""


def learn(dataset: Mapping[str, Any] | None = None, training: Mapping[str, Any] | None = None) -> Part:
    """Return the subgraph that teaches a concept and saves it.

    Args:
        dataset: values of Concept Dataset that are not its defaults.
        training: values of Pure Learning instead of `SUITED`.
    """
    base = {"model": "", "clip": ""}
    nodes = {
        "dataset": Node("PureCCConceptDataset", dataset or {}),
        "masks": Node("PureCCConceptMasks", {}, {"dataset": "dataset.dataset"}),
        "learn": Node("PureCCPureLearning", training or SUITED, {"dataset": "masks.dataset"}),
        "save": Node("PureCCSaveAdapter", {}, {"adapter": "learn.adapter"}),
        "apply": Node("PureCCApplyAdapter", {}, {"adapter": "learn.adapter"}),
        "curves": Node("PureCCTrainingCurves", {}, {"loss": "learn.loss"}),
    }
    return Part(
        LEARN,
        "Teach a model one concept from three to ten images by anchored learning, with as little damage to the rest of "
        "the model as possible. Saves a LoRA and an embedding, and outputs the adapter, and a model and CLIP that know "
        "the concept.",
        nodes,
        {name: [f"{node}.{name}" for node in ("masks", "learn", "apply")] for name in base}
        | {"vae": ["dataset.vae", "learn.vae"]}
        | {name: [f"dataset.{name}"] for name in ("images", "captions", "masks", "class_word", "kind", "resolution")}
        | {name: [f"learn.{name}"] for name in ("name", "preset", "steps")}
        | {"overwrite": ["save.overwrite"]},
        {
            "MODEL": "apply.MODEL",
            "CLIP": "apply.CLIP",
            "adapter": "learn.adapter",
            "masks": "masks.images",
            "curves": "curves.IMAGE",
        },
        [["dataset"], ["masks"], ["learn"], ["save", "apply", "curves"]],
    )


def compare(latent: str = "EmptySD3LatentImage", sampling: Mapping[str, Any] | None = None) -> Part:
    """Return the subgraph that draws one prompt with the base model and with the concept, from the same noise.

    Args:
        latent: the class of node for an empty latent.
        sampling: values of KSampler that are not its defaults.
    """
    sampled = {**(sampling or {}), "seed": 42}
    nodes = {
        "apply": Node("PureCCApplyAdapter"),
        "words": Node("PureCCConceptPrompt"),
        "latent": Node(latent),
        "without": Node("CLIPTextEncode", {}, {"text": "words.base prompt"}, "Before"),
        "with": Node("CLIPTextEncode", {}, {"clip": "apply.CLIP", "text": "words.prompt"}, "After"),
        "negative": Node("CLIPTextEncode", {}, {}, "Negative prompt"),
    }
    for side, model, text in (("before", "", "without"), ("after", "apply.MODEL", "with")):
        nodes[f"draw_{side}"] = Node(
            "KSampler",
            sampled,
            {"positive": f"{text}.CONDITIONING", "negative": "negative.CONDITIONING", "latent_image": "latent.LATENT"}
            | ({"model": model} if model else {}),
            side.capitalize(),
        )
        nodes[f"decode_{side}"] = Node("VAEDecode", {}, {"samples": f"draw_{side}.LATENT"})
    both = ("before", "after")
    return Part(
        COMPARE,
        "Draw a prompt twice from the same noise: with the base model, and with the concept. In the prompt [v] stands "
        "for the concept.",
        nodes,
        {
            "model": ["apply.model", "draw_before.model"],
            "clip": ["apply.clip", "without.clip", "negative.clip"],
            "vae": [f"decode_{side}.vae" for side in both],
            "adapter": ["apply.adapter", "words.adapter"],
            "text": ["words.text"],
        }
        | {name: [f"latent.{name}"] for name in ("width", "height", "batch_size")}
        | {name: [f"draw_{side}.{name}" for side in both] for name in ("seed", "steps", "cfg")},
        {side: f"decode_{side}.IMAGE" for side in both},
        [["apply", "words", "latent"], ["without", "with", "negative"], ["draw_before", "draw_after"],
         ["decode_before", "decode_after"]],
    )  # fmt: skip
