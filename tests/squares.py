"""Maps of one square, for tests of masks."""

import torch


def square(low=0.0, high=1.0, side=16):
    maps = torch.full((1, 1, side, side), low)
    maps[..., 4:10, 5:12] = high
    return maps
