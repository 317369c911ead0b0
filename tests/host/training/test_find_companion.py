"""A thing beside the concept in all images, found on the embedded base and left out of the masks."""

from dataclasses import replace

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(comfyui):
    from purecc_pack.purecc.host.models.tiny import load_tiny_models

    return runs.Models(*load_tiny_models())


@pytest.fixture(scope="module")
def scenes():
    """Three drawings of an individual cup, a red star beside it: as good as the captions of a user who forgot it."""
    from purecc_pack.tiny_world.individuals import CONCEPT
    from purecc_pack.tiny_world.scenes import Scene

    places = (("left", "sand"), ("right", "snow"), ("left", "waves"))
    fixed = {"look": CONCEPT, "companion": "star", "companion_colour": "red"}
    return [Scene("cup", "red", position=p, background=b, seed=k, **fixed) for k, (p, b) in enumerate(places)]


def references(tiny, scenes):
    from purecc_pack.purecc.host.data.image_tensors import from_pil
    from purecc_pack.tiny_world.scenes import draw

    with torch.inference_mode():
        images = [from_pil(draw(scene)) for scene in scenes]
        captions = [f"a [v] {scene.thing} on {scene.background}" for scene in scenes]
        return runs.build(tiny, images, captions, class_word=scenes[0].thing, resolution=96)


def masked(tiny, scenes, **values):
    from purecc_pack.purecc.host.training.find_masks import find_masks

    dataset = references(tiny, scenes)
    with torch.inference_mode():
        return find_masks(tiny, dataset, runs.Quiet().phase, **values)


def covered(found, scenes, layer):
    """Share of a drawing's layer that the masks cover: 1 the concept, 2 the thing beside it."""
    from purecc_pack.tiny_world.scenes import segment

    shares = []
    for item, scene in zip(found.dataset.items, scenes, strict=True):
        inside = torch.nn.functional.avg_pool2d(torch.from_numpy(segment(scene) == layer)[None, None].float(), 8)
        shares.append(float((item.mask * inside).sum() / inside.sum()))
    return sum(shares) / len(shares)


def test_it_is_named_and_left_out(tiny, scenes):
    from purecc_pack.purecc.host.training.find_masks import remarks

    before = runs.state(tiny)
    kept, parted = masked(tiny, scenes, companion=()), masked(tiny, scenes)
    assert runs.state(tiny) == before
    assert (kept.companion, parted.companion) == ("", "star")
    assert covered(parted, scenes, 1) > 0.8
    assert covered(parted, scenes, 2) < 0.5 * covered(kept, scenes, 2)
    _, line = remarks(parted)
    assert line.startswith("Most images show another thing beside the cup: star.")
    assert len(remarks(kept)) == 1


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_reference_whose_evidence_points_the_wrong_way_is_turned_round(tiny, scenes, monkeypatch, wrong):
    from purecc_pack.purecc.training import companions

    right, parted, seen = masked(tiny, scenes), companions.parted, []

    def points_the_wrong_way(mask, *evidence):
        seen.append(mask)
        found, distance = parted(mask, *evidence)
        return (mask - found if len(seen) == wrong + 1 else found), distance

    monkeypatch.setattr(companions, "parted", points_the_wrong_way)
    turned = masked(tiny, scenes)
    assert len(seen) == len(scenes) and turned.companion == right.companion == "star"
    for ours, theirs in zip(turned.dataset.items, right.dataset.items, strict=True):
        torch.testing.assert_close(ours.mask, theirs.mask, rtol=0, atol=1e-4)


def test_masks_end_where_the_drawing_ends(tiny, scenes, monkeypatch):
    """Beside the same masks before their colours are looked at."""
    from purecc_pack.purecc.host.training import find_masks
    from purecc_pack.tiny_world.scenes import segment

    def matches(found):
        out = []
        for item, scene in zip(found.dataset.items, scenes, strict=True):
            true = torch.nn.functional.avg_pool2d(torch.from_numpy(segment(scene) == 1)[None, None].float(), 8) > 0.5
            mask = item.mask > 0.5
            out.append(float((mask & true).sum() / (mask | true).sum()))
        return out

    sharp = matches(masked(tiny, scenes))
    monkeypatch.setattr(find_masks, "sharpened", lambda pictures, masks: masks)
    coarse = matches(masked(tiny, scenes))
    assert all(a > b for a, b in zip(sharp, coarse, strict=True)) and min(sharp) > 0.8


def test_a_closer_look_at_the_likely_words_alone_finds_the_same(tiny, scenes, monkeypatch):
    from purecc_pack.purecc.training import companions, concept_masks

    seen, errors = [], companions.errors

    def watched(branched, latents, prompts, *given, copies, **named):
        seen.append((len(prompts) - 2, copies))
        return errors(branched, latents, prompts, *given, copies=copies, **named)

    monkeypatch.setattr(companions, "errors", watched)
    found = masked(tiny, scenes)
    words = len(companions.companion_prompts("cup"))
    first = companions.first_look(concept_masks.SAMPLES)
    assert seen == [(words, first)] * companions.LOOKED_AT + [(companions.LIKELY, companions.COPIES)] * 3
    monkeypatch.setattr(companions, "LIKELY", words)
    all_tried = masked(tiny, scenes)
    assert all_tried.companion == found.companion == "star"
    for ours, theirs in zip(found.dataset.items, all_tried.dataset.items, strict=True):
        assert torch.equal(ours.mask, theirs.mask)
    assert seen[6:] == [(words, companions.COPIES)] * 3


