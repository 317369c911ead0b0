"""The training nodes as the host runs them: their choices, their progress, their refusals."""

import io
import json
from pathlib import Path

import pytest
import runs
import torch
from PIL import Image

QUICK = {"steps": 2, "learning_rate": 1e-2, "embedding_learning_rate": 1e-2}


def extract(models, dataset, **values):
    from purecc_pack.nodes import TrainExtractor

    given = {"model": models.model, "clip": models.clip, "dataset": dataset, **QUICK, **values}
    return runs.execute(TrainExtractor, **given).args


def learn(models, dataset, **values):
    from purecc_pack.nodes import PureLearning

    given = {"model": models.model, "clip": models.clip, "dataset": dataset, "pool_images": 2, **QUICK, **values}
    return runs.execute(PureLearning, **given).args


def test_train_extractor_is_stage_1(models, dataset):
    extractor, loss = extract(models, dataset, name="mine", layer_wise=True)
    job = runs.job("mine", kind="extractor", steps=2, weight_decay=1e-4)
    assert extractor.id == runs.customise(models, dataset, job).adapter.id
    assert extractor.kind == "extractor" and extractor.name == "mine"
    assert len(loss["loss"]) == 2 and loss["lambda"] == []


def expected_recipes():
    from purecc_pack.purecc.recipes import (
        ConceptCustomisation,
        OutputPreservation,
        PriorPreservation,
        PureLearning,
    )

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
    from purecc_pack.nodes import training_inputs

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
        "gradient_checkpointing": True,
        "deterministic": True,
        "drift_every": 7,
        "drift_prompts": " a lake \n\n a hill",
        "sample_every": 8,
        "sample_prompt": " a [v] robot \n\na lake",
        "trace_steps": "1, 3",
        "vae": object(),
    }
    job = runs.job(**training_inputs.job_options(values) | {"settings": None}) if False else None
    options = training_inputs.job_options(values)
    assert job is None
    s = options.pop("settings")
    assert (s.steps, s.batch, s.lr, s.embedding_lr, s.seed, s.accumulation) == (5, 3, 0.1, 0.2, 9, 2)
    assert (s.schedule, s.warmup, s.weight_decay, s.clip, s.density, s.shift) == (
        "cosine",
        4,
        0.5,
        0.25,
        "uniform",
        1.5,
    )
    lora = options.pop("lora")
    assert (lora.rank, lora.alpha, lora.targets) == (6, 3.0, "all blocks")
    assert options == {
        "name": "n",
        "input_token": False,
        "layer_wise": True,
        "precision": "bfloat16",
        "checkpointing": True,
        "deterministic": True,
        "drift_every": 7,
        "drift_prompts": ("a lake", "a hill"),
        "sample_every": 8,
        "sample_prompts": ("a [v] robot", "a lake"),
        "trace_steps": frozenset([1, 3]),
    }
    assert training_inputs.lora({**values, "alpha": 0.0}).alpha == 6.0, "0 means the rank"
    assert training_inputs.job_options({**values, "vae": None})["sample_every"] == 0


def test_the_deterministic_switch_is_given_back(models, dataset):
    assert not torch.are_deterministic_algorithms_enabled()
    during = []
    listener = runs.Quiet(at_step=lambda step: during.append(torch.are_deterministic_algorithms_enabled()))
    runs.customise(models, dataset, runs.job(steps=1, deterministic=True), listener)
    assert during == [True] and not torch.are_deterministic_algorithms_enabled()


class Shown(tuple):
    """(bars, lines), and the events for the browser."""

    def __new__(cls, parts, events):
        made = super().__new__(cls, parts)
        made.events = events
        return made


@pytest.fixture
def shown(monkeypatch):
    """Everything a run shows on its node: (value, total, preview), and lines of text."""
    import comfy.utils
    from server import PromptServer

    bars, lines, events = [], [], []

    class Server:
        def send_sync(self, name, data):
            events.append((name, json.loads(json.dumps(data))))

        def send_progress_text(self, text, node_id):
            lines.append((node_id, text))

    monkeypatch.setattr(PromptServer, "instance", Server(), raising=False)
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, preview, node_id=None: bars.append((value, total, preview))
    )
    yield Shown((bars, lines), events)
    comfy.utils.set_progress_bar_global_hook(None)


