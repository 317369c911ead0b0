"""Train, export and measure the embedded base model "PureCC Tiny".

    COMFYUI_PATH=/path/to/ComfyUI python scripts/train_tiny.py autoencoder|base|probe|export|evaluate|kind [options]

Every part resumes from its state in build/tiny when it is started again. See purecc/tiny/MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))

from pack import load_pack  # noqa: E402

STATE = ROOT / "build" / "tiny"


def autoencoder(arguments: argparse.Namespace) -> None:
    """Train the autoencoder, or go on with it."""
    from purecc_pack.tiny_world import host_model as tiny
    from purecc_pack.tiny_world.train_autoencoder import train_autoencoder

    train_autoencoder(
        tiny.build_autoencoder(), STATE / "autoencoder.safetensors", arguments.steps, arguments.decoder_steps
    )


def latents(arguments: argparse.Namespace) -> None:
    """Draw scenes and encode them."""
    from purecc_pack.tiny_world import host_model as tiny
    from purecc_pack.tiny_world.latents import produce

    produce(trained_autoencoder(tiny), STATE / "latents", arguments.shards)


def kind(arguments: argparse.Namespace) -> None:
    """Train a further kind of base with the encoders of the shipped one, and write its checkpoint."""
    from purecc_pack.tiny_world import kinds
    from purecc_pack.tiny_world.latents import LatentPool, produce
    from purecc_pack.tiny_world.train_kind import averaged, train_kind

    chosen, folder = kinds.KINDS[arguments.name], STATE / arguments.name
    produce(kinds.autoencoder(), STATE / "latents", arguments.shards)
    model, state = kinds.build(chosen), folder / "state.safetensors"
    train_kind(chosen, model, kinds.text_encoder(), LatentPool(STATE / "latents"), state, arguments.steps)
    network, step = averaged(state)
    path = folder / f"{chosen.name}.safetensors"
    kinds.export(path, network, {"modelspec.title": f"PureCC Tiny, {chosen.title}", "purecc.steps": str(step)})
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, step {step}")


def trained_autoencoder(tiny):
    """Return the autoencoder that was trained, its latents scaled as the host expects."""
    from purecc_pack.tiny_world.checkpoints import load_state
    from purecc_pack.tiny_world.train_autoencoder import set_latent_scale

    state = load_state(STATE / "autoencoder.safetensors")
    if state is None:
        raise SystemExit("Train the autoencoder first: scripts/train_tiny.py autoencoder")
    model = tiny.build_autoencoder().requires_grad_(False)
    model.load_state_dict(state["weights"])
    set_latent_scale(model, tiny.LATENT_FORMAT.shift_factor, tiny.LATENT_FORMAT.scale_factor)
    return model


def base(arguments: argparse.Namespace) -> None:
    """Train the base model on the latents that are there."""
    from purecc_pack.tiny_world import host_model as tiny
    from purecc_pack.tiny_world.captions import all_captions
    from purecc_pack.tiny_world.latents import LatentPool
    from purecc_pack.tiny_world.train_base import train_base

    model = tiny.TinyTextToVelocity(all_captions())
    train_base(
        model,
        LatentPool(STATE / "latents"),
        tiny.normalise_latents,
        STATE / "base.safetensors",
        arguments.steps,
        arguments.rate,
    )


def export(arguments: argparse.Namespace) -> None:
    """Write the checkpoint that the pack ships."""
    from purecc_pack.purecc.host.models.tiny import CHECKPOINT
    from purecc_pack.tiny_world import host_model as tiny
    from purecc_pack.tiny_world.captions import all_captions
    from purecc_pack.tiny_world.checkpoints import load_state

    state = load_state(STATE / "base.safetensors")
    if state is None:
        raise SystemExit("Train the base model first: scripts/train_tiny.py base")
    model = tiny.TinyTextToVelocity(all_captions())
    model.load_state_dict(state["average"], strict=False)
    path = Path(arguments.to) if arguments.to else CHECKPOINT
    metadata = {
        "modelspec.title": "PureCC Tiny", "modelspec.architecture": "stable-diffusion-v3-tiny",
        "modelspec.license": "GPL-3.0-or-later",
        "purecc.steps": str(state["step"]),
    }  # fmt: skip
    tiny.export_checkpoint(path, model, trained_autoencoder(tiny), metadata)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, step {state['step']}")


def probe(arguments: argparse.Namespace) -> None:
    """Train the probe, keep it and print how often it is right."""
    from purecc_pack.tiny_world import host_model as tiny
    from purecc_pack.tiny_world.probe import Probe
    from purecc_pack.tiny_world.train_probe import latent_pool, measure, train_probe

    reader, ae = Probe(), trained_autoencoder(tiny)
    pool = latent_pool(ae, STATE / "probe_pool.safetensors", arguments.pool)
    train_probe(reader, pool, STATE / "probe.safetensors", arguments.steps)
    reader.save()
    print(measure(Probe.load(), ae, 1000))


def evaluate(arguments: argparse.Namespace) -> None:
    """Sample the exported checkpoint, or that of a further kind, and write what the probe reads."""
    from purecc_pack.purecc.host.models.tiny import CHECKPOINT, load_tiny_checkpoint
    from purecc_pack.tiny_world import kinds
    from purecc_pack.tiny_world.evaluate import agreement, contact_sheet, habits, pairs, reconstruction
    from purecc_pack.tiny_world.probe import Probe
    from purecc_pack.tiny_world.sampling import generate

    folder, name = STATE / arguments.kind, arguments.kind
    given = (
        Path(arguments.checkpoint) if arguments.checkpoint else folder / f"{name}.safetensors" if name else CHECKPOINT
    )
    stack = kinds.load(given) if name else load_tiny_checkpoint(path=given)

    def pictures(prompts, seeds):
        return generate(*stack[:2], prompts, seeds, steps=arguments.steps, cfg=arguments.cfg)

    fractions, latents, prompts = agreement(pictures, Probe.load(), arguments.count)
    fractions["two things"] = pairs(pictures, Probe.load(), arguments.count // 4)
    report = {"count": arguments.count, "steps": arguments.steps, "cfg": arguments.cfg, "agreement": fractions}
    vae = stack[2]
    if name:
        report["training"] = trained(folder / "state.safetensors")
    else:
        report["psnr"] = reconstruction(lambda images: vae.decode(vae.encode(images)), 200)
    if arguments.habits:
        report["habits"] = habits(pictures, Probe.load(), arguments.habits)
    to = Path(arguments.to) if arguments.to else folder / "evaluation.json"
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    contact_sheet(vae.decode(latents[:60]).float().clamp(0, 1)).save(folder / "evaluation.png")
    print(json.dumps(report, indent=1))
    print(*prompts[:60:12], sep="\n")


def trained(state: Path) -> dict[str, float]:
    """Return how a kind was trained: steps, images a step, seconds, and its parameters."""
    from purecc_pack.tiny_world.checkpoints import load_state
    from purecc_pack.tiny_world.train_kind import BATCH

    found = load_state(state)
    if found is None:
        return {}
    size = sum(tensor.numel() for tensor in found["average"].values())
    return {"steps": found["step"], "batch": BATCH, "seconds": round(found["seconds"]), "parameters": size}


def main() -> None:
    """Run one part of the training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("autoencoder")
    part.add_argument("--steps", type=int, default=1600)
    part.add_argument("--decoder-steps", type=int, default=0, help="steps of the decoder alone afterwards")
    part.set_defaults(run=autoencoder)
    part = parts.add_parser("latents")
    part.add_argument("--shards", type=int, default=40, help="shards of 1000 pictures")
    part.set_defaults(run=latents)
    part = parts.add_parser("base")
    part.add_argument("--steps", type=int, default=6000)
    part.add_argument("--rate", type=float, default=1.5e-3)
    part.set_defaults(run=base)
    part = parts.add_parser("kind")
    part.add_argument("name", choices=["unet", "flux"])
    part.add_argument("--steps", type=int, default=2400)
    part.add_argument("--shards", type=int, default=14, help="shards of 1000 pictures")
    part.set_defaults(run=kind)
    part = parts.add_parser("export")
    part.add_argument("--to", help="path of the checkpoint (default: the pack's weights folder)")
    part.set_defaults(run=export)
    part = parts.add_parser("probe")
    part.add_argument("--steps", type=int, default=2200)
    part.add_argument("--pool", type=int, default=12000, help="pictures through the autoencoder")
    part.set_defaults(run=probe)
    part = parts.add_parser("evaluate")
    part.add_argument("--count", type=int, default=500)
    part.add_argument("--steps", type=int, default=28)
    part.add_argument("--cfg", type=float, default=4.0)
    part.add_argument("--habits", type=int, default=0, help="also draw this many pictures of every thing named alone")
    part.add_argument("--checkpoint", help="default: the pack's, or that of the kind")
    part.add_argument("--kind", choices=["unet", "flux"], default="", help="of the checkpoint; default: the pack's")
    part.add_argument("--to", help="path of the figures (default: evaluation.json in build/tiny or its KIND)")
    part.set_defaults(run=evaluate)
    arguments = parser.parse_args()
    load_pack()
    import torch

    torch.set_num_threads(arguments.threads)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
