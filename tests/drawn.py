"""Images of two small models and their drift, with the calls that tests of sampling, measuring and drift share."""

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
    from purecc_pack.purecc.host.models.apply import apply

    with torch.inference_mode():
        return apply(models.model, models.clip, token_only)


def draw(models, customised, progress=None, prompts=PROMPTS, seeds=(5, 6, 7), trigger="embedding:plain", **sampling):
    from purecc_pack.purecc.evaluation.pictures import parse_prompts
    from purecc_pack.purecc.host.evaluation import sampling as protocol
    from purecc_pack.purecc.host.models.host_models import HostModels
    from purecc_pack.purecc.text.concept import Concept

    how = {"steps": 2, "cfg": 3.0, "scheduler": "simple", "width": 64, "height": 64, "batch": 2} | sampling
    texts = parse_prompts("\n".join(prompts), Concept("robot"))
    other = protocol.Customised("customised model", HostModels(*customised), trigger)
    asked = protocol.Protocol(texts, seeds, protocol.Sampling(**how))
    with torch.inference_mode():
        base = HostModels(models.model, models.clip, models.vae)
        (made,) = protocol.sample(base, [other], asked, progress or Told())
        return made


@pytest.fixture(scope="module")
def drawn(models, customised):
    return draw(models, customised)


def drift(models, pair, prompts, progress=None, **options):
    from purecc_pack.purecc.host.evaluation import drift as host_drift
    from purecc_pack.purecc.host.models.host_models import HostModels

    base, customised = HostModels(models.model, models.clip), HostModels(*pair)
    with torch.inference_mode():
        (made,) = host_drift.drift(base, [customised], prompts, (64, 64), progress or Told(), **options)
        return made
