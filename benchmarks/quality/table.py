"""The README's table: what each method learns, and what it does to the rest of the model, on PureCC Tiny.

    python scripts/test.py            # once: installs the host
    COMFYUI_PATH=... python benchmarks/quality/table.py --seeds 5

Every (method, seed) is trained with the quickstart's settings, measured, and kept in build/quality, so that a second
call goes on where the first one ended. The last call writes results/table.json and results/table.md beside this file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

import methods as table_methods
import prompts as table_prompts
from pack import load_pack

COLUMNS = {
    "requested": "concept on requested background",
    "unnamed": "references' background, concept without background",
    "other": "references' background, other things",
    "class": "concept for the bare class word",
    "unrelated": "prompt followed, without the concept",
    "drift": "drift",
}


class Bench:
    """The embedded base, its probe, the dataset, and a run for every (method, seed)."""

    def __init__(self, settings: dict, count: int):
        from purecc_pack.purecc.host import datasets, latents
        from purecc_pack.purecc.host.tiny import load_tiny_checkpoint
        from purecc_pack.purecc.tiny import concept
        from purecc_pack.purecc.tiny.probe import Probe

        self.settings, self.count = settings, count
        self.model, self.clip, self.vae = load_tiny_checkpoint([])
        self.probe = Probe.load()
        pictures = [latents.from_pil(p) for p in concept.reference_images()]
        self.dataset = datasets.build(pictures, concept.reference_captions(), "robot", "instance", self.vae, 96)

    def run(self, method: table_methods.Method, seed: int) -> dict:
        """Trains and measures one method with one seed."""
        from purecc_pack.purecc import recipes

        began = time.perf_counter()
        extractor, adapter, drift = None, None, 0.0
        if method.stage_one:
            outcome = self._train("extractor", recipes.ConceptCustomisation(), seed, self.settings["steps"], None)
            extractor = adapter = outcome.adapter
            drift = outcome.history.drift[-1][1]
        if method.recipe is not None:
            outcome = self._train("adapter", method.recipe, seed, method.steps, extractor)
            adapter, drift = outcome.adapter, outcome.history.drift[-1][1]
        trained = time.perf_counter() - began
        result = self.measure(adapter, seed)
        return {**result, "drift": drift, "train_seconds": trained, "seconds": time.perf_counter() - began}

    def _train(self, kind: str, recipe, seed: int, steps: int, extractor):
        from purecc_pack.purecc.branches import LoraSpec
        from purecc_pack.purecc.host.session import Job, customise
        from purecc_pack.purecc.training import Settings

        s = self.settings
        settings = Settings(
            steps=steps,
            batch=s["batch"],
            lr=s["lr"],
            embedding_lr=s["embedding_lr"],
            schedule=s["schedule"],
            warmup=s["warmup"],
            seed=seed,
        )
        job = Job(
            table_prompts.NAME,
            recipe,
            kind=kind,
            lora=LoraSpec(s["rank"], float(s["rank"]), s["target_layers"]),
            settings=settings,
            layer_wise=s["layer_wise"],
            drift_every=10**9,
            drift_prompts=tuple(s["drift_prompts"]),
        )
        return customise(self.model, self.clip, self.dataset, job, Silent(), extractor)

    def measure(self, adapter, seed: int) -> dict:
        """The probe's reading of what the customised model draws; each group a fraction."""
        import torch
        from purecc_pack.purecc.host.apply import apply
        from purecc_pack.purecc.host.tiny_sampling import generate
        from purecc_pack.purecc.tiny import captions, concept
        from purecc_pack.purecc.tiny.backgrounds import BACKGROUNDS
        from purecc_pack.purecc.tiny.things import COLOURS, THINGS

        wanted = table_prompts.asked(
            captions, list(THINGS), list(COLOURS), list(BACKGROUNDS), concept.BACKGROUND, self.count
        )
        model, clip, name = self.model, self.clip, f"embedding:{table_prompts.NAME} "
        with torch.inference_mode():
            if adapter is not None:
                model, clip = apply(model, clip, adapter)
            texts = [a.prompt if adapter is not None else a.prompt.replace(name, "") for a in wanted]
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


def settings_of_quickstart() -> dict:
    """The quickstart workflow's own training settings, read from its JSON."""
    from purecc_pack.purecc.tiny import captions
    from purecc_pack.purecc.tiny.backgrounds import BACKGROUNDS
    from purecc_pack.purecc.tiny.things import COLOURS, THINGS

    things, colours, backgrounds = ([t for t in THINGS if t != "robot"], list(COLOURS), list(BACKGROUNDS))
    drift_prompts = [captions.phrase(things[k], colours[-k - 1], backgrounds[k]) for k in range(8)]
    settings = json.loads((HERE / "quickstart_settings.json").read_text(encoding="utf-8"))
    return {**settings, "drift_prompts": drift_prompts}


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
    parser.add_argument("--count", type=int, default=42, help="pictures a group")
    parser.add_argument("--methods", nargs="*", help="only these; nothing is written to results/")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    load_pack()
    import torch
    from purecc_pack.purecc import recipes

    torch.set_num_threads(arguments.threads)
    settings = settings_of_quickstart()
    bench = Bench(settings, arguments.count)
    chosen = table_methods.methods(recipes, settings["steps"])
    state = ROOT / "build" / "quality"
    state.mkdir(parents=True, exist_ok=True)
    runs: dict[str, list[dict]] = {}
    for seed in range(arguments.seeds):
        for key in arguments.methods or chosen:
            path = state / f"{key}-{seed}.json"
            if not path.is_file():
                result = bench.run(chosen[key], seed)
                path.write_text(json.dumps(result), encoding="utf-8")
                print(key, seed, {k: round(v, 4) for k, v in result.items()}, flush=True)
            runs.setdefault(key, []).append(json.loads(path.read_text(encoding="utf-8")))
    summary = summarise(runs)
    table = markdown(summary, {k: m.title for k, m in chosen.items()})
    print(table)
    if arguments.methods:
        return
    about = {
        "command": f"python benchmarks/quality/table.py --seeds {arguments.seeds} --count {arguments.count}",
        "machine": f"{platform.processor() or platform.machine()}, CPU, {arguments.threads} thread(s), torch {torch.__version__}",
        "settings": settings,
        "methods": {k: {"title": m.title, "steps": m.steps, "recipe": None if m.recipe is None else dataclasses.asdict(m.recipe)} for k, m in chosen.items()},
        "columns": COLUMNS,
        "mean and deviation over seeds": summary,
        "runs": runs,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "table.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    (HERE / "results" / "table.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
