"""A preservation report's figures, words and sheet."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from purecc_pack.purecc.evaluation import measures
from purecc_pack.purecc.evaluation.pictures import ProtocolPictures, parse_prompts
from purecc_pack.purecc.evaluation.preservation import CLASS, CONCEPT, UNRELATED, Outcome, Preservation, names
from purecc_pack.purecc.evaluation.report import Report, Scores
from purecc_pack.purecc.sheets import preservation_sheet
from purecc_pack.purecc.text.concept import Concept

ROBOT = Concept("robot")

PROMPTS = "a [v] robot in snow\na robot on grass\na red car\na blue car"


def pictures(moved, seeds=3, size=(32, 48), prompts=PROMPTS):
    """Noise, and the same with some of it, by prompt, taken from other noise."""
    texts = parse_prompts(prompts, ROBOT)
    generator = torch.Generator().manual_seed(3)
    base, other = (torch.rand(len(texts), seeds, *size, 3, generator=generator) for _ in range(2))
    part = torch.tensor(moved).view(-1, 1, 1, 1, 1)
    return ProtocolPictures(texts, tuple(range(seeds)), base, base + part * (other - base), {"trigger": "sks"})


def report(*moved, drifts=None, **options):
    drifts = drifts or [0.01 * k for k in range(len(moved))]
    outcomes = [
        Outcome(f"model {k}", pictures(m, **options), d) for k, (m, d) in enumerate(zip(moved, drifts, strict=True))
    ]
    return Preservation(tuple(outcomes), ROBOT)


def test_change_and_floor_are_mean_absolute_differences():
    a, b = torch.rand(2, 8, 9, 3)
    assert measures.change(a, b) == pytest.approx(np.abs(a.numpy().astype(float) - b.numpy()).mean())
    assert measures.change(torch.zeros(4, 4, 3), torch.ones(4, 4, 3)) == 1.0 and measures.change(a, a) == 0.0
    made = torch.rand(3, 8, 9, 3)
    pairs = [np.abs(made[i].numpy().astype(float) - made[j].numpy()).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert measures.seed_floor(made) == pytest.approx(np.mean(pairs))
    assert measures.seed_floor(made[:1]) is None


def test_prompts_are_told_apart_by_what_they_ask_for():
    made = report([0.5, 0.2, 0.0, 0.1])
    assert [made.group(p) for p in made.prompts] == [CONCEPT, CLASS, UNRELATED, UNRELATED]
    outcome = Outcome("s", pictures([0.1, 0.1], prompts="a [v] robot\na robot"))
    style = Preservation((outcome,), Concept("robot", "style"))
    assert style.group(style.prompts[1]) == UNRELATED


def test_a_groups_change_is_the_mean_over_its_prompts_and_seeds():
    made = report([0.5, 0.2, 0.0, 0.1])
    drawn = made.outcomes[0].pictures
    difference = (drawn.base.double() - drawn.customised.double()).abs().mean((2, 3, 4))
    for group, rows in ((CONCEPT, [0]), (CLASS, [1]), (UNRELATED, [2, 3])):
        assert made.change(made.outcomes[0], group) == pytest.approx(float(difference[rows].mean()))
        floors = [measures.seed_floor(drawn.base[p]) for p in rows]
        assert made.floor(group) == pytest.approx(np.mean(floors))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (0.0, "next to nothing changed"),
        (0.2, "little changed"),
        (0.5, "somewhat changed"),
        (0.75, "clearly changed"),
        (0.9, "nearly as much as another seed would"),
        (1.2, "more than another seed would"),
    ],
)
def test_the_verdict_is_plain_words_and_figures(part, words):
    made = report([1.0, 0.0, part, part])
    verdict = made.verdict(made.outcomes[0])
    change = 100 * made.change(made.outcomes[0], UNRELATED)
    assert f"prompts without the concept changed by {change:.{1 if 0 < change < 9.95 else 0}f} % ({words})" in verdict
    assert "prompts for any robot changed by 0 % (next to nothing changed)" in verdict
    floor = (made.floor(CLASS) + made.floor(UNRELATED)) / 2
    assert verdict.startswith("model 0: ") and f"two seeds of the base differ by {100 * floor:.0f} %" in verdict


def test_without_other_prompts_nothing_is_claimed():
    made = report([0.5], prompts="a [v] robot in snow")
    assert "%" not in made.verdict(made.outcomes[0])


def test_the_table_has_a_column_a_model():
    made = report([0.5, 0.2, 0.0, 0.1], [1.0, 1.0, 1.0, 1.0], drifts=[0.0123, None])
    head, *rows = made.rows()
    assert head == ["", "model 0", "model 1", "two seeds of the base"]
    assert [row[0] for row in rows[:3]] == [
        "with the concept, 1 prompt: change",
        "any robot, 1 prompt: change",
        "without the concept, 2 prompts: change",
    ]
    assert rows[3] == ["drift (0: the base itself)", "0.0123", "-", "-"]
    assert [row[0] for row in rows[4:]] == PROMPTS.splitlines()
    assert rows[6][1] == "0 %" and rows[6][2] == "33 %"
    assert made.markdown().count("\n| ") == 2 + 8 and made.markdown().startswith("**model 0: ")


def test_what_encoders_measured_is_in_the_table():
    drawn = pictures([0.5, 0.2, 0.0, 0.1])
    scores = [Scores(delta_clip_t=float(k), clip_i=0.7 if k == 0 else None) for k in range(4)]
    made = Preservation((Outcome("one", drawn, None, Report(drawn, tuple(scores))), Outcome("two", drawn)), ROBOT)
    rows = {row[0]: row[1:] for row in made.rows()}
    assert rows["ΔCLIP-T, without the concept (0: as the base)"] == ["2.00", "-", "-"]
    assert rows["CLIP-I, likeness to the references"] == ["0.700", "-", "-"]
    assert not any("DINO" in name or "drift" in name for name in rows)


def test_json_holds_everything():
    made = report([0.5, 0.2, 0.0, 0.1], [1.0, 1.0, 1.0, 1.0])
    known = json.loads(json.dumps(made.as_dict()))
    assert [m["name"] for m in known["models"]] == ["model 0", "model 1"] and known["seeds"] == [0, 1, 2]
    first = known["models"][0]
    assert first["groups"][UNRELATED]["change"] == pytest.approx(np.mean(first["change_by_prompt"][2:]))
    assert np.mean(first["change"][1]) == pytest.approx(first["change_by_prompt"][1])
    assert [p["group"] for p in known["prompts"]] == [CONCEPT, CLASS, UNRELATED, UNRELATED]
    assert first["trigger"] == "sks" and first["verdict"] == made.verdict(made.outcomes[0])


def test_the_sheet_has_every_models_picture_beside_the_bases():
    made = report([0.5, 0.2, 0.0, 0.1], [1.0, 1.0, 1.0, 1.0])
    sheet = np.asarray(preservation_sheet.paint(made)).astype(int)

    width, height = preservation_sheet.CELL, preservation_sheet.CELL * 32 // 48  # small pictures are enlarged

    def places(picture):
        """Where on the sheet a picture is, by the start of its first row."""
        shown = Image.fromarray((picture.numpy() * 255).round().astype("uint8"))
        wanted = np.asarray(shown.resize((width, height), Image.Resampling.LANCZOS)).astype(int)
        starts = np.lib.stride_tricks.sliding_window_view(sheet[:, :, 0], 8, axis=1)
        found = np.argwhere((starts == wanted[0, :8, 0]).all(-1))
        return [(y, x) for y, x in found if np.array_equal(sheet[y : y + height, x : x + width], wanted)]

    for p in range(4):
        for s in range(2):
            drawn = [o.pictures for o in made.outcomes]
            (y, x), *_ = places(drawn[0].base[p, s])
            for k, picture in enumerate((drawn[0].customised[p, s], drawn[1].customised[p, s]), start=1):
                assert (y, x + k * (width + preservation_sheet.GAP)) in places(picture)


def test_names_that_are_given_twice_are_numbered():
    assert names(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]
