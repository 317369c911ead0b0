"""The noise path: its ends and its target, and the times of training."""

import math

import pytest
import torch

from purecc_pack.purecc.method.path import interpolate, sample_timesteps, target_velocity


def test_interpolation_starts_at_data_ends_at_noise_and_moves_at_the_target_velocity():
    x0, x1 = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.tensor([0.0, 1.0, 0.3], dtype=torch.float64)
    x_t = interpolate(x0, x1, t)
    assert torch.equal(x_t[0], x0[0])
    assert torch.equal(x_t[1], x1[1])
    step = 1e-3
    moved = (interpolate(x0, x1, t + step) - x_t) / step
    torch.testing.assert_close(moved, target_velocity(x0, x1), rtol=0, atol=1e-9)


def quantiles(t):
    return torch.quantile(t.double(), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)).tolist()


def test_timesteps_follow_their_density_and_shift():
    def draw_times(**settings):
        return sample_timesteps(20000, torch.Generator().manual_seed(0), **settings)

    z = 1.2815515655446004  # the 90 % point of N(0, 1)
    assert quantiles(draw_times(density="uniform")) == pytest.approx([0.1, 0.5, 0.9], abs=0.02)
    logit = [1 / (1 + math.exp(-(0.5 + 2 * q))) for q in (-z, 0, z)]
    assert quantiles(draw_times(mean=0.5, std=2.0)) == pytest.approx(logit, abs=0.02)
    t, shifted = draw_times().double(), draw_times(shift=3.0).double()
    torch.testing.assert_close(shifted, 3 * t / (1 + 2 * t), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{"std": 100.0}, {"density": "uniform", "shift": 1e9}, {"mean": -1e3}])
def test_timesteps_stay_inside_the_open_interval_in_float32(settings):
    t = sample_timesteps(1000, torch.Generator().manual_seed(1), **settings)
    assert t.dtype == torch.float32 and t.device.type == "cpu" and t.shape == (1000,)
    assert (t > 0).all() and (t < 1).all()


def test_timesteps_depend_on_the_generator_alone():
    first, again = (sample_timesteps(5, torch.Generator().manual_seed(2)) for _ in range(2))
    torch.rand(10)
    assert torch.equal(first, again)
    assert not torch.equal(first, sample_timesteps(5, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("settings", [{"density": "cosine"}, {"shift": 0.0}, {"std": 0.0}, {"shift": math.nan}])
def test_timestep_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings)) if "density" not in settings else "cosine"):
        sample_timesteps(3, torch.Generator(), **settings)


class TestPaths:
    """The two kinds of noise path."""

    def test_a_flow_s_own_shift_stands_in_for_none(self):
        from purecc_pack.purecc.method.path import FlowPath

        def times(path, shift):
            return path.sample_times(50, torch.Generator().manual_seed(0), "logit_normal", shift)

        assert torch.equal(times(FlowPath(3.0), None), times(FlowPath(1.0), 3.0))
        assert not torch.equal(times(FlowPath(1.0), None), times(FlowPath(3.0), None))
        assert FlowPath(1.0).steps(4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
        assert FlowPath(3.0).steps(2).tolist() == pytest.approx([1.0, 0.75, 0.0])
        assert FlowPath(3.0).gain(torch.tensor([0.2, 0.9])).tolist() == [1.0, 1.0]

    def test_times_of_a_noise_schedule_are_its_own(self):
        from purecc_pack.purecc.method.path import SigmaPath

        sigmas = torch.linspace(0.1, 9.0, 100)
        path = SigmaPath(sigmas)
        known = sigmas / (1 + sigmas)
        t = path.sample_times(2000, torch.Generator().manual_seed(0), "logit_normal", None)
        assert (t[:, None] - known).abs().amin(1).max() < 1e-6
        assert torch.unique(t).numel() == 100
        steps = path.steps(10)
        assert len(steps) == 11 and steps[0] == known[-1] and steps[-2] == known[0] and steps[-1] == 0
        assert torch.equal(steps, steps.sort(descending=True).values)

    @pytest.mark.parametrize("t", [0.1, 0.4, 0.9])
    @pytest.mark.parametrize("d", [1.0, 0.5])
    def test_the_loss_weight_is_that_of_what_the_network_predicts(self, d, t):
        """ε = (x - x̂0) / σ of x = x0 + σ x1; v-prediction and EDM: x̂0 = x d² / (σ² + d²) - v σ d / √(σ² + d²).

        Min-SNR weighs these losses by min(SNR, γ) / SNR and min(SNR, γ) / (SNR + 1).
        """
        from purecc_pack.purecc.method.path import SigmaPath

        x0, first, second = torch.randn(3, 1, 7, generator=torch.Generator().manual_seed(0)).double()
        t = torch.tensor([t], dtype=torch.float64)
        sigma = float(t / (1 - t))
        x = x0 + sigma * torch.randn(1, 7, generator=torch.Generator().manual_seed(1)).double()

        def eps(clean):
            return (x - clean) / sigma

        def v_prediction(clean):
            return (x * d**2 / (sigma**2 + d**2) - clean) * (sigma**2 + d**2) ** 0.5 / (sigma * d)

        snr, velocity = d**2 / sigma**2, (first - second) / t
        kinds = [("v", v_prediction, min(snr, 5.0) / (snr + 1))]
        kinds += [("eps", eps, min(snr, 5.0) / snr)] * (d == 1)
        for predicts, native, factor in kinds:
            path = SigmaPath(torch.tensor([0.1, 9.0]), predicts, d)
            loss = (native(first) - native(second)).square()
            for weighting, wanted in (("native", loss), ("min-SNR", factor * loss)):
                gain = path.weighing("min-SNR").weighing(weighting).gain(t)
                torch.testing.assert_close((gain * velocity).square(), wanted, msg=f"{predicts}, {weighting}")

    def test_a_velocity_s_loss_has_no_other_weight(self):
        from purecc_pack.purecc.method.path import FlowPath, SigmaPath

        for path in (FlowPath(3.0), SigmaPath(torch.tensor([0.1, 9.0]), "velocity")):
            assert path.weighing("native") is path
            with pytest.raises(ValueError, match=r"loss_weighting is 'min-SNR'.*velocity"):
                path.weighing("min-SNR")
        for path in (FlowPath(3.0), SigmaPath(torch.tensor([0.1, 9.0]))):
            with pytest.raises(ValueError, match=r"'snr'.*native, min-SNR"):
                path.weighing("snr")
