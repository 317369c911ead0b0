"""Make live runs without training, and list what their routes must refuse."""

import contextlib
import gzip
import socket
import time


def step(number, loss=1.0, scales=(), drift=None, seconds=None):
    from purecc_pack.purecc.training.history import Step

    losses = {"total": loss, "concept": loss}
    return Step(number, losses, scales, 1e-4, float(number if seconds is None else seconds), drift)


def made(send=lambda state: None, node="7", workflow=None, total=10, can_sample=True, **options):
    from purecc_pack.purecc.host.ui.live_run import LiveRun
    from purecc_pack.purecc.host.ui.run_state import About

    return LiveRun(About(node, workflow, "extractor", "mine", total, can_sample), send, **options)


def sample(number):
    from purecc_pack.purecc.host.ui.samples import Sample

    return Sample(number, "a lake", 3, b"base", b"current %d" % number)


def bad_requests(known):
    """Return (method, path, options, expected status) of requests that must be refused."""
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
        ("GET", f"{at}/prompts", {}, 405),
        ("POST", "/purecc/runs/unknown/prompts", {"data": b'{"prompts": []}'}, 404),
        ("POST", f"{at}/prompts", {"data": b'{"prompts": ["a lake"]}', **cross}, 403),
        ("POST", f"{at}/prompts", {}, 400),
        ("POST", f"{at}/prompts", {"data": b"[" * 9_000}, 400),
        ("POST", f"{at}/prompts", {"data": b'["a lake"]'}, 400),
        ("POST", f"{at}/prompts", {"data": b'{"prompts": "a lake"}'}, 400),
        ("POST", f"{at}/prompts", {"data": b'{"prompts": [1]}'}, 400),
        ("POST", f"{at}/prompts", {"data": b'{"prompts": [%s]}' % b", ".join([b'"a lake"'] * 2_000)}, 413),
    ]


def bad_pieces(known):
    """Return (bytes in the pieces in which they are sent, expected status) of requests that must be refused."""
    head = f"POST /purecc/runs/{known}/save HTTP/1.1\r\nHost: here\r\nConnection: close\r\n".encode()
    of_40, chunked = b"%sContent-Length: 40\r\n" % head, b"%sTransfer-Encoding: chunked\r\n\r\n" % head
    old = f"POST /purecc/runs/{known}/save HTTP/1.0\r\n".encode()
    return [
        ((b"%s\r\n{}" % of_40, b"x" * 38), 400),
        ((b"%s\r\n " % of_40, b'{"path": 1}' + b" " * 28), 400),
        ((b"%s\r\n{}" % of_40,), 400),
        ((b"%s\r\n" % of_40,), 400),
        ((b"%s\r\n{}" % of_40, *[b" "] * 20), 400),
        ((b"%s2\r\n{}\r\n" % chunked, b"zz\r\n{}\r\n"), 400),
        ((b"%s64\r\n%s\r\n" % (chunked, b"x" * 100), b"zz\r\n"), 400),
        ((b"%s64\r\n%s\r\n" % (chunked, b" " * 100), b"0\r\n\r\n"), 413),
        ((b"%sContent-Encoding: gzip\r\n\r\n%s" % (of_40, gzip.compress(b"{}")[:12]), b"x" * 28), 400),
        ((b"%sOrigin: null\r\n\r\n" % old,), 403),
        ((b"%sOrigin: x\r\n\r\n" % old,), 403),
    ]


def spoken(port, pieces, gap=0.3, patience=30.0):
    """Send pieces so many seconds apart, and return the status that the server answers before it hangs up."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        with contextlib.suppress(ConnectionError):  # it has hung up
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(gap)
        with contextlib.suppress(ConnectionError):
            while got := connection.recv(4096):
                said += got
    return int(said.split()[1])
