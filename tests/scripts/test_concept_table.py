"""The table of concepts, and values written into a workflow."""

import concept_table
import pytest
from concept_table import Row, TableError

TITLES = {"2": "My trainer"}


def prompt():
    return {
        "1": {"class_type": "PureCCImageFolder", "inputs": {"folder": "a"}},
        "2": {"class_type": "PureCCPureLearning", "inputs": {"name": "x", "steps": 400, "dataset": ["3", 0]}},
        "3": {"class_type": "PureCCConceptDataset", "inputs": {"class_word": "robot", "kind": "instance"}},
        "4": {"class_type": "PureCCTrainExtractor", "inputs": {"name": "y", "steps": 400}},
    }


def table(folder, text):
    path = folder / "concepts.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_cells_are_numbers_switches_or_words_and_empty_ones_are_left_out(tmp_path):
    rows = concept_table.read(table(tmp_path, 'name,folder,PureCCPureLearning.steps\ncat,cats,20\n"dog, two",dogs,\n'))
    assert rows == [Row("cat", {"folder": "cats", "PureCCPureLearning.steps": 20}), Row("dog, two", {"folder": "dogs"})]
    assert [concept_table.value(text) for text in ("true", "1e-4", "a dog", '"7"')] == [True, 1e-4, "a dog", "7"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder\nx\n", "column 'name'"),
        ("name\na\na\n", "line 3"),
        ("name,folder\na,b,c\n", "line 2"),
        ("name,a\n,b\n", "line 2"),
    ],
)
def test_a_table_that_cannot_be_used_names_the_line(tmp_path, text, said):
    with pytest.raises(TableError, match=said):
        concept_table.read(table(tmp_path, text))


def test_nodes_are_named_by_id_title_or_class():
    made = prompt()
    concept_table.fill(
        made, TITLES, {"2.steps": 5, "PureCCTrainExtractor.steps": 6, "class_word": "dog", "folder": "b"}
    )
    concept_table.fill(made, TITLES, {"My trainer.name": "z"})
    assert made["2"]["inputs"]["steps"] == 5 and made["4"]["inputs"]["steps"] == 6
    assert made["3"]["inputs"]["class_word"] == "dog" and made["1"]["inputs"]["folder"] == "b"
    assert made["2"]["inputs"]["name"] == "z"


@pytest.mark.parametrize(("target", "said"), [("NoNode.steps", "no node 'NoNode'"), ("2.stps", "no input 'stps'")])
def test_what_is_not_there_is_named(target, said):
    with pytest.raises(TableError, match=said):
        concept_table.fill(prompt(), TITLES, {target: 1})


def test_an_extractor_before_the_adapter_has_its_own_name():
    made = prompt()
    concept_table.call(made, "cat")
    assert (made["2"]["inputs"]["name"], made["4"]["inputs"]["name"]) == ("cat", "cat_extractor")
    assert concept_table.names(made) == ["cat", "cat_extractor"]
    with pytest.raises(TableError, match="no node that trains"):
        concept_table.call({"1": prompt()["1"]}, "cat")


@pytest.mark.parametrize("text", ["steps", "steps=3", "a.b"])
def test_an_assignment_names_node_and_input(text):
    with pytest.raises(TableError, match=r"NODE\.INPUT=VALUE"):
        concept_table.assignment(text)


@pytest.mark.parametrize("saved", [{}, {"a": 1}, {"1": {"inputs": {}}}])
def test_a_file_that_is_no_workflow_is_refused(saved):
    with pytest.raises(TableError, match="no workflow"):
        concept_table.prompt_of(saved, {})
