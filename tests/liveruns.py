"""Live runs as a training would make them, for tests that do not train."""


def step(number, loss=1.0, scales=(), drift=None, seconds=None):
    from purecc_pack.purecc.history import Step

    losses = {"total": loss, "concept": loss}
    return Step(number, losses, scales, 1e-4, float(number if seconds is None else seconds), drift)


def made(send=lambda state: None, node="7", workflow=None, total=10, can_sample=True, **options):
    from purecc_pack.purecc.host.live import About, LiveRun

    return LiveRun(About(node, workflow, "extractor", "mine", total, can_sample), send, **options)


def sample(number):
    from purecc_pack.purecc.host.live import Sample

    return Sample(number, "a lake", 3, b"base", b"current %d" % number)
