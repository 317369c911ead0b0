"""The host's Make, Save and Load Training Dataset, and Concept Dataset on what they give."""

import pytest
import runs
import torch

CAPTIONS = ["a [v] robot, 1", "a [v] robot, 2", "a [v] robot, 3"]


def stored(models, pictures, folder):
    """Through the host's three nodes, as the host calls them."""
    from comfy_extras.nodes_dataset import LoadTrainingDataset, MakeTrainingDataset, SaveTrainingDataset

    with torch.inference_mode():
        made = MakeTrainingDataset.execute(pictures, [models.vae], [models.clip], CAPTIONS).args
        SaveTrainingDataset.execute(*made, [folder], [2])
        return LoadTrainingDataset.execute(folder).args[0]


def dataset(models, captions=CAPTIONS, **values):
    from purecc_pack.nodes import ConceptDataset

    lists = {key: value if isinstance(value, list) else [value] for key, value in values.items()}
    return runs.execute(ConceptDataset, captions=list(captions), class_word=["robot"], vae=[models.vae], **lists)


@pytest.fixture(scope="module")
def latents(models, comfyui):
    return stored(models, runs.pictures(), "robots")


def test_a_saved_training_dataset_is_the_dataset_of_its_pictures(models, latents):
    """Neither encoded nor scaled again; in other words it trains to the same adapter."""
    ours = dataset(models, images=runs.pictures(), resolution=0).args[0]
    node = dataset(models, latents=latents)
    theirs = node.args[0]
    assert len(theirs.items) == 3
    for a, b in zip(ours.items, theirs.items, strict=True):
        assert a.texts == b.texts and torch.equal(a.latents, b.latents)
        assert a.image.shape == b.image.shape
        assert a.shrink is not None and b.shrink is None, "latents have no picture that could be made smaller"
    adapters = [runs.customise(models, data, runs.job(steps=2)).adapter.id for data in (ours, theirs)]
    assert adapters[0] == adapters[1]
    assert node.ui["images"], "the contact sheet"


def test_the_sheet_shows_what_the_vae_makes_of_them(models, latents):
    data = dataset(models, latents=latents, resolution=512).args[0]
    with torch.inference_mode():
        for item in data.items:
            drawn = models.vae.decode(item.latents)[0].float()
            torch.testing.assert_close(item.image, drawn.clamp(0, 1), rtol=0, atol=1e-6)


def test_batches_and_pictures_of_several_shapes_as_resolution_bucket_gives_them(models, comfyui):
    """An odd side is cut by a row, for two latents are a patch; the masks are cut with it."""
    from comfy_extras.nodes_dataset import MakeTrainingDataset, ResolutionBucket

    pictures = [*runs.pictures(2), runs.pictures(1, 72)[0]]
    with torch.inference_mode():
        made = MakeTrainingDataset.execute(pictures, [models.vae], [models.clip], CAPTIONS).args
        bucketed = ResolutionBucket.execute(*made).args[0]
    assert [b["samples"].shape[0] for b in bucketed] == [2, 1]
    masks = [torch.ones(1, 64, 64)] * 2 + [torch.ones(1, 64, 64)]
    data = dataset(models, latents=bucketed, masks=masks).args[0]
    shapes = {item.texts.complete: tuple(item.latents.shape) for item in data.items}
    assert shapes == dict.fromkeys(CAPTIONS, (1, 16, 8, 8))
    assert all(item.mask.shape == (1, 1, 8, 8) and item.image.shape == (64, 64, 3) for item in data.items)
    (cut,) = (item.latents for item in data.items if item.texts.complete == CAPTIONS[2])
    assert torch.equal(cut, made[0][2]["samples"][..., :8, :8].float())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"captions": CAPTIONS[:2]}, "3.* 2 captions"),
        ({"images": runs.pictures()}, "images and latents"),
        ({"flip": True}, "flip is True"),
        ({"crops": 2}, "crops is 2"),
        ({"masks": [torch.ones(1, 64, 64)]}, "3.* 1 masks"),
    ],
)
def test_what_does_not_fit_is_refused(models, latents, change, reason):
    with pytest.raises(ValueError, match=reason):
        dataset(models, **{"latents": latents, **change})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda x: x[:, :4], r"Latent 2 of 3 has shape \[1, 4, 8, 8\].*16 channels"),
        (lambda x: x[:, :, None].expand(-1, -1, 2, -1, -1), r"Latent 2 of 3 has shape \[1, 16, 2, 8, 8\]"),
        (lambda x: x[..., :4], "Latent 2 of 3 .*32 x 64"),
        (lambda x: x * float("nan"), "Latent 2 of 3 "),
    ],
)
def test_latents_that_cannot_be_trained_on_are_refused(models, latents, change, reason):
    wrong = [latents[0], {"samples": change(latents[1]["samples"])}, latents[2]]
    with pytest.raises(ValueError, match=reason):
        dataset(models, latents=wrong)
