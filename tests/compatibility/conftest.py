"""What was made before the move of the source tree, and the script that made it."""

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "data" / "before_the_move"


class Before:
    """The files of the folder, and `make`, its script."""

    def __init__(self):
        spec = importlib.util.spec_from_file_location("before_the_move", FOLDER / "make.py")
        self.make = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.make)

    def path(self, *names: str) -> Path:
        return FOLDER.joinpath(*names)

    def json(self, *names: str) -> dict:
        return json.loads(self.path(*names).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def before() -> Before:
    """What was made before the move."""
    return Before()
