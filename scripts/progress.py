"""Show a running prompt in a terminal: one line for each node, kept up to date while the node works."""

import sys
import time
from typing import TextIO


class Progress:
    """Takes a server's events and prints them.

    On a terminal the line of a node is rewritten in place; elsewhere a long node gets a line every `every` seconds.

    Args:
        titles: node id -> what to call it.
        every: seconds between lines where there is no terminal.
        stream: where to print.
    """

    def __init__(self, titles: dict[str, str], every: float = 15.0, stream: TextIO = sys.stdout):
        self._titles, self._every, self._stream = titles, every, stream
        self._live = stream.isatty()
        self._node: str | None = None
        self._began = self._shown = time.monotonic()
        self._text = ""
        self._width = 0
        self._count = 0

    def __call__(self, name: str, data: dict) -> None:
        """Take one event."""
        if name in ("executing", "execution_success"):
            self._finish()
            self._start(data.get("node"))
        elif self._node is None:
            return
        elif name == "progress_text" and data["node"] == self._node:
            self._show(data["text"].splitlines()[-1] if data["text"].strip() else "")
        elif name == "progress" and data.get("node") == self._node and "step" not in self._text:
            self._show(f"{data['value']}/{data['max']}")

    def close(self) -> None:
        """End the line of the node at work, if one still is: it was stopped."""
        self._finish("stopped after")

    def _start(self, node: str | None) -> None:
        self._node, self._text = node, ""
        self._began = self._shown = time.monotonic()
        if node is not None:
            self._count += 1
            self._print(self._head(), final=False)

    def _head(self) -> str:
        return f"[{self._count}/{len(self._titles)}] {self._titles.get(self._node or '', self._node)}"

    def _show(self, text: str) -> None:
        self._text = text
        now = time.monotonic()
        if self._live or now - self._shown >= self._every:
            self._shown = now
            self._print(f"{self._head()}  {text}", final=False)

    def _finish(self, how: str = "done in") -> None:
        if self._node is not None:
            text = f"  {self._text}" if self._text else ""
            self._print(f"{self._head()}{text}  {how} {time.monotonic() - self._began:.1f} s", final=True)
        self._node = None

    def _print(self, line: str, final: bool) -> None:
        if self._live:
            self._stream.write("\r" + line.ljust(self._width) + ("\n" if final else ""))
            self._width = 0 if final else len(line)
        elif final or self._text:
            self._stream.write(line + "\n")
        self._stream.flush()
