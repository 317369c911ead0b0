"""Try the rule of companions on references that it was not made on: results/companions.md.

    COMFYUI_PATH=... python benchmarks/quality/companions.py

Every individual beside three other things, in five references; and without any, or with another thing in each
reference, where nothing may be left out. Backgrounds, styles, colours and noise are drawn anew, captions do not name
the companion. The rule's limits were chosen on the benchmark's own sets (masks.md), on those of seeds 20 to 23, when
only words that were tried then stood beside a thing, and on those of 30 to 32; these are others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
SEED = 33
COUNT = 5
ALONE, MIXED = "none", "another in each"


def sets() -> Iterator[tuple[str, str, tuple]]:
    """Yield (thing, companion or ALONE or MIXED, scenes)."""
    from purecc_pack.tiny_world.backgrounds import BACKGROUNDS
    from purecc_pack.tiny_world.individuals import CONCEPT, INDIVIDUALS
    from purecc_pack.tiny_world.scenes import Scene
    from purecc_pack.tiny_world.styles import STYLES
    from purecc_pack.tiny_world.things import COLOURS, THINGS

    rng = Random(SEED)
    for thing in INDIVIDUALS:
        others = [word for word in THINGS if word != thing]
        for beside in (*rng.sample(others, 3), ALONE, MIXED):
            scenes, kinds = [], rng.sample(others, COUNT)
            for number in range(COUNT):
                words = {"background": rng.choice(list(BACKGROUNDS)), "style": rng.choice(list(STYLES))}
                scene = Scene(thing, "red", look=CONCEPT, seed=rng.randrange(10**6), **words)
                if beside == ALONE:
                    scenes.append(replace(scene, position=rng.choice(("left", "middle", "right"))))
                    continue
                shown = kinds[number] if beside == MIXED else beside
                placed = replace(scene, position=rng.choice(("left", "right")))
                scenes.append(replace(placed, companion=shown, companion_colour=rng.choice(list(COLOURS))))
            yield thing, beside, tuple(scenes)


def main() -> None:
    """Find the masks of all sets, and what was left out of them."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import World
    from concepts import Concept
    from making_sets import named
    from masks import figures
    from measuring import Silent
    from report import table

    from purecc_pack.purecc.host.training.find_masks import Masked, find_masks
    from purecc_pack.purecc.training.common_things import WORDS

    world = World(ROOT / "build" / "quality")

    def means(concept: Concept, masked: Masked) -> list[str]:
        known = [(i, i.mask) for i in masked.dataset.items if i.mask is not None]
        each = [figures(mask[0, 0], world.true_mask(concept, i)[0, 0]) for i, mask in known]
        return [f"{sum(column) / len(each):.2f}" for column in zip(*each, strict=True)]

    rows: list[list[str]] = []
    found, wrong, named_found = 0, 0, 0
    count = {"with": 0, "without": 0}
    for thing, beside, scenes in sets():
        captions = tuple(named(scene, "companion", "companion_colour") for scene in scenes)
        concept = Concept(f"{thing} {beside}", "instance", scenes, captions, ("companion", beside), "", thing)
        dataset = world._dataset(concept)
        masked = find_masks(world.models, dataset, Silent().phase)
        shared = beside not in (ALONE, MIXED)
        count["with" if shared else "without"] += 1
        found += shared and masked.companion == beside
        wrong += bool(masked.companion) and masked.companion != beside
        rows.append([thing, beside, masked.companion, *means(concept, masked), "", "", "", ""])
        if shared:
            told = find_masks(world.models, dataset, Silent().phase, companion=(beside,))
            named_found += told.companion == beside
            rows[-1][-4:] = [told.companion, *means(concept, told)]
        print(thing, beside, masked.companion or "-", flush=True)
    untried = sorted({beside for _, beside, *_ in rows} - {ALONE, MIXED, *WORDS})
    head = (
        f"Companions on new references: `companions.py`, seed {SEED}. Of {count['with']} sets with one, {found} were "
        f"found by name, and {named_found} if the user names it; of all {sum(count.values())}, {wrong} had something "
        f"left out under another name. Not among the words that are tried: {', '.join(untried) or 'none'}. In "
        "brackets: named by the user.\n\n"
    )
    measured = ["left out", "IoU", "concept covered", "rest covered"]
    text = head + table(["concept", "beside it", *measured, *(f"({m})" for m in measured)], rows)
    (HERE / "results" / "companions.md").write_text(text, encoding="utf-8")
    print(head)


if __name__ == "__main__":
    main()
