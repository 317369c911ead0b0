"""Train one method on one concept with one seed, and measure it on the way."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import ewc
import measures
import torch
from concepts import Concept
from measuring import Budget, Measuring, Silent
from methods import METHODS, ClassAnchored, Method
from prompts import GROUPS, Asked, asked, class_anchor_prompts, class_captions, drift_prompts, pool_prompts
from samples import generate
from torch import Tensor

from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.adapters.files import Adapter
from purecc_pack.purecc.host.data import image_tensors, references
from purecc_pack.purecc.host.models.host_models import HostModels
from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint
from purecc_pack.purecc.host.training.job import EmbeddingSpec, Job, MemorySpec, PoolSpec, ReferenceSpec, WatchSpec
from purecc_pack.purecc.host.training.session import prepared
from purecc_pack.purecc.method.baselines import PriorPreservation
from purecc_pack.purecc.method.pure_learning import ConceptCustomisation
from purecc_pack.purecc.method.recipe import BASE
from purecc_pack.purecc.network.lora import LoraSpec
from purecc_pack.purecc.text import concept as text_concept
from purecc_pack.purecc.text.captions import CaptionInput
from purecc_pack.purecc.training.branched_model import BranchedModel
from purecc_pack.purecc.training.companions import words_tried
from purecc_pack.purecc.training.dataset import ConceptItem
from purecc_pack.purecc.training.settings import Settings
from purecc_pack.tiny_world.individuals import CONCEPT
from purecc_pack.tiny_world.probe import Probe
from purecc_pack.tiny_world.renders import render
from purecc_pack.tiny_world.scenes import Scene

NAME = "concept"
POOL = 48


class World:
    """A base, by default the embedded one, and the probe. The base's images are generated once and kept in `state`.

    With `cache`, runs also share pool, masks and images of the class, among the files of the host's user.
    """

    cache = False

    def __init__(self, state: Path, stack: tuple | None = None, methods: Mapping[str, Method] = METHODS):
        self.state, self.methods = state, methods
        model, clip, self.vae = stack or load_tiny_checkpoint([])
        self.models = HostModels(model, clip, self.vae)
        self.probe = Probe.load()
        self.dataset = functools.cache(self._dataset)
        self.true_features = functools.cache(self._true_features)

    def _dataset(self, concept: Concept):
        """Return the references as a dataset for training."""
        pictures = [image_tensors.from_pil(picture) for picture in concept.pictures]
        known = text_concept.Concept(concept.class_word, concept.kind)
        cropping = image_tensors.Cropping(96)
        return references.build(pictures, CaptionInput(concept.captions), known, self.vae, cropping)

    def true_mask(self, concept: Concept, item: ConceptItem) -> Tensor:
        """Return the concept's place in a reference by the drawing code, like a careful user's mask, [1, 1, h, w]."""
        known = zip(concept.pictures, concept.masks, strict=True)
        mask = next(m for picture, m in known if torch.equal(image_tensors.from_pil(picture)[0], item.image))
        inside = torch.from_numpy(mask)[None, None].float()
        return torch.nn.functional.avg_pool2d(inside, 8)

    def with_true_masks(self, concept: Concept):
        """Return the dataset with these masks."""
        items = (replace(item, mask=self.true_mask(concept, item)) for item in self.dataset(concept).items)
        return replace(self.dataset(concept), items=tuple(items))

    def _true_features(self, concept: Concept) -> Tensor:
        """Return the probe's features of the true drawings of the requested images, [requested, F]."""
        scenes = [true_scene(concept, a) for a in asked(concept, {"requested": GROUPS["requested"]})]
        return self.probe.read(self.vae.encode(render(scenes)).float()).features

    def run(
        self,
        concept: Concept,
        method: Method,
        seed: int,
        budget: Budget,
        extractor: Adapter | None = None,
        ready: Callable[[Job], Job] = lambda job: job,
    ) -> tuple[dict, Adapter, dict[int, Tensor]]:
        """Train and measure; return a plain record, the adapter, and by step the pictures as VAE latents.

        `ready` may change the job before it begins.
        """
        began = time.perf_counter()
        self.true_features(concept)
        used = extractor if method.recipe.needs_extractor else None
        traced = method.true_masks and concept.kind == "instance"  # a style is everywhere
        dataset = self.with_true_masks(concept) if traced else self.dataset(concept)
        job = ready(replace(_job(concept, method, seed, budget), memory=MemorySpec(cache=self.cache)))
        with prepared(self.models, dataset, job, Silent(), used) as session:
            if method.ewc:
                session = ewc.consolidated(session, method.ewc)
            measuring = Measuring(self, concept, seed, budget, session)
            outcome = session.train(measuring)
        record = {
            "concept": concept.name, "title": method.title, "seed": seed,
            "recipe": json.loads(outcome.adapter.metadata["purecc.recipe"]),
            "lr": method.lr, "embedding_lr": method.embedding_lr, "budget": asdict(budget),
            "base": self.base_figures(concept, asked(concept, budget.counts), measuring.base, measuring.other),
            "curve": measuring.curve,
            "training": _course(outcome.history),
            "seconds": {"training": outcome.history.seconds - measuring.seconds, "all": time.perf_counter() - began},
        }  # fmt: skip
        return record, outcome.adapter, measuring.pictures

    def base(
        self,
        concept: Concept,
        image_seed: int,
        branched: BranchedModel,
        field,
        prompts: Sequence[Asked],
        numbers: Sequence[int],
    ) -> Tensor:
        """Return the base's images of prompts without the concept, VAE latents [N, 16, h, w]; kept on disk.

        `numbers` are those of the prompts among all.
        """
        path = self.state / "base" / f"{concept.name}-{image_seed}-{len(prompts)}.pt"
        if not path.is_file():
            drawn = generate(branched, field, BASE, [a.base_text for a in prompts], image_seed, numbers)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{time.time_ns()}")
            torch.save(drawn, part)
            part.replace(path)
        return torch.load(path, weights_only=True)

    def base_figures(self, concept: Concept, whole: Sequence[Asked], first: Tensor, second: Tensor) -> dict[str, float]:
        """Return the base's own figures at one seed; change and Seg-Cons compare two of its seeds: their floor."""
        reading, other = self.probe.read(first), self.probe.read(second)
        out = measures.figures(concept, whole, reading, other, first, first)
        out["change"] = measures.change(whole, second, first, "unrelated", "unrelated pair")
        out["likeness"] = measures.likeness(whole, reading, self.true_features(concept))
        return out | {"drift": 0.0, "kl": 0.0}

    def figures(self, concept: Concept, prompts: Sequence[Asked], drawn: Tensor, base: Tensor) -> dict[str, float]:
        """Return all figures of images beside the base's images of the same prompts and seeds."""
        reading = self.probe.read(drawn)
        out = measures.figures(concept, prompts, reading, self.probe.read(base), drawn, base)
        return out | {"likeness": measures.likeness(prompts, reading, self.true_features(concept))}


