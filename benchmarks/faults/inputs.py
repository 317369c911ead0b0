"""Bad values for every input of every node, derived from what the server says its nodes take."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

from client import ExecutionError, Interrupted

from faults import host as hosts
from faults.judge import EITHER, REFUSED, Seen

LIMIT = 200.0
"""Seconds that one fault may take."""

CHEAP = {"steps": 2, "batch_size": 1, "resolution": 64, "pool_images": 1, "drift_prompts": "", "method": "LoRA"}
CHEAP |= {
    "class_word": "robot",
    "prompts": "a [v] robot",
    "seeds": 2,
    "sample_every": 0,
    "preset": "custom",
    "width": 64,
}
CHEAP |= {"height": 64, "value": 1.0, "folder": "concept", "cfg": 2.0, "state_every": 0.0, "overwrite": True}
CHEAP |= {"image": "one.png", "text": "a robot", "string": "a robot", "images_per_prompt": 1, "count": 1}
"""Values that make a prompt cheap, or that have no default, by the id of the input."""

FIRST = ("PureCCTinyCheckpoint", "PureCCLoadAdapter", "PureCCExampleConcept")
"""Nodes that give what they give most cheaply."""

STOCK = {
    "MASK": "SolidMask",
    "LATENT": "EmptySD3LatentImage",
    "CONDITIONING": "CLIPTextEncode",
    "INT": "PrimitiveInt",
    "FLOAT": "PrimitiveFloat",
    "STRING": "PrimitiveString",
    "BOOLEAN": "PrimitiveBoolean",
}
"""Nodes of the host that give what no node of the pack gives."""

ANY = [None, [], {}, [1], {"a": 1}, True, 10**30, "", " ", "\x00", "\ud800", "nan", "x" * 20_000]
"""Wires that lead nowhere are not among them: the host refuses these before it asks a node."""

NUMBERS = [float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 2**63, 1e-320, "abc", "1", "0x10", "１２"]
TEXTS = [
    "x" * 300_000,
    "../../x",
    "/etc/passwd",
    "a/b",
    "CON",
    "[v]" * 3000,
    "[v] [v]",
    "\u202e\u0301" * 50,
    "🤖" * 500,
]
TEXTS += ["embedding:nothing", "((((a", "a\tb\r\nc\n\n", "(robot:1e9)", "%date%", "0", "{a|b", "\u0000robot", "-" * 101]


def scalar(kind: Any) -> bool:
    """Return whether an input takes a value, not only a wire."""
    return isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def values(kind: Any, options: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield bad values of an input with what is right."""
    yield from ((value, EITHER) for value in ANY)
    if kind in ("INT", "FLOAT"):
        yield from ((value, EITHER) for value in NUMBERS[3:])
        yield from ((value, REFUSED) for value in NUMBERS[:3])
        step = options.get("step") or 1
        if "min" in options:
            yield options["min"] - step, REFUSED
            yield options["min"], EITHER
        if "max" in options:
            yield options["max"] + step, REFUSED
    elif kind == "STRING":
        yield from ((value, EITHER) for value in TEXTS)
    elif kind == "COMBO" or isinstance(kind, list):
        yield from ((value, REFUSED) for value in ("no such choice", 7, -1, 1.5))
    else:
        yield from ((value, EITHER) for value in (2, -1, "false", "maybe", 0.5))


class Graphs:
    """Builds prompts in which one node works, with cheap values.

    Args:
        info: /object_info.
    """

    def __init__(self, info: dict[str, Any]):
        self.info = info
        self.pack = sorted(kind for kind in info if kind.startswith("PureCC"))

    def inputs(self, kind: str) -> dict[str, tuple[Any, dict[str, Any], bool]]:
        """Return (type, options, whether it is optional) of the inputs of a node."""
        out = {}
        for group in ("required", "optional"):
            for name, spec in (self.info[kind]["input"].get(group) or {}).items():
                out[name] = spec[0], (spec[1] if len(spec) > 1 else {}), group == "optional"
        return out

    def source(self, wanted: str, but: str = "", first: str = "") -> tuple[str, int] | None:
        """Return (class, output) of a node that gives a type, cheap ones first."""
        for kind in [first, *FIRST, *self.pack, STOCK.get(wanted, "")]:
            given = self.info[kind]["output"] if kind in self.info else []
            if kind != but and wanted in given:
                return kind, given.index(wanted)
        return None

    def add(self, graph: dict[str, Any], kind: str) -> str:
        """Add a node with all that leads to it; return its id."""
        if kind in graph:
            return kind
        graph[kind] = {"class_type": kind, "inputs": {}}
        for name, (of, options, optional) in self.inputs(kind).items():
            value = self.value(graph, kind, name, of, options)
            if value is not None and (not optional or scalar(of) or of == "IMAGE"):
                graph[kind]["inputs"][name] = value
        return kind

    def value(self, graph: dict[str, Any], kind: str, name: str, of: Any, options: dict[str, Any]) -> Any:
        """Return a good value or wire of an input."""
        if scalar(of):
            choices = of if isinstance(of, list) else options.get("options")
            if choices is not None:
                wanted = CHEAP.get(name, options.get("default"))
                return wanted if wanted in choices else (choices or [None])[0]
            value = CHEAP.get(name, options.get("default", {"INT": 1, "FLOAT": 1.0, "BOOLEAN": False}.get(of, "")))
            return value.replace("my_concept", "an_adapter") if isinstance(value, str) else value
        for one in str(of).split(","):
            wanted = "PureCCApplyAdapter" if name.startswith("customised_") else ""
            if found := self.source(one, kind, wanted):
                return [self.add(graph, found[0]), found[1]]
        return None

    def good(self, kind: str) -> dict[str, Any]:
        """Return a prompt in which a node works and its outputs are shown."""
        graph: dict[str, Any] = {}
        self.add(graph, kind)
        for number in range(len(self.info[kind]["output"])):
            graph[f"shown {number}"] = {"class_type": "PreviewAny", "inputs": {"source": [kind, number]}}
        return graph

    def cases(self) -> Iterator[tuple[str, str, Any, str]]:
        """Yield (class, input, bad value, what is right) of the whole pack."""
        for kind in self.pack:
            for name, (of, options, _) in self.inputs(kind).items():
                if scalar(of):
                    yield from ((kind, name, value, right) for value, right in values(of, options))
                    continue
                yield from ((kind, name, value, EITHER) for value in [*ANY, "text", 3])
                for other in ("MODEL", "IMAGE", "STRING", "LATENT"):
                    if other not in str(of).split(","):
                        yield kind, name, ("wire", other), REFUSED
            yield kind, "no_such_input", 1, EITHER


