"""Batches, sampling, drift, curves: each against a plain computation."""

from dataclasses import dataclass
from itertools import islice, pairwise

import pytest
import runs
import torch


def item(k, shape=(4, 8, 8), variants=1):
    from purecc_pack.purecc.dataset import ConceptItem
    from purecc_pack.purecc.texts import parse_caption

    latents = torch.stack([torch.full(shape, k + v / 10) for v in range(variants)])
    return ConceptItem(latents, parse_caption(f"a [v] robot, {k}", "robot"), torch.zeros(8, 8, 3))


def numbers(batch):
    """Which items are in a batch, by caption, each with the value of its latent."""
    return [(int(text.complete[-1]), float(x.flatten()[0])) for text, x in zip(batch.texts, batch.x0, strict=True)]


class TestBatches:
    def draw(self, items, size, count, seed=0):
        from purecc_pack.purecc.dataset import batches

        return list(islice(batches(items, size, torch.Generator().manual_seed(seed)), count))

    @pytest.mark.parametrize(("count", "size"), [(5, 2), (3, 1), (4, 4), (3, 7), (2, 3)])
    def test_every_item_is_drawn_before_any_again(self, count, size):
        drawn = [k for b in self.draw([item(k) for k in range(count)], size, 4 * count) for k, _ in numbers(b)]
        assert len(drawn) == 4 * count * size
        for start in range(0, len(drawn), count):
            whole = drawn[start : start + count]
            assert len(set(whole)) == len(whole)

    def test_the_order_changes_from_round_to_round(self):
        drawn = [k for b in self.draw([item(k) for k in range(6)], 6, 3) for k, _ in numbers(b)]
        assert len({tuple(drawn[i : i + 6]) for i in (0, 6, 12)}) > 1

    def test_shapes_never_mix_and_each_is_drawn_by_its_share(self):
        items = [item(k, (4, 8, 8)) for k in range(6)] + [item(k, (4, 4, 16)) for k in range(6, 8)]
        drawn = self.draw(items, 2, 400)
        wide = [b for b in drawn if tuple(b.x0.shape) == (2, 4, 4, 16)]
        square = [b for b in drawn if tuple(b.x0.shape) == (2, 4, 8, 8)]
        assert len(wide) + len(square) == 400 and 60 < len(wide) < 140
        assert {k for b in wide for k, _ in numbers(b)} == {6, 7}
        for bucket, count in ((wide, 2), (square, 6)):
            order = [k for b in bucket for k, _ in numbers(b)]
            assert all(len(set(order[i : i + count])) == count for i in range(0, len(order) - count, count))

    def test_variants_are_all_drawn_and_stay_with_their_text(self):
        drawn = [n for b in self.draw([item(k, variants=3) for k in range(3)], 3, 60) for n in numbers(b)]
        assert {(k, round(v, 1)) for k, v in drawn} == {(k, round(k + v / 10, 1)) for k in range(3) for v in range(3)}

    def test_the_seed_decides(self):
        items = [item(k, variants=2) for k in range(5)]
        first, same, other = ([numbers(b) for b in self.draw(items, 2, 20, seed)] for seed in (1, 1, 2))
        assert first == same != other


def test_a_dataset_is_as_listed_and_can_be_put_in_the_order_of_its_content():
    from purecc_pack.purecc.dataset import ConceptDataset

    items = tuple(item(k) for k in range(5))
    forward, backward = ConceptDataset(items, "robot", "instance"), ConceptDataset(items[::-1], "robot", "instance")
    assert forward.items == items and backward.items == items[::-1]
    one, other = forward.by_content(), backward.by_content()
    assert one.items == other.items and runs.fingerprint(one) == runs.fingerprint(other)
    assert set(map(id, one.items)) == set(map(id, items)) and one.class_word == "robot"
    assert runs.fingerprint(one) != runs.fingerprint(ConceptDataset(items[:4], "robot", "instance").by_content())
    with pytest.raises(ValueError, match="at least one reference image"):
        ConceptDataset((), "robot", "instance")


