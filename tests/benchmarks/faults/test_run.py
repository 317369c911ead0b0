"""A sample of the campaign, of every kind of fault: nothing is lost, silent or hangs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RUN = Path(__file__).resolve().parents[3] / "benchmarks" / "faults" / "run.py"


def test_a_sample_of_the_campaign_finds_nothing(comfyui, tmp_path):
    out = tmp_path / "rows.jsonl"
    line = [sys.executable, str(RUN), "--count", "60", "--seed", "7", "--out", str(out)]
    done = subprocess.run(line, env=os.environ | {"COMFYUI_PATH": str(comfyui)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    total = next(row for row in done.stdout.splitlines() if row.startswith("| **all**")).split("|")[2:-2]
    tried, right, clear, *bad = map(int, total)
    assert tried >= 60 and right + clear == tried and not any(bad), done.stdout
