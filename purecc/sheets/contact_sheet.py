"""Paint the contact sheet of a concept: every cropped reference with its texts or its problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from .canvas import GROUND, INK, PALE, RED, font, image, wrapped

CELL, GAP, MARGIN, LINE, FONT = 256, 16, 14, 19, 15
MOST_COLUMNS, MOST_LINES = 4, 40
"""Lines of one text: more than 150 words."""


@dataclass(frozen=True)
class Card:
    """One reference on the sheet.

    Attributes:
        image: [h, w, 3] in [0, 1]; None if it cannot be used.
        texts: what stands under it, (label, text) each.
        readable: whether the texts can be used.
        problem: of image or texts; empty: none.
    """

    image: Tensor | None
    texts: tuple[tuple[str, str], ...]
    readable: bool = True
    problem: str = ""


def paint(cards: Sequence[Card], title: str, on_card: Callable[[], None] = lambda: None) -> Image.Image:
    """Paint the sheet of at least one card, under a title.

    Args:
        cards: the references.
        title: stands above them.
        on_card: called before the text of each card is laid out, and before it is painted; may raise to cancel.
    """
    letters = title + "".join(card.problem + "".join(map("".join, card.texts)) for card in cards)
    face, bold = font(FONT, letters), font(FONT + 2, letters)
    columns = min(MOST_COLUMNS, math.ceil(math.sqrt(len(cards))))
    width = columns * (CELL + GAP) - GAP + 2 * MARGIN
    heading = wrapped(title, bold, width - 2 * MARGIN)
    written = []
    for card in cards:
        on_card()
        written.append(_lines(card, face))
    rows = [range(k, min(k + columns, len(cards))) for k in range(0, len(cards), columns)]
    tops, y = [], MARGIN + len(heading) * LINE + GAP // 2
    for row in rows:
        tops.append(y)
        y += CELL + LINE // 2 + LINE * max(len(written[k]) for k in row) + GAP
    sheet = Image.new("RGB", (width, y - GAP + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for n, line in enumerate(heading):
        pen.text((MARGIN, MARGIN + n * LINE), line, font=bold, fill=INK)
    for top, row in zip(tops, rows, strict=True):
        for column, k in enumerate(row):
            on_card()
            _card(sheet, pen, face, cards[k], written[k], MARGIN + column * (CELL + GAP), top)
    return sheet


def _lines(card: Card, face) -> list[tuple[float, str, str, tuple]]:
    """Return (indent, label, text, colour) of every line under an image; a label stands on its text's first line."""
    out: list[tuple[float, str, str, tuple]] = []
    for label, text in card.texts:
        indent = face.getlength(f"{label}  ")
        for n, line in enumerate(wrapped(text, face, CELL - indent, MOST_LINES)):
            out.append((indent, "" if n else label, line, INK if card.readable else RED))
    reason = wrapped(card.problem, face, CELL, MOST_LINES) if card.problem else []
    return [*out, *((0, "", line, RED) for line in reason)]


def _card(sheet, pen, face, card: Card, lines, x: int, y: int) -> None:
    if card.image is None:
        pen.rectangle([x, y, x + CELL - 1, y + CELL - 1], fill=GROUND)
        pen.line([(x, y), (x + CELL - 1, y + CELL - 1)], fill=RED, width=2)
        pen.line([(x, y + CELL - 1), (x + CELL - 1, y)], fill=RED, width=2)
    else:
        shown = image(card.image)
        width, height = (max(1, round(side * CELL / max(shown.size))) for side in shown.size)
        scaled = shown.resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(scaled, (x + (CELL - width) // 2, y + CELL - height))
        if card.problem:
            pen.rectangle([x - 3, y - 3, x + CELL + 2, y + CELL + 2], outline=RED, width=3)
    y += CELL + LINE // 2
    for indent, label, text, colour in lines:
        pen.text((x, y), label, font=face, fill=PALE)
        pen.text((x + indent, y), text, font=face, fill=colour)
        y += LINE
