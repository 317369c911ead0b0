"""Fewer samples and steps of the base's images than users have, where a test looks at neither."""

import importlib
import sys
from pathlib import Path

HEAD = ".purecc.host.messages"


def shorten(pack: str, change=setattr) -> None:
    """Have masks, pools and previews of a loaded pack take a fraction of their passes."""
    masks, pool, previews = (
        importlib.import_module(f"{pack}.purecc.training.{name}") for name in ("concept_masks", "pool", "previews")
    )
    change(masks, "SAMPLES", 4)
    change(pool, "STEPS", 4)
    change(previews.PreviewSampler.__init__, "__defaults__", (4, 4.0))


def patch() -> None:
    """Shorten the pack in a server, whether the host loads it before or after."""
    import nodes

    stock = nodes.load_custom_node

    async def loaded(*given, **named):
        done = await stock(*given, **named)
        shorten_loaded()
        return done

    nodes.load_custom_node = loaded
    shorten_loaded()


def shorten_loaded() -> None:
    for name in [name for name in sys.modules if name.endswith(HEAD)]:
        shorten(name.removesuffix(HEAD))


def install(base: Path) -> None:
    """Has a server with this base directory shorten the pack: a custom node pack that only calls `patch`."""
    pack = base / "custom_nodes" / "quick"
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "__init__.py").write_text(
        f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\n"
        "import quick\nquick.patch()\nNODE_CLASS_MAPPINGS = {}\n",
        encoding="utf-8",
    )
