"""How much of the references' ground is in R(y_tar): results/leakage.md.

For every kept θ1 of an instance: the share of ‖R(y_tar)‖² outside the concept's true place, over noised references,
beside the share of the picture that lies outside; means over seeds. Equal shares mean that the direction knows nothing
of the concept's place; 0 means that it carries nothing but the concept. Run it after run.py ablate and claim, which
keep θ1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
DRAWS = 24


def main() -> None:
    """Measures every θ1 that is kept and writes the table."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import NAME, World, load_extractor
    from concepts import CONCEPTS
    from report import RESULTS, table
    from run import STATE

    from purecc_pack.purecc import objective
    from purecc_pack.purecc.host.assembly import assembled
    from purecc_pack.purecc.host.copies import trainable_world
    from purecc_pack.purecc.host.job import Job
    from purecc_pack.purecc.recipes import EXTRACTOR, PureLearning

    world, found = World(STATE), {}
    for folder in sorted(STATE.glob("extractor-200/*")):
        concept = CONCEPTS[folder.name.rpartition("-")[0]]
        if concept.kind == "style":
            continue
        dataset, extractor = world.dataset(concept), load_extractor(folder)
        job = Job(NAME, PureLearning(), layer_wise=extractor.layers is not None)
        energy = outside = area = 0.0
        with (
            trainable_world(),
            torch.no_grad(),
            assembled(world.model, world.clip, dataset, job, lambda text: None, extractor) as assembly,
        ):
            generator = torch.Generator().manual_seed(0)
            for item in dataset.items:
                away = 1 - world.true_mask(concept, item)
                x0 = assembly.field.latents_in(item.latents[:1]).expand(DRAWS, -1, -1, -1).float()
                t = objective.sample_timesteps(DRAWS, generator, shift=3.0)
                x_t = objective.interpolate(x0, torch.randn(x0.shape, generator=generator), t)
                v = assembly.trainee.run(EXTRACTOR, x_t, t, [item.texts.target] * DRAWS)
                r = objective.concept_direction(v, assembly.trainee.run(EXTRACTOR, x_t, t, [""] * DRAWS))
                energy += float(r.square().sum())
                outside += float((r.square() * away).sum())
                area += float(away.mean()) / len(dataset.items)
        found.setdefault(concept.name, []).append((outside / energy, area))
    lines = [[name, len(s), f"{fmean(o for o, _ in s):.2f}", f"{s[0][1]:.2f}"] for name, s in found.items()]
    text = table(["concept", "seeds", "share of ‖R(y_tar)‖² outside the concept", "of the picture"], lines)
    (RESULTS / "leakage.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
