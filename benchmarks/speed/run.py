"""Measures how fast and how large training is, beside the released step and the host's own trainer.

    pip install -r benchmarks/speed/requirements.txt
    COMFYUI_PATH=... python benchmarks/speed/run.py              # true shapes, one GPU, ten minutes at most
    COMFYUI_PATH=... python benchmarks/speed/run.py --small      # small shapes, any machine; no figure of it is a claim
    python benchmarks/speed/report.py                            # tables and plot into README.md

Rows go to results/speed.jsonl (small: build/speed/small.jsonl) as they are measured, first those that targets ask for.
No row is begun once --budget seconds are over; what is left out is printed, and the same command with --missing
measures it. A row that fails costs no other.
"""

from __future__ import annotations

import argparse
import gc
import platform
import sys
import time
import traceback
from collections.abc import Sequence
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

from speed import clock, models, stages, visits  # noqa: E402
from speed.log import Log  # noqa: E402
from speed.measured import Row, Shape, row  # noqa: E402
from speed.sizes import MEDIUM, SMALL, Size  # noqa: E402
from speed.world import World, references  # noqa: E402

BATCHES = (2, 1, 4)


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures what is asked for and returns the rows."""
    began = time.monotonic()
    options = _options(arguments)
    size = SMALL if options.small else MEDIUM
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.small:
        raise SystemExit("There is no GPU: true shapes would take hours here. Add --small.")
    shapes = _shapes(size, options)
    out = options.out or (options.folder / "small.jsonl" if options.small else RESULTS)
    about = _about(device, arguments)
    checkpoint = models.write(options.folder / f"{size.name.replace(' ', '-')}.safetensors", size, device)
    loaded = models.load(checkpoint, size)
    built = {p: references(loaded, p) for p in dict.fromkeys(s.pixels for s in shapes)}
    limit = clock.ceiling(device, size.dtype)
    print(f"{about['device']}: {limit:.3g} TFLOP/s at best; ready after {time.monotonic() - began:.0f} s", flush=True)

    log = Log(out, began + options.budget, about["device"], size.name, options.missing)
    world = World(loaded, checkpoint, size, built)
    gc.collect()
    gc.freeze()  # what is loaded by now stays; to look at it whenever rubbish is collected would double the whole time
    try:
        for visit in visits.order(options, shapes):
            _visited(visit, world, log, options, limit, about, began)
    finally:
        gc.unfreeze()
    for what, titles in (("left out, the time being over", log.left_out), ("failed", log.failed)):
        if titles:
            print("\n  ".join([f"{what}:", *titles]), flush=True)
    if log.failed:
        raise SystemExit(1)
    return log.rows


def _visited(visit: visits.Visit, world: World, log: Log, options, limit: float, about, began: float) -> None:
    try:
        for named, shape, flops, found, errors in visits.rows(visit, world, log, options, log.out):
            line = row({**named, "size": world.size.name}, shape, flops, limit, found, about, errors)
            log.append(line)
            print(f"{time.monotonic() - began:5.0f} s  {_said(line)}", flush=True)
    except Exception:  # a row that fails is not to cost the others
        traceback.print_exc()
        log.failed.append(str(visit))
        model_management.unload_all_models()
        gc.collect()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="small shapes, for a CPU")
    parser.add_argument("--who", nargs="+", choices=visits.WHO, default=list(visits.WHO))
    parser.add_argument("--stages", nargs="+", choices=list(stages.STAGES), default=list(stages.STAGES))
    names = list(stages.CONFIGURATIONS)
    parser.add_argument("--configurations", nargs="+", choices=names, default=names)
    parser.add_argument("--shapes", nargs="+", metavar="PIXELSxBATCH", help="such as 512x2; default: all")
    parser.add_argument("--whole-steps", type=int, default=400, help="of each stage of a whole run")
    parser.add_argument("--budget", type=float, default=480.0, help="seconds after which no row is begun")
    parser.add_argument("--missing", action="store_true", help="leave out rows that the file has from such a device")
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


def _about(device: torch.device, arguments: Sequence[str] | None) -> dict[str, str]:
    given = sys.argv[1:] if arguments is None else [str(a) for a in arguments]
    threads = f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({platform.machine()}, {threads})"
    return {
        "device": name,
        "torch": torch.__version__,
        "peft": peft.__version__,
        "ComfyUI": comfyui_version.__version__,
        "command": " ".join(["python", "benchmarks/speed/run.py", *given]),
    }


def _said(r: Row) -> str:
    if r.accuracy:
        speed = ", ".join(f"{k} {v:.3g}" for k, v in r.accuracy.items())
    else:
        speed = r.note if r.seconds is None else f"{r.seconds:.4g} s, {r.of_ceiling:.0%} of the ceiling"
    memory = "" if r.peak_reserved is None else f", {r.peak_reserved / 2**30:.1f} GiB"
    return f"{r.who} ({r.configuration}), {r.stage}, {r.pixels} px x {r.batch}: {speed}{memory}"


if __name__ == "__main__":
    main()