class Prompts:
    """Runs prompts with one bad value."""

    EVERY = 50  # prompts after which the user's model is looked at

    def __init__(self, host: hosts.Host):
        self.host, self.graphs, self.tried = host, Graphs(host.info), 0
        self._without: dict[str, str] = {}

    def attempt(self, kind: str, name: str, value: Any, right: str) -> Seen:
        """Queue a prompt with a bad value, and look at what comes of it."""
        graph = self.graphs.good(kind)
        if isinstance(value, tuple):
            source = self.graphs.source(value[1], kind)
            assert source is not None
            value = [self.graphs.add(graph, source[0]), source[1]]
        if kind not in self._without:  # some nodes need what no node here gives, such as encoders
            self._without[kind] = self._tried(graph, (), EITHER).said
        graph[kind]["inputs"][name] = value
        seen = self._tried(graph, (*called(name), *quoted(value)), right)
        if seen.said and seen.said == self._without[kind]:
            seen = Seen(EITHER)
        self.tried += 1
        if not self.host.alive() or self.tried % self.EVERY == 0:
            return Seen(seen.expected, seen.said, seen.error, seen.names, seen.own, lost=self.host.harm() or seen.lost)
        return seen

    def _tried(self, graph: dict[str, Any], names: tuple[str, ...], right: str) -> Seen:
        try:
            what, answer = hosts.submit(self.host, graph)
        except OSError as error:
            return Seen(right, str(error), "ServerError")
        if what == "broken":
            return Seen(right, str(answer), "ServerError")
        if what == "refused":
            return _refused(answer, names, right)
        try:
            self.host.client.wait(answer, hosts.PATIENCE)
        except ExecutionError as error:
            return Seen(right, str(error), str(error.exception_type).rpartition(".")[2], names)
        except (Interrupted, TimeoutError) as error:
            return Seen(right, str(error) or "it was cancelled", "ServerError")
        return Seen(right)


def called(name: str) -> tuple[str, ...]:
    """Return what a message may call an input."""
    return name, name.replace("_", " "), name.removesuffix("s")


def quoted(value: Any) -> tuple[str, ...]:
    """Return the value as a message that quotes it would."""
    text = value if isinstance(value, str) else repr(value)
    return (text[:12], repr(text)[1:12]) if len(text) > 1 else ()


def _refused(answer: dict[str, Any], names: tuple[str, ...], right: str) -> Seen:
    """Return what the server's refusal of a prompt says."""
    name = names[0] if names else ""
    told = [
        (error, part.get("class_type"))
        for part in (answer.get("node_errors") or {}).values()
        for error in part["errors"]
    ]
    if not told:
        error = answer.get("error") or {}
        text = f"{error.get('message')} {error.get('details')}" if isinstance(error, dict) else str(error)
        return Seen(right, text, "PromptError", (*names, "no outputs", "Cannot execute"), own=False)
    first = next((error for error, _ in told if name in json.dumps(error.get("extra_info", {}))), told[0][0])
    own = first["type"] == "custom_validation_failed"
    raw = first["type"].startswith("exception_during")
    details = first.get("details", "")
    said = details.partition(" - ")[2] if own else f"{first['message']}. {details}"
    return Seen(right, said, "TypeError" if raw else "PromptError", names, own=own)


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield every bad value of every input, shuffled."""
    prompts = Prompts(hosts.shared())
    every = [(k, n, v, r) for k, n, v, r in prompts.graphs.cases()]
    random.shuffle(every)

    def label(kind: str, name: str, value: Any) -> str:
        text = json.dumps(value)
        return f"{kind} {name} = {text if len(text) <= 40 else f'{text[:30]}… ({len(text)})'}"

    yield ((label(k, n, v), partial(prompts.attempt, k, n, v, r)) for k, n, v, r in every)
