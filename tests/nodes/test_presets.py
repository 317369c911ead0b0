"""Presets and the Training Settings node: what they set on a training node."""

import pytest
import runs
from trainers import learn

pytestmark = pytest.mark.slow


def test_a_preset_sets_what_suits_the_model_and_the_method(models):
    from purecc_pack.purecc.host.training.presets import PRESETS, preset_values
    from purecc_pack.purecc.method.methods import METHODS, MethodOptions

    recipes = {name: make(MethodOptions()) for name, make in METHODS.items()}
    small, note = preset_values("balanced", models.model, recipes["anchored"])
    assert (small["learning_rate"], small["embedding_learning_rate"]) == (0.008, 0.04), "the quickstart's"
    assert (small["batch_size"], small["rank"]) == (4, 8) and "0.008" in str(note) and "balanced" in str(note)
    plain, _ = preset_values("balanced", models.model, recipes["LoRA"])
    assert plain["learning_rate"] == 0.001 and plain["embedding_learning_rate"] == 0.005
    paper, _ = preset_values("paper", models.model, recipes["PureCC (paper)"])
    expected = {"batch_size": 2, "learning_rate": 1e-4, "embedding_learning_rate": 1e-4, "rank": 4}
    assert paper == {**expected, "schedule": "constant"} and PRESETS["paper"].steps == 400
    assert PRESETS["quick look"].steps < PRESETS["balanced"].steps < PRESETS["strong"].steps
    with pytest.raises(ValueError, match=r"preset is 'best'.*balanced"):
        preset_values("best", models.model, recipes["LoRA"])


def test_large_models_take_lower_rates(comfyui):
    from types import SimpleNamespace

    from purecc_pack.purecc.host.families.sd3 import NARROW, SD3

    wide = SimpleNamespace(context_embedder=SimpleNamespace(out_features=1536))
    narrow = SimpleNamespace(context_embedder=SimpleNamespace(out_features=NARROW - 1))
    assert SD3.usual(wide).rate == 1e-4 < SD3.usual(narrow).rate


def test_the_node_trains_with_the_preset_and_settings_replace_both(models, dataset):
    chosen = {"steps": 1, "learning_rate": 0.5, "embedding_learning_rate": 0.5, "method": "LoRA"}
    as_set = learn(models, dataset, **chosen)[0]
    assert learn(models, dataset, preset="custom", **chosen)[0].id == as_set.id
    preset = learn(models, dataset, preset="quick look", **chosen)[0]
    values = {"learning_rate": 0.001, "embedding_learning_rate": 0.005, "rank": 8, "batch_size": 4}
    by_hand = learn(models, dataset, **{**chosen, **values})[0]
    assert preset.id == by_hand.id != as_set.id
    settings = runs.execute(settings_node(), alpha=16.0, timesteps="uniform").args[0]
    with_settings = learn(models, dataset, preset="quick look", settings=settings, **chosen)[0]
    by_hand = learn(models, dataset, **{**chosen, **values, "alpha": 16.0, "timesteps": "uniform"})[0]
    assert with_settings.id == by_hand.id != preset.id


def settings_node():
    from purecc_pack.nodes import NODES

    return next(node for node in NODES if node.GET_SCHEMA().node_id == "PureCCTrainingSettings")


def test_every_setting_of_the_settings_node_is_one_of_both_training_nodes(comfyui):
    from purecc_pack.nodes import PureLearning, TrainExtractor
    from purecc_pack.nodes.expert_settings import IDS

    for node in (PureLearning, TrainExtractor):
        inputs = {entry.id: entry for entry in node.GET_SCHEMA().inputs}
        for entry in settings_node().GET_SCHEMA().inputs:
            other = inputs[entry.id].as_dict() | {"purecc": 0}
            assert entry.as_dict() | {"purecc": 0, "advanced": other.get("advanced")} == {"advanced": None} | other
        assert set(IDS) <= set(inputs) and inputs["settings"].optional and inputs["preset"].optional
