"""Provide colours, fonts, lines of text and image cells for the sheets that Pillow paints."""

from __future__ import annotations

from PIL import Image, ImageFont
from PIL.ImageFont import FreeTypeFont
from torch import Tensor

INK, PALE, RULE, RED, GROUND = (40, 44, 52), (110, 116, 126), (205, 208, 214), (190, 20, 30), (236, 238, 241)

SYSTEM_FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial Unicode.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "DroidSansFallbackFull.ttf", "wqy-microhei.ttc"),
    *("msyh.ttc", "YuGothR.ttc", "malgun.ttf", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc"),
)
"""Font files of Linux, Windows and macOS that Pillow finds by name."""

Font = FreeTypeFont | ImageFont.ImageFont


def font(size: int = 14, text: str = "") -> Font:
    """Return Pillow's own font, or the system font that lacks fewest letters of a text that Pillow's cannot show."""
    own: Font = ImageFont.load_default(size)
    least, best = _lacking(own, text), own
    for name in SYSTEM_FONTS if least else ():
        try:
            face = ImageFont.truetype(name, size)
        except OSError:  # not on this system
            continue
        if (lacking := _lacking(face, text)) < least:
            least, best = lacking, face
        if not least:
            break
    return best


def _lacking(face: Font, text: str) -> int:
    """Count the different letters of a text for which the font has only its placeholder."""
    missing = bytes(face.getmask("\U0010fffe"))
    return sum(bytes(face.getmask(letter)) == missing for letter in set("".join(text.split())))


def wrapped(text: str, face: Font, width: float, most: int | None = None) -> list[str]:
    """Split a text into lines no wider than `width` pixels; beyond `most` lines it ends in an ellipsis.

    The work is linear in the text, and bounded by `most`.
    """
    lines = [""]
    for word in text.split():
        if most is not None and len(lines) > most:
            break
        while word:
            space = " " if lines[-1] else ""
            if _fitting(lines[-1] + space + word, face, width) == len(lines[-1] + space + word):
                lines[-1] += space + word
                break
            if lines[-1]:
                lines.append("")
                continue
            cut = max(1, _fitting(word, face, width))
            lines[-1], word = word[:cut], word[cut:]
            lines += [""] if word else []
            if most is not None and len(lines) > most:
                break
    if most is not None and len(lines) > most:
        return [*lines[: most - 1], lines[most - 1][:-4] + " ..."]
    return lines


def _fitting(text: str, face: Font, width: float) -> int:
    """Return how many letters from the beginning fit into a width, at most four a pixel; never measures many more."""
    most = min(len(text), 4 * max(1, int(width)))
    if most == len(text) and face.getlength(text) <= width:
        return most
    low, high = 0, min(most, 8)
    while low < high == min(most, max(8, 2 * low)) and face.getlength(text[:high]) <= width:
        low, high = high, min(most, 2 * high)
    while low < high:
        middle = (low + high + 1) // 2
        if face.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def image(picture: Tensor) -> Image.Image:
    """Convert an image [h, w, 3] in [0, 1] to Pillow's."""
    return Image.fromarray((picture.clamp(0, 1).float().cpu().numpy() * 255.0).round().astype("uint8"))


def fitted(width: int, height: int, cell: int) -> tuple[int, int]:
    """Scale a size down to at most `cell` a side, in the same shape; a smaller one stays."""
    scale = min(1.0, cell / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shortened(text: str, most: int = 100) -> str:
    """Return text that `font` can show, at most this many characters."""
    text = text.replace("Δ", "delta ")
    return text if len(text) <= most else text[: most - 3] + "..."


def cut(text: str, face: Font, width: float) -> str:
    """Cut a text to a width in pixels; a cut one ends in an ellipsis."""
    if _fitting(text, face, width) == len(text):
        return text
    room = width - face.getlength("\u2026")
    for k in range(_fitting(text, face, room) if room > 0 else 0, 0, -1):
        shorter = f"{text[:k].rstrip()}\u2026"
        if face.getlength(shorter) <= width:
            return shorter
    return ""
