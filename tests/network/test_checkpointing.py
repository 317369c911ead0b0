"""Blocks that are computed again in the backward pass."""

import torch


class Block(torch.nn.Module):
    """Counts its calls."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = torch.nn.Linear(8, 8), 0

    def forward(self, x, *, scale):
        self.calls += 1
        return torch.tanh(self.layer(x)) * scale


def test_the_first_blocks_are_computed_again_and_nothing_else_changes():
    from purecc_pack.purecc.network.checkpointing import Checkpointing

    torch.manual_seed(0)
    blocks = [Block() for _ in range(4)]
    checkpointing = Checkpointing(blocks)

    def run():
        x = torch.linspace(-1, 1, 8).repeat(3, 1)
        for block in blocks:
            block.calls = 0
            x = block(x, scale=2.0)
        x.square().sum().backward()
        gradients = [p.grad.clone() for b in blocks for p in b.parameters()]
        for block in blocks:
            block.zero_grad()
        return [b.calls for b in blocks], gradients

    _, plain = run()
    for count in range(5):
        checkpointing.first(count)
        calls, gradients = run()
        assert calls == [2] * count + [1] * (4 - count) and checkpointing.all == (count == 4)
        assert all(torch.equal(a, b) for a, b in zip(plain, gradients, strict=True))
    with torch.no_grad():
        blocks[0].calls = 0
        assert not blocks[0](torch.ones(1, 8), scale=1.0).requires_grad and blocks[0].calls == 1
    checkpointing.first(0)
    assert all("forward" not in b.__dict__ for b in blocks)
