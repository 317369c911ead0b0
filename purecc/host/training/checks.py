"""Checks that model, CLIP, dataset and extractor fit together, before anything is computed."""

from __future__ import annotations

from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP

from ...adapters.files import Adapter
from ...method.recipe import Recipe
from ...network.field import Conditioning
from ...text.texts import has_marker, prompt
from ...training.dataset import ConceptDataset
from ..families import family_of, text_side
from ..families.sizes import pixels_per_latent, size_problem
from ..models.embeddings import word_vectors
from .job import Job


def check_extractor(clip: CLIP, recipe: Recipe, extractor: Adapter | None, class_word: str) -> None:
    """Check that a recipe has the extractor that it needs, trained with this CLIP for this class word.

    Raises:
        ValueError: there is none, it is an adapter, its vectors are of other widths, or its class word is another.
    """
    if recipe.needs_extractor and extractor is None:
        raise ValueError("Pure learning needs an extractor: connect the output of Train Extractor or Load Adapter.")
    if extractor is None:
        return
    if extractor.kind != "extractor":
        raise ValueError(
            f"{extractor.name!r} is an adapter, not an extractor. Connect the output of Train Extractor, or load its "
            "file."
        )
    widths = {k: v.shape[1] for k, v in word_vectors(clip, "a").items()}
    theirs = {k: v.shape[1] for k, v in extractor.tokens.items()}
    if theirs and widths != theirs:
        raise ValueError(
            f"The extractor's embeddings {theirs} do not fit the connected CLIP {widths}. "
            "Connect the CLIP that the extractor was trained with."
        )
    known = extractor.metadata.get("purecc.class_word", class_word)
    if known.casefold() != class_word.casefold():
        raise ValueError(
            f"The extractor {extractor.name!r} was trained for {known!r} and class_word is {class_word!r}. Connect an "
            f"extractor of this concept, or write {known!r} in class_word of Concept Dataset."
        )


def check_train_on(clip: CLIP, kind: str, train_on: Adapter) -> None:
    """Check that an adapter is of the kind that is trained, and was trained with this CLIP.

    Raises:
        ValueError: it is of the other kind, or its vectors are of other widths.
    """
    if train_on.kind != kind:
        raise ValueError(
            f"train_on is {train_on.name!r}, an {train_on.kind}, and this node trains an {kind}. Connect the output "
            f"{kind} of Load Adapter."
        )
    widths = {k: v.shape[1] for k, v in word_vectors(clip, "a").items()}
    theirs = {k: v.shape[1] for k, v in train_on.tokens.items()}
    if theirs and widths != theirs:
        raise ValueError(
            f"The embeddings of train_on, {train_on.name!r}, are {theirs} and the connected CLIP's {widths}. Connect "
            "the CLIP that the adapter was trained with."
        )


def check_layer_wise(model: ModelPatcher, clip: CLIP) -> None:
    """Check that the rows of [v] of a CLIP are those that the marks of applied adapters can show.

    Raises:
        ValueError: the model marks the rows of CLIP, and this CLIP has none.
    """
    text = family_of(model).text
    if text is not None and text.free and text_side(clip) is not text:
        raise ValueError(
            "layer_wise is on, but the text encoder has no CLIP-L or CLIP-G. Connect the CLIP of an SD3 or SD3.5 "
            "checkpoint, or turn layer_wise off."
        )


def check_prompts(job: Job) -> None:
    """Check that the prompts of a job can be encoded.

    Raises:
        ValueError: one cannot; names its input.
    """
    given = {"sample_prompt": job.watch.sample_prompts, "drift_prompts": job.watch.drift_prompts}
    if job.recipe.needs_pool:
        given["pool_prompts"] = job.pool.prompts
    if job.recipe.needs_class_images:
        given |= {"class_grounds": job.pool.grounds, "class_styles": job.pool.styles}
    for name, prompts in given.items():
        for text in prompts:
            try:
                if name.startswith("class_") and has_marker(text):
                    raise ValueError(f"{text!r} has [v], which stands before the class word already. Leave it out.")
                prompt(text, job.name)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None


def check_dataset(model: ModelPatcher, dataset: ConceptDataset) -> None:
    """Check that the dataset's latents have the channels of the model's, and a size that it takes.

    Raises:
        ValueError: they have others.
    """
    channels, pixels = model.model.latent_format.latent_channels, pixels_per_latent(model)
    vae = "with the VAE that belongs to this model" if pixels > 1 else "with pixel_space in Load VAE"
    for item in dataset.items:
        if item.latents.shape[1] != channels:
            raise ValueError(
                f"The dataset's latents have {item.latents.shape[1]} channels and the model takes {channels}. "
                f"Build the dataset {vae}."
            )
        if problem := size_problem(model, item.latents.shape[2:]):
            raise ValueError(
                f"{problem} Set resolution and crop of Concept Dataset so that every image has such a size."
            )


def check_conditioning(model: ModelPatcher, y: Conditioning) -> None:
    """Check that a conditioning has the widths that the model takes.

    Raises:
        ValueError: it has others.
    """
    wanted = family_of(model).text_widths(model.model.diffusion_model)
    every = {"text": y.context, "pooled text": y.fields[0].get("pooled_output")}
    given = {name: tensor.shape[-1] for name in wanted if (tensor := every[name]) is not None}
    if wanted != given:
        raise ValueError(
            f"The CLIP gives {given} and the model takes {wanted}. Connect the CLIP that belongs to this model."
        )
