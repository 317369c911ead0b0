"""Masks: the mathematics on maps that are known, and the pictures of them."""

import pytest
import torch
from squares import square


class Field:
    """A branched whose base says one thing for every prompt, and more where the class is; or more by the prompt."""

    def __init__(self, more):
        from types import SimpleNamespace

        self.field = SimpleNamespace(device=torch.device("cpu"))
        self.more, self.asked = more, []

    def run(self, branch, x_t, t, texts, limit=None):
        self.asked.append((branch, x_t.clone(), t.clone(), tuple(texts)))
        v = x_t * t.view(-1, 1, 1, 1)
        if isinstance(self.more, dict):
            return v + self.more[texts[0]]
        return v + self.more if texts[0] else v


LATENTS = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))


def noise(count=16, seed=2):
    return torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


class TestTheDifference:
    def test_a_prompt_that_changes_nothing_makes_none(self):
        from purecc_pack.purecc.training.concept_masks import concept_mask, difference

        assert not difference(noise(), noise()).any()
        nothing = Field(torch.zeros(4, 16, 16))
        assert concept_mask(nothing, LATENTS, "", "a robot").shape == (2, 1, 16, 16)

    def test_it_is_the_rms_over_draws_and_channels(self):
        from purecc_pack.purecc.training.concept_masks import difference

        more = noise(1)
        found = difference(noise(seed=3) + more, noise(seed=3))
        torch.testing.assert_close(found, more.square().mean(1, keepdim=True).sqrt(), rtol=1e-4, atol=1e-5)
        many = noise()
        found = difference(many, torch.zeros_like(many))
        torch.testing.assert_close(found, many.square().mean((0, 1))[None, None].sqrt(), rtol=1e-4, atol=1e-5)

    def test_the_class_is_found_where_it_is(self):
        from purecc_pack.purecc.method.maps import blur, threshold
        from purecc_pack.purecc.training.concept_masks import difference

        inside = square().bool()
        mask = threshold(blur(difference(noise() + 0.2 + square(), noise())))
        assert mask.shape == (1, 1, 16, 16)
        assert float(mask[inside].mean()) > 0.85 and float(mask[~inside].mean()) < 0.1


class TestWhatTheBaseIsAsked:
    def test_every_prompt_at_the_same_points_and_once(self):
        from purecc_pack.purecc.training.concept_masks import EARLIEST, LATEST, SAMPLES, concept_mask

        prompts = "a robot", "", "a robot on sand"
        field = Field(square()[0])
        concept_mask(field, LATENTS, "a robot on sand", "a robot", seed=3)
        assert len(field.asked) == len(LATENTS) * len(prompts)
        for of_one, latents in zip((field.asked[:3], field.asked[3:]), LATENTS.split(1), strict=True):
            assert {texts for *_, texts in of_one} == {(prompt,) * SAMPLES for prompt in prompts}
            _, x, t, _ = of_one[0]
            assert all(branch is None and torch.equal(x, y) and torch.equal(t, s) for branch, y, s, _ in of_one)
            assert float(t.min()) == pytest.approx(EARLIEST) and float(t.max()) == pytest.approx(LATEST)
            drawn = (x - (1 - t).view(-1, 1, 1, 1) * latents) / t.view(-1, 1, 1, 1)
            assert abs(float(drawn.mean())) < 0.05 and float(drawn.std()) == pytest.approx(1.0, abs=0.05)
        again = Field(square()[0])
        concept_mask(again, LATENTS, "a robot on sand", "a robot", seed=4)
        assert not torch.equal(again.asked[0][1], field.asked[0][1]), "the seed decides the noise"

    def test_a_base_text_that_is_the_class_prompt_costs_nothing(self):
        from purecc_pack.purecc.training.concept_masks import concept_mask

        field = Field(square()[0])
        concept_mask(field, LATENTS[:1], "a robot", "a robot")
        assert [texts[0] for *_, texts in field.asked] == ["a robot", ""]


class TestTheNovelty:
    def test_it_is_what_the_base_gets_wrong_and_joins_the_mask(self):
        from purecc_pack.purecc.training.concept_masks import concept_mask, novelty

        found = novelty(noise(), noise() + 0.7 * square())
        torch.testing.assert_close(found, 0.7 * square(), rtol=1e-4, atol=1e-4)
        apart = noise(2) * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        unsure = novelty(torch.zeros_like(apart), apart)
        expected = apart.mean(0).square().mean(0).sqrt()[None, None]
        torch.testing.assert_close(unsure, expected, rtol=1e-4, atol=1e-4)

        class Knows(Field):
            """Predicts the true velocity of x0 = 0, wrongly in the square; the class prompt differs everywhere."""

            def run(self, branch, x_t, t, texts, limit=None):
                return x_t / t.view(-1, 1, 1, 1) + 0.7 * square() + (0.5 if texts[0] == "a robot" else 0.0)

        mask = concept_mask(Knows(None), torch.zeros(1, 4, 16, 16), "a robot on sand", "a robot")
        assert bool((mask == 1).all()), "a difference that is the same everywhere is all mask, and novelty adds nothing"

    def test_what_only_it_knows_is_in_the_mask(self):
        from purecc_pack.purecc.training.concept_masks import concept_mask

        class Surprised(Field):
            """Is wrong in the square with the base text alone; the class prompt differs in one corner alone."""

            def run(self, branch, x_t, t, texts, limit=None):
                v = x_t / t.view(-1, 1, 1, 1)
                corner = torch.zeros(1, 1, 16, 16)
                corner[..., 12:, :4] = 1.0
                return v + {"a robot": corner, "": 0.0, "a robot on sand": 0.7 * square()}[texts[0]]

        mask = concept_mask(Surprised(None), torch.zeros(1, 4, 16, 16), "a robot on sand", "a robot")
        assert float(mask[..., 5:9, 6:11].min()) > 0.9 and float(mask[..., 13:, :3].min()) > 0.9
        assert float(mask[..., :2, :2].max()) < 0.1


class TestThePicture:
    def test_outside_is_dimmed_inside_stays_and_the_edge_is_outlined(self):
        from purecc_pack.purecc.sheets.mask_overlay import OUTLINE, OUTSIDE, overlay

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
        from purecc_pack.purecc.sheets.mask_overlay import overlay

        image = torch.rand(64, 80, 3)
        assert torch.equal(overlay(image, None), image)
        assert torch.equal(overlay(image, torch.ones(1, 8, 10)), image), "a whole mask has no edge"

    def test_a_sheet_of_pictures_of_any_size(self):
        from purecc_pack.purecc.sheets.mask_overlay import tiled

        images = [torch.full((10 + k, 20 - k, 3), k / 10) for k in range(5)]
        sheet = tiled(images)
        assert sheet.shape == (1, 2 * (14 + 4) - 4, 3 * (20 + 4) - 4, 3)
        assert [float(sheet[0, 18 * (k // 3), 24 * (k % 3), 0]) for k in range(5)] == pytest.approx(
            [0.0, 0.1, 0.2, 0.3, 0.4]
        )
        assert float(sheet[0, -1, -1, 0]) == 0.5
        assert tiled(images[:1]).shape == (1, 10, 20, 3)
