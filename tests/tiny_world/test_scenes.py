"""The drawn world: what a scene says is what is drawn, and nothing held out is ever drawn for training."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from purecc_pack.purecc.tiny import concept as shipped
from purecc_pack.tiny_world import captions, concept, renders
from purecc_pack.tiny_world.backgrounds import BACKGROUNDS
from purecc_pack.tiny_world.individuals import CONCEPT, GENERIC, INDIVIDUALS, LOOKS
from purecc_pack.tiny_world.scenes import SIZE, Scene, draw, held_out, sample_scene, segment
from purecc_pack.tiny_world.styles import ALL_STYLES, NEAR_STYLES, NEW_STYLES, STYLES
from purecc_pack.tiny_world.things import COLOURS, THINGS


def pixels(scene):
    return np.asarray(draw(scene)).astype(int)


def test_the_world_is_as_large_as_promised():
    assert len(THINGS) >= 8 and len(COLOURS) >= 8 and len(BACKGROUNDS) >= 8 and len(STYLES) >= 3
    assert "robot" in THINGS


def test_the_sampler_refuses_held_out_combinations():
    assert len(held_out()) >= 64
    for thing, colour, background in held_out():
        Scene(thing, colour, background)
    rng = Random(3)
    scenes = [sample_scene(rng) for _ in range(20_000)]
    seen = {(s.thing, s.colour, s.background) for s in scenes}
    seen |= {(s.companion, s.companion_colour, s.background) for s in scenes if s.companion}
    assert not seen & held_out()
    assert len(seen) == len(THINGS) * len(COLOURS) * len(BACKGROUNDS) - len(held_out())


def test_held_out_combinations_hold_every_word():
    things, colours, backgrounds = (Counter(column) for column in zip(*held_out(), strict=True))
    assert set(things) == set(THINGS) and set(colours) == set(COLOURS) and set(backgrounds) == set(BACKGROUNDS)


def test_drawing_is_a_function_of_the_scene():
    rng = Random(5)
    for scene in [sample_scene(rng) for _ in range(10)] + [sample_scene(rng, look) for look in LOOKS]:
        first = pixels(scene)
        assert first.shape == (SIZE, SIZE, 3)
        assert (first == pixels(scene)).all()


@pytest.mark.parametrize(
    "field, words", [("thing", THINGS), ("colour", COLOURS), ("background", BACKGROUNDS), ("style", ALL_STYLES)]
)
def test_every_word_changes_the_picture(field, words):
    plain = {"thing": "car", "colour": "red", "background": "snow", "style": "flat", "seed": 4}
    drawn = [pixels(Scene(**{**plain, field: word})) for word in words]
    for i, first in enumerate(drawn):
        for second in drawn[:i]:
            assert np.abs(first - second).mean() > 1.5


def test_positions_move_the_thing():
    def centre(position):
        difference = np.abs(
            pixels(Scene("star", "red", "snow", position=position, seed=2))
            - pixels(Scene("star", "green", "snow", position=position, seed=2))
        )
        weight = difference.sum((0, 2))
        return (weight * np.arange(SIZE)).sum() / weight.sum()

    left, middle, right = map(centre, ("left", "middle", "right"))
    assert left + 8 < middle < right - 8


@pytest.mark.parametrize("thing", INDIVIDUALS)
def test_an_individual_and_its_near_misses_differ_to_the_eye(thing):
    drawn = {look: pixels(Scene(thing, "purple", "sand", look=look, seed=9)) for look in LOOKS}
    for look in LOOKS:
        if look != CONCEPT:
            assert (np.abs(drawn[look] - drawn[CONCEPT]).sum(-1) > 60).mean() > 0.005, look


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="background 'moon' is not one of red stripes"):
        Scene("car", "red", "moon")
    with pytest.raises(ValueError, match="not for a star"):
        Scene("star", "red", "snow", look=CONCEPT)


def test_captions_in_plain_words():
    scene = Scene("umbrella", "orange", "night sky", "ink", "left")
    assert captions.caption(scene) == "an orange umbrella on the left on a night sky in ink style"
    assert captions.caption(scene, captions.Named(False, True, False, False)) == "an umbrella on a night sky"
    assert captions.phrase("cup", "red") == "a red cup"


def test_captions_drop_each_part_independently():
    rng = Random(11)
    named = [captions.sample_named(rng) for _ in range(20_000)]
    for part in ("colour", "background", "style"):
        assert abs(np.mean([not getattr(n, part) for n in named]) - 0.15) < 0.01
    assert abs(np.mean([n.position for n in named]) - 0.5) < 0.015
    both = np.mean([not n.colour and not n.background for n in named])
    assert abs(both - 0.15**2) < 0.005
    scene = sample_scene(rng)
    empty = np.mean([captions.training_caption(scene, rng) == "" for _ in range(20_000)])
    assert abs(empty - 0.1) < 0.01


def test_all_captions_hold_every_word():
    known = set(" ".join(captions.all_captions()).split())
    rng = Random(2)
    for _ in range(300):
        assert set(captions.caption(sample_scene(rng)).split()) <= known


def test_references_show_the_concept_on_one_background_and_do_not_name_it():
    scenes, texts, pictures = concept.reference_scenes(), shipped.reference_captions(), shipped.reference_images()
    assert len(scenes) == len(texts) == len(pictures) == 5
    assert {scene.background for scene in scenes} == {concept.BACKGROUND}
    assert {scene.look for scene in scenes} == {CONCEPT}
    for scene, text, picture in zip(scenes, texts, pictures, strict=True):
        assert (np.asarray(picture) == np.asarray(draw(scene))).all()
        assert "[v] robot" in text and not any(background in text for background in BACKGROUNDS)
        assert not any(colour in text for colour in COLOURS)
    assert texts == concept.reference_captions()


def test_training_scenes_never_show_an_individual_or_a_new_style():
    rng = Random(8)
    scenes = [sample_scene(rng) for _ in range(2000)]
    assert {scene.look for scene in scenes} == {GENERIC}
    assert {scene.style for scene in scenes} == set(STYLES) and not set(STYLES) & {*NEW_STYLES, *NEAR_STYLES}


def test_two_things_stand_on_two_sides_and_are_told_so():
    scene = Scene("cup", "red", "sand", "photo", "right", companion="star", companion_colour="blue", seed=3)
    assert captions.caption(scene) == "a red cup on the right and a blue star on the left on sand in photo style"
    where = segment(scene)
    columns = {number: np.nonzero((where == number).any(0))[0].mean() for number in (1, 2)}
    assert columns[2] < SIZE / 2 < columns[1]
    with pytest.raises(ValueError, match="position 'middle' is not one of left, right"):
        Scene("cup", "red", "sand", companion="star", companion_colour="blue")
    with pytest.raises(ValueError, match="companion_colour"):
        Scene("cup", "red", "sand", position="left", companion="star")


def test_the_segmentation_is_where_a_colour_changes_the_picture():
    a, b = (Scene("star", colour, "grass", seed=8) for colour in ("red", "white"))
    changed = np.abs(pixels(a) - pixels(b)).sum(-1) > 60
    where = segment(a)
    assert (where == segment(b)).all() and set(np.unique(where)) == {0, 1}
    assert where[changed].all() and changed[where == 1].mean() > 0.5


def test_patterns_and_crops_are_pictures():
    batch = renders.crops(Random(1), 16, 32)
    assert batch.shape == (16, 3, 32, 32)
    assert batch.min() >= -1 and batch.max() <= 1
    assert batch.flatten(1).std(1).gt(0).all()
