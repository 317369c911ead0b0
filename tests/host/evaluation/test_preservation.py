"""The preservation report and the comparison of adapters, on small real models."""

import json
from dataclasses import replace

import numpy as np
import pytest
import runs
import torch
from drawn import Told, drift

from purecc_pack.purecc.text.concept import Concept

pytestmark = pytest.mark.slow


ROBOT = Concept("robot")
PROMPTS = "a [v] robot on a beach\na robot in snow\na red car"
HOW = {"steps": 2, "cfg": 3.0, "scheduler": "simple", "width": 64, "height": 64, "batch_size": 2, "seed": 5, "seeds": 2}


def protocol(prompts):
    """Two steps of two seeds."""
    from purecc_pack.purecc.evaluation.pictures import parse_prompts
    from purecc_pack.purecc.host.evaluation.sampling import Protocol, Sampling

    return Protocol(parse_prompts(prompts, ROBOT), (5, 6), Sampling(2, 3.0, "euler", "simple", 64, 64, "", 2))


@pytest.fixture
def run(models, monkeypatch, tmp_path):
    import folder_paths

    from purecc_pack.nodes import report

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))

    def execute(node, **values):
        values = {"vae": models.vae, "prompts": PROMPTS, **HOW, **values}
        lists = {k: v if isinstance(v, list) else [v] for k, v in values.items()}
        made = runs.execute(getattr(report, node), model=[models.model], clip=[models.clip], **lists)
        sheet, table, text = made.args
        return made, sheet, table, json.loads(text)

    return execute


def stock(models, model, clip, text, seed):
    """A picture by the stock nodes, in numpy."""
    latent = runs.sample(model, runs.encode(clip, text), runs.encode(clip, ""), seed=seed)
    with torch.inference_mode():
        return models.vae.decode(latent)[0].clamp(0, 1).double().numpy()


def test_the_report_is_what_the_stock_nodes_draw(run, models, customised, tmp_path):
    made, sheet, table, known = run(
        "PreservationReport", customised_model=customised[0], customised_clip=customised[1], trigger="embedding:plain"
    )
    (found,) = known["models"]
    asked = (
        ("a robot on a beach", "a embedding:plain robot on a beach"),
        *(("a robot in snow",) * 2, ("a red car",) * 2),
    )
    for p, (plain, with_concept) in enumerate(asked):
        base = [stock(models, models.model, models.clip, plain, seed) for seed in (5, 6)]
        ours = [stock(models, *customised, with_concept, seed) for seed in (5, 6)]
        expected = [np.abs(a - b).mean() for a, b in zip(base, ours, strict=True)]
        assert found["change"][p] == pytest.approx(expected, abs=1e-3)
        assert known["prompts"][p]["floor"] == pytest.approx(np.abs(base[0] - base[1]).mean(), abs=1e-3)
    assert [p["group"] for p in known["prompts"]] == ["concept", "class", "unrelated"]
    assert found["drift"] > 0 and found["trigger"] == "embedding:plain"
    saved = tmp_path / "purecc" / "preservation_00001_.json"
    assert json.loads(saved.read_text(encoding="utf-8")) == known
    assert saved.with_suffix(".md").read_text(encoding="utf-8") == table + "\n"
    assert sheet.shape[0] == 1 and min(sheet.shape[1:3]) > 300 and made.ui["images"][0]["type"] == "temp"


def test_a_model_that_was_not_changed_is_said_to_be_untouched(run, models):
    *_, known = run(
        "PreservationReport", customised_model=models.model, customised_clip=models.clip, trigger="robot",
        prompts="a [v] robot\na red car",
    )  # fmt: skip
    (found,) = known["models"]
    assert found["drift"] == 0.0 and found["groups"]["unrelated"]["change"] == 0.0
    assert found["verdict"].startswith("customised model: ") and "0 %" in found["verdict"]


