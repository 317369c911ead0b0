"""Bases larger than the card: training on a model that the host loads in part, its weights fetched layer by layer.

The host's own loading runs here on the CPU, as a second device whose memory is counted.
"""

import weakref

import pytest
import runs
import torch

pytestmark = pytest.mark.slow

CARD = torch.device("cpu", 0)


class Card:
    """A device of so many bytes, of which the host sees as free what the private copies do not take.

    Attributes:
        made: the private copies.
        fetched: bytes of weights that were brought to the device by a pass and are alive.
        most: the most there were.
        brought: how many were brought.
    """

    def __init__(self, monkeypatch):
        self.capacity, self.made = 10**12, []
        self.fetched = self.most = self.brought = 0
        self._patch(monkeypatch)

    def _patch(self, monkeypatch):
        from comfy import model_management, ops

        from purecc_pack.purecc.host.models import copies
        from purecc_pack.purecc.host.models.loading import Loader
        from purecc_pack.purecc.training import memory_plan

        copied, fetch = copies._copy, ops.cast_bias_weight

        def copy(*args):
            private = copied(*args)
            private.load_device = CARD
            self.made.append(private)
            return private

        def free(device=None, torch_free_too=False):
            left = self.capacity - sum(p.loaded_size() for p in self.made) if device == CARD else 10**12
            return (left, left) if torch_free_too else left

        def bring(layer, *args, **kwargs):
            weight, *rest = fetch(layer, *args, **kwargs)
            return self._see(weight if hasattr(layer, "prev_comfy_cast_weights") else None, weight), *rest

        def weights(loader):  # by the host's own count, for both places are the CPU
            there = sum(p.loaded_size() for p in loader._patchers)
            return there, sum(p.model_size() for p in loader._patchers) - there

        monkeypatch.setattr(copies, "_copy", copy)
        monkeypatch.setattr(Loader, "weights", weights)
        monkeypatch.setattr(ops, "cast_bias_weight", bring)
        monkeypatch.setattr(memory_plan, "WORKSPACE", 0)
        monkeypatch.setattr(model_management, "vram_state", model_management.VRAMState.NORMAL_VRAM)
        monkeypatch.setattr(model_management, "MIN_WEIGHT_MEMORY_RATIO", 0.0)
        monkeypatch.setattr(model_management, "is_device_cpu", lambda device: device == torch.device("cpu"))
        monkeypatch.setattr(model_management, "get_free_memory", free)
        monkeypatch.setattr(model_management, "get_total_memory", lambda device=None: self.capacity)
        monkeypatch.setattr(model_management, "get_torch_device", lambda: CARD)
        for name in ("minimum_inference_memory", "extra_reserved_memory"):
            monkeypatch.setattr(model_management, name, lambda: 0)

    def _see(self, away, weight):
        if away is None:
            return weight
        weight = weight.clone()  # as the way to another device makes one
        size = weight.untyped_storage().nbytes()
        self.brought += 1
        self.fetched += size
        self.most = max(self.most, self.fetched)
        weakref.finalize(weight.untyped_storage(), self._gone, size)
        return weight

    def _gone(self, size):
        self.fetched -= size


@pytest.fixture
def card(comfyui, monkeypatch):
    return Card(monkeypatch)


@pytest.fixture(scope="module", params=["SD3.5-medium", "Flux.1-dev"])
def given(comfyui, request):
    from genuine.training import Tiny

    torch.set_num_threads(1)
    tiny = Tiny(request.param)
    return tiny.models, tiny.dataset


def train(given, at_phase=None, **values):
    from purecc_pack.purecc.network.lora import LoraSpec

    quiet = runs.Quiet(at_phase=at_phase)
    lora = LoraSpec(rank=2, alpha=2.0, targets="all blocks")
    job = runs.job("zorp", layer_wise=False, steps=2, lora=lora, lr=3e-2, **values)
    return runs.customise(*given, job, quiet), quiet


def bound(base):
    """The bytes of the largest linear layer's weight, and of all weights of other layers, which a pass may keep."""
    from purecc_pack.purecc.network.linear import is_linear

    linear = [m.weight.nbytes for m in base.modules() if is_linear(m)]
    return max(linear) + sum(p.nbytes for p in base.parameters()) - sum(linear)


