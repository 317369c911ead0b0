"""A workflow as the front end saves it -> the API format that a server runs.

The front end does this in the browser (`app.graphToPrompt()`); here it is done from the file and /object_info alone, so
that a workflow can be run without one. Covered: widgets with their positional values, widgets fed by links, seeds with
their control widget, dynamic combos, muted and bypassed nodes, reroutes, primitives, notes and subgraphs. Dynamic
prompts (`{a|b}`) are left as they are written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR"}
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
SEEDS = ("seed", "noise_seed")
CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
NOTES = ("Note", "MarkdownNote")
MUTED, BYPASSED = 2, 4
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = -10, -20


class WorkflowError(ValueError):
    """The workflow cannot be converted; the message says which node and why."""


def to_api(workflow: dict, object_info: dict) -> dict:
    """Return {node id: {"class_type", "inputs"}} for a UI-format workflow.

    Args:
        workflow: what the front end's Save writes, or a shipped template.
        object_info: the server's node definitions.

    Raises:
        WorkflowError: it uses a node that the server does not have.
    """
    subgraphs = {one["id"]: one for one in (workflow.get("definitions") or {}).get("subgraphs", [])}
    nodes: dict[str, tuple[_Graph, dict]] = {}
    _Graph(workflow, subgraphs).collect(nodes)
    prompt = {}
    for name, (graph, node) in nodes.items():
        if node["type"] not in object_info:
            raise WorkflowError(f"The server has no node {node['type']!r} (node {name} of the workflow).")
        inputs = dict(widget_values(node, object_info[node["type"]]))
        for slot in node.get("inputs") or []:
            source = graph.source(slot.get("link"))
            if isinstance(source, _Literal):
                inputs[slot["name"]] = source.value
            elif source and source[0] in nodes:
                inputs[slot["name"]] = list(source)
        prompt[name] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def widget_values(node: dict, info: dict) -> Iterator[tuple[str, object]]:
    """Yield (input name, value) for each widget of a saved node, in the order in which their values are saved."""
    saved = node.get("widgets_values") or []
    if isinstance(saved, dict):
        yield from ((name, value) for name, value in saved.items() if name in _names(info["input"]))
        return
    listed = {slot["name"] for slot in node.get("inputs") or [] if slot.get("widget")}
    yield from _widgets(info["input"], "", listed, _Values(saved))


def _names(inputs: dict) -> set[str]:
    return {name for kind in ("required", "optional") for name in inputs.get(kind) or {}}


def _widgets(inputs: dict, prefix: str, listed: set[str], values: "_Values") -> Iterator[tuple[str, object]]:
    for kind in ("required", "optional"):
        for short, spec in (inputs.get(kind) or {}).items():
            name, sort, options = prefix + short, spec[0], spec[1] if len(spec) > 1 else {}
            known = isinstance(sort, list) or sort in WIDGETS or sort == DYNAMIC_COMBO
            if not (known or name in listed) or options.get("forceInput"):
                continue
            value = values.next(_default(sort, options))
            yield name, {"__value__": value} if isinstance(value, list) else value
            if options.get("control_after_generate") or (sort == "INT" and short in SEEDS):
                values.skip(CONTROLS)
            if sort == DYNAMIC_COMBO:
                chosen: dict = next((one["inputs"] for one in options["options"] if one["key"] == value), {})
                yield from _widgets(chosen, f"{name}.", listed, values)


def _default(sort, options: dict):
    choices = (sort if isinstance(sort, list) else options.get("options")) or [None]
    first = choices[0]["key"] if sort == DYNAMIC_COMBO else choices[0]
    return options.get("default", first)


@dataclass
class _Values:
    """The saved values of a node's widgets, taken one after the other."""

    saved: list
    position: int = 0

    def next(self, default):
        """Return the next value; the default once they have run out, as for a widget newer than the file."""
        self.position += 1
        return self.saved[self.position - 1] if self.position <= len(self.saved) else default

    def skip(self, words: tuple[str, ...]) -> None:
        """Pass over a value that is one of `words`."""
        if self.position < len(self.saved) and self.saved[self.position] in words:
            self.position += 1


