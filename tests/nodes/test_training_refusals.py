"""What the training nodes refuse, before any work: inputs, and models and text encoders of other kinds."""

import genuine
import pytest
import runs
import torch
from trainers import extract, learn

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"best_drift": 0.1}, "best_drift.*drift_every"),
        ({"best_drift": 0.1, "drift_every": 5, "drift_prompts": ""}, "drift_every.*drift_prompts"),
        ({"name": "no/slash"}, "'no/slash'"),
        ({"name": ""}, "adapter name"),
        ({"trace_steps": "one"}, "trace_steps is 'one'"),
        ({"trace_steps": "0"}, "trace_steps is '0'"),
        ({"drift_every": 1, "drift_prompts": " \n"}, "prompts"),
        ({"drift_every": 1, "drift_prompts": "a {b}"}, r"drift_prompts: .*'a \{b\}'.*'\{'"),
        ({"sample_prompt": "a robot\n\ud800"}, r"sample_prompt: .*half of a character"),
        ({"sample_prompt": "a {b}", "sample_every": 1, "vae": "models"}, r"sample_prompt: .*'a \{b\}'.*'\{'"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused(models, dataset, values, message):
    values = {**values, "vae": models.vae} if "vae" in values else values
    with pytest.raises(ValueError, match=message):
        extract(models, dataset, **values)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tree, {star|cup}", r"^companion_words: '\{star\|cup\}' is not plain words"),
        ("[v]", r"^companion_words: '\[v\]' is not plain words"),
        ("ball, half \ud800", r"^companion_words: 'half \\ud800' is not plain words"),
        ("Robot", r"^companion_words \(Robot\) names the concept itself"),
    ],
)
def test_words_of_a_companion_that_cannot_be_looked_for(models, dataset, words, message):
    before = runs.state(models)
    with pytest.raises(ValueError, match=message):
        learn(models, dataset, method="anchored", companion_words=words)
    assert runs.state(models) == before


def test_pure_learning_without_its_extractor(models, dataset, learned):
    with pytest.raises(ValueError, match="extractor"):
        learn(models, dataset, method="PureCC (paper)")
    with pytest.raises(ValueError, match="'pure'"):
        learn(models, dataset, method="PureCC (paper)", extractor=learned.adapter)


@pytest.mark.parametrize("name", genuine.REFUSED)
def test_a_model_of_another_kind_is_refused(models, dataset, name):
    from purecc_pack.nodes import TrainExtractor

    model = genuine.patcher_of(genuine.build(name)[1])
    with pytest.raises(ValueError, match="cannot be trained"):
        runs.execute(TrainExtractor, model=model, clip=models.clip, dataset=dataset)


def test_a_model_with_other_latents_is_refused(models, dataset):
    from purecc_pack.nodes import TrainExtractor

    model = genuine.patcher_of(genuine.build("SDXL")[1])
    with pytest.raises(ValueError, match=r"16 channels.* 4"):
        runs.execute(TrainExtractor, model=model, clip=models.clip, dataset=dataset)


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
    with pytest.raises(ValueError, match=r"64.*4096"):
        runs.execute(TrainExtractor, model=models.model, clip=clip, dataset=dataset)
    wide = {"clip_l_model_config": {**standin.SMALL_CLIP, "hidden_size": 96}}
    target = ClipTarget(SD3Tokenizer, sd3_clip(clip_l=True, clip_g=False, t5=False))
    clip = comfy.sd.CLIP(target, model_options=wide)
    with torch.inference_mode():
        for weight in clip.cond_stage_model.parameters():
            weight.fill_(0.01)
    with pytest.raises(ValueError, match=r"1376.*1344"):
        runs.execute(TrainExtractor, model=models.model, clip=clip, dataset=dataset)
