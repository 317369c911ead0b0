"""What the sheets that are drawn with Pillow have in common: colours, lines of text, pictures in cells."""

from __future__ import annotations

from PIL import Image, ImageFont
from torch import Tensor

INK, PALE, RULE, RED, GROUND = (40, 44, 52), (110, 116, 126), (205, 208, 214), (190, 20, 30), (236, 238, 241)


def font(size: int = 14) -> ImageFont.FreeTypeFont:
    """Pillow's own font; it has no Greek and no script but the Latin."""
    return ImageFont.load_default(size)


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: float, most: int | None = None) -> list[str]:
    """A text as lines no longer than a width in pixels; with more lines than `most` the last ends in an ellipsis."""
    lines = [""]
    for piece in (p for word in text.split() for p in _pieces(word, face, width)):
        joined = f"{lines[-1]} {piece}".strip()
        if face.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(piece)
    if most is not None and len(lines) > most:
        return [*lines[: most - 1], lines[most - 1][:-4] + " ..."]
    return lines


def _pieces(word: str, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """A word in parts that each fit on a line."""
    out = []
    while len(word) > 1 and face.getlength(word) > width:
        cut = next(k for k in range(len(word) - 1, 0, -1) if k == 1 or face.getlength(word[:k]) <= width)
        out.append(word[:cut])
        word = word[cut:]
    return [*out, word]


def image(picture: Tensor) -> Image.Image:
    """A picture [h, w, 3] in [0, 1]."""
    return Image.fromarray((picture.clamp(0, 1).float().cpu().numpy() * 255.0).round().astype("uint8"))


def fitted(width: int, height: int, cell: int) -> tuple[int, int]:
    """A size of the same shape, at most `cell` a side, never larger than it is."""
    scale = min(1.0, cell / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shortened(text: str, most: int = 100) -> str:
    """Text that `font` can show, not longer than so many characters."""
    text = text.replace("Δ", "delta ")
    return text if len(text) <= most else text[: most - 3] + "..."
