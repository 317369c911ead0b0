"""Measure why styles are learned late or not at all: results/styles.md; resumes from results/styles.jsonl.

    COMFYUI_PATH=... python benchmarks/quality/styles.py [--seeds 0 1 2]

The style of the development concepts, early steps watched closely. Two suspicions are put to the test. That a LoRA on
attention finds out what to do from the picture, and so knows only grounds like those of the references: then one on
the modulation of the blocks, which sees text and time but no picture, does it on every ground. And that guidance
overshoots, because the empty prompt, tied to the base, never comes to expect the style as it does with plain LoRA: then
the same adapter at guidance 2 draws it better, and so does one that was trained to half the strength.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
STYLE, SEEDS, POINTS = "glass", (0, 1, 2), (20, 40, 80, 120, 200)
COLUMNS = {"fidelity": "style on the requested background", "likeness": "likeness", "leak": "its ground, unnamed"}
COLUMNS |= {"class": "style unasked", "drift": "drift"}


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS, choices=SEEDS, help="these alone are run")
    wanted = parser.parse_args().seeds

    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import World
    from concepts import CONCEPTS
    from measuring import Budget
    from methods import METHODS
    from report import RESULTS, table
    from report import rows as results
    from run import STATE
    from samples import CFG

    lora = METHODS["lora-token"].at(lr=4e-3)
    attention = METHODS["anchored"].at(target="attention and mlp", strength=1.0)
    modulation = METHODS["anchored"].at(target="modulation", strength=1.0)
    rows = {
        "LoRA": (lora, CFG),
        "LoRA on modulation": (lora.at(target="modulation"), CFG),
        "anchored": (attention, CFG),
        "anchored, guidance 2": (attention, 2.0),
        "anchored on modulation": (modulation, CFG),
        "anchored on modulation, guidance 2": (modulation, 2.0),
        "anchored on modulation, half strength": (modulation.at(strength=0.5), CFG),
        "anchored, half strength": (attention.at(strength=0.5), CFG),
    }
    known = {(r["label"], r["seed"]): r for r in results("styles")}
    world = World(STATE)
    for seed in wanted:
        for name, (method, guidance) in rows.items():
            if (name, seed) not in known:
                budget = Budget(POINTS[-1], POINTS, False, guidance=guidance)
                record = {"label": name, **world.run(CONCEPTS[STYLE], method, seed, budget)[0]}
                with (RESULTS / "styles.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    known = {(r["label"], r["seed"]): r for r in results("styles")}
    if len(known) < len(rows) * len(SEEDS):
        print(f"{len(known)} of {len(rows) * len(SEEDS)} runs are there; the table is written when all are.")
        return
    lines = []
    for name in rows:
        for step in map(str, POINTS):
            curves = [known[name, seed]["curve"][step] for seed in SEEDS]
            lines.append([name, step, *(f"{fmean(c[key] for c in curves):.3f}" for key in COLUMNS)])
    head = f"Means over {len(SEEDS)} seeds; LoRA's lr 4e-3, anchored's 8e-3; guidance {CFG:g} if not named.\n\n"
    text = f"# The style {STYLE}, step by step\n\n{head}" + table(["method", "step", *COLUMNS.values()], lines)
    (RESULTS / "styles.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