class TestSampling:
    def test_times(self):
        from purecc_pack.purecc.sampling import times

        assert times(4, shift=1.0).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
        assert times(2, shift=3.0).tolist() == pytest.approx([1.0, 0.75, 0.0])

    def test_a_straight_path_is_exact(self):
        """v = x1 - x0 leads from the noise to the data in any number of steps."""
        from purecc_pack.purecc.sampling import sample, times

        x0, x1 = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double().split(1)
        for steps in (1, 5):
            out = sample(lambda x, t: x1 - x0, x1, times(steps))
            torch.testing.assert_close(out, x0, rtol=1e-6, atol=1e-6)

    def test_eulers_error_falls_with_the_step(self):
        """v = x: x_t = x_1 e^(t - 1)."""
        from purecc_pack.purecc.sampling import trajectory

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

    def test_the_hosts_sampler_draws_the_same(self, models):
        """Guided Euler on the same times is KSampler's euler."""
        import comfy.samplers

        from purecc_pack.purecc.measure import guided
        from purecc_pack.purecc.sampling import sample

        data = runs.build(models)
        job = runs.job(drift_every=1, drift_prompts=("a lake",))
        sigmas = comfy.samplers.calculate_sigmas(models.model.model.model_sampling, "simple", 4)
        noise = torch.randn(1, 16, 8, 8, generator=torch.manual_seed(1))
        with runs.at_work(models, data, job) as (trainee, _):
            ours = sample(guided(trainee, None, ["a lake"], 3.0), noise, sigmas)
            ours = trainee.model.latents_out(ours)
        negative = runs.encode(models.clip, "")
        theirs = runs.sample(models.model, runs.encode(models.clip, "a lake"), negative, seed=1, steps=4, cfg=3.0)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


class TestDrift:
    PROMPTS = ("a lake", "a hill at dawn")

    @pytest.fixture(scope="class")
    def trainee(self, models, dataset):
        job = runs.job(drift_every=1, drift_prompts=self.PROMPTS)
        with runs.at_work(models, dataset, job) as (trainee, _):
            yield trainee

    def probe(self, trainee, **values):
        from purecc_pack.purecc.measure import DriftProbe

        return DriftProbe(trainee, (16, 8, 8), self.PROMPTS, steps=3, cfg=2.0, seed=4, **values)

    def test_an_untrained_model_has_not_drifted(self, trainee):
        assert self.probe(trainee)() == 0.0

    def test_it_is_the_sum_over_the_bases_own_trajectories(self, trainee):
        """Σ‖v − v_base‖² / Σ‖v_base‖², every point computed alone."""
        probe = self.probe(trainee)
        with torch.no_grad():
            for weight in trainee.branches.parameters("learner")[1::2]:
                weight.fill_(0.02)
        try:
            drift, of_base = probe(), probe(None)
            limited = self.probe(trainee, limit=1)()
            shift = [3 * t / (1 + 2 * t) for t in (1.0, 2 / 3, 1 / 3, 0.0)]
            noise = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(4))
            off = total = 0.0
            with torch.no_grad():
                for prompt, x in zip(self.PROMPTS, noise.split(1), strict=True):
                    for now, then in pairwise(shift):
                        t = torch.tensor([now])
                        base = trainee.run(None, x, t, [prompt])
                        empty = trainee.run(None, x, t, [""])
                        off += float((trainee.run("learner", x, t, [prompt]) - base).double().square().sum())
                        total += float(base.double().square().sum())
                        x = x + (then - now) * (empty + 2.0 * (base - empty))
        finally:
            with torch.no_grad():
                for weight in trainee.branches.parameters("learner")[1::2]:
                    weight.zero_()
        assert drift == pytest.approx(off / total, rel=1e-3) and drift > 1e-4
        assert limited == pytest.approx(drift, rel=1e-3)
        assert of_base < 1e-12


@dataclass
class Recorder:
    """A velocity field that says which samples shared a pass: v = x_t + t + the first number of the context."""

    calls: list

    def velocity(self, x_t, t, y):
        self.calls.append(len(x_t))
        return x_t + t.view(-1, 1, 1, 1) + y.context[:, 0, 0].view(-1, 1, 1, 1)


