"""Compute figures from what the probe reads in images. Each measure is defined in its docstring.

All rates are fractions of pictures. A picture "shows the concept" if the probe reads the individual (near-misses are
answers of their own, and do not count) or the new style (likewise).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from concepts import Concept
from prompts import Asked
from torch import Tensor

from purecc_pack.tiny_world.individuals import NEAR_MISSES
from purecc_pack.tiny_world.probe import NOTHING, REGIONS, Reading


def shows(concept: Concept, reading: Reading, k: int) -> bool:
    """Return whether image k shows the concept."""
    return all(reading.words[head][k] == answer for head, answer in concept.wanted.items())


def follows(asked: Asked, reading: Reading, k: int) -> bool:
    """Return whether image k shows all that the prompt names besides the concept; of two things each must appear."""
    named, words = dict(asked.named), {head: answers[k] for head, answers in reading.words.items()}
    if "companion" in named:
        drawn = [(words["thing"], words["colour"]), (words["companion"], words["companion_colour"])]
        wanted = [(named.pop("companion"), named.pop("companion_colour"))]
        named.pop("position", None)
        if "thing" in named:
            wanted.append((named.pop("thing"), named.pop("colour")))
        if any(pair not in drawn for pair in wanted):
            return False
    return all(words[head] == answer for head, answer in named.items())


def picks(asked: Sequence[Asked], *groups: str) -> list[int]:
    """Return the numbers of the images of some groups."""
    return [k for k, a in enumerate(asked) if a.group in groups]


def fidelity(concept: Concept, asked: Sequence[Asked], reading: Reading) -> float:
    """Concept fidelity: requested pictures that show the concept on the background that the prompt names.

    Source: the probe, whose answers include near-misses of the concept. For a style also the thing must be right.
    """
    heads = ("background",) if concept.kind == "instance" else ("background", "thing")
    wanted = {k: {h: w for h, w in asked[k].named.items() if h in heads} for k in picks(asked, "requested")}
    return fmean(
        shows(concept, reading, k) and all(reading.words[h][k] == w for h, w in named.items())
        for k, named in wanted.items()
    )


def alone(concept: Concept, asked: Sequence[Asked], reading: Reading) -> float:
    """Fidelity where the concept also is where the prompt puts it, with no second thing beside it.

    Source: added after the claims, when pictures were judged by eye (eyes.py): `fidelity` says yes to a concept that
    is drawn twice, to pieces of it, and to one in the pose of the references.
    """
    heads = ("background", "position") if concept.kind == "instance" else ("background", "thing", "position")
    return fmean(
        shows(concept, reading, k)
        and all(reading.words[h][k] == w for h, w in asked[k].named.items() if h in heads)
        and reading.words["companion"][k] == NOTHING
        for k in picks(asked, "requested")
    )


def likeness(asked: Sequence[Asked], reading: Reading, true: Tensor) -> float:
    """Distance in an embedding: mean cosine of the probe's features of requested pictures and of their true drawings.

    Source: as CLIP-I and DINO (DreamBooth, arXiv 2208.12242), but against the picture that was asked for, which the
    drawing code makes. `true` is [requested, F], of unit length.
    """
    return float((reading.features[picks(asked, "requested")] * true).sum(1).mean())


def leak(concept: Concept, asked: Sequence[Asked], reading: Reading, group: str = "unnamed") -> float:
    """Leak, raw: pictures that show the references' confound, among those whose prompt leaves it unnamed.

    Tables give it against the base and plain LoRA: (rate - base's rate) / (LoRA's rate - base's rate).
    """
    head, answer = concept.confound
    return fmean(reading.words[head][k] == answer for k in picks(asked, group))


def taken(concept: Concept, asked: Sequence[Asked], reading: Reading) -> float:
    """Class word taken: pictures of the bare class word (for a style, of no style) that show the concept."""
    return fmean(shows(concept, reading, k) for k in picks(asked, "class"))


def following(asked: Sequence[Asked], reading: Reading, *groups: str) -> float:
    """Prompt following: pictures of some groups that show all that the prompt names besides the concept."""
    return fmean(follows(asked[k], reading, k) for k in picks(asked, *groups))


def seg_cons(asked: Sequence[Asked], reading: Reading, base: Reading, groups: Sequence[str] = ("requested",)) -> float:
    """Seg-Cons, 0-100: mean IoU between the segmentations of model and base at one seed, of what the prompt names.

    That is the background, and for a style the thing, too. An individual's own thing is not compared: it is to change.
    The model is asked with the concept and the base without it. Source: PureCC, Table 1; the segmentation is the
    probe's, learned from the drawing code's. Two seeds of the base have about 95: what counts is that the background
    that is named is there, more than that every place of it is the same.
    """
    scores = []
    for k in picks(asked, *groups):
        for word in (asked[k].named.get("background"), asked[k].named.get("thing")):
            if word is None:
                continue
            a, b = (r.regions[k] == REGIONS.index(word) for r in (reading, base))
            if (a | b).any():
                scores.append(float((a & b).sum() / (a | b).sum()))
    return 100 * fmean(scores) if scores else float("nan")


def change(asked: Sequence[Asked], latents: Tensor, base: Tensor, *groups: str) -> float:
    """Image change: mean of ‖z - z_base‖² / mean of ‖z_base‖² over pictures of some groups at one seed, in latents.

    Its floor, two seeds of the base, stands beside it in the tables.
    """
    k = picks(asked, *groups)
    return float((latents[k] - base[k]).square().mean() / base[k].square().mean())


def diversity(asked: Sequence[Asked], reading: Reading, group: str = "unnamed") -> float:
    """Diversity: mean distance 1 - cos between the probe's features of two pictures of a group; 0: one picture."""
    f = reading.features[picks(asked, group)]
    n = len(f)
    return float(1 - ((f @ f.T).sum() - n) / (n * (n - 1)))


def near(concept: Concept, asked: Sequence[Asked], reading: Reading) -> float:
    """Near-misses: requested pictures that show a near-miss of the concept instead of it."""
    ks = picks(asked, "requested")
    if concept.kind == "style":
        return fmean(reading.words["style"][k] == f"near {concept.word}" for k in ks)
    return fmean(reading.words["thing"][k] == concept.word and reading.words["look"][k] in NEAR_MISSES for k in ks)


def figures(
    concept: Concept, asked: Sequence[Asked], reading: Reading, base: Reading, latents: Tensor, base_latents: Tensor
) -> dict[str, float]:
    """Return all measures whose images were generated."""
    groups = {a.group for a in asked}
    out = {
        "fidelity": fidelity(concept, asked, reading),
        "alone": alone(concept, asked, reading),
        "near": near(concept, asked, reading),
        "leak": leak(concept, asked, reading),
        "class": taken(concept, asked, reading),
        "seg": seg_cons(asked, reading, base),
        "diversity": diversity(asked, reading),
    }
    if "other" in groups:
        out["leak other"] = leak(concept, asked, reading, "other")
    if "unrelated" in groups:
        out |= {
            "pair": fmean(shows(concept, reading, k) and follows(asked[k], reading, k) for k in picks(asked, "pair")),
            "follow": following(asked, reading, "unrelated", "unrelated pair"),
            "follow class": following(asked, reading, "class"),
            "follow concept": following(asked, reading, "requested", "pair"),
            "change": change(asked, latents, base_latents, "unrelated", "unrelated pair"),
        }
    return out
