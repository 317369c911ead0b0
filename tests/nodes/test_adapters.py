"""Save, Load and Apply Adapter in the host's folders, beside its own nodes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


def listed():
    """What the loader offers now, asked as /object_info asks."""
    from purecc_pack.nodes import LoadAdapter

    return LoadAdapter.INPUT_TYPES()["required"]["adapter_name"][1]["options"]


def save(adapter, overwrite=False, **more):
    from purecc_pack.nodes import SaveAdapter

    return runs.execute(SaveAdapter, adapter=adapter, overwrite=overwrite, **more)


def load(name, **more):
    from purecc_pack.nodes import LoadAdapter

    return runs.execute(LoadAdapter, adapter_name=name, **more).args


def test_a_new_file_is_listed_without_a_restart(host_folders, token_only, extractor):
    import folder_paths

    assert listed() == []
    out = save(token_only)
    assert out.args == ("plain",)
    assert sorted(out.ui["text"]) == sorted(
        str(host_folders / kind / "plain.safetensors") for kind in ("loras", "embeddings")
    )
    assert listed() == ["plain.safetensors"]
    assert folder_paths.get_filename_list("embeddings") == ["plain.safetensors"]
    save(extractor)
    assert listed() == ["ext.safetensors", "plain.safetensors"]
    (host_folders / "loras" / "plain.safetensors").unlink()
    assert listed() == ["ext.safetensors"]


def test_only_loras_are_listed(host_folders, token_only):
    from safetensors.torch import save_file

    save(token_only)
    save_file(dict(token_only.lora), host_folders / "loras" / "of_another_trainer.safetensors")
    save_file({"model.weight": torch.ones(2)}, host_folders / "loras" / "no_lora.safetensors")
    (host_folders / "loras" / "broken.safetensors").write_bytes(b"no")
    (host_folders / "loras" / "pickle.pt").write_bytes(b"no")
    assert listed() == ["of_another_trainer.safetensors", "plain.safetensors"]


def test_a_lora_of_another_program_is_imported_with_the_model(host_folders, models, token_only):
    from safetensors.torch import save_file

    from purecc_pack.nodes import ApplyAdapter, LoadAdapter

    path = host_folders / "loras" / "theirs.safetensors"
    save_file(dict(token_only.lora), path, {"ss_output_name": "theirs"})
    with pytest.raises(ValueError, match=r"theirs\.safetensors is a LoRA that PureCC did not make\. Connect"):
        load("theirs.safetensors")
    adapter, theta1 = load("theirs.safetensors", model=models.model)
    assert (adapter.kind, theta1.kind, adapter.name) == ("adapter", "extractor", "theirs")
    assert runs.digest(adapter.lora) == runs.digest(token_only.lora) and not adapter.tokens
    apply = {"model": models.model, "clip": models.clip}
    theirs, ours = (runs.execute(ApplyAdapter, **apply, adapter=one).args[0] for one in (adapter, token_only))
    assert torch.equal(image(theirs, models.clip, "a robot"), image(ours, models.clip, "a robot"))
    before = LoadAdapter.fingerprint_inputs(adapter_name="theirs.safetensors")
    save_file({**token_only.lora, "lora_te1_x.alpha": torch.tensor(1.0)}, path)
    assert LoadAdapter.fingerprint_inputs(adapter_name="theirs.safetensors") != before
    path.unlink()
    save(adapter)
    assert load("theirs.safetensors")[0].id == adapter.id


@pytest.mark.parametrize("layout", ["diffusers", "peft", "kohya"])
def test_every_format_loads_as_the_same_adapter_and_by_the_stock_loader(host_folders, models, token_only, layout):
    from comfy_extras.nodes_train import LoraModelLoader

    from nodes import LoraLoader

    with pytest.raises(ValueError, match=f"format '{layout}'.*input model of Save Adapter"):
        save(token_only, format=layout)
    assert not list((host_folders / "loras").iterdir())
    save(token_only, format=layout, model=models.model)
    assert load("plain.safetensors")[0].id == token_only.id
    with torch.inference_mode():
        model, clip = LoraLoader().load_lora(models.model, models.clip, "plain.safetensors", 1.0, 1.0)
        expected = LoraModelLoader.execute(models.model, dict(token_only.lora), 1.0).args[0]
    assert torch.allclose(image(model, clip, "a robot"), image(expected, clip, "a robot"), atol=1e-4)


def test_a_format_without_names_for_a_layer_says_so(host_folders, models, token_only):
    lora = {k.replace("joint_blocks.0", "joint_blocks.9"): v for k, v in token_only.lora.items()}
    with pytest.raises(ValueError, match=r"'plain' cannot be saved in the format 'peft': it has no name for joint_"):
        save(replace(token_only, lora=lora), format="peft", model=models.model)


def test_nothing_is_overwritten_silently(host_folders, token_only):
    save(token_only)
    save(token_only)  # the very same files may be written again
    other = replace(token_only, lora={k: v + 1 for k, v in token_only.lora.items()})
    before = {p: p.read_bytes() for p in host_folders.rglob("*.safetensors")}
    for name in ("plain_2", "plain_2"):  # the second time the very same files again
        assert save(other).args[0] == name
        assert load(f"{name}.safetensors")[0].id == other.id
    assert {p: p.read_bytes() for p in before} == before, "a taken name is another's"
    from purecc_pack.nodes import LoadAdapter

    old = LoadAdapter.fingerprint_inputs(adapter_name="plain.safetensors")
    save(other, overwrite=True)
    assert load("plain.safetensors")[0].id == other.id
    assert LoadAdapter.fingerprint_inputs(adapter_name="plain.safetensors") != old, "a loader's cache must not hold"


def test_the_metadata_says_which_it_is(host_folders, token_only, extractor):
    from comfy_execution.graph_utils import ExecutionBlocker

    save(token_only)
    save(extractor)
    adapter, refusal = load("plain.safetensors")
    assert adapter.id == token_only.id and adapter.kind == "adapter"
    assert isinstance(refusal, ExecutionBlocker) and "plain.safetensors is an adapter" in refusal.message
    refusal, theta1 = load("ext.safetensors")
    assert theta1.id == extractor.id and theta1.kind == "extractor"
    assert isinstance(refusal, ExecutionBlocker) and "is an extractor" in refusal.message


def test_a_loaded_extractor_guides_as_the_fresh_one(host_folders, models, dataset, extractor, learned):
    from purecc_pack.purecc.method.pure_learning import PureLearning

    save(extractor)
    theta1 = load("ext.safetensors")[1]
    again = runs.customise(models, dataset, runs.job("pure", PureLearning()), extractor=theta1).adapter
    assert again.id == learned.adapter.id


def test_the_files_say_everything_of_themselves(host_folders, learned, dataset):
    from purecc_pack.purecc import VERSION
    from purecc_pack.purecc.adapters import files

    save(learned.adapter)
    for kind in ("loras", "embeddings"):
        about = files.read_metadata(host_folders / kind / "pure.safetensors")
        assert about["modelspec.sai_model_spec"] == "1.0.0"
        assert about["modelspec.architecture"] == "stable-diffusion-v3.5-medium/lora"
        assert about["modelspec.title"] == "pure"
        assert about["modelspec.trigger_phrase"] == "embedding:pure robot"
        assert about["purecc.base_model"] == "standin"
        assert about["purecc.kind"] == "adapter" and about["purecc.needs_apply"] == "true"
        report = json.loads(about["purecc.report"])
        assert (report["steps"], report["seed"], report["stage"]) == (3, 0, "adapter")
        assert report["losses"] == pytest.approx(learned.history.losses)
        assert report["lambdas"] == pytest.approx(learned.history.scales) and len(report["lambdas"]) == 3
        assert 0 < report["seconds"] < 600
        recipe = json.loads(about["purecc.recipe"])
        assert recipe["method"] == "PureLearning" and recipe["eta"] == 1.0 and recipe["v_original"] == "theta2"
        assert recipe["settings"]["lr"] == 1e-2 and recipe["lora"]["rank"] == 4
        assert recipe["input_token"] and recipe["layer_wise"] and recipe["precision"] == "auto"
        assert about["ss_base_model_version"] == "sd35m" and about["ss_sd_model_name"] == "standin.safetensors"
        assert about["ss_output_name"] == "pure" and about["ss_network_module"] == "networks.lora"
        assert (about["ss_network_dim"], about["ss_network_alpha"]) == ("4", "4.0")
        assert (about["ss_steps"], about["ss_learning_rate"], about["ss_seed"]) == ("3", "0.01", "0")
        assert (about["ss_num_train_images"], about["ss_resolution"]) == ("3", "(64, 64)")
        tags = json.loads(about["ss_tag_frequency"])["pure"]
        assert tags["a embedding:pure robot on red stripes"] == tags["seen from the left"] == 1
        texts = [t["complete"] for t in json.loads(about["purecc.texts"])]
        assert sorted(texts) == sorted(runs.CAPTIONS) and len(texts) == len(dataset.items)
        versions = json.loads(about["purecc.versions"])
        assert versions["purecc"] == VERSION and versions["torch"] == torch.__version__
        assert set(versions) == {"purecc", "torch", "peft", "comfyui"}


def image(model, clip, prompt="a embedding:plain robot"):
    return runs.sample(model, runs.encode(clip, prompt), runs.encode(clip, "blurred"))


def test_the_stock_loader_and_core_training_nodes_take_the_lora(host_folders, models, token_only):
    import comfy.utils
    import folder_paths
    from comfy_extras.nodes_train import LoraModelLoader, SaveLoRA

    from purecc_pack.nodes import ApplyAdapter

    both = runs.execute(ApplyAdapter, model=models.model, clip=models.clip, adapter=token_only, strength=0.8).args
    with torch.inference_mode():
        model = LoraModelLoader.execute(models.model, dict(token_only.lora), 0.8).args[0]
    assert torch.equal(image(model, both[1]), image(*both))
    SaveLoRA.execute(dict(token_only.lora), "loras/ours", steps=3)
    (path,) = Path(folder_paths.get_output_directory(), "loras").glob("ours_3_steps_*.safetensors")
    written = comfy.utils.load_torch_file(str(path))
    assert runs.digest(written) == runs.digest(token_only.lora)
    path.unlink()


def test_four_slots_and_a_chain(models, token_only, learned, extractor):
    from purecc_pack.nodes import ApplyAdapter

    apply = {"model": models.model, "clip": models.clip}
    slots = {"adapter": token_only, "strength": 0.5, "adapter_3": learned.adapter, "strength_3": 1.5}
    at_once = runs.execute(ApplyAdapter, **apply, **slots).args
    model, clip = runs.execute(ApplyAdapter, **apply, adapter=token_only, strength=0.5).args
    chained = runs.execute(ApplyAdapter, model=model, clip=clip, adapter=learned.adapter, strength=1.5).args
    prompt = "a embedding:plain robot and a embedding:pure robot"
    assert torch.equal(image(*at_once, prompt), image(*chained, prompt))
    assert not torch.equal(image(*at_once, prompt), image(model, chained[1], prompt))
