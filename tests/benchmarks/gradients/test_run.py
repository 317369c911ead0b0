"""A small run of the benchmark of gradients: its rows are whole, and say what the committed table says."""

import importlib.util
import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "gradients"


@pytest.fixture(scope="module")
def gradients(comfyui):
    spec = importlib.util.spec_from_file_location("gradients_run", FOLDER / "run.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_ours_are_right_where_those_of_the_host_s_node_are_not(gradients, tmp_path):
    out = tmp_path / "rows.jsonl"
    gradients.main(["--models", "Flux.2-klein", "SD3.5-medium", "--out", str(out)])
    rows = {(r["model"], r["trainer"], r["checkpointing"]): r for r in map(json.loads, out.read_text().splitlines())}
    assert len(rows) == 2 * 5
    for model in ("Flux.2-klein", "SD3.5-medium"):
        for checkpointing in ("off", "every block"):
            row = rows[model, "ours", checkpointing]
            assert row["error"] < 1e-5 and row["differences"] < 5e-3
    assert rows["Flux.2-klein", "TrainLoraNode", "off"]["error"] is None
    assert rows["Flux.2-klein", "TrainLoraNode", "depth 2"]["error"] > 0.01
    assert rows["SD3.5-medium", "TrainLoraNode", "depth 2"]["error"] < 1e-5


def test_the_committed_table_is_that_of_the_committed_rows(gradients):
    rows = [json.loads(line) for line in gradients.RESULTS.read_text(encoding="utf-8").splitlines()]
    assert [r["model"] for r in rows[::5]] == [*gradients.FLUX_KINDS, *gradients.OTHERS]
    assert gradients.table(rows) in gradients.README.read_text(encoding="utf-8")
