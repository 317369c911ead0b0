"""What is known of a family of models, and the models that are refused."""

import re
from types import SimpleNamespace

import genuine
import pytest
import torch


def test_a_model_and_its_text_encoders_are_of_one_family(models):
    from purecc_pack.purecc.host.families import family_of, text_side

    family, network = family_of(models.model), models.model.model.diffusion_model
    assert family.text is text_side(models.clip)
    assert family.blocks_of(network) == list(network.joint_blocks)
    assert family.text_widths(network) == {"text": 4096, "pooled text": 64 + 1280}
    assert family.architecture_of(network) == "stable-diffusion-v3.5-medium"


def test_the_free_columns_are_zero_in_the_rows_of_clip(models):
    """And no others: they are where the marks of applied adapters go."""
    import runs

    from purecc_pack.purecc.host.families import text_side

    text = text_side(models.clip)
    ((stream, _),) = runs.encode(models.clip, "a robot")
    assert stream.shape[-1] == text.width
    assert not stream[:, :77, text.free.start :].any() and text.free.stop == text.width
    assert text.free.start == sum(encoder.width for encoder in text.encoders.values())


def test_every_linear_layer_of_the_blocks_is_in_a_group_of_targets(models):
    from purecc_pack.purecc.host.families import family_of

    family, network = family_of(models.model), models.model.model.diffusion_model
    linear = [n for n, m in network.named_modules() if isinstance(m, torch.nn.Linear) and n.startswith("joint_blocks")]
    assert linear and all(re.fullmatch(family.layers("all blocks"), name) for name in linear)


def test_a_pattern_of_the_user_s_own_stays(models):
    from purecc_pack.purecc.host.families import family_of

    assert family_of(models.model).layers(r"joint_blocks\.0\..*") == r"joint_blocks\.0\..*"


@pytest.mark.parametrize("name", [name for name in genuine.FAMILIES if name not in genuine.REFUSED])
def test_the_blocks_of_a_family_are_those_of_its_network(comfyui, name):
    """All but refiners of the text or of pixels; and each group of layers that a family has is found in them."""
    from purecc_pack.purecc.host.families import family_of

    recipe, base = genuine.build(name)
    family = family_of(genuine.patcher_of(base))
    names = {id(m): n for n, m in base.diffusion_model.named_modules()}
    found, every = (
        {names[id(m)] for m in some} for some in (family.blocks_of(base.diffusion_model), recipe["blocks"](base))
    )
    assert len(found) >= 2 and found <= every
    assert {n.split(".")[0] for n in every - found} <= {"nerf_blocks", "txt_in"} or not family.listed
    linear = [n for n, m in base.diffusion_model.named_modules() if isinstance(m, torch.nn.Linear)]
    for group in ("attention", "attention and mlp", "modulation", "all blocks"):
        if family.suited(group) == group:
            assert any(re.fullmatch(family.layers(group), n) for n in linear), group


@pytest.mark.parametrize("name", genuine.REFUSED)
def test_models_whose_gradients_would_be_wrong_are_refused(comfyui, name, record):
    from purecc_pack.purecc.host.families import family_of

    with pytest.raises(ValueError, match="cannot be trained") as raised:
        family_of(genuine.patcher_of(genuine.build(name)[1]))
    _, why = str(raised.value).split(": ", 1)
    record(name, refused=why.split(". ")[0])


def test_a_model_without_blocks_is_refused_by_name(comfyui):
    from purecc_pack.purecc.host.families import family_of

    class Odd:
        diffusion_model = torch.nn.Linear(1, 1)

    with pytest.raises(ValueError, match="Odd"):
        family_of(SimpleNamespace(model=Odd()))


def test_text_encoders_without_a_trainable_token(comfyui):
    from purecc_pack.purecc.host.families import text_side

    class FluxClip(torch.nn.Module):
        t5xxl = clip_l = torch.nn.Linear(1, 1)

    assert text_side(SimpleNamespace(cond_stage_model=FluxClip())) is None


def test_every_family_has_usual_values_with_their_source(comfyui):
    from purecc_pack.purecc.host.families import listed_families
    from purecc_pack.purecc.network.lora import TARGETS

    families = listed_families()
    assert len(families) == len({family.name for family in families}) > 20
    for family in families:
        usual = family.practice
        assert family.listed and usual.source and usual.targets in TARGETS and family.layers(usual.targets)
        assert 256 <= usual.resolution <= 1024 and 1e-5 <= usual.rate <= 1e-3 and usual.rank in (4, 8, 16, 32, 64)


def test_the_page_of_usual_values_is_up_to_date(comfyui):
    import practice

    assert practice.PAGE.read_text(encoding="utf-8") == practice.page(), "run scripts/practice.py"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("SD1.5", "sd_1.5"),
        ("SD2.1-v", "sd-v2-1"),
        ("SDXL", "sdxl_base_v1-0"),
        ("SD3.5-medium", "sd35m"),
        ("SD3.5-large", "sd35l"),
        ("Flux.1-dev", "flux1"),
    ],
)
def test_managers_are_told_the_base_model(comfyui, name, version):
    from purecc_pack.purecc.host.families import family_of

    base = genuine.build(name)[1]
    assert family_of(genuine.patcher_of(base)).base_version(base.diffusion_model) == version
