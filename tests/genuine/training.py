"""Short runs on a tiny genuine model."""

import runs
import torch

from . import build, patcher_of
from .clip import Clip

CAPTIONS = ("a [v] robot on red stripes", "the [v] robot, seen from the left")
LR = 3e-2


class Tiny:
    """A family's models and two references, of which one has a mask.

    Attributes:
        name: of the family.
        latent: shape of a latent, with the frame of a video model.
        models: MODEL, and a CLIP without trainable tokens.
        dataset: for training.
    """

    def __init__(self, name):
        from purecc_pack.purecc.host.models.host_models import HostModels
        from purecc_pack.purecc.text.concept import Concept
        from purecc_pack.purecc.text.texts import parse_caption
        from purecc_pack.purecc.training.dataset import ConceptDataset, ConceptItem

        self.name = name
        recipe, base = build(name)
        base.requires_grad_(False)
        self.recipe, self.latent = recipe, recipe["latent"]
        channels, *_, height, width = self.latent
        generator = torch.Generator().manual_seed(0)
        items = tuple(
            ConceptItem(
                torch.randn(1, channels, height, width, generator=generator),
                parse_caption(caption, "robot"),
                torch.zeros(height, width, 3),
                mask,
            )
            for caption, mask in zip(CAPTIONS, (None, torch.ones(1, 1, height, width)), strict=True)
        )
        self.models = HostModels(patcher_of(base), Clip(recipe["cond"]))
        self.dataset = ConceptDataset(items, Concept("robot", "instance"))

    def state(self):
        """Everything of the user's model that training could have touched."""
        from comfy import model_management

        model_management.unload_all_models()
        network = self.models.model.model.diffusion_model
        replaced = [n for n, m in network.named_modules() if "forward" in m.__dict__]
        return {**runs.state_of(self.models.model), "forward": replaced, "dtype": str(network.dtype)}

    def train(self, recipe, name, extractor=None, listener=None, **values):
        from purecc_pack.purecc.network.lora import LoraSpec

        listener, given = listener or runs.Quiet(), {"lora": LoraSpec(rank=2, alpha=2.0, targets="auto"), **values}
        job = runs.job(name, recipe, **{"layer_wise": False, "steps": 1, "lr": LR, **given})
        return runs.customise(self.models, self.dataset, job, listener, extractor), listener
