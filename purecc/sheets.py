"""What the sheets that are drawn with Pillow have in common: colours, lines of text, pictures in cells."""

from __future__ import annotations

from PIL import Image, ImageFont
from torch import Tensor

INK, PALE, RULE, RED, GROUND = (40, 44, 52), (110, 116, 126), (205, 208, 214), (190, 20, 30), (236, 238, 241)

SYSTEM_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial Unicode.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "DroidSansFallbackFull.ttf", "wqy-microhei.ttc"),
    *("msyh.ttc", "YuGothR.ttc", "malgun.ttf", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc"),
)
"""Files of fonts that Linux, Windows and macOS have, where Pillow finds them by name."""


def font(size: int = 14, text: str = "") -> ImageFont.FreeTypeFont:
    """Pillow's own font; for a text with letters that it lacks, all but the English, the system's that lacks fewest."""
    own = ImageFont.load_default(size)
    least, best = _lacking(own, text), own
    for name in SYSTEM_FONTS if least else ():
        try:
            face = ImageFont.truetype(name, size)
        except OSError:  # this system has no such font
            continue
        if (lacking := _lacking(face, text)) < least:
            least, best = lacking, face
        if not least:
            break
    return best


def _lacking(face: ImageFont.FreeTypeFont, text: str) -> int:
    """How many different letters of a text the font draws as it draws what nobody has."""
    missing = bytes(face.getmask("\U0010fffe"))
    return sum(bytes(face.getmask(letter)) == missing for letter in set("".join(text.split())))


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


def cut(text: str, face: ImageFont.FreeTypeFont, width: float) -> str:
    """A text no longer than a width in pixels; one that is cut ends in an ellipsis."""
    if face.getlength(text) <= width:
        return text
    fitting = (f"{text[:k].rstrip()}\u2026" for k in range(len(text) - 1, 0, -1))
    return next((t for t in fitting if face.getlength(t) <= width), "")
