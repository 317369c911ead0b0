"""From a fresh machine to a customised concept: gets ComfyUI, runs the quickstart workflow in it, keeps the results.

    python3 scripts/quickstart.py [--open] [--comfyui DIR] [--port N]

The results are in output/quickstart: pictures, adapter files and summary.json.
"""

import argparse
import io
import json
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import host
import serving
import source
import summary
import workflow
from client import Client, ExecutionError, PromptError
from progress import Progress

ROOT = host.ROOT
TARGET = ROOT / "output" / "quickstart"
WORKFLOW = "1_try_it"
PACKAGES = ("torch", "transformers", "safetensors", "peft", "accelerate", "comfyui-frontend-package")

NAMES = {
    "references": "the five references",
    "masks": "the same, masked",
    "base": "the base model",
    "customised": "with the concept, the same seeds",
    "curves": "loss and drift",
}


def forget_last_run(base: Path) -> None:
    """Removes from the base directory what the last quickstart saved there, so that its names are free again."""
    made = base / "quickstart-made.json"
    if made.is_file():
        for name in json.loads(made.read_text(encoding="utf-8")):
            (base / name).unlink(missing_ok=True)
        made.unlink()


def remember_this_run(base: Path, files: list[Path]) -> None:
    """Notes what this run saved in the base directory."""
    names = [file.relative_to(base).as_posix() for file in files if file.is_file()]
    (base / "quickstart-made.json").write_text(json.dumps(names, indent=1), encoding="utf-8")


def versions(ready: host.Host) -> dict[str, str]:
    """Return the versions of everything that takes part."""
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PACKAGES!r}}}))"
    found = subprocess.run([ready.python, "-c", code], capture_output=True, text=True, check=True).stdout
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    purecc = project.split('version = "')[1].split('"')[0]
    own = {"purecc": purecc, "comfyui": source.version_of(ready.comfyui), "python": sys.version.split()[0]}
    return own | json.loads(found)


def run(server: serving.Server, file: Path, target: Path, about: dict) -> dict:
    """Run a workflow file through a server and return the summary of what it made."""
    began = time.time()
    client = Client(server.address)
    saved = json.loads(file.read_text(encoding="utf-8"))
    info = client.object_info()
    prompt = workflow.to_api(saved, info)
    graphs = (saved, *saved.get("definitions", {}).get("subgraphs", ()))
    named = {str(node["id"]): node.get("title") for graph in graphs for node in graph["nodes"]}
    titles = {
        name: named.get(name.split(":")[-1]) or info[node["class_type"]]["display_name"]
        for name, node in prompt.items()
    }
    progress = Progress(titles)
    base = server.base
    try:
        outputs = client.run(prompt, progress, saved, silence=1800)
    finally:
        progress.close()
        adapters = summary.reports(base / "models" / "loras", began)
        embeddings = [base / "models" / "embeddings" / path.name for path in adapters]
        saved_images = [path for path in (base / "output" / "purecc").glob("*.png") if path.stat().st_mtime >= began]
        remember_this_run(base, [*adapters, *embeddings, *saved_images])
    images = summary.pictures(prompt, outputs, base / "output")
    seeds = sorted({report["seed"] for report in adapters.values()})
    about = about | {"seed": seeds[0] if len(seeds) == 1 else seeds, "seconds": round(time.time() - began, 1)}
    return summary.collect(target, ROOT, images, adapters, about)


def tell(made: dict) -> None:
    """Print where everything is."""
    host.say(f"\nDone in {made['seconds']:.0f} s. The pictures, in {TARGET}:")
    for kind, files in made["images"].items():
        for file in files:
            host.say(f"  {NAMES.get(kind, kind):<36}{file}")
    for name, parts in made["adapters"].items():
        for part, file in parts.items():
            host.say(f"  {part + ' of ' + name:<36}{file}")


def main() -> None:
    """Run the quickstart."""
    parser = argparse.ArgumentParser(
        description="Customise a concept end to end in a real ComfyUI, with the bundled model."
    )
    parser.add_argument(
        "--comfyui", type=Path, help="use this ComfyUI folder (only read; it runs in this pack's .venv)"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="the server's port; a free one by default, 8188 with --open"
    )
    parser.add_argument(
        "--open", action="store_true", help="leave the server running afterwards, to look at the workflow"
    )
    parser.add_argument("--cpu", action="store_true", default=None, help="run on the CPU even where there is a GPU")
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # Windows pipes have no λ
    ready = host.prepare(options.comfyui)
    base = host.CACHE / "base"
    serving.link_pack(base)
    forget_last_run(base)
    port = options.port or (8188 if options.open and serving.is_free(8188) else 0)
    host.say("Starting ComfyUI")
    with serving.Server(ready.python, ready.comfyui, base, port, options.cpu) as server:
        try:
            tell(run(server, ROOT / "workflows" / f"{WORKFLOW}.json", TARGET, {"versions": versions(ready)}))
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            raise serving.ServerError(f"ComfyUI ended before the workflow did ({error}).\n{server.tail()}") from error
        except ExecutionError as error:
            raise SystemExit(
                f"The workflow failed in {error}\n{''.join(error.traceback)}\nLog: {server.log}"
            ) from error
        if options.open:
            host.say(f"\nThe workflow is open at {server.address}/?template={WORKFLOW}&source=purecc")
            host.say("Ctrl-C ends it.")
            server.wait()


if __name__ == "__main__":
    try:
        main()
    except (host.HostError, source.SourceError, serving.ServerError, workflow.WorkflowError, PromptError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
