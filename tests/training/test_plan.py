"""What is planned from bytes, and how bytes are counted."""

import pytest
import torch


def demand(
    plain=(10, 10, 10, 10), again=(1, 1, 1, 1), outside=5, passing=2, samples=4, each=3, state=0, resident=100, more=0
):
    """In units in which neither rounding nor workspace is seen."""
    from purecc_pack.purecc.plan import Demand, Footprint

    unit = 10**12
    blocks = tuple(unit * b for b in plain), tuple(unit * b for b in again)
    footprint = Footprint(*blocks, unit * outside, unit * passing, unit * passing)
    return Demand(footprint, samples, unit * each, unit * state, unit * resident, unit * more)


def chosen(free, demand, **values):
    from purecc_pack.purecc.plan import ROUNDING, WORKSPACE, choose

    return choose(demand, int(free * 10**12 * (1 + ROUNDING)) + WORKSPACE + 1, **values)


@pytest.mark.parametrize(
    ("free", "count"),
    # outside 5, passing 2, a block 10 or 1: none 47; one 38; two 29; three 20; four 21, the last on top of the others
    [(47, 0), (46, 1), (38, 1), (37, 2), (29, 2), (28, 3), (20, 3), (19, 3)],
)
def test_the_fewest_blocks_that_fit_are_checkpointed(free, count):
    plan = chosen(free, demand())
    assert (plan.count, plan.blocks) == (count, 4)
    assert (plan.has is None) == (free >= 20)


def test_memory_while_a_block_is_computed_again_stands_on_the_blocks_before_it():
    footprint = demand(plain=(10, 10, 50, 10)).footprint
    assert [footprint.kept(n) // 10**12 for n in range(5)] == [85, 76, 67, 18, 9]
    assert [footprint.peak(n) // 10**12 for n in range(5)] == [87, 78, 69, 60, 60]


def test_samples_without_gradient_pass_as_many_at_once_as_fit():
    small = {"plain": (1, 1), "again": (1, 1), "outside": 0, "passing": 0}
    for free, limit in ((12, None), (11, 3), (9, 3), (8, 2), (3, 1), (2, 1)):
        assert chosen(free, demand(**small)).pass_limit == limit
    assert chosen(12, demand(**small), limit=2).pass_limit == 2, "the caller's own limit is kept"
    assert chosen(3, demand(**small), limit=2).pass_limit == 1


def test_what_is_asked_for_is_done_and_said_not_to_fit():
    assert chosen(1000, demand(), count=4).count == 4
    plan = chosen(20, demand(), count=0)
    assert plan.count == 0 and plan.has is not None and plan.needs > plan.has


def test_state_and_weights_are_needed_too():
    from purecc_pack.purecc.plan import WORKSPACE

    plan = chosen(47 + 5, demand(state=7))
    assert plan.count == 1, "52 - 7 is less than 47"
    assert plan.needs == pytest.approx((38 * 1.05 + 7 + 100) * 10**12 + WORKSPACE)
    assert chosen(47, demand()).needs == pytest.approx((47 * 1.05 + 100) * 10**12 + WORKSPACE)


def test_weights_that_are_not_there_need_room_like_all_else():
    plan = chosen(47 + 8, demand(more=9))
    assert plan.count == 1 and plan.has is None, "55 - 9 is less than 47"
    assert plan.needs == chosen(47, demand(resident=109), count=1).needs, "as much as if they were there"
    assert chosen(20 + 9, demand(more=9)).has is None and chosen(20 + 8, demand(more=9)).has is not None
    assert "; 9000.0 GB of weights are not on the GPU, and fetched by every pass; " in str(plan)


def test_a_plan_says_itself():
    from purecc_pack.purecc.plan import Plan

    assert str(Plan(18, 24, needs=6_910_000_000)) == "needs about 6.9 GB; checkpointing 18 of 24 blocks"
    assert str(Plan(0, 24, needs=6_910_000_000)) == "needs about 6.9 GB; no checkpointing"
    tight = Plan(24, 24, 1, needs=9_100_000_000, has=7_100_000_000)
    assert str(tight) == (
        "needs about 9.1 GB; there are 7.1 GB, so it may fail; checkpointing 24 of 24 blocks; "
        "1 sample a pass without gradient"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.01, "1 second"), (41.4, "41 seconds"), (89, "89 seconds"), (240, "4 minutes"), (5390, "90 minutes"),
     (5400, "2 hours"), (90_000, "25 hours")],
)  # fmt: skip
def test_a_plan_says_how_long_it_takes(seconds, said):
    from purecc_pack.purecc.plan import Plan

    assert str(Plan(0, 24, seconds=seconds)) == f"no checkpointing; about {said}"


