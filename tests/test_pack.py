"""The pack as the host finds it."""

import asyncio
import json
import re
import sys
from pathlib import Path

import purecc_pack

ROOT = Path(__file__).resolve().parent.parent


def test_entrypoint_gives_an_extension_of_the_host(comfyui):
    from comfy_api.latest import ComfyExtension

    extension = asyncio.run(purecc_pack.comfy_entrypoint())
    assert isinstance(extension, ComfyExtension)


def test_node_ids_and_categories_are_ours(comfyui):
    extension = asyncio.run(purecc_pack.comfy_entrypoint())
    schemas = [node.GET_SCHEMA() for node in asyncio.run(extension.get_node_list())]
    assert all(schema.node_id.startswith("PureCC") for schema in schemas)
    assert all(schema.category.split("/")[0] == "PureCC" for schema in schemas)
    assert len({schema.node_id for schema in schemas}) == len(schemas)


def test_root_is_not_importable_beside_the_host():
    assert ROOT not in [Path(entry or ".").resolve() for entry in sys.path]


def test_requirements_agree_with_the_project_and_leave_torch_to_the_host():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    required = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    declared = re.search(r"^dependencies = (\[.*\])$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert required == json.loads(declared[1])
    assert not any(line.startswith("torch") for line in required)
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+,<\d+", line) for line in required)
