"""Describe a training run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from comfy.model_patcher import ModelPatcher

from ...method.path import NATIVE, FlowPath
from ...method.recipe import Recipe
from ...network.lora import AUTO, LoraSpec, lora_bytes
from ...training.class_images import GROUNDS, STYLES, ClassCaption, class_captions
from ...training.common_things import WORDS
from ...training.companions import companion_prompts
from ...training.dataset import ConceptDataset
from ...training.drift import affordable
from ...training.parallel import Ranks
from ...training.placing import OFF
from ...training.settings import Settings
from ...training.sizing import KEEP
from ..families import family_of
from ..models.carrying import AUTO as AUTO_CONCEPT
from ..models.noise_path import noise_path


@dataclass(frozen=True)
class EmbeddingSpec:
    """Which vectors stand for the concept.

    Attributes:
        input_token: whether the token that stands for [v] is trained; see `carrying`.
        layer_wise: whether there is a trained vector for every joint block (7).
        concept_by: what stands for [v], one of `carrying.CHOICES`.
    """

    input_token: bool = True
    layer_wise: bool = True
    concept_by: str = AUTO_CONCEPT


@dataclass(frozen=True)
class MemorySpec:
    """How the model computes: what takes memory or time and changes the result by rounding at most.

    Attributes:
        precision: of the base, a key of precision.PRECISIONS; LoRA and embeddings are always float32.
        checkpointing: which blocks are computed again in the backward pass: "auto", as few as the device's free memory
            requires, and none on the CPU; "off"; or "all".
        deterministic: whether the same seed gives the same adapter on CUDA too, somewhat slower.
        pass_limit: the most samples in one pass without gradient; None: as many as fit.
        cache: whether pool and masks are kept on the disk for later runs.
    """

    precision: str = "auto"
    checkpointing: str = "auto"
    deterministic: bool = False
    pass_limit: int | None = None
    cache: bool = False


@dataclass(frozen=True)
class WatchSpec:
    """What is measured and sampled while the model trains.

    Attributes:
        drift_every: steps between two measurements of drift; 0: as many measurements, on as many of the prompts, as
            cost little, see `drift.affordable`.
        drift_prompts: prompts that drift is measured on; empty: it is not measured.
        sample_every: steps between two sample images; 0: only those that the user asks for.
        sample_prompts: prompts of the samples; empty: the first complete text.
        trace_steps: steps whose tensors are kept.
    """

    drift_every: int = 0
    drift_prompts: tuple[str, ...] = ()
    sample_every: int = 0
    sample_prompts: tuple[str, ...] = ()
    trace_steps: frozenset[int] = frozenset()


@dataclass(frozen=True)
class PoolSpec:
    """The images that the base generates, for a recipe that needs them.

    Attributes:
        images: number of images.
        prompts: used in turn; empty: the base texts of the references.
        captions: of images of the class, one each, for a recipe that learns on them; see `class_images.class_texts`.
            Empty: as many as `images`, from grounds and styles.
        grounds: where images of the class show it; see `class_images.class_captions`.
        styles: and how.
    """

    images: int = 20
    prompts: tuple[str, ...] = ()
    captions: tuple[ClassCaption, ...] = ()
    grounds: tuple[str, ...] = GROUNDS
    styles: tuple[str, ...] = STYLES

    def of_class(self, class_word: str) -> PoolSpec:
        """Return the same with captions of images of the class, where it has none.

        Raises:
            ValueError: there is no ground.
        """
        if self.captions:
            return self
        if not self.grounds:
            raise ValueError("class_grounds is empty. Write where images of the class may show it, such as: on a beach")
        rng = Random(f"{class_word} class captions")
        return replace(self, captions=class_captions(class_word, self.grounds, self.styles, self.images, rng))


@dataclass(frozen=True)
class ReferenceSpec:
    """What is done about what references share besides the concept, before the first step.

    Attributes:
        places: about where they show it, one of `placing.CHOICES`.
        companion: words of things that are looked for beside the concept in all references, and left out of the masks
            that the base finds; none: what is there stays.
        size: about its size, one of `sizing.CHOICES`.
    """

    places: str = OFF
    companion: tuple[str, ...] = WORDS
    size: str = KEEP


@dataclass(frozen=True)
class Job:
    """A training run, without the models and the references. `resolve` settles what is left open.

    Attributes:
        name: of the adapter; prompts call it `embedding:NAME`, or by the name alone.
        recipe: the method.
        kind: "extractor" for stage 1, else "adapter".
        lora: shape of the LoRA.
        settings: of the loop.
        embedding: the concept's vectors.
        memory: how the model computes.
        watch: what is measured meanwhile.
        pool: images of the base.
        weighting: of the loss over t, a member of `path.WEIGHTINGS`.
        references: what is done about what they share.
    """

    name: str
    recipe: Recipe
    kind: str = "adapter"
    lora: LoraSpec = field(default_factory=LoraSpec)
    settings: Settings = field(default_factory=Settings)
    embedding: EmbeddingSpec = field(default_factory=EmbeddingSpec)
    memory: MemorySpec = field(default_factory=MemorySpec)
    watch: WatchSpec = field(default_factory=WatchSpec)
    pool: PoolSpec = field(default_factory=PoolSpec)
    weighting: str = NATIVE
    references: ReferenceSpec = field(default_factory=ReferenceSpec)

    def resolve(self, dataset: ConceptDataset, model: ModelPatcher) -> Job:
        """Return the job with target layers, recipe, shift, places and drift measurements settled for these references.

        Args:
            dataset: the references.
            model: MODEL.

        Raises:
            ValueError: drift_every is given without prompts, or the model lacks the target layers or the loss weighting
                or takes no vectors layer-wise, or the recipe learns on images of the class and the concept is a style,
                or all words of a companion name the concept.
        """
        family, path = family_of(model), noise_path(model.get_model_object("model_sampling"))
        path.weighing(self.weighting)
        targets = self.lora.targets
        if targets == AUTO:
            targets = family.suited(self.recipe.target_layers(dataset.kind))
        family.layers(targets)
        if self.embedding.layer_wise and not family.layer_wise:
            raise ValueError(
                f"layer_wise is on, but the blocks of {family.name} take no vectors at the rows of [v]. Turn it off."
            )
        recipe, pool = self.recipe.fit(dataset.kind, targets), self.pool
        if recipe.needs_class_images:
            if dataset.kind != "instance":
                raise ValueError("method learns on images of a thing, and kind is style. Choose the method anchored.")
            pool = pool.of_class(dataset.class_word)
        if not dataset.will_have_masks:  # M = 1 everywhere, which takes fewer passes
            recipe = recipe.without_mask()
        own = path.shift if isinstance(path, FlowPath) else None
        settings = replace(self.settings, shift=own if self.settings.shift is None else self.settings.shift)
        lora, watch = replace(self.lora, targets=targets), self._measured(recipe)
        if recipe.needs_mask and dataset.lacks_masks:
            companion_prompts(dataset.class_word, self.references.companion)
        places = self.references.places if recipe.needs_mask else OFF
        references = replace(self.references, places=places)
        return replace(self, lora=lora, settings=settings, recipe=recipe, watch=watch, pool=pool, references=references)

    def adapter_bytes(self, dataset: ConceptDataset, model: ModelPatcher) -> int:
        """Return the size of the LoRA that the job makes; see `resolve`, whose errors it raises."""
        spec = self.resolve(dataset, model).lora
        return lora_bytes(model.model.diffusion_model, family_of(model).layers(spec.targets), spec.rank)

    def of_all(self, ranks: Ranks) -> Job:
        """Return the job of several processes that train together, each with a batch of this job's."""
        return replace(self, settings=replace(self.settings, batch=self.settings.batch * ranks.count))

    def of_one(self, ranks: Ranks) -> Job:
        """Return the part of one process in a job of several: its rows; only the first measures and samples."""
        settings = replace(self.settings, batch=self.settings.batch // ranks.count)
        return replace(self, settings=settings, watch=self.watch if ranks.first else WatchSpec())

    def _measured(self, recipe: Recipe) -> WatchSpec:
        watch, settings = self.watch, self.settings
        if watch.drift_every and not watch.drift_prompts:
            raise ValueError("drift_every is set but drift_prompts is empty. Add prompts, or set drift_every to 0.")
        if watch.drift_every or not watch.drift_prompts:
            return watch
        work = recipe.work * settings.batch * settings.accumulation
        count, every = affordable(len(watch.drift_prompts), work, settings.steps)
        return replace(watch, drift_every=every, drift_prompts=watch.drift_prompts[:count])
