"""Drift, against a computation of every point alone."""

from itertools import pairwise

import pytest
import runs
import torch


class TestDrift:
    PROMPTS = ("a lake", "a hill at dawn")

    @pytest.fixture(scope="class")
    def branched(self, models, dataset):
        job = runs.job(drift_every=1, drift_prompts=self.PROMPTS)
        with runs.at_work(models, dataset, job) as (branched, _):
            yield branched

    def probe(self, branched, **values):
        from purecc_pack.purecc.training.drift import DriftProbe

        return DriftProbe(branched, (16, 8, 8), self.PROMPTS, steps=3, cfg=2.0, seed=4, **values)

    def test_an_untrained_model_has_not_drifted(self, branched):
        assert self.probe(branched)() == 0.0

    def test_it_is_the_sum_over_the_bases_own_trajectories(self, branched):
        """Σ‖v − v_base‖² / Σ‖v_base‖², every point computed alone."""
        probe = self.probe(branched)
        with torch.no_grad():
            for weight in branched.branches.parameters("learner")[1::2]:
                weight.fill_(0.02)
        try:
            drift, of_base = probe(), probe(None)
            limited = self.probe(branched, limit=1)()
            shift = [3 * t / (1 + 2 * t) for t in (1.0, 2 / 3, 1 / 3, 0.0)]
            noise = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(4))
            off = total = 0.0
            with torch.no_grad():
                for prompt, x in zip(self.PROMPTS, noise.split(1), strict=True):
                    for now, then in pairwise(shift):
                        t = torch.tensor([now])
                        base = branched.run(None, x, t, [prompt])
                        empty = branched.run(None, x, t, [""])
                        off += float((branched.run("learner", x, t, [prompt]) - base).double().square().sum())
                        total += float(base.double().square().sum())
                        x = x + (then - now) * (empty + 2.0 * (base - empty))
        finally:
            with torch.no_grad():
                for weight in branched.branches.parameters("learner")[1::2]:
                    weight.zero_()
        assert drift == pytest.approx(off / total, rel=1e-3) and drift > 1e-4
        assert limited == pytest.approx(drift, rel=1e-3)
        assert of_base < 1e-12