@pytest.mark.parametrize(("limit", "calls"), [(None, [3, 2]), (2, [2, 1, 2]), (1, [1] * 5)])
def test_prompts_of_unlike_layout_are_passes_of_their_own(limit, calls):
    from purecc_pack.purecc.field import Conditioning, velocities

    lengths = (77, 154, 77, 77, 154)
    prompts = [
        Conditioning(torch.full((1, n, 4), float(k)), torch.zeros(1, n, dtype=torch.bool), {"p": torch.zeros(1, 2)})
        for k, n in enumerate(lengths)
    ]
    x_t, t = torch.randn(5, 1, 2, 2), torch.rand(5)
    field = Recorder([])
    out = velocities(field, x_t, t, prompts, limit)
    expected = x_t + t.view(-1, 1, 1, 1) + torch.arange(5.0).view(-1, 1, 1, 1)
    assert torch.equal(out, expected) and field.calls == calls


class TestCurves:
    def run(self, n=40, **values):
        loss = [1 / (k + 1) + 0.1 * (k % 3) for k in range(n)]
        return {"loss": loss, "title": "a run", **values}

    def test_a_panel_for_each_thing_measured(self):
        from purecc_pack.purecc.curves import PANEL, draw

        width, height = PANEL
        assert draw([self.run()]).size == (width, height)
        more = self.run(**{"lambda": [0.1] * 40, "drift": [(10, 0.1), (40, 0.3)]})
        assert draw([more]).size == (width, 3 * height)
        assert draw([self.run(), more]).size == (width, 3 * height)

    def test_the_line_is_where_its_values_are(self):
        """A falling loss: the dark line begins above where it ends."""
        from purecc_pack.purecc.curves import COLOURS, draw

        picture = draw([{"loss": [1.0 - k / 99 for k in range(100)], "title": ""}])
        pixels = torch.tensor(list(picture.getdata())).view(picture.height, picture.width, 3)
        rows, columns = (pixels == torch.tensor(COLOURS[0])).all(-1).nonzero().T
        assert len(rows) > 300
        left, right = rows[columns < columns.min() + 20], rows[columns > columns.max() - 20]
        assert float(left.float().mean()) < float(right.float().mean()) - 80

    @pytest.mark.parametrize("loss", [[0.5], [0.5, 0.5], [0.0], [1e-9, 2e-9], [1e9, 3.0]])
    def test_short_and_flat_runs_are_drawn(self, loss):
        from purecc_pack.purecc.curves import COLOURS, draw

        picture = draw([{"loss": loss, "title": "t", "lambda": [], "drift": [(1, 0.0)]}])
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
        assert COLOURS[0] in colours and picture.height == 440

    def test_the_losses_of_the_hosts_own_trainer_are_drawn(self):
        from purecc_pack.purecc.curves import draw

        assert draw([{"loss": [3.0, 2.0, 1.0]}]).size[1] == 220

    def test_every_letter_is_one_that_the_font_has(self, monkeypatch):
        from PIL import ImageDraw

        from purecc_pack.purecc import curves

        written = []
        text = ImageDraw.ImageDraw.text
        monkeypatch.setattr(
            ImageDraw.ImageDraw,
            "text",
            lambda self, at, words, *a, **k: (written.append(words), text(self, at, words, *a, **k)),
        )
        curves.draw([self.run(**{"lambda": [0.1] * 40, "drift": [(10, 0.1), (40, 0.3)]})])
        font = curves.font(13)
        missing = bytes(font.getmask("\U0010fffe"))
        letters = set("".join(written)) - {" "}
        assert len(letters) > 15 and not [c for c in letters if bytes(font.getmask(c)) == missing]

    def test_smoothing(self):
        from purecc_pack.purecc.curves import smooth

        assert smooth([2.0] * 5) == pytest.approx([2.0] * 5)
        assert smooth([1.0, 3.0], weight=0.5) == pytest.approx([1.0, (0.25 * 1 + 0.5 * 3) / 0.75])
