"""Sizes that a family does not take are refused before the first step, with the nearest that it takes."""

from dataclasses import replace
from types import SimpleNamespace

import genuine
import pytest
import torch
from genuine.clip import Clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(comfyui):
    """Gives the MODEL of a name, each built once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = genuine.patcher_of(genuine.build(name)[1])
        return made[name]

    yield get
    made.clear()


@pytest.fixture(scope="module")
def problem(model):
    """Gives what is wrong with a size of latents, height and width, for the model of a name."""
    from purecc_pack.purecc.host.families.sizes import size_problem

    return lambda name, *size: size_problem(model(name), size)


@pytest.mark.parametrize(
    ("name", "size", "nearest"),
    [
        ("Kandinsky5-Image", (8, 9), "80 x 64"),
        ("Kandinsky5-Image", (9, 7), "64 x 80"),
        ("PixArt-Sigma", (32, 32), "272 x 272"),
        ("PixArt-Alpha", (16, 16), "272 x 272"),
        ("SD3.5-medium", (40, 32), "208 x 256"),
    ],
)
def test_the_nearest_size_is_said_and_fits(problem, name, size, nearest):
    found = problem(name, *size)
    assert f"{8 * size[1]} x {8 * size[0]} pixels do not fit" in found and found.endswith(f"fits is {nearest}.")
    wide, tall = map(int, nearest.split(" x "))
    assert problem(name, tall // 8, wide // 8) is None


@pytest.mark.parametrize(
    ("name", "size"),
    [("Kandinsky5-Image", (8, 10)), ("PixArt-Sigma", (24, 44)), ("SD3.5-medium", (32, 32)), ("Flux.1-dev", (9, 7))],
)
def test_sizes_that_fit(problem, name, size):
    assert problem(name, *size) is None


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("Kandinsky5-Image", (8, 6), (8, 7)),
        ("PixArt-Sigma", (34, 32), (32, 32)),
        ("PixArt-Sigma", (32, 40), (33, 64)),
        ("SD3.5-medium", (31, 32), (34, 32)),
        ("HunyuanDiT", (9, 7), None),
        ("SD1.5", (9, 7), None),
        ("Wan2.2-5B", (5, 3), None),
        ("Chroma-Radiance", (40, 24), None),
        ("ZImage-pixel", (40, 24), None),
    ],
)
def test_a_rule_is_what_the_network_does(model, problem, name, right, wrong):
    """It runs at the one size, and at the other, which is refused, it fails or gives no number."""
    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.models.field import HostField
    from purecc_pack.purecc.network.field import Conditioning

    cond = dict(genuine.FAMILIES[name]()["cond"])
    context = cond.pop("cross_attn")
    y = Conditioning(context, torch.zeros(context.shape[:2], dtype=torch.bool), (cond,))
    channels = model(name).model.latent_format.latent_channels
    with trainable_world(), torch.no_grad():
        field = HostField(model(name))

        def runs(size):
            try:
                v = field.velocity(torch.randn(1, channels, *size), torch.tensor([0.5]), y)
            except (RuntimeError, ZeroDivisionError, AssertionError, ValueError):
                return False
            return v.shape[-2:] == size and bool(v.isfinite().all())

        assert runs(right) and problem(name, *right) is None
        assert wrong is None or (not runs(wrong) and problem(name, *wrong))
        field.remove()


def test_a_dataset_of_a_wrong_size_is_refused_before_any_work(model, dataset):
    import runs

    name = "PixArt-Sigma"
    small = replace(dataset, items=tuple(replace(i, latents=torch.zeros(1, 4, 32, 32)) for i in dataset.items))
    told = runs.Models(model(name), Clip(genuine.FAMILIES[name]()["cond"]), None)
    quiet = runs.Quiet()
    with pytest.raises(ValueError, match=r"256 x 256 .*PixArt.*nearest.*272 x 272.*Concept Dataset"):
        runs.customise(told, small, runs.job(layer_wise=False), quiet)
    assert not quiet.phases


def test_drift_at_a_wrong_size_is_refused(model):
    from drawn import Told

    from purecc_pack.purecc.host.evaluation.drift import drift
    from purecc_pack.purecc.host.models.host_models import HostModels

    clip = Clip(genuine.FAMILIES["PixArt-Sigma"]()["cond"])
    both = [HostModels(model("PixArt-Sigma"), clip)] * 2
    with pytest.raises(ValueError, match=r"256 x 256 .*272 x 272\. Set width and height"):
        drift(both[0], both[1:], ["a lake"], (256, 256), Told())
    assert not clip.texts


@pytest.mark.parametrize(
    ("ratio", "dimensions", "multiple"), [(8, 2, 16), (8, 3, 16), (16, 2, 16), (16, 3, 32), (32, 2, 32), (1, 2, 16)]
)
def test_concept_dataset_keeps_patches_whole_by_the_vae(comfyui, ratio, dimensions, multiple):
    from purecc_pack.purecc.host.data import image_tensors

    vae = SimpleNamespace(spacial_compression_encode=lambda: ratio, latent_dim=dimensions)
    assert image_tensors.multiple(vae) == multiple
    image = torch.rand(1, 300, 470, 3)
    for crop, resolution in (("none", 0), ("none", 200), ("center", 200)):
        cropped = image_tensors.prepare(image, image_tensors.Cropping(resolution, crop, multiple=multiple))
        assert not any(side % multiple for side in cropped.shape[1:3]), crop
