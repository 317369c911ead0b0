"""What is not finite at the first step is named."""

from dataclasses import replace

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


@pytest.fixture
def spoilt(checkpoint):
    return runs.load(checkpoint, reload=False)


def spoil(module, name):
    with torch.inference_mode():
        dict(module.named_parameters())[name].view(-1)[3] = float("nan")


def test_a_weight(spoilt, dataset):
    from purecc_pack.purecc.training.loop import TrainingDiverged

    spoil(spoilt.model.model.diffusion_model, "joint_blocks.1.x_block.mlp.fc1.weight")
    with pytest.raises(TrainingDiverged, match=r"step 1. The cause: the model's weight joint_blocks.1.x_block.mlp.fc1"):
        runs.customise(spoilt, dataset, runs.job())


def test_an_encoding(spoilt, dataset):
    from purecc_pack.purecc.training.loop import TrainingDiverged

    spoil(spoilt.clip.cond_stage_model, "clip_l.transformer.text_model.final_layer_norm.bias")
    with pytest.raises(TrainingDiverged, match=r"The cause: the encoding of '.*' \(.*\) has \d+ numbers? that"):
        runs.customise(spoilt, dataset, runs.job(input_token=False, layer_wise=False))


def test_masks_and_pool_of_a_spoilt_model(spoilt, dataset):
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.method.baselines import PriorPreservation

    spoil(spoilt.model.model.diffusion_model, "joint_blocks.0.x_block.mlp.fc1.weight")
    for recipe, what in ((AnchoredLearning(), "the mask of image 1"), (PriorPreservation(1.0), "image 1 of the pool")):
        with pytest.raises(ValueError, match=rf"for {what}\. The cause: the model's weight joint_blocks\.0"):
            runs.customise(spoilt, dataset, runs.job(recipe=recipe, pool_images=1))


def test_latents_masks_and_settings_are_refused_before_any_work(models, dataset):
    wrong = dataset.items[1].latents.clone()
    wrong.view(-1)[5] = float("inf")
    items = (dataset.items[0], replace(dataset.items[1], latents=wrong))
    quiet = runs.Quiet()
    with pytest.raises(ValueError, match=r"latent of image 2 \('a \[v\] robot, seen.*1 number that is.*VAE"):
        runs.customise(models, replace(dataset, items=items), runs.job(), quiet)
    mask = torch.full_like(dataset.items[0].latents[:, :1], float("nan"))
    with pytest.raises(ValueError, match="mask of image 1"):
        data = replace(dataset, items=(replace(dataset.items[0], mask=mask),))
        runs.customise(models, data, runs.job(), quiet)
    with pytest.raises(ValueError, match="The setting learning_rate is nan"):
        runs.customise(models, dataset, runs.job(lr=float("nan")), quiet)
    assert quiet.phases == []