def test_progress_with_step_loss_scale_and_time(models, dataset, extractor, shown):
    bars, lines = shown
    learn(models, dataset, method="PureCC (paper)", extractor=extractor, steps=3, sample_every=2, vae=models.vae)
    assert all(node == "7" for node, _ in lines)
    texts = [text for _, text in lines]
    assert texts[0] == "pure learning: reading the captions"
    for number, text in enumerate(texts[-3:], start=1):
        assert text.startswith(f"pure learning: step {number}/3, loss ") and ", λ " in text and text.endswith(" left")
    assert [(value, total) for value, total, _ in bars][-3:] == [(1, 3), (2, 3), (3, 3)]


def test_a_run_is_live_for_the_browser(models, dataset, extractor, shown, tmp_path, monkeypatch):
    """Every step, every sample with the base's own beside it, every adapter that was saved; then the run has ended."""
    import folder_paths

    from purecc_pack.purecc.host.live import RUNS

    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(tmp_path / kind)])
    prompts = "a [v] robot\na lake"
    saving = {"autosave_every": 1, "autosave_keep": 2, "drift_every": 2, "drift_prompts": "a lake"}
    drawing = {"sample_every": 2, "sample_prompt": prompts, "vae": models.vae}
    _, _, loss = learn(models, dataset, extractor=extractor, steps=3, method="PureCC (paper)", **saving, **drawing)
    run = RUNS.all()[-1]
    state = run.state()
    assert (state["node"], state["title"], state["name"]) == ("7", "pure learning", "my_concept")
    assert (state["state"], state["step"], state["total"], state["left"]) == ("finished", 3, 3, None)
    assert [row[0] for row in state["rows"]] == [1, 2, 3]
    assert [row[1] for row in state["rows"]] == loss["loss"] and [row[6] for row in state["rows"]] == loss["lambda"]
    assert [(row[0], row[4]) for row in state["rows"] if row[4] is not None] == loss["drift"]
    assert [(s["step"], s["prompt"]) for s in state["samples"]] == [
        (step, prompt) for step in (2, 3) for prompt in prompts.splitlines()
    ]
    pictures = {(k, which): run.picture(k, which) for k in range(4) for which in ("base", "current")}
    assert all(Image.open(io.BytesIO(p)).size == (64, 64) for p in pictures.values())
    assert pictures[0, "base"] == pictures[2, "base"] != pictures[1, "base"]
    assert pictures[0, "base"] != pictures[0, "current"]
    assert state["saved"] == ["my_concept_step2", "my_concept_step3"]
    assert sorted(p.stem for p in (tmp_path / "loras").iterdir()) == state["saved"]
    used, total = state["memory"]
    assert 0 < used < total
    events = [data for name, data in shown.events if name == "purecc.run"]
    assert all(e["id"] == run.id for e in events) and events[-1]["state"] == "finished"
    assert [row for e in events for row in e["rows"]] == state["rows"], "the events together tell all"
    assert [s for e in events for s in e["samples"]] == state["samples"]


@pytest.mark.parametrize(("method", "said"), [("anchored", True), ("LoRA", True), ("PureCC (paper)", False)])
def test_an_extractor_that_the_method_does_not_use(models, dataset, extractor, shown, caplog, method, said):
    """Methods may be switched with it connected: training goes on without, and the node and the log say so."""
    import logging

    from purecc_pack.purecc.host.live import RUNS

    caplog.set_level(logging.INFO)
    line = "The extractor is not used by this method."
    learn(models, dataset, extractor=extractor, method=method, steps=1)
    assert RUNS.all()[-1].head()["state"] == "finished" and (RUNS.all()[-1].head()["note"] == line) is said
    notes = [data["note"] for name, data in shown.events if name == "purecc.run"]
    assert set(notes) == ({line} if said else {""}), "told with the first event, and never taken back"
    assert any(line in record.getMessage() for record in caplog.records) is said
    learn(models, dataset, extractor=None if said else extractor, method=method, steps=1)
    assert RUNS.all()[-1].head()["note"] == "" and line not in shown.events[-1][1]["note"]


