"""Runs of both stages on the stand-in checkpoint, made once and read by many tests, and how to make others.

Everything runs in inference mode, as the host runs its nodes.
"""

import contextlib
import copy
import gc
import hashlib
from dataclasses import dataclass

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


def build(models, images=None, captions=CAPTIONS, kind="instance", class_word="robot", **options):
    """A dataset as the Concept Dataset node builds it."""
    from purecc_pack.purecc.host import datasets

    options = {"resolution": 0, **options}
    with torch.inference_mode():
        return datasets.build(images or pictures(), captions, class_word, kind, models.vae, **options)


def settings(**values):
    from purecc_pack.purecc.settings import Settings

    return Settings(**{"steps": 3, "batch": 2, "lr": 1e-2, "embedding_lr": 1e-2, **values})


def job(name="pure", recipe=None, kind="adapter", **values):
    """A short job; names of the loop's settings go there."""
    from purecc_pack.purecc.host.session import Job
    from purecc_pack.purecc.recipes import ConceptCustomisation
    from purecc_pack.purecc.settings import Settings

    loop = {k: values.pop(k) for k in list(values) if k in Settings.__dataclass_fields__}
    return Job(name, recipe or ConceptCustomisation(), kind=kind, settings=settings(**loop), **values)


class Quiet:
    """A listener that keeps what it is told, and may do something at every step."""

    def __init__(self, at_step=None, at_text=None):
        self.texts, self.notes, self.steps, self.previews, self.masked = [], [], [], [], []
        self._at_step, self._at_text = at_step, at_text

    def say(self, text):
        self.texts.append(text)
        if self._at_text:
            self._at_text(text)

    def note(self, text):
        self.notes.append(text)

    def masks(self, dataset):
        self.masked.append(dataset)

    def step(self, step, preview):
        self.steps.append(step)
        self.previews.append(preview)
        if self._at_step:
            self._at_step(step)


def customise(models, dataset, job, listener=None, extractor=None):
    from purecc_pack.purecc.host import session

    with torch.inference_mode():
        return session.customise(models.model, models.clip, dataset, job, listener or Quiet(), extractor)


@contextlib.contextmanager
def at_work(models, dataset, job, extractor=None, texts=()):
    """(trainee, scaled dataset) of a job just before its first step, for tests that look inside."""
    from dataclasses import replace

    from purecc_pack.purecc.host import assembly, copies

    with (
        copies.trainable_world(),
        assembly.assembled(models.model, models.clip, dataset, job, lambda text: None, extractor, texts) as all_of_it,
    ):
        items = tuple(replace(i, latents=all_of_it.field.latents_in(i.latents)) for i in dataset.items)
        yield all_of_it.trainee, replace(dataset, items=items)


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


def execute(node, **values):
    """A node's outputs, its defaults filled in, as the host calls it."""
    from comfy_api.latest import io

    defaults = {}
    schema = node.define_schema()
    for entry in schema.inputs:
        default = getattr(entry, "default", None)
        if default is None and getattr(entry, "options", None):
            default = entry.options[0]
        if default is not None:
            defaults[entry.id] = [default] if schema.is_input_list else default
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {io.Hidden.unique_id: "7"}})
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


def state(models):
    """Everything of the user's objects that training could have touched."""
    from comfy import model_management

    model_management.unload_all_models()
    out = {}
    for name, patcher in zip(("model", "clip", "vae"), models.patchers, strict=True):
        modules = dict(patcher.model.named_modules())
        out[name] = {
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
    from purecc_pack.purecc.recipes import PureLearning

    return customise(models, dataset, job("pure", PureLearning(), trace_steps=frozenset([2])), extractor=extractor)


@pytest.fixture(scope="session")
def token_only(models, dataset):
    """A plain LoRA with an input token and no layer-wise vectors: an Adapter."""
    return customise(models, dataset, job("plain", layer_wise=False, lr=3e-2, embedding_lr=3e-2)).adapter
