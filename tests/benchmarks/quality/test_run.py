"""A smoke run of the benchmark, on the real base: trained, measured, kept, and not done twice."""

import json
from pathlib import Path

import processors
import pytest
import torch
from concepts import CONCEPTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quality(comfyui):
    import bench
    import run

    return bench, run


@pytest.fixture
def small(quality, monkeypatch, tmp_path):
    """Two prompts of a group, two sampling steps, and results elsewhere."""
    bench, run = quality
    import measuring
    import prompts
    import samples

    counts, whole = dict.fromkeys(prompts.GROUPS, 2), prompts.asked

    def few(concept, which=counts):
        return whole(concept, {group: min(2, count) for group, count in which.items()})

    monkeypatch.setattr(bench, "asked", few)
    monkeypatch.setattr(measuring, "asked", few)
    monkeypatch.setattr(samples, "SAMPLING_STEPS", 2)
    monkeypatch.setattr(bench, "POOL", 2)
    monkeypatch.setattr(run, "STATE", tmp_path / "state")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    torch.set_num_threads(1)
    monkeypatch.setattr(run, "_world", bench.World(tmp_path / "state"), raising=False)
    return run


def test_a_task_trains_measures_and_is_not_done_twice(small, monkeypatch):
    import kept

    runs = tuple((key, key, ()) for key in ("lora-token", "purecc", "anchored", "ewc"))
    task = small.Task("claim", "umbrella", 1, runs, 2, (1, 2), True)
    records = small.work(task, {"ewc"})
    assert [r["label"] for r in records] == ["lora-token", "purecc", "anchored"]
    for record in records:
        assert set(record["curve"]) == {"1", "2"} and "follow" in record["curve"]["2"]
        assert record["curve"]["2"]["drift"] > 0 and record["curve"]["2"]["kl"] > 0
        assert record["base"]["fidelity"] == 0 and record["seconds"]["training"] > 0
        json.dumps(record, allow_nan=False)
        made = {"commit": kept.commit(), "torch": torch.__version__, "processor": processors.name()}
        assert record["made"] == made and made["processor"]
    assert records[1]["training"]["lambda"] and records[2]["training"]["preservation"]
    monkeypatch.setattr(type(small._world), "run", None)  # a second training would fail
    assert small.work(task, {"ewc"}) == records
    assert Path(small.STATE / "claim" / "umbrella" / "anchored-1.pt").is_file()


def test_a_second_stage_takes_the_extractor_that_its_first_stage_left(small, monkeypatch):
    runs = tuple((key, key, ()) for key in ("anchored-node", "two-stages", "two-stages-half"))
    monkeypatch.setattr(small._world, "run", watched(small._world.run, made := []))
    records = small.work(small.Task("stages", "house", 0, runs, 4, (4,), False), set())
    assert [r["label"] for r in records] == [key for key, _, _ in runs]
    assert [list(r["curve"]) for r in records] == [["4"], ["4"], ["2"]]
    assert made == [("anchored-node", 4), ("two-stages", 4), ("anchored-node", 2), ("two-stages-half", 2)]
    assert set(records[1]["training"]) >= {"concept", "preservation", "expected"}


def watched(run, made):
    """A world's run that notes method and steps."""
    from methods import METHODS

    names = {method: key for key, method in METHODS.items()}

    def noted(concept, method, seed, budget, *rest):
        made.append((names[method], budget.steps))
        return run(concept, method, seed, budget, *rest)

    return noted


def test_fast_and_small_paths_of_the_speed_benchmark(small, quality, monkeypatch, tmp_path):
    """Each goes its own way to nearly the same model."""
    bench, _ = quality
    monkeypatch.syspath_prepend(str(Path(bench.__file__).parents[1]))
    from speed import embedded

    budget, seen = bench.Budget(2, (), True), []
    whole = bench.prepared

    def prepared(models, dataset, job, *more):
        dtype, memory = models.model.model.get_dtype(), job.memory
        seen.append((dtype, memory.precision, memory.checkpointing, memory.pass_limit))
        return whole(models, dataset, job, *more)

    monkeypatch.setattr(bench, "prepared", prepared)
    rows = [embedded.learned(way, 0, budget, tmp_path) for way in embedded.WAYS]
    loaded = seen[0][0]
    assert seen == [
        (loaded, "float32", "off", None),
        (loaded, "float32", "all", 1),
        (loaded, "bfloat16", "auto", None),
        (torch.float8_e4m3fn, "auto", "auto", None),
    ]
    drifts = [row["drift"] for row in rows]
    assert drifts[1] == pytest.approx(drifts[0], rel=1e-3) and drifts[1] != drifts[2] != drifts[3]
    assert drifts == pytest.approx([drifts[0]] * 4, rel=0.5)
    assert all(f"| {way} | " in embedded.page(rows) for way in embedded.WAYS)


