"""The dataset, and the random batches of it."""

from itertools import islice

import pytest
import runs
import torch


def item(k, shape=(4, 8, 8), variants=1):
    from purecc_pack.purecc.text.texts import parse_caption
    from purecc_pack.purecc.training.dataset import ConceptItem

    latents = torch.stack([torch.full(shape, k + v / 10) for v in range(variants)])
    return ConceptItem(latents, parse_caption(f"a [v] robot, {k}", "robot"), torch.zeros(8, 8, 3))


def numbers(batch):
    """Which items are in a batch, by caption, each with the value of its latent."""
    return [(int(text.complete[-1]), float(x.flatten()[0])) for text, x in zip(batch.texts, batch.x0, strict=True)]


class TestBatches:
    def draw(self, items, size, count, seed=0):
        from purecc_pack.purecc.training.dataset import Batches

        return list(islice(Batches(items, size, torch.Generator().manual_seed(seed)), count))

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
    from purecc_pack.purecc.text.concept import Concept
    from purecc_pack.purecc.training.dataset import ConceptDataset

    items, robot = tuple(item(k) for k in range(5)), Concept("robot", "instance")
    forward, backward = ConceptDataset(items, robot), ConceptDataset(items[::-1], robot)
    assert forward.items == items and backward.items == items[::-1]
    one, other = forward.by_content(), backward.by_content()
    assert one.items == other.items and runs.fingerprint(one) == runs.fingerprint(other)
    assert set(map(id, one.items)) == set(map(id, items)) and one.class_word == "robot"
    assert runs.fingerprint(one) != runs.fingerprint(ConceptDataset(items[:4], robot).by_content())
    with pytest.raises(ValueError, match="at least one reference image"):
        ConceptDataset((), robot)
