"""The private copies are on the device together, however little else the device holds, and come back together."""

import contextlib
from types import SimpleNamespace

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


CARD = torch.device("cpu", 0)
"""Which the host, knowing torch.device("cpu") for the CPU, treats as a device with memory of its own."""


@pytest.fixture
def card(monkeypatch):
    """A device for the private copies that holds both of them and a twentieth more; what is tried and where it is."""
    from comfy import model_management

    from purecc_pack.purecc.host.models import copies
    from purecc_pack.purecc.host.training import assembly

    made, copied, private_field = [], copies._copy, assembly.private_field

    def copy(*args):
        private = copied(*args)
        private.load_device = CARD
        made.append(private)
        return private

    def free(device=None, torch_free_too=False):
        sizes = [m.model_size() for m in made]
        left = 1.05 * sum(sizes) - sum(m.loaded_size() for m in made)
        left = left if device == CARD and len(made) == 2 else 1e12
        return (left, left) if torch_free_too else left

    @contextlib.contextmanager
    def field(*args):
        with private_field(*args) as out:
            seen.evicted = whole(made) != [True, True]
            yield out

    seen = SimpleNamespace(made=made, evicted=None)
    monkeypatch.setattr(copies, "_copy", copy)
    monkeypatch.setattr(assembly, "private_field", field)
    monkeypatch.setattr(model_management, "get_free_memory", free)
    monkeypatch.setattr(model_management, "minimum_inference_memory", lambda: 0)
    monkeypatch.setattr(model_management, "extra_reserved_memory", lambda: 0)
    return seen


def whole(patchers):
    """Which models are wholly on their device, no weight of theirs being fetched by every pass."""
    return [m.loaded_size() == m.model_size() and not m.model.model_lowvram for m in patchers]


def test_both_are_there_at_every_step(models, dataset, card):
    """The host unloads one to load the other, and both for a VAE that draws a sample."""
    from comfy import model_management

    def step(step):
        there.append(whole(card.made))
        if quiet.previews[-1] is not None:
            model_management.free_memory(1e30, CARD)
            gone.append(whole(card.made))

    there, gone, quiet = [], [], runs.Quiet(at_step=step)
    runs.customise(models, dataset, runs.job(sample_every=1), quiet)
    assert card.evicted, "the model's coming had the host unload of the encoders"
    assert there == [[True, True]] * 3 and gone == [[False, False]] * 3


def test_what_does_not_fit_together_is_said_with_what_to_change(models, dataset, monkeypatch):
    """With a trained token, whose encoders are there beside the model; and without, when the model alone is left."""
    from comfy import model_management

    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory

    def load(patchers, *args, **kwargs):
        if len(patchers) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(patchers, *args, **kwargs)

    plain, before = model_management.load_models_gpu, runs.state(models)
    monkeypatch.setattr(model_management, "load_models_gpu", load)
    with pytest.raises(OutOfMemory, match=r"loading what takes part in training\. .*fp8_e4m3fn.*input_token off"):
        runs.customise(models, dataset, runs.job())
    assert runs.state(models) == before
    assert len(runs.customise(models, dataset, runs.job(input_token=False)).history.steps) == 3


def test_the_plan_counts_on_weights_that_the_host_leaves_elsewhere(models, dataset, monkeypatch):
    """As it does where it was started to keep none on the device: they come with every pass, and that is said."""
    from purecc_pack.purecc.host.models.loading import Loader
    from purecc_pack.purecc.host.training import planning

    job, weights, plans = runs.job(), Loader.weights, []
    free = SimpleNamespace(is_device_cpu=lambda device: False, get_free_memory=lambda device: 80 * 10**9)
    monkeypatch.setattr(planning, "model_management", free)
    with runs.assembled(models, dataset, job) as made:
        plans.append(planning.planned(made, dataset, job))
        monkeypatch.setattr(Loader, "weights", lambda self: weights(self)[::-1])
        plans.append(planning.planned(made, dataset, job))
        there, away = plans
        parts = (made.field.patcher, made.encoder.patcher)
        size = sum(part.model_size() for part in parts)
        assert there.elsewhere == 0 and away.elsewhere == pytest.approx(size, rel=0.01), "and the LoRA"
        assert there.needs == away.needs > away.elsewhere