def test_elastic_weights(quality, comfyui):
    """The penalty is nothing at the start, and w 10⁶ Σ F ΔW² / Σ F later."""
    bench, _ = quality
    import ewc
    from concepts import CONCEPTS
    from peft.tuners.lora import LoraLayer

    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.training.assembly import assembled
    from purecc_pack.purecc.host.training.job import EmbeddingSpec, Job
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation
    from purecc_pack.purecc.method.recipe import LEARNER

    world, concept = bench.World(Path("unused")), CONCEPTS["robot"]
    dataset = world.dataset(concept)
    job = Job("x", ConceptCustomisation(), embedding=EmbeddingSpec(layer_wise=False))
    with trainable_world(), assembled(world.models, dataset, job, bench.Silent().phase) as assembly:
        penalty = ewc.penalty(assembly.branched, dataset.items, 2.0)
        assert float(penalty()) == 0
        modules = assembly.branched.field.module.modules()
        layers = [m for m in modules if isinstance(m, LoraLayer) and LEARNER in m.lora_A]
        with torch.no_grad():
            for layer in layers:
                layer.lora_B[LEARNER].weight.fill_(1e-3)
        one = float(penalty())
        with torch.no_grad():
            for layer in layers:
                layer.lora_B[LEARNER].weight.mul_(2)
        assert one > 0 and float(penalty()) == pytest.approx(4 * one, rel=1e-4)
        assert not any(p.requires_grad for layer in layers for p in layer.get_base_layer().parameters())


def test_the_penalty_is_part_of_the_loss(quality):
    import ewc

    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation
    from purecc_pack.purecc.method.recipe import COMPLETE, Samples

    method = ConceptCustomisation()
    recipe = ewc.Penalised(method, lambda: torch.tensor(3.0))
    ones, zeros = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    samples = Samples((), zeros, torch.zeros(2), ones, ones, torch.zeros(2, dtype=torch.bool))
    terms = recipe.terms({COMPLETE: torch.zeros(2, 1, 2, 2)}, samples, None)
    assert terms.total.tolist() == [4.0, 4.0] and terms.parts["concept"].tolist() == [1.0, 1.0]
    assert recipe.passes == method.passes and recipe.describe() == method.describe()


def test_the_phases_keep_development_and_claim_apart(quality):
    _, run = quality
    import concepts

    names = {phase: {t.concept for t in run.tasks(phase, [], [], range(3))} for phase in run.PHASES}
    assert names["search"] == names["ablate"] == set(concepts.DEVELOPMENT)
    assert names["claim"] == set(concepts.CLAIM)
    assert names["unseen"] == set(concepts.UNSEEN)
    seeds = [t.seed for t in run.tasks("claim", [], [], range(5))]
    assert seeds == sorted(seeds) and len(set(seeds)) == 5
    (one,) = run.tasks("claim", ["tree"], ["anchored"], (3,))
    assert [r[0] for r in one.runs] == ["anchored"] and one.seed == 3


def test_how_far_a_row_is_from_the_one_that_is_kept(quality):
    import kept

    _, run = quality
    row = kept.done("claim", run.RESULTS)["claim", "tree", "anchored", 3]
    other = json.loads(json.dumps(row))
    assert kept.distance(row, other) == 0
    other["curve"]["200"]["leak"] += 0.25
    assert kept.distance(row, other) == pytest.approx(0.25)


def test_the_defaults_of_the_node_are_those_that_were_measured(quality):
    """What the benchmark calls ours is what a new Pure Learning node does, rates and sizes aside."""
    import methods

    from purecc_pack.nodes import training
    from purecc_pack.nodes.settings import fields
    from purecc_pack.purecc.method.methods import METHODS, MethodOptions

    schema = training.PureLearning.GET_SCHEMA()
    lists = {entry.id: entry.options[0] for entry in schema.inputs if getattr(entry, "options", None)}
    values = {entry.id: entry.default for entry in schema.inputs if hasattr(entry, "default")} | lists
    options = MethodOptions(**fields(training.STAGE_2, values)["method"])
    assert METHODS[values["method"]](options) == methods.OURS.recipe
    assert values["target_layers"] == methods.OURS.target


