"""What is planned from bytes, and how bytes are counted."""

import pytest


def demand(plain=(10, 10, 10, 10), again=(1, 1, 1, 1), outside=5, passing=2, samples=4, each=3, **weights):
    """In units in which neither rounding nor workspace is seen."""
    from purecc_pack.purecc.training.memory_plan import Demand, Footprint

    unit = 10**12
    blocks = tuple(unit * b for b in plain), tuple(unit * b for b in again)
    footprint = Footprint(*blocks, unit * outside, unit * passing, unit * passing)
    weights = {k: unit * v for k, v in {"state": 0, "resident": 100, **weights}.items()}
    return Demand(footprint, samples, unit * each, **weights)


def chosen(free, demand, **values):
    from purecc_pack.purecc.training.memory_plan import ROUNDING, WORKSPACE, choose

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
    from purecc_pack.purecc.training.memory_plan import WORKSPACE

    plan = chosen(47 + 5, demand(state=7))
    assert plan.count == 1, "52 - 7 is less than 47"
    assert plan.needs == pytest.approx((38 * 1.05 + 7 + 100) * 10**12 + WORKSPACE)
    assert chosen(47, demand()).needs == pytest.approx((47 * 1.05 + 100) * 10**12 + WORKSPACE)


def test_weights_that_are_not_there_need_room_like_all_else():
    plan = chosen(47 + 8, demand(elsewhere=9))
    assert plan.count == 1 and plan.has is None, "55 - 9 is less than 47"
    assert plan.needs == chosen(47, demand(resident=109), count=1).needs, "as much as if they were there"
    assert chosen(20 + 9, demand(elsewhere=9)).has is None and chosen(20 + 8, demand(elsewhere=9)).has is not None


LARGE = {"streamable": 80, "fetched": 2}


def share(units):
    return pytest.approx(units * 10**12, abs=10**9)


def test_weights_stay_away_where_the_smallest_plan_does_not_fit_beside_them():
    """The smallest needs 20. The layers that are fetched take 2, so that 5 too few send 7 away, to rounding."""
    assert chosen(20, demand(**LARGE)).reserve is None and chosen(20, demand(**LARGE)).elsewhere == 0
    plan = chosen(15, demand(**LARGE))
    assert (plan.count, plan.has, plan.pass_limit) == (3, None, None)
    assert plan.elsewhere == share(5 * 1.05 + 2) and plan.reserve == share(20 * 1.05 + 2)
    assert plan.needs == pytest.approx(100 * 10**12 + plan.reserve - plan.elsewhere)
    assert "GB of weights are not on the GPU, and fetched by every pass; " in str(plan)
    assert chosen(20 + 9 - 3, demand(elsewhere=9, **LARGE)).elsewhere == share(9 - 6 * 1.05 + 2)


def test_what_does_not_fit_with_all_weights_away_that_may_be_is_said():
    """Of the 20 that the smallest needs, 4 may take the place of weights."""
    few = {"streamable": 6, "fetched": 2}
    assert chosen(16.5, demand(**few)).has is None
    plan = chosen(15, demand(**few))
    assert plan.elsewhere == 6 * 10**12 and plan.needs > plan.has > 0


@pytest.mark.parametrize("free", [-3, 1])
def test_too_little_for_the_state_alone_is_said_too(free):
    """Of a recipe whose passes all take a gradient, and of another."""
    for still in ({"samples": 0, "each": 0}, {}):
        plan = chosen(free, demand(state=5, **still))
        assert plan.has is not None and plan.needs > plan.has
        assert plan.pass_limit == (1 if not still else None)


def test_a_choice_of_blocks_is_kept_and_weights_stay_away_for_it():
    plan = chosen(40, demand(**LARGE), count=0)
    assert plan.count == 0 and plan.has is None and plan.elsewhere == share(7 * 1.05 + 2)


def test_a_plan_says_itself():
    from purecc_pack.purecc.training.memory_plan import Plan

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
    from purecc_pack.purecc.training.memory_plan import Plan

    assert str(Plan(0, 24, seconds=seconds)) == f"no checkpointing; about {said}"


def test_the_time_of_a_run_is_that_of_its_passes():
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation, PureLearning
    from purecc_pack.purecc.training.memory_plan import Plan

    customisation, pure = ConceptCustomisation(), PureLearning(v_original="base")
    assert Plan(0, 24).lasting(10, 4, customisation, 2.0, 1.0).seconds == pytest.approx(10 * 4 * 2.1 * 2)
    assert Plan(12, 24).lasting(10, 4, customisation, 2.0, 1.0).seconds == pytest.approx(10 * 4 * 2.6 * 2)
    assert Plan(0, 24).lasting(10, 4, pure, 2.0, 1.0).seconds == pytest.approx(10 * 4 * (2.1 * 2 + 3))


def test_samples_of_a_recipe():
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation, PureLearning
    from purecc_pack.purecc.training.memory_plan import samples

    assert samples(ConceptCustomisation(), 2) == (2, 0)
    assert samples(PureLearning(), 2) == (4, 4)
    assert samples(PureLearning(v_original="base"), 3) == (3, 6)
    assert samples(AnchoredLearning(), 2) == (4, 8)
