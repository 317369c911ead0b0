"""Captions without a space on the contact sheet."""

import time
from itertools import pairwise

import pytest
from PIL import ImageFont


@pytest.mark.parametrize("letter", ["x", "\u72d7", "\u0301", "x" * 50 + " "])
def test_the_contact_sheet_of_a_long_caption_is_drawn_at_once(comfyui, letter):
    """Cubic time took hours."""
    from purecc_pack.purecc.sheets.canvas import cut
    from purecc_pack.purecc.sheets.contact_sheet import CELL, MOST_LINES, Card, _lines, paint

    start = time.perf_counter()
    text = letter * 10_000
    card = Card(None, (("complete", text), ("base", text)), problem=text)
    paint([card] * 2, "2 references")
    face = ImageFont.load_default(15)
    assert cut(text, face, CELL).endswith("\u2026")
    assert time.perf_counter() - start < 10
    lines = _lines(card, face)
    assert len(lines) == 3 * MOST_LINES
    assert all(face.getlength(line) <= CELL for _, _, line, _ in lines if not line.endswith("..."))


def test_a_long_word_is_cut_where_it_no_longer_fits():
    from purecc_pack.purecc.sheets.canvas import wrapped

    face = ImageFont.load_default(15)
    lines = wrapped("a " + "wide" * 300 + " b", face, 120)
    assert "".join(lines).replace(" ", "") == "a" + "wide" * 300 + "b"
    for line, following in pairwise(lines[1:]):
        assert face.getlength(line) <= 120 < face.getlength(line + following[0]) or following == lines[-1]
