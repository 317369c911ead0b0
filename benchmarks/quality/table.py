"""The README's table: what each method learns, and what it does to the rest of the model, on PureCC Tiny.

    python scripts/test.py            # once: installs the host
    COMFYUI_PATH=... python benchmarks/quality/table.py --seeds 5

Every (method, seed) is trained with the quickstart's settings, measured, and kept in build/quality, so that a second
call goes on where the first one ended. The last call writes results/table.json and results/table.md beside this file.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

import methods as table_methods  # noqa: E402
import prompts as table_prompts  # noqa: E402
from pack import load_pack  # noqa: E402

NAME = "concept"
STATE = ROOT / "build" / "quality"

COLUMNS = {
    "requested": "concept on requested background",
    "unnamed": "references' background, concept without background",
    "other": "references' background, other things",
    "class": "concept for the bare class word",
    "unrelated": "prompt followed, without the concept",
    "drift": "drift",
}


class Bench:
    """The embedded base, its probe, the quickstart's dataset and settings, and a run for every (method, seed)."""

    def __init__(self, count: int):
        from purecc_pack.purecc.host import datasets, latents
        from purecc_pack.purecc.host.tiny import load_tiny_checkpoint
        from purecc_pack.purecc.tiny import concept
        from purecc_pack.purecc.tiny.probe import Probe

        self.count = count
        self.extractor_options = quickstart_options("PureCCTrainExtractor")
        self.learner_options = quickstart_options("PureCCPureLearning")
        self.model, self.clip, self.vae = load_tiny_checkpoint([])
        self.probe = Probe.load()
        pictures = [latents.from_pil(p) for p in concept.reference_images()]
        self.dataset = datasets.build(pictures, concept.reference_captions(), "robot", "instance", self.vae, 96)

    def run(self, method: table_methods.Method, seed: int) -> dict:
        """Trains and measures one method with one seed."""
        adapter, drift, seconds = None, 0.0, 0.0
        if method.stage_one:
            adapter = self.extractor(seed)
            report = json.loads(adapter.metadata["purecc.report"])
            drift, seconds = report["drift"][-1][1], report["seconds"]
        if method.recipe is not None:
            outcome = self._train("adapter", method.recipe, seed, self.learner_options, adapter)
            adapter, drift = outcome.adapter, outcome.history.drift[-1][1]
            seconds += outcome.history.seconds
        return {**self.measure(adapter, seed), "drift": drift, "train_seconds": seconds}

    def extractor(self, seed: int):
        """Stage 1 with one seed, trained once and kept on disk."""
        from purecc_pack.purecc import files, recipes

        folder = STATE / f"extractor-{seed}"
        path = folder / "loras" / f"{NAME}.safetensors"
        if not path.is_file():
            outcome = self._train("extractor", recipes.ConceptCustomisation(), seed, self.extractor_options, None)
            for part in ("loras", "embeddings"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            files.save(outcome.adapter, folder / "loras", folder / "embeddings", overwrite=True)
        return files.load(path, embeddings_dirs=[folder / "embeddings"])

    def _train(self, kind: str, recipe, seed: int, options: dict, extractor):
        from purecc_pack.purecc.host.session import Job, customise

        changed = {"name": NAME, "sample_every": 0, "drift_every": 10**9}
        settings = dataclasses.replace(options["settings"], seed=seed)
        job = Job(recipe=recipe, kind=kind, **{**options, **changed, "settings": settings})
        return customise(self.model, self.clip, self.dataset, job, Silent(), extractor)

    def measure(self, adapter, seed: int) -> dict:
        """The probe's reading of what the customised model draws; each group a fraction."""
        import torch

        from purecc_pack.purecc.host.apply import apply
        from purecc_pack.purecc.host.tiny_sampling import generate
        from purecc_pack.purecc.texts import prompt
        from purecc_pack.purecc.tiny import captions, concept
        from purecc_pack.purecc.tiny.backgrounds import BACKGROUNDS
        from purecc_pack.purecc.tiny.things import COLOURS, THINGS

        wanted = table_prompts.asked(
            captions, list(THINGS), list(COLOURS), list(BACKGROUNDS), concept.BACKGROUND, self.count
        )
        model, clip = self.model, self.clip
        with torch.inference_mode():
            if adapter is not None:
                model, clip = apply(model, clip, adapter)
            texts = [prompt(a.text, NAME) if adapter is not None else a.text.replace("[v] ", "") for a in wanted]
            images = generate(model, clip, self.vae, texts, [a.seed + 100_000 * seed for a in wanted])
        read = self.probe.read(images.clone())
        hits: dict[str, list[bool]] = {}
        for k, a in enumerate(wanted):
            hits.setdefault(a.group, []).append(all(read[head][k] == answer for head, answer in a.wanted.items()))
        self.images = images
        return {group: sum(h) / len(h) for group, h in hits.items()}


class Silent:
    """A listener that says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def step(self, step, preview) -> None:
        """Nothing."""


def quickstart_options(node_id: str) -> dict:
    """What a training node of the quickstart workflow trains with: its Job's arguments, from the workflow."""
    from comfy_api.latest._io import WidgetInput

    from purecc_pack.nodes import NODES, training_inputs

    (schema,) = (s for s in (node.define_schema() for node in NODES) if s.node_id == node_id)
    names = []
    for entry in schema.inputs:
        if isinstance(entry, WidgetInput):
            names += [entry.id] + ["after"] * bool(getattr(entry, "control_after_generate", None))
    graph = json.loads((ROOT / "workflows" / "quickstart.json").read_text(encoding="utf-8"))
    (saved,) = (node for node in graph["nodes"] if node["type"] == node_id)
    return training_inputs.job_options(dict(zip(names, saved["widgets_values"], strict=True)))


def summarise(runs: dict[str, list[dict]]) -> dict[str, dict[str, list[float]]]:
    """Mean and standard deviation over the seeds, by method and column."""
    import statistics

    out: dict[str, dict[str, list[float]]] = {}
    for method, rows in runs.items():
        out[method] = {
            column: [
                statistics.mean(r[column] for r in rows),
                statistics.stdev([r[column] for r in rows]) if len(rows) > 1 else 0.0,
            ]
            for column in (*COLUMNS, "train_seconds")
        }
    return out


def markdown(summary: dict, titles: dict[str, str]) -> str:
    """The table as it stands in the README."""
    lines = ["| method | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for method, columns in summary.items():
        cells = [
            f"{mean:.4f} ± {spread:.4f}" if column == "drift" else f"{mean:.2f} ± {spread:.2f}"
            for column, (mean, spread) in ((c, columns[c]) for c in COLUMNS)
        ]
        lines.append(f"| {titles[method]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--count", type=int, default=28, help="pictures a group")
    parser.add_argument("--methods", nargs="*", help="only these; nothing is written to results/")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--share", default="1/1", help="K/N: this process runs the K-th of N shares and writes no table"
    )
    arguments = parser.parse_args()
    load_pack()
    import torch

    from purecc_pack.purecc import recipes

    torch.set_num_threads(arguments.threads)
    bench = Bench(arguments.count)
    chosen = table_methods.methods(recipes)
    STATE.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[dict]] = {}
    part, parts = (int(n) for n in arguments.share.split("/"))
    for number, (seed, key) in enumerate(itertools.product(range(arguments.seeds), arguments.methods or chosen)):
        if number % parts == part - 1:
            path = STATE / f"{key}-{seed}.json"
            if not path.is_file():
                result = bench.run(chosen[key], seed)
                path.write_text(json.dumps(result), encoding="utf-8")
                print(key, seed, {k: round(v, 4) for k, v in result.items()}, flush=True)
            runs.setdefault(key, []).append(json.loads(path.read_text(encoding="utf-8")))
    if parts > 1:
        return
    summary = summarise(runs)
    table = markdown(summary, {k: m.title for k, m in chosen.items()})
    print(table)
    if arguments.methods:
        return
    threads = f"{arguments.threads} thread(s) a process"
    about = {
        "command": f"python benchmarks/quality/table.py --seeds {arguments.seeds} --count {arguments.count}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, CPU, {threads}, torch {torch.__version__}",
        "extractor": dataclasses.asdict(bench.extractor_options["settings"]),
        "learner": dataclasses.asdict(bench.learner_options["settings"]),
        "methods": {key: method.title for key, method in chosen.items()},
        "columns": COLUMNS,
        "mean and deviation over seeds": summary,
        "runs": runs,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "table.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (HERE / "results" / "table.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
