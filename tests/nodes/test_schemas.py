"""What the nodes show of themselves."""

import pytest


@pytest.fixture(scope="module")
def nodes(comfyui):
    from purecc_pack.nodes import NODES

    return {node.define_schema().node_id: node for node in NODES}


IDS = ["TinyCheckpoint", "ExampleConcept", "ImageFolder", "ConceptDataset", "ConceptMasks", "TrainExtractor"]
IDS += [
    "PureLearning",
    "SaveAdapter",
    "LoadAdapter",
    "ApplyAdapter",
    "TrainingCurves",
    "PreservationReport",
    "CompareAdapters",
    "ProtocolPictures",
    "MeasurePictures",
    "ModelDrift",
]


def test_the_nodes_are_those_of_the_pack(nodes):
    assert list(nodes) == [f"PureCC{name}" for name in IDS]


@pytest.mark.parametrize("name", IDS)
def test_every_input_and_output_explains_itself(nodes, name):
    schema = nodes[f"PureCC{name}"].GET_SCHEMA()
    assert schema.category == "PureCC" and schema.description and schema.search_aliases
    for entry in (*schema.inputs, *schema.outputs):
        assert entry.tooltip and len(entry.tooltip) > 10, entry
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
    assert inputs["method"].options == ["anchored", "PureCC (paper)", "LoRA", "prior preservation", "DOP", "BPP"]
    curves = nodes["PureCCTrainingCurves"].GET_SCHEMA()
    assert [i.get_io_type() for i in curves.inputs] == ["LOSS_MAP", "LOSS_MAP"]
