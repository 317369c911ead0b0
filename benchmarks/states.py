"""Measure what the states of a run cost: seconds and bytes of a state beside those of a step and of the adapter.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/states.py --steps 40 > benchmarks/states.md

An adapter of three ranks is trained on the embedded base, with a state after every step. Then states of larger adapters
are written without training, and the weights of a base of some size are hashed, as happens once before a run.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "scripts"), str(ROOT / "tests")]

from pack import load_pack  # noqa: E402

load_pack()

import processors  # noqa: E402
import runs  # noqa: E402
import torch  # noqa: E402

from purecc_pack.purecc.adapters import files  # noqa: E402
from purecc_pack.purecc.host.models.tiny import load_tiny_models  # noqa: E402
from purecc_pack.purecc.host.training import identity, resuming, state_files  # noqa: E402
from purecc_pack.purecc.network.lora import LoraSpec  # noqa: E402
from purecc_pack.purecc.tiny import concept  # noqa: E402

MINUTES = resuming.Resuming().every
"""The default of state_every."""
LARGEST = resuming.SHARE
PAGE = """# What states of runs cost

`benchmarks/states.py --steps {steps}` on {machine}, one thread, torch {torch}. A state is written every
{minutes:g} minutes, or later: never before {factor:.0f} times as long as the latest one took has passed, so that states
take at most {share:.0f} % of the time. *share* is what they take at the default.

Trained on the embedded base, with a state after every step:
"""


def every(state: float) -> tuple[float, float]:
    """Return the minutes between two states that take so many seconds, and their share of the time."""
    pause = max(60 * MINUTES, state / LARGEST)
    return pause / 60, state / (pause + state)


def trained(folder: Path, models: runs.Models, dataset, rank: int, steps: int) -> str:
    """Return a row of the table of a training with a state after every step."""
    resuming.SHARE = 1e9
    taken, sizes, write = [], [], state_files.StateFolder.write

    def clocked(self, *args):
        path = write(self, *args)
        sizes.append(path.stat().st_size)
        return path

    class Clocked(resuming.Resumer):
        def after(self, capture):
            began = time.perf_counter()
            super().after(capture)
            taken.append(time.perf_counter() - began)

    state_files.StateFolder.write = clocked  # type: ignore[method-assign]
    states = state_files.StateFolder(folder)
    resumer = Clocked(resuming.Resuming(every=1e-9), "measured", lambda message, topic: None, folder=states)
    job = runs.job("measured", steps=steps, lora=LoraSpec(rank, float(rank)), layer_wise=False)
    from purecc_pack.purecc.host.training.session import customise

    with torch.inference_mode():
        outcome = customise(models, dataset, job, runs.Quiet(), resumer=resumer)
    state_files.StateFolder.write = write  # type: ignore[method-assign]
    saved = files.save(replace(outcome.adapter, name="saved"), folder / "loras", folder / "embeddings", overwrite=True)
    adapter = sum(path.stat().st_size for path in saved if path is not None)
    state = statistics.median(taken)
    step = (outcome.history.seconds - sum(taken)) / steps
    minutes, share = every(state)
    return (
        f"| {rank} | {adapter / 1e6:.2f} | {max(sizes) / 1e6:.2f} | {max(sizes) / adapter:.2f} | {step:.3f} | "
        f"{state:.3f} | {minutes:.0f} | {share:.3%} |"
    )


def written(folder: Path, numbers: int) -> str:
    """Return a row of the table of states that are written without training."""
    from purecc_pack.purecc.training.history import History, Step
    from purecc_pack.purecc.training.state import Draws, LoopState

    steps = [Step(k, {"total": 1.0, "concept": 1.0}, (1.0, 1.0), 1e-4, float(k)) for k in range(1, 401)]
    learned = {name: torch.randn(numbers) for name in ("weights", "first", "second")}
    learned["counts"] = torch.ones(400)
    state = LoopState(learned, Draws(torch.Generator().get_state(), [[[]]]), History(steps))
    who = identity.Identity("base", "texts", (), "", "", "", {})
    began = time.perf_counter()
    path = state_files.StateFolder(folder).write(state, who, {"name": "large", "total": 400})
    taken, size = time.perf_counter() - began, path.stat().st_size
    minutes, share = every(taken)
    return f"| {numbers * 4 / 1e6:.0f} | {size / 1e6:.0f} | {taken:.2f} | {minutes:.0f} | {share:.2%} |"


def hashed(size: int) -> float:
    """Return the seconds in which a base of so many bytes is hashed."""

    class Field:
        dtype, base = torch.bfloat16, None
        path: Any = object.__new__(type("Path", (), {}))
        module = torch.nn.ModuleList(
            torch.nn.Linear(4096, 4096, False, dtype=torch.bfloat16) for _ in range(size >> 25)
        )

    began = time.perf_counter()
    identity.base_hash(cast(Any, Field()))
    return time.perf_counter() - began


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        models = runs.Models(*load_tiny_models())
        from purecc_pack.purecc.host.data.image_tensors import from_pil

        images = [from_pil(image) for image in concept.reference_images()]
        dataset = runs.build(models, images, concept.reference_captions())
        machine = f"{os.cpu_count()} cores of {processors.name()}"
        values = {"minutes": MINUTES, "factor": 1 / LARGEST, "share": 100 * LARGEST, "torch": torch.__version__}
        print(PAGE.format(steps=options.steps, machine=machine, **values))
        print("| rank | adapter, MB | state, MB | state / adapter | a step, s | a state, s | every, min | share |")
        print(f"|{'---|' * 8}")
        for rank in (4, 16, 64):
            print(trained(folder, models, dataset, rank, options.steps), flush=True)
        print("\nWritten without training:\n")
        print(f"| adapter, MB | state, MB | a state, s | every, min | share |\n|{'---|' * 5}")
        for numbers in (5 * 10**6, 50 * 10**6):
            print(written(folder, numbers), flush=True)
        size = 2**31
        print(f"\nA base of {size / 1e9:.1f} GB is hashed in {hashed(size):.2f} s.")


if __name__ == "__main__":
    main()
