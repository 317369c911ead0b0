"""The layers of the pack: what may import what, how long a piece may be, and that the version is written once."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST = {"comfy", "comfy_api", "comfy_api_nodes", "comfy_execution", "comfy_extras", "execution", "folder_paths"}
HOST |= {"latent_preview", "nodes", "node_helpers", "server", "aiohttp"}
# A folder of purecc/ (or nodes/, tiny_world/) imports itself and what stands in the rows above it. `host` is every file
# that lies in purecc/host itself.
LAYERS = (
    ("text", "tiny"),
    ("method", "adapters", "evaluation"),
    ("network",),
    ("training",),
    ("sheets",),
    ("host", "host.families"),
    ("host.models", "host.data"),
    ("host.ui",),
    ("host.training", "host.evaluation"),
    ("nodes", "tiny_world"),
)
LINES, PARAMETERS, ATTRIBUTES = 250, 7, 12
PACK = [path for top in ("purecc", "nodes", "tiny_world") for path in sorted((ROOT / top).rglob("*.py"))]
PYTHON = [*PACK, *(path for top in ("scripts", "benchmarks") for path in sorted((ROOT / top).rglob("*.py")))]
LIMITED = [*PYTHON, *sorted((ROOT / "web" / "js").glob("*.js"))]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def outside(tree: ast.AST) -> set[str]:
    """The top names of the absolute imports, those inside functions included."""
    imports = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imports += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in imports}


def inside(path: Path, modules: set[str]) -> set[str]:
    """The pack's own modules that a file imports."""
    package = list(path.relative_to(ROOT).parts[:-1])
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            name = ".".join(filter(None, base))
            found |= {full if (full := f"{name}.{alias.name}") in modules else name for alias in node.names}
    return found


def layer_of(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "purecc":
        return parts[0]
    folder = parts[1] == "host" and ROOT.joinpath(*parts[:3]).is_dir()
    return ".".join(parts[1 : 3 if folder else 2])


def parameters(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The functions of a file with the number of their parameters, less self, cls, *args and **kwargs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield node.name, len([one for one in every if one.arg not in ("self", "cls")])


def attributes(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """The classes of a file with the attributes of their objects: annotated in the body or assigned to self."""
    for found in ast.walk(tree):
        if isinstance(found, ast.ClassDef):
            fields = [node for node in found.body if isinstance(node, ast.AnnAssign)]
            names = {ast.unparse(node.target) for node in fields if "ClassVar" not in ast.unparse(node.annotation)}
            for node in ast.walk(found):
                stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
                if stored and ast.unparse(node.value) == "self":
                    names.add(node.attr)
            yield found.name, names


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module of the pack imports of the pack."""
    modules = {module_of(path) for path in PACK}
    return {module_of(path): inside(path, modules) for path in PACK}


def allowed(path: Path) -> set[str]:
    """The host's modules that a file may import."""
    place = relative(path)
    if place.startswith("purecc/host/ui/"):
        return HOST
    if place.startswith(("purecc/host/", "tiny_world/")):
        return HOST - {"aiohttp"}
    return {"comfy_api"} if place.startswith("nodes/") else set()


def test_only_the_host_layer_imports_the_host():
    found = {relative(path): (outside(parse(path)) & HOST) - allowed(path) for path in PACK}
    assert {path: names for path, names in found.items() if names} == {}


SLOW = {"peft", "accelerate", "transformers", "diffusers", "huggingface_hub"}
"""Packages that take seconds to import; the host starts without them, and a function that needs one imports it."""


def test_the_start_of_the_host_imports_nothing_slow():
    """Only functions import these, and blocks for the type checker."""

    def at_start(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            checked = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not checked:
                yield from at_start(child)

    started = [path for path in PACK if relative(path).startswith(("purecc/", "nodes/"))]
    found = {relative(p): outside(ast.Module([*at_start(parse(p))], [])) & SLOW for p in started}
    assert {path: names for path, names in found.items() if names} == {}


def test_imports_have_no_circle(imports):
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_imports_lead_to_lower_layers_only(imports):
    row = {name: k for k, names in enumerate(LAYERS) for name in names}
    wrong = []
    for module, targets in imports.items():
        for target in targets - {"purecc"}:
            here, there = layer_of(module), layer_of(target)
            if here != there and row[there] >= row[here]:
                wrong.append(f"{module} imports {target}")
    assert not wrong


def test_every_folder_has_a_layer():
    folders = {layer_of(module_of(path)) for path in PACK if module_of(path) != "purecc"}
    assert folders <= {name for names in LAYERS for name in names}


def test_files_are_short():
    lines = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in LIMITED}
    assert {path: count for path, count in lines.items() if count > LINES} == {}


def test_functions_have_few_parameters():
    found = {f"{relative(path)} {name}": count for path in PYTHON for name, count in parameters(parse(path))}
    assert {name: count for name, count in found.items() if count > PARAMETERS} == {}


def test_objects_have_few_attributes():
    found = {f"{relative(path)} {name}": names for path in PYTHON for name, names in attributes(parse(path))}
    assert {name: len(names) for name, names in found.items() if len(names) > ATTRIBUTES} == {}


def test_the_version_is_written_once():
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert not [relative(path) for path in PACK if f'"{version}"' in path.read_text("utf-8")]

    from purecc_pack import purecc

    assert version == purecc.VERSION


def test_what_is_forbidden_is_found(tmp_path):
    tree = ast.parse(
        "def f(self, a, b, *rest, c=0, **more):\n    import comfy.sd\n    from server import PromptServer\n"
        "class C:\n    x: int\n    k: ClassVar[int] = 0\n    def m(self):\n        self.y, other.z = 1, 2\n"
    )
    assert outside(tree) == {"comfy", "server"}
    assert dict(parameters(tree)) == {"f": 3, "m": 0}
    assert dict(attributes(tree)) == {"C": {"x", "y"}}
