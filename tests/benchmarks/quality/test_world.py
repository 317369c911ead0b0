"""The benchmark's concepts, prompts and methods are what its README says of them."""

import concepts
import methods
import prompts
import pytest
import report

from purecc_pack.purecc.text.texts import parse_caption
from purecc_pack.tiny_world.backgrounds import BACKGROUNDS
from purecc_pack.tiny_world.individuals import CONCEPT
from purecc_pack.tiny_world.styles import NEW_STYLES

CONCEPTS = list(concepts.CONCEPTS.values())


def test_twelve_concepts_that_the_base_never_saw():
    assert sum(c.kind == "instance" for c in CONCEPTS) >= 8 and sum(c.kind == "style" for c in CONCEPTS) >= 4
    for c in CONCEPTS:
        shown = [s.look == CONCEPT if c.kind == "instance" else s.style in NEW_STYLES for s in c.scenes]
        assert all(shown) and len(c.scenes) == len(c.captions) in (1, 5)
    apart = [*concepts.DEVELOPMENT, *concepts.TRIED, *concepts.CLAIM, *concepts.UNSEEN, *concepts.PHOTOGRAPHED]
    apart += concepts.NEAR
    assert sorted(apart) == sorted(concepts.CONCEPTS) and len(concepts.DEVELOPMENT) == 3
    assert len({c.difficulty for c in CONCEPTS}) >= 7
    assert tuple(c.name for c in CONCEPTS if c.kind == "style") == report.STYLES


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda c: c.name)
def test_all_references_share_the_confound_and_every_caption_can_be_read(concept):
    head, answer = concept.confound
    assert {getattr(scene, head) for scene in concept.scenes} == {answer}
    for caption in concept.captions:
        texts = parse_caption(caption, concept.class_word, concept.kind)
        assert "[v]" in texts.complete and "[v]" not in texts.base
    told = [answer in caption for caption in concept.captions]
    if "in the captions" in concept.difficulty:
        assert all(told) if "not in the captions" not in concept.difficulty else not any(told)


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda c: c.name)
def test_prompts(concept):
    rows = prompts.asked(concept)
    assert rows == prompts.asked(concept)
    marked = [a for a in rows if "[v]" in a.text]
    assert len(marked) >= 40 and len(rows) - len(marked) >= 100
    assert {a.group for a in marked} == {"requested", "pair", "unnamed"}
    assert not any("[v]" in a.base_text or "  " in a.base_text for a in rows)
    head, answer = concept.confound
    for a in rows:
        if a.group == "requested" and head != "companion":
            assert a.named[head] != answer
        if a.group in ("unnamed", "other"):
            assert head not in a.named and answer not in a.text.replace("red stripes", "")
        if a.group.startswith("unrelated"):
            assert concept.word not in a.text.split() and a.named["background"]
    for fewer in (prompts.SHORT, prompts.FEWER, prompts.FEWER_SHORT):
        assert all(a in rows for a in prompts.asked(concept, fewer))


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda c: c.name)
def test_what_is_measured_is_not_trained_on(concept):
    unrelated = {a.text for a in prompts.asked(concept) if a.group.startswith("unrelated")}
    drift, pool = set(prompts.drift_prompts(concept)), prompts.pool_prompts(concept, 48)
    assert len(drift) >= 10 and len(pool) == 48
    assert not any({concept.word, "[v]"} & set(prompt.split()) for prompt in pool)
    assert not unrelated & drift and not unrelated & set(pool) and not drift & set(pool)


@pytest.mark.parametrize("name", concepts.STAGES)
def test_captions_of_images_of_the_class(name):
    """The teacher's name ground and place; the learner's say no more than that, and none is measured."""
    concept = concepts.CONCEPTS[name]
    captions, measured = prompts.class_captions(concept, 48), {a.text for a in prompts.asked(concept)}
    paired = prompts.class_captions(concept, 48, paired=True)
    assert captions == prompts.class_captions(concept, 48) and len(captions) == len(paired) == 48
    for told, said, other in (*captions, *paired):
        assert bool(other) == (" and " in told) and concept.confound[1] not in other.split()
        assert set(said.split()) <= set(told.split()) and said not in measured
        assert any(place in told for place in ("on the left", "in the middle", "on the right"))
        assert any(background in told for background in BACKGROUNDS)
    assert 10 < sum(c.told != c.said for c in captions) < 38
    assert not any(c.other for c in captions) and sum(bool(c.other) for c in paired) == 8
    pool = prompts.class_anchor_prompts(concept, 96)
    assert len(pool) == 96 and sum(concept.word in prompt.split() for prompt in pool) == 48
    assert not any("[v]" in prompt for prompt in pool)
    assert [c.told.replace("[v] ", "") for c in captions] == list(pool[::2])


def test_every_method_that_may_be_claimed_was_searched_alike():
    assert len({len(grid) for grid in methods.SEARCH.values()}) == 1
    assert len(methods.CLAIMED) + 1 <= 6
    for key in methods.CLAIMED:
        assert key in methods.SEARCH
    for key, grid in methods.SEARCH.items():
        for settings in grid:
            changed = methods.METHODS[key].at(**settings)
            for name, value in settings.items():
                assert getattr(changed, name, None) == value or getattr(changed.recipe, name) == value
