"""Runs of both stages on the stand-in checkpoint, made once and read by many tests, and how to make others.

Everything runs in inference mode, as the host runs its nodes.
"""

import contextlib
import copy
import gc
import hashlib
from dataclasses import dataclass, replace

import pytest
import standin
import torch

CAPTIONS = ("a [v] robot on red stripes", "a [v] robot, seen from the left", "the [v] robot")


@dataclass
class Models:
    """What a checkpoint loader gives."""

    model: object
    clip: object
    vae: object

    @property
    def patchers(self):
        return self.model, self.clip.patcher, self.vae.patcher


def load(checkpoint, reload=True, dtype=None):
    """The host's MODEL, CLIP and VAE; without `reload` as a loader leaves them that cannot load again."""
    import folder_paths

    with torch.inference_mode():
        models = Models(*standin.load(checkpoint, folder_paths.get_folder_paths("embeddings"), dtype))
    if not reload:
        for patcher in models.patchers:
            patcher.cached_patcher_init = None
    return models


def pictures(count=3, size=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(1, size, size, 3, generator=generator) for _ in range(count)]


def build(models, images=None, captions=CAPTIONS, kind="instance", class_word="robot", masks=None, **cropping):
    """A dataset as the Concept Dataset node builds it."""
    from purecc_pack.purecc.host.data import references
    from purecc_pack.purecc.host.data.image_tensors import Cropping
    from purecc_pack.purecc.text.captions import CaptionInput
    from purecc_pack.purecc.text.concept import Concept

    cropping, given = Cropping(**{"resolution": 0, **cropping}), CaptionInput(captions)
    with torch.inference_mode():
        return references.build(images or pictures(), given, Concept(class_word, kind), models.vae, cropping, masks)


def settings(**values):
    from purecc_pack.purecc.training.settings import Settings

    return Settings(**{"steps": 3, "batch": 2, "lr": 1e-2, "embedding_lr": 1e-2, **values})


def job(name="pure", recipe=None, kind="adapter", **values):
    """A short job; a value goes to the part of the job that has its name, those that begin with pool_ to the pool."""
    from purecc_pack.purecc.host.training.job import EmbeddingSpec, Job, MemorySpec, PoolSpec, ReferenceSpec, WatchSpec
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation
    from purecc_pack.purecc.training.class_images import ClassCaption
    from purecc_pack.purecc.training.settings import Settings

    def part(kind, prefix=""):
        names = [name for name in kind.__dataclass_fields__ if prefix + name in values]
        return {name: values.pop(prefix + name) for name in names}

    specs = {"embedding": EmbeddingSpec, "memory": MemorySpec, "watch": WatchSpec, "references": ReferenceSpec}
    parts = {name: spec(**part(spec)) for name, spec in specs.items()}
    pool = part(PoolSpec, "pool_")
    pool["captions"] = tuple(ClassCaption(*caption) for caption in pool.get("captions", ()))
    parts |= {"pool": PoolSpec(**pool), "settings": settings(**part(Settings))}
    return Job(name, recipe or ConceptCustomisation(), kind, **parts, **values)


class Quiet:
    """A listener that keeps what it is told, phases as (name, values), and may do something at a phase or step."""

    def __init__(self, at_step=None, at_phase=None):
        self.phases, self.notes, self.steps, self.previews, self.masked = [], [], [], [], []
        self._at_step, self._at_phase = at_step, at_phase

    def phase(self, phase, **values):
        self.phases.append((phase.name, values))
        if self._at_phase:
            self._at_phase(phase)

    def note(self, message, topic=None):
        self.notes.append(message)

    def masks(self, dataset):
        self.masked.append(dataset)

    def resumed(self, steps, total):
        self.steps += steps
        self.previews += [None] * len(steps)

    def step(self, step, preview):
        self.steps.append(step)
        self.previews.append(preview)
        if self._at_step:
            self._at_step(step)


def customise(models, dataset, job, listener=None, extractor=None, steering=None):
    from purecc_pack.purecc.host.training import session

    with torch.inference_mode():
        return session.customise(models, dataset, job, listener or Quiet(), extractor, steering)


@contextlib.contextmanager
def assembled(models, dataset, job, extractor=None):
    """What takes part in a job's run."""
    from purecc_pack.purecc.host.models import copies
    from purecc_pack.purecc.host.training import assembly

    with copies.trainable_world(), assembly.assembled(models, dataset, job, Quiet().phase, extractor) as made:
        yield made


@contextlib.contextmanager
def at_work(models, dataset, job, extractor=None, texts=()):
    """(branched, scaled dataset) of a job just before its first step; the conditioner knows the texts."""
    watch = replace(job.watch, sample_prompts=(*job.watch.sample_prompts, *texts))
    with assembled(models, dataset, replace(job, watch=watch), extractor) as made:
        items = tuple(replace(i, latents=made.field.latents_in(i.latents)) for i in dataset.items)
        yield made.branched, replace(dataset, items=items)


def items_of(models, dataset, trace):
    """The items of a traced step's batch, found by their latents: x0 = x_t - t v."""
    t = trace["t"].view(-1, 1, 1, 1)
    x0 = models.model.model.process_latent_out(trace["x_t"] - t * trace["target"])
    return [min(dataset.items, key=lambda i, x=x: float((i.latents[0] - x).square().sum())) for x in x0]


def encode(clip, text):
    """A prompt through the stock node."""
    from nodes import CLIPTextEncode

    with torch.inference_mode():
        return CLIPTextEncode().encode(clip, text)[0]


