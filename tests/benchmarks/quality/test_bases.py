"""The benchmark on other kinds of base: its runs, a run on a base that is not the embedded one, and its page."""

import json
import sys

import bases
import bases_page
import methods
import pytest
import report
import torch


def test_all_methods_are_searched_over_one_grid():
    search = bases.runs("search")
    for key in bases.COMPARED:
        assert [dict(settings)["lr"] for _, k, settings in search if k == key] == list(bases.GRID)
    assert [key for _, key, _ in bases.runs("ablate")] == list(bases.COMPARED)
    with pytest.raises(ValueError, match=r"'claim'.*search or ablate"):
        bases.runs("claim")


def test_a_base_runs_at_the_rates_of_the_best_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    base = bases.BASES["unet"]
    assert base.rates == {} and base.methods == methods.METHODS
    grid = [methods.label("lora-token", {"lr": rate}) for rate in bases.GRID]
    ground = {"leak": 0.1, "class": 0.0, "fidelity": 0.0}
    found = []
    for name, fidelity, leak in zip(grid, (0.0, 0.1, 0.2, 0.8, 0.9), (0.1, 0.1, 0.1, 0.1, 0.7), strict=True):
        curve = {"120": {"fidelity": fidelity, "leak": leak, "class": 0.0}}
        found.append({"label": name, "title": "", "concept": "robot", "seed": 0, "base": ground, "curve": curve})
    (tmp_path / "unet").mkdir()
    path = tmp_path / "unet" / "search.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in found[2:4]), encoding="utf-8")
    assert base.scores["lora-token"] == {1e-3: 0.2, 3e-3: 0.8} and base.rates == {}
    path.write_text("".join(json.dumps(r) + "\n" for r in found), encoding="utf-8")
    assert base.scores["lora-token"][9e-3] == pytest.approx(0.6)
    assert base.rates == {"lora-token": 3e-3}
    assert base.methods["lora-token"].embedding_lr == 15e-3
    assert base.methods["anchored"] is methods.METHODS["anchored"]


def test_a_phase_of_a_base_is_one_concept(monkeypatch):
    import run

    (task,) = run.tasks("search", [], ["anchored-node"], [0], "unet")
    assert task.concept == bases.CONCEPT and len(task.runs) == len(bases.GRID)
    assert [t.seed for t in run.tasks("ablate", [], [], range(3), "flux")] == [0, 1, 2]
    assert [t.concept for t in run.tasks("ablate", [], [], range(3), "tiny")] == 3 * [bases.CONCEPT]


@pytest.mark.slow
def test_a_run_on_a_u_net(comfyui, tmp_path, monkeypatch):
    """Trains and measures on fresh weights, by the commands' own code."""
    import bench
    import measuring
    import prompts
    import run
    import samples

    from purecc_pack.tiny_world import kinds

    network, generator = kinds.build(kinds.UNET).diffusion_model, torch.Generator().manual_seed(0)
    for weight in network.parameters():  # a fresh network predicts zero whatever its blocks do
        weight.data.add_(0.02 * torch.randn(weight.shape, generator=generator))
    monkeypatch.setattr(bases.Base, "checkpoint", tmp_path / "unet.safetensors")
    kinds.export(tmp_path / "unet.safetensors", network.state_dict(), {})
    whole = prompts.asked

    def few(concept, which=prompts.GROUPS):
        return whole(concept, {group: min(2, count) for group, count in which.items()})

    monkeypatch.setattr(bench, "asked", few)
    monkeypatch.setattr(measuring, "asked", few)
    monkeypatch.setattr(samples, "SAMPLING_STEPS", 2)
    monkeypatch.setattr(bench, "POOL", 2)
    monkeypatch.setattr(run, "_world", bases.world("unet", tmp_path), raising=False)
    assert type(run._world.models.model.model).__name__ == "SDXL"
    task = run.Task("ablate", "robot", 0, (("anchored", "anchored", ()),), 1, (1,), True)
    (record,) = run.work(task, set())
    assert record["lr"] == bases.BASES["unet"].methods["anchored"].lr
    assert record["curve"]["1"]["drift"] > 0 and "follow" in record["curve"]["1"]


@pytest.fixture
def results(comfyui, tmp_path, monkeypatch):
    """Rows of the ablations from the repository as those of the embedded base, and of the U-Net the same."""
    known = [json.loads(text) for text in (report.RESULTS / "ablate.jsonl").read_text(encoding="utf-8").splitlines()]
    labels = dict(zip(("lora-token", "purecc", "anchored"), bases.COMPARED, strict=True))
    some = [r for r in known if r["concept"] == bases.CONCEPT and r["label"] in labels]
    some = [{**r, "label": labels[r["label"]]} for r in some]
    for folder in (tmp_path / bases.EMBEDDED, tmp_path / "unet"):
        folder.mkdir(exist_ok=True)
        (folder / "ablate.jsonl").write_text("".join(json.dumps(r) + "\n" for r in some), encoding="utf-8")
    search = [{**r, "label": f"{r['label']} lr=0.001"} for r in some if r["seed"] == 0]
    (tmp_path / "unet" / "search.jsonl").write_text("".join(json.dumps(r) + "\n" for r in search), encoding="utf-8")
    agreement = dict.fromkeys(bases_page.HEADS, 0.9)
    made = {"steps": 7, "batch": 2, "seconds": 60, "parameters": 3_000_000}
    figures = {"count": 78, "agreement": agreement, "training": made}
    (tmp_path / "unet" / "base.json").write_text(json.dumps(figures), encoding="utf-8")
    for module in (report, bases_page):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return tmp_path


def test_the_page_has_every_base_and_says_what_is_missing(results, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bases_page.py"])
    bases_page.main()
    text = (results / "bases.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    for title in bases_page.titles().values():
        assert title in sections
    flux = sections[bases.BASES["flux"].title]
    assert "No runs yet." in flux
    whole = sections[bases.BASES["unet"].title]
    assert all(column in whole for column in report.COLUMNS.values())
    assert whole == sections[bases.BASES[bases.EMBEDDED].title]
    assert "3.0 M | 7 x 2 | 1 min | 78 | 90.0%" in sections["How good the bases are"]
    assert sections["Rates"].count("| - | - |\n") == len(bases.COMPARED)
    assert f"{bases.BASES['flux'].title}: not searched." in sections["Rates"]


def test_the_committed_page_is_what_the_rows_give(comfyui):
    path = report.RESULTS / "bases.md"
    assert path.read_text(encoding="utf-8") == bases_page.page()