@pytest.mark.slow
def test_adapters_side_by_side_are_what_each_is_alone(run, models, token_only, learned):
    from purecc_pack.purecc.host.models.apply import apply
    from purecc_pack.purecc.training.drift import UNRELATED_PROMPTS

    other = learned.adapter
    bare = replace(token_only, name="bare", tokens={}, layers=None)
    *_, known = run("CompareAdapters", adapter=token_only, adapter_2=other, adapter_4=bare)
    assert [m["name"] for m in known["models"]] == [token_only.name, other.name, "bare"]
    for adapter, found in zip((token_only, other), known["models"], strict=False):
        with torch.inference_mode():
            pair = apply(models.model, models.clip, adapter)
        *_, alone = run(
            "PreservationReport", customised_model=pair[0], customised_clip=pair[1], trigger=f"embedding:{adapter.name}"
        )
        assert alone["models"][0]["change"] == found["change"] and alone["prompts"] == known["prompts"]
        assert alone["models"][0]["drift"] == pytest.approx(found["drift"], rel=1e-5)
        assert found["drift"] == pytest.approx(drift(models, pair, UNRELATED_PROMPTS), rel=1e-5)
    assert known["models"][0]["change"] != known["models"][1]["change"]
    assert known["models"][2]["trigger"] is None, "without a token nothing but its class word calls the concept"


def test_adapters_of_another_class_word_are_refused(run, token_only):
    with pytest.raises(ValueError, match=r"'plain'.*'robot'.*'dog'"):
        run("CompareAdapters", adapter=token_only, class_word="dog", prompts="a [v] dog\na red car")


def test_the_base_is_drawn_once_for_all(models, token_only):
    from purecc_pack.purecc.host.evaluation import preservation
    from purecc_pack.purecc.host.models.host_models import HostModels

    told, asked = Told(), protocol(PROMPTS)
    with torch.inference_mode():
        base = HostModels(models.model, models.clip, models.vae)
        pairs = preservation.with_adapters(base, [token_only, token_only], "Robot ")
        made = preservation.preservation(base, pairs, ROBOT, asked, told)
    parts = preservation.parts(models.model, asked, 2, None, 0)
    assert told.parts == parts == 3 * 3 * 2 * 2 + 8 * (8 * (2 + 2) - 1)
    assert [o.name for o in made.outcomes] == ["plain", "plain (2)"]
    assert made.outcomes[0].changes == made.outcomes[1].changes
    assert sum("base model, prompt" in text for text in told.texts) == 3


def test_what_encoders_measure_is_in_the_report(run, models, customised, encoders):
    *_, table, known = run(
        "PreservationReport", customised_model=customised[0], customised_clip=customised[1], trigger="embedding:plain",
        clip_vision=encoders.vision, clip_text=encoders.clip, dino=encoders.dino, references=runs.pictures(2, 80),
    )  # fmt: skip
    (found,) = known["models"]
    assert set(found["measured_with"]) == {"CLIP-T and ΔCLIP-T", "CLIP-I", "DINO"}
    assert found["measures"]["without_concept"]["delta_clip_t"]["prompts"] == 2
    assert "ΔCLIP-T, without the concept" in table and "DINO of the base" in table


def test_what_is_wrong_is_said_before_anything_is_drawn(run, models, customised, encoders):
    pair = {"customised_model": customised[0], "customised_clip": customised[1]}
    for values, message in (
        ({"trigger": "embedding:other"}, "embedding:other"),
        ({"trigger": "sks", "prompts": "a red car"}, r"\[v\]"),
        ({"trigger": "sks", "clip_vision": encoders.vision}, "references"),
        ({"trigger": "sks", "clip_text": encoders.clip}, "clip_text.*clip_vision"),
    ):
        with pytest.raises(ValueError, match=message):
            run("PreservationReport", **pair, **values)


def test_a_model_without_velocities_has_a_report_without_drift(models):
    import comfy.model_sampling

    from purecc_pack.purecc.host.evaluation import preservation
    from purecc_pack.purecc.host.evaluation.sampling import Customised
    from purecc_pack.purecc.host.models.host_models import HostModels

    class Clean(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
        """The network predicts the image itself."""

    noise, told = models.model.clone(), Told()
    noise.add_object_patch("model_sampling", Clean())
    asked, base = protocol("a [v] robot\na red car"), HostModels(noise, models.clip, models.vae)
    with torch.inference_mode():
        made = preservation.preservation(base, [Customised("same", base, None)], ROBOT, asked, told)
    assert told.parts == preservation.parts(noise, asked, 1, None, 0) == 2 * 2 * 2 * 2
    assert made.outcomes[0].drift is None and made.outcomes[0].changes == [[0.0, 0.0]] * 2
    assert "Drift" not in made.markdown()
