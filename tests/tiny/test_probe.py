"""The probe reads fresh renders, before and after the autoencoder."""

import pytest
import torch

from purecc_pack.purecc.tiny.probe import HEADS, NO_ROBOT, Probe, answers
from purecc_pack.purecc.tiny.scenes import CONCEPT, Scene
from purecc_pack.purecc.tiny.train_probe import measure, through


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
    from purecc_pack.purecc.host.tiny import load_tiny_checkpoint

    return VaeAsAutoencoder(load_tiny_checkpoint()[2])


def test_accuracy_on_fresh_renders_and_through_the_autoencoder(autoencoder):
    measured = measure(Probe.load(), autoencoder, 120)
    for where, heads in measured.items():
        assert set(heads) == set(HEADS)
        for head, fraction in heads.items():
            assert fraction >= 0.98, (where, head, fraction)  # the model card has it over 1000 pictures


def test_it_reads_words():
    from purecc_pack.purecc.tiny.renders import render

    fish = Scene("fish", "green", "bricks", "flat", "left", seed=5)
    scenes = [fish, Scene("robot", "purple", "sand", look=CONCEPT, seed=6)]
    read = Probe.load().read(render(scenes))
    for i, scene in enumerate(scenes):
        for head, answer in answers(scene).items():
            if head != "colour" or i == 0:
                assert read[head][i] == answer
    assert read["look"] == [NO_ROBOT, CONCEPT]


def test_an_untrained_probe_fails(autoencoder):
    torch.manual_seed(0)
    assert measure(Probe().eval(), autoencoder, 24)["renders"]["thing"] < 0.5


def test_through_keeps_the_shape(autoencoder):
    assert through(autoencoder, torch.rand(3, 96, 96, 3)).shape == (3, 96, 96, 3)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        Probe.load(tmp_path / "none.safetensors")
