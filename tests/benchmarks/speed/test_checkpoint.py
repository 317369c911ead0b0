"""The checkpoint of SD3.5 Medium's shapes, on the meta device: the host takes every weight for what it is."""

import pytest
import torch


@pytest.fixture(scope="module")
def found(comfyui):
    """The weights of the checkpoint, and what the host detects in them."""
    from comfy import model_detection
    from speed.sd3 import MEDIUM

    weights = MEDIUM.weights()
    prefix = model_detection.unet_prefix_from_state_dict(weights)
    config = model_detection.model_config_from_unet(weights, prefix)
    config.set_inference_dtype(torch.bfloat16, None)
    return weights, prefix, config


def shapes(weights):
    return {k: tuple(w.shape) for k, w in weights.items()}


def test_the_transformer(found):
    weights, prefix, config = found
    model = config.get_model(weights, prefix, device="meta")
    theirs = {k.removeprefix(prefix): w for k, w in weights.items() if k.startswith(prefix)}
    assert type(model).__name__ == "SD3" and config.unet_config["x_block_self_attn_layers"] == list(range(13))
    assert shapes(model.diffusion_model.state_dict()) == shapes(theirs)


def encoders(weights, config, options):
    """Shapes of the text encoders that the host builds, and of what it is given for them."""
    with torch.device("meta"):
        model = config.clip_target(state_dict=weights).clip(device="meta", dtype=torch.bfloat16, model_options=options)
    built = {}
    for name in ("clip_l", "clip_g", "t5xxl"):
        built |= {f"{name}.{k}": w for k, w in getattr(model, name).state_dict().items() if k != "logit_scale"}
    return shapes(built), shapes(config.process_clip_state_dict(dict(weights)))


def test_the_text_encoders(found):
    weights, _, config = found
    built, given = encoders(weights, config, {})
    assert built == given


def test_a_short_t5(found):
    """With its options the host builds the encoders that the checkpoint has; nothing but T5's depth is other."""
    from speed.sd3 import SHORT_T5

    weights, _, config = found
    short = SHORT_T5.weights()
    built, given = encoders(short, config, SHORT_T5.encoder_options)
    assert built == given
    gone = set(weights) - set(short)
    assert gone and all(k.startswith("text_encoders.t5xxl.transformer.encoder.block.") for k in gone)
    assert shapes(short) == {k: v for k, v in shapes(weights).items() if k not in gone}


def test_the_autoencoder(found):
    from comfy import sd, utils

    weights, _, config = found
    prefixes = {k: "" for k in config.vae_key_prefix}
    theirs = utils.state_dict_prefix_replace(dict(weights), prefixes, filter_keys=True)
    with torch.device("meta"):
        vae = sd.VAE(sd=config.process_vae_state_dict(theirs))
    assert type(vae.first_stage_model).__name__ == "AutoencodingEngine" and vae.latent_channels == 16
    assert shapes(vae.first_stage_model.state_dict()) == shapes(theirs)
