"""Pictures of a base model and a customised one, with small real models."""

import pytest
import runs
import torch
from drawn import PROMPTS, Told, draw, drift

pytestmark = pytest.mark.slow


def test_every_picture_is_that_of_the_stock_sampler_for_its_seed(models, customised, drawn):
    for pictures, (model, clip), texts in (
        (drawn.base, (models.model, models.clip), ("a robot on a beach", "a robot in snow")),
        (drawn.customised, customised, ("a embedding:plain robot on a beach", "a robot in snow")),
    ):
        assert pictures.shape == (2, 3, 64, 64, 3)
        for row, text in zip(pictures, texts, strict=True):
            for picture, seed in zip(row, drawn.seeds, strict=True):
                latent = runs.sample(model, runs.encode(clip, text), runs.encode(clip, ""), seed=seed)
                with torch.inference_mode():
                    stock = models.vae.decode(latent)[0].clamp(0, 1)
                torch.testing.assert_close(picture, stock, rtol=0, atol=2e-3)
    assert float((drawn.base - drawn.customised).abs().max()) > 0.01
    assert float((drawn.base[:, 0] - drawn.base[:, 1]).abs().max()) > 0.01
    assert drawn.settings["trigger"] == "embedding:plain" and drawn.settings["steps"] == 2


def test_the_bar_counts_steps_of_pictures_and_cancel_stops(models, customised):
    from comfy.model_management import InterruptProcessingException

    told = Told()
    draw(models, customised, told, prompts=PROMPTS[:1])
    assert told.parts == 2 * 1 * 3 * 2
    assert any("customised model, prompt 1 of 1" in text for text in told.texts)
    with pytest.raises(InterruptProcessingException):
        draw(models, customised, Told(stop_after=5))


def test_a_model_measured_against_itself_draws_the_same_pictures(models):
    same = draw(models, (models.model, models.clip), trigger="robot", prompts=("a [v] robot in snow",), seeds=(1,))
    other = draw(models, (models.model, models.clip), trigger="shiny", prompts=("a [v] robot in snow",), seeds=(1,))
    assert torch.equal(same.base, other.base)
    assert not torch.equal(same.customised, other.customised)


def test_an_embedding_that_the_clip_does_not_know_is_refused(models, customised):
    told = Told()
    with pytest.raises(ValueError, match="embedding:other"):
        draw(models, customised, told, trigger="embedding:other")
    with pytest.raises(ValueError, match="embedding:plain"):
        draw(models, (customised[0], models.clip), told)
    assert told.parts == 0


def test_a_vae_of_another_model_is_refused(models, customised):
    from types import SimpleNamespace

    with pytest.raises(ValueError, match=r"16 .* 4"):
        draw(runs.Models(models.model, models.clip, SimpleNamespace(latent_channels=4)), customised)


def test_the_users_models_stay_as_they_are(models, token_only):
    from purecc_pack.purecc.host.models.apply import apply

    before = runs.state(models)
    with torch.inference_mode():
        pair = apply(models.model, models.clip, token_only)
    draw(models, pair, prompts=PROMPTS[:1], seeds=(1,))
    drift(models, pair, prompts=("a red car",), steps=2)
    assert runs.state(models) == before
