"""The measures against numpy in float64, written out separately."""

import numpy as np
import pytest
import torch

from purecc_pack.purecc.evaluation import measures


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return sum(x * y for x, y in zip(a, b, strict=True)) / (np.sqrt((a * a).sum()) * np.sqrt((b * b).sum()))


def test_clip_t_is_a_hundred_times_the_mean_cosine():
    pictures, text = random(5, 24), random(24, seed=1)
    expected = 100 * np.mean([cosine(p, text) for p in pictures])
    assert measures.clip_t(pictures, text) == pytest.approx(expected, abs=1e-12)
    assert measures.clip_t(3.0 * text[None], text) == pytest.approx(100.0, abs=1e-5)
    assert measures.clip_t(-text[None], text) == pytest.approx(-100.0, abs=1e-5)  # not cut at 0


def test_delta_clip_t_is_customised_minus_base_on_the_same_text():
    customised, base, text = random(4, 16), random(4, 16, seed=2), random(16, seed=3)
    expected = 100 * (np.mean([cosine(p, text) for p in customised]) - np.mean([cosine(p, text) for p in base]))
    assert measures.delta_clip_t(customised, base, text) == pytest.approx(expected, abs=1e-12)
    assert measures.delta_clip_t(base, base, text) == 0.0


def test_fidelity_is_the_mean_over_all_pairs():
    pictures, references = random(3, 16), random(5, 16, seed=4)
    expected = np.mean([cosine(p, r) for p in pictures for r in references])
    assert measures.fidelity(pictures, references) == pytest.approx(expected, abs=1e-12)
    assert measures.fidelity(pictures * 7.0, references) == pytest.approx(expected, abs=1e-6)  # lengths do not matter


def test_embeddings_of_half_precision_are_measured_in_double():
    pictures, references = random(3, 16).half(), random(5, 16, seed=4).half()
    expected = np.mean([cosine(p.float(), r.float()) for p in pictures for r in references])
    assert measures.fidelity(pictures, references) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("spoilt", [torch.zeros(1, 8), torch.full((1, 8), float("nan"))])
def test_embeddings_without_direction_are_refused(spoilt):
    with pytest.raises(ValueError, match="not finite"):
        measures.clip_t(spoilt, random(8))


def test_embeddings_of_unlike_width_are_refused():
    with pytest.raises(ValueError, match="24 and 16"):
        measures.fidelity(random(2, 24), random(2, 16))


def boxes(*corners, size=(12, 10)):
    masks = torch.zeros(len(corners), *size, dtype=torch.bool)
    for mask, corner in zip(masks, corners, strict=True):
        if corner:
            top, left, bottom, right = corner
            mask[top:bottom, left:right] = True
    return masks


def test_iou_of_two_boxes():
    a, b = boxes((0, 0, 4, 4), (2, 2, 6, 6))
    assert measures.iou(a, b) == pytest.approx(4 / 28)
    assert measures.iou(a, a) == 1.0
    assert measures.iou(a, boxes(None)[0]) == 0.0
    assert measures.iou(boxes(None)[0], boxes(None)[0]) is None
    with pytest.raises(ValueError, match=r"\(.*\) and \("):
        measures.iou(a, torch.zeros(4, 4, dtype=torch.bool))


def test_seg_cons_is_the_mean_over_the_nouns_that_either_picture_shows():
    customised = boxes((0, 0, 4, 4), (0, 0, 2, 2), None, None)
    base = boxes((2, 2, 6, 6), (0, 0, 2, 2), (1, 1, 3, 3), None)
    assert measures.seg_cons(customised, base) == pytest.approx(100 * (4 / 28 + 1.0 + 0.0) / 3)
    assert measures.seg_cons(boxes(None, None), boxes(None, None)) is None


def test_seg_cons_against_numpy():
    generator = np.random.default_rng(0)
    a, b = generator.random((4, 9, 7)) < 0.4, generator.random((4, 9, 7)) < 0.6
    expected = 100 * np.mean(
        [np.logical_and(x, y).sum() / np.logical_or(x, y).sum() for x, y in zip(a, b, strict=True)]
    )
    assert measures.seg_cons(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected)


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = measures.interval(values.tolist())
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)
    assert measures.interval([5.0, 5.0]) == (5.0, 5.0)
