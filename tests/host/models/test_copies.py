"""Private copies where the host has dynamic VRAM: weights as the file has them, and handles of memory on the modules.

The host's own dynamic patcher runs here on the CPU, as a second device, with stand-ins for the memory that it lends: to
copy or free one of those is an error on a GPU, and here.
"""

import gc
from contextlib import contextmanager
from itertools import chain

import pytest
import runs
import standin
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow


DEVICE = torch.device("cpu", 0)


class Memory:
    """Memory that the host was lent; may be neither copied nor freed while the user's model is there."""

    freed = 0

    def __init__(self, *args, **options):
        self.size = 0

    def __deepcopy__(self, memo):
        raise AssertionError("memory of the user's model was copied")

    def __del__(self):
        Memory.freed += 1

    def alloc(self, size):
        return self, 0, size

    def prioritize(self):
        pass

    def free_memory(self, size):
        return 0

    def loaded_size(self):
        return 0


@pytest.fixture
def dynamic(comfyui, monkeypatch):
    """The host as it is on an NVIDIA card, as far as a CPU can be one."""
    import comfy.memory_management
    import comfy.model_patcher
    import comfy.utils
    import comfy_aimdo.host_buffer
    import comfy_aimdo.model_vbar
    from comfy import model_management
    from comfy.model_patcher import ModelPatcherDynamic

    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    monkeypatch.setattr(comfy.utils, "load_safetensors", lambda path: (load_file(path), {}))
    monkeypatch.setattr(comfy_aimdo.host_buffer, "HostBuffer", Memory)
    monkeypatch.setattr(comfy_aimdo.model_vbar, "ModelVBAR", Memory)
    monkeypatch.setattr(comfy.model_patcher, "CoreModelPatcher", ModelPatcherDynamic)
    monkeypatch.setattr(ModelPatcherDynamic, "__new__", lambda cls, *args, **options: object.__new__(cls))
    for name in ("get_torch_device", "text_encoder_device", "vae_device"):
        monkeypatch.setattr(model_management, name, lambda: DEVICE)
    monkeypatch.setattr(model_management, "get_all_torch_devices", lambda *args, **options: [DEVICE])
    yield
    model_management.unload_all_models()


@pytest.fixture(scope="module")
def path(comfyui, tmp_path_factory):
    """A checkpoint in bfloat16, in which a CPU computes nothing of its own accord."""
    torch.set_num_threads(1)
    return standin.write(tmp_path_factory.mktemp("dynamic") / "bfloat16.safetensors", dtype=torch.bfloat16)


@contextmanager
def copied(patcher, **options):
    from comfy import model_management

    from purecc_pack.purecc.host.models import copies

    with copies.trainable_world():
        model_management.unload_all_models()
        with copies.private_copy(patcher, **options) as private:
            yield private


def types(model):
    """The types of the weights and buffers of whole modules, and those that the host decided on for them."""
    found, decided = {}, {}
    for name, module in model.named_modules():
        for key, tensor in chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
            found[f"{name}.{key}"] = tensor.dtype
            decided[f"{name}.{key}"] = getattr(module, f"{key}_comfy_model_dtype", tensor.dtype)
    return found, decided


@pytest.mark.slow
@pytest.mark.parametrize("reload", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float8_e4m3fn])
def test_a_copy_has_the_types_that_the_host_decided_on(path, dynamic, dtype, reload):
    models = runs.load(path, reload, dtype)
    with copied(models.model) as private:
        found, decided = types(private.model)
        assert not private.is_dynamic() and found == decided
        assert set(types(private.model.diffusion_model)[0].values()) == {dtype}
        assert private.model_size() == sum(x.nbytes for x in private.model.state_dict().values())
        theirs = load_file(path)
        for name, weight in private.model.diffusion_model.state_dict().items():
            assert torch.equal(weight.float(), theirs["model.diffusion_model." + name].to(dtype).float()), name
    assert {x.dtype for x in models.model.model.diffusion_model.parameters()} == {torch.bfloat16}, "the user's"


def losses(outcome):
    return [step.losses["total"] for step in outcome.history.steps]


@pytest.mark.slow
@pytest.mark.parametrize("reload", [True, False])
def test_training_gives_what_it_gives_without_dynamic_vram(path, request, reload):
    """To rounding, for the host casts weights of the encoder at other places; the user's models stay as they were."""
    job = runs.job(steps=2)
    plain = runs.load(path, reload)
    dataset = runs.build(plain)
    expected = runs.customise(plain, dataset, job)
    request.getfixturevalue("dynamic")
    models = runs.load(path, reload)
    assert all(patcher.is_dynamic() for patcher in models.patchers)
    before = runs.state(models)
    found = runs.customise(models, dataset, job)
    runs.encode(models.clip, "a robot")
    assert any(hasattr(m, "_v") for m in models.clip.cond_stage_model.modules()), "else nothing was dynamic here"
    assert losses(found) == pytest.approx(losses(expected), rel=1e-5)
    after = runs.state(models)
    assert all(after[k]["weights"] == before[k]["weights"] for k in ("model", "clip", "vae"))


def used(patcher):
    """Has the host load a model, and leaves on its modules what only passes on a GPU would besides."""
    from comfy import model_management

    with torch.inference_mode():
        model_management.load_models_gpu([patcher])
    for module in (m for m in patcher.model.modules() if hasattr(m, "_v")):
        for name in ("_v_weight", "_v_bias", "_v_signature"):
            setattr(module, name, Memory())
        module._prefetch = {"xfer_dest": Memory()}
        module._pins = {"weights": {"pin": Memory()}}
    model_management.unload_all_models()


def attributes(model):
    """What is on every module, without what the host keeps of where its weights are."""
    passing = {"seed_key"}
    return {name: set(vars(module)) - passing for name, module in model.named_modules()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clip", "model"])
def test_the_memory_that_the_host_lent_is_neither_copied_nor_freed(path, dynamic, kind):
    from purecc_pack.purecc.host.models.copies import LENT

    def load():
        models = runs.load(path, reload=False)
        return models.clip.patcher if kind == "clip" else models.model

    with copied(load(), without=("t5xxl",)) as private:
        expected = attributes(private.model)
    del private
    patcher = load()
    key = next(k for k, x in patcher.model.state_dict().items() if x.ndim == 2 and x.numel() > 2**14)
    weight = patcher.model.state_dict()[key]
    change = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    patcher.add_patches({key: ("diff", (change,))})
    used(patcher)
    modules = dict(patcher.model.named_modules())
    on = {name: dict(vars(module)) for name, module in modules.items()}
    assert set().union(*on.values()) >= set(LENT), "else nothing is tested here"
    owner = modules[key.rpartition(".")[0]]
    assert owner.weight_lowvram_function is not None and owner.comfy_cast_weights
    gc.collect()
    freed = Memory.freed
    with copied(patcher, without=("t5xxl",)) as private:
        assert attributes(private.model) == expected
        changed = private.model.state_dict()[key]
        torch.testing.assert_close(changed.float(), weight.float() + change, rtol=1e-3, atol=1e-3)
    del private
    gc.collect()
    assert Memory.freed == freed
    for name, module in modules.items():
        assert {k: id(v) for k, v in vars(module).items()} == {k: id(v) for k, v in on[name].items()}, name
