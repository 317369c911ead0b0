"""One run of the benchmark: a method learns a concept with a seed, and is measured on the way."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import ewc
import measures
import torch
from concepts import Concept
from methods import Method
from prompts import GROUPS, SHORT, Asked, asked, drift_prompts, pool_prompts
from torch import Tensor

from purecc_pack.purecc import files, recipes, sampling
from purecc_pack.purecc.branches import LoraSpec
from purecc_pack.purecc.dataset import ConceptItem
from purecc_pack.purecc.field import velocities
from purecc_pack.purecc.files import Adapter
from purecc_pack.purecc.host import datasets, latents
from purecc_pack.purecc.host.session import Inspection, Job, customise
from purecc_pack.purecc.host.tiny import load_tiny_checkpoint
from purecc_pack.purecc.measure import DriftProbe
from purecc_pack.purecc.recipes import BASE, EXTRACTOR, LEARNER
from purecc_pack.purecc.settings import Settings
from purecc_pack.purecc.tiny.individuals import CONCEPT
from purecc_pack.purecc.tiny.probe import Probe
from purecc_pack.purecc.tiny.renders import render
from purecc_pack.purecc.tiny.scenes import Scene, segment
from purecc_pack.purecc.tiny.scenes import draw as draw_scene
from purecc_pack.purecc.trainee import Trainee

NAME = "concept"
IMAGE_SEEDS = 4
"""Every prompt has four fixed seeds; a run with training seed s draws all prompts at seed s mod 4."""
SAMPLING_STEPS, CFG, BATCH = 14, 4.0, 36
POOL = 48


@dataclass(frozen=True)
class Budget:
    """How long a method trains, and when it is measured.

    Attributes:
        steps: of every stage.
        points: steps at which a short measurement is made; the last step has the whole one, if `whole`.
        whole: whether all prompts are drawn at the end.
        batch: samples a step.
        rank: of the LoRA.
        guidance: of the pictures that are drawn.
    """

    steps: int = 200
    points: tuple[int, ...] = (25, 50, 100, 200)
    whole: bool = True
    batch: int = 4
    rank: int = 8
    guidance: float = CFG


class Silent:
    """A listener that says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def masks(self, dataset) -> None:
        """Nothing."""

    def step(self, step, preview) -> None:
        """Nothing."""


