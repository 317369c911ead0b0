"""Tiny genuine models of the families that the host knows: its own classes with random weights, one recipe a family.

`build(NAME)` gives the recipe and the BaseModel. A recipe has "cls", the host's class of configuration; "unet", a small
configuration of it; "latent", the shape of a latent without the batch; "cond", the conditioning of one prompt;
"blocks", a function that gives the transformer blocks of the built model. `FAMILIES[NAME]()` gives the recipe alone.
"""

from . import flux, lumina, others, stable_diffusion, streams, videos
from .recipe import direct, make, patcher_of, randomise
from .videos import wan

__all__ = ["FAMILIES", "REFUSED", "TRAINED", "build", "direct", "patcher_of", "randomise", "wan"]

FAMILIES = {
    **stable_diffusion.FAMILIES,
    **flux.FAMILIES,
    **streams.FAMILIES,
    **lumina.FAMILIES,
    **videos.FAMILIES,
    **others.FAMILIES,
}
REFUSED = ("HiDream-O1", "PixelDiT", "StableCascade-C")
"""Those whose gradients would be wrong."""
TRAINED = tuple(name for name in FAMILIES if name not in REFUSED)


def build(name):
    return make(FAMILIES[name])
