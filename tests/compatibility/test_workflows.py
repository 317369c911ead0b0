"""Workflows that were saved before the move become the prompts that they became then."""

import json
from pathlib import Path

import frontend
import pytest
import workflow

SAVED = sorted((Path(__file__).resolve().parent.parent / "data" / "before_the_move" / "workflows").glob("*.json"))


def test_the_front_end_makes_the_same_prompts_of_them(before, page):
    for file in sorted(before.path("workflows").glob("*.json")):
        frontend.load(page, before.json("workflows", file.name))
        now, then = page.evaluate(before.make.TO_PROMPT), before.json("prompts", file.name)
        assert list(now) == list(then), file.stem
        for key, node in then.items():
            assert now[key]["class_type"] == node["class_type"]
            assert now[key]["inputs"].items() >= node["inputs"].items(), f"{file.stem}, node {key}"


@pytest.mark.parametrize("file", SAVED, ids=[file.stem for file in SAVED])
def test_a_script_makes_the_same_prompt_of_one(file, before, server):
    saved, info = json.loads(file.read_text(encoding="utf-8")), server.client.object_info()
    now, then = workflow.to_api(saved, info), before.json("prompts", file.name)
    assert list(now) == list(then)
    for key, node in now.items():
        added = {k: node["inputs"].pop(k) for k in list(node["inputs"]) if k not in then[key]["inputs"]}
        assert node == then[key]
        later = info[node["class_type"]]["input"].get("optional", {})
        assert added == {k: workflow._default(*later[k]) for k in added}, "inputs made since then are at their default"
