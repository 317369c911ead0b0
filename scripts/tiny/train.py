"""Train, export and measure the embedded base model "PureCC Tiny".

    COMFYUI_PATH=/path/to/ComfyUI python scripts/tiny/train.py autoencoder|base|probe|export|evaluate [options]

Every part resumes from its state in build/tiny when it is started again. See purecc/tiny/MODEL_CARD.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))

from pack import load_pack  # noqa: E402

STATE = ROOT / "build" / "tiny"


def autoencoder(arguments: argparse.Namespace) -> None:
    from purecc_pack.purecc.host import tiny_training as tiny
    from purecc_pack.purecc.tiny.train_autoencoder import train_autoencoder

    train_autoencoder(tiny.build_autoencoder(), STATE / "autoencoder.pt", arguments.steps, arguments.decoder_steps)


def latents(arguments: argparse.Namespace) -> None:
    from purecc_pack.purecc.host import tiny_training as tiny
    from purecc_pack.purecc.tiny.latents import produce

    produce(trained_autoencoder(tiny), STATE / "latents", arguments.shards)


def trained_autoencoder(tiny):
    from purecc_pack.purecc.tiny.checkpoints import load_state
    from purecc_pack.purecc.tiny.train_autoencoder import set_latent_scale

    state = load_state(STATE / "autoencoder.pt")
    if state is None:
        raise SystemExit("Train the autoencoder first: scripts/tiny/train.py autoencoder")
    model = tiny.build_autoencoder().requires_grad_(False)
    model.load_state_dict(state["weights"])
    set_latent_scale(model, tiny.LATENT_FORMAT.shift_factor, tiny.LATENT_FORMAT.scale_factor)
    return model


def base(arguments: argparse.Namespace) -> None:
    from purecc_pack.purecc.host import tiny_training as tiny
    from purecc_pack.purecc.tiny.captions import all_captions
    from purecc_pack.purecc.tiny.latents import LatentPool
    from purecc_pack.purecc.tiny.train_base import train_base

    model = tiny.TinyTextToVelocity(all_captions())
    train_base(
        model, LatentPool(STATE / "latents"), tiny.normalise_latents, STATE / "base.pt", arguments.steps, arguments.rate
    )


def export(arguments: argparse.Namespace) -> None:
    from purecc_pack.purecc.host import tiny_training as tiny
    from purecc_pack.purecc.host.tiny import CHECKPOINT
    from purecc_pack.purecc.tiny.captions import all_captions
    from purecc_pack.purecc.tiny.checkpoints import load_state

    state = load_state(STATE / "base.pt")
    if state is None:
        raise SystemExit("Train the base model first: scripts/tiny/train.py base")
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
    from purecc_pack.purecc.host import tiny_training as tiny
    from purecc_pack.purecc.tiny.probe import Probe
    from purecc_pack.purecc.tiny.train_probe import latent_pool, measure, train_probe

    reader, ae = Probe(), trained_autoencoder(tiny)
    pool = latent_pool(ae, STATE / "probe_pool.pt", arguments.pool)
    train_probe(reader, pool, STATE / "probe.pt", arguments.steps)
    reader.save()
    print(measure(Probe.load(), ae, 1000))


def evaluate(arguments: argparse.Namespace) -> None:
    from purecc_pack.purecc.host.tiny import CHECKPOINT, load_tiny_checkpoint
    from purecc_pack.purecc.host.tiny_sampling import generate
    from purecc_pack.purecc.tiny.evaluate import agreement, contact_sheet, habits, pairs, reconstruction
    from purecc_pack.purecc.tiny.probe import Probe

    stack = load_tiny_checkpoint(path=Path(arguments.checkpoint) if arguments.checkpoint else CHECKPOINT)

    def pictures(prompts, seeds):
        return generate(*stack[:2], prompts, seeds, steps=arguments.steps, cfg=arguments.cfg)

    fractions, latents, prompts = agreement(pictures, Probe.load(), arguments.count)
    fractions["two things"] = pairs(pictures, Probe.load(), arguments.count // 4)
    report = {"count": arguments.count, "steps": arguments.steps, "cfg": arguments.cfg, "agreement": fractions}
    vae = stack[2]
    report["psnr"] = reconstruction(lambda images: vae.decode(vae.encode(images)), 200)
    if arguments.habits:
        report["habits"] = habits(pictures, Probe.load(), arguments.habits)
    (STATE / "evaluation.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    contact_sheet(vae.decode(latents[:60]).float().clamp(0, 1)).save(STATE / "evaluation.png")
    print(json.dumps(report, indent=1))
    print(*prompts[:60:12], sep="\n")


def main() -> None:
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
    part.add_argument("--checkpoint", help="default: the pack's")
    part.set_defaults(run=evaluate)
    arguments = parser.parse_args()
    load_pack()
    import torch

    torch.set_num_threads(arguments.threads)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