def test_what_is_there_is_not_made_again_but_can_be_made_anew(quality, monkeypatch, tmp_path, capsys):
    import kept

    _, run = quality

    def told(*words):
        monkeypatch.setattr("sys.argv", ["run.py", *words, "--predict"])
        run.main()
        return capsys.readouterr().out

    assert told("claim").startswith("0 runs") and "--anew DIR" in told("claim")
    assert told("claim", "--only", "tree", "--anew", str(tmp_path)).startswith("20 runs, about ")
    row = kept.done("claim", run.RESULTS)["claim", "tree", "anchored", 3]
    (tmp_path / "claim.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert told("claim", "--only", "tree", "--anew", str(tmp_path)).startswith("19 runs, about ")
    everything = sum(len(kept.done(phase, run.RESULTS)) for phase in run.PHASES)
    assert told("all", "--anew", str(tmp_path / "none")).startswith(f"{everything} runs, about ")


def test_the_second_claim_draws_fewer_of_the_same_images(quality, tmp_path, monkeypatch):
    """A row has the figures of its fewer prompts, each with the noise that it has among all."""
    bench, _ = quality
    import measuring
    import prompts
    import samples

    fewer = {"requested": 16, "pair": 1, "unnamed": 1, "class": 1, "unrelated": 1, "unrelated pair": 1}
    monkeypatch.setattr(measuring, "FEWER", fewer)
    monkeypatch.setattr(measuring, "FEWER_SHORT", {"requested": 16, "unnamed": 1, "class": 1})
    monkeypatch.setattr(samples, "SAMPLING_STEPS", 2)
    monkeypatch.setattr(bench, "POOL", 2)
    concept = CONCEPTS["fish-3"]
    whole, seen = prompts.asked(concept), []
    drawn = measuring.generate

    def generate(branched, field, branch, texts, seed, numbers=(), *more):
        seen.append(([whole[k].text for k in numbers], list(texts)))
        return drawn(branched, field, branch, texts, seed, numbers, *more)

    monkeypatch.setattr(measuring, "generate", generate)
    torch.set_num_threads(1)
    world = bench.World(tmp_path)
    budget = measuring.Budget(2, (1,), True, fewer=True)
    record, _, pictures = world.run(concept, bench.METHODS["lora-token"], 0, budget)
    assert seen and all(of_numbers == texts for of_numbers, texts in seen)
    assert {step: len(images) for step, images in pictures.items()} == {1: 18, 2: 21}
    assert "leak other" not in record["curve"][2] and {"follow", "pair", "leak"} <= set(record["curve"][2])


def test_an_extractor_is_not_measured(quality, tmp_path, monkeypatch):
    bench, _ = quality
    import extractors

    monkeypatch.setattr(bench.World, "base", lambda *a: torch.zeros(140, 16, 12, 12))
    monkeypatch.setattr(bench.World, "base_figures", lambda *a: {})
    monkeypatch.setattr(bench.World, "figures", None)
    torch.set_num_threads(1)
    made = extractors.theta1(bench.World(tmp_path), "lora-token", CONCEPTS["fish-3"], 0, 2)
    assert made.kind == "extractor" and made.lora


@pytest.mark.parametrize("name", ["tree-2", "house", "cup-2", "fish-2"])
def test_what_is_new_in_a_thing_stays_in_its_mask(quality, tmp_path, name):
    """Of individuals that the base never saw, drawn by code: nearly all of each is in its mask, and little else."""
    bench, _ = quality
    import masks

    from purecc_pack.purecc.host.training.find_masks import find_masks

    torch.set_num_threads(1)
    concept, world = CONCEPTS[name], bench.World(tmp_path)
    dataset = world.dataset(concept)
    some = bench.replace(dataset, items=dataset.items[:2])
    found = find_masks(world.models, some, lambda *a, **k: None)
    assert not found.companion
    for item in found.dataset.items:
        _, inside, outside = masks.figures(item.mask[0, 0], world.true_mask(concept, item)[0, 0])
        assert inside > 0.8 and outside < 0.2