@pytest.mark.parametrize(("shown", "colour", "own"), [("umbrella", "purple", ()), ("robot", "blue", ("tree", "robot"))])
def test_a_thing_is_left_out_by_a_common_word_or_by_the_users(tiny, scenes, shown, colour, own):
    from purecc_pack.purecc.host.training.find_masks import remarks
    from purecc_pack.purecc.training.common_things import WORDS

    assert (shown in WORDS) == (not own)
    beside = [replace(scene, companion=shown, companion_colour=colour) for scene in scenes]
    kept, parted = masked(tiny, beside, companion=()), masked(tiny, beside, companion=own or WORDS)
    assert (parted.companion, parted.missed) == (shown, ())
    assert covered(parted, beside, 1) > 0.75
    assert covered(parted, beside, 2) < 0.6 * covered(kept, beside, 2)
    assert remarks(parted)[1].startswith(f"Most images show another thing beside the cup: {shown}.")


@pytest.mark.parametrize("thing", ["cup", "house", "tree", "umbrella", "robot"])
def test_beside_a_thing_that_is_alone_nothing_is_looked_for(tiny, scenes, monkeypatch, thing):
    from purecc_pack.purecc.host.training.assembly import Assembly
    from purecc_pack.purecc.training import companions

    alone = [replace(scene, thing=thing, companion="", companion_colour="") for scene in scenes]
    monkeypatch.setattr(companions, "errors", lambda *given, **named: pytest.fail("the masks are of one thing"))
    monkeypatch.setattr(Assembly, "read", lambda *given: pytest.fail("no word has to be read"))
    assert not masked(tiny, alone).companion


def test_where_nothing_is_likely_there_is_no_closer_look(tiny, scenes, monkeypatch):
    from purecc_pack.purecc.training import companions

    looks, errors = [], companions.errors

    def watched(*given, copies, **named):
        looks.append(copies)
        return errors(*given, copies=copies, **named)

    alone = [replace(scene, thing="house", companion="", companion_colour="") for scene in scenes]
    monkeypatch.setattr(companions, "errors", watched)
    monkeypatch.setattr(companions, "WIDE", 0.0)
    assert not masked(tiny, alone).companion
    assert len(looks) == companions.LOOKED_AT and companions.COPIES not in looks


def test_the_words_are_forgotten_once_the_masks_are_found(tiny, scenes):
    """But for those that steps need, too."""
    from purecc_pack.purecc.host.training.session import prepared
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.training.companions import companion_prompts

    watched = {"sample_prompts": ("a cat",), "sample_every": 1, "drift_prompts": ("a dog",), "drift_every": 1}
    job = runs.job(recipe=AnchoredLearning(), pool_images=1, **watched)
    with torch.inference_mode(), prepared(tiny, references(tiny, scenes[:1]), job, runs.Quiet()) as session:
        known = session.assembly.prompts.known
    assert {*companion_prompts("cup").values()} & known.keys() == {"a cat", "a dog"}
    assert {"", "a cup", "a cup on sand"} <= known.keys()


def test_a_thing_that_the_user_names_and_nobody_finds_is_said(tiny, scenes):
    from purecc_pack.purecc.host.training.find_masks import remarks

    alone = [replace(scene, companion="", companion_colour="") for scene in scenes]
    found, kept = masked(tiny, alone, companion=("tree", "house")), masked(tiny, alone, companion=())
    assert all(torch.equal(a.mask, b.mask) for a, b in zip(found.dataset.items, kept.dataset.items, strict=True))
    assert remarks(found)[1].startswith("tree, house was not found beside the cup")
    assert len(remarks(kept)) == 1


def test_a_word_for_the_concept_itself_is_refused(tiny, scenes):
    before = runs.state(tiny)
    with pytest.raises(ValueError, match=r"companion_words \(Cup\) names the concept itself.*beside the cup"):
        masked(tiny, scenes, companion=("Cup",))
    assert runs.state(tiny) == before


def test_what_stands_beside_it_in_one_image_stays(tiny, scenes):
    alone = [scenes[0], *(replace(scene, companion="", companion_colour="") for scene in scenes[1:])]
    found, kept = masked(tiny, alone), masked(tiny, alone, companion=())
    assert found.companion == ""
    assert all(torch.equal(a.mask, b.mask) for a, b in zip(found.dataset.items, kept.dataset.items, strict=True))


def test_training_says_it_and_uses_the_same_masks(tiny, scenes):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    found = masked(tiny, scenes)
    dataset = replace(found.dataset, items=tuple(replace(i, mask=None) for i in found.dataset.items))
    job = runs.job(recipe=AnchoredLearning(), steps=1, pool_images=1, pool_prompts=("a lake",))
    out = runs.customise(tiny, dataset, job, quiet := runs.Quiet())
    assert [n.values["companion"] for n in quiet.notes if n.key == "note_companion"] == ["star"]
    for ours, theirs in zip(quiet.masked[0].items, found.dataset.items, strict=True):
        torch.testing.assert_close(ours.mask, theirs.mask)
    unsought = replace(job, references=replace(job.references, companion=()))
    runs.customise(tiny, dataset, unsought, kept := runs.Quiet())
    assert not [n for n in kept.notes if n.key == "note_companion"]
    assert '"companion": "leave out"' in out.adapter.metadata["purecc.recipe"]