def test_a_run_that_fails_or_is_cancelled_says_so(models, dataset, comfyui, monkeypatch):
    from comfy import model_management

    from purecc_pack.purecc.host import runs as host_runs
    from purecc_pack.purecc.host.live import RUNS

    with pytest.raises(RuntimeError, match="not a finite number"):
        extract(models, dataset, learning_rate=1e30, steps=4)
    assert RUNS.all()[-1].head()["state"] == "failed" and "too high" in RUNS.all()[-1].head()["text"]
    stepped = host_runs._OnNode.step

    def cancel(self, step, previews):
        model_management.interrupt_current_processing()
        stepped(self, step, previews)

    monkeypatch.setattr(host_runs._OnNode, "step", cancel)
    with pytest.raises(model_management.InterruptProcessingException):
        extract(models, dataset)
    assert RUNS.all()[-1].head()["state"] == "cancelled"


def test_stop_and_keep(models, dataset, monkeypatch):
    """The result is that of a run of so many steps, and says how many; the last drift and sample are of that step."""
    from purecc_pack.purecc.host import runs as host_runs
    from purecc_pack.purecc.host.live import RUNS

    stepped = host_runs._OnNode.step

    def stop(self, step, previews):
        stepped(self, step, previews)
        if step.number == 2:
            RUNS.all()[-1].wish("stop")

    short, _ = extract(models, dataset, steps=3)
    monkeypatch.setattr(host_runs._OnNode, "step", stop)
    extractor, loss = extract(
        models, dataset, steps=50, drift_every=40, drift_prompts="a lake", sample_every=40, vae=models.vae
    )
    assert extractor.id == short.id
    assert len(loss["loss"]) == 3 and [step for step, _ in loss["drift"]] == [3]
    state = RUNS.all()[-1].state()
    assert (state["state"], state["step"], state["total"]) == ("stopped", 3, 50)
    assert [s["step"] for s in state["samples"]] == [3]
    report = json.loads(extractor.metadata["purecc.report"])
    assert report["steps"] == 3 and report["stopped"] is True and extractor.metadata["purecc.steps"] == "3"
    assert json.loads(short.metadata["purecc.report"])["stopped"] is False


