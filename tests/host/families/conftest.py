"""Facts that the tests of the families write down; scripts/models_page.py makes docs/models.md of them."""

import json
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def record():
    """`record(NAME, key=value)` keeps facts of a tiny genuine model in the file that PURECC_RECORD names, if any."""
    where = os.environ.get("PURECC_RECORD")

    def keep(name, **facts):
        if where:
            path = Path(where)
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            known.setdefault(name, {}).update(facts)
            path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    return keep
