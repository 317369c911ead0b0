"""One of two gloo processes of test_parallel.py: python gloo_rank.py FOLDER CHECKPOINT."""

import importlib.util
import json
import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in (TESTS.parent, TESTS / "training")]
sys.path += [str(TESTS.parent / "scripts"), str(TESTS)]

spec = importlib.util.spec_from_file_location("conftest", TESTS / "conftest.py")
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)

import runs  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from purecc_pack.purecc.adapters.adapter import fingerprint  # noqa: E402
from purecc_pack.purecc.host.training import session  # noqa: E402
from purecc_pack.purecc.training import loop, parallel  # noqa: E402


def tensors_of(adapter):
    layers = {} if adapter.layers is None else {"layers": adapter.layers}
    return {**adapter.lora, **{f"token.{k}": v for k, v in adapter.tokens.items()}, **layers}


class Stops:
    """Asks for a stop after a step."""

    def __init__(self, step):
        self.step, self.asked = step, 0

    def requests(self):
        self.asked += 1
        return session.Unsteered().requests().__class__(stop=self.asked == self.step)

    def keep(self, step, adapter):
        pass


def broken(gradient, at, error):
    """The gradient of a batch, which raises at its call of that number."""
    calls = []

    def wrapped(*args):
        calls.append(1)
        if len(calls) == at:
            raise error
        return gradient(*args)

    return wrapped


def scenario(models, dataset, steering=None, **values):
    """Train and return what this rank has: steps, losses, scales, hash, or the error."""
    listener = runs.Quiet()
    try:
        with torch.inference_mode():
            outcome = session.customise(models, dataset, runs.job(steps=3, batch=2, **values), listener, None, steering)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}, {}
    history, tensors = outcome.history, tensors_of(outcome.adapter)
    steps = [[s.losses, s.scales, s.drift] for s in history.steps]
    about = json.loads(json.dumps(outcome.adapter.metadata))
    said = {"steps": steps, "stopped": history.stopped, "rescued": history.rescued, "hash": fingerprint(tensors)}
    return said | {"about": about, "samples": sum(p is not None for p in listener.previews)}, tensors


def main():
    folder, checkpoint = map(Path, sys.argv[1:3])
    torch.set_num_threads(1)
    models = runs.load(checkpoint)
    dataset = runs.build(models)
    ranks = parallel.join(cpu=True)
    second, real, found = ranks.rank == 1, loop.gradient, {}
    watch = {"drift_every": 1, "drift_prompts": ("a lake",), "sample_every": 3}
    found["plain"], tensors = scenario(models, dataset, accumulation=2, **watch)
    if ranks.first:
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "plain.safetensors")
    found["stop"], _ = scenario(models, dataset, Stops(2) if second else None)
    errors = {"memory": torch.OutOfMemoryError("CUDA out of memory"), "fault": ValueError("a fault of its own")}
    for name, error in errors.items():
        loop.gradient = broken(real, 2, error) if second else real
        found[name], _ = scenario(models, dataset)
    loop.gradient = real
    loop.read, read = (spoiled(loop.read) if second else loop.read), loop.read
    found["nan"], _ = scenario(models, dataset)
    loop.read = read
    one, other = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    one.grad = torch.tensor([1.0, 3.0]) if second else None
    ranks.average([one, other])
    found["missing"] = [one.grad.tolist(), other.grad is None]
    (folder / f"rank{ranks.rank}.json").write_text(json.dumps(found))


def spoiled(read):
    """Reads figures of which one batch's loss is no number."""

    def wrapped(done, *rest):
        return read(
            [loop.Done(type(d.terms)(d.terms.total * float("nan"), d.terms.parts), d.trace) for d in done], *rest
        )

    return wrapped


if __name__ == "__main__":
    main()
    os._exit(0)
