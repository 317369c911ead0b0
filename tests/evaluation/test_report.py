"""Prompts and nouns as users write them, and what comes out as a table, JSON and a picture."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from purecc_pack.purecc.evaluation import measures
from purecc_pack.purecc.evaluation.pictures import ProtocolPictures, parse_nouns, parse_prompts, worded
from purecc_pack.purecc.evaluation.report import Report, Scores
from purecc_pack.purecc.sheets import protocol_sheet
from purecc_pack.purecc.text.concept import Concept

ROBOT = Concept("robot")

PROMPTS = "a [v] robot on a beach\n\n  an old   [V] robot | in snow \na red car"


def report(scores=None, encoders=None, drift=None, seeds=2, prompts=PROMPTS):
    texts = parse_prompts(prompts, ROBOT)
    generator = torch.Generator().manual_seed(0)
    base, customised = (torch.rand(len(texts), seeds, 32, 48, 3, generator=generator) for _ in range(2))
    pictures = ProtocolPictures(texts, tuple(range(seeds)), base, customised, {"steps": 2})
    scores = scores or [
        Scores(20.0, 18.0, -2.0, 40.0, 0.5),
        Scores(21.0, 22.0, 1.0, None, 0.7),
        Scores(25.0, 24.0, -1.0),
    ]
    encoders = encoders or {"CLIP-T and ΔCLIP-T": "a CLIP", "CLIP-I": "a CLIP", "Seg-Cons": "SAM3"}
    return Report(pictures, tuple(scores), encoders, drift)


def test_prompts_become_complete_and_base_texts():
    first, second, third = parse_prompts(PROMPTS, ROBOT)
    assert (first.complete, first.base) == ("a [v] robot on a beach", "a robot on a beach")
    assert (second.complete, second.base) == ("an old [v] robot | in snow", "an old robot | in snow")
    assert (third.complete, third.base) == ("a red car", "a red car")
    assert [p.names_concept for p in (first, second, third)] == [True, True, False]
    (style,) = parse_prompts("a house, in [v] style", Concept("style", "style"))
    assert style.base == "a house"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n ", "no prompts"),
        ("a robot on a beach", r"No prompt has \[v\]"),
        ("a [v] robot\na [v]  robot", "a \\[v\\] robot"),
        ("a [v] cat", "class word"),
        ("a [v] robot\na {red} car", "'{'"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_prompts(text, ROBOT)


def test_the_trigger_stands_for_the_concept():
    assert worded("a [v] robot (old)", "embedding:mine") == r"a embedding:mine robot \(old\)"
    assert worded("a [v] robot (old)", " sks ") == r"a sks robot \(old\)"
    assert worded("a robot", "embedding:mine") == "a robot"
    for trigger in ("", "embedding:", "embedding:a b", "{sks}"):
        with pytest.raises(ValueError):
            worded("a [v] robot", trigger)


def test_nouns_are_given_once_or_by_prompt():
    assert parse_nouns("robot, beach,", 3) == (("robot", "beach"),) * 3
    assert parse_nouns("robot\nteddy bear, robot, robot\n", 2) == (("robot",), ("teddy bear", "robot"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "no nouns"),
        ("robot\nbeach", "3 prompts and 2 lines"),
        (",", "','"),
        ("[v] robot", "noun"),
        ("robot:3", "noun"),
        ("robot\nbeach (sandy)\ncar", "noun"),
    ],
)
def test_nouns_that_cannot_be_used_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_nouns(text, 3)


def test_the_table_has_a_row_a_prompt_and_means_by_kind_of_prompt():
    rows = report().rows()
    assert rows[0] == ["prompt", "ΔCLIP-T", "CLIP-T, base", "CLIP-T, customised", "Seg-Cons", "CLIP-I"]
    assert rows[1] == ["a [v] robot on a beach", "-2.00", "20.00", "18.00", "40.00", "0.500"]
    assert rows[2] == ["an old [v] robot | in snow", "1.00", "21.00", "22.00", "-", "0.700"]
    assert rows[3][1:] == ["-1.00", "25.00", "24.00", "-", "-"]
    assert rows[4] == ["mean, with [v]", "-0.50", "20.50", "20.00", "40.00", "0.600"]
    assert rows[5][0] == "95 % interval" and rows[5][1] == "-2.00 to 1.00" and rows[5][4] == "-"
    assert rows[6] == ["mean, without [v]", "-1.00", "25.00", "24.00", "-", "-"]
    assert len(rows) == 7  # one prompt without [v] has no interval


def test_the_markdown_says_what_is_left_out():
    text = report(drift=0.0123).markdown()
    assert text.startswith("| prompt | ΔCLIP-T |")
    assert r"an old [v] robot \| in snow" in text
    assert "DINO is left out: connect dino." in text
    assert "CLIP-I is left out" not in text
    assert "HPSv2.1, PickScore and CSD" in text and "0.0123" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1


def test_the_floor_is_that_of_the_base_s_own_pictures():
    scores = [Scores(clip_i=0.8, clip_i_base=0.4), Scores(clip_i=0.7, clip_i_base=0.5), Scores()]
    assert any("CLIP-I 0.450" in remark for remark in report(scores, {"CLIP-I": "x"}).remarks())


def test_json_holds_everything_unrounded():
    made = report(drift=0.25)
    known = json.loads(json.dumps(made.as_dict()))
    assert known["prompts"][1] | {"clip_t": 22.0, "seg_cons": None} == known["prompts"][1]
    assert known["means"]["with_concept"]["delta_clip_t"]["mean"] == -0.5
    assert known["means"]["with_concept"]["delta_clip_t"]["interval_95"] == list(measures.interval([-2.0, 1.0]))
    assert known["means"]["without_concept"]["clip_t"] == {"mean": 24.0, "interval_95": None, "prompts": 1}
    assert known["drift"] == 0.25 and known["seeds"] == [0, 1] and known["drawn_with"] == {"steps": 2}
    assert known["left_out"] == {"DINO": "dino"}


def test_the_sheet_shows_pairs_and_grows_with_the_prompts():
    made = report()
    picture = np.asarray(protocol_sheet.paint(made))
    top = (
        picture.shape[0]
        - protocol_sheet.MARGIN
        - 3 * (32 + protocol_sheet.LINE + 2 * protocol_sheet.GAP)
        + protocol_sheet.LINE
    )
    first = picture[
        top : top + 32, protocol_sheet.MARGIN : protocol_sheet.MARGIN + 48
    ]  # smaller than a cell, so not scaled
    assert np.array_equal(first, np.round(made.pictures.base[0, 0].numpy() * 255))
    second = picture[top : top + 32, protocol_sheet.MARGIN + 48 + protocol_sheet.GAP :][:, :48]
    assert np.array_equal(second, np.round(made.pictures.customised[0, 0].numpy() * 255))
    fewer = protocol_sheet.paint(report([Scores(1.0, 1.0, 0.0, 1.0, 1.0)], prompts="a [v] robot"))
    assert fewer.height < picture.shape[0]
    assert protocol_sheet.paint(report(seeds=9)).width == protocol_sheet.paint(report(seeds=4)).width


def test_the_bundled_workflow_has_prompts_and_nouns_that_fit():
    root = Path(__file__).resolve().parents[2]
    saved = json.loads((root / "workflows" / "6_measure.json").read_text(encoding="utf-8"))
    values = {node["type"]: node.get("widgets_values") for node in saved["nodes"]}
    prompts = parse_prompts(values["PureCCProtocolPictures"][0], ROBOT)
    nouns = parse_nouns(values["PureCCMeasurePictures"][0], len(prompts))
    assert len(prompts) == len(nouns) == 25 and all(p.names_concept for p in prompts)
    for p, row in zip(prompts, nouns, strict=True):
        assert row[0] == "robot" and all(noun in p.base for noun in row), p