def test_the_time_of_a_run_is_that_of_its_passes():
    from purecc_pack.purecc import recipes
    from purecc_pack.purecc.plan import Plan

    customisation, pure = recipes.ConceptCustomisation(), recipes.PureLearning(v_original="base")
    assert Plan(0, 24).lasting(10, 4, customisation, 2.0, 1.0).seconds == pytest.approx(10 * 4 * 2.1 * 2)
    assert Plan(12, 24).lasting(10, 4, customisation, 2.0, 1.0).seconds == pytest.approx(10 * 4 * 2.6 * 2)
    assert Plan(0, 24).lasting(10, 4, pure, 2.0, 1.0).seconds == pytest.approx(10 * 4 * (2.1 * 2 + 3))


def test_samples_of_a_recipe():
    from purecc_pack.purecc import recipes
    from purecc_pack.purecc.plan import samples

    assert samples(recipes.ConceptCustomisation(), 2) == (2, 0)
    assert samples(recipes.PureLearning(), 2) == (4, 4)
    assert samples(recipes.PureLearning(v_original="base"), 3) == (3, 6)
    assert samples(recipes.AnchoredLearning(), 2) == (4, 8)


def test_live_bytes_are_what_autograd_keeps():
    """Beside the weights; on the CPU and, with nothing computed, on the meta device."""
    from purecc_pack.purecc.live_bytes import LiveBytes, meta_twin

    layers = [m for _ in range(3) for m in (torch.nn.Linear(64, 64), torch.nn.GELU(), torch.nn.LayerNorm(64))]
    network = torch.nn.Sequential(*layers)
    network[0].weight.requires_grad_(False)
    counted = []
    for model, device in ((network, "cpu"), (meta_twin(network), "meta")):
        own = {w.untyped_storage()._cdata for w in model.parameters()}
        kept = {}

        def keep(saved, own=own, kept=kept):
            if (storage := saved.untyped_storage())._cdata not in own:
                kept[storage._cdata] = storage
            return saved

        x = torch.ones(32, 64, device=device)
        kept[x.untyped_storage()._cdata] = x.untyped_storage()
        with LiveBytes() as live, torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            out = model(x)
            after = live.live
        kept[out.untyped_storage()._cdata] = out.untyped_storage()
        assert after == sum(s.nbytes() for s in kept.values()) - x.nbytes, "what was there before is not counted"
        kept.clear()
        with live:
            out.sum().backward()
            del out
        gradients = sum(w.nbytes for w in model.parameters() if w.requires_grad)
        assert live.live == gradients and live.peak > after
        counted.append((after, live.peak))
    assert counted[0] == counted[1]


def test_a_twin_has_shapes_and_no_data():
    from purecc_pack.purecc.live_bytes import meta_twin

    network = torch.nn.Sequential(torch.nn.Linear(3, 5, dtype=torch.bfloat16), torch.nn.BatchNorm1d(5))
    network[0].weight.requires_grad_(False)
    twin = meta_twin(network)
    for ours, theirs in zip(
        [*twin.parameters(), *twin.buffers()], [*network.parameters(), *network.buffers()], strict=True
    ):
        assert ours.is_meta and not theirs.is_meta and ours.shape == theirs.shape and ours.dtype == theirs.dtype
        assert ours.requires_grad == theirs.requires_grad


class Block(torch.nn.Module):
    """Counts its calls."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = torch.nn.Linear(8, 8), 0

    def forward(self, x, *, scale):
        self.calls += 1
        return torch.tanh(self.layer(x)) * scale


def test_the_first_blocks_are_computed_again_and_nothing_else_changes():
    from purecc_pack.purecc.checkpointing import Checkpointing

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
