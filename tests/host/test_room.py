"""What would not fit into memory is refused before any of it is made."""

import pytest
import torch


@pytest.fixture
def free(monkeypatch):
    from comfy import model_management

    def set_to(count):
        monkeypatch.setattr(model_management, "get_free_memory", lambda *_: count)

    return set_to


@pytest.mark.parametrize(("values", "count"), [({}, 1), ({"crops": 3}, 4), ({"crops": 3, "flip": True}, 8)])
def test_crops_of_references(comfyui, free, values, count):
    from purecc_pack.purecc.host.data.image_tensors import Cropping
    from purecc_pack.purecc.host.data.references import prepare
    from purecc_pack.purecc.text.captions import CaptionInput
    from purecc_pack.purecc.text.concept import Concept

    images, most = [torch.rand(1, 96, 80, 3), torch.rand(1, 64, 64, 3)], 2 * count * 2 * 64 * 64 * 12
    given = images, CaptionInput(), Concept("robot", "instance"), Cropping(resolution=64, **values)
    free(most - 1)
    with pytest.raises(ValueError, match=r"The crops of 2 references need .* GB are free\. Use fewer images"):
        prepare(*given)
    free(most)
    assert [len(r.variants) for r in prepare(*given)] == [count] * 2


@pytest.mark.slow
def test_images_of_a_protocol(models, free, comfyui):
    from purecc_pack.purecc.evaluation.pictures import ProtocolPrompt
    from purecc_pack.purecc.host.evaluation import sampling

    how = sampling.Sampling(steps=1, width=64, height=64, batch=1)
    protocol = sampling.Protocol([ProtocolPrompt("a [v] robot", "a robot")], range(2), how)
    assert protocol.image_bytes == 2 * 64 * 64 * 3 * 4
    free(2 * protocol.image_bytes - 1)
    with pytest.raises(ValueError, match="The images of 2 models for 1 prompts at 2 seeds need"):
        sampling.sample(models, [sampling.Customised("x", models, None)], protocol, None)


@pytest.mark.slow
def test_a_negative_prompt_that_is_too_long(models, comfyui):
    from purecc_pack.purecc.evaluation.pictures import ProtocolPrompt
    from purecc_pack.purecc.host.evaluation import sampling

    how = sampling.Sampling(steps=1, width=64, height=64, negative="x" * 10_001)
    protocol = sampling.Protocol([ProtocolPrompt("a [v] robot", "a robot")], range(1), how)
    with pytest.raises(ValueError, match=r"^negative, .* has 10001 letters"):
        sampling.sample(models, [sampling.Customised("x", models, None)], protocol, None)
