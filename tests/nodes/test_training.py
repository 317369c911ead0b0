"""The training nodes as the host runs them: their choices, and what they leave."""

from pathlib import Path

import pytest
import runs
import torch
from trainers import extract, learn

pytestmark = pytest.mark.slow


def test_train_extractor_is_stage_1(models, dataset):
    extractor, loss = extract(models, dataset, name="mine", layer_wise=True)
    job = runs.job("mine", kind="extractor", steps=2, weight_decay=1e-4)
    assert extractor.id == runs.customise(models, dataset, job).adapter.id
    assert extractor.kind == "extractor" and extractor.name == "mine"
    assert len(loss["loss"]) == 2 and loss["lambda"] == []


def expected_recipes():
    from purecc_pack.purecc.method.baselines import OutputPreservation, PriorPreservation
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation, PureLearning

    paper = {"method": "PureCC (paper)"}
    return [
        (paper, PureLearning()),
        ({**paper, "eta": 0.5, "v_original": "base"}, PureLearning(0.5, v_original="base")),
        ({**paper, "scale": "fixed", "fixed_scale": 3.0}, PureLearning(scale=3.0)),
        ({"method": "LoRA"}, ConceptCustomisation()),
        ({"method": "prior preservation", "eta": 2.0, "pool_images": 1}, PriorPreservation(2.0)),
        ({"method": "DOP"}, OutputPreservation("base")),
        ({"method": "BPP", "eta": 3.0}, OutputPreservation("empty", 3.0)),
    ]


@pytest.mark.parametrize("case", range(7))
def test_pure_learning_runs_the_chosen_method(models, dataset, extractor, case):
    values, recipe = expected_recipes()[case]
    theirs = extractor if type(recipe).__name__ == "PureLearning" else None
    adapter, lora, loss = learn(models, dataset, extractor=extractor, **values)
    job = runs.job("my_concept", recipe, steps=2, layer_wise=False, pool_images=values.get("pool_images", 2))
    assert adapter.id == runs.customise(models, dataset, job, extractor=theirs).adapter.id
    assert runs.digest(lora) == runs.digest(adapter.lora)
    assert loss["title"] == "pure learning" and len(loss["loss"]) == 2
    assert len(loss["lambda"]) == (2 if theirs else 0)


def test_advanced_inputs_reach_the_loop(comfyui):
    from purecc_pack.nodes.settings import fields
    from purecc_pack.nodes.training import STAGE_1
    from purecc_pack.purecc.training.common_things import WORDS

    values = {
        "name": "n",
        "steps": 5,
        "batch_size": 3,
        "learning_rate": 0.1,
        "embedding_learning_rate": 0.2,
        "rank": 6,
        "seed": 9,
        "input_token": False,
        "layer_wise": True,
        "alpha": 3.0,
        "target_layers": "all blocks",
        "accumulation": 2,
        "schedule": "cosine",
        "warmup_steps": 4,
        "weight_decay": 0.5,
        "clip_norm": 0.25,
        "timesteps": "uniform",
        "timestep_shift": 1.5,
        "precision": "bfloat16",
        "gradient_checkpointing": "all",
        "deterministic": True,
        "drift_every": 7,
        "drift_prompts": " a lake \n\n a hill",
        "sample_every": 8,
        "sample_prompt": " a [v] robot \n\na lake",
        "trace_steps": "1, 3",
        "autosave_every": 10,
        "autosave_keep": 2,
        "best_drift": 0.5,
        "resume": "auto",
        "state_every": 2.5,
        "keep_state": True,
        "vae": object(),
        "loss_weighting": "min-SNR",
    }
    assert fields(STAGE_1, values) == {
        "job": {"name": "n", "weighting": "min-SNR"},
        "references": {"places": "auto", "companion": WORDS, "size": "fit"},
        "method": {"anchor_weight": 0.25, "mask": True},
        "pool": {"images": 48, "prompts": ()},
        "lora": {"rank": 6, "alpha": 3.0, "targets": "all blocks"},
        "settings": {
            "steps": 5,
            "batch": 3,
            "accumulation": 2,
            "lr": 0.1,
            "embedding_lr": 0.2,
            "schedule": "cosine",
            "warmup": 4,
            "weight_decay": 0.5,
            "clip": 0.25,
            "density": "uniform",
            "shift": 1.5,
            "seed": 9,
        },
        "embedding": {"input_token": False, "layer_wise": True, "concept_by": "auto"},
        "memory": {"precision": "bfloat16", "checkpointing": "all", "deterministic": True},
        "watch": {
            "drift_every": 7,
            "drift_prompts": ("a lake", "a hill"),
            "sample_every": 8,
            "sample_prompts": ("a [v] robot", "a lake"),
            "trace_steps": frozenset([1, 3]),
        },
        "saving": {"every": 10, "keep": 2, "best_drift": 0.5},
        "resuming": {"mode": "auto", "every": 2.5, "keep": True},
    }
    older = {key: value for key, value in values.items() if key not in ("resume", "state_every", "keep_state")}
    assert fields(STAGE_1, older)["resuming"] == {"mode": "ask", "every": 5.0, "keep": False}, "a prompt of before"
    assert fields(STAGE_1, {**values, "alpha": 0.0})["lora"]["alpha"] == 6.0, "0 means the rank"
    assert fields(STAGE_1, {**values, "vae": None})["watch"]["sample_every"] == 0


