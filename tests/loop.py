"""The training loop on the stand-in: recipes, one step at a time, and what passes through the network meanwhile."""

import contextlib

import pytest
import runs
import torch


def pure(**values):
    from purecc_pack.purecc.method.pure_learning import PureLearning

    return PureLearning(**values)


def lora():
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation

    return ConceptCustomisation()


def preserving(text, weight=1.0):
    from purecc_pack.purecc.method.baselines import OutputPreservation

    return OutputPreservation(text, weight)


def prior_preserving(weight=1.0):
    from purecc_pack.purecc.method.baselines import PriorPreservation

    return PriorPreservation(weight)


@pytest.fixture
def stage2(models, dataset, extractor):
    """(branched, dataset) of stage 2 with both embeddings, θ2 moved away from the base."""
    with runs.at_work(models, dataset, runs.job(recipe=pure()), extractor) as (branched, scaled):
        move(branched)
        yield branched, scaled


STILL = {"lr": 0.0, "embedding_lr": 1e-12}
"""Rates at which nothing moves, for gradients at one point."""


def move(branched, branch="learner", seed=3):
    """Puts random numbers into a branch's B, which begins at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in branched.branches.parameters(branch)[1::2]:
            weight += 0.05 * torch.randn(weight.shape, generator=generator)


def learnt(branched):
    """What the loop trains: LoRA, tokens, layer-wise vectors."""
    return [*branched.branches.parameters("learner"), *branched.prompting["learner"].embedding.parameters()]


def run(branched, data, recipe, pool=(), pass_limit=None, **values):
    """(history, traces, gradients after clipping) of a run, one of the last two for each step."""
    from purecc_pack.purecc.training.loop import Callbacks, train

    settings = runs.settings(**{"steps": 1, "clip": 0.0, **values})
    traces, gradients = {}, []

    def on_step(history):
        gradients.append([None if p.grad is None else p.grad.clone() for p in learnt(branched)])

    callbacks = Callbacks(on_step, traces.__setitem__, frozenset(range(1, settings.steps + 1)))
    return train(branched, data, recipe, settings, callbacks, pool, pass_limit), traces, gradients


@contextlib.contextmanager
def watched(branched):
    """Every pass through the network: branch, x_t, t, output."""
    passes, branch = [], []
    use = branched.branches.use

    @contextlib.contextmanager
    def used(name):
        branch.append(name)
        with use(name):
            yield
        branch.pop()

    def after(_, args, out):
        passes.append((branch[-1], args[0].detach(), args[1].detach() / 1000, out))

    handle = branched.field.module.register_forward_hook(after)
    branched.branches.use = used
    try:
        yield passes
    finally:
        handle.remove()
        del branched.branches.use


def one_prior(data):
    from dataclasses import replace

    item = data.items[0]
    latents = 0.5 * torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(8))
    return (replace(item, latents=latents),)
