"""Bad requests to every route of the pack, over plain sockets, in a real server."""

import asyncio
import gzip
import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace

from faults import host as hosts
from faults.inputs import Graphs
from faults.judge import EITHER, Seen

LIMIT = 60.0
"""Seconds that one fault may take."""

PARTS: tuple[str, ...] = (
    "x",
    ".x",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%00",
    "a" * 7000,
    "%F0%9F%A4%96",
    "%",
    "0",
    "-1",
    "9" * 5000,
)
PARTS += ("samples", "0" * 64, "resume", "%ff%fe", "<script>", "a b".replace(" ", "%20"), ";id")
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW")
NAMES = ("concept/0.png", "../server.log", "/etc/passwd", "one.png", "concept", "concept/0.txt", "", "\x00", "a" * 5000)
TEXTS = ("a [v] robot", "", "x" * 4001, "\x00", "\ud800", "a\nb", "🤖" * 2000, "\u202e")
CLASSES = ("PureCCTrainExtractor", "PureCCPureLearning", "KSampler", "", "x" * 999)


def routes() -> list[tuple[str, str]]:
    """Return (method, path) of every route that the pack adds to a server."""
    from aiohttp import web

    table = web.RouteTableDef()
    before = sys.modules.get("server")
    running = SimpleNamespace(instance=SimpleNamespace(routes=table))
    sys.modules["server"] = SimpleNamespace(PromptServer=running)  # type: ignore[assignment]
    try:
        from purecc_pack.nodes import PureCCExtension

        asyncio.run(PureCCExtension().on_load())
    finally:
        del sys.modules["server"]
        if before is not None:
            sys.modules["server"] = before
    return [(route.method, route.path) for route in table if isinstance(route, web.RouteDef)]