def test_sample_now_and_save_now(models, dataset, tmp_path, monkeypatch):
    """Granted once, at the next step; the saved adapter is the one a run of so many steps leaves."""
    import folder_paths

    from purecc_pack.purecc import files
    from purecc_pack.purecc.host import runs as host_runs
    from purecc_pack.purecc.host.live import RUNS

    stepped = host_runs._OnNode.step
    folders = [tmp_path / kind for kind in ("loras", "embeddings")]
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(tmp_path / kind)])

    def ask(self, step, previews):
        stepped(self, step, previews)
        if step.number == 1:
            RUNS.all()[-1].wish("sample")
            RUNS.all()[-1].wish("save")

    monkeypatch.setattr(host_runs._OnNode, "step", ask)
    full, _ = extract(models, dataset, name="now", steps=3, sample_every=0, vae=models.vae)
    state = RUNS.all()[-1].state()
    assert [s["step"] for s in state["samples"]] == [2] and state["saved"] == ["now_step1"] and state["asked"] == []
    monkeypatch.undo()
    saved = files.load(*(folder / "now_step1.safetensors" for folder in folders))
    alone, _ = extract(models, dataset, name="now", steps=1)
    assert saved.id == alone.id != full.id and saved.name == "now_step1" and saved.metadata["purecc.steps"] == "1"


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"best_drift": 0.1}, "drift is never measured: set drift_every"),
        ({"name": "no/slash"}, "'no/slash' cannot be an adapter name"),
        ({"name": ""}, "cannot be an adapter name"),
        ({"trace_steps": "one"}, "trace_steps is 'one'"),
        ({"trace_steps": "0"}, "trace_steps is '0'"),
        ({"drift_every": 1, "drift_prompts": " \n"}, "there are no prompts"),
        ({"drift_every": 1, "drift_prompts": "a {b}"}, "holds '{'"),
        ({"sample_prompt": "a {b}", "sample_every": 1, "vae": "models"}, "holds '{'"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused(models, dataset, values, message):
    values = {**values, "vae": models.vae} if "vae" in values else values
    with pytest.raises(ValueError, match=message):
        extract(models, dataset, **values)


def test_pure_learning_without_its_extractor(models, dataset, learned):
    with pytest.raises(ValueError, match="connect the output of Train Extractor or Load Adapter"):
        learn(models, dataset, method="PureCC (paper)")
    with pytest.raises(ValueError, match="'pure' is an adapter, not an extractor"):
        learn(models, dataset, method="PureCC (paper)", extractor=learned.adapter)


def unet_model():
    """A genuine Stable Diffusion 1 model of the host, tiny: it predicts noise, not velocity."""
    import comfy.model_patcher
    import comfy.supported_models

    config = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1],
        "channel_mult": [1, 1],
        "transformer_depth": [0, 0],
        "transformer_depth_output": [0, 0, 0, 0],
        "transformer_depth_middle": -1,
        "context_dim": 32,
        "num_heads": 2,
        "use_spatial_transformer": True,
        "dtype": torch.float32,
    }
    model = comfy.supported_models.SD15(config).get_model({})
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def flux_model():
    """A genuine Flux model of the host, tiny: it predicts velocity, but is no MMDiT of the SD3 family."""
    import comfy.model_patcher
    import comfy.supported_models

    config = {
        "image_model": "flux",
        "in_channels": 16,
        "out_channels": 16,
        "vec_in_dim": 32,
        "context_in_dim": 32,
        "hidden_size": 64,
        "mlp_ratio": 2.0,
        "num_heads": 2,
        "depth": 1,
        "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12],
        "txt_ids_dims": [],
        "theta": 10000,
        "patch_size": 2,
        "qkv_bias": True,
        "guidance_embed": False,
        "dtype": torch.float32,
    }
    model = comfy.supported_models.FluxSchnell(config).get_model({})
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (unet_model, "does not predict a velocity.*Load a Stable Diffusion 3 or 3.5 model"),
        (flux_model, "Models of kind Flux are not supported yet. Load a Stable Diffusion 3 or 3.5 model"),
    ],
)
def test_a_model_of_another_kind_is_refused(models, dataset, make, message):
    from purecc_pack.nodes import TrainExtractor

    with pytest.raises(ValueError, match=message):
        runs.execute(TrainExtractor, model=make(), clip=models.clip, dataset=dataset)


def test_a_clip_of_another_kind_is_refused(models, dataset):
    """Stable Diffusion 1's text encoder, and one whose vectors are of another width than the model takes."""
    import comfy.sd
    import standin
    from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer
    from comfy.supported_models_base import ClipTarget
    from comfy.text_encoders.sd3_clip import SD3Tokenizer, sd3_clip

    from purecc_pack.nodes import TrainExtractor

    options = {"clip_l_model_config": dict(standin.SMALL_CLIP)}
    clip = comfy.sd.CLIP(ClipTarget(SD1Tokenizer, SD1ClipModel), model_options=options)
    with pytest.raises(ValueError, match=r"has no CLIP-L or CLIP-G of the Stable Diffusion 3 family"):
        runs.execute(TrainExtractor, model=models.model, clip=clip, dataset=dataset)
    wide = {"clip_l_model_config": {**standin.SMALL_CLIP, "hidden_size": 96}}
    target = ClipTarget(SD3Tokenizer, sd3_clip(clip_l=True, clip_g=False, t5=False))
    clip = comfy.sd.CLIP(target, model_options=wide)
    with torch.inference_mode():
        for weight in clip.cond_stage_model.parameters():
            weight.fill_(0.01)
    with pytest.raises(ValueError, match=r"The CLIP gives .*1376.* and the model takes .*1344.*Connect the CLIP"):
        runs.execute(TrainExtractor, model=models.model, clip=clip, dataset=dataset)


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
