"""What the ComfyUI Registry asks of a pack: its own validator passes, and what would be published obeys its rules."""

import ast
import asyncio
import importlib.util
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import registry
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = {
    ".comfyignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "__init__.py",
    "pyproject.toml",
    "requirements.txt",
}
FOLDERS = {"docs", "locales", "nodes", "purecc", "subgraphs", "web", "workflows"}
# Code made at run time, other programs, packages, the network: none of it is allowed in a published file.
CALLS = {"eval", "exec", "compile", "__import__"}
MODULES = {
    "subprocess",
    "pip",
    "ensurepip",
    "socket",
    "urllib",
    "http",
    "httpx",
    "requests",
    "aiohttp",
    "ftplib",
    "ctypes",
}
MODULES |= {"pickle", "marshal", "multiprocessing", "pty", "webbrowser", "huggingface_hub"}
SYSTEM = {"system", "popen", "startfile", "spawnl", "spawnv", "execv", "execl", "execve", "fork"}
# The routes answer with aiohttp, the host's own server; only its `web` answers, and asks nobody.
ALLOWED = {(f"purecc/host/ui/{name}.py", "aiohttp") for name in ("guards", "routes", "caption_routes", "state_routes")}


@pytest.fixture(scope="session")
def checked():
    return registry.check()


@pytest.fixture(scope="session")
def published(checked, tmp_path_factory):
    """A folder with what is published."""
    folder = tmp_path_factory.mktemp("published") / "purecc"
    with zipfile.ZipFile(checked.archive) as archive:
        archive.extractall(folder)
    return folder


def forbidden(source: str) -> list[str]:
    """What a Python file has that the Registry forbids."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [(node.module or "").split(".")[0]]
        found += [name for name in names if name in MODULES]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.append(node.func.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            found += [f"os.{node.attr}"] if node.attr in SYSTEM else []
    return found


def test_the_registrys_own_validator_passes(checked):
    assert registry.PASSED in checked.says


@pytest.mark.slow
def test_the_validator_hears_of_what_is_forbidden(tmp_path):
    copy = tmp_path / "pack"
    copy.mkdir()
    shutil.copy2(ROOT / "pyproject.toml", copy)
    (copy / ".gitignore").write_text("", encoding="utf-8")
    (copy / "__init__.py").write_text("def run(text):\n    return eval(text)\n", encoding="utf-8")
    with pytest.raises(registry.RegistryError, match="S307"):
        registry.check(root=copy)


def test_the_archive_has_what_the_host_loads_and_nothing_else(checked):
    files = checked.files
    assert {file.split("/")[0] for file in files if "/" in file} <= FOLDERS
    assert {file for file in files if "/" not in file} == PUBLISHED
    assert all(file.endswith(".md") for file in files if file.startswith("docs/"))
    assert not [file for file in files if file.endswith((".pyc", ".log", ".zip"))]
    for folder in ("nodes", "purecc", "subgraphs", "web", "workflows"):
        here = [p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()]
        assert {file for file in here if "__pycache__" not in file} == {f for f in files if f.startswith(f"{folder}/")}
    assert checked.archive.stat().st_size < 30 * 2**20


def test_published_python_makes_no_code_starts_no_program_and_asks_no_network(published):
    found = {}
    for path in sorted(published.rglob("*.py")):
        name = path.relative_to(published).as_posix()
        bad = [what for what in forbidden(path.read_text(encoding="utf-8")) if (name, what) not in ALLOWED]
        if bad:
            found[name] = bad
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess",
        "from urllib.request import urlopen",
        "eval('1')",
        "import os\nos.system('x')",
        "import pip._internal",
    ],
)
def test_the_rules_for_python_find_what_they_forbid(source):
    assert forbidden(source)


def test_published_scripts_make_no_code_and_ask_this_server_only(published):
    scripts = sorted((published / "web").rglob("*.js"))
    assert scripts
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        elsewhere = r"\beval\(|new Function\(|\bimport\(|https?://|XMLHttpRequest|\bfetch\((?!new URL\(\"\./)"
        assert not re.search(elsewhere, text), path.name


def test_the_published_pack_gives_the_same_nodes(published, comfyui):
    import purecc_pack

    spec = importlib.util.spec_from_file_location(
        "purecc_published", published / "__init__.py", submodule_search_locations=[str(published)]
    )
    pack = importlib.util.module_from_spec(spec)
    sys.modules["purecc_published"] = pack
    spec.loader.exec_module(pack)
    ids = []
    for each in (pack, purecc_pack):
        extension = asyncio.run(each.comfy_entrypoint())
        ids.append([node.GET_SCHEMA().node_id for node in asyncio.run(extension.get_node_list())])
    assert ids[0] == ids[1]


def test_the_project_file_has_what_the_registry_reads():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (name,) = re.findall(r'^name = "(.+)"$', text, re.MULTILINE)
    assert re.fullmatch(r"[a-z](?:[-_.]?[a-z0-9])*", name) and "comfyui" not in name and len(name) < 100
    version = r"\d+\.\d+\.\d+"
    lines = [f'version = "{version}"', f'requires-comfyui = ">={version}"', r'requires-python = ">=3\.10"']
    lines += [f'{key} = ".+"' for key in ("license", "description", "PublisherId", "DisplayName")]
    for line in lines:
        assert len(re.findall(rf"^{line}$", text, re.MULTILINE)) == 1, line
    assert '"Operating System :: OS Independent"' in text


def test_the_owner_fills_in_the_addresses_once_or_again():
    before = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    once = registry.fill(before, "https://github.com/someone/a-pack.git", "someone")
    again = registry.fill(once, "https://github.com/another/pack/", "another")
    for text, owner, name in ((once, "someone", "a-pack"), (again, "another", "pack")):
        for line in (
            f'Repository = "https://github.com/{owner}/{name}"',
            f'Issues = "https://github.com/{owner}/{name}/issues"',
            f'PublisherId = "{owner}"',
            f'Icon = "https://raw.githubusercontent.com/{owner}/{name}/main/docs/icon.png"',
            f'Banner = "https://raw.githubusercontent.com/{owner}/{name}/main/docs/banner.png"',
        ):
            assert text.splitlines().count(line) == 1
    assert "someone" not in again and len(again.splitlines()) == len(before.splitlines())


@pytest.mark.parametrize(
    ("address", "publisher"),
    [("https://example.org/a/b", "me"), ("github.com/a/b", "me"), ("https://github.com/a/b", "1 x")],
)
def test_what_is_no_address_or_publisher_is_refused(address, publisher):
    with pytest.raises(registry.RegistryError, match=re.escape(publisher if "1" in publisher else address)):
        registry.fill("", address, publisher)


def test_icon_and_banner_fit_the_registry():
    with Image.open(ROOT / "docs" / "icon.png") as icon, Image.open(ROOT / "docs" / "banner.png") as banner:
        assert icon.size == (400, 400)
        assert banner.width * 9 == banner.height * 21
