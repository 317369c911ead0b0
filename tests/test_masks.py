"""Masks: the mathematics on maps that are known, and the pictures of them."""

import pytest
import torch
from test_maps import square


class Field:
    """A trainee whose base says one thing for every prompt, and more where the class is; or more by the prompt."""

    def __init__(self, more):
        from types import SimpleNamespace

        self.model = SimpleNamespace(device=torch.device("cpu"))
        self.more, self.asked = more, []

    def run(self, branch, x_t, t, texts, limit=None):
        self.asked.append((branch, x_t.clone(), t.clone(), tuple(texts)))
        v = x_t * t.view(-1, 1, 1, 1)
        if isinstance(self.more, dict):
            return v + self.more[texts[0]]
        return v + self.more if texts[0] else v


LATENTS = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))


class TestTheDifference:
    def test_a_prompt_that_changes_nothing_makes_none(self):
        from purecc_pack.purecc.masks import concept_mask, difference

        nothing = Field(torch.zeros(4, 16, 16))
        assert not difference(nothing, LATENTS, "a robot").any()
        assert concept_mask(nothing, LATENTS, "", "a robot").shape == (2, 1, 16, 16)

    def test_it_is_the_rms_over_draws_and_channels(self):
        from purecc_pack.purecc.maps import blur
        from purecc_pack.purecc.masks import difference

        more = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(2))
        expected = blur(more.square().mean(0, keepdim=True).sqrt()[None])
        found = difference(Field(more), LATENTS, "a robot")
        torch.testing.assert_close(found, expected.expand(2, 1, 16, 16), rtol=1e-4, atol=1e-5)

    def test_the_base_is_asked_at_the_same_points_of_either_prompt(self):
        from purecc_pack.purecc.masks import EARLIEST, LATEST, difference

        field = Field(square()[0])
        difference(field, LATENTS[:1], "a robot", seed=3)
        (one, x, t, named), (two, y, s, empty) = field.asked
        assert one is two is None and torch.equal(x, y) and torch.equal(t, s)
        assert set(named) == {"a robot"} and set(empty) == {""}
        assert float(t.min()) == pytest.approx(EARLIEST) and float(t.max()) == pytest.approx(LATEST)
        noise = (x - (1 - t).view(-1, 1, 1, 1) * LATENTS[:1]) / t.view(-1, 1, 1, 1)
        assert abs(float(noise.mean())) < 0.05 and float(noise.std()) == pytest.approx(1.0, abs=0.05)
        again = Field(square()[0])
        difference(again, LATENTS[:1], "a robot", seed=4)
        assert not torch.equal(again.asked[0][1], x), "the seed decides the noise"

    def test_the_class_is_found_where_it_is(self):
        from purecc_pack.purecc.maps import threshold
        from purecc_pack.purecc.masks import difference

        inside = square().bool()
        mask = threshold(difference(Field(0.2 + square()[0].expand(4, -1, -1)), LATENTS, "a robot"))
        assert mask.shape == (2, 1, 16, 16)
        assert float(mask[0][inside[0]].mean()) > 0.85 and float(mask[0][~inside[0]].mean()) < 0.1


class TestTheNovelty:
    def test_it_is_what_the_base_gets_wrong_and_joins_the_mask(self):
        from purecc_pack.purecc.maps import blur
        from purecc_pack.purecc.masks import concept_mask, novelty

        class Knows(Field):
            """Predicts the true velocity of x0 = 0, wrongly in the square, whatever the prompt."""

            def run(self, branch, x_t, t, texts, limit=None):
                return x_t / t.view(-1, 1, 1, 1) + 0.7 * square()

        x0 = torch.zeros(1, 4, 16, 16)
        found = novelty(Knows(None), x0, "a robot on sand")
        torch.testing.assert_close(found, blur(0.7 * square()), rtol=1e-4, atol=1e-4)
        nowhere = Knows(None)
        nowhere.run, run = lambda *a, **k: run(*a, **k) + (0.5 if a[3][0] == "a robot" else 0.0), nowhere.run
        mask = concept_mask(nowhere, x0, "a robot on sand", "a robot")
        assert bool((mask == 1).all()), "a difference that is the same everywhere is all mask, and novelty adds nothing"