def _job(concept: Concept, method: Method, seed: int, budget: Budget) -> Job:
    whole, pool, own = asked(concept), _pool_prompts(concept, method), method.references
    texts = [*(a.text for a in whole), *(a.base_text for a in whole), *drift_prompts(concept), *pool]
    return Job(
        name=NAME,
        recipe=method.recipe,
        kind="extractor" if isinstance(method.recipe, ConceptCustomisation) else "adapter",
        lora=LoraSpec(budget.rank, float(budget.rank), method.target),
        settings=Settings(
            steps=budget.steps, batch=budget.batch, lr=method.lr, embedding_lr=method.embedding_lr, seed=seed,
            warmup=10,
        ),
        embedding=EmbeddingSpec(method.input_token, method.layer_wise),
        references=ReferenceSpec(own.places, words_tried(own.companion, _named(concept, method)), own.size),
        watch=WatchSpec(sample_prompts=tuple(dict.fromkeys(texts))),
        pool=PoolSpec(
            len(pool) or POOL, pool, class_captions(concept, POOL * method.recipe.needs_class_images, method.paired)
        ),
    )  # fmt: skip


def _named(concept: Concept, method: Method) -> tuple[str, ...]:
    """Return what a user writes of a thing beside the concept."""
    head, answer = concept.confound
    return (answer,) if method.references.told and head == "companion" else ()


def seconds_a_velocity(world: World, batch: int) -> float:
    """Return the seconds that this machine takes for one velocity of one image, in a batch, without gradients."""
    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.models.field import private_field
    from purecc_pack.purecc.network.field import Conditioning

    clip = world.models.clip
    context, pooled = clip.encode_from_tokens(clip.tokenize("a star"), return_pooled=True)
    marks = torch.zeros(batch, context.shape[1], dtype=torch.bool)
    y = Conditioning(context.repeat(batch, 1, 1), marks, ({"pooled_output": pooled},) * batch)
    with trainable_world(), torch.no_grad(), private_field(world.models.model) as field:
        x, t = torch.randn(batch, 16, 12, 12), torch.full((batch,), 0.5)
        field.velocity(x, t, y)
        began = time.perf_counter()
        for _ in range(5):
            field.velocity(x, t, y)
        return (time.perf_counter() - began) / 5 / batch


def true_scene(concept: Concept, a: Asked) -> Scene:
    """Return the scene that a requested image should show."""
    words = dict(a.named)
    if concept.kind == "style":
        return Scene(**words, style=concept.word, seed=1)
    return Scene(concept.word, "red", **words, look=CONCEPT, seed=1)


def _pool_prompts(concept: Concept, method: Method) -> tuple[str, ...]:
    """Return the prompts of the pool; empty for prior preservation, which uses the captions without the concept."""
    if isinstance(method.recipe, PriorPreservation):
        return ()
    if isinstance(method.recipe, ClassAnchored):
        return class_anchor_prompts(concept, 2 * POOL)
    return pool_prompts(concept, POOL, method.class_pool)


def _course(history) -> dict[str, list[float]]:
    """Return losses, λ and cosine over training, as means of twentieths."""
    n, size = len(history.steps), max(1, len(history.steps) // 20)
    names = history.steps[0].losses
    rows = [history.steps[i : i + size] for i in range(0, n, size)]
    return {name: [sum(s.losses[name] for s in row) / len(row) for row in rows] for name in names}


def save_extractor(adapter: Adapter, folder: Path) -> None:
    """Keep θ1 for the methods that need it."""
    for part in ("loras", "embeddings"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    files.save(replace(adapter, kind="extractor"), folder / "loras", folder / "embeddings", overwrite=True)


def load_extractor(folder: Path) -> Adapter:
    """Load θ1 as `save_extractor` kept it."""
    return files.load(folder / "loras" / f"{NAME}.safetensors", embeddings_dirs=[folder / "embeddings"])
