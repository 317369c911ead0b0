"""What Concept Dataset shows on its node: the contact sheet, and in words what is wrong."""

import pytest
import runs
import torch

from purecc_pack.purecc.text.captions import CaptionInput
from purecc_pack.purecc.text.concept import Concept


def test_the_node_shows_a_contact_sheet(models, comfyui):
    from pathlib import Path

    import folder_paths
    from PIL import Image

    from purecc_pack.nodes import ConceptDataset
    from purecc_pack.purecc.sheets import contact_sheet

    made = runs.execute(
        ConceptDataset,
        images=runs.pictures(),
        captions=["a [v] robot"],
        class_word=["robot"],
        resolution=[0],
        vae=[models.vae],
    )
    (saved,) = made.ui["images"]
    assert saved["type"] == "temp"
    with Image.open(Path(folder_paths.get_temp_directory()) / saved["subfolder"] / saved["filename"]) as sheet:
        assert (
            sheet.width == 2 * (contact_sheet.CELL + contact_sheet.GAP) - contact_sheet.GAP + 2 * contact_sheet.MARGIN
        )
        assert sheet.height > 2 * contact_sheet.CELL


def red(picture):
    """How many of its pixels are as red as a complaint."""
    pixels = torch.tensor(list(picture.convert("RGB").get_flattened_data()), dtype=torch.float32)
    return int(((pixels - torch.tensor([190.0, 20.0, 30.0])).abs().amax(1) < 40).sum())


@pytest.mark.parametrize("what", ["caption", "picture"])
def test_what_is_wrong_stands_in_red_in_its_place(comfyui, what):
    from purecc_pack.purecc.host.data import reference_sheet, references
    from purecc_pack.purecc.host.data.image_tensors import Cropping

    grey, captions = [torch.full((1, 64, 64, 3), 0.5) for _ in range(2)], ["a [v] robot", "a [v] robot"]
    given = CaptionInput(captions), Concept("robot"), Cropping(0)
    good = references.prepare(grey, *given)
    assert (
        red(reference_sheet.sheet(good)) == 0
        and reference_sheet.title(good) == "2 references, 64 x 64 pixels - learns [v] robot"
    )
    if what == "caption":
        captions[1] = "a toy"
    else:
        grey[1] = grey[1][..., :2]
    wrong = references.prepare(grey, *given)
    assert [bool(r.problem) for r in wrong] == [False, True] and "1 cannot be used" in reference_sheet.title(wrong)
    sheet = reference_sheet.sheet(wrong)
    half = sheet.width // 2 - 4
    assert red(sheet.crop((0, 0, half, sheet.height))) == 0
    assert red(sheet.crop((half, 0, sheet.width, sheet.height))) > 500


def test_the_node_says_in_words_what_is_wrong(models, monkeypatch):
    """In the page's own text, where every script can be read."""
    from purecc_pack.nodes import ConceptDataset, dataset

    said = []
    monkeypatch.setattr(dataset, "say", lambda text, node: said.append(text))
    with pytest.raises(ValueError, match="Caption 2 of 2"):
        captions = ["a [v] robot", "\u72ac"]
        values = {"class_word": ["robot"], "resolution": [0], "vae": [models.vae]}
        runs.execute(ConceptDataset, images=runs.pictures(2), captions=captions, **values)
    title, problem, *_ = said[0].splitlines()
    assert title == "2 references, 64 x 64 pixels - learns [v] robot - 1 cannot be used:"
    assert problem.startswith("Caption 2 of 2: Caption '\u72ac' has")


def test_the_sheet_says_which_sizes_there_are(comfyui):
    from purecc_pack.purecc.host.data import reference_sheet, references
    from purecc_pack.purecc.host.data.image_tensors import Cropping

    sizes = [torch.rand(1, 100, 200, 3), torch.rand(1, 64, 64, 3), torch.rand(1, 110, 220, 3)]
    made = references.prepare(sizes, CaptionInput(), Concept("robot"), Cropping(96, "none"))
    assert reference_sheet.title(made) == "3 references: 2 of 128 x 64, 1 of 96 x 96 - learns [v] robot"
