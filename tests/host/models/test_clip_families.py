"""A trained token in the CLIPs of Stable Diffusion 1.5, 2 and XL."""

import pytest
import standin
import torch


def clip_of(name):
    """A random CLIP of the host's own class, with small encoders."""
    import comfy.sd
    from comfy import sd1_clip, sdxl_clip
    from comfy.supported_models_base import ClipTarget
    from comfy.text_encoders import sd2_clip

    kinds = {
        "SD1.5": (sd1_clip.SD1Tokenizer, sd1_clip.SD1ClipModel),
        "SD2": (sd2_clip.SD2Tokenizer, sd2_clip.SD2ClipModel),
        "SDXL": (sdxl_clip.SDXLTokenizer, sdxl_clip.SDXLClipModel),
    }
    options = {f"clip_{key}_model_config": dict(standin.SMALL_CLIP) for key in "lgh"}
    out = comfy.sd.CLIP(ClipTarget(*kinds[name]), model_options=options)
    generator = torch.Generator().manual_seed(0)
    for weight in out.cond_stage_model.parameters():
        weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return out


@pytest.mark.parametrize(("name", "encoders"), [("SD1.5", "l"), ("SD2", "h"), ("SDXL", "lg")])
def test_training_starts_from_the_stock_conditioning_and_reaches_every_token(comfyui, world, name, encoders):
    from purecc_pack.purecc.host.models import conditioning
    from purecc_pack.purecc.host.models.embeddings import word_vectors
    from purecc_pack.purecc.network.embedding import ConceptEmbedding

    with torch.inference_mode():
        clip = clip_of(name)
        vectors = {k: v.clone() + 0.01 for k, v in word_vectors(clip, "robot").items()}
    assert list(vectors) == [f"clip_{key}" for key in encoders]
    text = "a [v] robot on red stripes"
    cache = conditioning.PromptCache(clip, "thing", {k: v.clone() for k, v in vectors.items()}, torch.device("cpu"))
    stock = cache[text]
    embedding = ConceptEmbedding(vectors)
    encoder = world.enter_context(conditioning.token_encoder(clip))
    (ours,) = conditioning.HostConditioner(cache, embedding, encoder)([text])
    assert stock.marks.sum() == 1
    torch.testing.assert_close(ours.context, stock.context, rtol=1e-4, atol=1e-4)
    pooled = ours.fields[0]["pooled_output"]
    torch.testing.assert_close(pooled, stock.fields[0]["pooled_output"], rtol=1e-4, atol=1e-4)
    (ours.context.square().sum() + pooled.square().sum()).backward()
    assert all(vector.grad.any() for vector in embedding.tokens.values())