class TestTheEvidence:
    def test_it_is_the_mean_difference_of_errors(self):
        from purecc_pack.purecc.maps import blur
        from purecc_pack.purecc.masks import WIDE_BLUR, evidence

        more = {p: torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(k)) for k, p in enumerate("abc")}
        field = Field(more)
        found = evidence(field, LATENTS[:1], "a", ["b", "c"], seed=5)
        expected = 0
        for _, x, t, texts in field.asked:
            t = t.view(-1, 1, 1, 1)
            noise = (x - (1 - t) * LATENTS[:1]) / t
            error = (x * t + more[texts[0]] - (noise - LATENTS[:1])).square().mean((0, 1))
            expected = expected + (-error if texts[0] == "a" else error / 2)
        torch.testing.assert_close(found, blur(expected[None, None], WIDE_BLUR), rtol=1e-3, atol=1e-4)

    def test_the_gate_shuts_where_there_is_none(self):
        from purecc_pack.purecc.masks import gate

        mask = torch.ones(1, 1, 4, 4)
        found = torch.zeros(1, 1, 4, 4)
        found[..., :2, :], found[..., 3, :] = 2.0, -1.0
        kept = gate(found, mask)[0, 0, :, 0]
        assert float(kept[0]) > 0.99 and float(kept[2]) == 0.5 and float(kept[3]) < 0.01
        assert bool((gate(-found.abs(), mask) == 1).all()), "no evidence anywhere says nothing"

    def test_of_two_things_the_one_of_the_class_is_in_the_mask(self):
        from purecc_pack.purecc.masks import concept_mask

        side, where = 24, torch.zeros(2, 1, 1, 24, 24)
        where[0, ..., 8:16, 2:9], where[1, ..., 8:16, 15:22] = 1, 1
        x0 = torch.zeros(1, 4, side, side)

        class Perfect(Field):
            """Predicts the true velocity of x0 = 0, x_t / t, but where a prompt names another thing than is there."""

            def run(self, branch, x_t, t, texts, limit=None):
                here, there = where[0, 0], where[1, 0]
                wrong = {"": 0.0 * here, "a cup": there, "a tree": here, "a car": here + there}[texts[0]]
                # The empty prompt is half sure of both.
                wrong = 0.5 * (here + there) if not texts[0] else wrong
                return x_t / t.view(-1, 1, 1, 1) + wrong

        mask = concept_mask(Perfect(None), x0, "", "a cup", ["a tree", "a car"])[0, 0]
        ungated = concept_mask(Perfect(None), x0, "", "a cup")[0, 0]
        cup, other = where[0, 0, 0].bool(), where[1, 0, 0].bool()
        assert float(ungated[cup].mean()) > 0.8 and float(ungated[other].mean()) > 0.8
        assert float(mask[cup].mean()) > 0.8 and float(mask[other].mean()) < 0.45

    def test_other_classes_are_other_than_the_class(self):
        from purecc_pack.purecc.masks import mask_prompts

        for word in ("robot", "cup", "House"):
            prompt, others = mask_prompts(word)
            assert prompt.endswith(word) and len(others) == 4 and prompt.lower() not in others


class TestThePicture:
    def test_outside_is_dimmed_inside_stays_and_the_edge_is_outlined(self):
        from purecc_pack.purecc.overlay import OUTLINE, OUTSIDE, overlay

        image = torch.full((96, 96, 3), 0.5)
        mask = torch.zeros(1, 12, 12)
        mask[:, 3:9, 3:9] = 1.0
        shown = overlay(image, mask)
        assert shown.shape == image.shape and torch.equal(image, torch.full((96, 96, 3), 0.5))
        torch.testing.assert_close(shown[48, 48], torch.full((3,), 0.5))
        torch.testing.assert_close(shown[4, 4], torch.full((3,), 0.5 * OUTSIDE))
        line = (shown == torch.tensor(OUTLINE)).all(-1)
        rows = line.nonzero()
        assert 4 * 40 < len(rows) < 4 * 60
        assert int(rows.min()) in range(22, 27) and int(rows.max()) in range(69, 74)

    def test_no_mask_no_change(self):
        from purecc_pack.purecc.overlay import overlay

        image = torch.rand(64, 80, 3)
        assert torch.equal(overlay(image, None), image)
        assert torch.equal(overlay(image, torch.ones(1, 8, 10)), image), "a whole mask has no edge"

    def test_a_sheet_of_pictures_of_any_size(self):
        from purecc_pack.purecc.overlay import tiled

        images = [torch.full((10 + k, 20 - k, 3), k / 10) for k in range(5)]
        sheet = tiled(images)
        assert sheet.shape == (1, 2 * (14 + 4) - 4, 3 * (20 + 4) - 4, 3)
        assert [float(sheet[0, 18 * (k // 3), 24 * (k % 3), 0]) for k in range(5)] == pytest.approx(
            [0.0, 0.1, 0.2, 0.3, 0.4]
        )
        assert float(sheet[0, -1, -1, 0]) == 1.0
        assert tiled(images[:1]).shape == (1, 10, 20, 3)