class World:
    """The embedded base and the probe; what is the base's own is drawn once and kept in `state`."""

    def __init__(self, state: Path):
        self.state = state
        self.model, self.clip, self.vae = load_tiny_checkpoint([])
        self.probe = Probe.load()
        self.dataset = functools.cache(self._dataset)
        self.true_features = functools.cache(self._true_features)

    def _dataset(self, concept: Concept):
        """The references as the trainer takes them."""
        pictures = [latents.from_pil(picture) for picture in pictures_of(concept)]
        return datasets.build(pictures, concept.captions, concept.class_word, concept.kind, self.vae, 96)

    def true_mask(self, concept: Concept, item: ConceptItem) -> Tensor:
        """Where the concept is in a reference by the drawing code, as a careful user's mask would be, [1, 1, h, w]."""
        scene = next(s for s in concept.scenes if torch.equal(latents.from_pil(draw_scene(s))[0], item.image))
        inside = torch.from_numpy(segment(scene) == 1)[None, None].float()
        return torch.nn.functional.avg_pool2d(inside, 8)

    def with_true_masks(self, concept: Concept):
        """The dataset with these masks."""
        items = (replace(item, mask=self.true_mask(concept, item)) for item in self.dataset(concept).items)
        return replace(self.dataset(concept), items=tuple(items))

    def _true_features(self, concept: Concept) -> Tensor:
        """The probe's features of the true drawings of the requested pictures, [requested, F]."""
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
        """Trains and measures; returns a plain record, the adapter, and by step the pictures as VAE latents.

        `ready` may change the job before it begins.
        """
        began = time.perf_counter()
        whole = asked(concept)
        self.true_features(concept)
        job = Job(
            name=NAME,
            recipe=method.recipe,
            kind="extractor" if isinstance(method.recipe, recipes.ConceptCustomisation) else "adapter",
            lora=LoraSpec(budget.rank, float(budget.rank), method.target),
            settings=Settings(
                steps=budget.steps, batch=budget.batch, lr=method.lr, embedding_lr=method.embedding_lr, seed=seed,
                warmup=10,
            ),
            input_token=method.input_token,
            layer_wise=method.layer_wise,
            pool_images=POOL,
            pool_prompts=_pool_prompts(concept, method),
        )  # fmt: skip
        curve: dict[int, dict[str, float]] = {}
        seconds = 0.0
        kept: dict[str, object] = {}
        pictures: dict[int, Tensor] = {}

        def look(step: int, trainee: Trainee, field) -> None:
            nonlocal seconds
            started = time.perf_counter()
            if step == 0:
                shape = self.dataset(concept).items[0].latents.shape[1:]
                kept["drift"] = DriftProbe(trainee, tuple(shape), drift_prompts(concept))
                kept["base"] = self.base(concept, seed % IMAGE_SEEDS, trainee, field)
                kept["other"] = self.base(concept, (seed + 1) % IMAGE_SEEDS, trainee, field)
            else:
                last = step == budget.steps and budget.whole
                prompts = whole if last else asked(concept, SHORT)
                numbers = [whole.index(a) for a in prompts]
                texts = [a.text for a in prompts]
                pictures[step] = draw(
                    trainee, field, LEARNER, texts, seed % IMAGE_SEEDS, numbers, guidance=budget.guidance
                )
                curve[step] = self.figures(concept, prompts, pictures[step], kept["base"][numbers])
                curve[step]["drift"], curve[step]["kl"] = kept["drift"].with_divergence(LEARNER)
            seconds += (time.perf_counter() - started) * (0 < step < budget.steps)

        texts = dict.fromkeys([*(a.text for a in whole), *(a.base_text for a in whole), *drift_prompts(concept)])
        penalty = functools.partial(ewc.penalty, weight=method.ewc) if method.ewc else None
        inspection = Inspection(look, frozenset(budget.points) | {budget.steps}, tuple(texts), penalty)
        used = extractor if recipes.needs(method.recipe, EXTRACTOR) else None
        traced = method.true_masks and concept.kind == "instance"  # a style is everywhere
        dataset = self.with_true_masks(concept) if traced else self.dataset(concept)
        outcome = customise(self.model, self.clip, dataset, ready(job), Silent(), used, inspection)
        record = {
            "concept": concept.name, "title": method.title, "seed": seed,
            "recipe": json.loads(outcome.adapter.metadata["purecc.recipe"]),
            "lr": method.lr, "embedding_lr": method.embedding_lr, "budget": asdict(budget),
            "base": self.base_figures(concept, kept["base"], kept["other"]), "curve": curve,
            "training": _course(outcome.history),
            "seconds": {"training": outcome.history.seconds - seconds, "all": time.perf_counter() - began},
        }  # fmt: skip
        return record, outcome.adapter, pictures

    def base(self, concept: Concept, image_seed: int, trainee: Trainee, field) -> Tensor:
        """The base's own pictures of all prompts without the concept, VAE latents [N, 16, h, w]; kept on disk."""
        path = self.state / "base" / f"{concept.name}-{image_seed}.pt"
        if not path.is_file():
            drawn = draw(trainee, field, BASE, [a.base_text for a in asked(concept)], image_seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{time.time_ns()}")
            torch.save(drawn, part)
            part.replace(path)
        return torch.load(path, weights_only=True)

    def base_figures(self, concept: Concept, first: Tensor, second: Tensor) -> dict[str, float]:
        """The base's own figures at one seed; change and Seg-Cons are between two seeds of the base: their floor."""
        whole = asked(concept)
        reading, other = self.probe.read(first), self.probe.read(second)
        out = measures.figures(concept, whole, reading, other, first, first)
        out["change"] = measures.change(whole, second, first, "unrelated", "unrelated pair")
        out["likeness"] = measures.likeness(whole, reading, self.true_features(concept))
        return out | {"drift": 0.0, "kl": 0.0}

    def figures(self, concept: Concept, prompts: Sequence[Asked], drawn: Tensor, base: Tensor) -> dict[str, float]:
        """All figures that pictures give, beside the base's pictures of the same prompts and seeds."""
        reading = self.probe.read(drawn)
        out = measures.figures(concept, prompts, reading, self.probe.read(base), drawn, base)
        return out | {"likeness": measures.likeness(prompts, reading, self.true_features(concept))}


def seconds_a_velocity(world: World, batch: int) -> float:
    """Time of one velocity of one picture on this machine, in a batch, without gradients."""
    from purecc_pack.purecc.host.copies import trainable_world
    from purecc_pack.purecc.host.field import private_field

    with trainable_world(), torch.no_grad(), private_field(world.model) as field:
        network = field.module
        x, t = torch.randn(batch, 16, 12, 12), torch.full((batch,), 500.0)
        context, pooled = torch.randn(batch, 32, 4096), torch.randn(batch, 1344)
        network(x, t, context=context, y=pooled)
        began = time.perf_counter()
        for _ in range(5):
            network(x, t, context=context, y=pooled)
        return (time.perf_counter() - began) / 5 / batch


def pictures_of(concept: Concept):
    """The references as pictures."""
    return [draw_scene(scene) for scene in concept.scenes]


@torch.no_grad()
def draw(
    trainee: Trainee,
    field,
    branch,
    texts: Sequence[str],
    image_seed: int,
    numbers: Sequence[int] = (),
    guidance: float = CFG,
) -> Tensor:
    """Pictures as VAE latents [N, 16, h, w]: Euler's method with guidance, the noise of each by its prompt's number."""
    speaker = trainee.speaker(branch)
    times = sampling.times(SAMPLING_STEPS).to(trainee.model.device)
    numbers = numbers or range(len(texts))
    (empty,) = speaker.conditioner([""])
    out = []
    for start in range(0, len(texts), BATCH):
        chosen = slice(start, start + BATCH)
        prompts = speaker.conditioner(list(texts[chosen]))
        noise = torch.cat([_noise(image_seed, number) for number in numbers[chosen]]).to(times.device)

        def velocity(x: Tensor, t: Tensor, prompts=prompts) -> Tensor:
            v = velocities(trainee.model, torch.cat([x, x]), torch.cat([t, t]), [*prompts, *[empty] * len(prompts)])
            named, unnamed = v.chunk(2)
            return unnamed + guidance * (named - unnamed)

        with trainee.branches.use(branch), trainee.hooks.use(speaker.embedding.layers):
            out.append(field.latents_out(sampling.sample(velocity, noise, times)).cpu())
    return torch.cat(out)


def _noise(image_seed: int, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(1_000_003 * image_seed + number)
    return torch.randn(1, 16, 12, 12, generator=generator)


def true_scene(concept: Concept, a: Asked) -> Scene:
    """The scene that a requested picture should show."""
    words = dict(a.named)
    if concept.kind == "style":
        return Scene(**words, style=concept.word, seed=1)
    return Scene(concept.word, "red", **words, look=CONCEPT, seed=1)


def _pool_prompts(concept: Concept, method: Method) -> tuple[str, ...]:
    """What the pool shows; prior preservation has pictures of the references' captions without the concept."""
    if isinstance(method.recipe, recipes.PriorPreservation):
        return ()
    return pool_prompts(concept, POOL, method.class_pool)


def _course(history) -> dict[str, list[float]]:
    """Losses, λ and cosine over training, in means of twentieths."""
    n, size = len(history.steps), max(1, len(history.steps) // 20)
    names = history.steps[0].losses
    rows = [history.steps[i : i + size] for i in range(0, n, size)]
    return {name: [sum(s.losses[name] for s in row) / len(row) for row in rows] for name in names}


def save_extractor(adapter: Adapter, folder: Path) -> None:
    """Keeps θ1 for the methods that need it."""
    for part in ("loras", "embeddings"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    files.save(replace(adapter, kind="extractor"), folder / "loras", folder / "embeddings", overwrite=True)


def load_extractor(folder: Path) -> Adapter:
    """θ1 as it was kept."""
    return files.load(folder / "loras" / f"{NAME}.safetensors", embeddings_dirs=[folder / "embeddings"])


def write(path: Path, record: dict) -> None:
    """Writes a record at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
