"""The probe reads fresh renders, as the autoencoder encodes them and after a second pass through it."""

import pytest
import torch

from purecc_pack.tiny_world.individuals import CONCEPT
from purecc_pack.tiny_world.probe import GRID, HEADS, NOTHING, REGIONS, Probe, answers, order, regions
from purecc_pack.tiny_world.renders import render
from purecc_pack.tiny_world.scenes import Scene
from purecc_pack.tiny_world.train_probe import decoded, encoded, measure

pytestmark = pytest.mark.slow


class VaeAsAutoencoder:
    """The host's VAE behind the autoencoder's two methods."""

    def __init__(self, vae):
        self.vae = vae

    def encode(self, images):
        return self.vae.encode(((images + 1) / 2).movedim(1, -1))

    def decode(self, latents):
        return self.vae.decode(latents).movedim(-1, 1) * 2 - 1


@pytest.fixture(scope="module")
def autoencoder(comfyui):
    from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint

    return VaeAsAutoencoder(load_tiny_checkpoint()[2])


def test_accuracy_on_fresh_renders_and_through_the_autoencoder(autoencoder):
    measured = measure(Probe.load(), autoencoder, 160)
    for where, heads in measured.items():
        assert set(heads) == {*HEADS, "regions"}
        for head, fraction in heads.items():
            assert fraction >= (0.9 if head == "regions" else 0.96), (
                where,
                head,
                fraction,
            )  # the model card: over 1000


def test_it_reads_words(autoencoder):
    fish = Scene("fish", "green", "bricks", "flat", "left", seed=5)
    pair = Scene("robot", "purple", "sand", "photo", "right", CONCEPT, 6, "cup", "red")
    read = Probe.load().read(encoded(autoencoder, render([fish, pair])))
    for i, scene in enumerate((fish, pair)):
        for head, answer in answers(scene).items():
            if head != "colour" or i == 0:
                assert read.words[head][i] == answer
    assert read.words["companion"] == [NOTHING, "cup"]
    assert read.features.shape == (2, 128) and read.features.norm(dim=1).sub(1).abs().max() < 1e-5
    assert (read.regions[0] == regions(fish)).float().mean() > 0.85


def test_of_two_generic_things_the_left_comes_first():
    scene = Scene("cup", "red", "sand", "ink", "right", seed=4, companion="star", companion_colour="blue")
    told = order(scene)
    assert (told.thing, told.colour, told.companion, told.companion_colour) == ("star", "blue", "cup", "red")
    individual = Scene("cup", "red", "sand", "ink", "right", CONCEPT, 4, "star", "blue")
    assert order(individual) == individual


def test_regions_are_what_fills_most_of_a_cell():
    scene = Scene("house", "red", "waves", seed=4)
    where = regions(scene)
    assert where.shape == (GRID, GRID)
    assert {REGIONS[i] for i in where.unique().tolist()} == {"waves", "house"}
    assert REGIONS[where[0, 0]] == "waves" and REGIONS[where[6, 6]] == "house"


def test_an_untrained_probe_fails(autoencoder):
    torch.manual_seed(0)
    assert measure(Probe().eval(), autoencoder, 24)["renders"]["thing"] < 0.5


def test_the_autoencoder_keeps_shapes(autoencoder):
    latents = encoded(autoencoder, torch.rand(3, 96, 96, 3))
    assert latents.shape == (3, 16, GRID, GRID)
    assert decoded(autoencoder, latents).shape == (3, 96, 96, 3)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        Probe.load(tmp_path / "none.safetensors")
