"""The curves that are painted of runs."""

import pytest
import torch
from PIL import ImageDraw

from purecc_pack.purecc.sheets.canvas import font
from purecc_pack.purecc.sheets.curves import COLOURS, PANEL, paint


def run(n=40, **values):
    loss = [1 / (k + 1) + 0.1 * (k % 3) for k in range(n)]
    return {"loss": loss, "title": "a run", **values}


def test_a_panel_for_each_thing_measured():
    width, height = PANEL
    assert paint([run()]).size == (width, height)
    more = run(**{"lambda": [0.1] * 40, "drift": [(10, 0.1), (40, 0.3)]})
    assert paint([more]).size == (width, 3 * height)
    assert paint([run(), more]).size == (width, 3 * height)


def test_the_line_is_where_its_values_are():
    """A falling loss: the dark line begins above where it ends."""
    picture = paint([{"loss": [1.0 - k / 99 for k in range(100)], "title": ""}])
    pixels = torch.tensor(list(picture.getdata())).view(picture.height, picture.width, 3)
    rows, columns = (pixels == torch.tensor(COLOURS[0])).all(-1).nonzero().T
    assert len(rows) > 300
    left, right = rows[columns < columns.min() + 20], rows[columns > columns.max() - 20]
    assert float(left.float().mean()) < float(right.float().mean()) - 80


@pytest.mark.parametrize("loss", [[0.5], [0.5, 0.5], [0.0], [1e-9, 2e-9], [1e9, 3.0]])
def test_short_and_flat_runs_are_drawn(loss):
    picture = paint([{"loss": loss, "title": "t", "lambda": [], "drift": [(1, 0.0)]}])
    colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert COLOURS[0] in colours and picture.height == 440


def test_the_losses_of_the_hosts_own_trainer_are_drawn():
    assert paint([{"loss": [3.0, 2.0, 1.0]}]).size[1] == 220


def test_every_letter_is_one_that_the_font_has(monkeypatch):
    written = []
    text = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, at, words, *a, **k: (written.append(words), text(self, at, words, *a, **k)),
    )
    paint([run(**{"lambda": [0.1] * 40, "drift": [(10, 0.1), (40, 0.3)]})])
    face = font(13)
    missing = bytes(face.getmask("\U0010fffe"))
    letters = set("".join(written)) - {" "}
    assert len(letters) > 15 and not [c for c in letters if bytes(face.getmask(c)) == missing]
