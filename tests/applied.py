"""Adapters on a model, and what is generated with them."""

import runs
import torch


def applied(models, *adapters, strength=1.0):
    from purecc_pack.purecc.host.models.apply import apply

    model, clip = models.model, models.clip
    with torch.inference_mode():
        for adapter in adapters:
            model, clip = apply(model, clip, adapter, strength)
    return model, clip


def image(pair, prompt, negative="blurred"):
    model, clip = pair
    return runs.sample(model, runs.encode(clip, prompt), runs.encode(clip, negative))


def differ(a, b):
    """Visibly: by more than float error."""
    return float((a - b).abs().max()) > 1e-3


def velocities(model, x_t, t, *conds):
    """v of any kind of model by the host's own sampling path, one for each conditioning, all of one step."""
    import comfy.model_patcher
    import comfy.sampler_helpers
    import comfy.samplers
    from comfy import model_management

    from purecc_pack.purecc.host.models.noise_path import to_host

    with torch.inference_mode():
        model_management.load_models_gpu([model])
        model.pre_run()
        x, sigma = to_host(model.model.model_sampling, x_t.clone(), t.clone())
        x = x.unsqueeze(2) if model.model.latent_format.latent_dimensions == 3 else x
        named = {str(k): comfy.sampler_helpers.convert_cond(cond) for k, cond in enumerate(conds)}
        options = comfy.model_patcher.create_model_options_clone(model.model_options)
        comfy.sampler_helpers.prepare_model_patcher(model, named, options)
        processed = comfy.samplers.process_conds(model.model, x, named, x.device)
        out = comfy.samplers.calc_cond_batch(model.model, list(processed.values()), x, sigma, options)
        model.cleanup()
        return [(x_t - x0.view_as(x_t)) / t.view(-1, 1, 1, 1) for x0 in out]
