"""Pictures of two small models and their drift, with the calls that tests of drawing, measuring and drift share."""

import pytest
import torch

PROMPTS = ("a [v] robot on a beach", "a robot in snow")


class Told:
    """Progress that keeps what it is told, and may stop the work."""

    def __init__(self, stop_after=None):
        self.texts, self.parts, self._left = [], 0, stop_after

    def say(self, text):
        self.texts.append(text)

    def advance(self, parts=1, preview=None):
        from comfy.model_management import InterruptProcessingException

        self.parts += parts
        if self._left is not None and self.parts > self._left:
            raise InterruptProcessingException


@pytest.fixture(scope="module")
def customised(models, token_only):
    from purecc_pack.purecc.host.apply import apply

    with torch.inference_mode():
        return apply(models.model, models.clip, token_only)


def draw(models, customised, progress=None, prompts=PROMPTS, seeds=(5, 6, 7), trigger="embedding:plain", **sampling):
    from purecc_pack.purecc.host import drawing
    from purecc_pack.purecc.protocol.pictures import parse_prompts

    how = {"steps": 2, "cfg": 3.0, "scheduler": "simple", "width": 64, "height": 64, "batch": 2} | sampling
    texts = parse_prompts("\n".join(prompts), "robot")
    with torch.inference_mode():
        (made,) = drawing.draw(
            (models.model, models.clip), [drawing.Customised("customised model", *customised, trigger)], models.vae,
            texts, seeds, drawing.Sampling(**how), progress or Told(),
        )  # fmt: skip
        return made


@pytest.fixture(scope="module")
def drawn(models, customised):
    return draw(models, customised)


def drift(models, pair, prompts, progress=None, **options):
    from purecc_pack.purecc.host import drift as host_drift

    with torch.inference_mode():
        (made,) = host_drift.drift(
            (models.model, models.clip), [pair], prompts, 64, 64, progress or Told(), **options
        )  # fmt: skip
        return made
