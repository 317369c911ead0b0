"""Cancel is heard between two crops, two encoded images and two cards, and not only between two references."""

import pytest
import torch


@pytest.fixture
def cancels(monkeypatch, comfyui):
    """Have the host's Cancel pressed within the second call of a function; tells how often it was called."""
    from comfy import model_management

    def at(owner, name):
        within, calls = getattr(owner, name), []

        def called(*args, **values):
            calls.append(name)
            if len(calls) == 2:
                model_management.interrupt_current_processing()
            return within(*args, **values)

        monkeypatch.setattr(owner, name, called)
        return calls

    yield at
    model_management.interrupt_current_processing(False)


def prepared(count=1, **cropping):
    from purecc_pack.purecc.host.data.image_tensors import Cropping
    from purecc_pack.purecc.host.data.references import prepare
    from purecc_pack.purecc.text.captions import CaptionInput
    from purecc_pack.purecc.text.concept import Concept

    images = [torch.rand(1, 80, 80, 3) for _ in range(count)]
    return prepare(images, CaptionInput(), Concept("robot", "instance"), Cropping(resolution=64, **cropping))


def stops(act):
    from comfy import model_management

    with pytest.raises(model_management.InterruptProcessingException):
        act()


def test_between_two_crops_of_an_image(cancels):
    from purecc_pack.purecc.host.data import image_tensors

    calls = cancels(image_tensors, "resize")
    stops(lambda: prepared(crops=9))
    assert len(calls) == 2


@pytest.mark.slow
def test_between_two_crops_that_are_encoded(cancels, models):
    from purecc_pack.purecc.host.data.references import encode
    from purecc_pack.purecc.text.concept import Concept

    references = prepared(crops=9)
    calls = cancels(models.vae, "encode")
    with torch.inference_mode():
        stops(lambda: encode(references, models.vae, Concept("robot", "instance")))
    assert len(calls) == 2


@pytest.mark.parametrize(("within", "most"), [("_lines", 2), ("_card", 2)])
def test_between_two_cards_of_the_contact_sheet(cancels, within, most):
    from purecc_pack.purecc.host.data.reference_sheet import sheet
    from purecc_pack.purecc.sheets import contact_sheet

    references = prepared(count=5)
    calls = cancels(contact_sheet, within)
    stops(lambda: sheet(references))
    assert len(calls) == most


def test_between_two_images_for_the_browser(cancels, host_folders):
    from purecc_pack.purecc.host.ui import cards

    references = prepared(count=5)
    calls = cancels(cards, "_card")
    stops(lambda: cards.cards(references))
    assert len(calls) == 2
