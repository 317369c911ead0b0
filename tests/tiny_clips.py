"""Small text encoders of every kind that the host has, its own classes and tokenizers with random weights."""

import functools
import io

import standin
import torch

LLAMA = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
LLAMA |= {"num_key_value_heads": 1}
T5 = {"d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 2, "d_model": 32}
BERT = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2}
SIZES = {"clip_l": standin.SMALL_CLIP, "clip_g": {**standin.SMALL_CLIP, "hidden_size": 96}, "hydit_clip": BERT}
SIZES |= {f"clip_{key}": standin.SMALL_CLIP for key in "h"}
SIZES |= {name: T5 for name in ("t5xxl", "umt5xxl", "pile_t5xl", "mt5xl")}
SIZES |= {name: LLAMA for name in ("llama", "qwen25_7b", "qwen25_3b", "qwen3_06b", "qwen3_2b", "gemma2_2b")}
SIZES |= {name: {**LLAMA, "num_hidden_layers": 28} for name in ("qwen3_4b",)}
SIZES |= {name: {**LLAMA, "num_hidden_layers": 36} for name in ("qwen3vl_4b", "qwen3vl_8b")}
VISION = {"hidden_size": 16, "intermediate_size": 16, "depth": 1, "deepstack_visual_indexes": []}


def kinds():
    from comfy import sd1_clip, sdxl_clip
    from comfy.text_encoders import (
        anima,
        aura_t5,
        boogu,
        cosmos,
        flux,
        hidream,
        hunyuan_image,
        hydit,
        ideogram4,
        joyimage,
        kandinsky5,
        krea2,
        longcat_image,
        lumina2,
        mage_flow,
        omnigen2,
        ovis,
        pixart_t5,
        qwen_image,
        sd2_clip,
        sd3_clip,
        wan,
        z_image,
    )

    everything = {"clip_l": True, "clip_g": True, "t5": True}
    return {
        "SD1.5": (sd1_clip.SD1Tokenizer, sd1_clip.SD1ClipModel),
        "SD2": (sd2_clip.SD2Tokenizer, sd2_clip.SD2ClipModel),
        "SDXL": (sdxl_clip.SDXLTokenizer, sdxl_clip.SDXLClipModel),
        "SD3": (sd3_clip.SD3Tokenizer, sd3_clip.sd3_clip(**everything)),
        "Flux.1": (flux.FluxTokenizer, flux.flux_clip()),
        "Chroma": (pixart_t5.PixArtTokenizer, pixart_t5.pixart_te()),
        "Cosmos": (cosmos.CosmosT5Tokenizer, cosmos.te()),
        "HiDream": (hidream.HiDreamTokenizer, hidream.hidream_clip(**everything)),
        "klein": (flux.KleinTokenizer, flux.klein_te()),
        "Z-Image": (z_image.ZImageTokenizer, z_image.te()),
        "Boogu": (boogu.BooguTokenizer, boogu.te()),
        "JoyImage": (joyimage.JoyImageTokenizer, joyimage.te()),
        "Ideogram4": (ideogram4.Ideogram4Qwen3VLTokenizer, ideogram4.te_qwen3vl()),
        "MageFlow": (mage_flow.MageFlowTokenizer, mage_flow.te()),
        "Krea2": (krea2.Krea2Tokenizer, krea2.te()),
        "Qwen-Image": (qwen_image.QwenImageTokenizer, qwen_image.te()),
        "HunyuanImage": (hunyuan_image.HunyuanImageTokenizer, hunyuan_image.te(byt5=False)),
        "Kandinsky5": (kandinsky5.Kandinsky5TokenizerImage, kandinsky5.te()),
        "LongCat": (longcat_image.LongCatImageTokenizer, longcat_image.te()),
        "Ovis": (ovis.OvisTokenizer, ovis.te()),
        "OmniGen2": (omnigen2.Omnigen2Tokenizer, omnigen2.Omnigen2Model),
        "Anima": (anima.AnimaTokenizer, anima.te()),
        "Lumina2": (lumina2.LuminaTokenizer, lumina2.te()),
        "Wan": (wan.WanT5Tokenizer, wan.te()),
        "AuraFlow": (aura_t5.AuraT5Tokenizer, aura_t5.AuraT5Model),
        "HunyuanDiT": (hydit.HyditTokenizer, hydit.HyditModel),
    }


STOCK = ("SD1.5", "SD2", "SDXL", "SD3", "Flux.1", "Chroma", "Cosmos", "HiDream", "klein", "Z-Image", "Boogu")
STOCK += ("JoyImage", "Ideogram4", "MageFlow", "Krea2")
"""Those whose tokenizers look up `embedding:`, see section 5 of the facts."""

OTHERS = ("Qwen-Image", "HunyuanImage", "Kandinsky5", "LongCat", "Ovis", "OmniGen2", "Anima", "Lumina2", "Wan")
OTHERS += ("AuraFlow", "HunyuanDiT")

OF_CLIP = ("SD1.5", "SD2", "SDXL", "SD3")
"""Those whose text stream is CLIP's."""


@functools.cache
def pieces():
    """A small sentencepiece model, as checkpoints of Gemma and mT5 bring one along."""
    import sentencepiece

    out = io.BytesIO()
    text = [
        "a robot on red stripes, at night",
        "the quick brown fox jumps over a lazy dog",
        "zqxvkwyjgbhmpcutfeonilards",
    ]
    options = {"vocab_size": 60, "hard_vocab_limit": False, "character_coverage": 1.0, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text * 5), model_writer=out, **options)
    return torch.frombuffer(bytearray(out.getvalue()), dtype=torch.uint8)


def build(name, directory=None, **sizes):
    """A CLIP of a kind, its sizes changed for some encoders; with a directory, a tokenizer as a loader makes it."""
    import comfy.sd
    import comfy.text_encoders.qwen3vl as qwen3vl
    import comfy.text_encoders.qwen_vl as qwen_vl
    from comfy.supported_models_base import ClipTarget

    data = {"spiece_model": pieces(), "mt5xl.spiece_model": pieces()}
    options = {f"{key}_model_config": {**size, **sizes.get(key, {})} for key, size in SIZES.items()}
    vision = qwen_vl.Qwen2VLVisionTransformer
    before = dict(qwen3vl.QWEN3VL_VISION)
    try:
        # Nothing here looks at images.
        qwen_vl.Qwen2VLVisionTransformer = lambda **_: torch.nn.Identity()
        qwen3vl.QWEN3VL_VISION.update({key: VISION for key in before})
        made = {"model_options": {**options, "dtype": torch.float32}, "tokenizer_data": data}
        out = comfy.sd.CLIP(ClipTarget(*kinds()[name]), embedding_directory=directory and [str(directory)], **made)
    finally:
        qwen_vl.Qwen2VLVisionTransformer = vision
        qwen3vl.QWEN3VL_VISION.update(before)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, weight in out.cond_stage_model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim < 2:
                weight.copy_(0.05 * noise + (1.0 if key.endswith("weight") else 0.0))
            else:
                table = max(weight.shape) > 20_000
                weight.copy_(noise * (0.5 if table or "embed" in key else weight.shape[1] ** -0.5))
    return out