@pytest.mark.parametrize("stage", ["STAGE_1", "STAGE_2"])
def test_every_setting_fills_a_field_of_its_own(comfyui, stage):
    from purecc_pack.nodes import training
    from purecc_pack.nodes.settings import Setting

    filled = [entry.fills for entry in getattr(training, stage) if isinstance(entry, Setting)]
    assert len(set(filled)) == len(filled)


@pytest.mark.parametrize(
    ("value", "meant"),
    [("auto", "auto"), ("off", "off"), ("all", "all"), (True, "all"), (False, "off"), ("some", None), (2, None)],
)
def test_checkpointing_that_was_saved_as_a_switch(comfyui, value, meant):
    """The host takes it with the prompt, and it means what it meant; the host refuses what it never was."""
    import asyncio

    import execution

    import nodes
    from purecc_pack.nodes import NODES
    from purecc_pack.purecc.host.training.queue_checks import checkpointing

    schemas = {node.GET_SCHEMA().node_id: node for node in NODES}
    for node_id in ("PureCCTrainExtractor", "PureCCPureLearning"):
        assert nodes.NODE_CLASS_MAPPINGS.setdefault(node_id, schemas[node_id]) is schemas[node_id]
        inputs = {"gradient_checkpointing": value}
        prompt = {"1": {"class_type": node_id, "inputs": inputs}}
        _, errors, _ = asyncio.run(execution.validate_inputs("prompt", prompt, "1", {}))
        told = [e for e in errors if e["type"] != "required_input_missing"]
        assert bool(told) is (meant is None) and all(repr(value) in e["details"] for e in told)
        assert inputs["gradient_checkpointing"] == value
    if meant is not None:
        assert checkpointing(value) == meant


def test_the_deterministic_switch_is_given_back(models, dataset):
    assert not torch.are_deterministic_algorithms_enabled()
    during = []
    listener = runs.Quiet(at_step=lambda step: during.append(torch.are_deterministic_algorithms_enabled()))
    runs.customise(models, dataset, runs.job(steps=1, deterministic=True), listener)
    assert during == [True] and not torch.are_deterministic_algorithms_enabled()


def test_traces_are_files_and_never_overwritten(models, dataset, comfyui):
    import folder_paths
    from safetensors.torch import load_file

    folder = Path(folder_paths.get_output_directory()) / "purecc" / "traces"
    for _ in range(2):
        extract(models, dataset, name="traced", trace_steps="2")
    files = sorted(p.name for p in folder.glob("traced_*"))
    assert files == ["traced_step2_001.safetensors", "traced_step2_002.safetensors"]
    trace = load_file(folder / files[0])
    assert {"x_t", "t", "target", "v.learner.complete", "loss.concept", "loss.total"} == set(trace)
    for name in files:
        (folder / name).unlink()


def test_plot_loss_graph_and_training_curves_take_the_losses(models, dataset, extractor):
    from comfy_extras.nodes_train import LossGraphNode

    from purecc_pack.nodes import TrainingCurves

    values = {"method": "PureCC (paper)", "drift_every": 1, "drift_prompts": "a lake"}
    loss = learn(models, dataset, extractor=extractor, **values)[2]
    graph = LossGraphNode.PREPARE_CLASS_CLONE(None).execute(loss, "loss")
    assert graph.ui.values
    (picture,) = runs.execute(TrainingCurves, loss=loss, loss_2=extract(models, dataset)[1]).args
    assert picture.shape[0] == 1 and picture.shape[3] == 3 and picture.shape[1] == 3 * 220
    assert 0.5 < float(picture.mean()) < 1.0 and float(picture.min()) < 0.4


def test_a_companion_is_named_by_words_between_commas(comfyui):
    from purecc_pack.nodes.place_settings import companion_of
    from purecc_pack.purecc.training.common_things import WORDS

    assert companion_of({}) == companion_of({"companion_words": " , "}) == WORDS
    assert companion_of({"companion_words": " beach  ball, dog,,dog"}) == ("beach ball", "dog")
    assert companion_of({"companion": "keep", "companion_words": "dog"}) == ()
