"""The prompts of samples, changed while training goes on."""

import pytest
import runs

pytestmark = pytest.mark.slow


class Asking:
    """Steers a run: after each of its steps asks for samples of other prompts, or for nothing."""

    def __init__(self, *asked):
        self._asked = iter(asked)

    def requests(self):
        from purecc_pack.purecc.host.training.listener import Requests

        prompts = next(self._asked, None)
        return Requests(sample=prompts is not None, prompts=prompts)

    def keep(self, step, adapter):
        pass


def drawn(listener):
    """Prompts of each step's samples."""
    return [[preview.prompt for preview in previews or ()] for previews in listener.previews]


@pytest.fixture(params=["token", "trigger word"])
def job(request):
    by = {"layer_wise": False, "concept_by": "trigger word"} if request.param == "trigger word" else {}
    return runs.job(steps=4, **by)


def test_samples_have_the_new_prompts_and_training_the_same_bits(own, dataset, job, quiet_host):
    """Also with a prompt that no text of the training has, so that the user's CLIP reads it now."""
    before, listener = runs.state(own), runs.Quiet()
    plain = runs.customise(own, dataset, job)
    new = ("a [v] robot under a purple umbrella", "two lakes")
    asked = runs.customise(own, dataset, job, listener, steering=Asking(None, new, (), ("two lakes",)))
    assert drawn(listener) == [[], list(new), [dataset.by_content().items[0].texts.complete], ["two lakes"]]
    assert asked.adapter.id == plain.adapter.id and asked.history.losses == plain.history.losses
    early, late = (listener.previews[k] for k in (1, 3))
    assert (early[1].base == late[0].base).all(), "the base's sample of one prompt is the same"
    assert runs.state(own) == before


def test_new_prompts_are_read_as_those_of_the_node(own, dataset):
    """The samples of a prompt that is asked for are those of a run that had it from the start."""
    prompt, first, second = "a [v] robot under a purple umbrella", runs.Quiet(), runs.Quiet()
    runs.customise(own, dataset, runs.job(steps=2), first, steering=Asking((prompt,)))
    runs.customise(own, dataset, runs.job(steps=2, sample_every=1, sample_prompts=(prompt,)), second)
    ((one,), (other,)) = first.previews[0], second.previews[0]
    assert (one.base == other.base).all() and (one.current == other.current).all()


def test_a_prompt_that_cannot_be_read_is_told_and_training_goes_on(own, dataset):
    listener = runs.Quiet()
    runs.customise(own, dataset, runs.job(steps=2), listener, steering=Asking(("a {b}",), ()))
    assert [step.number for step in listener.steps] == [1, 2]
    (note,) = [note for note in listener.notes if note.key == "bad_prompts"]
    assert "'a {b}'" in str(note)
    assert drawn(listener)[0] == [dataset.by_content().items[0].texts.complete]
