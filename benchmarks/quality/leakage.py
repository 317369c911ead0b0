"""How much of the references' ground is in R(y_tar): results/leakage.md.

For θ1 of every instance of the development (seeds 0 to 2) and the claims (0 to 4): the share of ‖R(y_tar)‖² outside the
concept's true place, over noised references, beside the share of the picture that lies outside. Equal shares mean that
the direction knows nothing of the concept's place; 0 means that it carries nothing but the concept. The control is the
base's own direction for the class word, v(class) − v(∅), which has never seen the ground. Run it after run.py ablate
and claim, which keep θ1.
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
    from concepts import CLAIM, CONCEPTS, DEVELOPMENT
    from report import RESULTS, table
    from run import STATE

    from purecc_pack.purecc import objective
    from purecc_pack.purecc.host.assembly import assembled
    from purecc_pack.purecc.host.copies import trainable_world
    from purecc_pack.purecc.host.job import Job
    from purecc_pack.purecc.recipes import BASE, EXTRACTOR, PureLearning
    from purecc_pack.purecc.texts import class_prompt

    world, found = World(STATE), {}
    wanted = [(n, s) for names, seeds in ((DEVELOPMENT, 3), (CLAIM, 5)) for n in names for s in range(seeds)]
    for name, seed in wanted:
        concept, folder = CONCEPTS[name], STATE / "extractor-200" / f"{name}-{seed}"
        if concept.kind == "style":
            continue
        if not folder.is_dir():
            print(f"no extractor of {name}, seed {seed}: run.py has not made it yet")
            continue
        dataset, extractor = world.dataset(concept), load_extractor(folder)
        job = Job(NAME, PureLearning(), layer_wise=extractor.layers is not None)
        told, squares, area = [class_prompt(concept.class_word)], [], 0.0
        with (
            trainable_world(),
            torch.no_grad(),
            assembled(world.model, world.clip, dataset, job, lambda text: None, extractor, told) as assembly,
        ):
            generator = torch.Generator().manual_seed(0)
            for item in dataset.items:
                away = 1 - world.true_mask(concept, item)
                x0 = assembly.field.latents_in(item.latents[:1]).expand(DRAWS, -1, -1, -1).float()
                t = objective.sample_timesteps(DRAWS, generator, shift=3.0)
                x_t = objective.interpolate(x0, torch.randn(x0.shape, generator=generator), t)
                directions = []
                for branch, text in ((EXTRACTOR, item.texts.target), (BASE, told[0])):
                    v = assembly.trainee.run(branch, x_t, t, [text] * DRAWS)
                    directions.append(
                        objective.concept_direction(v, assembly.trainee.run(branch, x_t, t, [""] * DRAWS))
                    )
                for k, when in enumerate(t.tolist()):
                    parts = [
                        (float(r[k].square().sum()), float((r[k : k + 1].square() * away).sum())) for r in directions
                    ]
                    squares.append((when, *parts))
                area += float(away.mean()) / len(dataset.items)
        found.setdefault(name, []).append((squares, area))

    def share(squares: list, which: int, low: float = 0.0, high: float = 1.0) -> float:
        chosen = [row[which] for row in squares if low <= row[0] <= high]
        return sum(outside for _, outside in chosen) / sum(whole for whole, _ in chosen)

    lines = []
    for name, seeds in found.items():
        own = [share(squares, 1) for squares, _ in seeds]
        times = [fmean(share(s, 1, k / 3, (k + 1) / 3) for s, _ in seeds) for k in range(3)]
        base = fmean(share(squares, 2) for squares, _ in seeds)
        spread = f"{fmean(own):.2f} ({min(own):.2f} to {max(own):.2f})"
        lines.append([name, len(seeds), spread, *(f"{x:.2f}" for x in (*times, base, seeds[0][1]))])
    header = ["concept", "seeds", "share of ‖R(y_tar)‖² outside the concept", "t < 1/3", "1/3 to 2/3", "t > 2/3"]
    text = table([*header, "the base's class direction", "of the picture"], lines)
    (RESULTS / "leakage.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