@dataclass(frozen=True)
class _Literal:
    value: object


@dataclass
class _Graph:
    """A graph or an instance of a subgraph: its nodes, its links, and where it stands in the graph around it."""

    data: dict
    subgraphs: dict
    outer: "_Graph | None" = None
    instance: dict | None = None
    prefix: str = ""
    nodes: dict = field(init=False)
    links: dict = field(init=False)

    def __post_init__(self):
        self.nodes = {str(node["id"]): node for node in self.data["nodes"]}
        self.links = {}
        for link in self.data.get("links") or []:
            if isinstance(link, dict):
                link = [link[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")]
            self.links[link[0]] = link

    def inside(self, node: dict) -> "_Graph":
        """Return the graph inside a subgraph node."""
        return _Graph(self.subgraphs[node["type"]], self.subgraphs, self, node, f"{self.prefix}{node['id']}:")

    def collect(self, nodes: dict) -> None:
        """Add every node that runs, under its full id."""
        for name, node in self.nodes.items():
            if node.get("mode", 0) in (MUTED, BYPASSED) or node["type"] in (*NOTES, "Reroute", "PrimitiveNode"):
                continue
            if node["type"] in self.subgraphs:
                self.inside(node).collect(nodes)
            else:
                nodes[self.prefix + name] = (self, node)

    def source(self, link: int | None) -> "tuple[str, int] | _Literal | None":
        """Return what feeds a link: (full node id, output), the value of a primitive, or None."""
        if link is None or link not in self.links:
            return None
        _, origin, slot, _, _, sort = self.links[link]
        if origin == SUBGRAPH_INPUT:
            if self.outer is None or self.instance is None:
                return None
            name = self.data["inputs"][slot]["name"]
            entry: dict = next((one for one in self.instance.get("inputs") or [] if one["name"] == name), {})
            if entry.get("link") is not None:
                return self.outer.source(entry["link"])
            return self._shown().get(name)
        node = self.nodes[str(origin)]
        if node.get("mode", 0) == MUTED:
            return None
        if node.get("mode", 0) == BYPASSED:
            return self._around(node, slot, sort)
        if node["type"] == "Reroute":
            return self.source(node["inputs"][0].get("link"))
        if node["type"] == "PrimitiveNode":
            return _Literal(node["widgets_values"][0])
        if node["type"] in self.subgraphs:
            inner = self.inside(node)
            feeding = [row[0] for row in inner.links.values() if row[3] == SUBGRAPH_OUTPUT and row[4] == slot]
            return inner.source(feeding[0]) if feeding else None
        return self.prefix + str(origin), slot

    def _shown(self) -> dict[str, _Literal]:
        """Return the values of the widgets that the instance shows, by the name of the subgraph's input."""
        names = []
        for one in self.data.get("inputs") or []:
            links = [self.links[number] for number in one.get("linkIds") or [] if number in self.links]
            fed = [self.nodes[str(link[3])]["inputs"][link[4]] for link in links if str(link[3]) in self.nodes]
            if fed and fed[0].get("widget"):
                names.append(one["name"])
        values = (self.instance or {}).get("widgets_values") or []
        return {name: _Literal(value) for name, value in zip(names, values, strict=False)}

    def _around(self, node: dict, slot: int, sort: str):
        """Pass through a bypassed node: the input at the output's own place if it fits, else the first that does."""
        inputs = node.get("inputs") or []
        wanted = node["outputs"][slot]["type"] if slot < len(node.get("outputs") or []) else sort
        ordered = inputs[slot : slot + 1] + inputs
        fitting = next((one for one in ordered if one["type"] == wanted), None)
        return self.source(fitting.get("link")) if fitting else None
