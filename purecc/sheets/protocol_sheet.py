"""Paint a protocol's images in pairs with their table."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ..evaluation.report import Report
from . import canvas
from .canvas import INK, PALE, RULE, shortened

CELL, GAP, MARGIN, LINE = 168, 4, 16, 22
MOST_SEEDS = 4


def paint(report: Report) -> Image.Image:
    """Paint the table with its notes, then a row of pairs (base, customised) per prompt, up to four seeds."""
    font = canvas.font(text="".join(prompt.complete for prompt in report.pictures.prompts))
    seeds = min(MOST_SEEDS, len(report.pictures.seeds))
    table = [[shortened(cell) for cell in row] for row in report.rows()]
    widths = [max(font.getlength(row[c]) for row in table) + 24 for c in range(len(table[0]))]
    remarks = [shortened(r) for r in report.remarks()]
    width, height = canvas.fitted(report.pictures.base.shape[-2], report.pictures.base.shape[-3], CELL)
    pair = 2 * (width + GAP) + 3 * GAP
    wide = max(seeds * pair, sum(widths), *(font.getlength(r) for r in remarks))
    table_height = LINE * (len(table) + len(remarks)) + 2 * MARGIN
    row_height = height + LINE + 2 * GAP
    tall = MARGIN + table_height + LINE + len(report.scores) * row_height + MARGIN
    sheet = Image.new("RGB", (round(wide) + 2 * MARGIN, tall), "white")
    pen = ImageDraw.Draw(sheet)
    y = _table(pen, font, table, widths, MARGIN)
    for remark in remarks:
        pen.text((MARGIN, y), remark, font=font, fill=PALE)
        y += LINE
    y += MARGIN
    pen.text((MARGIN, y), "Each pair: base model | customised model, the same seed", font=font, fill=INK)
    y += LINE
    for p, prompt in enumerate(report.pictures.prompts):
        pen.text((MARGIN, y), shortened(prompt.complete, 200), font=font, fill=INK)
        for s in range(seeds):
            for k, pictures in enumerate((report.pictures.base, report.pictures.customised)):
                shown = canvas.image(pictures[p, s]).resize((width, height), Image.Resampling.LANCZOS)
                sheet.paste(shown, (MARGIN + s * pair + k * (width + GAP), y + LINE))
        y += row_height
    return sheet


def _table(pen, font, table: list[list[str]], widths: list[float], y: int) -> int:
    for n, row in enumerate(table):
        x = float(MARGIN)
        for c, (cell, width) in enumerate(zip(row, widths, strict=True)):
            place, anchor = ((x, y), "la") if c == 0 else ((x + width, y), "ra")
            pen.text(place, cell, font=font, fill=INK, anchor=anchor)
            x += width
        y += LINE
        if n == 0 or (n + 1 < len(table) and table[n + 1][0].startswith("mean, with")):
            pen.line([(MARGIN, y - 4), (x, y - 4)], fill=RULE)
    return y + MARGIN
