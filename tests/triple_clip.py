"""SD3.5's kind of text encoder, small, and a conditioner on it as a run has it."""

import standin
import torch

TEXTS = (
    "a [v] robot on red stripes",
    'a picture, "[v] robot" (small), no.',
    "a tall tree " * 30 + "and a [v] robot",
    "(a [v] robot): left",
    "a robot",
    "",
)
G_WIDTH = 96


def triple_clip(folder=None, seed=0):
    """The host's SD3 text encoder, all three parts genuine and small; T5 is as wide as the text stream."""
    import comfy.sd
    import folder_paths
    from comfy.supported_models_base import ClipTarget
    from comfy.text_encoders.sd3_clip import SD3Tokenizer, sd3_clip

    options = {
        "clip_l_model_config": dict(standin.SMALL_CLIP),
        "clip_g_model_config": {**standin.SMALL_CLIP, "hidden_size": G_WIDTH},
        "t5xxl_model_config": {"d_ff": 32, "d_kv": 16, "num_heads": 2, "num_layers": 1, "d_model": 4096},
    }
    target = ClipTarget(SD3Tokenizer, sd3_clip(clip_l=True, clip_g=True, t5=True, dtype_t5=torch.bfloat16))
    folders = [str(folder)] if folder else folder_paths.get_folder_paths("embeddings")
    clip = comfy.sd.CLIP(target, embedding_directory=folders, model_options={**options, "dtype": torch.float32})
    model = clip.cond_stage_model
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name != "t5xxl.transformer.shared.weight":
                weights = standin._fill(torch.nn.ParameterDict({"weight": weight.float()}), generator)["weight"]
                weight.copy_(0.1 * weights if name.startswith("t5xxl") and weight.ndim > 1 else weights)
        # 131 million numbers, of which a few rows are looked up.
        table = model.t5xxl.transformer.shared.weight
        table.zero_()
        used = {int(t) for text in TEXTS for chunk in clip.tokenize(text)["t5xxl"] for t, _ in chunk}
        for row in used:
            table[row] = torch.randn(4096, generator=torch.Generator().manual_seed(row)).to(table.dtype)
    return clip


def conditioner(stack, clip, vectors, texts=TEXTS):
    """(conditioner, embedding, cache) as a run with a trained token has them just before its first step."""
    from comfy import model_management

    from purecc_pack.purecc.host.models import conditioning
    from purecc_pack.purecc.network.embedding import ConceptEmbedding

    cache = conditioning.PromptCache(clip, "thing", vectors, torch.device("cpu"))
    stack.callback(cache.close)
    cache.prepare(texts)
    model_management.unload_all_models()
    encoder = stack.enter_context(conditioning.token_encoder(clip))
    cache.close()
    embedding = ConceptEmbedding(vectors)
    return conditioning.HostConditioner(cache, embedding, encoder), embedding, cache


def same(ours, theirs, **tolerance):
    """Bit for bit, unless a tolerance is given."""
    for ours_, theirs_ in ((ours.context, theirs["cond"]), (ours.fields[0]["pooled_output"], theirs["pooled_output"])):
        torch.testing.assert_close(ours_.detach(), theirs_, **(tolerance or {"rtol": 0, "atol": 0}))


ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
"""Of matrix products whose rows are many or few."""
