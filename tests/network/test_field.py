"""Which samples share a pass."""

from dataclasses import dataclass

import pytest
import torch


@dataclass
class Recorder:
    """A velocity field that says which samples shared a pass: v = x_t + t + the first number of the context."""

    calls: list

    def velocity(self, x_t, t, y):
        self.calls.append(len(x_t))
        return x_t + t.view(-1, 1, 1, 1) + y.context[:, 0, 0].view(-1, 1, 1, 1)


@pytest.mark.parametrize(("limit", "calls"), [(None, [3, 2]), (2, [2, 1, 2]), (1, [1] * 5)])
def test_prompts_of_unlike_layout_are_passes_of_their_own(limit, calls):
    from purecc_pack.purecc.network.field import Conditioning, velocities

    lengths = (77, 154, 77, 77, 154)
    prompts = [
        Conditioning(
            torch.full((1, n, 4), float(k)), torch.zeros(1, n, dtype=torch.bool), ({"p": torch.zeros(1, 2), "n": 3.5},)
        )
        for k, n in enumerate(lengths)
    ]
    x_t, t = torch.randn(5, 1, 2, 2), torch.rand(5)
    field = Recorder([])
    out = velocities(field, x_t, t, prompts, limit)
    expected = x_t + t.view(-1, 1, 1, 1) + torch.arange(5.0).view(-1, 1, 1, 1)
    assert torch.equal(out, expected) and field.calls == calls


def test_a_layout_holds_shapes_and_plain_values():
    from purecc_pack.purecc.network.field import Conditioning, cat

    def layout(**fields):
        return Conditioning(torch.zeros(1, 4, 8), torch.zeros(1, 4, dtype=torch.bool), (fields,)).layout

    one = layout(guidance=3.5, ids=torch.zeros(5), references=[torch.zeros(1, 4, 2, 2)])
    assert one == layout(references=[torch.ones(1, 4, 2, 2)], ids=torch.ones(5), guidance=3.5)
    assert one != layout(guidance=0.0, ids=torch.zeros(5), references=[torch.zeros(1, 4, 2, 2)])
    assert one != layout(guidance=3.5, ids=torch.zeros(6), references=[torch.zeros(1, 4, 2, 2)])
    assert one != layout(guidance=3.5, ids=torch.zeros(5), references=[torch.zeros(1, 4, 3, 2)])
    both = [Conditioning(torch.zeros(1, 4, 8), torch.zeros(1, 4, dtype=torch.bool), ({"n": k},)) for k in range(2)]
    assert [one["n"] for one in cat(both).fields] == [0, 1]