@pytest.mark.parametrize("checkpointing", ["auto", "off"])
def test_training_beside_weights_that_are_fetched(given, card, monkeypatch, checkpointing):
    """A quarter of the weights does not fit: the same adapter, one fetched layer at a time, and the plan says so."""
    from purecc_pack.purecc.host.training import planning

    monkeypatch.setattr(planning, "_gigabytes", lambda count: count or 0)
    models, _ = given
    before = runs.digest(models.model.model.state_dict())
    roomy, quiet = train(given, checkpointing={"auto": "all"}.get(checkpointing, checkpointing))
    (needs,) = [n.values["needs"] for n in quiet.notes if n.key == "note_memory"]
    assert card.brought == 0, "all weights are there"
    size = card.made[-1].model_size()
    card.capacity = needs - size // 4
    tight, quiet = train(given, checkpointing=checkpointing)
    notes = {n.key: n.values for n in quiet.notes}
    away = notes["note_weights_elsewhere"]["gigabytes"]
    assert 0 < away < 1.01 * size, "the LoRA's own come back after the host's loading"
    assert [private.loaded_size() for private in card.made] == [0, 0], "freed"
    assert card.brought > 0 and card.most <= bound(models.model.model) < away
    for key, weight in roomy.adapter.lora.items():
        torch.testing.assert_close(tight.adapter.lora[key], weight, rtol=1e-5, atol=1e-6)
    assert runs.digest(models.model.model.state_dict()) == before


def test_text_encoders_that_change_type_may_be_elsewhere(comfyui, card, tmp_path):
    """Those of a trained token multiply in bfloat16 like the base: the same text and gradient, bit for bit."""
    import standin

    models = runs.load(standin.write(tmp_path / "base.safetensors"))
    dataset = runs.build(models, runs.pictures(2), runs.CAPTIONS[:2])
    job, before, said = runs.job(layer_wise=False, precision="bfloat16"), runs.state(models), []
    for fits in (True, False):
        with runs.assembled(models, dataset, job) as made:
            encoders, base = card.made[-2:]
            assert encoders.loaded_size() == (encoders.model_size() if fits else 0)
            prompting = made.branched.prompting["learner"]
            (y,) = prompting.conditioner(["a [v] robot on red stripes"])
            loss = y.context.square().sum() + y.fields[0]["pooled_output"].sum()
            gradients = torch.autograd.grad(loss, list(prompting.embedding.tokens.values()))
            said.append((y.context.detach(), y.fields[0]["pooled_output"].detach(), *gradients))
        card.capacity = base.model_size() + encoders.model_size() // 2
    assert all(torch.equal(*pair) for pair in zip(*said, strict=True))
    assert runs.state(models) == before and not any(private.loaded_size() for private in card.made)


def test_the_users_lora_is_merged_before_a_part_is_loaded(given, card):
    """It comes with every layer, also with those that are fetched; the user's weights stay."""
    from purecc_pack.purecc.host.models.copies import private_copy, trainable_world

    model = given[0].model.clone()
    key, weight = max(model.model.named_parameters(), key=lambda entry: entry[1].nbytes)
    before = weight.clone()
    model.add_patches({key: ("diff", (torch.ones_like(weight),))})
    merged = []
    for capacity in (10**12, model.model_size() // 2):
        card.capacity = capacity
        with trainable_world(), private_copy(model) as private:
            merged.append({k: v.clone() for k, v in private.model.state_dict().items()})
            assert private.model.model_lowvram == (capacity < model.model_size())
    assert all(torch.equal(merged[0][k], merged[1][k]) for k in merged[0])
    assert torch.equal(merged[1][key], before + 1) and torch.equal(weight, before)


def test_weights_leave_the_card_when_memory_runs_out(given, card, monkeypatch):
    """With every block checkpointed and one sample a pass: the same steps go on, and it is said."""
    from purecc_pack.purecc.host.messages import Phase
    from purecc_pack.purecc.host.models.field import HostField

    def velocity(self, *args):
        if phases[-1] is Phase.TRAIN and not self.base.model_lowvram:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, *args)

    phases, plain = [None], HostField.velocity
    monkeypatch.setattr(HostField, "velocity", velocity)
    size = given[0].model.model_size()
    card.capacity = 3 * size
    outcome, quiet = train(given, phases.append)
    assert len(outcome.history.steps) == 2 and card.brought > 0
    told = [note.key for note in quiet.notes if note.key.startswith(("note_reduced", "note_weights"))]
    assert told[0] == "note_reduced" and set(told[1:]) == {"note_weights_elsewhere"}
    expected, _ = train(given, lambda phase: phases.append(None))
    for key, weight in expected.adapter.lora.items():
        torch.testing.assert_close(outcome.adapter.lora[key], weight, rtol=1e-5, atol=1e-6)
