"""The world of the faults: the pack inside the host, the embedded base, and short runs on it."""

import atexit
import gc
import logging
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LATEST: dict[str, Any] = {}
METHODS = ("LoRA", "LoRA", "LoRA", "LoRA", "watched", "anchored")
"""As often as they are tried: the latter take long."""


def prepare() -> None:
    """Import the pack with the host on the CPU, and give the host a base directory of its own."""
    from pack import load_pack

    load_pack()
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = True
    comfy.cli_args.args.base_directory = tempfile.mkdtemp(prefix="purecc-faults-")
    atexit.register(shutil.rmtree, comfy.cli_args.args.base_directory, ignore_errors=True)
    torch.set_num_threads(1)
    logging.disable(logging.ERROR)
    import folder_paths

    for kind in ("loras", "embeddings"):
        Path(folder_paths.get_folder_paths(kind)[0]).mkdir(parents=True, exist_ok=True)


watched = 0
"""Process whose memory counts; 0: this one."""


def megabytes() -> int:
    """Return the resident memory of the watched process."""
    pages = int(Path(f"/proc/{watched or 'self'}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 >> 20


@dataclass
class World:
    """The embedded base with two references of 64 pixels, and what it looked like before the first fault."""

    models: Any
    dataset: Any
    before: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def made(cls) -> "World":
        """Return the world, made once a process."""
        if "world" not in LATEST:
            import runs
            import torch

            from purecc_pack.purecc.host.data.image_tensors import from_pil
            from purecc_pack.purecc.host.models.tiny import load_tiny_models
            from purecc_pack.purecc.tiny import concept

            with torch.inference_mode():
                models = runs.Models(*load_tiny_models())
                images = [from_pil(image) for image in concept.reference_images()[:2]]
            dataset = runs.build(models, images, concept.reference_captions()[:2], resolution=64)
            LATEST["world"] = cls(models, dataset, runs.state(models))
        return LATEST["world"]

    def job(self, method: str = "LoRA", name: str = "faults", **values: Any) -> Any:
        """Return a job of two steps, one of METHODS; "watched" has samples and drift."""
        import runs

        from purecc_pack.purecc.method.anchored import AnchoredLearning
        from purecc_pack.purecc.method.pure_learning import ConceptCustomisation

        recipe = AnchoredLearning() if method == "anchored" else ConceptCustomisation()
        seen = {"drift_every": 2, "drift_prompts": ("a lake",), "sample_every": 2, "sample_prompts": ("a house",)}
        seen = seen if method == "watched" else {}
        short = {"steps": 2, "batch": 1, "pool_images": 1, "cache": False}
        return runs.job(name, recipe, **{**seen, **short, **values})

    def train(self, job: Any, listener: Any = None, resumer: Any = None, dataset: Any = None, **given: Any) -> Any:
        """Return the outcome of a run."""
        import runs
        import torch

        from purecc_pack.purecc.host.training import session

        with torch.inference_mode():
            data = dataset or self.dataset
            return session.customise(self.models, data, job, listener or runs.Quiet(), resumer=resumer, **given)

    def changed(self) -> str:
        """Return which of the user's models is not as it was."""
        import runs

        now = runs.state(self.models)
        return ", ".join(key for key, value in now.items() if value != self.before[key])


def finite(adapter: Any) -> bool:
    """Return whether every number of an adapter is finite."""
    tensors = {**adapter.lora, **adapter.embedding}
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def collect() -> None:
    """Free what a failed run left in cycles, as the host does between prompts."""
    from comfy import model_management

    model_management.interrupt_current_processing(False)
    gc.collect()
