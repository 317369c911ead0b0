"""Every model that the host knows is of a known family, refused with a reason, or left to the fallback on purpose."""

from types import SimpleNamespace

import genuine
import pytest

UNETS = {"SD15", "SD20", "SD21UnclipL", "SD21UnclipH"}
"""Known by their network, since the host has no class of model for them."""
FALLBACK = {"Lens", "Omnigen2", "Boogu", "JoyImage", "Krea2"}
"""Trained with all linear layers of their blocks."""


def every_config():
    """(configuration, its class of model) of each model that the host knows, no network made."""
    import comfy.model_base
    import comfy.supported_models as known

    above = comfy.model_base.BaseModel
    with pytest.MonkeyPatch.context() as patch:
        for name, kind in list(vars(comfy.model_base).items()):
            if isinstance(kind, type) and issubclass(kind, above):
                patch.setattr(comfy.model_base, name, lambda config, *_, kind=kind, **__: _Made(config, kind))
        for cls in known.models:
            yield cls, cls(_Sizes(cls.unet_config)).get_model(_Sizes(), "")


class _Sizes(dict):
    """A configuration of a network, or its weights, in which all that is not given is 1."""

    def __missing__(self, key):
        return 1

    def copy(self):
        return _Sizes(self)


class _Made:
    """What stands in for a model without its network."""

    def __init__(self, config, kind):
        self.model_config, self.kind = config, kind

    def __getattr__(self, name):
        return lambda *_, **__: self


def test_every_model_of_the_host_is_accounted_for(comfyui):
    from purecc_pack.purecc.host.families import FAMILIES
    from purecc_pack.purecc.host.families.refused import REFUSED, refuse

    refused, left = set(), set()
    for cls, made in every_config():
        try:
            refuse(made)
        except ValueError as error:
            assert f"{cls.__name__} cannot be trained here: " in str(error) and "text-to-image" in str(error)
            refused.add(cls.__name__)
        else:
            if not {kind.__name__ for kind in made.kind.__mro__} & set(FAMILIES):
                left.add(cls.__name__)
    assert left == UNETS | FALLBACK
    assert refused == {name for name, why in REFUSED.items() if why}, "and no name is that of no model"
    assert len(refused) > 50


def test_the_models_of_the_tests_are_refused_or_not_by_their_configuration(comfyui):
    """A subclass of a refused one that can be trained is not refused; one of a trained one that cannot is."""
    from purecc_pack.purecc.host.families.refused import REFUSED, refuse

    for name, recipe in genuine.FAMILIES.items():
        made = SimpleNamespace(model_config=recipe.cls(_Sizes(recipe.unet)))
        if name in genuine.REFUSED:
            with pytest.raises(ValueError, match="cannot be trained here"):
                refuse(made)
        else:
            refuse(made)
    assert REFUSED["HunyuanImage21"] is None


def test_a_video_model_is_refused_before_any_work(comfyui, dataset):
    """By name, through the training nodes' own way in."""
    import comfy.supported_models as known
    import runs

    recipe = genuine.wan()
    base = genuine.direct(known.WAN21_FlowRVS, {**recipe, "model_type": "t2v"})
    models = runs.Models(genuine.patcher_of(base), SimpleNamespace(), None)
    with pytest.raises(ValueError, match=r"WAN21_FlowRVS cannot be trained here: it makes videos"):
        runs.customise(models, dataset, runs.job())
