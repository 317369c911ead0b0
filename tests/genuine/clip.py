"""A stand-in for the text encoders of a tiny genuine model."""

import copy
import zlib
from types import SimpleNamespace

import torch


class Clip:
    """A CLIP without trainable tokens: to every text its own small change of the recipe's conditioning."""

    def __init__(self, cond):
        self.cond_stage_model, self.tokenizer = SimpleNamespace(), SimpleNamespace()
        self.cond, self.texts = cond, []

    def clone(self):
        return copy.copy(self)

    def tokenize(self, text):
        return text

    def encode_from_tokens(self, text, return_pooled=False, return_dict=False):
        self.texts.append(text)
        generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        out = {**self.cond, "cond": self.cond["cross_attn"]}
        out["cond"] = out["cond"] + 0.3 * torch.randn(out["cond"].shape, generator=generator)
        return {k: v for k, v in out.items() if k != "cross_attn"}

    def encode_from_tokens_scheduled(self, text, *args, **named):
        out = self.encode_from_tokens(text)
        return [[out.pop("cond"), out]]
