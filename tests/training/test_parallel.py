"""Two gloo processes that train one adapter, beside one process with the whole batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import runs
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
RANK = Path(__file__).resolve().parent / "gloo_rank.py"


@pytest.fixture(scope="module")
def found(checkpoint, tmp_path_factory):
    """What both ranks report, and the tensors of the first one's adapter."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    launch |= {"GLOO_SOCKET_IFNAME": "lo", "LOCAL_WORLD_SIZE": "2"}
    processes = []
    for rank in ("0", "1"):
        environment = os.environ | launch | {"RANK": rank, "LOCAL_RANK": rank}
        command = [sys.executable, str(RANK), str(folder), str(checkpoint)]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    said = [process.communicate(timeout=300)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    both = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    return both, load_file(folder / "plain.safetensors")


def test_two_ranks_make_the_steps_of_one_with_twice_the_batch(found, models, dataset):
    (first, _), tensors = found
    watch = {"drift_every": 1, "drift_prompts": ("a lake",), "sample_every": 3}
    outcome = runs.customise(models, dataset, runs.job(steps=3, batch=4, accumulation=2, **watch))
    for (losses, scales, drift), step in zip(first["plain"]["steps"], outcome.history.steps, strict=True):
        assert losses == pytest.approx(step.losses, rel=1e-4)
        assert scales == pytest.approx(list(step.scales), rel=1e-4)
        assert drift == pytest.approx(step.drift, rel=1e-2)
    adapter = outcome.adapter
    for name, tensor in adapter.lora.items():
        torch.testing.assert_close(tensors[name], tensor, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(tensors["layers"], adapter.layers, rtol=1e-3, atol=1e-4)
    for name, token in adapter.tokens.items():
        torch.testing.assert_close(tensors[f"token.{name}"], token, rtol=1e-3, atol=1e-4)
    about = first["plain"]["about"]
    assert about["purecc.recipe"] == adapter.metadata["purecc.recipe"], "it says the whole batch"


def test_adapters_of_all_ranks_are_equal_bit_for_bit(found):
    (first, second), _ = found
    for name in ("plain", "stop", "memory"):
        assert first[name]["hash"] == second[name]["hash"]
    assert first["plain"]["hash"] != first["stop"]["hash"]


def test_only_the_first_rank_measures_and_samples(found):
    (first, second), _ = found
    assert (first["plain"]["samples"], second["plain"]["samples"]) == (1, 0)
    assert all(drift is not None for _, _, drift in first["plain"]["steps"])
    assert all(drift is None for _, _, drift in second["plain"]["steps"])
    assert [s[:2] for s in first["plain"]["steps"]] == [s[:2] for s in second["plain"]["steps"]]


def test_a_stop_of_one_is_everybodys(found):
    assert [(len(rank["stop"]["steps"]), rank["stop"]["stopped"]) for rank in found[0]] == [(2, True)] * 2


def test_what_runs_out_of_memory_on_one_is_run_again_by_all(found):
    assert [rank["memory"]["rescued"] for rank in found[0]] == [[2]] * 2
    assert len(found[0][0]["memory"]["steps"]) == 3


def test_an_error_or_a_nan_of_one_ends_all(found):
    first, second = found[0]
    assert first["fault"]["error"].startswith("OtherRankFailed: Process 1 of 2 failed")
    assert second["fault"]["error"] == "ValueError: a fault of its own"
    assert all("TrainingDiverged" in rank["nan"]["error"] and "step 1" in rank["nan"]["error"] for rank in found[0])


def test_a_gradient_that_one_rank_lacks_counts_as_nothing_there(found):
    assert [rank["missing"] for rank in found[0]] == [[[0.5, 1.5], True]] * 2


def test_one_process_needs_no_other(monkeypatch):
    from purecc_pack.purecc.training.parallel import ALONE, Verdict, ours

    monkeypatch.setitem(sys.modules, "accelerate", None)  # importing it raises
    assert ours() is ALONE and ALONE.first and ALONE.rows(3) == slice(0, 3)
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    kept = weight.grad
    ALONE.begin([weight], 5)
    ALONE.average([weight])
    assert weight.grad is kept and ALONE.gather(kept) is kept
    assert ALONE.agree(Verdict.STOP) is Verdict.STOP
    with pytest.raises(OSError), ALONE.telling():
        raise OSError


def test_rows_of_a_batch_that_cannot_be_divided():
    from purecc_pack.purecc.training.parallel import Ranks

    assert [Ranks(2, k).rows(4) for k in range(2)] == [slice(0, 2), slice(2, 4)]
    with pytest.raises(ValueError, match="batch of 3 cannot be divided among 2"):
        Ranks(2, 1).rows(3)
