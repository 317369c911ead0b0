"""Models of pixels through the nodes: Load VAE gives them pixel_space, which changes the range of values alone."""

import genuine
import pytest
import runs
import torch
from genuine.clip import Clip
from trainers import learn

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vae(comfyui):
    from nodes import VAELoader

    with torch.inference_mode():
        return VAELoader().load_vae("pixel_space")[0]


def of_pixels(vae, **values):
    from purecc_pack.nodes import ConceptDataset

    lists = {key: value if isinstance(value, list) else [value] for key, value in values.items()}
    captions = ["a [v] robot on stripes", "the [v] robot"]
    return runs.execute(ConceptDataset, captions=captions, class_word=["robot"], vae=[vae], **lists).args[0]


def test_the_latents_are_the_images(vae):
    pictures = runs.pictures(2)
    made = of_pixels(vae, images=pictures, resolution=0)
    for item, picture in zip(made.items, pictures, strict=True):
        torch.testing.assert_close(item.latents, 2 * picture.movedim(-1, 1) - 1)
    again = of_pixels(vae, latents=[{"samples": torch.cat([i.latents for i in made.items])}])
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(made.items, again.items, strict=True))
    odd = of_pixels(vae, images=[torch.rand(1, 75, 101, 3)] * 2, resolution=0)
    assert {tuple(i.latents.shape[2:]) for i in odd.items} == {(64, 96)}


@pytest.mark.parametrize(("name", "method"), [("Chroma-Radiance", "anchored"), ("ZImage-pixel", "LoRA")])
def test_a_model_of_pixels_is_trained_by_the_nodes(vae, name, method):
    """With samples and drift; the default method with masks that it finds, and a pool."""
    recipe, base = genuine.build(name)
    base.requires_grad_(False)
    models = runs.Models(genuine.patcher_of(base), Clip(recipe["cond"]), vae)
    made = of_pixels(vae, images=runs.pictures(2), resolution=0)
    watched = {"vae": vae, "sample_every": 1, "pool_images": 1, "drift_prompts": "a lake"}
    adapter, lora, loss = learn(models, made, name="pixels", method=method, steps=2, **watched)
    assert adapter.lora and lora and len(loss["loss"]) == 2 and loss["drift"]


def test_latents_of_another_vae_are_refused_with_the_one_to_load(dataset):
    recipe, base = genuine.build("Chroma-Radiance")
    models = runs.Models(genuine.patcher_of(base), Clip(recipe["cond"]), None)
    with pytest.raises(ValueError, match=r"16 channels and the model takes 3.*pixel_space in Load VAE"):
        learn(models, dataset)
