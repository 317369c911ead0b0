"""Growth: the straight line, the page of made-up rows, and small runs on the embedded base."""

import json

import pytest
from speed import growth_page
from speed.growth_page import MIB, SECOND

MADE = {"commit": "0123456789ab", "torch": "2", "processor": "A Processor"}


def test_a_straight_line_is_found():
    points = [(x, 0.5 + 0.25 * x) for x in (1, 2, 4, 8)]
    line = growth_page.fit(points)
    assert (line.start, line.slope) == (pytest.approx(0.5), pytest.approx(0.25))
    assert growth_page.farthest(line, points) == pytest.approx(0, abs=1e-12)


def test_small_values_count_like_large_ones():
    """What doubles at one end costs the same at either."""
    points = [(1, 2.0), (2, 2.0), (4, 4.0), (8, 8.0)]
    line = growth_page.fit(points)
    sums = sum(line.off(*point) ** 2 for point in points)
    for near in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        other = growth_page.Line(line.start + near[0], line.slope + near[1])
        assert sum(other.off(*point) ** 2 for point in points) > sums


def test_what_is_not_linear_is_far_from_its_line():
    bent = [(x, 0.01 * x**2) for x in (25, 50, 100, 200)]
    assert growth_page.farthest(growth_page.fit(bent), bent) > 0.3
    noisy = [(x, (0.1 + x) * (1.02 if x in (2, 8) else 0.98)) for x in (1, 2, 4, 8)]
    assert 0.005 < growth_page.farthest(growth_page.fit(noisy), noisy) < 0.04


@pytest.mark.parametrize("points", [[(1, 2.0)], [(1, 2.0), (1, 3.0)], [(1, 2.0), (2, 0.0)]])
def test_no_line_without_two_places_or_through_nothing(points):
    with pytest.raises(ValueError, match="two places"):
        growth_page.fit(points)


def timed(what, at, cpu, **more):
    return {"what": what, "at": at, "cpu": cpu, "wall": 2 * cpu, "made": MADE, **more}


def second(name, cpu, drawn, **parts):
    return timed("second", name, cpu, drawn=drawn, parts={"encode": 0.25, "find_masks": cpu - 0.25, **parts})


def memory(last):
    resident = {step: 400 * MIB + (last - 400) * MIB * step // 300 for step in range(10, 301, 10)}
    live = {50: 30 * MIB, 300: 30 * MIB}
    return {"what": "memory", "at": 300, "settled": 50, "resident": resident, "live": live, "made": MADE}


@pytest.fixture
def rows(tmp_path):
    """A file of rows; `write` adds some and returns the page."""
    path = tmp_path / "growth.jsonl"

    def write(*made):
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in made)
        growth_page.write(path)
        return (tmp_path / "growth.md").read_text(encoding="utf-8")

    return write


def test_the_page(rows, tmp_path):
    straight = [timed("batch", x, 0.1 + 0.2 * x) for x in (8, 4, 2, 1)]  # in any order
    bent = [timed("steps", x, 0.01 * x**2) for x in (25, 50, 100, 200)]
    text = rows(*straight, *bent, memory(430))
    assert "A Processor, torch 2, commit 0123456789ab." in text
    assert "CPU seconds: 0.1 + 0.2 for each. Largest deviation: 0.000 of the value." in text
    table = [line for line in text.splitlines() if line.startswith(("| 1 |", "| 8 |"))]
    assert table == ["| 1 | 0.300 | 0.300 | +0.000 | 0.600 |", "| 8 | 1.700 | 1.700 | +0.000 | 3.400 |"]
    assert "| of the process | 405.0 | 430.0 | +25.0 |" in text and "| in live tensors | 30.0 | 30.0 | +0.0 |" in text
    assert "405.0 to 430.0 MiB" in text
    plots = {path.name for path in tmp_path.glob("*.svg")}
    assert plots == {"growth-batch.svg", "growth-steps.svg", "growth-memory.svg"}
    assert all(f"({name})" in text for name in plots)
    drawn = (tmp_path / "growth-batch.svg").read_text(encoding="utf-8")
    assert drawn.count("<polyline") == 2 and "straight line" in drawn and "samples a step" in drawn
    assert "References" not in text and "A second concept" not in text  # not measured


def test_a_second_concept_is_held_to_a_tenth_of_the_first(rows):
    first, again, other = second(SECOND[0], 20.0, 11, sample_pool=9.0), second(SECOND[1], 1.9, 0), SECOND[2]
    text = rows(first, again, second(other, 2.1, 10))
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert "| encode | find masks | sample pool |" in lines["concept"]
    assert lines[SECOND[0]].endswith("| 20.00 | 40.00 | 1.000 | - | 11 | 0.25 | 19.75 | 9.00 |")
    assert lines[SECOND[1]].endswith("| 1.90 | 3.80 | 0.095 | met | 0 | 0.25 | 1.65 | 0.00 |")
    assert lines[other].endswith("| 2.10 | 4.20 | 0.105 | missed | 10 | 0.25 | 1.85 | 0.00 |")


def test_the_last_row_of_one_machine_counts(rows):
    other = {**MADE, "processor": "Another"}
    text = rows({**timed("batch", 1, 9.0), "made": other}, timed("batch", 1, 5.0), timed("batch", 2, 2.0))
    assert "| 1 | 5.000 |" in text and "Another" not in text
    text = rows(timed("batch", 1, 1.0))
    assert "| 1 | 1.000 |" in text and "5.000" not in text


def test_without_rows_the_page_says_so(rows):
    assert "Nothing is measured yet." in rows()


@pytest.mark.slow
def test_small_runs(comfyui, tmp_path):
    """Two measurements on the embedded base: rows are whole, and the same references again draw nothing."""
    import torch
    from speed import growth

    torch.set_num_threads(1)
    found = []
    sizes = growth.Sizes(batches=(1, 2), warmup=1, timed=2, pool=2, shown=1)
    measuring = growth.Growth(found.append, sizes)
    measuring.batch()
    measuring.second()
    assert [(r["what"], r["at"]) for r in found] == [("batch", 1), ("batch", 2), *(("second", n) for n in SECOND)]
    assert all(r["cpu"] > 0 and r["wall"] > 0 and r["made"]["processor"] for r in found)
    parts = {"encode", "check", "read_captions", "copy_encoders", "copy_model", "try_pass"}
    parts |= {"find_masks", "sample_pool"}  # the masks are of one thing: nothing is looked for beside it
    first, again, same, other, own = found[2:]
    assert set(first["parts"]) == parts and first["cpu"] == pytest.approx(sum(first["parts"].values()))
    assert [r["drawn"] for r in (again, own)] == [0, 1]  # the pool alone
    assert first["drawn"] - 1 == same["drawn"] == other["drawn"] == 1  # a mask
    assert "sample_pool" not in again["parts"]
    (tmp_path / "growth.jsonl").write_text("".join(json.dumps(r) + "\n" for r in found), encoding="utf-8")
    growth.main(["--page", "--rows", str(tmp_path / "growth.jsonl")])
    assert "A second concept" in (tmp_path / "growth.md").read_text(encoding="utf-8")
