"""Show the references of a dataset on a contact sheet, and say in a line what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from comfy.model_management import throw_exception_if_processing_interrupted as interrupted
from PIL import Image

from ...sheets import contact_sheet
from ...text.spelling import quoted
from .references import Reference

MOST_CARDS = 100
"""References on a contact sheet."""


def sheet(references: Sequence[Reference]) -> Image.Image:
    """Paint the contact sheet of prepared references, with problems in red; of very many, those with problems first."""
    shown = sorted(references, key=lambda r: not r.problem)[:MOST_CARDS] if len(references) > MOST_CARDS else references
    more = f" - {len(references) - len(shown)} not shown" if len(references) > len(shown) else ""
    return contact_sheet.paint([_card(r) for r in shown], title(references) + more, interrupted)


def title(references: Sequence[Reference]) -> str:
    """Return the number of references, their cropped sizes, and how many cannot be used."""
    sizes = Counter("{1} x {0}".format(*r.variants[0].shape[1:3]) for r in references if r.variants)
    out = f"{len(references)} {'reference' if len(references) == 1 else 'references'}"
    if len(sizes) > 1:
        out += ": " + ", ".join(f"{n} of {size}" for size, n in sizes.items())
    elif sizes:
        out += f", {next(iter(sizes))} pixels"
    if (target := next((r.texts.target for r in references if r.texts), None)) is not None:
        out += f" - learns {target}"
    wrong = sum(bool(r.problem) for r in references)
    return f"{out} - {wrong} cannot be used" if wrong else out


def same_captions(references: Sequence[Reference]) -> list[str]:
    """Return a warning if all of several references have one caption; else nothing."""
    texts = sorted({r.texts.complete for r in references if r.texts})
    if len(references) < 2 or len(texts) != 1:
        return []
    return [
        f"All {len(references)} images have the same caption, {quoted(texts[0])}. What they share is then learned too: "
        "describe what else is in each image."
    ]


def _card(reference: Reference) -> contact_sheet.Card:
    image = reference.variants[0][0] if reference.variants else None
    texts = reference.texts
    if texts is None:
        return contact_sheet.Card(image, (("caption", reference.caption or "(none)"),), False, reference.problem)
    shown = (("complete", texts.complete), ("base", texts.base), ("target", texts.target))
    note = (("note", reference.remark),) if reference.remark else ()
    return contact_sheet.Card(image, (*shown, *note), True, reference.problem)
