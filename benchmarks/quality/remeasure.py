"""Adds a measure to rows that were made before it was there, from the pictures that run.py has kept in build/quality.

    COMFYUI_PATH=... python benchmarks/quality/remeasure.py alone search ablate claim

Of the requested pictures only, at every measured step. Pictures are kept in half precision: how often fidelity, read
again, is what the row says is printed, and a row without its pictures is left as it is and named.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]


def main() -> None:
    """Rewrites the files of the phases."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    import measures
    from concepts import CONCEPTS
    from prompts import GROUPS, asked
    from report import RESULTS, rows
    from run import STATE

    from purecc_pack.purecc.tiny.probe import Probe

    name, probe = sys.argv[1], Probe.load()
    measure = {"alone": measures.alone}[name]
    for phase in sys.argv[2:]:
        records, same, read = rows(phase), 0, 0
        for record in records:
            if name in record["base"]:
                continue
            concept, label = CONCEPTS[record["concept"]], record["label"].replace(" ", "_")
            requested = asked(concept, {"requested": GROUPS["requested"]})
            path = STATE / phase / concept.name / f"{label}-{record['seed']}.pt"
            base = STATE / "base" / f"{concept.name}-{record['seed'] % 4}.pt"
            if not path.is_file():
                print(f"{phase}: no pictures of {record['label']}, {concept.name}, seed {record['seed']}")
                continue
            record["base"][name] = measure(
                concept, requested, probe.read(torch.load(base, weights_only=True)[: len(requested)])
            )
            for step, latents in torch.load(path, weights_only=True).items():
                reading, figures = probe.read(latents[: len(requested)].float()), record["curve"][str(step)]
                figures[name] = measure(concept, requested, reading)
                read += 1
                same += abs(measures.fidelity(concept, requested, reading) - figures["fidelity"]) < 1e-9
        print(f"{phase}: fidelity is the same in {same} of {read} readings")
        text = "".join(json.dumps(record) + "\n" for record in records)
        (RESULTS / f"{phase}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
