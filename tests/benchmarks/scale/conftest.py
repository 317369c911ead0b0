"""The scripts of the benchmark go on the path, at its end: the quality benchmark has a `run`, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks" / "scale"))
