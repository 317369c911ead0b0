"""Both integrators and guidance, against exact paths and the host's sampler."""

import pytest
import runs
import torch


def test_guidance():
    """v_∅ + cfg (v − v_∅): 1 gives v, 0 the empty prompt's."""
    from purecc_pack.purecc.network.sampling import guide

    v, empty = torch.tensor([3.0, -1.0]), torch.tensor([1.0, 1.0])
    assert torch.equal(guide(v, empty, 4.0), torch.tensor([9.0, -7.0]))
    assert torch.equal(guide(v, empty, 1.0), v) and torch.equal(guide(v, empty, 0.0), empty)


class TestSampling:
    def test_a_straight_path_is_exact(self):
        """v = x1 - x0 leads from the noise to the data in any number of steps."""
        from purecc_pack.purecc.network.sampling import sample

        x0, x1 = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double().split(1)
        for steps in (1, 5):
            out = sample(lambda x, t: x1 - x0, x1, torch.linspace(1, 0, steps + 1, dtype=torch.float64))
            torch.testing.assert_close(out, x0, rtol=1e-6, atol=1e-6)

    def test_eulers_error_falls_with_the_step(self):
        """v = x: x_t = x_1 e^(t - 1)."""
        from purecc_pack.purecc.network.sampling import trajectory

        x1 = torch.ones(2, 1, 1, 1, dtype=torch.float64)
        errors = []
        for steps in (10, 100):
            seen = []
            t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)

            def velocity(x, at, seen=seen):
                seen.append(at.tolist())
                return x

            states = list(trajectory(velocity, x1, t))
            assert len(states) == steps + 1 and torch.equal(states[0], x1)
            assert [at for both in seen for at in both] == pytest.approx([s for s in t[:-1].tolist() for _ in range(2)])
            errors.append(abs(float(states[-1][0]) - float(torch.tensor(-1.0).exp())))
        assert errors[1] < errors[0] / 8

    def test_the_second_orders_error_falls_with_the_square(self):
        """v = x, with uneven steps: half of them leave a quarter of the error, and a pass is made once a step."""
        from purecc_pack.purecc.network.sampling import sample

        x1, errors = torch.ones(1, 1, 1, 1, dtype=torch.float64), []
        for steps in (20, 40):
            seen = []

            def velocity(x, at, seen=seen):
                seen.append(float(at))
                return x

            t = torch.linspace(1, 0, steps + 1, dtype=torch.float64) ** 1.2
            errors.append(abs(float(sample(velocity, x1, t, order=2)) - float(torch.tensor(-1.0).exp())))
            assert len(seen) == steps
        assert errors[0] < 0.002 and 3.4 < errors[0] / errors[1] < 4.6

    def test_the_hosts_sampler_draws_the_same(self, models):
        """Guided Euler on the same times is KSampler's euler."""
        import comfy.samplers

        from purecc_pack.purecc.network.sampling import sample

        data = runs.build(models)
        job = runs.job(drift_every=1, drift_prompts=("a lake",))
        sigmas = comfy.samplers.calculate_sigmas(models.model.model.model_sampling, "simple", 4)
        noise = torch.randn(1, 16, 8, 8, generator=torch.manual_seed(1))
        with runs.at_work(models, data, job) as (branched, _):
            ours = sample(branched.guided(None, ["a lake"], 3.0), noise, sigmas)
            ours = branched.field.latents_out(ours)
        negative = runs.encode(models.clip, "")
        theirs = runs.sample(models.model, runs.encode(models.clip, "a lake"), negative, seed=1, steps=4, cfg=3.0)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