def velocity(model, x_t, t, *conds):
    """v of the host's own sampling path at x_t [1, C, H, W], t [1] for each conditioning, in one batch."""
    import comfy.model_patcher
    import comfy.sampler_helpers
    import comfy.samplers
    from comfy import model_management

    with torch.inference_mode():
        model_management.load_models_gpu([model])
        model.pre_run()
        x, t = x_t.clone(), t.clone()
        named = {str(k): comfy.sampler_helpers.convert_cond(cond) for k, cond in enumerate(conds)}
        options = comfy.model_patcher.create_model_options_clone(model.model_options)
        comfy.sampler_helpers.prepare_model_patcher(model, named, options)
        processed = comfy.samplers.process_conds(model.model, x, named, x.device)
        out = comfy.samplers.calc_cond_batch(model.model, list(processed.values()), x, t, options)
        model.cleanup()
        return torch.cat([(x - x0) / t.view(-1, 1, 1, 1) for x0 in out])


def sample(model, positive, negative, seed=1, steps=2, cfg=3.0):
    """A latent of the stock KSampler."""
    from nodes import KSampler

    with torch.inference_mode():
        empty = {"samples": torch.zeros(1, 16, 8, 8)}
        return KSampler().sample(model, seed, steps, cfg, "euler", "simple", positive, negative, empty)[0]["samples"]


def execute(node, prompt=None, **values):
    """A node's outputs, its defaults filled in, as the host calls it; `prompt` is all that is queued."""
    from comfy_api.latest import io

    defaults = {}
    schema = node.define_schema()
    for entry in schema.inputs:
        default = getattr(entry, "default", None)
        if default is None and getattr(entry, "options", None):
            default = entry.options[0]
        if default is not None:
            defaults[entry.id] = [default] if schema.is_input_list else default
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {io.Hidden.unique_id: "7", io.Hidden.prompt: prompt}})
    with torch.inference_mode():
        return clone.execute(**{**defaults, **values})


def digest(tensors):
    """A hash of named tensors: their names, types, shapes and bits."""
    out = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        out.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        out.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return out.hexdigest()


def fingerprint(dataset):
    """A hash of a dataset's pictures and texts, in their order."""
    return digest({f"{k:03} {i.texts}": i.latents for k, i in enumerate(dataset.items)})


def state_of(patcher):
    """Everything of one of the user's models that training could have touched."""
    modules = dict(patcher.model.named_modules())
    return {
        "weights": digest(patcher.model.state_dict()),
        "gradients": [(n, p.requires_grad, p.grad is None) for n, p in patcher.model.named_parameters()],
        "modules": [(n, type(m).__name__) for n, m in modules.items()],
        "hooks": sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in modules.values()),
        "training": [n for n, m in modules.items() if m.training],
        "patches": {k: len(v) for k, v in patcher.patches.items()},
        "object patches": sorted(patcher.object_patches),
        "wrappers": repr(patcher.wrappers),
        "options": copy.deepcopy(patcher.model_options),
    }


def state(models):
    """Everything of the user's objects that training could have touched."""
    from comfy import model_management

    model_management.unload_all_models()
    out = {n: state_of(patcher) for n, patcher in zip(("model", "clip", "vae"), models.patchers, strict=True)}
    network = models.model.model.diffusion_model
    clip = models.clip.cond_stage_model.clip_l
    out["options"] = {
        "checkpointing": [m for m in network.modules() if "forward" in m.__dict__],
        "dtype": str(network.dtype),
        "cast": str(models.model.model.manual_cast_dtype),
        "layer": models.clip.layer_idx,
        "encoder": (clip.layer, clip.layer_idx, clip.return_projected_pooled),
        "directories": list(models.clip.tokenizer.clip_l.embedding_directory),
    }
    return out


def census():
    """How many networks are alive."""
    from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT
    from comfy.sd1_clip import SDClipModel
    from peft.tuners.lora import LoraLayer

    gc.collect()
    kinds = {"networks": MMDiT, "encoders": SDClipModel, "loras": LoraLayer}
    objects = gc.get_objects()
    return {name: sum(issubclass(type(o), kind) for o in objects) for name, kind in kinds.items()}


@pytest.fixture(scope="session")
def checkpoint(comfyui, tmp_path_factory):
    """A random checkpoint of the SD3.5 kind."""
    torch.set_num_threads(1)
    return standin.write(tmp_path_factory.mktemp("checkpoint") / "standin.safetensors")


@pytest.fixture(scope="session")
def models(checkpoint):
    """MODEL, CLIP and VAE that tests read and do not change."""
    return load(checkpoint)


@pytest.fixture(scope="session")
def dataset(models):
    """Three pictures with captions."""
    return build(models)


@pytest.fixture(scope="session")
def extracted(models, dataset):
    """Stage 1 with both kinds of embedding: an Outcome."""
    return customise(models, dataset, job("ext", kind="extractor"))


@pytest.fixture(scope="session")
def extractor(extracted):
    """θ1."""
    return extracted.adapter


@pytest.fixture(scope="session")
def learned(models, dataset, extractor):
    """Stage 2 with both kinds of embedding, its second step traced: an Outcome."""
    from purecc_pack.purecc.method.pure_learning import PureLearning

    return customise(models, dataset, job("pure", PureLearning(), trace_steps=frozenset([2])), extractor=extractor)


@pytest.fixture(scope="session")
def token_only(models, dataset):
    """A plain LoRA with an input token and no layer-wise vectors: an Adapter."""
    return customise(models, dataset, job("plain", layer_wise=False, lr=3e-2, embedding_lr=3e-2)).adapter
