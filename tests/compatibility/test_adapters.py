"""Adapters that were saved before the move load, act as they did, and are made again by the same prompts."""

import json
import shutil

import pytest
import runs
import torch
from host_folders import KINDS, folders_in
from safetensors import safe_open
from safetensors.torch import load_file

NAMES = ("before_extractor", "before_paper", "before_anchored", "before_plain")
# On one machine, with one torch thread, the bits are the same (see the folder's README). Another processor sums in
# another order, which six steps of training carry on: between two, the file of anchored learning differed by 2e-5, and
# single layers of it that had hardly moved by up to 1e-3 of what they had.
CLOSE = 1e-4


@pytest.fixture
def folders(before, comfyui, tmp_path):
    """The host's loras and embeddings folders, with the old files."""
    for kind in KINDS:
        shutil.copytree(before.path("adapters", kind), tmp_path / kind)
    with folders_in(tmp_path) as folders:
        yield folders


@pytest.fixture
def models(server):
    """The folders of the server's models, old adapters taken away at the end."""
    if not server.cpu:
        pytest.skip("The old adapters were trained on a CPU, and a GPU rounds too differently to compare.")
    yield server.base / "models"
    for kind in KINDS:
        for name in NAMES:
            (server.base / "models" / kind / f"{name}.safetensors").unlink(missing_ok=True)


def header(path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def assert_close(now: dict, then: dict) -> None:
    """Same tensors by name, type and shape, and by relative norm."""
    assert {k: (v.dtype, v.shape) for k, v in now.items()} == {k: (v.dtype, v.shape) for k, v in then.items()}
    for key, tensor in then.items():
        assert torch.linalg.vector_norm(now[key] - tensor) <= CLOSE * torch.linalg.vector_norm(tensor), key


def assert_made_alike(now: dict, then: dict) -> None:
    """Same tensors by name, type and shape, the same alphas, and all weights together by relative norm."""
    assert {k: (v.dtype, v.shape) for k, v in now.items()} == {k: (v.dtype, v.shape) for k, v in then.items()}
    weights = [key for key in then if not key.endswith("alpha")]
    assert all(torch.equal(now[key], then[key]) for key in then.keys() - weights)
    ours, theirs = (torch.cat([of[key].double().flatten() for key in weights]) for of in (now, then))
    assert torch.linalg.vector_norm(ours - theirs) <= CLOSE * torch.linalg.vector_norm(theirs)


def measured(metadata: dict[str, str]) -> list[float]:
    """The numbers of a report that were computed."""
    report = json.loads(metadata["purecc.report"])
    return [*report["losses"], *report["lambdas"], *(number for pair in report["drift"] for number in pair)]


def said(metadata: dict[str, str]) -> dict:
    """Metadata, without what was computed, its hashes, the date, the seconds and the versions' numbers."""
    out = {k: json.loads(v) if v.startswith(("{", "[")) else v for k, v in metadata.items()}
    report = out["purecc.report"]
    report.update((key, None) for key in ("losses", "lambdas", "drift", "seconds") if key in report)
    return out | {
        "purecc.id": "",
        "purecc.about_id": "",
        "modelspec.date": "",
        "purecc.versions": sorted(out["purecc.versions"]),
    }


def known(new: dict, old: dict) -> dict:
    """Metadata without what later versions say beside it."""
    return {k: known(new[k], v) if isinstance(v, dict) else new[k] for k, v in old.items()}


def test_the_files_are_those_that_were_made(before):
    then = before.json("adapters.json")
    del then["applied"]
    assert before.make.made(before.path("adapters")) == then
    assert {name.split("/")[1].removesuffix(".safetensors") for name in then} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_load_adapter_takes_them(name, folders):
    from purecc_pack.nodes import LoadAdapter

    file = f"{name}.safetensors"
    assert file in LoadAdapter.INPUT_TYPES()["required"]["adapter_name"][1]["options"]
    loaded = runs.execute(LoadAdapter, adapter_name=file).args[name == "before_extractor"]
    about = header(folders / "loras" / file)
    assert loaded.name == name and loaded.id == about["purecc.id"]
    assert loaded.metadata == {key: value for key, value in about.items() if key != "purecc.part"}
    assert loaded.needs_apply == (name in ("before_extractor", "before_paper"))


@pytest.mark.parametrize("name", NAMES)
def test_saved_again_they_are_the_same_bytes(name, folders, before):
    from purecc_pack.nodes import LoadAdapter, SaveAdapter

    loaded = runs.execute(LoadAdapter, adapter_name=f"{name}.safetensors").args[name == "before_extractor"]
    paths = [folders / kind / f"{name}.safetensors" for kind in KINDS]
    for path in paths:
        path.unlink()
    runs.execute(SaveAdapter, adapter=loaded)
    for kind, path in zip(KINDS, paths, strict=True):
        assert path.read_bytes() == before.path("adapters", kind, path.name).read_bytes()


def test_they_act_as_they_did_by_our_nodes_and_the_stock_loader(before, server, models):
    for kind in KINDS:
        shutil.copytree(before.path("adapters", kind), models / kind, dirs_exist_ok=True)
    server.client.run(before.json("apply.json"))
    then = load_file(before.path("applied.safetensors"))
    made = (server.base / "output" / "before_the_move").glob("*_00001_.latent")
    now = {path.name.removesuffix("_00001_.latent"): load_file(path)["latent_tensor"] for path in made}
    assert_close(now, then)
    for name in ("anchored", "plain"):
        assert torch.equal(now[f"{name}_stock"], now[f"{name}_ours"])


def test_the_same_prompt_makes_them_again(before, server, models):
    shutil.copy(before.path("references.latent"), server.base / "input")
    server.client.run(before.json("train.json"))
    for kind in KINDS:
        for name in NAMES:
            old, new = before.path("again", kind, f"{name}.safetensors"), models / kind / f"{name}.safetensors"
            alike = assert_made_alike if name == "before_anchored" else assert_close
            alike(load_file(new), load_file(old))
            assert known(said(header(new)), said(header(old))) == said(header(old))
            assert measured(header(new)) == pytest.approx(measured(header(old)), rel=1e-3, abs=1e-6)
