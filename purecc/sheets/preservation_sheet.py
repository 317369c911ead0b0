"""Paint a preservation report: the verdict, bars, the table, and the images beside the base's."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ..evaluation.preservation import Preservation, percent
from .canvas import INK, PALE, RULE, cut, font, image, shortened, wrapped

CELL, GAP, MARGIN, LINE = 168, 4, 20, 22
LEAST_WIDTH, BAR, LABEL, MOST_PICTURES = 900, 12, 210, 8
COLOURS = ((31, 119, 180), (214, 96, 20), (70, 150, 70), (140, 90, 170))


def paint(report: Preservation) -> Image.Image:
    """Paint the sheet, with as many seeds of every prompt as fit in a row."""
    return _Sheet(report).painted()


class _Sheet:
    """Paints twice, the first time to measure the height of the sheet."""

    def __init__(self, report: Preservation):
        self._report = report
        letters = report.concept.class_word + "".join(prompt.complete for prompt in report.prompts)
        self._small, self._large = font(14, letters), font(18, letters)
        base = report.outcomes[0].pictures.base
        height, width = base.shape[-3:-1]  # small images are enlarged, so that names fit under them
        scale = CELL / max(width, height)
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        self._models = 1 + len(report.outcomes)
        self._seeds = min(len(report.outcomes[0].pictures.seeds), max(1, MOST_PICTURES // self._models))
        self._block = self._models * (self._size[0] + GAP) + 4 * GAP
        self._width = max(LEAST_WIDTH, self._seeds * self._block) + 2 * MARGIN

    def painted(self) -> Image.Image:
        height = self._paint(Image.new("RGB", (self._width, 1)))
        sheet = Image.new("RGB", (self._width, height), "white")
        self._paint(sheet)
        return sheet

    def _paint(self, sheet: Image.Image) -> int:
        self._sheet, self._pen, self._y = sheet, ImageDraw.Draw(sheet), MARGIN
        for outcome, colour in zip(self._report.outcomes, COLOURS * 9, strict=False):
            self._say(f"{self._report.verdict(outcome)}.", self._large, colour if self._models > 2 else INK, 26)
        self._y += LINE // 2
        for group in self._report.groups:
            self._bars(group)
        self._figures()
        for remark in self._report.remarks():
            self._say(remark, self._small, PALE)
        for group in self._report.groups:
            self._pictures(group)
        return self._y + MARGIN

    def _say(self, text: str, face, colour, line: int = LINE) -> None:
        for part in wrapped(shortened(text, 2000), face, self._width - 2 * MARGIN):
            self._pen.text((MARGIN, self._y), part, font=face, fill=colour)
            self._y += line

    def _bars(self, group: str) -> None:
        """Paint a bar for every model's change and a grey one for the seed floor, all to one scale."""
        report = self._report
        known = [(o.name, report.change(o, group), c) for o, c in zip(report.outcomes, COLOURS * 9, strict=False)]
        bars = [*known, ("two seeds of the base", report.floor(group), RULE)]
        values = [v for g in report.groups for v in (report.floor(g), *(report.change(o, g) for o in report.outcomes))]
        most = max(v or 0.0 for v in values)
        room = self._width - 2 * MARGIN - LABEL - 70
        self._say(f"{report.title(group)} ({report.count(group)})", self._small, INK)
        for name, value, colour in bars:
            if value is None:
                continue
            self._pen.text((MARGIN, self._y), shortened(name, 26), font=self._small, fill=PALE)
            x, y = MARGIN + LABEL, self._y + 3
            length = round(room * value / most) if most else 0
            self._pen.rectangle([x, y, x + max(1, length), y + BAR], fill=colour)
            self._pen.text((x + length + 8, self._y), percent(value), font=self._small, fill=INK)
            self._y += LINE - 2
        self._y += LINE // 2

    def _figures(self) -> None:
        """Paint the rows of the table beside the changes: drift, and what encoders measured."""
        head, *rows = self._report.rows()
        rows = rows[len(self._report.groups) : len(rows) - len(self._report.prompts)]
        if not rows:
            return
        first = max(self._small.getlength(shortened(row[0])) for row in rows) + 24
        width = max(self._small.getlength(shortened(cell, 24)) for row in (head, *rows) for cell in row[1:-1]) + 24
        for row in ([head] if self._models > 2 else []) + rows:
            self._pen.text((MARGIN, self._y), shortened(row[0]), font=self._small, fill=INK)
            for k, cell in enumerate(row[1:-1], start=1):
                place = (MARGIN + first + k * width, self._y)
                self._pen.text(place, shortened(cell, 24), font=self._small, fill=INK, anchor="ra")
            self._y += LINE
        self._y += LINE // 2

    def _pictures(self, group: str) -> None:
        report = self._report
        self._y += LINE // 2
        self._pen.line([(MARGIN, self._y), (self._width - MARGIN, self._y)], fill=RULE)
        self._y += LINE // 2
        self._say(report.title(group), self._large, INK, 26)
        for p in report.members(group):
            self._say(report.prompts[p].complete, self._small, INK)
            for s in range(self._seeds):
                x = MARGIN + s * self._block
                self._picture(report.outcomes[0].pictures.base[p, s], x, "base model", "", PALE)
                for outcome, colour in zip(report.outcomes, COLOURS * 9, strict=False):
                    x += self._size[0] + GAP
                    self._picture(
                        outcome.pictures.customised[p, s], x, outcome.name, percent(outcome.changes[p][s]), colour
                    )
            self._y += self._size[1] + LINE + 2 * GAP

    def _picture(self, picture, x: int, name: str, figure: str, colour) -> None:
        """Paint an image with its model's name, cut to the room there is, and its change."""
        shown = image(picture).resize(self._size, Image.Resampling.LANCZOS)
        self._sheet.paste(shown, (x, self._y))
        face, y = font(12), self._y + self._size[1] + 2
        room = self._size[0] - face.getlength(" 10.0 %")  # the same for all, so that names are cut alike
        self._pen.text((x, y), cut(name, face, room), font=face, fill=PALE)
        self._pen.text((x + self._size[0], y), figure, font=face, fill=colour, anchor="ra")
