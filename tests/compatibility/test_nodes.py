"""Every node, input and output that a workflow saved before the move names is still there, and means the same."""

import pytest

NAMES = ["TinyCheckpoint", "ExampleConcept", "ImageFolder", "ConceptDataset", "ConceptMasks", "TrainExtractor"]
NAMES += ["PureLearning", "SaveAdapter", "LoadAdapter", "ApplyAdapter", "TrainingCurves", "PreservationReport"]
NAMES += ["CompareAdapters", "ProtocolPictures", "MeasurePictures", "ModelDrift"]
DEFAULTS = {"timestep_shift": 0.0, "ConceptDataset.class_word": ""}
"""Inputs with another default than then, 0 standing for the model's own value; saved workflows hold theirs."""
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


@pytest.fixture(scope="module")
def then(before):
    return before.json("nodes.json")


@pytest.fixture(scope="module")
def now(before, server):
    return before.make.nodes(server.client)


def inputs(node: dict) -> dict:
    return {**node["required"], **node["optional"]}


def is_widget(entry: list) -> bool:
    return entry[0] in WIDGETS and not entry[1].get("forceInput")


def order(node: dict) -> tuple[list[str], list[str]]:
    """The names of the sockets and of the widgets, each in the order by which a workflow saves them."""
    named = inputs(node)
    widgets = [name for name, entry in named.items() if is_widget(entry)]
    return [name for name in named if name not in widgets], widgets


def default(options: dict):
    return options.get("default", next(iter(options.get("options", [])), None))


def test_all_nodes_of_then_are_named_here(then):
    assert list(then) == [f"PureCC{name}" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_inputs_keep_their_order_and_new_ones_come_last(name, then, now):
    was, is_ = then[f"PureCC{name}"], now[f"PureCC{name}"]
    for old, new in zip(order(was), order(is_), strict=True):
        assert new[: len(old)] == old
    assert not set(was["optional"]) & set(is_["required"]), "an old workflow may leave these open"
    assert set(is_["required"]) <= set(inputs(was)), "a new input that an old prompt lacks must be optional"
    assert is_["is_input_list"] == was["is_input_list"]


@pytest.mark.parametrize("name", NAMES)
def test_an_input_takes_every_value_that_it_took(name, then, now):
    found = inputs(now[f"PureCC{name}"])
    for key, (sort, old) in inputs(then[f"PureCC{name}"]).items():
        new_sort, new = found[key]
        assert set(sort.split(",")) <= set(new_sort.split(",")), key
        assert default(new) == DEFAULTS.get(f"{name}.{key}", DEFAULTS.get(key, default(old))), key
        assert set(old.get("options", [])) <= set(new.get("options", [])), key
        assert new.get("min", 0) <= old.get("min", 0) and old.get("max", 0) <= new.get("max", 0), key
        for option in ("forceInput", "control_after_generate"):  # a socket in place of a widget; one widget more
            assert bool(new.get(option)) == bool(old.get(option)), key


@pytest.mark.parametrize("name", NAMES)
def test_outputs_keep_their_places(name, then, now):
    was, is_ = then[f"PureCC{name}"], now[f"PureCC{name}"]
    assert is_["outputs"][: len(was["outputs"])] == was["outputs"]
    assert is_["output_node"] == was["output_node"]
