"""What the nodes show of themselves."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def nodes(comfyui):
    from purecc_pack.nodes import NODES

    return {node.define_schema().node_id: node for node in NODES}


def test_every_node_has_a_help_page_and_every_page_a_node(nodes):
    pages = Path(__file__).resolve().parents[2] / "web" / "docs"
    assert {path.stem for path in pages.glob("*.md")} == set(nodes)


def test_every_node_input_and_output_explains_itself(nodes):
    for node in nodes.values():
        schema = node.GET_SCHEMA()
        assert schema.category == "PureCC" and schema.description and schema.search_aliases
        assert all(entry.tooltip for entry in (*schema.inputs, *schema.outputs)), schema.node_id
        assert len({entry.id for entry in schema.inputs}) == len(schema.inputs)


@pytest.mark.parametrize("name", ["TrainExtractor", "PureLearning"])
def test_the_papers_values_are_the_defaults(nodes, name):
    schema = nodes[f"PureCC{name}"].GET_SCHEMA()
    inputs = {entry.id: entry for entry in schema.inputs}
    paper = {"steps": 400, "batch_size": 2, "learning_rate": 1e-4, "embedding_learning_rate": 1e-4, "rank": 4}
    assert {key: inputs[key].default for key in paper} == paper
    assert inputs["input_token"].default is True
    assert inputs["vae"].optional and inputs["vae"].get_io_type() == "VAE"
    rare = {"alpha", "target_layers", "accumulation", "schedule", "warmup_steps", "weight_decay", "clip_norm"}
    rare |= {"timesteps", "timestep_shift", "precision", "gradient_checkpointing", "deterministic", "trace_steps"}
    assert all(inputs[key].advanced for key in rare)
    assert not any(inputs[key].advanced for key in paper)
    # The first is the default; the others stand in workflows that were saved.
    assert inputs["precision"].options == ["auto", "as loaded", "float32", "bfloat16"]


def test_types_of_the_host_where_it_has_them(nodes):
    schema = nodes["PureCCPureLearning"].GET_SCHEMA()
    assert [o.get_io_type() for o in schema.outputs] == ["PURECC_ADAPTER", "LORA_MODEL", "LOSS_MAP"]
    inputs = {entry.id: entry for entry in schema.inputs}
    assert inputs["eta"].default == 1.0 and inputs["scale"].options[0] == "adaptive"
    assert inputs["v_original"].options == ["theta2", "theta2 stop-gradient", "base"]
    assert inputs["method"].options[0] == "anchored", "the default"
    curves = nodes["PureCCTrainingCurves"].GET_SCHEMA()
    assert [i.get_io_type() for i in curves.inputs] == ["LOSS_MAP", "LOSS_MAP"]


def test_an_adapter_that_is_left_out_needs_no_strength(nodes):
    assert set(nodes["PureCCApplyAdapter"].INPUT_TYPES()["required"]) == {"model", "clip", "adapter", "strength"}
