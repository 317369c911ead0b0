"""Loads the pack as the host does, prepares the host's own modules, and lends the server and browser fixtures.

Tests import the pack as `purecc_pack` (`from purecc_pack.purecc import objective`). The repository's root is never
on sys.path: its `nodes` and `tests` would shadow the host's.
"""

import atexit
import contextlib
import gc
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' networks are too small for more; servers have it, too
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]  # python -m pytest adds it
sys.path += [str(ROOT / "scripts"), str(ROOT / "tests")]

import browser
import frontend
import quick
import serving
from client import Client
from drawn import customised, drawn  # noqa: F401
from host_folders import host_folders  # noqa: F401
from loop import stage2  # noqa: F401
from runs import checkpoint, dataset, extracted, extractor, learned, models, token_only  # noqa: F401
from standin_encoders import encoder_files, encoders, install  # noqa: F401


def load_pack():
    """Imports the repository's root as the package `purecc_pack`."""
    spec = importlib.util.spec_from_file_location(
        "purecc_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    pack = importlib.util.module_from_spec(spec)
    sys.modules["purecc_pack"] = pack
    spec.loader.exec_module(pack)


def prepare_comfy(tree: Path):
    """Puts ComfyUI on sys.path, on the CPU unless PURECC_TEST_GPU is set, with a throw-away base directory."""
    sys.path.insert(0, str(tree))
    from comfy.cli_args import args

    args.cpu = not os.environ.get("PURECC_TEST_GPU")
    args.base_directory = tempfile.mkdtemp(prefix="purecc-base-")
    atexit.register(shutil.rmtree, args.base_directory, ignore_errors=True)


load_pack()
if os.environ.get("COMFYUI_PATH"):
    prepare_comfy(Path(os.environ["COMFYUI_PATH"]).resolve())


# The files that take longest, in this order: whoever gets one last works on alone.
LONGEST = (
    "browser/test_workflows.py",
    "scripts/test_train.py",
    "host/families/test_training.py",
    "browser/test_live_panel.py",
    "benchmarks/speed/test_run.py",
    "host/families/test_gradients.py",
    "host/training/test_out_of_memory.py",
    "browser/test_first_concept.py",
    "browser/test_offer.py",
    "browser/test_help_pages.py",
    "browser/test_blueprint.py",
    "browser/test_contact_sheet.py",
    "browser/test_training_node.py",
    "browser/test_panel_in_the_page.py",
    "host/training/test_killed_server.py",
)
MARKS = {"server": "server", "chromium": "browser", "checked": "slow"}


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items):
    """Marks tests by the fixtures they need, and puts the files that take longest first."""
    longest = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: longest.get(item.path, len(longest)))
    for item in items:
        for fixture in MARKS.keys() & item.fixturenames:
            item.add_marker(MARKS[fixture])
    sys.modules.pop("nodes", None)  # pytest has put tests/nodes there; the host's own module has that name


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The ComfyUI tree that scripts/test.py names in COMFYUI_PATH."""
    tree = os.environ.get("COMFYUI_PATH")
    if not tree:
        pytest.fail("COMFYUI_PATH is not set: run `python3 scripts/test.py`, or set it to a ComfyUI folder.")
    import purecc_pack.nodes  # noqa: F401  with all that it needs of the host

    gc.freeze()  # every run ends with a garbage collection, which took half a second for the modules alone
    return Path(tree).resolve()


@pytest.fixture(scope="session")
def server(comfyui, tmp_path_factory):
    """A real ComfyUI server with the pack linked into it, started once, on the first test that asks.

    `server.client` speaks to it; `server.base` is its base directory (models, input, output).
    """
    import standin_loaders

    base = tmp_path_factory.mktemp("a server")
    serving.link_pack(base)
    install(base)
    standin_loaders.install(base)
    quick.install(base)
    front_end = os.environ.get("PURECC_FRONT_END")  # another version of it: the folder `static` of its package
    options = ["--front-end-root", front_end] if front_end else []
    with serving.Server(Path(sys.executable), comfyui, base, options=options) as running:
        running.client = Client(running.address)
        running.client.post("/settings/Comfy.TutorialCompleted", True)  # else the first page opens a dialog
        yield running


@pytest.fixture(scope="module")
def chromium():
    """A running browser. It ends with its module: while it runs, no other test of the process can use asyncio."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(browser.get_browser()), args=frontend.FLAGS)
        yield running
        running.close()


@contextlib.contextmanager
def open_page(chromium, server):
    """A page of a server that is quick meanwhile: its figures are looked at elsewhere."""
    context = chromium.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(180_000)  # a loaded machine takes its time
    opened = context.new_page()
    frontend.visit(opened, server.address)
    server.client.post(quick.PATH, True)
    yield opened
    server.client.post(quick.PATH, False)
    context.close()


@pytest.fixture
def page(chromium, server):
    """A new page with the server's front end loaded and ready: `page.evaluate("() => window.app...")`."""
    with open_page(chromium, server) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_page(chromium, server):
    """One page for all tests of a module, of which each loads its own graph: opening one takes seconds."""
    with open_page(chromium, server) as opened:
        yield opened
