"""What scripts/quickstart.py does around the workflow: running it, showing it, collecting what it made."""

import io
import json
import os
import time

import pytest
import quickstart
import summary
import torch
from progress import Progress
from safetensors.torch import save_file

KINDS = ["references", "base", "customised", "curves"]
REPORT = {"stage": "extractor", "steps": 2, "seconds": 1.5, "losses": [0.5, 0.25], "lambdas": [], "seed": 7}


def ui_node(number: int, kind: str, values: list, link: int | None = None) -> dict:
    inputs = [{"name": "images", "type": "IMAGE", "link": link}] if link else []
    return {"id": number, "type": kind, "mode": 0, "inputs": inputs, "outputs": [], "widgets_values": values}


@pytest.fixture
def stock_workflow(tmp_path):
    nodes = [ui_node(1, "EmptyImage", [32, 32, 2, 255])]
    nodes += [ui_node(2 + i, "SaveImage", [f"purecc/{kind}"], 10 + i) for i, kind in enumerate(KINDS)]
    links = [[10 + i, 1, 0, 2 + i, 0, "IMAGE"] for i in range(len(KINDS))]
    file = tmp_path / "stock.json"
    file.write_text(json.dumps({"nodes": nodes, "links": links, "version": 0.4}))
    return file


def test_a_run_collects_its_pictures_and_a_second_run_replaces_them(server, stock_workflow, tmp_path, monkeypatch):
    monkeypatch.setattr(quickstart, "ROOT", tmp_path)
    target = tmp_path / "output" / "quick start"
    quickstart.forget_last_run(server.base)  # other tests share the server
    made = quickstart.run(server, stock_workflow, target, {"versions": {"torch": "x"}})
    assert made == json.loads((target / "summary.json").read_text())
    assert list(made["images"]) == KINDS
    for kind, files in made["images"].items():
        assert len(files) == 2, kind
        assert all((tmp_path / file).read_bytes().startswith(b"\x89PNG") for file in files)
    saved = [server.base / name for name in json.loads((server.base / "quickstart-made.json").read_text())]
    assert sum(file.suffix == ".png" and file.is_file() for file in saved) == 8
    quickstart.forget_last_run(server.base)
    assert not any(file.exists() for file in saved)
    (target / "stale.txt").touch()
    stock_workflow.write_text(
        stock_workflow.read_text().replace("[32, 32,", "[48, 32,")
    )  # else the server's cache answers
    quickstart.run(server, stock_workflow, target, {})
    assert not (target / "stale.txt").exists()
    quickstart.forget_last_run(server.base)


def test_only_adapters_of_this_run_are_reported(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "old.safetensors", {summary.REPORT: json.dumps(REPORT)})
    os.utime(tmp_path / "old.safetensors", (1, 1))
    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors", {"format": "pt"})
    save_file({"w": torch.zeros(2)}, tmp_path / "new.safetensors", {summary.REPORT: json.dumps(REPORT)})
    assert summary.reports(tmp_path, time.time() - 60) == {tmp_path / "new.safetensors": REPORT}


def test_the_summary_holds_the_figures_of_each_stage_and_relative_paths(tmp_path):
    loras, embeddings = tmp_path / "models" / "loras", tmp_path / "models" / "embeddings"
    loras.mkdir(parents=True)
    embeddings.mkdir()
    (loras / "hatch.safetensors").write_bytes(b"lora")
    (embeddings / "hatch.safetensors").write_bytes(b"embedding")
    target = tmp_path / "output" / "quickstart"
    made = summary.collect(target, tmp_path, {}, {loras / "hatch.safetensors": REPORT}, {"seed": 7})
    assert made["stages"] == {"extractor": {key: REPORT[key] for key in REPORT if key != "stage"}}
    assert made["adapters"]["hatch"]["lora"] == "output/quickstart/hatch.lora.safetensors"
    assert (tmp_path / made["adapters"]["hatch"]["embedding"]).read_bytes() == b"embedding"
    assert made["seed"] == 7


def test_progress_shows_each_node_with_its_text_and_time():
    stream = io.StringIO()
    progress = Progress({"1": "Load", "2": "Train"}, every=0.0, stream=stream)
    progress("executing", {"node": "1"})
    progress("executing", {"node": "2"})
    progress("progress", {"node": "2", "value": 1, "max": 4})
    progress("progress_text", {"node": "2", "text": "step 2/4, loss 0.1"})
    progress("progress", {"node": "2", "value": 3, "max": 4})
    progress("execution_success", {"prompt_id": "x"})
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("[1/2] Load  done in")
    assert lines[1:3] == ["[2/2] Train  1/4", "[2/2] Train  step 2/4, loss 0.1"]
    assert lines[3].startswith("[2/2] Train  step 2/4, loss 0.1  done in")
    assert len(lines) == 4
    progress("executing", {"node": "1"})
    progress.close()
    assert "stopped after" in stream.getvalue().splitlines()[-1]
