"""Maps: thresholds, blurs and widenings of maps that are known."""

import math

import pytest
import torch
from squares import square


class TestTheThreshold:
    def test_two_levels_are_two_levels(self):
        from purecc_pack.purecc.method.maps import threshold

        for low, high in ((0.0, 1.0), (3.0, 3.5), (0.2, 40.0)):
            mask = threshold(square(low, high))
            inside = square().bool()
            assert float(mask[inside].min()) > 0.97 and float(mask[~inside].max()) < 0.03
            assert float(mask.min()) >= 0 and float(mask.max()) <= 1

    def test_it_is_soft_and_rises_with_the_value(self):
        from purecc_pack.purecc.method.maps import threshold

        ramp = torch.linspace(0, 1, 64).view(1, 1, 8, 8)
        mask = threshold(ramp).flatten()
        assert bool((mask.diff() > 0).all()) and float(mask[31:33].mean()) == pytest.approx(0.5, abs=1e-3)

    def test_levels_and_scale_make_no_difference(self):
        from purecc_pack.purecc.method.maps import threshold

        maps = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(threshold(5 + 30 * maps), threshold(maps), rtol=1e-3, atol=1e-4)

    def test_what_does_not_differ_is_all_mask(self):
        from purecc_pack.purecc.method.maps import threshold

        for value in (0.0, 0.3, -2.0):
            assert bool((threshold(torch.full((2, 1, 6, 6), value)) == 1).all())

    def test_each_map_has_its_own_clusters(self):
        from purecc_pack.purecc.method.maps import threshold

        maps = torch.cat([square(0.0, 1.0), square(100.0, 200.0)])
        torch.testing.assert_close(threshold(maps)[0], threshold(maps)[1], rtol=1e-4, atol=1e-5)


class TestTheBlur:
    def test_a_constant_stays(self):
        from purecc_pack.purecc.method.maps import blur

        for shape in ((2, 1, 12, 12), (1, 1, 64, 40)):
            torch.testing.assert_close(blur(torch.full(shape, 0.7)), torch.full(shape, 0.7))

    def test_a_point_spreads_evenly_and_keeps_its_sum(self):
        from purecc_pack.purecc.method.maps import BLUR, blur

        point = torch.zeros(1, 1, 49, 49)
        point[..., 24, 24] = 1.0
        spread = blur(point)[0, 0]
        assert float(spread.sum()) == pytest.approx(1.0, abs=1e-5)
        torch.testing.assert_close(spread, spread.T)
        torch.testing.assert_close(spread, spread.flip(0))
        places = torch.arange(49.0) - 24
        assert float((spread.sum(0) * places.square()).sum().sqrt()) == pytest.approx(BLUR * 49, rel=0.05)


class TestTheWidening:
    def test_a_point_becomes_a_square_of_that_reach(self):
        from purecc_pack.purecc.method.maps import widen

        for side, by, reach in ((48, 1 / 12, 4), (12, 1 / 12, 1), (8, 0.01, 1)):
            point = torch.zeros(1, 1, side, side)
            point[..., side // 2, side // 2] = 0.6
            wide = widen(point, by)[0, 0]
            middle = slice(side // 2 - reach, side // 2 + reach + 1)
            assert bool((wide[middle, middle] == 0.6).all())
            assert float(wide.sum()) == pytest.approx(0.6 * (2 * reach + 1) ** 2, rel=1e-5)

    def test_each_map_keeps_its_shape(self):
        from purecc_pack.purecc.method.maps import widen

        maps = torch.rand(3, 1, 16, 24, generator=torch.Generator().manual_seed(0))
        wide = widen(maps, 1 / 12)
        assert wide.shape == maps.shape and bool((wide >= maps).all())


def test_a_difference_is_the_rms_over_channels():
    from purecc_pack.purecc.method.maps import difference

    a, b = (torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(k)).half() for k in (0, 1))
    expected = ((a.float() - b.float()) ** 2).mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(difference(a, b), expected)


class TestTheSpread:
    def test_it_is_the_deviation_along_the_longest_axis_of_a_shape_of_any_size(self):
        from purecc_pack.purecc.method.maps import spread

        one, two = torch.zeros(2, 1, 24, 30).split(1)
        one[..., 4:12, 5:13] = 1.0
        two[..., 4:12, 5:21] = 1.0
        assert float(spread(one)) == pytest.approx(1 / math.sqrt(12), rel=1e-4)
        assert float(spread(two)) == pytest.approx(math.sqrt(2 / 12), rel=1e-4)
        both = torch.cat([one, two])
        torch.testing.assert_close(spread(both), torch.cat([spread(one), spread(two)]))
        torch.testing.assert_close(spread(both.transpose(2, 3)), spread(both))
        torch.testing.assert_close(spread(0.3 * both) * math.sqrt(0.3), spread(both))

    def test_one_place_is_a_square(self):
        from purecc_pack.purecc.method.maps import spread

        place = torch.zeros(1, 1, 8, 8)
        place[..., 3, 5] = 1.0
        assert float(spread(place)) == pytest.approx(1 / math.sqrt(12), rel=1e-4)
