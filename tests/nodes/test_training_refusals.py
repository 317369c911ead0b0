"""What the training nodes refuse, before any work: inputs, and models and text encoders of other kinds."""

import pytest
import runs
import torch
from trainers import extract, learn


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"best_drift": 0.1}, "too seldom to choose by it: set drift_every"),
        ({"best_drift": 0.1, "drift_every": 5, "drift_prompts": ""}, "have prompts in drift_prompts"),
        ({"name": "no/slash"}, "'no/slash' cannot be an adapter name"),
        ({"name": ""}, "cannot be an adapter name"),
        ({"trace_steps": "one"}, "trace_steps is 'one'"),
        ({"trace_steps": "0"}, "trace_steps is '0'"),
        ({"drift_every": 1, "drift_prompts": " \n"}, "there are no prompts"),
        ({"drift_every": 1, "drift_prompts": "a {b}"}, "holds '{'"),
        ({"sample_prompt": "a {b}", "sample_every": 1, "vae": "models"}, "holds '{'"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused(models, dataset, values, message):
    values = {**values, "vae": models.vae} if "vae" in values else values
    with pytest.raises(ValueError, match=message):
        extract(models, dataset, **values)


def test_pure_learning_without_its_extractor(models, dataset, learned):
    with pytest.raises(ValueError, match="connect the output of Train Extractor or Load Adapter"):
        learn(models, dataset, method="PureCC (paper)")
    with pytest.raises(ValueError, match="'pure' is an adapter, not an extractor"):
        learn(models, dataset, method="PureCC (paper)", extractor=learned.adapter)


def unet_model():
    """A genuine Stable Diffusion 1 model of the host, tiny: it predicts noise, not velocity."""
    import comfy.model_patcher
    import comfy.supported_models

    config = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1],
        "channel_mult": [1, 1],
        "transformer_depth": [0, 0],
        "transformer_depth_output": [0, 0, 0, 0],
        "transformer_depth_middle": -1,
        "context_dim": 32,
        "num_heads": 2,
        "use_spatial_transformer": True,
        "dtype": torch.float32,
    }
    model = comfy.supported_models.SD15(config).get_model({})
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def flux_model():
    """A genuine Flux model of the host, tiny: it predicts velocity, but is no MMDiT of the SD3 family."""
    import comfy.model_patcher
    import comfy.supported_models

    config = {
        "image_model": "flux",
        "in_channels": 16,
        "out_channels": 16,
        "vec_in_dim": 32,
        "context_in_dim": 32,
        "hidden_size": 64,
        "mlp_ratio": 2.0,
        "num_heads": 2,
        "depth": 1,
        "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12],
        "txt_ids_dims": [],
        "theta": 10000,
        "patch_size": 2,
        "qkv_bias": True,
        "guidance_embed": False,
        "dtype": torch.float32,
    }
    model = comfy.supported_models.FluxSchnell(config).get_model({})
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (unet_model, "does not predict a velocity.*Load a Stable Diffusion 3 or 3.5 model"),
        (flux_model, "Models of kind Flux are not supported yet. Load a Stable Diffusion 3 or 3.5 model"),
    ],
)
def test_a_model_of_another_kind_is_refused(models, dataset, make, message):
    from purecc_pack.nodes import TrainExtractor

    with pytest.raises(ValueError, match=message):
        runs.execute(TrainExtractor, model=make(), clip=models.clip, dataset=dataset)


def test_a_clip_of_another_kind_is_refused(models, dataset):
    """Stable Diffusion 1's text encoder, and one whose vectors are of another width than the model takes."""
    import comfy.sd
    import standin
    from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer
    from comfy.supported_models_base import ClipTarget
    from comfy.text_encoders.sd3_clip import SD3Tokenizer, sd3_clip

    from purecc_pack.nodes import TrainExtractor

    options = {"clip_l_model_config": dict(standin.SMALL_CLIP)}
    clip = comfy.sd.CLIP(ClipTarget(SD1Tokenizer, SD1ClipModel), model_options=options)
    with pytest.raises(ValueError, match=r"has no CLIP-L or CLIP-G of the Stable Diffusion 3 family"):
        runs.execute(TrainExtractor, model=models.model, clip=clip, dataset=dataset)
    wide = {"clip_l_model_config": {**standin.SMALL_CLIP, "hidden_size": 96}}
    target = ClipTarget(SD3Tokenizer, sd3_clip(clip_l=True, clip_g=False, t5=False))
    clip = comfy.sd.CLIP(target, model_options=wide)
    with torch.inference_mode():
        for weight in clip.cond_stage_model.parameters():
            weight.fill_(0.01)
    with pytest.raises(ValueError, match=r"The CLIP gives .*1376.* and the model takes .*1344.*Connect the CLIP"):
        runs.execute(TrainExtractor, model=models.model, clip=clip, dataset=dataset)
