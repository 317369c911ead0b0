"""Custom node packs of a test server that change the server and have no nodes."""

from pathlib import Path


def add(base: Path, module: str, function: str) -> None:
    """Has a server with this base directory call a function of a module of the tests when it starts."""
    pack = base / "custom_nodes" / f"{module}_of_the_tests"
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "__init__.py").write_text(
        f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\n"
        f"import {module}\nKEPT = {module}.{function}()\nNODE_CLASS_MAPPINGS = {{}}\n",
        encoding="utf-8",
    )
