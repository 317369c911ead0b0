"""Makes the files of this folder with the pack of a repository, through a real server and the real front end.

    COMFYUI_PATH=COMFYUI python tests/data/before_the_move/make.py OUTDIR [--pack FOLDER] [--more]

COMFYUI is a ComfyUI folder; python has ComfyUI's packages and playwright, as after `python3 scripts/test.py`. README.md
beside this file says what is read, what is written, and how to compare two versions of the pack by it.
"""

import argparse
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
KEPT = ("default", "min", "max", "options", "forceInput", "control_after_generate")
FILES = ("adapter_name", "folder")  # inputs whose options are files of the machine
LONG = ("quickstart", "quickstart_two_stages")
TO_PROMPT = """
async () => Object.fromEntries(Object.entries((await app.graphToPrompt()).output)
  .map(([id, {class_type, inputs}]) => [id, {class_type, inputs}]))
"""


def describe(info: dict) -> dict:
    """Returns of a node's definition what saved workflows depend on: no tooltips, no descriptions."""

    def one(name: str, sort, options=None) -> list:
        kept = {k: v for k, v in (options or {}).items() if k in KEPT and not (k == "options" and name in FILES)}
        return [sort, kept]

    kinds = {kind: info["input"].get(kind, {}) for kind in ("required", "optional")}
    return {
        "display_name": info["display_name"],
        "is_input_list": info["is_input_list"],
        "output_node": info["output_node"],
        **{kind: {name: one(name, *entry) for name, entry in inputs.items()} for kind, inputs in kinds.items()},
        "hidden": info["input"].get("hidden", {}),
        "outputs": [list(o) for o in zip(info["output_name"], info["output"], info["output_is_list"], strict=True)],
    }


def nodes(client) -> dict:
    """Returns what saved workflows depend on, for every node of the pack."""
    return {name: describe(info) for name, info in client.object_info().items() if name.startswith("PureCC")}


def prompts(address: str) -> dict[str, dict]:
    """Returns what the front end makes of the saved workflows, by name, in the format of the server."""
    import browser
    import frontend
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(browser.get_browser()), args=frontend.FLAGS)
        page = chromium.new_page()
        frontend.visit(page, address)
        out = {}
        for file in sorted((HERE / "workflows").glob("*.json")):
            frontend.load(page, read(file))
            out[file.stem] = page.evaluate(TO_PROMPT)
        chromium.close()
    return out


def steady(metadata: dict[str, str]) -> dict[str, str]:
    """Returns an adapter's metadata without the date, the versions and the seconds, which differ from run to run."""
    kept = {k: v for k, v in metadata.items() if k not in ("modelspec.date", "purecc.versions", "prompt")}
    return {k: re.sub(r'"seconds": [\d.]+', '"seconds": 0', v) for k, v in sorted(kept.items())}


def sha256(array: np.ndarray) -> str:
    """Returns a hash of an array's type, shape and bits."""
    return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()


def listed(path: Path) -> dict:
    """Returns a safetensors file as text: metadata, and a hash of every tensor."""
    with safe_open(path, "np") as file:
        tensors = {key: sha256(file.get_tensor(key)) for key in sorted(file.keys())}
        return {"metadata": steady(file.metadata() or {}), "tensors": tensors}


def seen(client, outputs: dict, base: Path) -> dict:
    """Returns what nodes showed, by node: texts, and a hash of the pixels of every image."""

    def pixels(image: dict) -> str:
        return sha256(np.asarray(Image.open(io.BytesIO(client.image(image)))))

    return {
        node: {
            "text": [str(text).replace(str(base), "BASE") for text in output.get("text", [])],
            "images": [pixels(i) for i in output.get("images", []) if i["filename"].endswith(".png")],
        }
        for node, output in sorted(outputs.items())
    }


def made(folder: Path) -> dict:
    """Returns the safetensors files and reports below a folder, by their paths."""
    out = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix in (".safetensors", ".latent"):
            out[name] = listed(path)
        elif path.suffix in (".md", ".json"):
            out[name] = path.read_text(encoding="utf-8").splitlines()
    return out


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def few(client, base: Path, out: Path) -> None:
    """Trains the adapters, applies them, and writes both."""
    shutil.copy(HERE / "references.latent", base / "input")
    client.run(read(HERE / "train.json"))
    for kind in ("loras", "embeddings"):
        shutil.copytree(base / "models" / kind, out / "adapters" / kind, dirs_exist_ok=True)
    client.run(read(HERE / "apply.json"))
    latents = {p.stem.split("_00001")[0]: p for p in (base / "output" / "before_the_move").glob("*.latent")}
    save_file({k: load_file(p)["latent_tensor"] for k, p in sorted(latents.items())}, out / "applied.safetensors")
    write(out / "adapters.json", made(out / "adapters") | {"applied": listed(out / "applied.safetensors")})


def more(client, base: Path, out: Path, converted: dict[str, dict]) -> None:
    """Runs every method, the reports, and the quickstarts at their full length, and writes what came of them."""
    for name, prompt in (("more", read(HERE / "more.json")), *((name, converted[name]) for name in LONG)):
        outputs = client.run(prompt)
        write(out / "more" / f"{name}.json", seen(client, outputs, base))
    for folder in ("output", "models/loras", "models/embeddings"):
        shutil.copytree(base / folder, out / "more" / folder, dirs_exist_ok=True)
    write(out / "more" / "files.json", made(base / "output") | made(base / "models"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--pack", type=Path, default=HERE.parents[2], help="the repository whose pack is run")
    parser.add_argument("--more", action="store_true", help="also every method, the reports and both quickstarts")
    options = parser.parse_args()
    sys.path.insert(0, str(options.pack / "scripts"))
    os.environ["OMP_NUM_THREADS"] = "1"
    import serving
    from client import Client

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        serving.link_pack(base, options.pack)
        with serving.Server(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base, cpu=True) as server:
            client = Client(server.address)
            client.post("/settings/Comfy.TutorialCompleted", True)
            write(options.out / "nodes.json", nodes(client))
            converted = prompts(server.address)
            for name, prompt in converted.items():
                write(options.out / "prompts" / f"{name}.json", prompt)
            few(client, base, options.out)
            if options.more:
                more(client, base, options.out, converted)


if __name__ == "__main__":
    main()
