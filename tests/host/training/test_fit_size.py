"""References that show the concept larger than the embedded base draws it, made smaller before the first step."""

from dataclasses import replace

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(comfyui):
    from purecc_pack.purecc.host.models.tiny import load_tiny_models

    with torch.inference_mode():  # as the host runs a loader
        return runs.Models(*load_tiny_models())


@pytest.fixture(scope="module")
def scenes():
    from purecc_pack.tiny_world.individuals import CONCEPT
    from purecc_pack.tiny_world.scenes import Scene

    places = (("left", "sand"), ("right", "snow"), ("middle", "waves"))
    return [Scene("robot", "red", look=CONCEPT, position=p, background=b, seed=k) for k, (p, b) in enumerate(places)]


def near(scene):
    """The drawing and its mask, taken from so near that the robot fills the frame."""
    from purecc_pack.purecc.host.data.image_tensors import from_pil
    from purecc_pack.tiny_world.scenes import draw, segment

    rows, columns = (segment(scene) == 1).nonzero()
    low, left = (min(max(0, (int(i.min()) + int(i.max())) // 2 - 34), 27) for i in (rows, columns))
    inside = torch.from_numpy(segment(scene) == 1)[None, ..., None].float()
    pair = (from_pil(draw(scene)), inside)
    cut = [one[:, low : low + 69, left : left + 69].movedim(-1, 1) for one in pair]
    picture, mask = (torch.nn.functional.interpolate(one, (96, 96), mode="bilinear").movedim(1, -1) for one in cut)
    return picture, mask[..., 0]


def built(tiny, scenes, masks=None, cut=near):
    with torch.inference_mode():
        pairs = [cut(scene) for scene in scenes]
        captions = [f"a [v] robot on {scene.background}" for scene in scenes]
        given = None if masks is None else [mask for _, mask in pairs]
        return runs.build(tiny, [p for p, _ in pairs], captions, masks=given, class_word="robot", resolution=96)


def trained(tiny, dataset, size="fit"):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    job = runs.job(recipe=AnchoredLearning(), steps=1, pool_images=1, pool_prompts=("a lake",), size=size)
    outcome = runs.customise(tiny, dataset, job, quiet := runs.Quiet())
    return outcome, quiet


def notes(quiet):
    return [n.values for n in quiet.notes if n.key == "note_smaller"]


def test_large_things_are_made_smaller_and_shown(tiny, scenes):
    dataset, before = built(tiny, scenes), runs.state(tiny)
    latents = [item.latents.clone() for item in dataset.items]
    outcome, quiet = trained(tiny, dataset)
    assert notes(quiet) == [{"smaller": 3, "of": 3, "word": "robot"}]
    large, small = quiet.masked
    for k, (a, b) in enumerate(zip(large.items, small.items, strict=True)):
        assert a.texts == b.texts and torch.equal(a.latents, latents[k]) and not torch.equal(b.latents, latents[k])
        assert 0.2 < float(b.mask.mean() / a.mask.mean()) < 0.8
        assert not torch.equal(a.image, b.image) and a.image.shape == b.image.shape
    assert all(torch.equal(item.latents, x) for item, x in zip(dataset.items, latents, strict=True))
    assert runs.state(tiny) == before
    assert '"size": "fit"' in outcome.adapter.metadata["purecc.recipe"]


def test_masks_of_the_user_are_made_smaller_and_not_found_anew(tiny, scenes):
    from purecc_pack.purecc.training.sizing import made_smaller, size_of

    dataset = built(tiny, scenes, masks=True)
    _, quiet = trained(tiny, dataset)
    assert len(notes(quiet)) == 1
    given, small = quiet.masked
    for a, b in zip(given.items, small.items, strict=True):
        factor = size_of(b.mask) / size_of(a.mask)
        assert 0.5 <= factor < 0.9
        torch.testing.assert_close(b.mask, made_smaller(a, factor).mask, atol=0.1, rtol=0)


def test_things_of_the_usual_size_stay_and_so_does_what_is_to_be_kept(tiny, scenes):
    from purecc_pack.purecc.host.data.image_tensors import from_pil
    from purecc_pack.tiny_world.scenes import draw

    usual = built(tiny, scenes, cut=lambda scene: (from_pil(draw(scene)), None))
    kept, fit = (trained(tiny, usual, size)[0].adapter.lora for size in ("keep", "fit"))
    assert all(torch.equal(kept[name], fit[name]) for name in kept)
    _, quiet = trained(tiny, built(tiny, scenes), "keep")
    assert not notes(quiet) and len(quiet.masked) == 1


def test_references_given_as_latents_stay(tiny, scenes):
    dataset = built(tiny, scenes)
    stored = replace(dataset, items=tuple(replace(item, shrink=None) for item in dataset.items))
    _, quiet = trained(tiny, stored)
    assert not notes(quiet) and len(quiet.masked) == 1


def test_the_order_of_the_list_changes_nothing(tiny, scenes):
    dataset = built(tiny, scenes)
    turned = replace(dataset, items=tuple(reversed(dataset.items)))
    first, second = (trained(tiny, given)[0].adapter.lora for given in (dataset, turned))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_can_be_cancelled_while_it_measures_the_class(tiny, scenes):
    dataset, before = built(tiny, scenes), runs.state(tiny)
    from purecc_pack.purecc.host.messages import Phase
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    class Cancelled(Exception):
        pass

    seen = []

    def cancel(phase):
        seen.append(phase)
        if phase is Phase.FIND_MASKS and Phase.SAMPLE_POOL in seen:
            raise Cancelled

    job = runs.job(recipe=AnchoredLearning(), steps=1, pool_images=1, pool_prompts=("a lake",), size="fit")
    with pytest.raises(Cancelled):
        runs.customise(tiny, dataset, job, runs.Quiet(at_phase=cancel))
    assert runs.state(tiny) == before
