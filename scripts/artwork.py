"""Paint the pack's icon and banner for the Registry: docs/icon.png (400 x 400) and docs/banner.png (21:9).

    python3 scripts/artwork.py

Nine cells of a model; one of them learns, eight stay as they were. Needs Pillow.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCALE = 4  # drawn larger, then reduced: smooth edges
GROUND, CELL, GOLD, WHITE, GREY = "#171a2b", "#525d97", "#ffb938", "#f5f6fb", "#aab1d3"
ICON, BANNER = 400, (1344, 576)


def cells(sheet: Image.Image, left: float, top: float, pitch: float, columns: int, rows: int, learned) -> None:
    """Paint a grid of cells onto `sheet`; `learned`, a (column, row), is a disc that glows."""
    side = pitch * 0.76
    centre = [start + place * pitch + side / 2 for start, place in zip((left, top), learned, strict=True)]
    glow = Image.new("L", sheet.size)
    ImageDraw.Draw(glow).ellipse(_disc(centre, side * 0.75), fill=130)
    sheet.paste(GOLD, mask=glow.filter(ImageFilter.GaussianBlur(side * 0.13)))
    pen = ImageDraw.Draw(sheet)
    for column in range(columns):  # over the glow: it touches no other cell
        for row in range(rows):
            x, y = left + column * pitch, top + row * pitch
            if (column, row) != learned:
                pen.rounded_rectangle((x, y, x + side, y + side), side * 0.24, fill=CELL)
    pen.ellipse(_disc(centre, side * 0.58), fill=GOLD)


def _disc(centre, radius: float) -> tuple[float, ...]:
    x, y = centre
    return x - radius, y - radius, x + radius, y + radius


def icon() -> Image.Image:
    """Return the icon, transparent outside its rounded corners."""
    size = ICON * SCALE
    sheet = Image.new("RGB", (size, size), GROUND)
    pitch = size * 0.286
    margin = (size - pitch * 2.76) / 2
    cells(sheet, margin, margin, pitch, 3, 3, (1, 1))
    corners = Image.new("L", sheet.size)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, size - 1, size - 1), size * 0.2, fill=255)
    sheet.putalpha(corners)
    return sheet.resize((ICON, ICON), Image.Resampling.LANCZOS)


def banner() -> Image.Image:
    """Return the banner: the name, what it is for, and a model in which one cell learns."""
    width, height = (side * SCALE for side in BANNER)
    sheet = Image.new("RGB", (width, height), GROUND)
    pitch = height / 4.4
    top = (height - pitch * 3.76) / 2
    cells(sheet, width - pitch * 4.1, top, pitch, 4, 4, (1, 2))
    pen = ImageDraw.Draw(sheet)
    left = int(height * 0.15)
    lines = [("PureCC", 0.235, WHITE, 0.36), ("Teach a model one concept.", 0.078, GREY, 0.6)]
    lines.append(("Leave the rest as it was.", 0.078, GOLD, 0.71))
    for text, size, colour, middle in lines:
        pen.text((left, height * middle), text, fill=colour, anchor="lm", font=ImageFont.load_default(height * size))
    return sheet.resize(BANNER, Image.Resampling.LANCZOS)


def main() -> None:
    """Paint both."""
    DOCS.mkdir(exist_ok=True)
    icon().save(DOCS / "icon.png", optimize=True)
    banner().save(DOCS / "banner.png", optimize=True)


if __name__ == "__main__":
    main()
