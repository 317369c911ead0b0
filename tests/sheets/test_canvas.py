"""What the drawn sheets have in common."""

import pytest
from PIL import ImageFont

ONE_LETTER = """STARTFONT 2.1
FONT -x-x-medium-r-normal--15-150-72-72-c-80-iso10646-1
SIZE 15 72 72
FONTBOUNDINGBOX 8 15 0 0
STARTPROPERTIES 3
FONT_ASCENT 15
FONT_DESCENT 0
DEFAULT_CHAR 0
ENDPROPERTIES
CHARS 2
STARTCHAR missing
ENCODING 0
SWIDTH 500 0
DWIDTH 8 0
BBX 8 15 0 0
BITMAP
{}ENDCHAR
STARTCHAR dog
ENCODING 29356
SWIDTH 500 0
DWIDTH 8 0
BBX 8 15 0 0
BITMAP
{}ENDCHAR
ENDFONT
""".format("FF\n" * 15, "AA\n55\n" * 7 + "FF\n")  # U+72AC


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system with a font that has the Chinese letter for a dog and nothing else."""
    from purecc_pack.purecc.sheets import canvas

    (tmp_path / "dogs.bdf").write_text(ONE_LETTER)
    monkeypatch.setattr(canvas, "SYSTEM_FONTS", ("there is none.ttf", str(tmp_path / "dogs.bdf")))
    return canvas


def test_letters_that_the_own_font_lacks_are_drawn_with_the_systems(system):
    mine, own = system.font(15, "\u72ac"), ImageFont.load_default(15)
    assert str(mine.path).endswith("dogs.bdf") and bytes(mine.getmask("\u72ac")) != bytes(own.getmask("\u72ac"))
    assert system.font(15, "a robot, [v] - 100 %").getname() == own.getname(), "English needs no other"
    assert system.font(15, "\u72ac and more").getname() == own.getname(), "a font that lacks more is no help"


def test_without_such_a_font_the_own_one_draws_what_it_can(system, monkeypatch):
    monkeypatch.setattr(system, "SYSTEM_FONTS", ("there is none.ttf",))
    assert system.font(15, "\u72ac").getname() == ImageFont.load_default(15).getname()


def test_the_contact_sheet_is_written_in_it(system, monkeypatch):
    from purecc_pack.purecc.sheets import contact_sheet

    asked = []
    monkeypatch.setattr(contact_sheet, "font", lambda size, text="": asked.append(text) or system.font(size))
    contact_sheet.paint([contact_sheet.Card(None, (("caption", "\u72ac"),), False, "r\u00e9sum\u00e9")], "1 reference")
    assert all({"\u72ac", "\u00e9", "1"} <= set(text) for text in asked) and len(asked) == 2


def test_a_long_caption_is_drawn_to_its_last_word(comfyui):
    """Also a problem's, and the row is as high as the longest; a text beyond all measure ends in an ellipsis."""
    from purecc_pack.purecc.sheets import contact_sheet

    face = ImageFont.load_default(contact_sheet.FONT)
    caption = " ".join(["weathered"] * 76) + ", in [v] style"
    long = contact_sheet.Card(
        None, (("complete", caption), ("base", "a house")), problem=f"Caption 1 of 1: {caption!r}"
    )
    short = contact_sheet.Card(None, (("complete", "a house, in [v] style"),))
    drawn = [text for *_, text, _ in contact_sheet._lines(long, face)]
    assert " ".join(drawn) == f"{caption} a house Caption 1 of 1: {caption!r}"
    assert contact_sheet.paint([short, long], "2").height - contact_sheet.paint([short] * 2, "2").height == 19 * (
        len(drawn) - 1
    )
    endless = contact_sheet._lines(contact_sheet.Card(None, (("caption", "word " * 2000),)), face)
    assert len(endless) == contact_sheet.MOST_LINES and endless[-1][2].endswith("...")


def test_what_is_cut_says_so():
    from purecc_pack.purecc.sheets.canvas import cut

    face = ImageFont.load_default(12)
    room = face.getlength("anchored\u2026")
    assert cut("anchored", face, room) == "anchored" and cut("anchored_try", face, room) == "anchored\u2026"
    assert cut("anchored by", face, room) == "anchored\u2026" and cut("anchored", face, 1) == ""
