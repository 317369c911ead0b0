"""What LoRA managers read of an adapter: strings, as kohya's sd-scripts write them."""

# SPDX-License-Identifier: GPL-3.0-or-later

import json

from purecc_pack.purecc.adapters.manager_metadata import TrainedOn, manager_metadata


def test_every_value_is_a_string_as_kohya_writes_it():
    trained = TrainedOn("b.safetensors", "flux1", ["a rob, red", "a rob, , blue"], [1, 10], (1024, 768))
    about = manager_metadata("rob", trained, {"network_dim": 4, "network_alpha": 4.0, "learning_rate": 1e-4})
    assert all(key.startswith("ss_") and isinstance(value, str) for key, value in about.items())
    expected = {"ss_output_name": "rob", "ss_sd_model_name": "b.safetensors", "ss_base_model_version": "flux1"}
    expected |= {"ss_network_dim": "4", "ss_network_alpha": "4.0", "ss_learning_rate": "0.0001", "ss_v2": "False"}
    expected |= {"ss_num_train_images": "11", "ss_resolution": "(1024, 768)", "ss_network_module": "networks.lora"}
    assert expected.items() <= about.items()
    assert json.loads(about["ss_tag_frequency"]) == {"rob": {"a rob": 11, "blue": 10, "red": 1}}
    assert list(json.loads(about["ss_tag_frequency"])["rob"]) == ["a rob", "blue", "red"], "most first"
    assert json.loads(about["ss_dataset_dirs"]) == {"rob": {"n_repeats": 1, "img_count": 2}}


def test_stable_diffusion_2_is_said_twice():
    about = manager_metadata("rob", TrainedOn("b", "sd-v2-1", ["x"], [1], (768, 768)), {})
    assert about["ss_v2"] == "True"
