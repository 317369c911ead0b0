"""The page of models names every family that the tests run, and is the one that the record of a run gives."""

import json

import genuine
import models_page
import pytest


@pytest.fixture(scope="module")
def record():
    return json.loads(models_page.RECORD.read_text(encoding="utf-8"))


def test_every_family_is_on_record_and_named(record):
    rows = models_page.PAGE.read_text(encoding="utf-8").splitlines()
    named = {row.split("|")[1].strip() for row in rows if row.startswith("| ")}
    assert set(record) == set(genuine.FAMILIES) <= named
    assert {name for name, facts in record.items() if "refused" in facts} == set(genuine.REFUSED)


def test_the_page_is_the_one_that_the_record_gives(record):
    assert models_page.PAGE.read_text(encoding="utf-8") == models_page.page(record)


def test_a_result_that_is_not_on_record_is_not_claimed():
    facts = {"plain": 1e-9, "checkpointed": 2e-9, "theta2": True, "base": True}
    row = next(line for line in models_page.page({"X": facts}).splitlines() if line.startswith("| X | 2e-09"))
    assert "yes" not in row and not models_page.complete(facts)