def body(random: Random, path: str = "") -> bytes:
    """Return the body of a request; as often as not of the form that the path takes."""
    nested = "[" * 50_000
    prompt = {
        str(k): {
            "class_type": random.choice(CLASSES),
            "inputs": {"a": [str(k - 1), 0], "resume": "ask", "b": value(random)},
        }
        for k in range(random.choice((1, 2, 40, 10_001)))
    }
    caption = {"image": random.choice(NAMES), "text": random.choice(TEXTS)}
    texts = [random.choice((*TEXTS, "[v] [v]")) for _ in range(random.choice((0, 1, 1, 3, 2000)))]
    prompts = {"prompts": random.choice((texts, texts, texts, [*texts, None], value(random)))}
    fitting = {"prompts": prompts, "caption": caption, "captions": caption}.get(path.rpartition("/")[2], prompt)
    every = (nested, *map(json.dumps, (prompt, caption, caption, prompts, value(random))), "")
    made = json.dumps(fitting) if random.random() < 0.5 else random.choice(every)
    content = made.encode(errors="surrogatepass")
    return random.choice(
        (content, content, content, random.randbytes(300), b"\xff\xfe" + content, content[: len(content) // 2])
    )


def value(random: Random) -> object:
    """Return a JSON value."""
    return random.choice((None, True, 10**40, float("nan"), "\ud800", [], {}, [[[]]], {"a": {"b": None}}, "x" * 9999))


def request(random: Random, known: list[tuple[str, str]], parts: tuple[str, ...] = PARTS) -> bytes:
    """Return the bytes of a request, with some of these parts in its path."""
    own, path = random.choice(known)
    method = own if random.random() < 0.8 else random.choice(METHODS)
    method = own if method in ("GET", "HEAD") else method  # else the host looks for a file of that name
    content = body(random, path)
    path = re.sub(r"\{[^{}]*(\{[^{}]*\})?[^{}]*\}", lambda _: random.choice(parts), path)
    if random.random() < 0.1:
        path += random.choice(("?", "?a=1&a=2", "?" + "a" * 7000, "?%00", "#x"))
    headers = {"Host": "127.0.0.1", "Content-Type": random.choice(("application/json", "text/plain", "x", ""))}
    headers["Content-Length"] = str(len(content))
    what = random.randrange(10)
    if what == 0:
        headers["Origin"] = random.choice(("http://elsewhere.example", "null", "http://127.0.0.1", ""))
    elif what == 1:
        headers["Sec-Fetch-Site"] = random.choice(("cross-site", "same-site", "same-origin", "x"))
    elif what == 2:
        content = random.choice((gzip.compress(content), gzip.compress(bytes(2**24)), content))
        headers |= {
            "Content-Encoding": random.choice(("gzip", "deflate", "br", "x")),
            "Content-Length": str(len(content)),
        }
    elif what == 3:
        del headers["Content-Length"]
        headers["Transfer-Encoding"] = random.choice(("chunked", "identity", "x"))
        content = random.choice(
            (b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content), content, b"-1\r\n\r\n", b"0\r\n\r\n")
        )
    elif what == 4:
        headers["Content-Length"] = random.choice(("-1", "x", "0", str(10**30)))
    elif what == 5:
        headers["X"] = "y" * random.choice((10, 9000))
    lines = "".join(f"{key}: {text}\r\n" for key, text in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode() + content


def answered(port: int, content: bytes) -> bytes:
    """Send bytes, break off where they are fewer than they say, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(content)
            if not whole(content):
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was refused before its end
        out = b""
        try:
            while piece := connection.recv(65536):
                out += piece
        except ConnectionError:
            pass
        return out


def whole(content: bytes) -> bool:
    """Return whether a request is as long as it says; one that breaks off need not be answered."""
    head, _, rest = content.partition(b"\r\n\r\n")
    return f"Content-Length: {len(rest)}\r\n".encode() in head + b"\r\n"


class Requests:
    """Sends bad requests, and looks at the answers and at the folder of the server."""

    EVERY = 100
    """Requests after which the next prompt is tried, and files are looked at."""

    def __init__(self, host: hosts.Host):
        self.host, self.tried, self.known = host, 0, routes()
        host.client.run(Graphs(host.info).good("PureCCPureLearning"), silence=hosts.PATIENCE)
        runs = tuple(run["id"] for run in host.client.get_json("/purecc/runs")["runs"])
        assert runs
        self.parts = PARTS + runs * (len(PARTS) // len(runs))  # in every other path a run that there is
        self._files = self._listed()

    def _listed(self) -> dict[str, bytes]:
        """Return the files that no request may change: all but captions, the log and previews."""
        base = self.host.server.base
        places = [base / "models", base / "custom_nodes", base / "user" / "__purecc", base / "input"]
        every = [path for place in places for path in place.rglob("*") if path.is_file()]
        captions = {base / "input" / "concept" / f"{k}.txt" for k in (0, 1)}
        return {str(path): path.read_bytes() for path in every if path not in captions}

    def attempt(self, seed: int) -> Seen:
        """Send a request, and judge its answer."""
        content = request(Random(seed), self.known, self.parts)
        try:
            got = answered(self.host.server.port, content)
        except OSError as error:
            return Seen(EITHER, f"{content[:80]!r}: {error}", "ServerError")
        self.tried += 1
        lost = ""
        if not self.host.alive() or self.tried % self.EVERY == 0:
            lost = self.host.harm() or ("a file was changed" if self._listed() != self._files else "")
        return self._seen(content, got, lost)

    def _seen(self, content: bytes, got: bytes, lost: str) -> Seen:
        head, _, text = got.partition(b"\r\n\r\n")
        status = int(head.split()[1]) if head.startswith(b"HTTP/") else 0
        words = text.decode(errors="replace")
        shown = f"{content[:60]!r}: {status} {words[:200]}"
        if status >= 500 or (not got and whole(content)):
            return Seen(EITHER, shown, "ServerError", lost=lost)
        leaks = [
            word for word in ("Traceback", str(self.host.server.base), str(Path.home()), 'File "') if word in words
        ]
        if leaks:
            return Seen(EITHER, wrong=f"{shown} shows {leaks[0]}", lost=lost)
        return Seen(EITHER, shown if status >= 400 else "", "Refused" if status >= 400 else "", own=False, lost=lost)


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield requests without end."""
    requests = Requests(hosts.shared())

    def cases() -> Iterator[tuple[str, Callable[[], Seen]]]:
        while True:
            seed = random.getrandbits(40)
            yield f"{seed}", partial(requests.attempt, seed)

    yield cases()
