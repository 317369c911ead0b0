"""Live runs as a training would make them, for tests that do not train, and what their routes must refuse."""

import gzip


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


def bad_requests(known):
    """(method, path, options) and the status that each deserves."""
    at, other = f"/purecc/runs/{known}", {"headers": {"Origin": "http://elsewhere.example"}}
    cross = {"headers": {"Sec-Fetch-Site": "cross-site"}}
    return [
        ("GET", "/purecc/runs/unknown", {}, 404),
        ("GET", f"{at}x", {}, 404),
        ("GET", "/purecc/runs/..%2F..%2Fetc%2Fpasswd", {}, 404),
        ("GET", f"{at}/../../../etc/passwd", {}, 404),
        ("GET", f"{at}/samples/9/base", {}, 404),
        ("GET", f"{at}/samples/-1/base", {}, 404),
        ("GET", f"{at}/samples/{'9' * 6000}/base", {}, 404),
        ("GET", f"{at}/samples/0/..%2Fbase", {}, 404),
        ("POST", "/purecc/runs/unknown/stop", {}, 404),
        ("POST", f"{at}/explode", {}, 404),
        ("GET", f"{at}/stop", {}, 405),
        ("DELETE", at, {}, 405),
        ("POST", at, {}, 405),
        ("PUT", f"{at}/save", {}, 405),
        ("POST", "/purecc/runs", {}, 405),
        ("GET", at, cross, 403),
        ("POST", f"{at}/stop", other, 403),
        ("POST", f"{at}/stop", cross, 403),
        ("POST", f"{at}/stop", {"headers": {"Sec-Fetch-Site": "same-site"}}, 403),
        ("POST", f"{at}/stop", {"headers": {"Origin": "null"}}, 403),
        ("POST", f"{at}/stop", {"headers": {"Origin": "http://[::"}}, 403),
        ("POST", f"{at}/stop", {"data": b"{"}, 400),
        ("POST", f"{at}/stop", {"data": b'{"path": "/etc/passwd"}'}, 400),
        ("POST", f"{at}/stop", {"data": b"\xff\xfe"}, 400),
        ("POST", f"{at}/save", {"data": b"x" * 100_000}, 413),
        ("POST", f"{at}/save", {"data": b"xx", "headers": {"Content-Encoding": "gzip"}}, 400),
        ("POST", f"{at}/save", {"data": gzip.compress(b" " * 10**7), "headers": {"Content-Encoding": "gzip"}}, 413),
    ]
