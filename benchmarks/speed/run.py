"""Measures how fast and how large training is, beside the released step and the host's own trainer.

    pip install -r benchmarks/speed/requirements.txt
    COMFYUI_PATH=... python benchmarks/speed/run.py              # true shapes, one GPU, about ten minutes
    COMFYUI_PATH=... python benchmarks/speed/run.py --small      # small shapes, any machine; no figure of it is a claim
    python benchmarks/speed/report.py                            # tables and plot into README.md

Rows go to results/speed.jsonl (small: build/speed/small.jsonl) as they are measured, those that matter most first. No
new group of rows is begun once --budget seconds are over; what is left out is printed, and a further call with --who,
--stages, --configurations or --shapes measures it.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results" / "speed.jsonl"
sys.path[:0] = [str(HERE.parent), str(ROOT / "scripts")]

if "purecc_pack" not in sys.modules:
    import pack

    pack.load_pack()

import comfyui_version  # noqa: E402
import peft  # noqa: E402
import torch  # noqa: E402
from comfy import model_management  # noqa: E402

from speed import clock, counting, host_node, models, ours, stages, whole  # noqa: E402
from speed.measured import Row, Shape, append, row  # noqa: E402
from speed.sizes import MEDIUM, SMALL, Size  # noqa: E402

BATCHES = (2, 1, 4)
WHO = ("ours", "released", "host", "whole")


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures what is asked for and returns the rows."""
    began = time.monotonic()
    options = _options(arguments)
    size = SMALL if options.small else MEDIUM
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.small:
        raise SystemExit("There is no GPU: true shapes would take hours here. Add --small.")
    shapes = _shapes(size, options)
    out, rows = options.out or (options.folder / "small.jsonl" if options.small else RESULTS), []
    about = _about(device, size, arguments)
    checkpoint = models.write(options.folder / f"{size.name.replace(' ', '-')}.safetensors", size, device)
    loaded = models.load(checkpoint, size)
    limit = clock.ceiling(device, size.dtype)
    print(
        f"{about['device']}: {limit:.3g} TFLOP/s at best; models ready after {_since(began):.0f} s",
        flush=True,
    )
    for title, group in _groups(loaded, size, device, shapes, options, out.with_name(f"{out.stem}-profile.txt")):
        if _since(began) > options.budget:
            print(f"left out, the time being over: {title}", flush=True)
            continue
        for named, shape, flops, found, errors in group():
            rows.append(row({**named, "size": size.name}, shape, flops, limit, found, accuracy=errors, about=about))
            append(out, rows[-1])
            print(f"{_since(began):5.0f} s  {_said(rows[-1])}", flush=True)
    return rows


def _groups(loaded, size: Size, device, shapes: list[Shape], options, table: Path) -> Iterator:
    """(title, rows) of everything asked for, what matters most first; a row's parts are those of `row`."""
    built = {p: ours.references(loaded, p) for p in dict.fromkeys(s.pixels for s in shapes)}
    smallest = built[min(built)].dataset
    theta1 = ours.extractor(loaded, smallest, size) if "ours" in options.who else None

    def flops(stage: str, shape: Shape) -> int:
        return counting.step_flops(stages.STAGES[stage].recipe, size, shape.pixels, shape.batch)

    def of_ours(stage: str):
        asked = stages.STAGES[stage]
        plain = None if options.no_accuracy else ours.observed_plainly(loaded, smallest, asked, size, theta1)
        for name in options.configurations:
            configuration = stages.CONFIGURATIONS[name]
            found = ours.measure(loaded, built, asked, configuration, size, shapes, theta1, plain)
            for shape, measured, errors in found:
                named = {"who": "ours", "configuration": name, "stage": stage}
                yield named, shape, flops(stage, shape), measured, errors

    def of_released():
        from speed import released_rows  # needs diffusers

        model_management.unload_all_models()
        for settings, shape, measured in released_rows.measure(size, device, shapes, table):
            named = {"who": "released", "configuration": settings, "stage": "pure learning, as released"}
            yield named, shape, flops(named["stage"], shape), measured, None

    def of_host():
        for settings, shape, measured in host_node.measure(loaded, built, size, shapes):
            named = {"who": "host", "configuration": settings, "stage": "plain LoRA"}
            yield named, shape, flops(named["stage"], shape), measured, None

    def of_whole():
        chosen = {name: stages.CONFIGURATIONS[name] for name in options.configurations}
        for name, shape, measured in whole.measure(loaded, size, shapes, chosen, options.whole_steps):
            named = {"who": "whole", "configuration": name, "stage": ", then ".join(whole.STAGES)}
            operations = options.whole_steps * sum(flops(stage, shape) for stage in whole.STAGES)
            yield named, shape, operations, measured, None

    mine = [("ours", f"ours, {stage}", lambda stage=stage: of_ours(stage)) for stage in options.stages]
    theirs = [("released", "the released step", of_released), ("host", "TrainLoraNode", of_host)]
    for who, title, group in (*mine[:1], *theirs, *mine[1:], ("whole", "a whole run", of_whole)):
        if who in options.who:
            yield title, group


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="small shapes, for a CPU")
    parser.add_argument("--who", nargs="+", choices=WHO, default=list(WHO))
    parser.add_argument("--stages", nargs="+", choices=list(stages.STAGES), default=list(stages.STAGES))
    names = list(stages.CONFIGURATIONS)
    parser.add_argument("--configurations", nargs="+", choices=names, default=names)
    parser.add_argument("--shapes", nargs="+", metavar="PIXELSxBATCH", help="such as 512x2; default: all")
    parser.add_argument("--whole-steps", type=int, default=400, help="of each stage of a whole run")
    parser.add_argument("--budget", type=float, default=480.0, help="seconds after which nothing new is begun")
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the comparison with float32")
    parser.add_argument("--out", type=Path, help="file of the rows")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "speed", help="where the checkpoint is kept")
    return parser.parse_args(arguments)


def _shapes(size: Size, options) -> list[Shape]:
    """Small pictures take more steps than large ones; on small sizes a few will do."""
    pairs = [(p, b) for p in size.pixels for b in BATCHES]
    if options.shapes:
        pairs = [tuple(int(x) for x in text.split("x")) for text in options.shapes]
    steps = {p: (1, 2) if options.small else (3, 10) if p <= 512 else (2, 5) for p, _ in pairs}
    return [Shape(p, b, *steps[p]) for p, b in pairs]


def _about(device: torch.device, size: Size, arguments: Sequence[str] | None) -> dict[str, str]:
    given = sys.argv[1:] if arguments is None else [str(a) for a in arguments]
    threads = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({platform.machine()}, {threads})"
    return {
        "device": name,
        "dtype": str(size.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "peft": peft.__version__,
        "ComfyUI": comfyui_version.__version__,
        "command": " ".join(["python", "benchmarks/speed/run.py", *given]),
    }


def _since(began: float) -> float:
    return time.monotonic() - began


def _said(r: Row) -> str:
    speed = r.note if r.seconds is None else f"{r.seconds:.4g} s, {r.of_ceiling:.0%} of the ceiling"
    memory = "" if r.peak_reserved is None else f", {r.peak_reserved / 2**30:.1f} GiB"
    return f"{r.who} ({r.configuration}), {r.stage}, {r.pixels} px x {r.batch}: {speed}{memory}"


if __name__ == "__main__":
    main()
