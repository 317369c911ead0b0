"""Servers in which masks, pools and previews take a fraction of the passes that they take of users, while one asks."""

import importlib
import sys
from pathlib import Path

HEAD = ".purecc.host.messages"
PLACES = {
    ("concept_masks", "SAMPLES"): 4,
    ("pool", "STEPS"): 4,
    ("previews.PreviewSampler.__init__", "__defaults__"): (4, 4.0),
}
PATH = "/quick"


def attribute(pack: str, owner: str, name: str) -> tuple:
    """Return the object that has an attribute of the pack's training, and the attribute's name."""
    module, *parts = owner.split(".")
    of = importlib.import_module(f"{pack}.purecc.training.{module}")
    for part in parts:
        of = getattr(of, part)
    return of, name


def patch() -> None:
    """Let a server be told whether to be quick."""
    from aiohttp import web
    from server import PromptServer

    own = {}

    @PromptServer.instance.routes.post(PATH)
    async def choose(request):
        quick = await request.json()
        for pack in [name.removesuffix(HEAD) for name in sys.modules if name.endswith(HEAD)]:
            for place, value in PLACES.items():
                of, name = attribute(pack, *place)
                before = own.setdefault((pack, place), getattr(of, name))
                setattr(of, name, value if quick else before)
        return web.json_response({})


def install(base: Path) -> None:
    """Has a server with this base directory hear `PATH`: a custom node pack that only calls `patch`."""
    pack = base / "custom_nodes" / "quick"
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "__init__.py").write_text(
        f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\n"
        "import quick\nquick.patch()\nNODE_CLASS_MAPPINGS = {}\n",
        encoding="utf-8",
    )
